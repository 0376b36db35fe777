/*
 * input.c - the way in: a segment finds its connection and goes through RFC 9293 3.10.7 in order
 *
 * Theory of operation. lane_tcp_seg_in() takes a segment that burst.c has parsed, and looks up, in this order: a
 * connection, a half-open one, a TIME_WAIT record, a listener; what fits none is answered with RST. For a connection
 * the steps in_seq, in_rst, in_syn, in_ack, in_urg, in_text, in_fin run until one says why the segment
 * ends there, or that the connection does (seg->done). A step trims the segment so that the next need
 * not look again. A plain segment takes a short way instead (plain.h); in_fast() is the way of what is not plain for the
 * sake of its connection, or because it was merged: an established connection, the next
 * segment, nothing but ACK and text.
 *
 * The packet is the caller's as long as a drop is returned and pkt->b is set; text that was queued has
 * pkt->b NULL.
 */
#include "stack/tcp/plain.h"
#include "stack/tcp/synq.h"

/* RFC 7323 5.5: after 24 days without a segment ts_recent means nothing. */
#define TS_VALID_MS (24U * 24 * 3600 * 1000)

static bool is_ts_old(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_seg *seg)
{
	return lane_seq_lt(seg->ti.opts.tsval, pcb->ts_recent) &&
	       lane_now_ms(ln) - pcb->last_rx_ms <= TS_VALID_MS;
}

static bool paws_ok(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_seg *seg)
{
	if (!(pcb->flags & LANE_TF_TS) || !(seg->ti.opts.have & LANE_OPT_TS) ||
	    (seg->flags & LANE_WIRE_RST))
		return true;
	return !is_ts_old(ln, pcb, seg);
}

/* RFC 7323 4.3 (2); called for segments whose ACK can be. With an ACK that was overtaken the clock does not move, as
 * in Linux, where header prediction is an exception: in_fast(). */
static void take_ts(const struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg, bool overtaken)
{
	if ((pcb->flags & LANE_TF_TS) && (seg->ti.opts.have & LANE_OPT_TS) && !overtaken &&
	    !is_ts_old(ln, pcb, seg) && lane_seq_le(seg->ti.seq, lane_tcp_rcv_acked(ln, pcb)))
		pcb->ts_recent = seg->ti.opts.tsval;
}

/* RFC 2883 4.1: text that came before, all or its front. */
static void note_dup(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	uint32_t end = seg->seq + seg->len;

	if (lane_seq_gt(end, pcb->rcv_nxt))
		end = pcb->rcv_nxt;
	lane_tcp_note_dup(ln, pcb, seg->seq, end);
}

/* Not in the window at all: tell the peer where we are. */
static enum lane_drop outside(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	if (seg->flags & LANE_WIRE_RST)
		return LANE_DROP_TCP_SEQ;
	/* Two ends that disagree must not answer each other for ever; text is not endless. */
	if (seg->len) {
		note_dup(ln, pcb, seg);
		lane_tcp_ack_now(ln, pcb);
	} else {
		lane_tcp_challenge(ln, pcb);
	}
	return LANE_DROP_TCP_SEQ;
}

/* Cuts off what came before and what lies beyond the window. */
static void trim(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	uint32_t dup = pcb->rcv_nxt - seg->seq, end;

	if (lane_seq_lt(seg->seq, pcb->rcv_nxt)) {
		note_dup(ln, pcb, seg);
		if (dup > seg->len || (dup == seg->len && !(seg->flags & LANE_WIRE_FIN))) {
			/* All of it is old: our ACK was lost, or a probe. */
			lane_count_drop(ln, LANE_DROP_TCP_DUP);
			lane_tcp_ack_quick(pcb);
			seg->flags &= (uint8_t)~LANE_WIRE_FIN;
			dup = seg->len;
		}
		lane_tcp_ack_now(ln, pcb);
		seg->seq = pcb->rcv_nxt;
		seg->skip += dup;
		seg->len -= dup;
	}
	end = seg->seq + seg->len;
	if (seg->len && lane_seq_gt(end, pcb->rcv_adv)) {
		seg->len = lane_seq_lt(seg->seq, pcb->rcv_adv) ? pcb->rcv_adv - seg->seq : 0;
		seg->flags &= (uint8_t)~LANE_WIRE_FIN;
		lane_count_drop(ln, LANE_DROP_TCP_RCV_FULL);
		lane_tcp_ack_now(ln, pcb);
	}
}

/* The peer repeats its SYN, or answers our SYN of a simultaneous open. True: the segment goes on. */
static bool in_syn_again(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	if (seg->flags & LANE_WIRE_ACK) {
		seg->flags &= (uint8_t)~LANE_WIRE_SYN;
		seg->seq++;
		return true;
	}
	pcb->flags |= LANE_TF_SYN_DUE;
	lane_tcp_want_output(ln, pcb);
	return false;
}

/* Some peers reset what they have closed with the number of their FIN: as Linux, for macOS. */
static bool at_fin(const struct lane_tcp *pcb, uint32_t seq)
{
	return (pcb->flags & LANE_TF_PEER_FIN) && seq + 1 == pcb->rcv_nxt;
}

/* First: the sequence number; RFC 7323 5.3 before it. */
static enum lane_drop in_seq(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	uint32_t end;

	/* As Linux, before anything that would be answered. */
	if (!(seg->flags & (LANE_WIRE_ACK | LANE_WIRE_SYN | LANE_WIRE_RST)))
		return LANE_DROP_TCP_NO_ACK;
	if (!paws_ok(ln, pcb, seg)) {
		if (seg->len) {
			note_dup(ln, pcb, seg);
			lane_tcp_ack_now(ln, pcb);
		} else {
			lane_tcp_challenge(ln, pcb);
		}
		return LANE_DROP_TCP_PAWS;
	}
	if ((seg->flags & LANE_WIRE_SYN) && pcb->state == LANE_TCP_SYN_RECEIVED &&
	    seg->seq + 1 == pcb->rcv_nxt && !in_syn_again(ln, pcb, seg))
		return LANE_DROP_TCP_DUP;
	/* A SYN that comes now is never taken: in_syn challenges it (RFC 5961 4). */
	if (seg->flags & LANE_WIRE_SYN)
		return LANE_OK;
	end = seg->seq + seg->len + !!(seg->flags & LANE_WIRE_FIN);
	if (lane_seq_gt(seg->seq, pcb->rcv_adv) ||
	    (lane_seq_lt(end, pcb->rcv_nxt) && !((seg->flags & LANE_WIRE_RST) && at_fin(pcb, seg->seq))))
		return outside(ln, pcb, seg);
	if (!(seg->flags & LANE_WIRE_RST))
		trim(ln, pcb, seg);
	return LANE_OK;
}

/* What the program of a connection that was reset learns, as Linux has it. */
static int reset_error(const struct lane_tcp *pcb)
{
	switch (pcb->state) {
	case LANE_TCP_SYN_SENT:
		return ECONNREFUSED;
	case LANE_TCP_CLOSE_WAIT:
		return EPIPE;
	default:
		return ECONNRESET;
	}
}

/* The peer that resets at the end of what it sent does not know of our hole: as Linux does. */
static bool at_sack_end(const struct lane *ln, const struct lane_tcp *pcb, uint32_t seq)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (!(pcb->flags & LANE_TF_SACK))
		return false;
	/* A FIN that waits belongs to what was SACKed. */
	if ((pcb->flags & LANE_TF_OOO_FIN) &&
	    (x->ooo_head == LANE_NIL || lane_seq_ge(x->fin_seq, lane_tcp_ooo_end(ln, pcb))))
		return seq == x->fin_seq + 1;
	return x->ooo_head != LANE_NIL && lane_tcp_ooo_end(ln, pcb) == seq;
}

/* Second: RST, which must be exact (RFC 5961 3.2). */
static enum lane_drop in_rst(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	if (!(seg->flags & LANE_WIRE_RST))
		return LANE_OK;
	if (seg->seq != pcb->rcv_nxt && !at_sack_end(ln, pcb, seg->seq) && !at_fin(pcb, seg->seq)) {
		lane_tcp_challenge(ln, pcb);
		return LANE_DROP_TCP_RST_CHALLENGE;
	}
	ln->st->stats.tcp_resets_in++;
	seg->done = true;
	lane_tcp_fail(ln, pcb, reset_error(pcb));
	return LANE_OK;
}

/* Fourth: SYN in a synchronised state: RFC 5961 4.2. */
static enum lane_drop in_syn(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	if (!(seg->flags & LANE_WIRE_SYN))
		return LANE_OK;
	lane_tcp_challenge(ln, pcb);
	return LANE_DROP_TCP_SYN_CHALLENGE;
}

/* Our FIN is acknowledged. */
static void fin_acked(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	switch (pcb->state) {
	case LANE_TCP_FIN_WAIT_1:
		pcb->state = LANE_TCP_FIN_WAIT_2;
		lane_tcp_notify(ln, pcb, LANE_EV_DRAINED);
		if (!(pcb->flags & LANE_TF_ORPHAN))
			break;
		seg->done = !lane_tcp_linger2_start(ln, pcb);
		break;
	case LANE_TCP_CLOSING:
		lane_tcp_notify(ln, pcb, LANE_EV_DRAINED);
		seg->done = true;
		lane_tcp_time_wait(ln, pcb);
		break;
	case LANE_TCP_LAST_ACK:
		lane_tcp_notify(ln, pcb, LANE_EV_DRAINED);
		seg->done = true;
		lane_tcp_done(ln, pcb);
		break;
	default:
		break;
	}
}

/* Fifth: the ACK. */
static enum lane_drop in_ack(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	enum lane_drop r;

	if (pcb->state == LANE_TCP_SYN_RECEIVED) {
		if (lane_seq_le(seg->ack, pcb->snd_una) || lane_seq_gt(seg->ack, pcb->snd_nxt)) {
			lane_tcp_reply_rst(ln, seg);
			return LANE_DROP_TCP_ACK_INVALID;
		}
		lane_tcp_established(ln, pcb, seg);
	}
	r = lane_tcp_ack_in(ln, pcb, seg);
	if (r != LANE_OK)
		return r;
	take_ts(ln, pcb, seg, seg->ack != pcb->snd_una);
	if (lane_tcp_fin_acked(pcb))
		fin_acked(ln, pcb, seg);
	return LANE_OK;
}

/* Sixth: the urgent pointer. */
static enum lane_drop in_urg(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	if (seg->flags & LANE_WIRE_URG)
		lane_tcp_urg_in(ln, pcb, seg);
	return LANE_OK;
}

/* Nobody will read what came: RFC 9293 3.10.7.4 with RFC 1122 4.2.2.13, as Linux does. */
static bool unwanted(const struct lane_tcp *pcb)
{
	return (pcb->flags & LANE_TF_ORPHAN) ||
	       ((pcb->flags & LANE_TF_RD_SHUT) && (pcb->state == LANE_TCP_FIN_WAIT_1 ||
						   pcb->state == LANE_TCP_FIN_WAIT_2));
}

static enum lane_drop abort_on_text(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	lane_tcp_reply_rst(ln, seg);
	seg->done = true;
	lane_tcp_fail(ln, pcb, reset_error(pcb));
	return LANE_DROP_TCP_CLOSED;
}

/* Seventh: the text. */
static enum lane_drop in_text(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t end = seg->seq + seg->len;

	if (seg->len == 0)
		return LANE_OK;
	if (pcb->state != LANE_TCP_ESTABLISHED && pcb->state != LANE_TCP_FIN_WAIT_1 &&
	    pcb->state != LANE_TCP_FIN_WAIT_2)
		/* What begins before the peer's FIN and reaches beyond it contradicts it: as Linux. */
		return lane_seq_lt(seg->ti.seq, pcb->rcv_nxt) ? abort_on_text(ln, pcb, seg) :
								LANE_DROP_TCP_SECOND_FIN;
	if ((pcb->flags & LANE_TF_OOO_FIN) && lane_seq_gt(end, x->fin_seq)) {
		/* Text that is next is believed rather than a FIN behind a hole, which anybody may have sent. */
		lane_tcp_ack_now(ln, pcb);
		if (seg->seq != pcb->rcv_nxt)
			return LANE_DROP_TCP_SECOND_FIN;
		pcb->flags &= ~LANE_TF_OOO_FIN;
	}
	if (unwanted(pcb))
		return abort_on_text(ln, pcb, seg);
	/* Nothing lies behind a FIN that is next. */
	if ((seg->flags & LANE_WIRE_FIN) && seg->seq == pcb->rcv_nxt && x->ooo_head != LANE_NIL)
		lane_tcp_ooo_free(ln, pcb);
	return lane_tcp_text_in(ln, pcb, seg);
}

/* The peer's FIN is next. */
static void take_fin(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	/* What waits out of order lies behind it, and no sound peer sent that. */
	if (x->ooo_head != LANE_NIL)
		lane_count_drop(ln, LANE_DROP_TCP_SECOND_FIN);
	lane_tcp_ooo_free(ln, pcb);
	pcb->rcv_nxt++;
	pcb->flags |= LANE_TF_PEER_FIN;
	lane_tcp_ack_now(ln, pcb);
	lane_tcp_notify(ln, pcb, LANE_EV_EOF | LANE_EV_READABLE);
	switch (pcb->state) {
	case LANE_TCP_ESTABLISHED:
		pcb->state = LANE_TCP_CLOSE_WAIT;
		break;
	case LANE_TCP_FIN_WAIT_1: /* ours is unacked: in_ack stayed here */
		pcb->state = LANE_TCP_CLOSING;
		break;
	default: /* FIN_WAIT_2 */
		lane_tcp_xmit_ctl(ln, pcb, 0, pcb->snd_nxt);
		seg->done = true;
		lane_tcp_time_wait(ln, pcb);
	}
}

/* Eighth: the FIN bit. 'seg' is trimmed and its text is queued. */
static enum lane_drop in_fin(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t at = seg->seq + seg->len;

	if (pcb->state != LANE_TCP_ESTABLISHED && pcb->state != LANE_TCP_FIN_WAIT_1 &&
	    pcb->state != LANE_TCP_FIN_WAIT_2)
		return seg->flags & LANE_WIRE_FIN ? LANE_DROP_TCP_SECOND_FIN : LANE_OK;
	if (seg->flags & LANE_WIRE_FIN) {
		/* Behind a hole it waits for its turn. */
		if (!(pcb->flags & LANE_TF_OOO_FIN))
			x->fin_seq = at;
		pcb->flags |= LANE_TF_OOO_FIN;
		lane_tcp_ooo_fin(ln, pcb);
		if (at != pcb->rcv_nxt && unwanted(pcb))
			return abort_on_text(ln, pcb, seg); /* what fills the hole */
		if (at != pcb->rcv_nxt)
			lane_tcp_ack_now(ln, pcb);
	}
	if ((pcb->flags & LANE_TF_OOO_FIN) && x->fin_seq == pcb->rcv_nxt)
		take_fin(ln, pcb, seg);
	return LANE_OK;
}

/* Header prediction: true when the segment is the next, with nothing but ACK and text. */
static bool is_plain(const struct lane_tcp *pcb, const struct lane_seg *seg)
{
	return pcb->state == LANE_TCP_ESTABLISHED && seg->seq == pcb->rcv_nxt &&
	       (seg->flags & ~LANE_WIRE_PSH) == LANE_WIRE_ACK &&
	       !(pcb->flags & (LANE_TF_OOO_FIN | LANE_TF_ORPHAN)) &&
	       lane_seq_le(seg->seq + seg->len, pcb->rcv_adv);
}

/* What Linux predicts: as is_plain(), no other option than the timestamp, no hole, the window as it was. */
static bool is_predicted(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_seg *seg)
{
	return seg->ti.opts.have == LANE_OPT_TS && lane_tcp_x(ln, pcb)->ooo_head == LANE_NIL &&
	       seg->wnd << pcb->snd_wscale == pcb->snd_wnd;
}

static enum lane_drop in_fast(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	enum lane_drop r;

	r = lane_tcp_ack_in(ln, pcb, seg);
	if (r != LANE_OK)
		return r;
	take_ts(ln, pcb, seg, seg->ack != pcb->snd_una && !is_predicted(ln, pcb, seg));
	return seg->len ? lane_tcp_text_in(ln, pcb, seg) : LANE_OK;
}

static enum lane_drop in_steps(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	static enum lane_drop (*const step[])(struct lane *, struct lane_tcp *,
					      struct lane_seg *) = {
		in_seq, in_rst, in_syn, in_ack, in_urg, in_text, in_fin,
	};
	unsigned int i = 0;
	enum lane_drop r = LANE_OK;

	if (pcb->state == LANE_TCP_SYN_SENT) {
		/* It looks at SYN, RST and ACK itself. */
		r = lane_tcp_in_syn_sent(ln, pcb, seg);
		i = 4;
	}
	for (; r == LANE_OK && !seg->done && i < sizeof(step) / sizeof(step[0]); i++)
		r = step[i](ln, pcb, seg);
	return r;
}

/* What an idle connection takes without becoming anything else: ACKs and RSTs. */
static bool wants_x(const struct lane_tcp *pcb, const struct lane_seg *seg)
{
	return seg->len || (seg->flags & (LANE_WIRE_FIN | LANE_WIRE_URG)) ||
	       pcb->state < LANE_TCP_ESTABLISHED;
}

static enum lane_drop in_conn(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	enum lane_drop r;

	lane_tcp_work(ln, pcb);
	pcb->segs_in += seg->nr;
	if (wants_x(pcb, seg) && !lane_tcp_x_get(ln, pcb))
		return LANE_DROP_TCP_NO_X;
	pcb->path.queue = seg->pkt->b->queue;
	if (is_plain(pcb, seg) && paws_ok(ln, pcb, seg))
		r = in_fast(ln, pcb, seg);
	else
		r = in_steps(ln, pcb, seg);
	/* A dropped segment is no sign of life, but a duplicate's sender is there. */
	if (!seg->done && (r == LANE_OK || r == LANE_DROP_TCP_SEQ)) {
		pcb->last_rx_ms = lane_now_ms(ln);
		pcb->keep_probes = 0;
	}
	if (!seg->done)
		lane_tcp_rest(ln, pcb);
	return r;
}

/* No connection: a half-open one, a TIME_WAIT record, a listener, or nobody. '*pcb' becomes the one that
 * the segment opens. */
static enum lane_drop in_no_conn(struct lane *ln, struct lane_seg *seg, uint32_t hash,
				 const struct lane_ep *local, const struct lane_ep *remote,
				 struct lane_tcp **pcb)
{
	struct lane_syn *syn = lane_tcp_syn_find(ln, hash, local, remote);
	struct lane_tcp *l = NULL;
	struct lane_tw *tw;

	if (syn)
		return lane_tcp_syn_in(ln, syn, seg, pcb);
	tw = lane_tcp_tw_find(ln, hash, local, remote);
	if (tw) {
		enum lane_drop r = lane_tcp_tw_in(ln, tw, seg);

		/* LANE_OK: a SYN that may open the connection anew (RFC 6191). */
		if (r)
			return r;
	}
	if (!(seg->flags & LANE_WIRE_RST))
		l = lane_tcp_find_listener(ln, local, hash);
	if (l)
		return lane_tcp_listen_in(ln, l, seg, hash, pcb);
	if (seg->flags & LANE_WIRE_RST)
		return LANE_DROP_TCP_RST_IGNORED;
	lane_tcp_reply_rst(ln, seg);
	return LANE_DROP_TCP_NO_PORT;
}

/* What no TCP sends, and no step answers. SYN with FIN or RST goes on: a connection challenges it, or
 * is reset, as Linux does; a listener drops it. */
static bool bad_flags(uint8_t f)
{
	return !(f & (LANE_WIRE_SYN | LANE_WIRE_FIN | LANE_WIRE_RST | LANE_WIRE_ACK));
}

static struct lane_tcp *find(struct lane *ln, const struct lane_seg *seg, const struct lane_ep *local,
			     const struct lane_ep *remote)
{
	struct lane_tcp *pcb = lane_tcp_get(ln, seg->maybe);

	/* What was found before the segments in front of this one were processed may have ended. */
	if (pcb && (pcb->flags & LANE_TF_HASHED) && lane_tcp_is(ln, pcb, local, remote))
		return pcb;
	return lane_tcp_find(ln, seg->hash, local, remote);
}

/* The short way, of one frame that came with others (tcp/plain.h). */
static bool in_plain(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	const struct lane_plain s = {
		.seq = seg->seq,
		.ack = seg->ack,
		.len = seg->len,
		.hdrs = lane_seg_hdrs(seg),
		.wnd = seg->wnd,
		.tsval = seg->ti.opts.tsval,
		.tsecr = seg->ti.opts.tsecr,
		.push = seg->flags & LANE_WIRE_PSH,
	};

	if ((seg->flags & ~LANE_WIRE_PSH) != LANE_WIRE_ACK || seg->ti.opts.have != LANE_OPT_TS ||
	    seg->nr != 1 || (seg->pkt->b->flags & LANE_BUF_MORE) ||
	    !lane_tcp_plain_in(ln, pcb, &s, seg->pkt->b))
		return false;
	seg->pkt->b = NULL;
	return true;
}

enum lane_drop lane_tcp_seg_in(struct lane *ln, struct lane_seg *seg)
{
	struct lane_pkt *pkt = seg->pkt;
	struct lane_ep local, remote;
	struct lane_tcp *pcb;
	enum lane_drop r;

	if (bad_flags(seg->flags))
		return LANE_DROP_TCP_FLAGS;
	lane_seg_eps(seg, &local, &remote);
	pcb = find(ln, seg, &local, &remote);
	if (pcb && in_plain(ln, pcb, seg))
		return LANE_OK;
	r = pcb ? LANE_OK : in_no_conn(ln, seg, seg->hash, &local, &remote, &pcb);
	if (pcb)
		r = in_conn(ln, pcb, seg);
	ln->st->pcb_at_work = LANE_NIL;
	if (r == LANE_OK && pkt->b) {
		lane_buf_free_packet(&ln->bufs, pkt->b);
		pkt->b = NULL;
	}
	return r;
}
