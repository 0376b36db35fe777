/*
 * cc_test.c - tests of stack/tcp/cc.c, cc_newreno.c and cc_cubic.c
 *
 * A path is played by round(): it acknowledges one window in ACKs of two segments each and lets a
 * round trip pass.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/base/rng.h"
#include "stack/tcp/cc.h"

#define MSS 1000U

static struct lane_cc cc;
static struct lane_cc_ext ext;
static uint64_t now_us;

static int setup(void **state)
{
	(void)state;
	memset(&cc, 0xff, sizeof(cc));
	now_us = 1000000;
	return 0;
}

static struct lane_cc_sample sample(uint32_t acked, uint32_t rtt_us)
{
	return (struct lane_cc_sample){
		.now_us = now_us,
		.acked = acked,
		.rtt_us = rtt_us,
		.srtt_us = rtt_us,
		.prior_in_flight = cc.cwnd,
		.mss = MSS,
		.ext = &ext,
	};
}

static void init(const struct lane_cc_ops *ops, uint32_t mss)
{
	struct lane_cc_sample s = {.now_us = now_us, .ext = &ext, .mss = mss};

	ops->init(&cc, &s);
}

static void on_loss(const struct lane_cc_ops *ops, uint32_t flight, uint32_t mss)
{
	struct lane_cc_sample s = {.now_us = now_us, .ext = &ext, .mss = mss, .flight = flight};

	ops->on_loss(&cc, &s);
}

static void on_rto(const struct lane_cc_ops *ops, uint32_t flight, uint32_t mss, bool first)
{
	struct lane_cc_sample s = {.now_us = now_us, .ext = &ext, .mss = mss, .flight = flight};

	ops->on_rto(&cc, &s, first);
}

static void on_recovery_end(const struct lane_cc_ops *ops, uint32_t mss)
{
	struct lane_cc_sample s = {.now_us = now_us, .ext = &ext, .mss = mss};

	ops->on_recovery_end(&cc, &s);
}

static void on_idle(const struct lane_cc_ops *ops, uint64_t idle_us, uint32_t rto_us, uint32_t mss)
{
	struct lane_cc_sample s = {.now_us = now_us, .ext = &ext, .mss = mss};

	ops->on_idle(&cc, &s, idle_us, rto_us);
}

static void undo(const struct lane_cc_ops *ops)
{
	struct lane_cc_sample s = {.now_us = now_us, .ext = &ext, .mss = MSS};

	ops->undo(&cc, &s);
}

static void ack(const struct lane_cc_ops *ops, uint32_t acked)
{
	struct lane_cc_sample s = sample(acked, 1000);

	ops->on_ack(&cc, &s);
}

/* One window is acknowledged within 'rtt_us'. */
static void round_trip(const struct lane_cc_ops *ops, uint32_t rtt_us)
{
	uint32_t window = cc.cwnd;
	uint64_t start_us = now_us;

	for (uint32_t done = 0; done < window; done += 2 * MSS) {
		struct lane_cc_sample s = sample(2 * MSS, rtt_us);

		s.now_us = start_us + (uint64_t)rtt_us * done / window;
		ops->on_ack(&cc, &s);
	}
	now_us = start_us + rtt_us;
}

static void begin(const struct lane_cc_ops *ops, uint32_t cwnd, uint32_t ssthresh)
{
	init(ops, MSS);
	cc.cwnd = cwnd;
	cc.ssthresh = ssthresh;
}

static void lose(const struct lane_cc_ops *ops)
{
	on_loss(ops, cc.cwnd, MSS);
	on_recovery_end(ops, MSS);
}

/* BBR is no control of the window: what holds for those has tests of its own for it (bbr_test). */
static const struct lane_cc_ops *window_control(unsigned int i)
{
	const struct lane_cc_ops *ops = lane_cc_ops_at(i);

	return ops->flags & LANE_CC_PACED ? &lane_cc_cubic : ops;
}

static void test_ops_at__any_index_gives_one(void **state)
{
	(void)state;
	assert_string_equal(lane_cc_ops_at(LANE_CC_DEFAULT)->name, "cubic");
	assert_string_equal(lane_cc_ops_at(1)->name, "reno");
	assert_string_equal(lane_cc_ops_at(200)->name, "cubic");
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *o = lane_cc_ops_at(i);

		assert_true(o->init && o->on_ack && o->on_loss && o->on_rto && o->on_recovery_end &&
			    o->on_idle && o->undo);
		assert_true(strlen(o->name) < LANE_CC_NAME_MAX);
		assert_int_equal(lane_cc_find(o->name), i);
	}
}

static void test_find__unknown_name(void **state)
{
	(void)state;
	assert_int_equal(lane_cc_find("vegas"), -ENOENT);
	assert_int_equal(lane_cc_find(""), -ENOENT);
}

static void test_initial_window__rfc6928(void **state)
{
	(void)state;
	assert_int_equal(lane_cc_initial_window(536), 5360);
	assert_int_equal(lane_cc_initial_window(1448), 14480);
	assert_int_equal(lane_cc_initial_window(1460), 14600);
	assert_int_equal(lane_cc_initial_window(1500), 14600);
	assert_int_equal(lane_cc_initial_window(8960), 17920);
	assert_int_equal(lane_cc_initial_window(65483), 130966);
}

static void test_may_grow__only_what_is_used(void **state)
{
	struct lane_cc_sample s;

	(void)state;
	init(&lane_cc_newreno, MSS);
	s = sample(MSS, 0);
	assert_true(lane_cc_may_grow(&cc, &s));
	s.in_recovery = true;
	assert_false(lane_cc_may_grow(&cc, &s));
	s.in_recovery = false;
	s.app_limited = true;
	s.prior_in_flight = cc.cwnd / 2 + 1; /* slow start: up to twice what was used */
	assert_true(lane_cc_may_grow(&cc, &s));
	s.prior_in_flight = cc.cwnd / 2;
	assert_false(lane_cc_may_grow(&cc, &s));
	s.prior_in_flight = cc.cwnd;
	cc.ssthresh = cc.cwnd;
	assert_false(lane_cc_may_grow(&cc, &s));
	s.app_limited = false;
	s.acked = 0;
	assert_false(lane_cc_may_grow(&cc, &s));
	s.acked = 1;
	cc.cwnd = LANE_CC_CWND_MAX;
	assert_false(lane_cc_may_grow(&cc, &s));
}

/* All that follows until the names say otherwise holds for every control of the window. */
static void test_slow_start__doubles_a_round(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);

		init(ops, MSS);
		assert_int_equal(cc.cwnd, 10 * MSS);
		round_trip(ops, 10000);
		assert_int_equal(cc.cwnd, 20 * MSS);
		round_trip(ops, 10000);
		assert_int_equal(cc.cwnd, 40 * MSS);
		/* However much one ACK acknowledges. */
		ack(ops, 40 * MSS);
		assert_int_equal(cc.cwnd, 80 * MSS);
	}
}

static void test_slow_start__ends_at_ssthresh(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);

		begin(ops, 10 * MSS, 15 * MSS);
		ack(ops, 10 * MSS);
		assert_in_range(cc.cwnd, 15 * MSS, 16 * MSS);
	}
}

static void test_on_loss__reduces_to_what_was_in_flight(void **state)
{
	(void)state;
	begin(&lane_cc_newreno, 100 * MSS, LANE_CC_INFINITE);
	on_loss(&lane_cc_newreno, 60 * MSS, MSS);
	assert_int_equal(cc.ssthresh, 30 * MSS);
	assert_int_equal(cc.cwnd, 30 * MSS);
	begin(&lane_cc_cubic, 100 * MSS, LANE_CC_INFINITE);
	on_loss(&lane_cc_cubic, 60 * MSS, MSS);
	assert_in_range(cc.ssthresh, 41900, 42100);
	assert_int_equal(cc.cwnd, cc.ssthresh);
}

static void test_on_loss__two_segments_at_least(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);

		begin(ops, 2 * MSS, LANE_CC_INFINITE);
		for (int n = 0; n < 5; n++)
			lose(ops);
		assert_int_equal(cc.cwnd, 2 * MSS);
		assert_int_equal(cc.ssthresh, 2 * MSS);
	}
}

static void test_on_rto__one_segment_and_slow_start(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);
		uint32_t ssthresh;

		begin(ops, 100 * MSS, LANE_CC_INFINITE);
		on_rto(ops, 100 * MSS, MSS, true);
		assert_int_equal(cc.cwnd, MSS);
		ssthresh = cc.ssthresh;
		assert_in_range(ssthresh, 49 * MSS, 71 * MSS);
		/* RFC 5681 3.1: the same data timed out again. */
		on_rto(ops, 100 * MSS, MSS, false);
		assert_int_equal(cc.cwnd, MSS);
		assert_int_equal(cc.ssthresh, ssthresh);
		ack(ops, MSS);
		assert_int_equal(cc.cwnd, 2 * MSS);
	}
}

static void test_on_ack__recovery_keeps_the_window(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);
		struct lane_cc_sample s;

		begin(ops, 100 * MSS, LANE_CC_INFINITE);
		on_loss(ops, 100 * MSS, MSS);
		cc.cwnd += 3 * MSS; /* TCP inflates it */
		s = sample(50 * MSS, 1000);
		s.in_recovery = true;
		ops->on_ack(&cc, &s);
		assert_int_equal(cc.cwnd, cc.ssthresh + 3 * MSS);
		on_recovery_end(ops, MSS);
		assert_int_equal(cc.cwnd, cc.ssthresh);
	}
}

static void test_on_idle__one_halving_for_each_rto(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);

		begin(ops, 100 * MSS, 50 * MSS);
		on_idle(ops, 199999, 200000, MSS);
		assert_int_equal(cc.cwnd, 100 * MSS);
		on_idle(ops, 200000, 200000, MSS);
		assert_int_equal(cc.cwnd, 50 * MSS);
		assert_int_equal(cc.ssthresh, 75 * MSS);
		on_idle(ops, 400000, 200000, MSS);
		assert_int_equal(cc.cwnd, 12500);
		on_idle(ops, UINT64_MAX, 200000, MSS);
		assert_int_equal(cc.cwnd, 10 * MSS);
		cc.cwnd = 3 * MSS; /* less than the initial window stays */
		on_idle(ops, UINT64_MAX, 1, MSS);
		assert_int_equal(cc.cwnd, 3 * MSS);
	}
}

static void test_undo__restores_both(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);

		begin(ops, 100 * MSS, 90 * MSS);
		on_rto(ops, 100 * MSS, MSS, true);
		on_rto(ops, 100 * MSS, MSS, false);
		undo(ops);
		assert_int_equal(cc.cwnd, 100 * MSS);
		assert_int_equal(cc.ssthresh, 90 * MSS);
	}
}

static void test_undo__then_the_end_of_recovery(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = window_control(i);

		begin(ops, 100 * MSS, LANE_CC_INFINITE);
		on_loss(ops, 100 * MSS, MSS);
		undo(ops);
		on_recovery_end(ops, MSS);
		assert_int_equal(cc.cwnd, 100 * MSS);
		assert_int_equal(cc.ssthresh, LANE_CC_INFINITE);
	}
}

/* Any calls in any order: the window stays within its bounds. */
static void test_all__random_calls(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 17);
	for (uint32_t i = 0; i < 100 * lane_cc_count(); i++) {
		const struct lane_cc_ops *ops = lane_cc_ops_at(i % lane_cc_count());
		static const uint32_t sizes[] = {88, 536, 1448, 8948, 65483};
		uint32_t mss = sizes[lane_rng_below(&r, 5)];

		init(ops, mss);
		for (int step = 0; step < 500; step++) {
			struct lane_cc_sample s = sample(lane_rng_below(&r, cc.cwnd + 1), 0);

			now_us += lane_rng_below(&r, 1U << lane_rng_below(&r, 30));
			s.mss = mss;
			s.now_us = now_us;
			s.srtt_us = lane_rng_below(&r, 1000000);
			s.app_limited = lane_rng_below(&r, 5) == 0;
			switch (lane_rng_below(&r, 40)) {
			case 0:
				on_loss(ops, lane_rng_below(&r, 2 * cc.cwnd), mss);
				break;
			case 1:
				on_rto(ops, cc.cwnd, mss, lane_rng_below(&r, 2));
				break;
			case 2:
				on_recovery_end(ops, mss);
				break;
			case 3:
				on_idle(ops, lane_rng_u64(&r) >> 40, 200000, mss);
				break;
			case 4:
				undo(ops);
				break;
			default:
				ops->on_ack(&cc, &s);
			}
			assert_in_range(cc.cwnd, mss, LANE_CC_CWND_MAX + mss);
			assert_true(cc.ssthresh >= 2 * mss);
		}
	}
}

static void test_newreno__one_segment_a_round(void **state)
{
	(void)state;
	begin(&lane_cc_newreno, 20 * MSS, 20 * MSS);
	for (uint32_t i = 1; i <= 50; i++) {
		round_trip(&lane_cc_newreno, 10000);
		assert_in_range(cc.cwnd, (20 + i) * MSS - MSS, (20 + i) * MSS + 2 * MSS);
	}
}

/* RFC 9438 4.2: back at W_max after K = cbrt(W_max * 0.3 / 0.4) s, flat there, then beyond it. */
static void test_cubic__follows_its_curve(void **state)
{
	uint64_t loss_us;
	uint32_t window[3];

	(void)state;
	begin(&lane_cc_cubic, 1000 * MSS, LANE_CC_INFINITE);
	lose(&lane_cc_cubic);
	loss_us = now_us;
	assert_in_range(cc.cwnd, 699 * MSS, 701 * MSS);
	/* K = cbrt(750) = 9.086 s; W(t) = 0.4 (t - K)^3 + 1000 segments */
	while (now_us - loss_us < 4000000)
		round_trip(&lane_cc_cubic, 100000);
	window[0] = cc.cwnd; /* 947.3 at 4 s */
	while (now_us - loss_us < 9086000)
		round_trip(&lane_cc_cubic, 100000);
	window[1] = cc.cwnd; /* 1000 */
	while (now_us - loss_us < 14000000)
		round_trip(&lane_cc_cubic, 100000);
	window[2] = cc.cwnd; /* 1047.5 */
	assert_in_range(window[0], 940 * MSS, 952 * MSS);
	assert_in_range(window[1], 995 * MSS, 1002 * MSS);
	assert_in_range(window[2], 1040 * MSS, 1054 * MSS);
}

/* RFC 9438 4.3: on a short path Reno's estimate leads: alpha a round until W_max, then 1. */
static void test_cubic__reno_friendly_region(void **state)
{
	uint32_t before;

	(void)state;
	begin(&lane_cc_cubic, 100 * MSS, LANE_CC_INFINITE);
	lose(&lane_cc_cubic);
	before = cc.cwnd;
	for (int i = 0; i < 40; i++)
		round_trip(&lane_cc_cubic, 100);
	/* 3 * 0.3 / 1.7 = 0.529 segments a round */
	assert_in_range(cc.cwnd - before, 20 * MSS, 22500);
	for (int i = 0; i < 60; i++)
		round_trip(&lane_cc_cubic, 100);
	before = cc.cwnd;
	assert_true(before > 100 * MSS);
	for (int i = 0; i < 20; i++)
		round_trip(&lane_cc_cubic, 100);
	assert_in_range(cc.cwnd - before, 19 * MSS, 21 * MSS);
}

/* RFC 9438 4.7: W_max falls below the window of the second loss. The curve is then at 0.85 * 80. */
static void test_cubic__fast_convergence(void **state)
{
	uint64_t loss_us;

	(void)state;
	begin(&lane_cc_cubic, 1000 * MSS, LANE_CC_INFINITE);
	lose(&lane_cc_cubic);
	cc.cwnd = 800 * MSS;
	lose(&lane_cc_cubic);
	assert_in_range(cc.cwnd, 559 * MSS, 561 * MSS);
	loss_us = now_us;
	/* W_max = 680: K = cbrt(120 / 0.4) = 6.69 s */
	while (now_us - loss_us < 6690000)
		round_trip(&lane_cc_cubic, 100000);
	assert_in_range(cc.cwnd, 676 * MSS, 682 * MSS);
}

/* RFC 9438 4.8: after a time-out the curve starts convex where slow start ended. */
static void test_cubic__after_a_timeout(void **state)
{
	uint32_t start;
	uint64_t start_us;

	(void)state;
	begin(&lane_cc_cubic, 1000 * MSS, LANE_CC_INFINITE);
	on_rto(&lane_cc_cubic, 1000 * MSS, MSS, true);
	for (int i = 0; i < 30 && cc.cwnd < cc.ssthresh; i++)
		round_trip(&lane_cc_cubic, 100000);
	start = cc.cwnd;
	start_us = now_us;
	assert_in_range(start, 700 * MSS, 703 * MSS);
	while (now_us - start_us < 5000000)
		round_trip(&lane_cc_cubic, 100000);
	/* Reno's estimate: 50 rounds of 0.529; the cubic: 0.4 * 125 segments */
	assert_in_range(cc.cwnd - start, 45 * MSS, 56 * MSS);
}

/* RFC 9438 4.2, 5.8: time in which the window did not limit is no time of the curve. */
static void test_cubic__stands_still_while_the_program_limits(void **state)
{
	uint32_t before;

	(void)state;
	begin(&lane_cc_cubic, 1000 * MSS, LANE_CC_INFINITE);
	lose(&lane_cc_cubic);
	round_trip(&lane_cc_cubic, 100000);
	before = cc.cwnd;
	for (int i = 0; i < 600; i++) {
		struct lane_cc_sample s;

		now_us += 100000;
		s = sample(2 * MSS, 100000);
		s.app_limited = true;
		s.prior_in_flight = 4 * MSS;
		lane_cc_cubic.on_ack(&cc, &s);
	}
	assert_int_equal(cc.cwnd, before);
	round_trip(&lane_cc_cubic, 100000);
	assert_in_range(cc.cwnd - before, 1, 20 * MSS);
	/* Idle for less than an RTO. */
	before = cc.cwnd;
	now_us += 3000000;
	on_idle(&lane_cc_cubic, 3000000, 3000001, MSS);
	round_trip(&lane_cc_cubic, 100000);
	assert_in_range(cc.cwnd - before, 1, 20 * MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ops_at__any_index_gives_one, setup),
		cmocka_unit_test_setup(test_find__unknown_name, setup),
		cmocka_unit_test_setup(test_initial_window__rfc6928, setup),
		cmocka_unit_test_setup(test_may_grow__only_what_is_used, setup),
		cmocka_unit_test_setup(test_slow_start__doubles_a_round, setup),
		cmocka_unit_test_setup(test_slow_start__ends_at_ssthresh, setup),
		cmocka_unit_test_setup(test_on_loss__reduces_to_what_was_in_flight, setup),
		cmocka_unit_test_setup(test_on_loss__two_segments_at_least, setup),
		cmocka_unit_test_setup(test_on_rto__one_segment_and_slow_start, setup),
		cmocka_unit_test_setup(test_on_ack__recovery_keeps_the_window, setup),
		cmocka_unit_test_setup(test_on_idle__one_halving_for_each_rto, setup),
		cmocka_unit_test_setup(test_undo__restores_both, setup),
		cmocka_unit_test_setup(test_undo__then_the_end_of_recovery, setup),
		cmocka_unit_test_setup(test_all__random_calls, setup),
		cmocka_unit_test_setup(test_newreno__one_segment_a_round, setup),
		cmocka_unit_test_setup(test_cubic__follows_its_curve, setup),
		cmocka_unit_test_setup(test_cubic__reno_friendly_region, setup),
		cmocka_unit_test_setup(test_cubic__fast_convergence, setup),
		cmocka_unit_test_setup(test_cubic__after_a_timeout, setup),
		cmocka_unit_test_setup(test_cubic__stands_still_while_the_program_limits, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
