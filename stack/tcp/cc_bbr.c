/*
 * cc_bbr.c - BBRv3 (draft-ietf-ccwg-bbr): the rate follows the bandwidth that was measured
 *
 * Theory of operation. Startup doubles the rate each round until the bandwidth stops growing or too much is lost,
 * Drain empties the queue that this made. ProbeBW then cycles: UP sends a quarter more than the path is known
 * to take, until there is more, or loss; DOWN takes the queue away; CRUISE leaves a little to others; REFILL
 * fills the pipe once before the next UP, two to three seconds, or as many rounds as Reno would take, after the
 * last. ProbeRTT halves what is in flight for 200 ms when five seconds brought no shorter round trip.
 * cwnd is only a cap: pacing is what sends (pace.c).
 *
 * The model is in cc_bbr_model.c. Gains are in 2^-8.
 */
#include "stack/tcp/cc_bbr.h"

#include <string.h>

#define ONE		  256U
#define BETA		  179U /* 0.7 */
#define STARTUP_LOSSES	  6    /* segments lost in a round that end Startup */
#define MIN_PIPE_SEGS	  4
#define PROBE_RTT_US	  200000U
#define PROBE_WAIT_US	  2000000U
#define PROBE_WAIT_RAND_US 1000000U
#define RENO_ROUNDS_MAX	  63
#define QUANTUM_MAX	  65536U

static const struct {
	uint16_t pacing, cwnd;
} gains[BBR_STATES] = {
	[BBR_STARTUP] = {709, 2 * ONE}, [BBR_DRAIN] = {ONE / 2, 2 * ONE}, [BBR_DOWN] = {230, 2 * ONE},
	[BBR_CRUISE] = {ONE, 2 * ONE},	[BBR_REFILL] = {ONE, 2 * ONE},	  [BBR_UP] = {320, 576},
	[BBR_PROBE_RTT] = {ONE, ONE / 2},
};

static uint32_t max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static bool is_probe_bw(const struct bbr *b)
{
	return b->state >= BBR_DOWN && b->state <= BBR_UP;
}

/* xorshift: who probes when need not be secret, only different. */
static uint32_t draw(struct bbr *b, const struct lane_cc_sample *s)
{
	uint32_t x = b->random ^ (uint32_t)s->now_us;

	x = x ? x : 1;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return b->random = x;
}

/* ---- ProbeBW: 5.3.3 ---- */

static void start_down(struct bbr *b, const struct lane_cc_sample *s)
{
	lane_bbr_reset_signals(b);
	b->probe_up_cnt = UINT32_MAX;
	b->rounds_since_probe = draw(b, s) & 1;
	b->probe_wait_us = PROBE_WAIT_US + draw(b, s) % PROBE_WAIT_RAND_US;
	b->cycle_at = (uint32_t)s->now_us;
	b->ack_phase = BBR_ACKS_STOPPING;
	lane_bbr_start_round(b, s);
	b->state = BBR_DOWN;
}

static void start_refill(struct bbr *b, const struct lane_cc_sample *s)
{
	lane_bbr_reset_lower_bounds(b);
	b->probe_up_rounds = 0;
	b->probe_up_acks = 0;
	b->ack_phase = BBR_ACKS_REFILLING;
	lane_bbr_start_round(b, s);
	b->state = BBR_REFILL;
}

/* How much each round of UP may add: a segment, then two, four and so on. */
static void raise_slope(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint64_t grow = (uint64_t)s->mss << b->probe_up_rounds;

	if (b->probe_up_rounds < 30)
		b->probe_up_rounds++;
	b->probe_up_cnt = max32((uint32_t)(cc->cwnd / grow), 1);
}

static void start_up(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	b->probe_samples = 1;
	b->ack_phase = BBR_ACKS_STARTING;
	lane_bbr_start_round(b, s);
	lane_bbr_reset_full_bw(b, lane_bbr_sample_bw(s));
	b->state = BBR_UP;
	raise_slope(b, cc, s);
}

/* 5.3.3.5: also as often as Reno would have grown by its losses' worth. */
static bool is_time_to_probe(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t reno = lane_bbr_target_inflight(b, cc, s) / s->mss;

	return (uint32_t)s->now_us - b->cycle_at > b->probe_wait_us ||
	       b->rounds_since_probe >= min32(reno, RENO_ROUNDS_MAX);
}

static bool is_time_to_cruise(const struct bbr *b, const struct lane_cc_sample *s)
{
	return s->in_flight <= lane_bbr_inflight_with_headroom(b, s) && s->in_flight <= lane_bbr_inflight(b, s, ONE);
}

static bool is_time_to_go_down(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	if (!s->app_limited && cc->cwnd >= b->inflight_hi) {
		/* Not the path limits but what we dare. */
		lane_bbr_reset_full_bw(b, lane_bbr_sample_bw(s));
		return false;
	}
	return b->full_bw_now;
}

static void probe_hi_upward(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t delta;

	if (s->app_limited || cc->cwnd < b->inflight_hi)
		return;
	b->probe_up_acks += s->newly_delivered;
	delta = b->probe_up_acks / b->probe_up_cnt;
	b->probe_up_acks -= delta * b->probe_up_cnt;
	b->inflight_hi = min32(b->inflight_hi + delta, LANE_CC_CWND_MAX);
	if (b->round_start)
		raise_slope(b, cc, s);
}

static void handle_too_high(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t target = (uint32_t)((uint64_t)lane_bbr_target_inflight(b, cc, s) * BETA / ONE);

	b->probe_samples = 0;
	if (!s->rate_app_limited)
		b->inflight_hi = max32(s->tx_in_flight, target);
	if (b->state == BBR_UP)
		start_down(b, s);
}

/* 5.3.3.6: what the ACKs of a probe say of the most that may be in flight. */
static void adapt_hi(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	if (b->ack_phase == BBR_ACKS_STARTING && b->round_start)
		b->ack_phase = BBR_ACKS_FEEDBACK;
	if (b->ack_phase == BBR_ACKS_STOPPING && b->round_start) {
		b->probe_samples = 0;
		b->ack_phase = BBR_ACKS_INIT;
		if (is_probe_bw(b) && !s->rate_app_limited)
			lane_bbr_advance_max_bw(b);
	}
	if (lane_bbr_is_inflight_too_high(s)) {
		if (b->probe_samples)
			handle_too_high(b, cc, s);
		return;
	}
	if (b->inflight_hi == BBR_INF)
		return;
	if (s->has_rate && s->tx_in_flight > b->inflight_hi)
		b->inflight_hi = s->tx_in_flight;
	if (b->state == BBR_UP)
		probe_hi_upward(b, cc, s);
}

static void update_cycle(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	if (!b->full_bw_reached)
		return;
	adapt_hi(b, cc, s);
	switch (b->state) {
	case BBR_DOWN:
	case BBR_CRUISE:
		if (is_time_to_probe(b, cc, s))
			start_refill(b, s);
		else if (b->state == BBR_DOWN && is_time_to_cruise(b, s))
			b->state = BBR_CRUISE;
		break;
	case BBR_REFILL:
		if (b->round_start)
			start_up(b, cc, s);
		break;
	case BBR_UP:
		if (is_time_to_go_down(b, cc, s))
			start_down(b, s);
		break;
	default:
		break;
	}
}

/* ---- Startup and Drain: 5.3.1, 5.3.2 ---- */

static void check_startup(struct bbr *b, const struct lane_cc_sample *s)
{
	if (b->state != BBR_STARTUP)
		return;
	/* 5.3.1.3: too much lost over a round, in recovery. */
	if (b->loss_round_start && s->in_recovery && b->lost_in_round >= STARTUP_LOSSES * s->mss &&
	    lane_bbr_is_inflight_too_high(s)) {
		b->full_bw_reached = 1;
		b->inflight_hi = max32(lane_bbr_bdp(b, s, ONE), b->inflight_latest);
	}
	if (b->full_bw_reached)
		b->state = BBR_DRAIN;
}

static void check_drain(struct bbr *b, const struct lane_cc_sample *s)
{
	if (b->state == BBR_DRAIN && s->in_flight <= lane_bbr_inflight(b, s, ONE))
		start_down(b, s);
}

/* ---- ProbeRTT: 5.3.4 ---- */

static uint32_t probe_rtt_cwnd(const struct bbr *b, const struct lane_cc_sample *s)
{
	return max32(lane_bbr_bdp(b, s, gains[BBR_PROBE_RTT].cwnd), MIN_PIPE_SEGS * s->mss);
}

static void restore_cwnd(struct bbr *b, struct lane_cc *cc)
{
	cc->cwnd = max32(cc->cwnd, b->prior_cwnd);
}

static void exit_probe_rtt(struct bbr *b, struct lane_cc *cc, const struct lane_cc_sample *s)
{
	b->probe_rtt_min_at = (uint32_t)s->now_us;
	restore_cwnd(b, cc);
	lane_bbr_reset_lower_bounds(b);
	if (b->full_bw_reached) {
		start_down(b, s);
		b->state = BBR_CRUISE;
	} else {
		b->state = BBR_STARTUP;
	}
}

static void check_probe_rtt_done(struct bbr *b, struct lane_cc *cc, const struct lane_cc_sample *s)
{
	if (b->probe_rtt_timed && (int32_t)((uint32_t)s->now_us - b->probe_rtt_done_at) > 0)
		exit_probe_rtt(b, cc, s);
}

static void check_probe_rtt(struct bbr *b, struct lane_cc *cc, const struct lane_cc_sample *s)
{
	if (b->state != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
		b->state = BBR_PROBE_RTT;
		b->prior_cwnd = cc->cwnd;
		b->probe_rtt_timed = 0;
		b->ack_phase = BBR_ACKS_STOPPING;
		lane_bbr_start_round(b, s);
	}
	if (s->newly_delivered)
		b->idle_restart = 0;
	if (b->state != BBR_PROBE_RTT)
		return;
	s->ext->mark_limited = 1;
	if (!b->probe_rtt_timed) {
		if (s->in_flight > probe_rtt_cwnd(b, s))
			return;
		b->probe_rtt_timed = 1;
		b->probe_rtt_done_at = (uint32_t)s->now_us + PROBE_RTT_US;
		b->probe_rtt_round_done = 0;
		lane_bbr_start_round(b, s);
		return;
	}
	b->probe_rtt_round_done |= b->round_start;
	if (b->probe_rtt_round_done)
		check_probe_rtt_done(b, cc, s);
}

/* ---- the controls: 5.6 ---- */

static void set_pacing_rate(const struct bbr *b, const struct lane_cc_sample *s, uint32_t gain)
{
	/* 1 % less than what was measured, so that queues shrink. */
	uint64_t rate = b->bw * gain / ONE / 100 * 99;

	if (b->bw && (b->full_bw_reached || rate > s->ext->pacing_rate))
		s->ext->pacing_rate = rate;
	rate = s->ext->pacing_rate / 1000;
	s->ext->quantum = max32((uint32_t)(rate < QUANTUM_MAX ? rate : QUANTUM_MAX), 2 * s->mss);
}

static void bound_cwnd(const struct bbr *b, struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t cap = BBR_INF;

	if (b->state == BBR_CRUISE || b->state == BBR_PROBE_RTT)
		cap = lane_bbr_inflight_with_headroom(b, s);
	else if (is_probe_bw(b))
		cap = b->inflight_hi;
	if (b->state == BBR_PROBE_RTT)
		cap = min32(cap, probe_rtt_cwnd(b, s));
	cap = max32(min32(cap, b->inflight_lo), MIN_PIPE_SEGS * s->mss);
	cc->cwnd = min32(cc->cwnd, cap);
}

static void set_cwnd(const struct bbr *b, struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t extra = max32(b->extra_acked[0], b->extra_acked[1]);
	uint32_t most = lane_bbr_inflight(b, s, gains[b->state].cwnd);

	most = most < LANE_CC_CWND_MAX - extra ? most + extra : LANE_CC_CWND_MAX;
	if (b->full_bw_reached)
		cc->cwnd = min32(cc->cwnd + s->newly_delivered, most);
	else if (cc->cwnd < most || s->delivered < lane_cc_initial_window(s->mss))
		cc->cwnd = min32(cc->cwnd + s->newly_delivered, LANE_CC_CWND_MAX);
	cc->cwnd = max32(cc->cwnd, MIN_PIPE_SEGS * s->mss);
	bound_cwnd(b, cc, s);
}

static void on_ack(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	struct bbr *b = bbr_of(s);

	lane_bbr_update_signals(b, cc, s);
	lane_bbr_update_aggregation(b, cc, s);
	lane_bbr_check_full_bw(b, s);
	check_startup(b, s);
	check_drain(b, s);
	update_cycle(b, cc, s);
	lane_bbr_update_min_rtt(b, s);
	check_probe_rtt(b, cc, s);
	lane_bbr_advance_signals(b, s);
	set_pacing_rate(b, s, gains[b->state].pacing);
	set_cwnd(b, cc, s);
}

/* ---- the rest ---- */

static void init(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	struct bbr *b = bbr_of(s);
	uint32_t rtt_us = s->srtt_us ? s->srtt_us : 1000;

	lane_cc_start(cc, s);
	memset(b, 0, sizeof(*b));
	lane_bbr_reset_lower_bounds(b);
	b->inflight_hi = BBR_INF;
	b->random = s->snd_una;
	b->extra_at = (uint32_t)s->now_us;
	b->loss_round = b->next_round = (uint32_t)s->delivered;
	s->ext->pacing_rate = (uint64_t)cc->cwnd * 1000000 / rtt_us * gains[BBR_STARTUP].pacing / ONE;
	set_pacing_rate(b, s, ONE);
}

/* An echo of congestion, once a round trip: as if too much of the round had been lost (RFC 3168 6.1.2). */
static void on_echo(struct bbr *b, const struct lane_cc *cc, const struct lane_cc_sample *s)
{
	uint32_t target = (uint32_t)((uint64_t)lane_bbr_target_inflight(b, cc, s) * BETA / ONE);

	b->loss_in_round = 1;
	if (b->state == BBR_STARTUP) {
		b->full_bw_reached = 1;
		b->inflight_hi = max32(lane_bbr_bdp(b, s, ONE), s->in_flight);
	} else if (b->probe_samples) {
		b->probe_samples = 0;
		b->inflight_hi = max32(s->in_flight, target);
		if (b->state == BBR_UP)
			start_down(b, s);
	}
}

/* Loss speaks by the model, on the ACKs of a round; the window stays. */
static void on_loss(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	cc->prior_cwnd = cc->cwnd;
	cc->prior_ssthresh = cc->ssthresh;
	bbr_of(s)->prior_cwnd = cc->cwnd;
	if (s->ecn)
		on_echo(bbr_of(s), cc, s);
}

static void on_rto(struct lane_cc *cc, const struct lane_cc_sample *s, bool first)
{
	struct bbr *b = bbr_of(s);

	if (first) {
		on_loss(cc, s);
		/* 5.6.4.4: what was measured before may not count any more. */
		lane_bbr_reset_full_bw(b, 0);
	}
	cc->cwnd = s->mss;
}

static void on_recovery_end(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	restore_cwnd(bbr_of(s), cc);
}

/* 5.4.1: the pipe is empty; the rate is known. */
static void on_idle(struct lane_cc *cc, const struct lane_cc_sample *s, uint64_t idle_us, uint32_t rto_us)
{
	struct bbr *b = bbr_of(s);

	(void)idle_us;
	(void)rto_us;
	if (!s->app_limited)
		return;
	b->idle_restart = 1;
	b->extra_at = (uint32_t)s->now_us;
	b->extra_delivered = 0;
	if (is_probe_bw(b))
		set_pacing_rate(b, s, ONE);
	else if (b->state == BBR_PROBE_RTT)
		check_probe_rtt_done(b, cc, s);
}

static void undo(struct lane_cc *cc, const struct lane_cc_sample *s)
{
	struct bbr *b = bbr_of(s);

	lane_cc_restore(cc, s);
	restore_cwnd(b, cc);
	lane_bbr_reset_full_bw(b, 0);
	lane_bbr_reset_lower_bounds(b);
	b->loss_in_round = 0;
}

/* All that it knows is where the pcb keeps it. */
static bool park(const struct lane_cc *cc, uint32_t *kept)
{
	(void)cc;
	*kept = 0;
	return true;
}

const struct lane_cc_ops lane_cc_bbr = {
	.name = "bbr",
	.flags = LANE_CC_PACED,
	.init = init,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_rto = on_rto,
	.on_recovery_end = on_recovery_end,
	.on_idle = on_idle,
	.undo = undo,
	.park = park,
};
