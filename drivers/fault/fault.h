/*
 * fault.h - wraps a queue: what it receives is lost, doubled, late, out of order, damaged, cut or too long
 *
 * All by a seed, on the test's clock. Wrap both ends of a cable for faults in both directions.
 */
#ifndef LANE_DRIVERS_FAULT_H
#define LANE_DRIVERS_FAULT_H

#include <lane/driver.h>

struct lane_fault_config {
	uint64_t seed;
	uint32_t loss, dup, reorder, corrupt; /* parts per million of received packets */
	uint32_t mtu;  /* of a link on the way: larger packets are lost, and their sender hears of it; 0: none */
	bool mtu_hole; /* or hears nothing */
	uint32_t cut; /* cut into IP fragments, each of which then has its own fate */
	uint32_t delay_us;                    /* every packet */
	uint32_t jitter_us;                   /* and up to so much more, in order */
	uint32_t reorder_us;    /* a reordered packet: up to so much more, out of order */
	uint32_t burst;         /* a loss takes up to so many packets behind it along */
	uint32_t rate_kbps;     /* the link's, 0: none */
	uint32_t queue_bytes;   /* wait for it at most; what is beyond is lost (tail drop) */
	uint32_t mark;          /* parts per million of ECN-capable packets are marked CE */
	uint32_t mark_bytes;    /* all of them while more than so much waits for the link; 0: none */
	const uint64_t *now_us; /* the clock */
};

struct lane_fault_stats {
	uint64_t nr_seen, nr_lost, nr_dup, nr_reordered, nr_corrupted, nr_cut, nr_marked;
	uint64_t nr_overflow; /* lost because too many were on the way */
	uint64_t nr_too_big;	/* lost because of 'mtu' */
	uint64_t nr_queue_full; /* lost because too many waited for the link */
};

/* Wraps 'inner', which it closes with itself. 0 and *q, -ENOMEM. */
int lane_fault_open(const struct lane_fault_config *cfg, struct lane_queue *inner,
		    struct lane_queue **q);
/* Changes the faults from now on; the seed and the clock stay. */
void lane_fault_set(struct lane_queue *q, const struct lane_fault_config *cfg);
/* When the next packet is due, in us on the clock; UINT64_MAX: none is on its way here. */
uint64_t lane_fault_next(const struct lane_queue *q);
/* Bytes that wait for the link now. */
uint64_t lane_fault_waiting(const struct lane_queue *q);
const struct lane_fault_stats *lane_fault_stats(const struct lane_queue *q);

#endif
