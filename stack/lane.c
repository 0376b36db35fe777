/*
 * lane.c - one lane's life: create, attach, a turn, its queues
 *
 * The memory may be shared with processes of less privilege than the keeper: attach() checks what
 * it can, and every index is checked where it becomes an address.
 */
#include <errno.h>
#include <stdlib.h>

#include "lane-int/engine.h"
#include "stack/layout.h"

#define LANE_TIMERS_US (LANE_WHEEL_TICK_US / 8)

/* Points the handle into the memory at 'st', whose layout is right. */
static void map_arrays(struct lane *ln, struct lane_state *st)
{
	char *base = (char *)st;

	ln->st = st;
	ln->now_us = st->now_us;
	ln->now_ms = (uint32_t)(st->now_us / 1000);
	ln->net = (void *)(base + st->at.nettab);
	ln->nr_ifs = lane_config_ifs(&st->cfg);
	ln->claims = (void *)(base + st->at.claims);
	ln->tcps = (void *)(base + st->at.tcp);
	ln->syns = (void *)(base + st->at.syn);
	ln->tcp_ip6s = (void *)(base + st->at.tcp_ip6);
	ln->tcp_colds = (void *)(base + st->at.tcp_cold);
	ln->xs = (void *)(base + st->at.tcp_x);
	ln->lqs = (void *)(base + st->at.lq);
	ln->osets = (void *)(base + st->at.oset);
	ln->tws = (void *)(base + st->at.tw);
	ln->tw_ip6s = (void *)(base + st->at.tw_ip6);
	ln->udps = (void *)(base + st->at.udp);
	ln->paces = (void *)(base + st->at.pace);
	ln->conns = (void *)(base + st->at.conn_table);
	ln->listeners = (void *)(base + st->at.listen_table);
	ln->syn_table = (void *)(base + st->at.syn_table);
	ln->tw_table = (void *)(base + st->at.tw_table);
	ln->udp_table = (void *)(base + st->at.udp_table);
	ln->bufs = (struct lane_bufs){
		.meta = (void *)(base + st->at.meta),
		.frames = (void *)(base + st->at.frames),
		.pool = &st->bufs,
		.nr = st->cfg.nr_bufs,
		.stride = st->cfg.buf_stride,
		.size = st->cfg.buf_size,
	};
}

static void init_state(struct lane_state *st, const struct lane_config *cfg, uint64_t now_us)
{
	static const struct lane_list empty = {LANE_NIL, LANE_NIL};

	st->version = LANE_STATE_VERSION;
	st->state_size = sizeof(*st);
	st->cfg = *cfg;
	lane_layout_make(cfg, &st->at);
	st->now_us = now_us;
	lane_rng_seed(&st->rng, cfg->seed);
	st->key.k[0] = cfg->hash_key[0];
	st->key.k[1] = cfg->hash_key[1];
	lane_wheel_init(&st->wheel, now_us);
	st->events = st->udp_events = st->output = st->tw_order = st->txq = empty;
	st->pcb_at_work = LANE_NIL;
	st->ip_id = (uint16_t)lane_rng_u64(&st->rng);
	st->next_port = (uint16_t)lane_rng_u64(&st->rng);
	st->frag_id = st->ip_id;
	for (unsigned int i = 0; i < LANE_NR_PENDING; i++)
		st->pending[i].buf = LANE_NIL;
}

struct lane *lane_create(const struct lane_config *cfg, void *mem, uint64_t now_us)
{
	struct lane_state *st = mem;
	struct lane *ln = calloc(1, sizeof(*ln));

	if (!ln)
		return NULL;
	init_state(st, cfg, now_us);
	map_arrays(ln, st);
	for (unsigned int i = 0; i < ln->nr_ifs; i++)
		lane_net_init(&ln->net[i]);
	lane_ftable_init(ln->conns, cfg->nr_tcp);
	lane_ftable_init(ln->listeners, lane_config_listen(cfg));
	lane_ftable_init(ln->syn_table, cfg->nr_syn);
	lane_ftable_init(ln->tw_table, cfg->nr_tw);
	lane_ftable_init(ln->udp_table, 2 * cfg->nr_udp); /* by port, and by flow when connected */
	lane_buf_pool_init(&ln->bufs);
	lane_tcp_init(ln);
	lane_udp_init(ln);
	lane_tcp_attach(ln);
	/* Last: who attaches and sees it finds the rest. */
	__atomic_store_n(&st->magic, LANE_STATE_MAGIC, __ATOMIC_RELEASE);
	return ln;
}

/* The layout that 'st' states is the one that this build makes of its configuration, and frames hold
 * what is put into them. */
static bool is_sound(const struct lane_state *st, size_t size)
{
	struct lane_layout at;

	if (size < sizeof(*st) || __atomic_load_n(&st->magic, __ATOMIC_ACQUIRE) != LANE_STATE_MAGIC)
		return false;
	if (st->version != LANE_STATE_VERSION || st->state_size != sizeof(*st))
		return false;
	if (st->cfg.buf_size <= LANE_HEADROOM || st->cfg.buf_size > st->cfg.buf_stride)
		return false;
	lane_layout_make(&st->cfg, &at);
	return at.size <= size && memcmp(&at, &st->at, sizeof(at)) == 0;
}

struct lane *lane_attach(void *mem, size_t size)
{
	struct lane *ln;

	if (!is_sound(mem, size)) {
		errno = EPROTO;
		return NULL;
	}
	ln = calloc(1, sizeof(*ln));
	if (!ln)
		return NULL;
	map_arrays(ln, mem);
	lane_tcp_attach(ln);
	return ln;
}

void lane_detach(struct lane *ln)
{
	free(ln);
}

int lane_add_queue(struct lane *ln, struct lane_queue *q)
{
	if (ln->nr_queues == LANE_QUEUES_ALL)
		return -ENOSPC;
	if (q->ifi >= ln->nr_ifs)
		return -EINVAL;
	q->idx = (uint8_t)ln->nr_queues;
	ln->queues[ln->nr_queues++] = q;
	return 0;
}

struct lane_queue *lane_queue(struct lane *ln, unsigned int idx)
{
	return idx < ln->nr_queues ? ln->queues[idx] : NULL;
}

struct lane_bufs *lane_bufs(struct lane *ln)
{
	return &ln->bufs;
}

struct lane_nettab *lane_nettab(struct lane *ln)
{
	return ln->net;
}

struct lane_nettab *lane_nettab_at(struct lane *ln, unsigned int ifi)
{
	return ifi < ln->nr_ifs ? &ln->net[ifi] : NULL;
}

const struct lane_stats *lane_stats(const struct lane *ln)
{
	return &ln->st->stats;
}

void lane_count_drop(struct lane *ln, enum lane_drop why)
{
	ln->st->stats.drops[why]++;
}

/* Another process may have been here with a later clock: time never goes back. */
void lane_set_now(struct lane *ln, uint64_t now_us)
{
	if (now_us > ln->st->now_us)
		ln->st->now_us = now_us;
	ln->now_us = ln->st->now_us;
	ln->now_ms = (uint32_t)(ln->now_us / 1000);
}

/* Not with each packet that waits to be answered: only pacing is finer than a tick of the wheel. */
static void run_timers(struct lane *ln, bool idle)
{
	uint64_t us = ln->st->pace_wheel.nr_started ? ln->st->pace_wheel.tick_us : LANE_TIMERS_US;

	if (!idle && ln->now_us - ln->st->timers_us < us)
		return;
	ln->st->timers_us = ln->now_us;
	lane_tcp_timers(ln);
	lane_reass_timers(ln);
	lane_pmtu_timers(ln);
}

unsigned int lane_poll(struct lane *ln, uint64_t now_us)
{
	struct lane_buf *bufs[LANE_BURST];
	unsigned int nr = 0;

	lane_set_now(ln, now_us);
	ln->st->stats.polls++;
	for (unsigned int i = 0; i < ln->nr_queues; i++) {
		struct lane_queue *q = ln->queues[i];
		uint16_t n = q->drv->rx_burst(q, bufs, LANE_BURST);

		lane_rx(ln, bufs, n);
		nr += n;
	}
	if (ln->st->nr_txq || ln->st->nr_pending)
		lane_ip_retry(ln);
	run_timers(ln, nr == 0);
	lane_claim_spill(ln);
	return nr;
}

/* Queues whose rings hold frames that no kick has handed over. */
static uint32_t unkicked(const struct lane *ln)
{
	uint32_t mask = 0;

	for (unsigned int i = 0; i < ln->nr_queues; i++)
		if (__atomic_load_n(&ln->queues[i]->nr_unkicked, __ATOMIC_RELAXED))
			mask |= 1u << i;
	return mask;
}

/* Drivers that gather frames until the end of a turn. */
static void flush_queues(struct lane *ln, uint32_t mask)
{
	for (; mask; mask &= mask - 1) {
		struct lane_queue *q = ln->queues[__builtin_ctz(mask)];

		if (q->drv->flush)
			q->drv->flush(q);
	}
}

uint32_t lane_flush(struct lane *ln)
{
	uint32_t mask;

	lane_tcp_flush(ln);
	if (ln->st->nr_txq)
		lane_ip_retry(ln);
	/* nr_unkicked: a kick that the kernel cut short, or that another process put off. */
	mask = ln->kick_mask | unkicked(ln);
	ln->kick_mask = 0;
	flush_queues(ln, mask);
	return mask;
}

void lane_kick(struct lane *ln, uint32_t mask)
{
	for (; mask; mask &= mask - 1) {
		struct lane_queue *q = lane_queue(ln, (unsigned int)__builtin_ctz(mask));

		if (q && q->drv->kick)
			q->drv->kick(q);
	}
}

uint64_t lane_next_due(const struct lane *ln)
{
	uint64_t at = lane_tcp_next_timer(ln);
	/* What waits for a neighbour or for room in a ring is looked after every tick. */
	uint64_t retry = ln->st->now_us + LANE_WHEEL_TICK_US;
	uint64_t reass = lane_reass_next_timer(ln);

	at = reass < at ? reass : at;
	if ((ln->st->nr_pending || ln->st->nr_txq) && retry < at)
		return retry;
	return at;
}

uint64_t lane_next_timer(const struct lane *ln)
{
	uint64_t at = lane_next_due(ln), retry = ln->st->now_us + LANE_WHEEL_TICK_US;

	return retry < at && unkicked(ln) ? retry : at;
}

bool lane_event(struct lane *ln, struct lane_event *ev)
{
	return lane_tcp_event(ln, ev) || lane_udp_event(ln, ev);
}
