/*
 * timewait.h - a TIME_WAIT record, as timewait.c, check.c and recover.c see it
 */
#ifndef LANE_TCP_TIMEWAIT_H
#define LANE_TCP_TIMEWAIT_H

#include "stack/tcp/pcb.h"

struct lane_tw {
	uint32_t link; /* free list; next in st->tw_order */
	uint32_t prev;
	struct lane_ip local_ip, remote_ip;
	uint16_t local_port;
	uint16_t remote_port; /* 0: the record is free */
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent;
	uint32_t end_ms : 31; /* mod 2^31 */
	uint32_t ts_ok : 1;
	uint16_t wnd; /* what our last ACK offered, as on the wire */
};

_Static_assert(sizeof(struct lane_tw) == 64, "one cache line a record");

#endif
