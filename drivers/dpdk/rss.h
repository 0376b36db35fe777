/*
 * rss.h - which queue a received packet comes by: Toeplitz, as NICs compute it
 */
#ifndef LANE_DRIVERS_DPDK_RSS_H
#define LANE_DRIVERS_DPDK_RSS_H

#include <lane/types.h>

#define LANE_RSS_KEY  64  /* bytes at most */
#define LANE_RSS_RETA 512 /* entries at most */

struct lane_rss {
	uint8_t key[LANE_RSS_KEY];
	uint16_t key_len;
	uint16_t reta_size; /* a power of two; 0: the choice is not known */
	uint8_t reta[LANE_RSS_RETA]; /* queues */
	bool tcp4, tcp6; /* ports are hashed too */
};

/* The hash over 'n' bytes of input; 'key' has at least n + 4 bytes. */
uint32_t lane_rss_toeplitz(const uint8_t *key, const uint8_t *in, unsigned int n);
/* The queue that TCP segments from 'remote' to 'local' come by. */
unsigned int lane_rss_queue(const struct lane_rss *r, const struct lane_ep *local, const struct lane_ep *remote);
/* Fills the key: 'len' bytes, the same for both directions of a flow. */
void lane_rss_set_key(struct lane_rss *r, uint16_t len);

#endif
