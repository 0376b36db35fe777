/*
 * line.c - one direction of an emulated link: a rate with a queue, a delay, and faults by a seed
 */
#include "line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPARTS (1u << 16) /* frames that may wait for the rate */
#define ETH     14
#define NEVER   UINT64_MAX

/* splitmix64: one number a call, uniform. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bool happens(uint64_t number, double p)
{
	return (double)(number >> 11) < p * (double)(1ull << 53);
}

int line_init(struct line *l, const struct line_config *cfg, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->cfg = *cfg;
	l->rng = seed;
	l->room = 1024;
	l->departs_ns = calloc(DEPARTS, sizeof(*l->departs_ns));
	l->heap = calloc(l->room, sizeof(struct line_frame *));
	return l->departs_ns && l->heap ? 0 : -ENOMEM;
}

void line_fini(struct line *l)
{
	for (uint32_t i = 0; i < l->nr; i++)
		free(l->heap[i]);
	free(l->heap);
	free(l->departs_ns);
}

/* ---- frames by time ---- */

static bool before(const struct line_frame *a, const struct line_frame *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static bool heap_push(struct line *l, struct line_frame *f)
{
	uint32_t i = l->nr;

	if (l->nr == l->room) {
		struct line_frame **p =
			realloc(l->heap, 2ul * l->room * sizeof(struct line_frame *));

		if (!p)
			return false;
		l->heap = p;
		l->room *= 2;
	}
	l->nr++;
	for (; i && before(f, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		l->heap[i] = l->heap[(i - 1) / 2];
	l->heap[i] = f;
	return true;
}

static struct line_frame *heap_pop(struct line *l)
{
	struct line_frame *top = l->heap[0], *last = l->heap[--l->nr];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < l->nr) {
		if (child + 1 < l->nr && before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!before(l->heap[child], last))
			break;
		l->heap[i] = l->heap[child];
		i = child;
	}
	l->heap[i] = last;
	return top;
}

static void put(struct line *l, const uint8_t *bytes, uint32_t len, uint64_t at_ns,
		const uint64_t *flip)
{
	struct line_frame *f = malloc(sizeof(*f) + len);

	if (!f)
		return;
	memcpy(f->bytes, bytes, len);
	if (flip && len > ETH)
		f->bytes[ETH + *flip / 8 % (len - ETH)] ^= (uint8_t)(1u << *flip % 8);
	f->len = len;
	f->at_ns = at_ns;
	f->order = l->next_order++;
	if (!heap_push(l, f))
		free(f);
}

/* ---- what a frame is ---- */

static bool is_ip4(const uint8_t *b, uint32_t len)
{
	return len >= ETH + 20 && b[12] == 0x08 && b[13] == 0x00;
}

static bool is_ip6(const uint8_t *b, uint32_t len)
{
	return len >= ETH + 40 && b[12] == 0x86 && b[13] == 0xdd;
}

/* TCP and UDP, fragments and extension headers among them; not what finds neighbours. */
static bool may_harm(const uint8_t *b, uint32_t len)
{
	return is_ip4(b, len) || (is_ip6(b, len) && b[ETH + 6] != 58 && b[ETH + 6] != 0);
}

/* RFC 3168: ECT becomes CE. False: it is no such packet. */
static bool mark(uint8_t *b, uint32_t len)
{
	uint32_t sum;

	if (is_ip4(b, len) && (b[ETH + 1] & 3)) {
		/* RFC 1624: the sum grows by what the word grew. */
		sum = (uint32_t)(b[ETH + 10] << 8 | b[ETH + 11]) + (b[ETH + 1] & 3) + 0xffffu - 3;
		sum = (sum & 0xffff) + (sum >> 16);
		b[ETH + 10] = (uint8_t)(sum >> 8);
		b[ETH + 11] = (uint8_t)sum;
		b[ETH + 1] |= 3;
		return true;
	}
	if (is_ip6(b, len) && (b[ETH + 1] & 0x30)) {
		b[ETH + 1] |= 0x30;
		return true;
	}
	return false;
}

/* ---- the way through ---- */

static uint32_t waiting(struct line *l, uint64_t now_ns)
{
	while (l->dep_head != l->dep_tail && l->departs_ns[l->dep_head % DEPARTS] <= now_ns)
		l->dep_head++;
	return l->dep_tail - l->dep_head;
}

/* The queue and the rate: when the frame's last bit is sent; NEVER: the queue is full. */
static uint64_t depart(struct line *l, uint8_t *bytes, uint32_t len, uint64_t now_ns, bool may_drop)
{
	const struct line_config *c = &l->cfg;
	uint64_t backlog;

	if (!c->rate_bps)
		return now_ns;
	if (l->busy_until_ns < now_ns)
		l->busy_until_ns = now_ns;
	backlog = (uint64_t)((double)(l->busy_until_ns - now_ns) * (double)c->rate_bps / 8e9);
	if (may_drop && ((c->queue_bytes && backlog + len > c->queue_bytes) ||
			 (c->queue_frames && waiting(l, now_ns) >= c->queue_frames) ||
			 waiting(l, now_ns) >= DEPARTS))
		return NEVER;
	if (backlog + len > l->stats.queue_max_bytes)
		l->stats.queue_max_bytes = backlog + len;
	if (c->ecn_bytes && backlog > c->ecn_bytes && mark(bytes, len))
		l->stats.marked++;
	l->busy_until_ns += (uint64_t)((double)len * 8e9 / (double)c->rate_bps);
	if (l->dep_tail - l->dep_head < DEPARTS)
		l->departs_ns[l->dep_tail++ % DEPARTS] = l->busy_until_ns;
	return l->busy_until_ns;
}

void line_in(struct line *l, const uint8_t *bytes, uint32_t len, uint64_t now_ns)
{
	bool harm = may_harm(bytes, len), corrupt;
	uint64_t fate[5] = {0}, at;
	uint8_t copy[len];

	l->stats.in++;
	l->stats.in_bytes += len;
	/* All numbers of a frame at once, whatever becomes of it: the next one's do not depend on
	 * it. */
	for (int i = 0; harm && i < 5; i++)
		fate[i] = draw(&l->rng);
	if (harm && happens(fate[0], l->cfg.loss)) {
		l->stats.lost++;
		return;
	}
	memcpy(copy, bytes, len);
	at = depart(l, copy, len, now_ns, harm);
	if (at == NEVER) {
		l->stats.queue_drops++;
		return;
	}
	at += l->cfg.delay_ns;
	corrupt = harm && happens(fate[1], l->cfg.corrupt);
	l->stats.corrupted += corrupt;
	if (harm && happens(fate[2], l->cfg.dup)) {
		l->stats.duplicated++;
		put(l, copy, len, at, NULL);
	}
	if (harm && happens(fate[3], l->cfg.reorder)) {
		l->stats.reordered++;
		at += l->cfg.hold_ns;
	}
	put(l, copy, len, at, corrupt ? &fate[4] : NULL);
}

struct line_frame *line_out(struct line *l, uint64_t now_ns)
{
	return l->nr && l->heap[0]->at_ns <= now_ns ? heap_pop(l) : NULL;
}

uint64_t line_next_ns(const struct line *l)
{
	return l->nr ? l->heap[0]->at_ns : NEVER;
}

void line_sent(struct line *l, const struct line_frame *f, bool ok, uint64_t now_ns)
{
	uint64_t late_ns = now_ns - f->at_ns, us = late_ns / 1000;
	int i = 0;

	if (!ok) {
		l->stats.send_failed++;
		return;
	}
	for (; us && i < LINE_LATE - 1; us >>= 1)
		i++;
	l->stats.late[i]++;
	if (late_ns > l->stats.late_max_ns)
		l->stats.late_max_ns = late_ns;
	l->stats.out++;
	l->stats.out_bytes += f->len;
}
