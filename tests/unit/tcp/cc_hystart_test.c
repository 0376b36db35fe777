/*
 * cc_hystart_test.c - tests of stack/tcp/cc_hystart.c, as CUBIC uses it: RFC 9406
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/tcp/cc.h"

#define MSS 1000U

static struct lane_cc cc;
static uint64_t now_us;
static uint32_t una;

static struct lane_cc_sample sample(uint32_t acked, uint32_t rtt_us)
{
	return (struct lane_cc_sample){
		.now_us = now_us,
		.acked = acked,
		.rtt_us = rtt_us,
		.srtt_us = rtt_us,
		.prior_in_flight = cc.cwnd,
		.mss = MSS,
	};
}

static void init(void)
{
	struct lane_cc_sample s = sample(0, 0);

	una = 1;
	now_us = 1000000;
	lane_cc_cubic.init(&cc, &s);
}

/* A round: its window in ACKs of a segment each, after 'rtt_us' and a little more each. */
static void start_round(uint32_t rtt_us)
{
	uint32_t window = cc.cwnd, end = una + window;

	for (uint32_t done = 0; done < window; done += MSS) {
		struct lane_cc_sample s = sample(MSS, rtt_us + done / MSS % 7);

		una += MSS;
		s.snd_una = una;
		s.snd_nxt = end + done + MSS;
		lane_cc_cubic.on_ack(&cc, &s);
	}
	now_us += rtt_us;
}

/* 4.2: a round trip that grew by an eighth: a quarter of the growth, and after 5 rounds the end. */
static void test_hystart__conservative_then_over(void **state)
{
	uint32_t before;
	int rounds = 0;

	(void)state;
	init();
	start_round(50000);
	start_round(50000);
	start_round(50000);
	assert_int_equal(cc.cwnd, 80 * MSS);
	/* The first 8 samples of this round find it; the rest grows by a quarter. */
	start_round(57000);
	assert_in_range(cc.cwnd, 100 * MSS, 110 * MSS);
	for (before = cc.cwnd; cc.ssthresh == LANE_CC_INFINITE && rounds < 10; rounds++) {
		start_round(57000);
		if (cc.ssthresh == LANE_CC_INFINITE)
			assert_in_range(cc.cwnd, before / 100 * 122, before / 100 * 128);
		before = cc.cwnd;
	}
	/* 5 with the one that it began in, and the ACK that ends the last. */
	assert_in_range(rounds, 4, 6);
	assert_in_range(cc.ssthresh, 200 * MSS, 350 * MSS);
}

/* 4.2: the round trip was no queue's: slow start resumes. */
static void test_hystart__resumes(void **state)
{
	uint32_t before;

	(void)state;
	init();
	start_round(50000);
	start_round(57000);
	before = cc.cwnd;
	start_round(50000);
	assert_true(cc.cwnd > before / 4 * 6);
	before = cc.cwnd;
	start_round(50000);
	assert_int_equal(cc.cwnd, 2 * before);
	assert_int_equal(cc.ssthresh, LANE_CC_INFINITE);
}

/* 4.3: 4 ms at least, 16 ms at most; 8 samples at least. */
static void test_hystart__thresholds(void **state)
{
	(void)state;
	init();
	start_round(1000);
	start_round(4900);
	start_round(8800);
	assert_int_equal(cc.cwnd, 80 * MSS);
	init();
	start_round(400000);
	start_round(416000);
	assert_true(cc.cwnd < 38 * MSS);
	init();
	cc.cwnd = 6 * MSS;
	start_round(50000);
	cc.cwnd = 6 * MSS;
	start_round(90000);
	assert_int_equal(cc.cwnd, 12 * MSS);
}

/* 4.3: not after a loss; a spurious one leaves all as it was. */
static void test_hystart__first_slow_start_only(void **state)
{
	struct lane_cc_sample s;

	(void)state;
	init();
	start_round(50000);
	s = sample(0, 0);
	s.flight = 20 * MSS;
	lane_cc_cubic.on_rto(&cc, &s, true);
	cc.cwnd = 8 * MSS;
	cc.ssthresh = 1000 * MSS;
	start_round(50000);
	start_round(90000);
	start_round(130000);
	assert_int_equal(cc.cwnd, 64 * MSS);
	init();
	s.flight = 10 * MSS;
	lane_cc_cubic.on_loss(&cc, &s);
	lane_cc_cubic.undo(&cc, &s);
	start_round(50000);
	start_round(50000);
	assert_int_equal(cc.cwnd, 40 * MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hystart__conservative_then_over),
		cmocka_unit_test(test_hystart__resumes),
		cmocka_unit_test(test_hystart__thresholds),
		cmocka_unit_test(test_hystart__first_slow_start_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
