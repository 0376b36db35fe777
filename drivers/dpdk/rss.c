/*
 * rss.c - which queue a received packet comes by (see rss.h)
 */
#include "rss.h"

#include <assert.h>

/* 16 bits again and again: source and destination may change places and the hash stays. */
#define KEY_HIGH 0x6d
#define KEY_LOW	 0x5a

uint32_t lane_rss_toeplitz(const uint8_t *key, const uint8_t *in, unsigned int n)
{
	uint32_t window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
	uint32_t hash = 0;

	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			if (in[i] & (0x80U >> bit))
				hash ^= window;
			window = window << 1 | ((key[i + 4] >> (7 - bit)) & 1U);
		}
	}
	return hash;
}

void lane_rss_set_key(struct lane_rss *r, uint16_t len)
{
	assert(len <= LANE_RSS_KEY);
	r->key_len = len;
	for (uint16_t i = 0; i < len; i++)
		r->key[i] = i & 1 ? KEY_LOW : KEY_HIGH;
}

/* A port is hashed in network order. */
static unsigned int put_port(uint8_t *at, uint16_t port)
{
	at[0] = (uint8_t)(port >> 8);
	at[1] = (uint8_t)port;
	return 2;
}

unsigned int lane_rss_queue(const struct lane_rss *r, const struct lane_ep *local, const struct lane_ep *remote)
{
	bool is4 = lane_ip_is4(&local->ip), ports = is4 ? r->tcp4 : r->tcp6;
	unsigned int skip = is4 ? 12 : 0, n = 0;
	uint8_t in[36];

	if (r->reta_size == 0)
		return 0;
	memcpy(in + n, remote->ip.b + skip, 16 - skip);
	n += 16 - skip;
	memcpy(in + n, local->ip.b + skip, 16 - skip);
	n += 16 - skip;
	if (ports) {
		n += put_port(in + n, remote->port);
		n += put_port(in + n, local->port);
	}
	return r->reta[lane_rss_toeplitz(r->key, in, n) & (r->reta_size - 1U)];
}
