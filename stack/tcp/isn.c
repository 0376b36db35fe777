/*
 * isn.c - numbers of a connection that an outsider must not guess
 */
#include "stack/tcp/isn.h"

#include <assert.h>

#define ISN_TICK_US 4 /* RFC 6528 3, RFC 9293 3.4.1 */

enum use { USE_ISN = 1, USE_TIMESTAMP, USE_PORT };

/* What is hashed: no padding, so that equal flows are equal bytes. */
struct message {
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	uint32_t use;
};

_Static_assert(sizeof(struct message) == 40, "hashed as bytes");

static uint64_t keyed(const struct lane_hash_key *key, enum use use, const struct lane_ip *local,
		      uint16_t local_port, const struct lane_ep *remote)
{
	struct message m = {
		.local_port = local_port,
		.remote_port = remote->port,
		.use = use,
	};

	memcpy(m.local, local->b, sizeof(m.local));
	memcpy(m.remote, remote->ip.b, sizeof(m.remote));
	return lane_siphash24(key, &m, sizeof(m));
}

uint32_t lane_isn(const struct lane_hash_key *key, const struct lane_ep *local,
		  const struct lane_ep *remote, uint64_t now_us)
{
	uint64_t f = keyed(key, USE_ISN, &local->ip, local->port, remote);

	return (uint32_t)(now_us / ISN_TICK_US) + (uint32_t)f;
}

uint32_t lane_ts_offset(const struct lane_hash_key *key, const struct lane_ep *local,
			const struct lane_ep *remote)
{
	return (uint32_t)keyed(key, USE_TIMESTAMP, &local->ip, local->port, remote);
}

uint32_t lane_port_offset(const struct lane_hash_key *key, const struct lane_ip *local,
			  const struct lane_ep *remote)
{
	return (uint32_t)keyed(key, USE_PORT, local, 0, remote);
}

uint16_t lane_port_pick(uint32_t offset, uint16_t min, uint16_t max, uint32_t n)
{
	uint32_t nr = (uint32_t)max - min + 1;

	assert(min <= max);
	/* Both reduced first: a sum that wraps at 2^32 would not step through the ports in turn. */
	return (uint16_t)(min + (offset % nr + n % nr) % nr);
}
