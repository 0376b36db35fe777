/*
 * cookie.c - SYN cookies: what they say and how they say it (see cookie.h)
 *
 * D. J. Bernstein's form: iss = H0(flow) + irs + 2^24 * period + (H1(flow, irs, period) + mss) mod 2^24, H0 and H1
 * keyed. So it grows with the peer's own number and with time, and who does not see our SYN-ACKs hits a
 * good one once in 2^29 tries: 2 periods with 4 sizes each.
 */
#include "stack/tcp/cookie.h"

#define LOW_BITS 24
#define LOW_MASK ((1U << LOW_BITS) - 1)

#define STAMP_BITS   6
#define STAMP_WSCALE 0x0fU
#define STAMP_SACK   0x10U
#define STAMP_ECN    0x20U

/* What peers say nearly always, as in Linux; what lies between is rounded down. */
static const uint16_t sizes4[] = {536, 1300, 1440, 1460};
static const uint16_t sizes6[] = {1220, 1420, 1440, 8940};

#define NR_SIZES 4U

/* What is hashed. Longer than the messages of isn.c: they never are the same. */
struct message {
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	uint32_t irs;	 /* H0: 0 */
	uint64_t period; /* H0: 0, H1: one more than it is */
};

_Static_assert(sizeof(struct message) == 48, "hashed as bytes");

static uint32_t keyed(const struct lane_hash_key *key, const struct lane_ep *local,
		      const struct lane_ep *remote, uint32_t irs, uint64_t period)
{
	struct message m = {
		.local_port = local->port,
		.remote_port = remote->port,
		.irs = irs,
		.period = period,
	};

	memcpy(m.local, local->ip.b, sizeof(m.local));
	memcpy(m.remote, remote->ip.b, sizeof(m.remote));
	return (uint32_t)lane_siphash24(key, &m, sizeof(m));
}

static const uint16_t *sizes_for(const struct lane_ep *remote)
{
	return lane_ip_is4(&remote->ip) ? sizes4 : sizes6;
}

uint32_t lane_cookie_make(const struct lane_hash_key *key, const struct lane_ep *local,
			  const struct lane_ep *remote, uint32_t irs, uint16_t *mss, uint64_t now_us)
{
	uint64_t period = now_us / LANE_COOKIE_PERIOD_US;
	const uint16_t *sizes = sizes_for(remote);
	uint32_t i = NR_SIZES - 1;

	while (i > 0 && *mss < sizes[i])
		i--;
	*mss = sizes[i];
	return keyed(key, local, remote, 0, 0) + irs + ((uint32_t)period << LOW_BITS) +
	       ((keyed(key, local, remote, irs, period + 1) + i) & LOW_MASK);
}

bool lane_cookie_check(const struct lane_hash_key *key, const struct lane_ep *local,
		       const struct lane_ep *remote, uint32_t irs, uint32_t iss, uint64_t now_us,
		       uint16_t *mss)
{
	uint32_t said = iss - irs - keyed(key, local, remote, 0, 0), i;
	uint64_t period = now_us / LANE_COOKIE_PERIOD_US;
	uint8_t age = (uint8_t)(period - (said >> LOW_BITS));

	if (age >= LANE_COOKIE_PERIODS || age > period)
		return false;
	i = (said - keyed(key, local, remote, irs, period - age + 1)) & LOW_MASK;
	if (i >= NR_SIZES)
		return false;
	*mss = sizes_for(remote)[i];
	return true;
}

bool lane_cookie_may_follow(const struct lane_hash_key *key, const struct lane_ep *local,
			    const struct lane_ep *remote, uint32_t seq, uint32_t iss,
			    uint64_t now_us)
{
	/* The period is all that does not hang on the peer's exact number; it may have borrowed one. */
	uint32_t said = iss - seq - keyed(key, local, remote, 0, 0);
	uint8_t age = (uint8_t)(now_us / LANE_COOKIE_PERIOD_US - (said >> LOW_BITS));

	return age <= LANE_COOKIE_PERIODS;
}

uint32_t lane_cookie_stamp(uint32_t now_ms, const struct lane_cookie_opts *o)
{
	uint32_t low = (o->wscale & STAMP_WSCALE) | (o->sack ? STAMP_SACK : 0) |
		       (o->ecn ? STAMP_ECN : 0);
	uint32_t stamp = (now_ms >> STAMP_BITS << STAMP_BITS) | low;

	/* What the connection sends later must not be older. */
	return (int32_t)(stamp - now_ms) > 0 ? stamp - (1U << STAMP_BITS) : stamp;
}

struct lane_cookie_opts lane_cookie_read_stamp(uint32_t stamp)
{
	return (struct lane_cookie_opts){
		.wscale = stamp & STAMP_WSCALE,
		.sack = stamp & STAMP_SACK,
		.ecn = stamp & STAMP_ECN,
	};
}
