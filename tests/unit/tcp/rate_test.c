/*
 * rate_test.c - tests of stack/tcp/rate.c: draft-cheng-iccrg-delivery-rate-estimation
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/base/rng.h"
#include "stack/tcp/rate.h"

#define MSS 1000U

static struct lane_rate r;
static struct lane_buf frame[16];
static uint64_t delivered;

static int setup(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	memset(frame, 0, sizeof(frame));
	delivered = (1ULL << 32) - 3 * MSS; /* its low half wraps */
	return 0;
}

static void sent(unsigned int i, uint64_t now_us, bool idle)
{
	frame[i].seq = i * MSS;
	frame[i].text_len = MSS;
	frame[i].tx_us = now_us;
	lane_rate_sent(&r, &frame[i], now_us, delivered, idle, (i + 1) * MSS);
}

/* One ACK of the frames [from, to). */
static uint32_t acked(unsigned int from, unsigned int to, uint64_t now_us, uint32_t min_rtt_us)
{
	struct lane_rate_seen seen = {.any = false};

	for (unsigned int i = from; i < to; i++)
		lane_rate_arrived(&seen, &frame[i]);
	delivered += (to - from) * MSS;
	return lane_rate_acked(&r, &seen, now_us, delivered, (to - from) * MSS, min_rtt_us);
}

static void test_pack__keeps_12_bits(void **state)
{
	struct lane_rng rng;

	(void)state;
	for (uint32_t v = 0; v < 4096; v++)
		assert_int_equal(lane_rate_unpack(lane_rate_pack(v)), v);
	lane_rng_seed(&rng, 1);
	for (int i = 0; i < 100000; i++) {
		uint32_t v = (uint32_t)lane_rng_u64(&rng) >> lane_rng_below(&rng, 32);
		uint32_t back = lane_rate_unpack(lane_rate_pack(v));

		assert_true(back <= v && v - back <= v / 2048);
	}
	assert_true(lane_rate_unpack(lane_rate_pack(UINT32_MAX)) > UINT32_MAX - UINT32_MAX / 2048 - 1);
}

/* 3.3: a window in a burst, ACKs at the bottleneck's rate: the ACKs' time counts. */
static void test_acked__by_the_acks_of_a_burst(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		sent(i, 1000000, i == 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(acked(i, i + 1, 1010000 + i * 1000, 5000), 10000 + i * 1000);
	assert_int_equal(r.bytes, 8 * MSS);
	/* It left 17 ms after the one that was acknowledged last: no window was in flight. */
	sent(8, 1017000, false);
	assert_int_equal(acked(8, 9, 1027000, 5000), 17000);
	assert_int_equal(r.bytes, MSS);
}

/* 3.3: ACKs that were squeezed together: the transmissions' time counts. */
static void test_acked__by_the_transmissions_when_acks_are_compressed(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		sent(i, 1000000 + i * 4000, i == 0);
	assert_int_equal(acked(0, 1, 1030000, 1000), 30000);
	assert_int_equal(acked(1, 8, 1030100, 1000), 30100);
	for (unsigned int i = 8; i < 12; i++)
		sent(i, 1030100 + (i - 8) * 4000, false);
	assert_int_equal(acked(8, 12, 1042200, 1000), 14100);
	assert_int_equal(r.bytes, 4 * MSS);
}

static void test_acked__newest_transmission_counts(void **state)
{
	struct lane_rate_seen seen = {.any = false};

	(void)state;
	sent(0, 1000000, true);
	sent(1, 1005000, false);
	sent(0, 1009000, false); /* again */
	lane_rate_arrived(&seen, &frame[0]);
	lane_rate_arrived(&seen, &frame[1]);
	assert_int_equal(seen.tx_us, 1009000);
	assert_int_equal(seen.end_seq, MSS);
}

/* 3.3.4: less than a round trip is no sample. */
static void test_acked__too_short_is_none(void **state)
{
	(void)state;
	sent(0, 1000000, true);
	assert_int_equal(acked(0, 1, 1004999, 5000), 0);
	assert_int_equal(r.interval_us, 0);
	sent(0, 1000000, true);
	assert_int_equal(acked(0, 1, 1000000, 0), 0);
}

/* 3.4: what left while the program had no more says so, until all that was out then has arrived. */
static void test_app_limited__until_a_window_later(void **state)
{
	struct lane_rate_seen seen = {.any = false};

	(void)state;
	sent(0, 1000000, true);
	sent(1, 1000000, false);
	lane_rate_app_limited(&r, delivered, 2 * MSS);
	sent(2, 1001000, false);
	acked(0, 2, 1010000, 0);
	assert_true(r.limited && !r.sample_limited);
	sent(3, 1010000, false);
	acked(2, 3, 1011000, 0);
	assert_false(r.limited);
	assert_true(r.sample_limited);
	sent(4, 1011000, false);
	lane_rate_arrived(&seen, &frame[3]);
	assert_true(seen.limited);
	lane_rate_arrived(&seen, &frame[4]);
	assert_false(seen.limited);
	assert_in_range(seen.in_flight, 5 * MSS - 5, 5 * MSS);
}

/* After a pause the time of the pause is no time of delivery. */
static void test_sent__idle_starts_anew(void **state)
{
	(void)state;
	sent(0, 1000000, true);
	acked(0, 1, 1010000, 0);
	sent(1, 90000000, true);
	assert_int_equal(acked(1, 2, 90010000, 0), 10000);
	assert_int_equal(r.bytes, MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pack__keeps_12_bits, setup),
		cmocka_unit_test_setup(test_acked__by_the_acks_of_a_burst, setup),
		cmocka_unit_test_setup(test_acked__by_the_transmissions_when_acks_are_compressed, setup),
		cmocka_unit_test_setup(test_acked__newest_transmission_counts, setup),
		cmocka_unit_test_setup(test_acked__too_short_is_none, setup),
		cmocka_unit_test_setup(test_app_limited__until_a_window_later, setup),
		cmocka_unit_test_setup(test_sent__idle_starts_anew, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
