/*
 * opts.c - the options of connections: one set for all that have the same
 *
 * A pcb names its set by a number; who changes an option takes another set, one that exists or a new one.
 * Programs set the same on all their connections, so there are few of them, and a listener's are inherited
 * for nothing. Set 0 is the lane's defaults and is never freed. Sets of the same hash form a chain.
 */
#include "stack/tcp/pcb.h"

size_t lane_tcp_oset_size(void)
{
	return sizeof(struct lane_tcp_oset);
}

static uint32_t head_of(const struct lane_tcp_opts_set *o)
{
	const uint32_t *w = (const uint32_t *)o;
	uint32_t h = 0;

	_Static_assert(sizeof(*o) % sizeof(*w) == 0, "whole words");
	for (size_t i = 0; i < sizeof(*o) / sizeof(*w); i++)
		h = (h ^ w[i]) * 0x9e3779b1U;
	return (h >> 16) % LANE_OSET_HEADS;
}

static uint32_t find(const struct lane *ln, const struct lane_tcp_opts_set *o)
{
	uint32_t i = ln->st->oset_head[head_of(o)];

	while (i != LANE_NIL && memcmp(&lane_tcp_oset(ln, i)->o, o, sizeof(*o)) != 0)
		i = lane_tcp_oset(ln, i)->link;
	return i;
}

static uint32_t add(struct lane *ln, const struct lane_tcp_opts_set *o)
{
	uint32_t i = lane_pool_get(&ln->st->oset_pool, ln->osets, sizeof(struct lane_tcp_oset));
	uint32_t *head = &ln->st->oset_head[head_of(o)];

	if (i == LANE_NIL)
		return LANE_NIL;
	ln->osets[i].o = *o;
	ln->osets[i].link = *head;
	*head = i;
	return i;
}

static void unlink_set(struct lane *ln, uint32_t i)
{
	uint32_t *at = &ln->st->oset_head[head_of(&ln->osets[i].o)];

	while (*at != i && *at < ln->st->oset_pool.nr)
		at = &ln->osets[*at].link;
	if (*at == i)
		*at = ln->osets[i].link;
}

void lane_tcp_opts_drop(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t i = pcb->opts;

	pcb->opts = 0;
	if (i == 0 || i >= ln->st->oset_pool.nr || --ln->osets[i].nr_refs)
		return;
	unlink_set(ln, i);
	lane_pool_put(&ln->st->oset_pool, ln->osets, sizeof(struct lane_tcp_oset), i);
}

static void hold(struct lane *ln, struct lane_tcp *pcb, uint32_t i)
{
	if (i)
		lane_tcp_oset(ln, i)->nr_refs++;
	lane_tcp_opts_drop(ln, pcb);
	pcb->opts = (uint16_t)i;
}

int lane_tcp_opts_take(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp_opts_set *o)
{
	uint32_t i = find(ln, o);

	if (i == LANE_NIL)
		i = add(ln, o);
	if (i == LANE_NIL) {
		ln->st->stats.tcp_no_opts++;
		return -ENOBUFS;
	}
	hold(ln, pcb, i);
	return 0;
}

void lane_tcp_opts_share(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp *of)
{
	hold(ln, pcb, of->opts);
}

void lane_tcp_default_opts(const struct lane *ln, struct lane_tcp_opts_set *o)
{
	const struct lane_config *c = &ln->st->cfg;

	memset(o, 0, sizeof(*o));
	*o = (struct lane_tcp_opts_set){
		.rcvbuf = c->tcp_rmem[1],
		.sndbuf = c->tcp_wmem[1],
		.keepidle_us = c->keepalive_time_us,
		.keepintvl_us = c->keepalive_intvl_us,
		.keepcnt = c->keepalive_probes,
		.linger2_us = c->fin_timeout_us,
		.notsent_lowat = UINT32_MAX,
		.syncnt = c->syn_retries,
		.ttl = c->ttl,
		.cc = c->cc,
		.quickack = 1,
	};
}

void lane_tcp_opts_fresh(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_opts_set o;

	lane_tcp_default_opts(ln, &o);
	if (memcmp(&o, &lane_tcp_oset(ln, 0)->o, sizeof(o)) != 0)
		lane_tcp_opts_take(ln, pcb, &o);
}

void lane_tcp_opts_init(struct lane *ln)
{
	struct lane_tcp_opts_set o;
	uint32_t i;

	lane_pool_init(&ln->st->oset_pool, ln->osets, sizeof(struct lane_tcp_oset), LANE_TCP_OSETS);
	for (i = 0; i < LANE_OSET_HEADS; i++)
		ln->st->oset_head[i] = LANE_NIL;
	lane_tcp_default_opts(ln, &o);
	i = add(ln, &o);
	assert(i == 0);
	ln->osets[i].nr_refs = 1;
}

void lane_tcp_opts_recover(struct lane *ln)
{
	struct lane_pool *p = &ln->st->oset_pool;

	for (uint32_t i = 0; i < p->nr; i++)
		ln->osets[i].nr_refs = i == 0;
	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		struct lane_tcp *pcb = &ln->tcps[i];

		if (!(pcb->flags & LANE_TF_USED))
			continue;
		if (pcb->opts >= p->nr)
			pcb->opts = 0;
		if (pcb->opts)
			ln->osets[pcb->opts].nr_refs++;
	}
	for (uint32_t i = 0; i < LANE_OSET_HEADS; i++)
		ln->st->oset_head[i] = LANE_NIL;
	p->free_head = LANE_NIL;
	p->nr_used = p->nr;
	for (uint32_t i = p->nr; i-- > 0;) {
		uint32_t *head = &ln->st->oset_head[head_of(&ln->osets[i].o)];

		if (ln->osets[i].nr_refs == 0) {
			lane_pool_put(p, ln->osets, sizeof(struct lane_tcp_oset), i);
			continue;
		}
		ln->osets[i].link = *head;
		*head = i;
	}
}

void lane_tcp_opts_check(const struct lane *ln)
{
	const struct lane_pool *p = &ln->st->oset_pool;
	uint32_t refs = 0, holders = 0, used = 0, chained = 0;

	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++)
		holders += (ln->tcps[i].flags & LANE_TF_USED) && ln->tcps[i].opts;
	for (uint32_t i = 0; i < p->nr; i++) {
		refs += i ? ln->osets[i].nr_refs : 0;
		used += ln->osets[i].nr_refs != 0;
	}
	for (uint32_t h = 0; h < LANE_OSET_HEADS; h++) {
		for (uint32_t i = ln->st->oset_head[h]; i != LANE_NIL; i = ln->osets[i].link) {
			assert(ln->osets[i].nr_refs && head_of(&ln->osets[i].o) == h);
			chained++;
		}
	}
	assert(refs == holders && used == p->nr_used && chained == used);
}
