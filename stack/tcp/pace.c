/*
 * pace.c - pacing: BBR's rate, and SO_MAX_PACING_RATE with any control (see pace.h)
 */
#include "stack/tcp/pcb.h"

#define SLACK_NS    2000000U /* lateness that is made up for: a nap of the keeper */
#define QUANTUM_NS  1000000U /* a quantum is what leaves in this time, */
#define QUANTUM_MAX 65536U   /* so much at most, */
#define QUANTUM_SEGS 2	     /* and two segments at least */
#define HEADERS	    54	     /* bytes of a segment that are no text */

static struct lane_tcp_pace *pace_at(const struct lane *ln, uint32_t i)
{
	return i < ln->st->pace_pool.nr ? &ln->paces[i] : NULL;
}

struct lane_tcp_pace *lane_tcp_pace(const struct lane *ln, const struct lane_tcp *pcb)
{
	return pace_at(ln, lane_tcp_x(ln, pcb)->pace);
}

static bool is_needed(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_opts_set *o = lane_tcp_opts(ln, pcb);

	return o->max_pacing_rate || (lane_cc_ops_at(o->cc)->flags & LANE_CC_PACED);
}

void lane_tcp_pace_put(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_pace *p = lane_tcp_pace(ln, pcb);

	if (p && p->owner == lane_tcp_idx(ln, pcb)) {
		lane_timer_stop(&ln->pace_timers, x->pace);
		p->owner = LANE_NIL;
		lane_pool_put(&ln->st->pace_pool, ln->paces, sizeof(*p), x->pace);
	}
	if (pcb->x != LANE_NIL)
		x->pace = LANE_NIL;
}

void lane_tcp_pace_fit(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_pace *p = lane_tcp_pace(ln, pcb);

	if (p && !is_needed(ln, pcb))
		lane_tcp_pace_put(ln, pcb);
	if (p || !is_needed(ln, pcb) || pcb->x == LANE_NIL)
		return;
	x->pace = lane_pool_get(&ln->st->pace_pool, ln->paces, sizeof(*p));
	p = lane_tcp_pace(ln, pcb);
	if (p)
		p->owner = lane_tcp_idx(ln, pcb);
	else
		ln->st->stats.tcp_unpaced++;
}

uint64_t lane_tcp_pace_rate(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_pace *p = lane_tcp_pace(ln, pcb);
	uint64_t most = lane_tcp_opts(ln, pcb)->max_pacing_rate, rate;

	if (!p)
		return 0;
	rate = p->cc.pacing_rate;
	return most && (rate == 0 || most < rate) ? most : rate;
}

static uint64_t time_ns(uint64_t bytes, uint64_t rate)
{
	return bytes * 1000000000U / rate;
}

/* What may leave beyond the rate, as the time that it takes. */
static uint64_t quantum_ns(const struct lane_tcp *pcb, uint64_t rate)
{
	uint64_t least = time_ns(QUANTUM_SEGS * ((uint64_t)pcb->snd_mss + HEADERS), rate);
	uint64_t most = time_ns(QUANTUM_MAX, rate);
	uint64_t ns = most < QUANTUM_NS ? most : QUANTUM_NS;

	return ns > least ? ns : least;
}

bool lane_tcp_pace_may(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_pace *p = lane_tcp_pace(ln, pcb);
	uint64_t rate = lane_tcp_pace_rate(ln, pcb), now_ns = ln->now_us * 1000;

	if (!p || rate == 0 ||
	    p->next_ns + time_ns((uint64_t)pcb->snd_mss + HEADERS, rate) <= now_ns + quantum_ns(pcb, rate))
		return true;
	lane_timer_start(&ln->pace_timers, x->pace, (p->next_ns + 999) / 1000);
	return false;
}

void lane_tcp_pace_sent(struct lane *ln, struct lane_tcp *pcb, uint32_t bytes)
{
	struct lane_tcp_pace *p = lane_tcp_pace(ln, pcb);
	uint64_t rate = lane_tcp_pace_rate(ln, pcb), from_ns = ln->now_us * 1000;

	if (!p || rate == 0)
		return;
	/* After a pause nothing is late. */
	if (pcb->snd_una != pcb->snd_nxt)
		from_ns -= SLACK_NS;
	if (p->next_ns < from_ns)
		p->next_ns = from_ns;
	p->next_ns += time_ns((uint64_t)bytes + HEADERS, rate);
}

void lane_tcp_pace_timers(struct lane *ln)
{
	/* What is started again meanwhile is for a later tick: so this ends. */
	for (uint32_t n = ln->st->pace_pool.nr; n && lane_wheel_has_moved(&ln->st->pace_wheel, ln->now_us); n--) {
		struct lane_tcp_pace *p =
			pace_at(ln, lane_timer_expire(&ln->pace_timers, ln->now_us));
		struct lane_tcp *pcb;

		if (!p)
			break;
		pcb = lane_tcp_get(ln, p->owner);
		if (pcb)
			lane_tcp_want_output(ln, pcb);
	}
}

void lane_tcp_pace_init(struct lane *ln)
{
	struct lane_state *st = ln->st;

	lane_pool_init(&st->pace_pool, ln->paces, sizeof(struct lane_tcp_pace), st->cfg.nr_pace);
	for (uint32_t i = 0; i < st->pace_pool.nr; i++)
		ln->paces[i].owner = LANE_NIL;
	lane_wheel_init_ticks(&st->pace_wheel, LANE_PACE_TICK_US, ln->now_us);
}

/* What a pcb and its pace say of each other counts; the timers come back with the next output. */
void lane_tcp_pace_recover(struct lane *ln)
{
	struct lane_pool *pool = &ln->st->pace_pool;

	lane_wheel_init_ticks(&ln->st->pace_wheel, LANE_PACE_TICK_US, ln->st->now_us);
	pool->free_head = LANE_NIL;
	pool->nr_used = pool->nr;
	for (uint32_t i = pool->nr; i-- > 0;) {
		struct lane_tcp_pace *p = &ln->paces[i];
		const struct lane_tcp *pcb = lane_tcp_get(ln, p->owner);

		memset(&p->timer, 0, sizeof(p->timer));
		if (pcb && (pcb->flags & LANE_TF_USED) && lane_tcp_x(ln, pcb)->pace == i)
			continue;
		p->owner = LANE_NIL;
		lane_pool_put(pool, ln->paces, sizeof(*p), i);
	}
	for (uint32_t i = 0; i < ln->st->tcp_pool.nr; i++) {
		struct lane_tcp *pcb = &ln->tcps[i];
		const struct lane_tcp_pace *p = lane_tcp_pace(ln, pcb);

		if ((pcb->flags & LANE_TF_USED) && pcb->x != LANE_NIL && (!p || p->owner != i))
			lane_tcp_x(ln, pcb)->pace = LANE_NIL;
	}
}

void lane_tcp_pace_check(const struct lane *ln)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < ln->st->pace_pool.nr; i++) {
		const struct lane_tcp *pcb = lane_tcp_get(ln, ln->paces[i].owner);

		assert(!pcb || lane_tcp_x(ln, pcb)->pace == i);
		assert(pcb || ln->paces[i].timer.slot == 0);
		used += pcb != NULL;
	}
	assert(used == ln->st->pace_pool.nr_used);
}
