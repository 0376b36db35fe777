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
	uint32_t nr_sent;      /* and sent since it last looked for what the kernel gives back */
	uint32_t rx_off;       /* where the last frame began, behind what the fill ring said of it */
	struct lane_xdp_share *share; /* 'have' grows at bind, maybe after we mapped */
	bool partial_ok;
	int fd;
	int packet_fd; /* good while the share has LANE_XDP_F_SUPER */
};

extern const struct lane_driver lane_xdp_driver;

/* ---- wide.c: packets by the packet socket ---- */
int lane_xdp_wide_init(struct lane_xdp_wide *w);
/* Every piece that was noted has been sent and given back, as mostly: nothing waits. */
static inline bool lane_xdp_wide_is_idle(const struct lane_xdp_queue *q)
{
	const struct lane_xdp_wide *w = &q->share->wide;

	return __atomic_load_n(&w->head, __ATOMIC_ACQUIRE) == __atomic_load_n(&w->done, __ATOMIC_RELAXED);
}
/* Pieces that wait to be sent. */
uint32_t lane_xdp_wide_waiting(const struct lane_xdp_queue *q);
/* Until there are none, every packet of the interface goes this way. */
bool lane_xdp_wide_leads(const struct lane_xdp_queue *q);
uint32_t lane_xdp_wide_room(const struct lane_queue *lq); /* lane_driver.room */
/* Takes a packet, a chain or not. False: no room. */
bool lane_xdp_wide_put(struct lane_xdp_queue *q, struct lane_buf *b);
/* Gives back the frames of what was sent. */
void lane_xdp_wide_reap(struct lane_xdp_queue *q);
/* Sends what waits. Without the lane's lock. */
void lane_xdp_wide_kick(struct lane_xdp_queue *q);

/* Unmaps and frees; frames in the rings stay there for the other processes. */
void lane_xdp_queue_close(struct lane_queue *lq);

#endif
