/*
 * rcv.c - received text: trimming, the receive queue, the window that we advertise
 *
 * RFC 9293 3.8.6: the advertised right edge never moves left; it moves right by worthwhile steps only
 * (silly window avoidance of the receiver). What is advertised is what is enforced.
 *
 * Promises. A window is a promise of frames. Connections that read what comes are not counted: most
 * are idle. Those with unread text are, by what they were last told (st->rcv_promised); others are
 * then promised only what is left, and a base that an eighth of the frames is for. So the frames last
 * for what was told, and the peers of those who do not read see a window that closes in time.
 */
#include "stack/tcp/tune.h"

#define FRAME_TEXT 1024 /* bytes of text that a frame holds at least, taken together */

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
	uint32_t len = b->pkt_len;

	if (!collapse(ln, pcb, b)) {
		uint32_t last = b->user;

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

enum lane_drop lane_tcp_text_in(struct lane *ln, struct lane_tcp *pcb, struct lane_seg *seg)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_pkt *pkt = seg->pkt;
	uint32_t hdrs = lane_seg_hdrs(seg);
	enum lane_drop r;
	struct lane_buf *b;

	/* More was promised than there is after all: who has not read what came before gets no more. The
	 * driver's ring must not run dry, or nobody could come in. The peer sends it again. */
	if (x->rcv_queued && lane_tcp_frames_scarce(ln))
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
		ln->st->stats.tcp_ooo += seg->nr;
		lane_tcp_ack_quick(pcb);
		lane_tcp_tune_start(ln, pcb);
		r = lane_tcp_ooo_insert(ln, pcb, b, seg->seq);
		lane_tcp_ack_now(ln, pcb);
		return r;
	}
	lane_tcp_tune_rtt(ln, pcb, seg);
	lane_tcp_rcvq_append(ln, pcb, b);
	if (lane_tcp_ooo_deliver(ln, pcb))
		lane_tcp_ack_now(ln, pcb);
	lane_tcp_ack_text(ln, pcb, seg->part, seg->flags & LANE_WIRE_PSH);
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

/* Each connection's part of an eighth of the frames: of what lies between short and scarce. */
static uint32_t part_of_eighth(const struct lane *ln, uint32_t times)
{
	uint64_t all = (uint64_t)ln->st->bufs.nr * FRAME_TEXT / 8;
	uint32_t n = (ln->st->tcp_pool.nr_used + 1) * times;

	return (uint64_t)n * LANE_BASE_WND <= all ? LANE_BASE_WND : (uint32_t)(all / n);
}

/* Whoever it is may be told so much. */
static uint32_t base_promise(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint32_t part = part_of_eighth(ln, 1), least = 2 * pcb->rcv_mss;

	return part > least ? part : least;
}

/* Half of what frames hold until they are short and was promised to nobody else; 'own': KB promised to who asks. */
static uint64_t unclaimed(const struct lane *ln, uint32_t own)
{
	const struct lane_buf_pool *p = &ln->st->bufs;
	uint64_t spare = p->nr_free > p->nr / 4 ? (uint64_t)(p->nr_free - p->nr / 4) * FRAME_TEXT : 0;
	uint64_t others = (ln->st->rcv_promised - own) * 1024;

	return spare > others ? (spare - others) / 2 : 0;
}

/* What a SYN offers at most: what the first ACK would, or the base of as many connections, in steps. */
static const uint32_t start_most[LANE_START_LEVELS] = {UINT16_MAX, LANE_BASE_WND, LANE_BASE_WND / 2, LANE_BASE_WND / 4};

uint8_t lane_tcp_start_level(const struct lane *ln, uint32_t times)
{
	uint32_t part = part_of_eighth(ln, times);
	uint8_t level = 1;

	if (part >= LANE_BASE_WND && unclaimed(ln, 0) >= start_most[0])
		return 0;
	while (level + 1 < LANE_START_LEVELS && start_most[level] > part)
		level++;
	return level;
}

uint32_t lane_tcp_start_wnd(const struct lane *ln, const struct lane_tcp *pcb, uint8_t level, uint32_t mss)
{
	const struct lane_tcp_opts_set *o = lane_tcp_opts(ln, pcb);
	uint32_t most = start_most[level % LANE_START_LEVELS], wnd = o->rcvbuf / 2;

	if (o->window_clamp && wnd > o->window_clamp)
		wnd = o->window_clamp;
	if (mss && wnd > mss)
		wnd -= wnd % mss;
	return wnd < most ? wnd : most;
}

void lane_tcp_offer_start(const struct lane *ln, struct lane_tcp *pcb, uint8_t level, uint32_t mss)
{
	uint32_t wnd = lane_tcp_start_wnd(ln, pcb, level, mss);

	pcb->rcv_adv = pcb->rcv_nxt + wnd;
	/* Linux' rcv_ssthresh: more is told when text comes (lane_tcp_tune_start()). */
	pcb->rcv_limit = level ? lane_tcp_opts(ln, pcb)->rcvbuf / 2 : wnd;
}

uint32_t lane_tcp_rcv_space(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t limit = pcb->rcv_limit, clamp = lane_tcp_opts(ln, pcb)->window_clamp, space;
	uint64_t most = unclaimed(ln, x->rcv_promise);

	if (clamp && limit > clamp)
		limit = clamp;
	if (lane_tcp_frames_short(ln) && limit > base_promise(ln, pcb))
		limit = base_promise(ln, pcb);
	space = limit > x->rcv_used ? limit - x->rcv_used : 0;
	/* The base, too, may be told; it takes a division. */
	if (space > most)
		most += base_promise(ln, pcb);
	return space < most ? space : (uint32_t)most;
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

/* Books what the peer was told, while there is text that the program has not read. */
static void count_promise(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t kb;

	if (x->rcv_queued == 0) {
		lane_tcp_forget_promise(ln, pcb);
		return;
	}
	kb = (told_window(pcb) + 1023) / 1024;
	ln->st->rcv_promised += kb;
	ln->st->rcv_promised -= x->rcv_promise;
	x->rcv_promise = kb;
}

void lane_tcp_forget_promise(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->rcv_promise == 0)
		return; /* it may be that of all who have none: not to be written */
	ln->st->rcv_promised -= x->rcv_promise;
	x->rcv_promise = 0;
}

/* The window is to be 'field', in units of the scale. */
static uint16_t tell_window(struct lane *ln, struct lane_tcp *pcb, uint32_t field, uint8_t shift)
{
	if (field > UINT16_MAX)
		field = UINT16_MAX;
	if (lane_seq_gt(pcb->rcv_nxt + (field << shift), pcb->rcv_adv))
		pcb->rcv_adv = pcb->rcv_nxt + (field << shift);
	count_promise(ln, pcb);
	return (uint16_t)field;
}

/* The same window as was told; rounded up: the edge must not move left. But where segments are shorter than a unit of the
 * scale it would go right with each: when it is an eighth beyond the buffer, it is rounded down (RFC 7323 2.4). */
static uint16_t tell_again(struct lane *ln, struct lane_tcp *pcb, uint32_t told, uint8_t shift)
{
	uint32_t field = told >> shift;

	if (field << shift != told &&
	    lane_tcp_x(ln, pcb)->rcv_used + (field << shift) <= pcb->rcv_limit + pcb->rcv_limit / 8)
		field++;
	return tell_window(ln, pcb, field, shift);
}

/* It may move by a step. Apart, as it is seldom asked for and the rest calls nothing. */
__attribute__((noinline)) static uint16_t tell_more(struct lane *ln, struct lane_tcp *pcb, uint32_t told,
						    uint8_t shift)
{
	uint32_t space = lane_tcp_rcv_space(ln, pcb);

	if (space >= told + min_step(pcb) && (space >> shift) << shift >= told)
		return tell_window(ln, pcb, space >> shift, shift);
	return tell_again(ln, pcb, told, shift);
}

uint16_t lane_tcp_select_window(struct lane *ln, struct lane_tcp *pcb)
{
	uint8_t shift = pcb->flags & LANE_TF_WSCALE ? pcb->rcv_wscale : 0;
	uint32_t told = told_window(pcb);

	/* There is never more space than the limit. */
	if (pcb->rcv_limit < told + min_step(pcb))
		return tell_again(ln, pcb, told, shift);
	return tell_more(ln, pcb, told, shift);
}

/* Tells the peer of space that came back: worth a packet when the window at least doubles. */
__attribute__((noinline)) static void offer_space(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t told = told_window(pcb), space = lane_tcp_rcv_space(ln, pcb);
	uint32_t most = (uint32_t)UINT16_MAX << (pcb->flags & LANE_TF_WSCALE ? pcb->rcv_wscale : 0);

	if (space > most)
		space = most;
	if (space >= 2 * told && space >= told + min_step(pcb))
		lane_tcp_ack_now(ln, pcb);
}

static void update_window(struct lane *ln, struct lane_tcp *pcb)
{
	if ((pcb->flags & LANE_TF_HASHED) && told_window(pcb) <= pcb->rcv_limit / 2)
		offer_space(ln, pcb);
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
	if (x->rcv_queued == 0)
		lane_tcp_forget_promise(ln, pcb);
	if (!(pcb->flags & LANE_TF_HASHED) || (pcb->flags & LANE_TF_PEER_FIN))
		return;
	lane_tcp_tune(ln, pcb, x);
	update_window(ln, pcb);
	lane_tcp_ack_read(ln, pcb);
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
