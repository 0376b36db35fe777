/*
 * pair.c - an in-memory cable between queues of two lanes (see pair.h)
 */
#include "drivers/pair/pair.h"

#include <stdlib.h>

#include "stack/base/csum.h"

#define RING_SIZE 256

struct slot {
	uint32_t buf; /* of the sender */
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
static void finish_csum(const struct lane_buf *from, uint8_t *copy)
{
	uint8_t *p = copy + from->csum_start;
	uint16_t sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, p, from->len - from->csum_start));

	if (sum == 0)
		sum = 0xffff;
	memcpy(p + from->csum_off, &sum, sizeof(sum));
}

/* Returns owned a chain of frames of 'bs' with 'len' bytes of 'data', NULL: no frames. */
static struct lane_buf *make_packet(struct lane_bufs *bs, const uint8_t *data, uint32_t len,
				    uint32_t piece)
{
	struct lane_buf *first = NULL, *last = NULL;
	uint32_t done = 0;

	while (done < len || !first) {
		struct lane_buf *b = lane_buf_alloc(bs);
		uint32_t n = len - done < piece ? len - done : piece;

		if (!b) {
			if (first)
				lane_buf_free_packet(bs, first);
			return NULL;
		}
		b->off = 0;
		b->len = (uint16_t)n;
		memcpy(lane_buf_data(bs, b), data + done, n);
		done += n;
		if (last) {
			last->flags |= LANE_BUF_MORE;
			last->next = lane_buf_index(bs, b);
		} else {
			first = b;
		}
		last = b;
	}
	first->pkt_len = len;
	return first;
}

/* The copy of 'sent' that arrives at 'to'. */
static struct lane_buf *deliver(struct end *to, struct end *from, const struct lane_buf *sent)
{
	const struct lane_pair_config *cfg = &to->pair->cfg;
	uint32_t piece =
		cfg->piece && cfg->piece < to->q.bufs->size ? cfg->piece : to->q.bufs->size;
	uint8_t copy[UINT16_MAX];
	struct lane_buf *b;

	memcpy(copy, lane_buf_data(from->q.bufs, sent), sent->len);
	if ((sent->flags & LANE_BUF_CSUM) && !cfg->partial)
		finish_csum(sent, copy);
	b = make_packet(to->q.bufs, copy, sent->len, piece);
	if (!b) {
		to->pair->nr_lost++;
		return NULL;
	}
	b->queue = to->q.idx;
	if (cfg->partial)
		b->flags |= LANE_BUF_PARTIAL_OK;
	return b;
}

static uint16_t pair_rx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	struct end *e = (struct end *)q, *from = other(e);
	uint32_t mask = e->pair->cfg.ring_size - 1;
	uint16_t nr = 0;

	while (nr < n && from->tail != from->head) {
		struct slot *s = &from->ring[from->tail & mask];
		struct lane_buf *sent = lane_buf_at(from->q.bufs, s->buf);

		if (e->pair->cfg.now_us && s->due_us > now(e->pair))
			break;
		bufs[nr] = deliver(e, from, sent);
		nr += bufs[nr] != NULL;
		lane_buf_tx_done(from->q.bufs, sent);
		from->tail++;
	}
	return nr;
}

static uint16_t pair_tx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	struct end *e = (struct end *)q;
	struct lane_pair_config *cfg = &e->pair->cfg;
	uint16_t nr = 0;

	while (nr < n && e->head - e->tail < cfg->ring_size) {
		struct lane_buf *b = bufs[nr++];

		assert(!(b->flags & LANE_BUF_MORE));
		b->flags |= LANE_BUF_TX;
		e->ring[e->head & (cfg->ring_size - 1)] = (struct slot){
			.buf = lane_buf_index(q->bufs, b),
			.due_us = now(e->pair) + cfg->delay_us,
		};
		e->head++;
		q->nr_unkicked++;
		if (cfg->trace)
			cfg->trace(cfg->arg, e == &e->pair->end[1], lane_buf_data(q->bufs, b),
				   b->len);
	}
	return nr;
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
	for (; e->tail != e->head; e->tail++) {
		uint32_t i = e->ring[e->tail & (e->pair->cfg.ring_size - 1)].buf;

		lane_buf_tx_done(q->bufs, lane_buf_at(q->bufs, i));
	}
}

static const struct lane_driver pair_driver = {
	.name = "pair",
	.rx_burst = pair_rx,
	.tx_burst = pair_tx,
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
