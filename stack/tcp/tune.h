/*
 * tune.h - the receive buffer grows with what a round trip brings
 */
#ifndef LANE_TCP_TUNE_H
#define LANE_TCP_TUNE_H

#include "stack/tcp/pcb.h"

#define LANE_TUNE_US 1000 /* the shortest round that Linux sees */

/* Text bytes of a full segment of the peer's. */
uint16_t lane_tcp_peer_text(const struct lane *ln, const struct lane_tcp *pcb);
/* 'seg' with text comes in order: it may tell the round trip. */
void lane_tcp_tune_rtt(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_seg *seg);
/* The same, with timestamps: 'echo' came back with 'len' bytes, and is not the last one's. */
void lane_tcp_tune_echo(const struct lane *ln, const struct lane_tcp *pcb, uint32_t echo, uint32_t len);
/* A segment with our timestamp has left. */
static inline void lane_tcp_tune_told(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	uint16_t ms = (uint16_t)lane_now_ms(ln);

	if (x->tune_ms == ms || !(pcb->flags & LANE_TF_TS))
		return;
	x->tune_prior_us = (uint16_t)(x->tune_ms + 1) == ms ? x->tune_since_us : 0;
	x->tune_since_us = (uint32_t)ln->now_us;
	x->tune_ms = ms;
}
/* Text came, or was taken: the whole of the buffer may be offered, where the SYN's window was all until now. */
static inline void lane_tcp_tune_start(const struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t all = lane_tcp_opts(ln, pcb)->rcvbuf / 2;

	if (pcb->rcv_limit < all)
		pcb->rcv_limit = all;
}
/* A round trip as far as it is known, 0: it is not. */
static inline uint32_t lane_tcp_round_us(const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	return x->rcv_rtt_us ? x->rcv_rtt_us : pcb->rto.srtt_us;
}
/* So much text waits that the path is not what the program waits for. */
static inline bool lane_tcp_is_behind(const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	return x->rcv_used > 65536 || x->rcv_used > pcb->rcv_limit / 8;
}
/* The program has taken text, and a round trip is over: the receive buffer may grow, or shrink. */
void lane_tcp_tune_round(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x);
/* The program has taken text. */
static inline void lane_tcp_tune(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	uint32_t us = (uint32_t)ln->now_us - x->tune_us;

	if (!lane_tcp_is_behind(pcb, x)) {
		x->tune_drained = 1;
		x->tune_drained_ms = (uint16_t)lane_now_ms(ln);
	}
	if (us >= lane_tcp_round_us(pcb, x) &&
	    (us >= LANE_TUNE_US || pcb->rcv_limit > ln->st->cfg.rcv_large))
		lane_tcp_tune_round(ln, pcb, x);
}
/* The most bytes that it took in a round, half the buffer at most when that has shrunk (tcpi_rcv_space). */
uint32_t lane_tcp_tune_space(const struct lane *ln, const struct lane_tcp *pcb);

#endif
