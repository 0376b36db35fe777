/*
 * lq.c - what a listener has besides its pcb: its queue for accept, and counts
 */
#include "stack/tcp/pcb.h"

size_t lane_tcp_lq_size(void)
{
	return sizeof(struct lane_tcp_lq);
}

static void set_empty(struct lane_tcp_lq *q)
{
	q->waiting = (struct lane_list){LANE_NIL, LANE_NIL};
	q->nr_syns = q->nr_young = q->nr_waiting = 0;
}

int lane_tcp_lq_get(struct lane *ln, struct lane_tcp *l)
{
	uint32_t i = lane_pool_get(&ln->st->lq_pool, ln->lqs, sizeof(struct lane_tcp_lq));

	if (i == LANE_NIL)
		return -ENOBUFS;
	set_empty(&ln->lqs[i]);
	ln->lqs[i].owner = lane_tcp_idx(ln, l);
	l->lq = i;
	return 0;
}

void lane_tcp_lq_put(struct lane *ln, struct lane_tcp *l)
{
	uint32_t i = l->lq;

	if (i >= ln->st->lq_pool.nr)
		return;
	ln->lqs[i].owner = LANE_NIL;
	l->lq = 0;
	lane_pool_put(&ln->st->lq_pool, ln->lqs, sizeof(struct lane_tcp_lq), i);
}

void lane_tcp_lq_init(struct lane *ln)
{
	uint32_t nr = lane_config_listen(&ln->st->cfg);

	for (uint32_t i = 0; i <= nr; i++) {
		ln->lqs[i].owner = LANE_NIL;
		set_empty(&ln->lqs[i]);
	}
	lane_pool_init(&ln->st->lq_pool, ln->lqs, sizeof(struct lane_tcp_lq), nr);
}

void lane_tcp_lq_recover(struct lane *ln)
{
	struct lane_pool *p = &ln->st->lq_pool;

	p->free_head = LANE_NIL;
	p->nr_used = p->nr;
	for (uint32_t i = p->nr; i-- > 0;) {
		struct lane_tcp_lq *q = &ln->lqs[i];
		const struct lane_tcp *l = lane_tcp_get(ln, q->owner);

		/* Its connections put themselves back (lane_tcp_requeue()). */
		set_empty(q);
		if (l && (l->flags & LANE_TF_USED) && l->state == LANE_TCP_LISTEN && l->lq == i)
			continue;
		q->owner = LANE_NIL;
		lane_pool_put(p, ln->lqs, sizeof(*q), i);
	}
}
