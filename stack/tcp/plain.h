/*
 * plain.h - the short way of a plain segment, in and out
 *
 * Theory of operation (Van Jacobson's header prediction; decision 0018). Most segments of a busy connection say nothing but
 * "here is the next text, and yours has arrived", on a connection with nothing lost, held or closed.
 * For these one predicate is asked, from fields that the path reads anyway, and straight code does what the RFC's
 * steps would have done. There is no state of its own: the predicate is computed each time, so that it
 * cannot be out of date, and a segment that is not plain has changed nothing and goes the long way.
 *
 * The program's side is the same: a small text on a connection with nothing queued, and a read of all that is queued in
 * one frame, have short ways of their own (write.c, read.c).
 *
 * Both ways must be the same for peers and in memory, bit for bit: tests/sim/differ.c runs each seed both ways (ln->no_plain)
 * and compares frames and the lane's memory. So whoever changes ack.c, rcv.c, output.c or segment.c changes this too.
 */
#ifndef LANE_TCP_PLAIN_H
#define LANE_TCP_PLAIN_H

#include "stack/tcp/pcb.h"

/* A segment with ACK, maybe PSH, a timestamp and no other flag or option, that is one frame. */
struct lane_plain {
	uint32_t seq, ack;
	uint32_t len;  /* bytes of text */
	uint32_t hdrs; /* bytes in front of it, from the start of the data */
	uint32_t wnd;  /* unscaled */
	uint32_t tsval, tsecr;
	bool push;
};

/* Takes a segment of 'pcb' if it is plain; then 'b' is consumed. Else nothing has changed. */
bool lane_tcp_plain_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_plain *s, struct lane_buf *b);
/* Sends the only segment that waits, or finds that none does, if it and the connection are plain. Else nothing has
 * changed. */
bool lane_tcp_plain_out(struct lane *ln, struct lane_tcp *pcb);

/* Nothing is lost, SACKed, sent again, probed for, out of order, urgent, retried or pushed. */
static inline bool lane_tcp_plain_x(const struct lane_tcp_x *x)
{
	const struct lane_tcp_rec *r = &x->rec;

	return (x->ca_state | x->retries | x->push | x->urg_state | r->nr_sacked |
		(r->bits & (LANE_RB_TLP | LANE_RB_TLP_DUE | LANE_RB_FRTO_NEW))) == 0 &&
	       (r->sacked | r->lost | r->retrans) == 0 &&
	       (x->rtx_frame & x->ooo_head) == LANE_NIL;
}

#endif
