/*
 * burst.c - a burst of segments on its way in: parsed, merged, looked up, then run through input.c
 *
 * Theory of operation. Memory is far: a flow out of a million has its bucket, its pcb and its oldest sent
 * frame in none of the caches. So every step is done for the whole burst, and asks for what the next one
 * reads: headers are parsed and hashed (buckets are fetched), buckets are probed (pcbs are fetched), pcbs
 * are looked into (frames are fetched), and only then the segments are processed, in their order.
 *
 * Segments of one flow that follow each other are merged before (as Linux' GRO): text in order becomes one
 * segment whose text is a chain of frames, an ACK that a later one of the burst exceeds is left out. Only what
 * says nothing of its own is merged: no flag but ACK and PSH, no option but the timestamp, the same
 * ECN field; a duplicate ACK never, nor one that the connection would not take (a forged one must not take a
 * good one with it). What is kept is what the segments one by one would have left: the last ACK, window
 * and echoed timestamp, and the timestamp of the first with text (RFC 7323 4.3: it stands at the left edge
 * of what one ACK covers).
 */
#include "stack/tcp/pcb.h"

#include <netinet/in.h>

#define SLOTS 64U /* of 'last': more than there are segments, so that flows hide each other seldom */
#define NONE  0xff

_Static_assert(LANE_BURST < NONE, "a segment's place fits its type");

struct burst {
	struct lane_seg seg[LANE_BURST];
	uint8_t last[SLOTS]; /* the latest segment with such a hash */
};

/* ---- merging ---- */

static bool same_flow(const struct lane_seg *a, const struct lane_seg *b)
{
	return a->hash == b->hash && a->ti.sport == b->ti.sport && a->ti.dport == b->ti.dport &&
	       lane_ip_equal(&a->pkt->ip.src, &b->pkt->ip.src) &&
	       lane_ip_equal(&a->pkt->ip.dst, &b->pkt->ip.dst);
}

/* It says nothing but where it is and what has arrived. */
static bool is_plain(const struct lane_seg *seg)
{
	return (seg->flags & ~LANE_WIRE_PSH) == LANE_WIRE_ACK && !(seg->ti.opts.have & ~LANE_OPT_TS);
}

/* Would the connection take both? What lies between their ACKs must be neither old nor beyond what was
 * sent, and the older timestamp must pass. */
static bool takes_both(const struct lane *ln, const struct lane_seg *a, const struct lane_seg *b)
{
	const struct lane_tcp *pcb = lane_tcp_get(ln, a->maybe);
	struct lane_ep local, remote;

	lane_seg_eps(a, &local, &remote);
	return pcb && (pcb->flags & LANE_TF_HASHED) && lane_tcp_is(ln, pcb, &local, &remote) &&
	       lane_seq_ge(a->ack, pcb->snd_una) && lane_seq_le(b->ack, pcb->snd_nxt) &&
	       (!(a->ti.opts.have & LANE_OPT_TS) || lane_seq_ge(a->ti.opts.tsval, pcb->ts_recent));
}

/* May 'b' be taken for the end of 'a', which came before it? */
static bool may_merge(const struct lane *ln, const struct lane_seg *a, const struct lane_seg *b)
{
	if (!is_plain(a) || !is_plain(b) || b->seq != a->seq + a->len ||
	    a->ti.opts.have != b->ti.opts.have || a->pkt->ip.tos != b->pkt->ip.tos ||
	    a->pkt->ifi != b->pkt->ifi)
		return false;
	if ((b->ti.opts.have & LANE_OPT_TS) && lane_seq_lt(b->ti.opts.tsval, a->ti.opts.tsval))
		return false;
	/* Without text an equal ACK may be a duplicate, which counts (RFC 5681 2). */
	if (a->len && b->len ? lane_seq_lt(b->ack, a->ack) : lane_seq_le(b->ack, a->ack))
		return false;
	return (a->ack == b->ack && a->ti.opts.tsval == b->ti.opts.tsval) || takes_both(ln, a, b);
}

static struct lane_buf *last_frame(struct lane *ln, struct lane_buf *b)
{
	for (uint32_t n = 0; (b->flags & LANE_BUF_MORE) && n < ln->bufs.nr; n++)
		b = lane_buf_at(&ln->bufs, b->next);
	return b;
}

/* The text of 'b' goes behind that of 'a': as a part of the chain, or into the last frame if it fits there. */
static void join_text(struct lane *ln, struct lane_seg *a, struct lane_seg *b)
{
	struct lane_bufs *bs = &ln->bufs;
	struct lane_buf *first = a->pkt->b, *tail = last_frame(ln, first), *text = b->pkt->b;

	text = lane_tcp_trim(ln, text, lane_seg_hdrs(b), b->len);
	first->pkt_len += b->len;
	if (!(text->flags & LANE_BUF_MORE) && (uint32_t)tail->off + tail->len + text->len <= bs->size) {
		memcpy(lane_buf_data(bs, tail) + tail->len, lane_buf_data(bs, text), text->len);
		tail->len += text->len;
		lane_buf_free(bs, text);
		return;
	}
	tail->next = lane_buf_index(bs, text);
	tail->flags |= LANE_BUF_MORE;
}

/* 'b' is merged into 'a' and is no more. */
static void merge(struct lane *ln, struct lane_seg *a, struct lane_seg *b)
{
	uint32_t nr = a->nr + b->nr;

	ln->st->stats.tcp_merged++;
	if (a->len == 0) {
		/* 'b' says all that 'a' did. */
		struct lane_pkt *pkt = a->pkt;

		lane_buf_free_packet(&ln->bufs, pkt->b);
		*pkt = *b->pkt;
		*a = *b;
		a->pkt = pkt;
	} else {
		a->ack = a->ti.ack = b->ack;
		a->wnd = a->ti.wnd = b->wnd;
		a->ti.opts.tsecr = b->ti.opts.tsecr;
		if (b->len)
			join_text(ln, a, b);
		else
			lane_buf_free_packet(&ln->bufs, b->pkt->b);
		a->len += b->len;
		a->ti.len = a->len;
		if (b->part > a->part)
			a->part = b->part;
	}
	a->flags |= b->flags;
	a->ti.flags = a->flags;
	a->nr = nr;
	b->pkt->b = NULL;
}

/* Merges segment 'i' with the one before it in its flow, or notes it for the next. True if it is still there. */
static bool merge_or_note(struct lane *ln, struct burst *u, uint8_t i)
{
	struct lane_seg *seg = &u->seg[i], *before;
	uint8_t *slot = &u->last[seg->hash % SLOTS];

	before = *slot == NONE ? NULL : &u->seg[*slot];
	if (before && same_flow(before, seg) && may_merge(ln, before, seg)) {
		merge(ln, before, seg);
		return false;
	}
	*slot = i;
	return true;
}

/* ---- the steps ---- */

/* Parses and hashes. */
static enum lane_drop look_at(struct lane *ln, struct lane_seg *seg)
{
	const struct lane_pkt *pkt = seg->pkt;
	const struct lane_buf *b = pkt->b;
	struct lane_ep local, remote;
	enum lane_drop why;

	why = lane_tcp_parse(lane_buf_frame(&ln->bufs, b) + b->l4_off,
			     (uint32_t)b->off + b->len - b->l4_off, pkt->ip.l4_len, &seg->ti);
	if (why)
		return why;
	seg->seq = seg->ti.seq;
	seg->ack = seg->ti.ack;
	seg->len = seg->part = seg->ti.len;
	seg->wnd = seg->ti.wnd;
	seg->flags = seg->ti.flags;
	seg->skip = seg->iss = 0;
	seg->nr = 1;
	seg->done = false;
	lane_seg_eps(seg, &local, &remote);
	seg->hash = lane_flow_hash(&ln->st->key, IPPROTO_TCP, &local, &remote);
	lane_ftable_prefetch(ln->conns, seg->hash);
	return LANE_OK;
}

/* A pcb that the segment may belong to is fetched. */
static void probe(struct lane *ln, struct lane_seg *seg)
{
	struct lane_ftable_iter it;

	seg->maybe = lane_ftable_first(ln->conns, seg->hash, &it);
	lane_tcp_prefetch(ln, seg->maybe);
}

/* Its extension is fetched. */
__attribute__((always_inline)) static inline void probe_x(struct lane *ln, const struct lane_seg *seg)
{
	const struct lane_tcp *pcb = lane_tcp_get(ln, seg->maybe);

	if (pcb)
		lane_tcp_x_prefetch(ln, pcb);
}

/* What the pcb's processing will read. (A function that only fetches is nothing to gcc: without
 * inlining it leaves out the call.) */
__attribute__((always_inline)) static inline void probe_frames(struct lane *ln, const struct lane_seg *seg)
{
	const struct lane_tcp *pcb = lane_tcp_get(ln, seg->maybe);
	const struct lane_buf *b =
		pcb ? lane_buf_at(&ln->bufs, lane_tcp_x(ln, pcb)->sndq_head) : NULL;

	if (b)
		__builtin_prefetch(b, 1);
}

void lane_tcp_in(struct lane *ln, struct lane_pkt pkt[], unsigned int n)
{
	uint8_t left[LANE_BURST];
	unsigned int nr = 0, nr_left = 0;
	struct burst u;

	assert(n <= LANE_BURST);
	memset(u.last, NONE, sizeof(u.last));
	for (unsigned int i = 0; i < n; i++) {
		u.seg[nr].pkt = &pkt[i];
		pkt[i].why = look_at(ln, &u.seg[nr]);
		nr += !pkt[i].why;
	}
	for (unsigned int i = 0; i < nr; i++)
		probe(ln, &u.seg[i]);
	for (unsigned int i = 0; i < nr; i++)
		if (merge_or_note(ln, &u, (uint8_t)i))
			left[nr_left++] = (uint8_t)i;
	for (unsigned int i = 0; i < nr_left; i++)
		probe_x(ln, &u.seg[left[i]]);
	for (unsigned int i = 0; i < nr_left; i++)
		probe_frames(ln, &u.seg[left[i]]);
	for (unsigned int i = 0; i < nr_left; i++)
		u.seg[left[i]].pkt->why = lane_tcp_seg_in(ln, &u.seg[left[i]]);
}
