/*
 * ooo.c - text that arrived out of order
 *
 * Theory of operation. A list of ranges in order of sequence numbers, disjoint and not touching. A
 * range is a chain of frames (LANE_BUF_MORE); its first frame has 'seq', the bytes of all in
 * 'pkt_len', and the index of the last in 'user'; the last one's 'next' is the next range. So a range
 * is joined, delivered and skipped in constant time, and SACK blocks are the ranges, those that changed
 * last in front (RFC 2018 4): 'tx_us' of the first frame is a number that grows with each change. Each
 * segment and each ACK walk over the ranges, so a peer that leaves a hole behind every byte gets no more than some.
 */
#include "stack/tcp/pcb.h"

#define RANGES_MAX 512

static struct lane_buf *range(const struct lane *ln, uint32_t i)
{
	return lane_buf_at(&ln->bufs, i);
}

static struct lane_buf *last_of(const struct lane *ln, const struct lane_buf *r)
{
	return lane_buf_at(&ln->bufs, r->user);
}

static struct lane_buf *next_of(const struct lane *ln, const struct lane_buf *r)
{
	return range(ln, last_of(ln, r)->next);
}

static uint32_t end_of(const struct lane_buf *r)
{
	return r->seq + r->pkt_len;
}

static uint16_t nr_frames(const struct lane *ln, const struct lane_buf *r)
{
	uint16_t n = 1;

	while (r->flags & LANE_BUF_MORE) {
		r = range(ln, r->next);
		n++;
	}
	return n;
}

/* Takes the range behind 'prev' (NULL: the first) out of the list. */
static void unlink_range(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *prev,
			 struct lane_buf *r)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t next = last_of(ln, r)->next;

	if (prev)
		last_of(ln, prev)->next = next;
	else
		x->ooo_head = next;
	last_of(ln, r)->next = LANE_NIL;
	x->nr_ranges--;
}

static void free_range(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *r)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	x->nr_ooo -= nr_frames(ln, r);
	lane_buf_free_packet(&ln->bufs, r);
}

/* Appends 'b', which starts where 'r' ends. */
static void join(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *r, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_bufs *bs = &ln->bufs;
	struct lane_buf *last = last_of(ln, r), *b_last = last_of(ln, b);

	r->pkt_len += b->pkt_len;
	if (!(b->flags & LANE_BUF_MORE) && (uint32_t)last->off + last->len + b->len <= bs->size) {
		memcpy(lane_buf_data(bs, last) + last->len, lane_buf_data(bs, b), b->len);
		last->len += b->len;
		x->nr_ooo--;
		lane_buf_free(bs, b);
		return;
	}
	b_last->next = last->next;
	last->next = lane_buf_index(bs, b);
	last->flags |= LANE_BUF_MORE;
	r->user = lane_buf_index(bs, b_last);
}

/* So many frames may wait: four times what a window of full frames takes. */
static uint32_t max_frames(const struct lane_tcp *pcb)
{
	uint32_t n = 64 + pcb->rcv_limit / 512;

	return n < UINT16_MAX / 2 ? n : UINT16_MAX / 2;
}

/* No room for text from 'start' on behind the range 'prev'. */
static bool is_full(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_buf *prev,
		    const struct lane_buf *b, uint32_t start)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return x->nr_ooo + nr_frames(ln, b) > max_frames(pcb) ||
	       (x->nr_ranges >= RANGES_MAX && !(prev && end_of(prev) == start));
}

/* Frees the ranges behind 'prev' that lie wholly within [.., end). */
static void swallow(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *prev, uint32_t end)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	for (;;) {
		struct lane_buf *r = prev ? next_of(ln, prev) : range(ln, x->ooo_head);

		if (!r || lane_seq_gt(end_of(r), end))
			return;
		unlink_range(ln, pcb, prev, r);
		free_range(ln, pcb, r);
	}
}

/* A segment of range 'r' came: it is the latest. */
static void touch(struct lane *ln, struct lane_buf *r)
{
	r->tx_us = ++ln->st->ooo_stamp;
}

/* Puts 'b' (trimmed against both neighbours) behind 'prev', joined with what it touches. */
static void place(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *prev, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *next = prev ? next_of(ln, prev) : range(ln, x->ooo_head);

	x->nr_ooo += nr_frames(ln, b);
	if (prev && end_of(prev) == b->seq) {
		join(ln, pcb, prev, b);
		b = prev;
	} else {
		last_of(ln, b)->next = next ? lane_buf_index(&ln->bufs, next) : LANE_NIL;
		if (prev)
			last_of(ln, prev)->next = lane_buf_index(&ln->bufs, b);
		else
			x->ooo_head = lane_buf_index(&ln->bufs, b);
		x->nr_ranges++;
	}
	if (next && end_of(b) == next->seq) {
		unlink_range(ln, pcb, b, next);
		join(ln, pcb, b, next);
	}
	touch(ln, b);
}

enum lane_drop lane_tcp_ooo_insert(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b,
				   uint32_t seq)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *prev = NULL, *r = range(ln, x->ooo_head);
	uint32_t start = seq, end = seq + b->pkt_len;

	while (r && lane_seq_le(r->seq, start)) {
		prev = r;
		r = next_of(ln, r);
	}
	if (prev && lane_seq_lt(start, end_of(prev)))
		start = end_of(prev);
	if (lane_seq_gt(start, seq))
		lane_tcp_note_dup(ln, pcb, seq, lane_seq_lt(start, end) ? start : end);
	if (lane_seq_ge(start, end)) {
		touch(ln, prev);
		lane_buf_free_packet(&ln->bufs, b);
		return LANE_DROP_TCP_DUP;
	}
	if (is_full(ln, pcb, prev, b, start)) {
		lane_buf_free_packet(&ln->bufs, b);
		return LANE_DROP_TCP_OOO_FULL;
	}
	r = prev ? next_of(ln, prev) : range(ln, x->ooo_head);
	if (r && lane_seq_gt(end, r->seq))
		lane_tcp_note_dup(ln, pcb, r->seq, lane_seq_lt(end_of(r), end) ? end_of(r) : end);
	swallow(ln, pcb, prev, end);
	r = prev ? next_of(ln, prev) : range(ln, x->ooo_head);
	if (r && lane_seq_gt(end, r->seq))
		end = r->seq;
	b = lane_tcp_trim(ln, b, start - seq, end - start);
	b->seq = start;
	place(ln, pcb, prev, b);
	return LANE_OK;
}

bool lane_tcp_ooo_deliver(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *r = range(ln, x->ooo_head);
	bool moved = false;

	while (r && lane_seq_le(r->seq, pcb->rcv_nxt)) {
		uint32_t dup = pcb->rcv_nxt - r->seq, len = r->pkt_len;

		if (dup)
			lane_tcp_note_dup(ln, pcb, r->seq, r->seq + (dup < len ? dup : len));
		unlink_range(ln, pcb, NULL, r);
		if (dup >= len) {
			free_range(ln, pcb, r);
		} else {
			x->nr_ooo -= nr_frames(ln, r);
			lane_tcp_rcvq_append(ln, pcb, lane_tcp_trim(ln, r, dup, len - dup));
			moved = true;
		}
		r = range(ln, x->ooo_head);
	}
	return moved;
}

void lane_tcp_ooo_free(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *r;

	while ((r = range(ln, x->ooo_head)) != NULL) {
		unlink_range(ln, pcb, NULL, r);
		free_range(ln, pcb, r);
	}
	pcb->flags &= ~LANE_TF_OOO_FIN;
}

uint32_t lane_tcp_ooo_end(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_buf *r = range(ln, x->ooo_head), *next;

	while ((next = next_of(ln, r)) != NULL)
		r = next;
	return end_of(r);
}

/* A FIN that waits behind a range belongs to its block. */
static bool has_fin(const struct lane *ln, const struct lane_tcp *pcb, uint32_t end)
{
	return (pcb->flags & LANE_TF_OOO_FIN) && lane_tcp_x(ln, pcb)->fin_seq == end;
}

void lane_tcp_ooo_fin(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *r = range(ln, x->ooo_head);

	x->fin_stamp = (uint32_t)++ln->st->ooo_stamp;
	for (; r; r = next_of(ln, r))
		if (end_of(r) == x->fin_seq)
			touch(ln, r);
}

static void put_block(struct lane_tcp_opts *o, uint32_t start, uint32_t end)
{
	o->sack[o->nr_sack].start = start;
	o->sack[o->nr_sack].end = end;
	o->nr_sack++;
}

/* RFC 2883 4: once only, in the first block. */
static void put_dup(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_opts *o)
{
	struct lane_tcp_rec *rec = &lane_tcp_x(ln, pcb)->rec;

	if (rec->dsack_start == rec->dsack_end || !ln->st->cfg.dsack)
		return;
	o->sack[0].start = rec->dsack_start;
	o->sack[0].end = rec->dsack_end;
	o->nr_sack = 1;
	rec->dsack_start = rec->dsack_end = 0;
	ln->st->stats.tcp_dsacks_out++;
}

/* The ranges that changed last, at most 'max' of them, the latest first; *fin: one ends at the FIN. */
static uint8_t latest_ranges(const struct lane *ln, const struct lane_tcp *pcb,
			     const struct lane_buf *top[], uint8_t max, bool *fin)
{
	const struct lane_buf *r = range(ln, lane_tcp_x(ln, pcb)->ooo_head);
	uint8_t nr = 0, i;

	*fin = false;
	for (; r; r = next_of(ln, r)) {
		*fin = *fin || has_fin(ln, pcb, end_of(r));
		if (nr < max)
			nr++;
		else if (max == 0 || top[nr - 1]->tx_us > r->tx_us)
			continue;
		for (i = nr - 1; i && top[i - 1]->tx_us < r->tx_us; i--)
			top[i] = top[i - 1];
		top[i] = r;
	}
	return nr;
}

void lane_tcp_ooo_sack(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_opts *o, uint8_t max)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_buf *top[4];
	uint8_t nr, i;
	bool fin; /* in a range's block; else it has one of its own */

	o->nr_sack = 0;
	put_dup(ln, pcb, o);
	nr = latest_ranges(ln, pcb, top, max - o->nr_sack, &fin);
	fin = fin || !(pcb->flags & LANE_TF_OOO_FIN);
	for (i = 0; i < nr; i++) {
		if (!fin && (int32_t)(x->fin_stamp - (uint32_t)top[i]->tx_us) > 0) {
			put_block(o, x->fin_seq, x->fin_seq + 1);
			fin = true;
		}
		if (o->nr_sack < max)
			put_block(o, top[i]->seq, end_of(top[i]) + has_fin(ln, pcb, end_of(top[i])));
	}
	if (!fin && o->nr_sack < max)
		put_block(o, x->fin_seq, x->fin_seq + 1);
	if (o->nr_sack)
		o->have |= LANE_OPT_SACK;
}
