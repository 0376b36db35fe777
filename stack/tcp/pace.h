/*
 * pace.h - connections that send at a rate: what they have besides their pcb, from a pool
 *
 * Theory of operation. A paced connection may send what its rate would have sent by now, and a quantum
 * more, so that at high rates several segments leave at once. When that is used up, its timer in the lane's fine wheel
 * (8 us) calls output again when the next quantum is due. Who comes late, because the program or the keeper looked
 * late, catches up at most two milliseconds. Other connections have none of this; where the pool is empty a
 * connection goes unpaced, with CUBIC in place of a control that needs it.
 */
#ifndef LANE_TCP_PACE_H
#define LANE_TCP_PACE_H

#include "stack/base/wheel.h"
#include "stack/tcp/cc.h"

#define LANE_PACE_TICK_US 8

struct lane_tcp_pace {
	uint32_t link;		/* free list */
	uint32_t owner;		/* index of the pcb */
	struct lane_timer timer; /* in st->pace_wheel */
	uint64_t next_ns;	/* what was sent is sent by then, at the rate */
	struct lane_cc_ext cc;
};

_Static_assert(sizeof(struct lane_tcp_pace) == 256, "four cache lines");

#endif
