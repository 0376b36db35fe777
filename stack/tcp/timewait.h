/*
 * timewait.h - a TIME_WAIT record, as timewait.c, check.c and recover.c see it
 */
#ifndef LANE_TCP_TIMEWAIT_H
#define LANE_TCP_TIMEWAIT_H

#include "stack/tcp/pcb.h"

struct lane_tw {
	uint32_t link; /* free list; next in st->tw_order */
	uint32_t prev;
	uint32_t local_w, remote_w; /* the last words of the addresses, as in the pcb */
	uint16_t local_port;
	uint16_t remote_port; /* 0: the record is free */
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent;
	uint32_t end_ms : 31; /* mod 2^31 */
	uint32_t ts_ok : 1;
	uint16_t wnd; /* what our last ACK offered, as on the wire */
	uint8_t v6;   /* its struct lane_tcp_ip6 is good */
};

_Static_assert(sizeof(struct lane_tw) <= 48, "goal of docs/tcp.md");

#endif
