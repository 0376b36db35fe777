/*
 * dctcp_test.c - tests of stack/tcp/cc_dctcp.c: RFC 8257 3.3 to 3.5
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/tcp/cc.h"

#define MSS 1000U

static struct lane_cc cc;
static uint32_t una;

static struct lane_cc_sample sample(void)
{
	return (struct lane_cc_sample){
		.mss = MSS,
		.flight = cc.cwnd,
		.prior_in_flight = cc.cwnd,
		.snd_una = una,
		.snd_nxt = una + cc.cwnd,
	};
}

static void begin(uint32_t cwnd)
{
	struct lane_cc_sample s = {.mss = MSS};

	una = UINT32_MAX - 50 * MSS;
	lane_cc_dctcp.init(&cc, &s);
	cc.cwnd = cc.ssthresh = cwnd;
}

/* A window is acknowledged, 'marked' hundredths of it with ECE. */
static void round_trip(uint32_t marked)
{
	uint32_t n = cc.cwnd / MSS;

	for (uint32_t i = 0; i < n; i++) {
		struct lane_cc_sample s;

		una += MSS;
		s = sample();
		s.acked = s.newly_delivered = MSS;
		s.ce_bytes = i * 100 < marked * n ? MSS : 0;
		s.in_recovery = marked; /* the window is TCP's while it echoes */
		lane_cc_dctcp.on_ack(&cc, &s);
	}
}

static void echo(void)
{
	struct lane_cc_sample s = sample();

	s.ecn = true;
	lane_cc_dctcp.on_loss(&cc, &s);
}

/* 4.2: alpha is 1 at first: the first mark halves. */
static void test_first_mark_halves(void **state)
{
	(void)state;
	begin(100 * MSS);
	echo();
	assert_int_equal(cc.cwnd, 50 * MSS);
	assert_int_equal(cc.ssthresh, 50 * MSS);
}

/* 3.3: alpha goes to the share of marked bytes, by a sixteenth each round. */
static void test_alpha_follows_the_marks(void **state)
{
	(void)state;
	begin(100 * MSS);
	for (int i = 0; i < 100; i++) {
		round_trip(20);
		cc.cwnd = 100 * MSS;
	}
	echo();
	assert_in_range(cc.cwnd, 89 * MSS, 91 * MSS);
	/* All marked: 1 - 0.8 * (15/16)^20 = 0.78 after 20 rounds. */
	cc.cwnd = 100 * MSS;
	for (int i = 0; i < 20; i++) {
		round_trip(100);
		cc.cwnd = 100 * MSS;
	}
	echo();
	assert_in_range(cc.cwnd, 59 * MSS, 62 * MSS);
}

/* Without marks it decays; the next one costs next to nothing, but never more than there is. */
static void test_alpha_decays(void **state)
{
	(void)state;
	begin(100 * MSS);
	for (int i = 0; i < 120; i++) {
		round_trip(0);
		cc.cwnd = 100 * MSS;
	}
	echo();
	assert_in_range(cc.cwnd, 99 * MSS, 100 * MSS);
}

/* 3.5: a loss is a loss. */
static void test_loss_halves(void **state)
{
	struct lane_cc_sample s;

	(void)state;
	begin(100 * MSS);
	for (int i = 0; i < 120; i++) {
		round_trip(0);
		cc.cwnd = 100 * MSS;
	}
	s = sample();
	s.flight = 90 * MSS;
	lane_cc_dctcp.on_loss(&cc, &s);
	assert_int_equal(cc.cwnd, 45 * MSS);
}

/* 3.4: growth is Reno's. */
static void test_grows_a_segment_a_round(void **state)
{
	(void)state;
	begin(20 * MSS);
	for (uint32_t i = 1; i <= 20; i++) {
		round_trip(0);
		assert_in_range(cc.cwnd, (19 + i) * MSS, (20 + i) * MSS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_mark_halves),
		cmocka_unit_test(test_alpha_follows_the_marks),
		cmocka_unit_test(test_alpha_decays),
		cmocka_unit_test(test_loss_halves),
		cmocka_unit_test(test_grows_a_segment_a_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
