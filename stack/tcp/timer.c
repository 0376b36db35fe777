/*
 * timer.c - what happens when nothing happens: retransmission, delayed ACK, probes, keepalive, limits
 *
 * Theory of operation. A pcb has a few deadlines and one entry in the lane's wheel, which stands at
 * the earliest of them or before: pushing a deadline out is one store. When the entry fires, the
 * deadlines that passed are served and the entry is started again for the next. While output is due, a
 * deadline is only noted, and the flush starts the entry: a delayed ACK that leaves with text of the same
 * turn never touches the wheel, whose neighbours in a slot are far apart in memory.
 *
 * Deadlines lie in the extension. Without one only LANE_TT_KEEP and LANE_TT_RETRY are armed, and both
 * are served when the entry fires: a retry too early does no harm, and keep_timeout() looks by itself how
 * long it has been.
 */
#include "stack/tcp/synq.h"

#define ORPHAN_RETRIES	  8 /* where tcp_orphan_retries is 0, as Linux */
#define KEEP_IDLE_WAIT_US 1000000

static void start_wheel(struct lane *ln, struct lane_tcp *pcb, uint32_t at_ms)
{
	uint64_t now = ln->now_us / 1000;
	int32_t in = (int32_t)(at_ms - (uint32_t)now);

	lane_timer_start(&ln->timers, lane_tcp_idx(ln, pcb), (now + (in > 0 ? (uint32_t)in : 0)) * 1000);
}

void lane_tcp_arm(struct lane *ln, struct lane_tcp *pcb, enum lane_tcp_timer t, uint64_t in_us)
{
	/* Further than 2^31 ms no deadline lies. */
	uint64_t in_ms = in_us / 1000 < INT32_MAX ? in_us / 1000 : INT32_MAX - 2;
	uint32_t due_ms;

	if (pcb->x == LANE_NIL && t != LANE_TT_KEEP && t != LANE_TT_RETRY &&
	    !lane_tcp_x_get_tx(ln, pcb)) {
		t = LANE_TT_RETRY;
		in_ms = LANE_X_WAIT_US / 1000;
	}
	due_ms = lane_now_ms(ln) + (uint32_t)in_ms + 1;
	if (pcb->x != LANE_NIL)
		lane_tcp_x(ln, pcb)->due_ms[t] = due_ms;
	pcb->armed |= (uint8_t)(1U << t);
	if (pcb->x != LANE_NIL && (pcb->flags & LANE_TF_OUTPUT))
		return;
	if (pcb->timer.slot == 0 || (int32_t)(due_ms - pcb->timer.tick) < 0)
		start_wheel(ln, pcb, due_ms);
}

void lane_tcp_keepalive_start(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_opts_set *o = lane_tcp_opts(ln, pcb);

	pcb->keep_probes = 0;
	if (pcb->flags & LANE_TF_ORPHAN)
		return;
	if (o->keepalive && pcb->state >= LANE_TCP_ESTABLISHED)
		lane_tcp_arm(ln, pcb, LANE_TT_KEEP, o->keepidle_us);
	else
		lane_tcp_disarm(pcb, LANE_TT_KEEP);
}

bool lane_tcp_linger2_start(struct lane *ln, struct lane_tcp *pcb)
{
	if (lane_tcp_opts(ln, pcb)->linger2_us == UINT32_MAX) {
		lane_tcp_abort(ln, pcb);
		return false;
	}
	pcb->last_tx_ms = lane_now_ms(ln);
	lane_tcp_arm(ln, pcb, LANE_TT_KEEP, lane_tcp_opts(ln, pcb)->linger2_us);
	return true;
}

/* The peer never closes, whatever else it says. */
static void linger2_timeout(struct lane *ln, struct lane_tcp *pcb)
{
	uint64_t past_us = (uint64_t)(lane_now_ms(ln) - pcb->last_tx_ms) * 1000;
	uint64_t limit_us = lane_tcp_opts(ln, pcb)->linger2_us;

	if (pcb->state != LANE_TCP_FIN_WAIT_2)
		return;
	if (past_us < limit_us)
		lane_tcp_arm(ln, pcb, LANE_TT_KEEP, limit_us - past_us);
	else
		lane_tcp_done(ln, pcb);
}

/* How long 'max' retries take from a first time-out of 200 ms, doubled up to 120 s, as Linux counts:
 * a lower RTO floor makes a connection try more often, not die sooner. */
static uint32_t patience_ms(uint8_t max)
{
	uint32_t total_ms = 0, rto_ms = 200;

	for (unsigned int i = 0; i < max; i++) {
		total_ms += rto_ms;
		rto_ms = rto_ms < 60000 ? 2 * rto_ms : 120000;
	}
	return total_ms;
}

/* The user time-out counts from the first probe or retransmission on (as Linux). */
static void first_try(const struct lane *ln, const struct lane_tcp *pcb)
{
	if (lane_tcp_opts(ln, pcb)->user_timeout_us)
		lane_tcp_x(ln, pcb)->start_ms = lane_now_ms(ln);
}

/* Nothing was acknowledged for so long: the user time-out (RFC 5482), or all retries used up. */
static bool given_up(const struct lane *ln, const struct lane_tcp *pcb, uint8_t max)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t limit_ms = lane_tcp_opts(ln, pcb)->user_timeout_us / 1000;
	uint32_t past_ms = lane_now_ms(ln) - x->start_ms;

	if (limit_ms)
		return past_ms >= limit_ms;
	return x->retries >= max && past_ms >= patience_ms(max);
}

static void give_up(struct lane *ln, struct lane_tcp *pcb)
{
	/* RFC 1122 4.2.3.9: what the network said before is the better reason. */
	lane_tcp_fail(ln, pcb, pcb->soft_err ? pcb->soft_err : ETIMEDOUT);
}

/* Arms the next try, not later than the user time-out. */
static void next_try(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint64_t in = pcb->rto.rto_us;
	uint32_t limit_us = lane_tcp_opts(ln, pcb)->user_timeout_us;

	if (limit_us) {
		uint64_t past = (uint64_t)(lane_now_ms(ln) - x->start_ms) * 1000;
		uint64_t left = limit_us > past ? limit_us - past : 0;

		if (left < in)
			in = left;
	}
	lane_tcp_arm(ln, pcb, LANE_TT_RTX, in);
}

static uint8_t max_retries(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_config *cfg = &ln->st->cfg;

	if (!(pcb->flags & LANE_TF_ORPHAN))
		return cfg->retries2;
	return cfg->orphan_retries ? cfg->orphan_retries : ORPHAN_RETRIES;
}

static void syn_timeout(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint8_t max = lane_tcp_opts(ln, pcb)->syncnt;

	/* Closed before a simultaneous open was complete: it waits for its FIN's turn, as orphans do. */
	if ((pcb->flags & LANE_TF_ORPHAN) && max > max_retries(ln, pcb))
		max = max_retries(ln, pcb);
	if (given_up(ln, pcb, max)) {
		give_up(ln, pcb);
		return;
	}
	x->retries++;
	lane_rto_backoff(&pcb->rto);
	pcb->flags |= LANE_TF_SYN_DUE;
	lane_tcp_want_output(ln, pcb);
	next_try(ln, pcb);
}

/* As Linux: a peer that answers does not keep an orphan whose probes are as far apart as they get. */
static bool in_vain(const struct lane *ln, const struct lane_tcp *pcb, uint8_t max)
{
	return (pcb->flags & LANE_TF_ORPHAN) && pcb->rto.rto_us >= LANE_RTO_MAX_US &&
	       lane_now_ms(ln) - lane_tcp_x(ln, pcb)->start_ms >= patience_ms(max);
}

/* RFC 9293 3.8.6.1. An answer resets 'retries': a peer that answers may keep its window shut. */
static void probe_timeout(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint8_t max = max_retries(ln, pcb);
	bool first = pcb->rto.nr_backoffs == 0; /* answers end the retries, not the closed window */

	if ((!first && given_up(ln, pcb, max)) || in_vain(ln, pcb, max)) {
		give_up(ln, pcb);
		return;
	}
	if (first)
		first_try(ln, pcb);
	x->retries++;
	ln->st->stats.tcp_probes++;
	lane_rto_backoff(&pcb->rto);
	pcb->flags |= LANE_TF_PROBE_DUE;
	x->push = 1; /* a cork does not hold what the window takes */
	lane_tcp_want_output(ln, pcb);
	next_try(ln, pcb);
}

/* RFC 6298 5.4 to 5.7. */
static void rtx_timeout(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint8_t max = max_retries(ln, pcb);

	if (pcb->state == LANE_TCP_SYN_SENT || pcb->state == LANE_TCP_SYN_RECEIVED) {
		syn_timeout(ln, pcb);
		return;
	}
	if (pcb->snd_una == pcb->snd_nxt) {
		/* A FIN that found no route is tried, and given up, like a probe. */
		if (x->snd_unsent != LANE_NIL || lane_tcp_fin_due(pcb))
			probe_timeout(ln, pcb);
		return;
	}
	/* Once at least it is sent again, however short the user time-out, which counts from then (as Linux). */
	if (x->retries && given_up(ln, pcb, max)) {
		give_up(ln, pcb);
		return;
	}
	if (x->retries == 0)
		first_try(ln, pcb);
	x->retries++;
	if (ln->st->cfg.mtu_probing && x->retries > ln->st->cfg.retries1)
		lane_tcp_black_hole(ln, pcb);
	ln->st->stats.tcp_rtos++;
	lane_rto_backoff(&pcb->rto);
	lane_tcp_enter_loss(ln, pcb);
	next_try(ln, pcb);
}

static void keep_timeout(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_opts_set *o = lane_tcp_opts(ln, pcb);
	uint64_t idle_us = (uint64_t)(lane_now_ms(ln) - pcb->last_rx_ms) * 1000;
	uint64_t limit_us = o->user_timeout_us;
	uint64_t at_us = o->keepidle_us + pcb->keep_probes * o->keepintvl_us;

	if (pcb->flags & LANE_TF_ORPHAN) {
		linger2_timeout(ln, pcb);
		return;
	}
	if (!o->keepalive || pcb->state < LANE_TCP_ESTABLISHED)
		return;
	/* RFC 1122 4.2.3.6: only when idle; while something is out, its own timer decides. */
	if (pcb->x == LANE_NIL && idle_us < at_us) {
		lane_tcp_arm(ln, pcb, LANE_TT_KEEP, at_us - idle_us);
		return;
	}
	if (pcb->snd_una != pcb->snd_nxt || idle_us < o->keepidle_us) {
		lane_tcp_arm(ln, pcb, LANE_TT_KEEP,
			     idle_us < o->keepidle_us ? o->keepidle_us - idle_us :
							       KEEP_IDLE_WAIT_US);
		return;
	}
	if (limit_us ? idle_us >= limit_us && pcb->keep_probes > 0 :
		       pcb->keep_probes >= o->keepcnt) {
		lane_tcp_xmit_rst(ln, pcb);
		give_up(ln, pcb);
		return;
	}
	pcb->keep_probes++;
	ln->st->stats.tcp_keepalives++;
	pcb->flags |= LANE_TF_PROBE_DUE;
	lane_tcp_want_output(ln, pcb);
	lane_tcp_arm(ln, pcb, LANE_TT_KEEP, o->keepintvl_us);
}

static void fire(struct lane *ln, struct lane_tcp *pcb, enum lane_tcp_timer t)
{
	switch (t) {
	case LANE_TT_RTX:
		rtx_timeout(ln, pcb);
		break;
	case LANE_TT_DACK:
		ln->st->stats.tcp_delayed_acks++;
		pcb->pingpong = 0;
		lane_tcp_ack_now(ln, pcb);
		break;
	case LANE_TT_KEEP:
		keep_timeout(ln, pcb);
		break;
	case LANE_TT_LOSS:
		lane_tcp_loss_timeout(ln, pcb);
		break;
	case LANE_TT_CORK:
		if (pcb->x != LANE_NIL)
			lane_tcp_x(ln, pcb)->push = 1;
		lane_tcp_want_output(ln, pcb);
		break;
	default:
		lane_tcp_space_back(ln, pcb);
		lane_tcp_want_output(ln, pcb);
		break;
	}
}

uint32_t lane_tcp_due_ms(const struct lane *ln, const struct lane_tcp *pcb, enum lane_tcp_timer t)
{
	return pcb->x == LANE_NIL ? pcb->timer.tick : lane_tcp_x(ln, pcb)->due_ms[t];
}

void lane_tcp_rearm(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t first, left = pcb->armed;

	if (left == 0)
		return;
	first = lane_tcp_due_ms(ln, pcb, __builtin_ctz(left));
	while ((left &= left - 1) != 0) {
		uint32_t due = lane_tcp_due_ms(ln, pcb, __builtin_ctz(left));

		if ((int32_t)(due - first) < 0)
			first = due;
	}
	if (pcb->timer.slot == 0 || (int32_t)(first - pcb->timer.tick) < 0)
		start_wheel(ln, pcb, first);
}

/* Serves what is due and starts the entry for what is not. A freed or ended pcb has nothing armed. */
static void expire(struct lane *ln, struct lane_tcp *pcb)
{
	uint32_t now = lane_now_ms(ln), due = 0;

	for (unsigned int t = 0; t < LANE_TT_TIMERS; t++) {
		if (lane_tcp_armed(pcb, t) && (int32_t)(now - lane_tcp_due_ms(ln, pcb, t)) >= 0)
			due |= 1U << t;
	}
	for (unsigned int t = 0; t < LANE_TT_TIMERS; t++) {
		/* What was served may have put off another, or ended all. */
		if (!(due & 1U << t) || !lane_tcp_armed(pcb, t) ||
		    (pcb->x != LANE_NIL && (int32_t)(now - lane_tcp_due_ms(ln, pcb, t)) < 0))
			continue;
		lane_tcp_disarm(pcb, t);
		fire(ln, pcb, t);
	}
	lane_tcp_rearm(ln, pcb);
}

void lane_tcp_timers(struct lane *ln)
{
	/* What is started again meanwhile is for a later tick: so this ends. */
	for (uint32_t n = ln->st->tcp_pool.nr; n && lane_wheel_has_moved(&ln->st->wheel, ln->now_us); n--) {
		uint32_t i = lane_timer_expire(&ln->timers, ln->now_us);
		struct lane_tcp *pcb = lane_tcp_get(ln, i);

		if (!pcb)
			break;
		lane_tcp_work(ln, pcb);
		expire(ln, pcb);
	}
	ln->st->pcb_at_work = LANE_NIL;
	lane_tcp_syn_timers(ln);
	lane_tcp_pace_timers(ln);
	lane_tcp_flood_timers(ln);
	lane_tcp_tw_timers(ln);
}

uint64_t lane_tcp_next_timer(const struct lane *ln)
{
	uint64_t at = lane_wheel_next(&ln->st->wheel), tw = lane_tcp_tw_next(ln);
	uint64_t syn = lane_tcp_syn_next(ln), pace = lane_wheel_next(&ln->st->pace_wheel);
	uint64_t flood = lane_tcp_flood_next(ln);

	at = pace < at ? pace : at;
	at = tw < at ? tw : at;
	at = flood < at ? flood : at;
	return syn < at ? syn : at;
}
