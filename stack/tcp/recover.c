/*
 * recover.c - TCP after a member died inside the lock: what lists and tables say is made anew
 *
 * Each pcb by itself is whole, but for the one under work, which is reset; everything that links
 * them (pools, tables, wheel, queues, counts) may be half written and is rebuilt from the pcbs' flags.
 */
#include "stack/tcp/synq.h"
#include "stack/tcp/timewait.h"

#include <netinet/in.h>

/* The pcb under work: its queues cannot be trusted. The frames are freed by lane_recover(). */
static void reset_at_work(struct lane *ln)
{
	struct lane_tcp *pcb = lane_tcp_get(ln, ln->st->pcb_at_work);
	uint32_t flags;

	ln->st->pcb_at_work = LANE_NIL;
	if (!pcb || !(pcb->flags & LANE_TF_USED) || pcb->state == LANE_TCP_LISTEN)
		return;
	/* Nobody holds it. */
	flags = pcb->flags & (LANE_TF_ORPHAN | LANE_TF_EMBRYO | LANE_TF_DEAD);
	if (flags) {
		memset(pcb, 0, sizeof(*pcb));
		lane_tcp_reset_fields(pcb);
		return;
	}
	pcb->x = LANE_NIL; /* lane_tcp_x_recover() frees it */
	pcb->armed = 0;
	pcb->state = LANE_TCP_CLOSED;
	pcb->err = ECONNRESET;
	pcb->flags = (pcb->flags & (LANE_TF_USED | LANE_TF_ACCQ | LANE_TF_CONNECTED)) |
		     LANE_TF_WAS_RESET | LANE_TF_WR_SHUT | LANE_TF_RD_SHUT;
	pcb->events |= LANE_EV_ERROR;
}

/* A walk through a list of frames that may be broken anywhere: how many are good. */
static void cut_bad_links(struct lane *ln, uint32_t *head)
{
	uint32_t n = 0, *at = head;

	while (*at != LANE_NIL && *at < ln->bufs.nr && n++ < ln->bufs.nr)
		at = &ln->bufs.meta[*at].next;
	*at = LANE_NIL;
}

static void rebuild_pools(struct lane *ln)
{
	struct lane_state *st = ln->st;
	struct lane_pool *p = &st->tcp_pool, *t = &st->tw_pool;

	p->free_head = t->free_head = LANE_NIL;
	p->nr_used = p->nr;
	t->nr_used = t->nr;
	for (uint32_t i = p->nr; i-- > 0;) {
		if ((ln->tcps[i].flags & LANE_TF_USED) && !(ln->tcps[i].flags & LANE_TF_DEAD))
			continue;
		ln->tcps[i].flags = 0;
		lane_pool_put(p, ln->tcps, sizeof(struct lane_tcp), i);
	}
	for (uint32_t i = t->nr; i-- > 0;) {
		if (ln->tws[i].remote_port == 0)
			lane_pool_put(t, ln->tws, sizeof(struct lane_tw), i);
	}
}

static void empty_lists(struct lane *ln)
{
	static const struct lane_list empty = {LANE_NIL, LANE_NIL};
	struct lane_state *st = ln->st;

	st->events = st->output = st->tw_order = empty;
	st->nr_orphans = 0;
	lane_wheel_init(&st->wheel, st->now_us);
	lane_ftable_init(ln->conns, st->cfg.nr_tcp);
	lane_ftable_init(ln->listeners, lane_config_listen(&st->cfg));
	lane_ftable_init(ln->tw_table, st->cfg.nr_tw);
	lane_tell_flow(ln, NULL, NULL, false);
	lane_claim_forget_tcp(ln);
}

/* Puts one pcb back where its flags say that it was. */
static void relink(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t was = pcb->flags;

	pcb->flags &= ~(LANE_TF_OUTPUT | LANE_TF_EVENTS | LANE_TF_HASHED | LANE_TF_CLAIMED);
	memset(&pcb->timer, 0, sizeof(pcb->timer));
	pcb->timer.tick = lane_now_ms(ln); /* without extension all that is armed is due */
	if (was & LANE_TF_HASHED)
		lane_tcp_hash(ln, pcb);
	if (was & LANE_TF_CLAIMED)
		lane_tcp_claim(ln, pcb,
			       pcb->state == LANE_TCP_LISTEN ? LANE_CLAIM_LISTEN : LANE_CLAIM_ANY);
	if (was & LANE_TF_ORPHAN)
		ln->st->nr_orphans++;
	lane_tcp_rearm(ln, pcb);
	/* An event or an output too many does no harm, one too few hangs. */
	if (pcb->state != LANE_TCP_LISTEN)
		lane_tcp_want_output(ln, pcb);
	lane_tcp_notify(ln, pcb, LANE_EV_READABLE | LANE_EV_WRITABLE | LANE_EV_ACCEPT);
}

void lane_tcp_recover(struct lane *ln)
{
	uint32_t nr = ln->st->tcp_pool.nr;

	reset_at_work(ln);
	rebuild_pools(ln);
	empty_lists(ln);
	lane_tcp_x_recover(ln);
	lane_tcp_lq_recover(ln);
	lane_tcp_opts_recover(ln);
	for (uint32_t i = 0; i < nr; i++) {
		struct lane_tcp *pcb = &ln->tcps[i];

		if (!(pcb->flags & LANE_TF_USED))
			continue;
		if (pcb->x != LANE_NIL) {
			struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

			cut_bad_links(ln, &x->rcvq_head);
			cut_bad_links(ln, &x->ooo_head);
			cut_bad_links(ln, &x->sndq_head);
		}
		relink(ln, pcb);
	}
	for (uint32_t i = 0; i < nr; i++) {
		if (ln->tcps[i].flags & LANE_TF_ACCQ)
			lane_tcp_requeue(ln, &ln->tcps[i]);
	}
	lane_tcp_syn_recover(ln);
	lane_tcp_pace_recover(ln);
	lane_tcp_tw_recover(ln);
}
