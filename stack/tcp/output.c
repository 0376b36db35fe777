/*
 * output.c - what is sent when: RFC 9293 3.8.6, RFC 1122 4.2.3.4 (Nagle, in Minshall's form), RFC 6691
 *
 * Theory of operation. lane_tcp_output() runs once a turn for each pcb that wants it, in this order:
 * SYN; what is lost; new text as far as the peer's window, the congestion window and Nagle allow; FIN;
 * a probe; and an ACK if none of these carried it. Where a frame, the neighbour or room in the
 * transmit queue is missing, LANE_TT_RETRY calls again soon.
 */
#include "stack/tcp/plain.h"

/* A new connection waits so long for a neighbour that does not answer, as Linux with three probes. */
#define DEAD_NEIGHBOUR_MS 3000

static void retry_in(struct lane *ln, struct lane_tcp *pcb, uint32_t us)
{
	if (!lane_tcp_armed(pcb, LANE_TT_RETRY) ||
	    (int32_t)(lane_tcp_due_ms(ln, pcb, LANE_TT_RETRY) - lane_now_ms(ln)) > (int32_t)(us / 1000))
		lane_tcp_arm(ln, pcb, LANE_TT_RETRY, us);
}

static void retry_soon(struct lane *ln, struct lane_tcp *pcb)
{
	retry_in(ln, pcb, LANE_RETRY_US);
}

/* Cuts the frame 'b' (not with a driver) behind its first 'n' bytes of text. */
static bool split(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b, uint32_t n)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *c = lane_buf_alloc(&ln->bufs);

	if (!c)
		return false;
	c->text_off = c->off;
	c->text_len = b->text_len - n;
	memcpy(lane_buf_frame(&ln->bufs, c) + c->text_off,
	       lane_buf_frame(&ln->bufs, b) + b->text_off + n, c->text_len);
	c->seq = b->seq + n;
	c->flags |= LANE_BUF_SNDQ;
	c->tcp_flags = b->tcp_flags;
	c->snd_state = b->snd_state;
	c->nr_tx = b->nr_tx;
	c->tx_us = b->tx_us;
	c->first_tx_us = b->first_tx_us;
	c->user = b->user;
	c->rate_ack_us = b->rate_ack_us;
	c->rate_send_us = b->rate_send_us;
	c->rate_lost = b->rate_lost;
	c->rate_flight = b->rate_flight;
	c->next = b->next;
	b->next = lane_buf_index(&ln->bufs, c);
	b->text_len = n;
	b->tcp_flags &= (uint16_t)~LANE_WIRE_PSH;
	if (x->sndq_tail == lane_buf_index(&ln->bufs, b))
		x->sndq_tail = b->next;
	if (c->snd_state & LANE_SND_SACKED)
		x->rec.nr_sacked++;
	x->nr_sndq++;
	return true;
}

/* ---- retransmission ---- */

/* Sends a frame again, cut to the MSS if that has shrunk. */
static bool resend(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	if (b->text_len > pcb->snd_mss && !split(ln, pcb, b, pcb->snd_mss))
		return false;
	return lane_tcp_xmit(ln, pcb, b);
}

static bool resend_head(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);

	if (b && b->nr_tx) {
		if (!resend(ln, pcb, b))
			return false;
	} else if ((pcb->flags & LANE_TF_FIN_SENT) &&
		   !lane_tcp_xmit_ctl(ln, pcb, LANE_WIRE_FIN, x->snd_end)) {
		return false;
	}
	pcb->flags &= ~LANE_TF_RTX_HEAD;
	return true;
}

static bool retransmit(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b;

	if ((pcb->flags & LANE_TF_RTX_HEAD) && !resend_head(ln, pcb))
		return false;
	/* RFC 5682 2.1 2 b: new text first shows whether the time-out was spurious. */
	if ((x->rec.bits & LANE_RB_FRTO_NEW) && lane_seq_le(pcb->snd_nxt, x->recover))
		return true;
	while ((b = lane_tcp_next_lost(ln, pcb)) != NULL) {
		uint32_t out = lane_tcp_in_flight(ln, pcb);

		if ((out && out + b->text_len > x->cc.cwnd) || !lane_tcp_pace_may(ln, pcb))
			return true;
		if (!resend(ln, pcb, b))
			return false;
	}
	return true;
}

/* ---- new text ---- */

/* Is the last, short segment to wait for more, or for an ACK? */
static bool hold_short(struct lane *ln, struct lane_tcp *pcb, const struct lane_buf *b)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (b->next != LANE_NIL || b->text_len >= pcb->snd_mss || (pcb->flags & LANE_TF_WR_SHUT) ||
	    (pcb->flags & LANE_TF_URG_SND))
		return false;
	if (x->push)
		return false;
	if (lane_tcp_opts(ln, pcb)->cork || (pcb->flags & LANE_TF_MORE)) {
		if (!lane_tcp_armed(pcb, LANE_TT_CORK))
			lane_tcp_arm(ln, pcb, LANE_TT_CORK, LANE_CORK_US);
		return true;
	}
	/* Minshall: only another short segment in flight makes it wait. */
	return !lane_tcp_opts(ln, pcb)->nodelay && lane_seq_gt(x->snd_sml, pcb->snd_una);
}

/* How much of 'b' the peer's window takes now; 0: it has to wait. */
static uint32_t window_takes(const struct lane_tcp *pcb, const struct lane_buf *b)
{
	uint32_t edge = pcb->snd_una + pcb->snd_wnd;
	uint32_t n = lane_seq_gt(edge, b->seq) ? edge - b->seq : 0;
	uint32_t least = pcb->flags & LANE_TF_TS ? 36 : 48; /* with headers 68 bytes, as Linux */

	if (n >= b->text_len)
		return b->text_len;
	/* RFC 9293 3.8.6.2.1: a part is worth sending when it is half the largest window ever. */
	return n >= pcb->snd_max_wnd / 2 && n >= least ? n : 0;
}

/* Before the first text after a pause (RFC 5681 4.1). */
static void after_idle(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t idle_ms = lane_now_ms(ln) - pcb->last_tx_ms;

	lane_tcp_disarm(pcb, LANE_TT_RTX);
	if (lane_tcp_bytes_sent(pcb) && idle_ms && ln->st->cfg.slow_start_after_idle)
		lane_tcp_cc_idle(ln, pcb, (uint64_t)idle_ms * 1000);
}

enum send_result { SENT, HELD, WINDOW_FULL, CWND_FULL, PACED, NO_MEANS };

/* Sends a frame that never left. */
static bool xmit_new(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (ln->st->nr_txq > LANE_TXQ_HIGH || !lane_tcp_xmit(ln, pcb, b))
		return false;
	if (b->text_len < pcb->snd_mss)
		x->snd_sml = b->seq + b->text_len;
	x->snd_unsent = b->next;
	return true;
}

/* Sends the next frame that never left, if it may go. */
static enum send_result send_next(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t out = lane_tcp_in_flight(ln, pcb), n;

	if (hold_short(ln, pcb, b))
		return HELD;
	n = window_takes(pcb, b);
	if (n == 0)
		return WINDOW_FULL;
	if (n > pcb->snd_mss)
		n = pcb->snd_mss;
	if (out && out + n > x->cc.cwnd)
		return CWND_FULL;
	if (!lane_tcp_pace_may(ln, pcb))
		return PACED;
	if (n < b->text_len && !split(ln, pcb, b, n))
		return NO_MEANS;
	if (pcb->snd_nxt == pcb->snd_una)
		after_idle(ln, pcb);
	return xmit_new(ln, pcb, b) ? SENT : NO_MEANS;
}

static enum send_result send_new(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	enum send_result r = SENT;
	uint32_t before = pcb->snd_nxt;
	struct lane_buf *b;

	while (r == SENT && (b = lane_buf_at(&ln->bufs, x->snd_unsent)) != NULL)
		r = send_next(ln, pcb, b);
	x->push = 0;
	/* RFC 8985 7.2: the probe waits for what was sent last. */
	if (pcb->snd_nxt != before && lane_tcp_loss_quiet(ln, pcb))
		lane_tcp_disarm(pcb, LANE_TT_LOSS);
	if (r != HELD)
		lane_tcp_disarm(pcb, LANE_TT_CORK);
	if (r == CWND_FULL)
		pcb->flags |= LANE_TF_CWND_LIMITED;
	else if (r != NO_MEANS)
		pcb->flags &= ~LANE_TF_CWND_LIMITED;
	if (r == NO_MEANS)
		retry_soon(ln, pcb);
	return r;
}

/* RFC 8985 7.3: the tail loss probe is new text, whatever cwnd says, or the last segment again. */
static void send_probe(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->snd_unsent), *next;
	bool retrans = !b || b->text_len > pcb->snd_mss || window_takes(pcb, b) < b->text_len;
	bool sent;

	if (retrans) {
		b = lane_buf_at(&ln->bufs, x->sndq_head);
		while (b && (next = lane_buf_at(&ln->bufs, b->next)) != NULL && next->nr_tx)
			b = next;
	}
	if (b && b->nr_tx && b->text_len <= pcb->snd_mss)
		sent = lane_tcp_xmit(ln, pcb, b);
	else if (b && !retrans)
		sent = xmit_new(ln, pcb, b);
	else
		sent = false;
	x->rec.bits &= (uint8_t)~LANE_RB_TLP_DUE;
	if (sent)
		lane_tcp_tlp_sent(ln, pcb, retrans);
}

/* The window of congestion counts as segments, as Linux has it; nothing waits to be sent. */
static bool cwnd_takes_fin(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t lost = x->rec.lost > x->rec.retrans ? x->rec.lost - x->rec.retrans : 0;
	uint32_t gone = x->rec.nr_sacked + (lost + pcb->snd_mss - 1) / pcb->snd_mss;

	return x->nr_sndq <= gone || x->nr_sndq - gone < (x->cc.cwnd + pcb->snd_mss - 1) / pcb->snd_mss;
}

/* A FIN that could not ride on text: like text it waits for the peer's window, and for that of congestion as a segment.
 * Returns 'r', or what it waits for. */
static enum send_result send_fin(struct lane *ln, struct lane_tcp *pcb, enum send_result r)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (!lane_tcp_fin_due(pcb) || x->snd_unsent != LANE_NIL)
		return r;
	if (lane_seq_le(pcb->snd_una + pcb->snd_wnd, x->snd_end))
		return WINDOW_FULL;
	if (!cwnd_takes_fin(ln, pcb))
		return CWND_FULL;
	if (!lane_tcp_x_get_tx(ln, pcb))
		retry_in(ln, pcb, LANE_X_WAIT_US);
	else if (!lane_tcp_xmit_ctl(ln, pcb, LANE_WIRE_FIN, x->snd_end))
		retry_soon(ln, pcb);
	return r;
}

/* RFC 6298 5.1; RFC 9293 3.8.6.1: what cannot leave for the peer's window is probed for. */
static void arm_rtx(struct lane *ln, struct lane_tcp *pcb, enum send_result r)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (pcb->snd_una != pcb->snd_nxt || r == WINDOW_FULL) {
		if (!lane_tcp_armed(pcb, LANE_TT_RTX)) {
			x->start_ms = lane_now_ms(ln);
			lane_tcp_arm(ln, pcb, LANE_TT_RTX, pcb->rto.rto_us);
		}
		if (pcb->snd_una != pcb->snd_nxt)
			lane_tcp_tlp_arm(ln, pcb);
	} else {
		lane_tcp_disarm(pcb, LANE_TT_RTX);
		lane_tcp_disarm(pcb, LANE_TT_LOSS);
	}
}

static void output_text(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	enum send_result r = NO_MEANS;
	bool sent = retransmit(ln, pcb);

	if (sent) {
		r = send_new(ln, pcb);
		r = send_fin(ln, pcb, r);
		lane_tcp_cc_ran_dry(ln, pcb);
	}
	/* No new text could leave: a time-out is dealt with in the old way (RFC 5682 2.1 2 a). */
	if ((x->rec.bits & LANE_RB_FRTO_NEW) && lane_seq_le(pcb->snd_nxt, x->recover)) {
		x->rec.bits &= (uint8_t)~(LANE_RB_FRTO | LANE_RB_FRTO_NEW);
		sent = sent && retransmit(ln, pcb);
	}
	if (!sent)
		retry_soon(ln, pcb);
	if (x->rec.bits & LANE_RB_TLP_DUE)
		send_probe(ln, pcb);
	arm_rtx(ln, pcb, r);
}

static void output_syn(struct lane *ln, struct lane_tcp *pcb)
{
	if (!(pcb->flags & LANE_TF_SYN_DUE))
		return;
	if (!lane_tcp_xmit_syn(ln, pcb)) {
		retry_soon(ln, pcb);
		return;
	}
	pcb->flags &= ~LANE_TF_SYN_DUE;
	if (!lane_tcp_armed(pcb, LANE_TT_RTX)) /* there was no extension */
		lane_tcp_arm(ln, pcb, LANE_TT_RTX, pcb->rto.rto_us);
}

/* Can packets leave? Waits for a neighbour; only a new connection takes a dead one for an error. */
static bool path_ready(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t mtu = pcb->path.mtu;
	int r = lane_tcp_update_path(ln, pcb);

	if (r == 0) {
		if (pcb->path.mtu != mtu)
			lane_tcp_update_mss(ln, pcb);
		return true;
	}
	if (r == -EHOSTUNREACH && pcb->state == LANE_TCP_SYN_SENT) {
		if (lane_now_ms(ln) - x->start_ms < DEAD_NEIGHBOUR_MS)
			retry_soon(ln, pcb);
		else
			lane_tcp_fail(ln, pcb, EHOSTUNREACH);
		return false;
	}
	if (r == -EAGAIN)
		retry_soon(ln, pcb);
	else
		pcb->soft_err = (uint8_t)(r == -EXDEV ? ENETUNREACH : -r);
	/* The timers go on: RFC 1122 4.2.3.9. */
	if (pcb->x != LANE_NIL &&
	    (pcb->snd_una != pcb->snd_nxt || x->snd_unsent != LANE_NIL || lane_tcp_fin_due(pcb)))
		arm_rtx(ln, pcb, WINDOW_FULL);
	return false;
}

/* RFC 9293 3.8.6.2.1 (4): when it is the persist timer that fired, text leaves for a window however small. A shut
 * one is probed, and so is a peer that was silent (keepalive) while a cork or the pace holds the text: it would
 * leave without a timer. */
static bool send_window_probe(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, lane_tcp_x(ln, pcb)->snd_unsent);
	uint32_t edge = pcb->snd_una + pcb->snd_wnd, n;

	if (!b || lane_seq_le(edge, b->seq) || pcb->snd_una != pcb->snd_nxt ||
	    !lane_tcp_armed(pcb, LANE_TT_RTX))
		return lane_tcp_xmit_ctl(ln, pcb, 0, pcb->snd_una - 1);
	n = edge - b->seq;
	if (n > pcb->snd_mss)
		n = pcb->snd_mss;
	return (n >= b->text_len || split(ln, pcb, b, n)) && xmit_new(ln, pcb, b);
}

static bool has_hole(const struct lane *ln, const struct lane_tcp *pcb)
{
	return lane_tcp_x(ln, pcb)->ooo_head != LANE_NIL || (pcb->flags & LANE_TF_OOO_FIN);
}

void lane_tcp_output(struct lane *ln, struct lane_tcp *pcb)
{
	if (pcb->state == LANE_TCP_CLOSED || pcb->state == LANE_TCP_LISTEN ||
	    pcb->state == LANE_TCP_TIME_WAIT)
		return;
	if (lane_tcp_plain_out(ln, pcb))
		return;
	/* An ACK or a probe needs no extension. */
	if (pcb->x == LANE_NIL && ((pcb->flags & LANE_TF_SYN_DUE) || lane_tcp_fin_due(pcb)) &&
	    !lane_tcp_x_get_tx(ln, pcb))
		retry_in(ln, pcb, LANE_X_WAIT_US);
	if (!path_ready(ln, pcb))
		return;
	if (pcb->x != LANE_NIL)
		output_syn(ln, pcb);
	if (pcb->x != LANE_NIL && pcb->state != LANE_TCP_SYN_SENT &&
	    pcb->state != LANE_TCP_SYN_RECEIVED) {
		/* RFC 5681 2, 2018 4: with text it would be no duplicate, and may have no room for blocks. */
		if ((pcb->flags & LANE_TF_ACK_NOW) && has_hole(ln, pcb))
			lane_tcp_xmit_ctl(ln, pcb, 0, pcb->snd_nxt);
		output_text(ln, pcb);
	}
	if ((pcb->flags & LANE_TF_PROBE_DUE) && send_window_probe(ln, pcb))
		pcb->flags &= ~LANE_TF_PROBE_DUE;
	/* RFC 9293 3.10.7.3: SYN_SENT has nothing to acknowledge yet. */
	if ((pcb->flags & LANE_TF_ACK_NOW) && pcb->state != LANE_TCP_SYN_SENT)
		lane_tcp_xmit_ctl(ln, pcb, 0, pcb->snd_nxt);
}
