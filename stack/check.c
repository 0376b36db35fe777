/*
 * check.c - every invariant of a lane, and the rebuild after a member died inside the lock
 *
 * A frame is in exactly one place: the pool, a driver (to receive into, or LANE_BUF_TX), a send or
 * receive queue, under reassembly, on txq or pending, with the control plane, or with a process (owner). Sent frames are
 * in a send queue and in a driver at once.
 */
#include <stdlib.h>

#include "lane-int/engine.h"

/* Marks one frame of the lane's own lists. */
static void mark(struct lane *ln, uint8_t *seen, uint32_t i)
{
	assert(i < ln->bufs.nr && !seen[i] && !(ln->bufs.meta[i].flags & LANE_BUF_FREE));
	seen[i] = 1;
}

static void mark_out(struct lane *ln, uint8_t *seen)
{
	const struct lane_state *st = ln->st;
	uint32_t nr = 0, nr_pending = 0;

	for (uint32_t i = st->txq.head; i != LANE_NIL; i = ln->bufs.meta[i].next) {
		mark(ln, seen, i);
		nr++;
	}
	assert(nr == st->nr_txq && (nr == 0) == (st->txq.tail == LANE_NIL));
	for (unsigned int k = 0; k < LANE_NR_PENDING; k++) {
		if (st->pending[k].buf == LANE_NIL)
			continue;
		mark(ln, seen, st->pending[k].buf);
		nr_pending++;
	}
	assert(nr_pending == st->nr_pending);
}

static void check_pool(struct lane *ln, const uint8_t *seen)
{
	const struct lane_buf_pool *p = &ln->st->bufs;
	uint32_t nr = 0, nr_flagged = 0;

	for (uint32_t i = p->free_head; i != LANE_NIL; i = ln->bufs.meta[i].next) {
		assert(i < ln->bufs.nr && ln->bufs.meta[i].flags == LANE_BUF_FREE && !seen[i]);
		nr++;
		assert(nr <= ln->bufs.nr);
	}
	for (uint32_t i = 0; i < ln->bufs.nr; i++)
		nr_flagged += ln->bufs.meta[i].flags == LANE_BUF_FREE;
	assert(nr == p->nr_free && nr == nr_flagged);
}

void lane_check(struct lane *ln)
{
	uint8_t *seen = calloc(ln->bufs.nr, 1);

	assert(seen && ln->st->magic == LANE_STATE_MAGIC);
	lane_tcp_check_all(ln);
	lane_tcp_mark_bufs(ln, seen);
	lane_udp_mark_bufs(ln, seen);
	lane_reass_mark_bufs(ln, seen);
	lane_ctl_mark_bufs(ln, seen);
	mark_out(ln, seen);
	check_pool(ln, seen);
	free(seen);
}

/* Whoever may still use a frame that no list of the lane has. */
static bool is_held(const struct lane_buf *b, const uint64_t live_owners[])
{
	unsigned int row = b->owner - 1u;

	if (b->flags & LANE_BUF_TX || b->owner == LANE_BUF_DRIVER)
		return true;
	return live_owners && row < LANE_OWNERS && (live_owners[row / 64] >> row % 64 & 1);
}

/* Frees every frame that nobody holds and links the pool anew. */
static void rebuild_pool(struct lane *ln, const uint8_t *seen, const uint64_t live_owners[])
{
	struct lane_buf_pool *p = &ln->st->bufs;

	p->free_head = LANE_NIL;
	p->nr_free = 0;
	for (uint32_t i = ln->bufs.nr; i-- > 0;) {
		struct lane_buf *b = &ln->bufs.meta[i];

		if (!seen[i])
			b->flags &= (uint8_t)~LANE_BUF_SNDQ;
		if (seen[i] || (!(b->flags & LANE_BUF_FREE) && is_held(b, live_owners)))
			continue;
		*b = (struct lane_buf){.flags = LANE_BUF_FREE, .next = p->free_head};
		p->free_head = i;
		p->nr_free++;
	}
	p->nr = ln->bufs.nr;
}

/* Packets that waited to leave are let go; TCP sends again what matters. */
static void forget_out(struct lane_state *st)
{
	st->txq.head = st->txq.tail = LANE_NIL;
	st->nr_txq = 0;
	st->nr_pending = 0;
	st->ctl_tail = st->ctl_head;
	for (unsigned int i = 0; i < LANE_NR_PENDING; i++)
		st->pending[i].buf = LANE_NIL;
}

void lane_recover(struct lane *ln, const uint64_t live_owners[LANE_OWNERS / 64])
{
	uint8_t *seen = calloc(ln->bufs.nr, 1);

	/* Without memory for the marks nothing is known to be free: the pool stays as small as it
	 * is. */
	if (!seen)
		return;
	forget_out(ln->st);
	lane_tcp_recover(ln);
	lane_udp_recover(ln);
	lane_reass_recover(ln);
	lane_tcp_mark_bufs(ln, seen);
	lane_udp_mark_bufs(ln, seen);
	rebuild_pool(ln, seen, live_owners);
	lane_claim_refresh(ln);
	free(seen);
}
