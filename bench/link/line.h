/*
 * line.h - one direction of an emulated link: what happens to each frame, and when it comes out
 *
 * Order: loss, the queue in front of the rate (drop-tail, ECN marks), the rate, corruption,
 * duplication, delay, reordering. The n-th TCP or UDP frame of a direction has always the same fate
 * for one seed, and at a given rate what the queue does depends only on when frames arrive. ARP and
 * neighbour discovery are never harmed and draw no numbers: their time-outs would hide what is
 * measured.
 */
#ifndef LANE_BENCH_LINE_H
#define LANE_BENCH_LINE_H

#include <stdbool.h>
#include <stdint.h>

struct line_config {
	uint64_t rate_bps;                  /* 0: no limit */
	uint64_t delay_ns;                  /* one way */
	uint64_t hold_ns;                   /* how much later a reordered frame comes */
	double loss, reorder, dup, corrupt; /* probabilities, 0..1 */
	uint64_t queue_bytes;               /* 0: no limit */
	uint32_t queue_frames;              /* 0: no limit */
	uint64_t ecn_bytes;                 /* mark what can be marked behind so much; 0: never */
};

struct line_frame {
	uint64_t at_ns; /* comes out */
	uint64_t order; /* among frames of one time */
	uint32_t len;
	uint8_t bytes[];
};

#define LINE_LATE 24 /* powers of two of microseconds */

struct line_stats {
	uint64_t in, in_bytes, out, out_bytes;
	uint64_t lost, queue_drops, reordered, duplicated, corrupted, marked, too_big, send_failed;
	uint64_t late[LINE_LATE]; /* frames that left [2^(i-1), 2^i) us after their time */
	uint64_t late_max_ns, queue_max_bytes;
};

struct line {
	struct line_config cfg;
	uint64_t rng;
	uint64_t busy_until_ns; /* the rate has sent all that waits */
	uint64_t *departs_ns;   /* of the frames that wait for the rate: a ring */
	uint32_t dep_head, dep_tail;
	struct line_frame **heap;
	uint32_t nr, room;
	uint64_t next_order;
	struct line_stats stats;
};

/* Returns 0 or -ENOMEM. */
int line_init(struct line *l, const struct line_config *cfg, uint64_t seed);
void line_fini(struct line *l);

/* A frame comes in; **borrows** it. */
void line_in(struct line *l, const uint8_t *bytes, uint32_t len, uint64_t now_ns);

/* The next frame whose time has come, **returns owned** (free()); NULL: none yet. */
struct line_frame *line_out(struct line *l, uint64_t now_ns);

/* When the next frame comes out; UINT64_MAX: there is none. */
uint64_t line_next_ns(const struct line *l);

/* Says that a frame of line_out() was sent (or not). */
void line_sent(struct line *l, const struct line_frame *f, bool ok, uint64_t now_ns);

#endif
