/*
 * rcv.c - received text: trimming, the receive queue, the window that we advertise
 *
 * RFC 9293 3.8.6: the advertised right edge never moves left; it moves right by worthwhile steps only
 * (silly window avoidance of the receiver). What is advertised is what is enforced.
 */
#include "stack/tcp/pcb.h"

struct lane_buf *lane_tcp_trim(struct lane *ln, struct lane_buf *b, uint32_t skip, uint32_t keep)
{
	struct lane_bufs *bs = &ln->bufs;
	struct lane_buf *f, *rest;

	while (skip >= b->len && (b->flags & LANE_BUF_MORE)) {
		struct lane_buf *next = lane_buf_at(bs, b->next);

		skip -= b->len;
		b->flags &= (uint8_t)~LANE_BUF_MORE;
		lane_buf_free(bs, b);
		b = next;
	}
	b->off += skip;
	b->len -= skip;
	b->pkt_len = keep;
	for (f = b; f->len < keep; f = lane_buf_at(bs, f->next))
		keep -= f->len;
	f->len = keep;
	rest = f->flags & LANE_BUF_MORE ? lane_buf_at(bs, f->next) : NULL;
	f->flags &= (uint8_t)~LANE_BUF_MORE;
	f->next = LANE_NIL;
	b->user = lane_buf_index(bs, f);
	if (rest)
		lane_buf_free_packet(bs, rest);
	return b;
}

/* A small packet goes into the last frame's tail room: it would keep a whole frame otherwise. */
static bool collapse(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_bufs *bs = &ln->bufs;
	struct lane_buf *tail = lane_buf_at(bs, x->rcvq_tail);

	if (!tail || (b->flags & LANE_BUF_MORE) ||
	    (uint32_t)tail->off + tail->len + b->len > bs->size)
		return false;
	memcpy(lane_buf_data(bs, tail) + tail->len, lane_buf_data(bs, b), b->len);
	tail->len += b->len;
	lane_buf_free(bs, b);
	return true;
}

void lane_tcp_rcvq_append(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *tail = lane_buf_at(&ln->bufs, x->rcvq_tail);
	uint32_t len = b->pkt_len, last = b->user;

	if (!collapse(ln, pcb, b)) {
		if (tail)
			tail->next = lane_buf_index(&ln->bufs, b);
		else
			x->rcvq_head = lane_buf_index(&ln->bufs, b);
		x->rcvq_tail = last;
	}
	pcb->rcv_nxt += len;
	x->rcv_queued += len;
	x->rcv_used += len;
	pcb->bytes_received += len;
}

static bool has_too_much(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return lane_tcp_frames_scarce(ln) ||
	       (lane_tcp_frames_short(ln) && x->rcv_used > lane_tcp_fair_share(ln));
}

enum lane_drop lane_tcp_text_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_pkt *pkt = seg->pkt;
	uint32_t hdrs = lane_seg_hdrs(seg);
	enum lane_drop r;
	struct lane_buf *b;

	/* Who has not read what came before gets no more, though it is in the window: the driver's ring
	 * must not run dry, or nobody could come in any more. The peer sends it again. */
	if (x->rcv_queued && has_too_much(ln, pcb))
		return LANE_DROP_TCP_RCV_FULL;
	if (seg->seq != pcb->rcv_nxt && lane_tcp_frames_scarce(ln)) {
		lane_tcp_ack_now(ln, pcb);
		return LANE_DROP_TCP_OOO_FULL;
	}
	if (pcb->ecn & LANE_ECN_OK)
		lane_tcp_ecn_in(ln, pcb, seg);
	b = lane_tcp_trim(ln, pkt->b, hdrs + seg->skip, seg->len);
	pkt->b = NULL;
	if (seg->seq != pcb->rcv_nxt) {
		/* RFC 5681 4.2: a gap is told at once. */
		ln->st->stats.tcp_ooo++;
		lane_tcp_ack_quick(pcb);
		r = lane_tcp_ooo_insert(ln, pcb, b, seg->seq);
		lane_tcp_ack_now(ln, pcb);
		return r;
	}
	lane_tcp_rcvq_append(ln, pcb, b);
	if (lane_tcp_ooo_deliver(ln, pcb))
		lane_tcp_ack_now(ln, pcb);
	lane_tcp_ack_text(ln, pcb, seg->part);
	lane_tcp_notify(ln, pcb, LANE_EV_READABLE);
	return LANE_OK;
}

uint32_t lane_tcp_copied_seq(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return pcb->rcv_nxt - !!(pcb->flags & LANE_TF_PEER_FIN) - x->rcv_queued;
}

/* ---- the window ---- */

bool lane_tcp_frames_short(const struct lane *ln)
{
	return ln->st->bufs.nr_free < ln->st->bufs.nr / 4;
}

bool lane_tcp_frames_scarce(const struct lane *ln)
{
	return ln->st->bufs.nr_free < ln->st->bufs.nr / 8;
}

uint32_t lane_tcp_rcv_space(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t limit = pcb->rcv_limit, clamp = lane_tcp_opts(ln, pcb)->window_clamp;

	if (clamp && limit > clamp)
		limit = clamp;
	if (lane_tcp_frames_short(ln) && limit > 4 * pcb->rcv_mss)
		limit = 4 * pcb->rcv_mss;
	return limit > x->rcv_used ? limit - x->rcv_used : 0;
}

/* The least step by which the right edge moves (RFC 9293 3.8.6.2.2). */
static uint32_t min_step(const struct lane_tcp *pcb)
{
	return pcb->rcv_mss < pcb->rcv_limit / 2 ? pcb->rcv_mss : pcb->rcv_limit / 2;
}

static uint32_t told_window(const struct lane_tcp *pcb)
{
	return lane_seq_gt(pcb->rcv_adv, pcb->rcv_nxt) ? pcb->rcv_adv - pcb->rcv_nxt : 0;
}

uint16_t lane_tcp_select_window(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t told = told_window(pcb);
	uint32_t space = lane_tcp_rcv_space(ln, pcb);
	uint8_t shift = pcb->flags & LANE_TF_WSCALE ? pcb->rcv_wscale : 0;
	uint32_t field;

	if (space >= told + min_step(pcb) && (space >> shift) << shift >= told)
		field = space >> shift;
	else /* Rounded up: the edge must not move left. */
		field = (told + (1U << shift) - 1) >> shift;
	if (field > UINT16_MAX)
		field = UINT16_MAX;
	if (lane_seq_gt(pcb->rcv_nxt + (field << shift), pcb->rcv_adv))
		pcb->rcv_adv = pcb->rcv_nxt + (field << shift);
	return (uint16_t)field;
}

/* Grows the buffer to twice what the program took in one round trip. */
static void autotune(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t max = ln->st->cfg.tcp_rmem[2] / 2;
	uint32_t now = (uint32_t)ln->now_us, copied = lane_tcp_copied_seq(ln, pcb);
	uint32_t want;

	if ((pcb->flags & LANE_TF_RCVBUF_SET) || !ln->st->cfg.moderate_rcvbuf ||
	    now - x->tune_us < pcb->rto.srtt_us)
		return;
	want = 2 * (copied - x->tune_seq) + 16 * pcb->rcv_mss;
	if (want > max)
		want = max;
	if (want > pcb->rcv_limit && !lane_tcp_frames_short(ln))
		pcb->rcv_limit = want;
	x->tune_seq = copied;
	x->tune_us = now;
}

/* Tells the peer of space that came back: worth a packet when the window at least doubles. */
static void update_window(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t told = told_window(pcb), space = lane_tcp_rcv_space(ln, pcb);
	uint32_t most = (uint32_t)UINT16_MAX << (pcb->flags & LANE_TF_WSCALE ? pcb->rcv_wscale : 0);

	if (space > most)
		space = most;
	if ((pcb->flags & LANE_TF_HASHED) && told <= pcb->rcv_limit / 2 && space >= 2 * told &&
	    space >= told + min_step(pcb))
		lane_tcp_ack_now(ln, pcb);
}

uint32_t lane_tcp_rcv_lowat(struct lane *ln, struct lane_tcp *pcb, uint32_t bytes)
{
	bool fixed = pcb->flags & LANE_TF_RCVBUF_SET;
	struct lane_tcp_opts_set o = *lane_tcp_opts(ln, pcb);
	uint32_t most = (fixed ? o.rcvbuf : ln->st->cfg.tcp_rmem[2]) / 2;

	lane_tcp_work(ln, pcb);
	if (bytes > most)
		bytes = most;
	if (!fixed && o.rcvbuf / 2 < bytes) {
		o.rcvbuf = 2 * bytes;
		lane_tcp_opts_take(ln, pcb, &o);
	}
	if (!fixed && pcb->rcv_limit < bytes) {
		pcb->rcv_limit = bytes;
		update_window(ln, pcb);
	}
	return bytes ? bytes : 1;
}

void lane_tcp_received(struct lane *ln, struct lane_tcp *pcb, size_t bytes)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	lane_tcp_work(ln, pcb);
	if (pcb->x == LANE_NIL)
		return; /* nothing was in use */
	x->rcv_used -= bytes < x->rcv_used ? (uint32_t)bytes : x->rcv_used;
	if (!(pcb->flags & LANE_TF_HASHED) || (pcb->flags & LANE_TF_PEER_FIN))
		return;
	autotune(ln, pcb);
	update_window(ln, pcb);
}

/* ---- urgent data: RFC 6093; the pointer is read as BSD and Linux read it, as the last byte + 1 ---- */

void lane_tcp_urg_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_seg *seg)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	/* A pointer of 0 names the first byte, as in Linux. */
	uint32_t mark = seg->ti.seq + (seg->ti.urg ? seg->ti.urg - 1U : 0);

	if ((pcb->flags & LANE_TF_PEER_FIN) ||
	    lane_seq_lt(mark, lane_tcp_copied_seq(ln, pcb)) || lane_seq_lt(mark, pcb->rcv_nxt))
		return;
	if (x->urg_state != LANE_URG_NONE && lane_seq_le(mark, x->urg_seq))
		return;
	lane_tcp_skip_mark(ln, pcb);
	x->urg_seq = mark;
	x->urg_state = LANE_URG_AHEAD;
	lane_tcp_notify(ln, pcb, LANE_EV_URGENT);
}
