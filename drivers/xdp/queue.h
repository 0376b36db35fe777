/*
 * queue.h - one process' view of one XSK: its rings and the claims
 */
#ifndef LANE_DRIVERS_XDP_QUEUE_H
#define LANE_DRIVERS_XDP_QUEUE_H

#include <lane/driver.h>

#include "claims.h"
#include "xdp.h"

/* A ring shared with the kernel and with other processes. Nothing of it is remembered between
 * bursts: whoever polled last has moved the positions. */
struct lane_xdp_view {
	uint32_t *producer, *consumer, *flags;
	void *desc;
	uint32_t size; /* a power of two */
	void *map;
	size_t map_len;
};

struct lane_xdp_queue {
	struct lane_queue q; /* first */
	struct lane_xdp_view rx, tx, fill, comp;
	struct lane_xdp_claims *claims;
	size_t claims_size;
	uint64_t *rx_position; /* in the share: the keeper compares */
	uint32_t *unkicked;    /* in the share: q.nr_unkicked for all processes */
	uint32_t reserve;      /* frames of the pool that the fill ring must leave for sending */
	uint32_t fill_max;     /* frames in the fill ring at most */
	uint32_t nr_taken;     /* frames received by this process since it last refilled */
	const struct lane_xdp_share *share; /* 'have' grows at bind, maybe after we mapped */
	bool partial_ok;
	int fd;
};

extern const struct lane_driver lane_xdp_driver;

/* Unmaps and frees; frames in the rings stay there for the other processes. */
void lane_xdp_queue_close(struct lane_queue *lq);

#endif
