/*
 * congest.h - congestion: how TCP's other parts call ECN (ecn.c), the control (feed.c) and pacing (pace.c)
 *
 * A part of pcb.h, which includes it.
 */
#ifndef LANE_TCP_CONGEST_H
#define LANE_TCP_CONGEST_H

#include <lane/buf.h>

struct lane;
struct lane_tcp;
struct lane_tcp_x;
struct lane_seg;
struct lane_acked;

/* ---- ecn.c: RFC 3168 ---- */
/* A SYN leaves, or the SYN-ACK that is an 'answer': as lane_tcp_ecn_out(). */
uint8_t lane_tcp_ecn_syn(struct lane *ln, struct lane_tcp *pcb, bool answer, uint8_t *flags);
/* A SYN asks for ECN, and the listener 'l' (or the pcb of a simultaneous open) accepts that. */
bool lane_tcp_ecn_wanted(const struct lane *ln, const struct lane_tcp *l, const struct lane_seg *seg);
/* The SYN-ACK of listener 'l' that says so leaves: as lane_tcp_ecn_out(). */
uint8_t lane_tcp_ecn_synack(const struct lane *ln, const struct lane_tcp *l, uint8_t *flags);
/* What the peer's SYN or SYN-ACK says of ECN. */
void lane_tcp_ecn_take_syn(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg);
/* A SYN was answered by RST. True: it asked for ECN, and goes again without. */
bool lane_tcp_ecn_refused(struct lane *ln, struct lane_tcp *pcb);
/* A segment leaves: adds to its TCP flags; returns its ECN field. */
uint8_t lane_tcp_ecn_out(struct lane *ln, struct lane_tcp *pcb, bool new_text, uint8_t *flags);
/* The window was reduced, for whatever reason. */
void lane_tcp_ecn_reduced(struct lane_tcp *pcb);
/* Text comes in. Only with LANE_ECN_OK. */
void lane_tcp_ecn_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg);

/* ---- pace.c ---- */
/* What 'pcb' has for pacing, or NULL. */
struct lane_tcp_pace *lane_tcp_pace(const struct lane *ln, const struct lane_tcp *pcb);
/* Takes it from the pool, or gives it back, as the options now want it. */
void lane_tcp_pace_fit(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_pace_put(struct lane *ln, struct lane_tcp *pcb);
/* Bytes a second; 0: not paced. */
uint64_t lane_tcp_pace_rate(const struct lane *ln, const struct lane_tcp *pcb);
/* May a segment leave now? Else output is called when it may. */
bool lane_tcp_pace_may(struct lane *ln, struct lane_tcp *pcb);
/* One with so much text leaves, and is not booked yet. */
void lane_tcp_pace_sent(struct lane *ln, struct lane_tcp *pcb, uint32_t bytes);
void lane_tcp_pace_timers(struct lane *ln);
void lane_tcp_pace_init(struct lane *ln);
void lane_tcp_pace_recover(struct lane *ln);
void lane_tcp_pace_check(const struct lane *ln);

/* ---- feed.c: all that the congestion control is told ---- */
void lane_tcp_cc_init(struct lane *ln, struct lane_tcp *pcb);
/* opts.cc has changed while the connection stands. */
void lane_tcp_cc_change(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_cc_ack(struct lane *ln, struct lane_tcp *pcb, const struct lane_acked *a);
/* The same of a plain segment's ACK (plain.h): what came of nothing but the time is told in short. */
void lane_tcp_cc_ack_plain(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x, const struct lane_acked *a);
/* The peer echoes congestion for the first time in this round trip; 'flight' bytes were on their way. */
void lane_tcp_cc_echo(struct lane *ln, struct lane_tcp *pcb, uint32_t flight);
/* Recovery begins; 'flight' bytes were sent and not acknowledged. */
void lane_tcp_cc_loss(struct lane *ln, struct lane_tcp *pcb, uint32_t flight);
void lane_tcp_cc_rto(struct lane *ln, struct lane_tcp *pcb, bool first);
void lane_tcp_cc_recovered(struct lane *ln, struct lane_tcp *pcb);
void lane_tcp_cc_idle(struct lane *ln, struct lane_tcp *pcb, uint64_t idle_us);
void lane_tcp_cc_undo(struct lane *ln, struct lane_tcp *pcb);
/* 'b' leaves, and is not booked yet. */
void lane_tcp_cc_sent(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b);
/* PRR moves the window in recovery, not the control. */
bool lane_tcp_cc_wants_prr(const struct lane *ln, const struct lane_tcp *pcb);
/* All that could leave has. */
void lane_tcp_cc_ran_dry(struct lane *ln, struct lane_tcp *pcb);

#endif
