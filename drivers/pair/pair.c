/*
 * pair.c - an in-memory cable between queues of two lanes (see pair.h)
 */
#include "drivers/pair/pair.h"

#include <stdlib.h>

#include "stack/base/csum.h"

#define RING_SIZE 256

struct slot {
	uint32_t buf[LANE_SG_MAX]; /* of the sender: a super-segment has several */
	uint32_t nr;
	uint32_t next; /* the segment to deliver: all before it have arrived */
	uint64_t due_us;
};

struct end {
	struct lane_queue q; /* first: the lane sees this */
	struct lane_pair *pair;
	uint32_t head, tail; /* of what this end sent: head is where the next goes */
	struct slot *ring;
};

struct lane_pair {
	struct lane_pair_config cfg;
	struct end end[2];
	uint64_t nr_lost;
};

static uint64_t now(const struct lane_pair *p)
{
	return p->cfg.now_us ? *p->cfg.now_us : 0;
}

static struct end *other(struct end *e)
{
	return &e->pair->end[e == &e->pair->end[0]];
}

/* What a NIC does with a frame whose sum it was asked to finish; the copy is finished, not the
 * frame. */
static void finish_csum(const struct lane_buf *from, uint8_t *copy, uint32_t len)
{
	uint8_t *p = copy + from->csum_start;
	uint16_t sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, p, len - from->csum_start));

	if (sum == 0)
		sum = 0xffff;
	memcpy(p + from->csum_off, &sum, sizeof(sum));
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The pseudo-header's part of the sum, which had the whole packet's length, for a segment of
 * 'l4_len'. */
static void put_pseudo(uint8_t *ip, uint8_t *tcp, uint32_t l4_len)
{
	bool is4 = ip[0] >> 4 == 4;
	uint8_t pseudo[4] = {0, 6, (uint8_t)(l4_len >> 8), (uint8_t)l4_len};
	uint64_t sum = lane_csum_add(0, pseudo, sizeof(pseudo));
	uint16_t field;

	field = lane_csum_fold(lane_csum_add(sum, ip + (is4 ? 12 : 8), is4 ? 8 : 32));
	memcpy(tcp + 16, &field, sizeof(field));
}

/* Headers of segment 'k' of a super-segment of 'nr', in place of the first one's at 'frame'. */
static void patch(const struct lane_buf *first, uint8_t *frame, uint32_t k, uint32_t nr,
		  uint32_t len)
{
	uint8_t *ip = frame + first->l3_off - first->off, *tcp = frame + first->csum_start;
	uint32_t hlen = (uint32_t)(tcp - frame) + (tcp[12] >> 4) * 4U;
	uint32_t seq = (uint32_t)get16(tcp + 4) << 16 | get16(tcp + 6),
		 ip_len = len - (uint32_t)(ip - frame);
	uint16_t sum = 0;

	seq += k * (first->len - hlen);
	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq);
	if (k + 1 < nr)
		tcp[13] &= (uint8_t)~0x09; /* FIN, PSH */
	if (ip[0] >> 4 == 4) {
		put16(ip + 2, ip_len);
		put16(ip + 4, get16(ip + 4) + k);
		memcpy(ip + 10, &sum, sizeof(sum));
		sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, ip, 20));
		memcpy(ip + 10, &sum, sizeof(sum));
	} else {
		put16(ip + 4, ip_len - 40);
	}
	put_pseudo(ip, tcp, len - first->csum_start);
}

/* Copies segment 'k' of what was sent, with headers of its own; returns its length. */
static uint32_t copy_out(const struct lane_bufs *bs, const struct slot *s, uint32_t k,
			 uint8_t *frame)
{
	const struct lane_buf *first = lane_buf_at(bs, s->buf[0]), *b = lane_buf_at(bs, s->buf[k]);
	const uint8_t *p = lane_buf_data(bs, first);
	uint32_t hlen = 0;

	if (k) {
		hlen = first->csum_start + (p[first->csum_start + 12] >> 4) * 4U;
		memcpy(frame, p, hlen);
	}
	memcpy(frame + hlen, lane_buf_data(bs, b), b->len);
	if (s->nr > 1)
		patch(first, frame, k, s->nr, hlen + b->len);
	return hlen + b->len;
}

/* The copy of segment 'k' of what was sent that arrives at 'to'. */
static struct lane_buf *deliver(struct end *to, struct end *from, const struct slot *s, uint32_t k)
{
	const struct lane_buf *sent = lane_buf_at(from->q.bufs, s->buf[0]);
	const struct lane_pair_config *cfg = &to->pair->cfg;
	uint32_t piece =
		cfg->piece && cfg->piece < to->q.bufs->size ? cfg->piece : to->q.bufs->size;
	uint8_t copy[UINT16_MAX];
	uint32_t len = copy_out(from->q.bufs, s, k, copy);
	struct lane_buf *b;

	if ((sent->flags & LANE_BUF_CSUM) && !cfg->partial)
		finish_csum(sent, copy, len);
	b = lane_buf_packet(to->q.bufs, copy, len, piece);
	if (!b) {
		to->pair->nr_lost++;
		return NULL;
	}
	b->queue = to->q.idx;
	if (cfg->partial)
		b->flags |= LANE_BUF_PARTIAL_OK;
	return b;
}

/* The oldest packet has arrived: its frames are given back. */
static void complete(struct end *e)
{
	struct slot *s = &e->ring[e->tail++ & (e->pair->cfg.ring_size - 1)];

	for (uint32_t i = 0; i < s->nr; i++)
		lane_buf_tx_done(e->q.bufs, lane_buf_at(e->q.bufs, s->buf[i]));
}

static uint16_t pair_rx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	struct end *e = (struct end *)q, *from = other(e);
	uint32_t mask = e->pair->cfg.ring_size - 1;
	uint16_t nr = 0;

	while (nr < n && from->tail != from->head) {
		struct slot *s = &from->ring[from->tail & mask];

		if (e->pair->cfg.now_us && s->due_us > now(e->pair))
			break;
		bufs[nr] = deliver(e, from, s, s->next);
		nr += bufs[nr] != NULL;
		if (++s->next == s->nr)
			complete(from);
	}
	return nr;
}

/* Tells the trace of each frame on the cable. */
static void show(struct end *e, const struct slot *s)
{
	const struct lane_pair_config *cfg = &e->pair->cfg;
	uint8_t copy[UINT16_MAX];

	for (uint32_t k = 0; cfg->trace && k < s->nr; k++) {
		uint32_t len = copy_out(e->q.bufs, s, k, copy);

		cfg->trace(cfg->arg, e == &e->pair->end[1], copy, len);
	}
}

/* Takes the frames of a packet. */
static void take(struct end *e, struct slot *s, struct lane_buf *b)
{
	struct lane_bufs *bs = e->q.bufs;
	bool more;

	*s = (struct slot){.due_us = now(e->pair) + e->pair->cfg.delay_us};
	do {
		assert(s->nr < LANE_SG_MAX);
		s->buf[s->nr++] = lane_buf_index(bs, b);
		b->flags |= LANE_BUF_TX;
		more = b->flags & LANE_BUF_MORE;
		b = lane_buf_at(bs, b->next);
	} while (more && b);
}

static uint16_t pair_tx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	struct end *e = (struct end *)q;
	struct lane_pair_config *cfg = &e->pair->cfg;
	uint16_t nr = 0;

	while (nr < n && e->head - e->tail < cfg->ring_size) {
		struct slot *s = &e->ring[e->head & (cfg->ring_size - 1)];
		struct lane_buf *b = bufs[nr++];

		assert(!(b->flags & LANE_BUF_MORE) || q->caps & LANE_CAP_TSO);
		take(e, s, b);
		e->head++;
		q->nr_unkicked++;
		show(e, s);
	}
	return nr;
}

static uint32_t pair_room(const struct lane_queue *q)
{
	const struct end *e = (const struct end *)q;

	return (e->pair->cfg.ring_size - (e->head - e->tail)) * LANE_SG_MAX;
}

static void pair_kick(struct lane_queue *q)
{
	q->nr_unkicked = 0;
}

static void pair_close(struct lane_queue *q)
{
	struct end *e = (struct end *)q;

	if (!e)
		return;
	while (e->tail != e->head)
		complete(e);
}

static const struct lane_driver pair_driver = {
	.name = "pair",
	.rx_burst = pair_rx,
	.tx_burst = pair_tx,
	.room = pair_room,
	.kick = pair_kick,
	.close = pair_close,
};

struct lane_pair *lane_pair_create(const struct lane_pair_config *cfg, struct lane_bufs *a,
				   struct lane_bufs *b)
{
	struct lane_pair *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->cfg = *cfg;
	if (!p->cfg.ring_size)
		p->cfg.ring_size = RING_SIZE;
	for (unsigned int i = 0; i < 2; i++) {
		struct end *e = &p->end[i];

		e->pair = p;
		e->q.drv = &pair_driver;
		e->q.bufs = i ? b : a;
		e->q.caps = cfg->caps;
		e->ring = calloc(p->cfg.ring_size, sizeof(*e->ring));
		if (!e->ring) {
			lane_pair_destroy(p);
			return NULL;
		}
	}
	return p;
}

struct lane_queue *lane_pair_queue(struct lane_pair *p, unsigned int end)
{
	return &p->end[end].q;
}

uint64_t lane_pair_next(const struct lane_pair *p)
{
	uint64_t at = UINT64_MAX;

	for (unsigned int i = 0; i < 2; i++) {
		const struct end *e = &p->end[i];

		if (e->head != e->tail && e->ring[e->tail & (p->cfg.ring_size - 1)].due_us < at)
			at = e->ring[e->tail & (p->cfg.ring_size - 1)].due_us;
	}
	return at;
}

uint64_t lane_pair_nr_lost(const struct lane_pair *p)
{
	return p->nr_lost;
}

void lane_pair_destroy(struct lane_pair *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < 2; i++) {
		if (p->end[i].ring)
			pair_close(&p->end[i].q);
		free(p->end[i].ring);
	}
	free(p);
}
