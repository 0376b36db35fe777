/*
 * pair.h - an in-memory cable between queues of two lanes in one process
 *
 * A sent frame stays the driver's (LANE_BUF_TX) until the other end receives a copy of it, so a
 * frame that is written while it is in the ring arrives damaged. Time is the test's.
 */
#ifndef LANE_DRIVERS_PAIR_H
#define LANE_DRIVERS_PAIR_H

#include <lane/driver.h>

struct lane_pair;

struct lane_pair_config {
	uint32_t ring_size; /* packets each way, a power of two; 0: 256 */
	uint32_t caps;      /* LANE_CAP_TX_CSUM: the cable takes unfinished checksums; LANE_CAP_TSO: and
			       super-segments, which arrive cut */
	bool partial;       /* and delivers them so, with LANE_BUF_PARTIAL_OK, as veth does */
	uint16_t piece;     /* received bytes in one frame (longer packets are chains); 0: a frame's
			       size */
	uint64_t delay_us;  /* on the way */
	const uint64_t *now_us; /* the clock; NULL: there is no delay */
	/* Sees each frame as it enters the cable at end 0 or 1; may be NULL. */
	void (*trace)(void *arg, unsigned int end, const uint8_t *frame, size_t len);
	void *arg;
};

/* Joins frames 'a' (end 0) with 'b' (end 1). Returns owned, NULL: out of memory. */
struct lane_pair *lane_pair_create(const struct lane_pair_config *cfg, struct lane_bufs *a,
				   struct lane_bufs *b);
struct lane_queue *lane_pair_queue(struct lane_pair *p, unsigned int end);
/* When the next packet arrives, in us on the clock; UINT64_MAX: none is under way. */
uint64_t lane_pair_next(const struct lane_pair *p);
/* Packets lost because the receiving end had no frame. */
uint64_t lane_pair_nr_lost(const struct lane_pair *p);
/* Frees it; the queues' frames went back by close(), or go now. NULL is ignored. */
void lane_pair_destroy(struct lane_pair *p);

#endif
