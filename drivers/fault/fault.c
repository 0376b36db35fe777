/*
 * fault.c - wraps a queue: loss, duplication, delay, reordering, corruption, fragments, narrow links (see
 * fault.h)
 *
 * Packets on their way lie in hold[], a ring, sorted by when they are due. A damaged packet loses the
 * driver's word for its checksum, since the damage happens on the wire.
 */
#include "drivers/fault/fault.h"

#include <errno.h>
#include <stdlib.h>

#include "drivers/fault/cut.h"
#include "drivers/fault/narrow.h"
#include "stack/base/csum.h"
#include "stack/base/rng.h"

#define HOLD_MAX 16384 /* a power of two */
#define MILLION  1000000

struct held {
	uint64_t due_us;
	uint32_t buf;
};

struct fault {
	struct lane_queue q; /* first: the lane sees this */
	struct lane_queue *inner;
	struct lane_fault_config cfg;
	struct lane_fault_stats stats;
	struct lane_rng rng;
	uint64_t last_due_us; /* of the packets in order */
	uint64_t idle_ns;     /* when the link has sent all that waits */
	uint32_t to_lose;     /* of the present burst */
	uint32_t first, nr_held;
	uint32_t frag_id;
	struct held hold[HOLD_MAX];
};

static bool chance(struct fault *f, uint32_t ppm)
{
	return ppm && lane_rng_below(&f->rng, MILLION) < ppm;
}

/* Frames on their way are the driver's, whoever dies meanwhile (buf.h). */
static void set_owner(struct fault *f, struct lane_buf *b, uint8_t owner)
{
	for (uint32_t n = 0; b && n < f->q.bufs->nr; n++) {
		b->owner = owner;
		b = b->flags & LANE_BUF_MORE ? lane_buf_at(f->q.bufs, b->next) : NULL;
	}
}

static struct held *held_at(struct fault *f, uint32_t i)
{
	return &f->hold[(f->first + i) % HOLD_MAX];
}

/* Consumes 'b': behind all that are due no later. */
static void hold(struct fault *f, struct lane_buf *b, uint64_t due_us)
{
	uint32_t i = f->nr_held;

	if (i == HOLD_MAX) {
		f->stats.nr_overflow++;
		lane_buf_free_packet(f->q.bufs, b);
		return;
	}
	for (; i > 0 && held_at(f, i - 1)->due_us > due_us; i--)
		*held_at(f, i) = *held_at(f, i - 1);
	*held_at(f, i) = (struct held){.due_us = due_us, .buf = lane_buf_index(f->q.bufs, b)};
	f->nr_held++;
	set_owner(f, b, LANE_BUF_DRIVER);
}

/* Not in a packet whose checksum was never filled in: it met no wire, and one in 65,536 would pass. */
static void flip_bit(struct fault *f, struct lane_buf *b)
{
	uint32_t at = lane_rng_below(&f->rng, b->pkt_len);
	struct lane_buf *piece = b;

	if (b->flags & LANE_BUF_PARTIAL_OK)
		return;
	while (at >= piece->len && (piece->flags & LANE_BUF_MORE)) {
		at -= piece->len;
		piece = lane_buf_at(f->q.bufs, piece->next);
	}
	if (at >= piece->len)
		return;
	lane_buf_data(f->q.bufs, piece)[at] ^= (uint8_t)(1u << lane_rng_below(&f->rng, 8));
	b->flags &= (uint8_t)~LANE_BUF_CSUM_OK;
	f->stats.nr_corrupted++;
}

/* Returns owned a copy of a whole packet, NULL: no frames. */
static struct lane_buf *copy_packet(struct lane_bufs *bs, const struct lane_buf *b)
{
	struct lane_buf *first = NULL, *last = NULL;

	for (;;) {
		struct lane_buf *c = lane_buf_alloc(bs);

		if (!c) {
			if (first)
				lane_buf_free_packet(bs, first);
			return NULL;
		}
		c->off = b->off;
		c->len = b->len;
		c->pkt_len = b->pkt_len;
		c->queue = b->queue;
		c->flags = b->flags & (LANE_BUF_CSUM_OK | LANE_BUF_PARTIAL_OK);
		memcpy(lane_buf_data(bs, c), lane_buf_data(bs, b), b->len);
		if (last) {
			last->flags |= LANE_BUF_MORE;
			last->next = lane_buf_index(bs, c);
		} else {
			first = c;
		}
		last = c;
		if (!(b->flags & LANE_BUF_MORE))
			return first;
		b = lane_buf_at(bs, b->next);
	}
}

/* RFC 3168 5: ECT becomes CE. */
static void mark(struct fault *f, struct lane_buf *b)
{
	uint8_t *ip = lane_buf_data(f->q.bufs, b) + 14;
	bool is4 = ip[0] >> 4 == 4;
	uint16_t sum = 0;

	if (b->len < 14 + 20 || !(is4 ? ip[1] & 0x03 : ip[1] & 0x30))
		return;
	f->stats.nr_marked++;
	if (!is4) {
		ip[1] |= 0x30;
		return;
	}
	ip[1] |= 0x03;
	memcpy(ip + 10, &sum, sizeof(sum));
	sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, ip, (ip[0] & 15U) * 4));
	memcpy(ip + 10, &sum, sizeof(sum));
}

static bool is_lost(struct fault *f)
{
	if (f->to_lose) {
		f->to_lose--;
		return true;
	}
	if (!chance(f, f->cfg.loss))
		return false;
	f->to_lose = f->cfg.burst ? lane_rng_below(&f->rng, f->cfg.burst + 1) : 0;
	return true;
}

/* A place in the queue in front of the link; false: there is none. Sets when the packet has left. */
static bool on_link(struct fault *f, struct lane_buf *b, uint64_t *left_us)
{
	const struct lane_fault_config *cfg = &f->cfg;
	uint64_t now_ns = *cfg->now_us * 1000;
	uint64_t start_ns = f->idle_ns > now_ns ? f->idle_ns : now_ns, waiting;

	*left_us = *cfg->now_us;
	if (!cfg->rate_kbps)
		return true;
	waiting = lane_fault_waiting(&f->q);
	if (cfg->queue_bytes && waiting + b->pkt_len > cfg->queue_bytes)
		return false;
	if (cfg->mark_bytes && waiting > cfg->mark_bytes)
		mark(f, b);
	f->idle_ns = start_ns + (uint64_t)b->pkt_len * 8 * MILLION / cfg->rate_kbps;
	*left_us = f->idle_ns / 1000;
	return true;
}

/* Decides the fate of one packet. Consumes it. */
static void judge(struct fault *f, struct lane_buf *b, bool may_flip)
{
	const struct lane_fault_config *cfg = &f->cfg;
	uint64_t due_us;
	struct lane_buf *twin;

	f->stats.nr_seen++;
	if (is_lost(f)) {
		f->stats.nr_lost++;
		lane_buf_free_packet(f->q.bufs, b);
		return;
	}
	if (chance(f, cfg->mark))
		mark(f, b);
	if (!on_link(f, b, &due_us)) {
		f->stats.nr_queue_full++;
		lane_buf_free_packet(f->q.bufs, b);
		return;
	}
	due_us += cfg->delay_us;
	if (cfg->jitter_us)
		due_us += lane_rng_below(&f->rng, cfg->jitter_us + 1);
	if (due_us < f->last_due_us)
		due_us = f->last_due_us;
	f->last_due_us = due_us;
	if (chance(f, cfg->dup) && (twin = copy_packet(f->q.bufs, b)) != NULL) {
		f->stats.nr_dup++;
		hold(f, twin, due_us + lane_rng_below(&f->rng, cfg->reorder_us + 1));
	}
	if (chance(f, cfg->reorder)) {
		f->stats.nr_reordered++;
		due_us += lane_rng_below(&f->rng, cfg->reorder_us + 1);
	}
	if (may_flip && chance(f, cfg->corrupt))
		flip_bit(f, b);
	hold(f, b, due_us);
}

/* The narrow link on the way does not take it. Consumes it. */
static void refuse(struct fault *f, struct lane_buf *b)
{
	struct lane_buf *error = f->cfg.mtu_hole ? NULL : lane_fault_too_big(f->q.bufs, b, f->cfg.mtu);

	f->stats.nr_too_big++;
	lane_buf_free_packet(f->q.bufs, b);
	if (error && f->inner->drv->tx_burst(f->inner, &error, 1) == 0)
		lane_buf_free(f->q.bufs, error);
}

/* A packet comes from the cable. Consumes it. */
static void arrive(struct fault *f, struct lane_buf *b)
{
	struct lane_buf *out[LANE_CUT_MAX];
	uint32_t nr, flipped;

	if (f->cfg.mtu && lane_fault_beyond(f->q.bufs, b, f->cfg.mtu)) {
		refuse(f, b);
		return;
	}
	if (!chance(f, f->cfg.cut)) {
		judge(f, b, true);
		return;
	}
	nr = lane_fault_cut(f->q.bufs, &f->rng, ++f->frag_id, b, out);
	f->stats.nr_cut += nr > 1;
	f->stats.nr_overflow += nr == 0;
	/* Two flipped bits in one datagram could cancel out in its checksum. */
	flipped = nr ? lane_rng_below(&f->rng, nr) : 0;
	for (uint32_t i = 0; i < nr; i++)
		judge(f, out[i], i == flipped);
}

static uint16_t fault_rx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	struct fault *f = (struct fault *)q;
	struct lane_buf *in[LANE_BURST];
	uint16_t nr = f->inner->drv->rx_burst(f->inner, in, LANE_BURST), due = 0;

	for (uint16_t i = 0; i < nr; i++) {
		in[i]->queue = q->idx;
		arrive(f, in[i]);
	}
	while (due < n && due < f->nr_held && held_at(f, due)->due_us <= *f->cfg.now_us) {
		bufs[due] = lane_buf_at(q->bufs, held_at(f, due)->buf);
		set_owner(f, bufs[due], 0);
		due++;
	}
	f->nr_held -= due;
	f->first = (f->first + due) % HOLD_MAX;
	return due;
}

static uint16_t fault_tx(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n)
{
	struct lane_queue *inner = ((struct fault *)q)->inner;

	return inner->drv->tx_burst(inner, bufs, n);
}

static uint32_t fault_room(const struct lane_queue *q)
{
	struct lane_queue *inner = ((const struct fault *)q)->inner;

	return inner->drv->room ? inner->drv->room(inner) : 0;
}

static void fault_flush(struct lane_queue *q)
{
	struct lane_queue *inner = ((struct fault *)q)->inner;

	if (!inner->drv->flush)
		return;
	inner->drv->flush(inner);
	q->nr_unkicked = inner->nr_unkicked;
}

static void fault_kick(struct lane_queue *q)
{
	struct lane_queue *inner = ((struct fault *)q)->inner;

	if (inner->drv->kick)
		inner->drv->kick(inner);
}

static int fault_arm(struct lane_queue *q)
{
	struct lane_queue *inner = ((struct fault *)q)->inner;

	return inner->drv->arm ? inner->drv->arm(inner) : -1;
}

static void fault_claim(struct lane_queue *q, uint8_t proto, uint16_t port, uint32_t any,
			uint32_t listen)
{
	struct lane_queue *inner = ((struct fault *)q)->inner;

	if (inner->drv->claim)
		inner->drv->claim(inner, proto, port, any, listen);
}

static void fault_limit(struct lane_queue *q, uint16_t port, bool on)
{
	struct lane_queue *inner = ((struct fault *)q)->inner;

	if (inner->drv->limit)
		inner->drv->limit(inner, port, on);
}

static void fault_group(struct lane_queue *q, const struct lane_ip *group, bool on)
{
	struct lane_queue *inner = ((struct fault *)q)->inner;

	if (inner->drv->group)
		inner->drv->group(inner, group, on);
}

static void fault_close(struct lane_queue *q)
{
	struct fault *f = (struct fault *)q;

	if (!f)
		return;
	for (uint32_t i = 0; i < f->nr_held; i++)
		lane_buf_free_packet(q->bufs, lane_buf_at(q->bufs, held_at(f, i)->buf));
	f->inner->drv->close(f->inner);
	free(f);
}

static const struct lane_driver fault_driver = {
	.name = "fault",
	.rx_burst = fault_rx,
	.tx_burst = fault_tx,
	.room = fault_room,
	.flush = fault_flush,
	.kick = fault_kick,
	.arm = fault_arm,
	.claim = fault_claim,
	.limit = fault_limit,
	.group = fault_group,
	.close = fault_close,
};

int lane_fault_open(const struct lane_fault_config *cfg, struct lane_queue *inner,
		    struct lane_queue **q)
{
	struct fault *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->q.drv = &fault_driver;
	f->q.bufs = inner->bufs;
	f->q.caps = inner->caps;
	f->inner = inner;
	f->cfg = *cfg;
	lane_rng_seed(&f->rng, cfg->seed);
	*q = &f->q;
	return 0;
}

void lane_fault_set(struct lane_queue *q, const struct lane_fault_config *cfg)
{
	struct fault *f = (struct fault *)q;
	const uint64_t *now_us = f->cfg.now_us;

	f->cfg = *cfg;
	f->cfg.now_us = now_us;
}

uint64_t lane_fault_next(const struct lane_queue *q)
{
	const struct fault *f = (const struct fault *)q;

	return f->nr_held ? f->hold[f->first].due_us : UINT64_MAX;
}

uint64_t lane_fault_waiting(const struct lane_queue *q)
{
	const struct fault *f = (const struct fault *)q;
	uint64_t now_ns = *f->cfg.now_us * 1000;

	return f->idle_ns > now_ns ? (f->idle_ns - now_ns) / 1000 * f->cfg.rate_kbps / 8000 : 0;
}

const struct lane_fault_stats *lane_fault_stats(const struct lane_queue *q)
{
	return &((const struct fault *)q)->stats;
}
