/*
 * cookie_test.c - tests of stack/tcp/cookie.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/base/rng.h"
#include "stack/tcp/cookie.h"

#define PERIOD LANE_COOKIE_PERIOD_US

static const struct lane_hash_key key = {{1, 2}}, other_key = {{1, 3}};
static struct lane_ep local, remote;
static struct lane_rng rng;

static int setup(void **state)
{
	(void)state;
	lane_rng_seed(&rng, 7);
	/* Padding must not count. */
	memset(&local, 0xff, sizeof(local));
	memset(&remote, 0, sizeof(remote));
	local.ip = lane_ip4(0x0100000a);
	local.port = 80;
	remote.ip = lane_ip4(0x0200000a);
	remote.port = 40000;
	return 0;
}

static void use_v6(void)
{
	static const uint8_t a[16] = {0xfd, [15] = 1}, b[16] = {0xfd, [15] = 2};

	local.ip = lane_ip6(a);
	remote.ip = lane_ip6(b);
}

static void expect_mss(uint16_t said, uint16_t want)
{
	uint64_t now = lane_rng_u64(&rng) >> 16;
	uint32_t irs = (uint32_t)lane_rng_u64(&rng), iss;
	uint16_t mss = said, got = 0;

	iss = lane_cookie_make(&key, &local, &remote, irs, &mss, now);
	assert_int_equal(mss, want);
	assert_true(lane_cookie_check(&key, &local, &remote, irs, iss, now, &got));
	assert_int_equal(got, want);
}

static void test_make__rounds_the_mss_down(void **state)
{
	(void)state;
	expect_mss(0, 536);
	expect_mss(535, 536); /* as Linux: no less is believed */
	expect_mss(1299, 536);
	expect_mss(1300, 1300);
	expect_mss(1459, 1440);
	expect_mss(1460, 1460);
	expect_mss(65535, 1460);
	use_v6();
	expect_mss(1000, 1220);
	expect_mss(1439, 1420);
	expect_mss(1440, 1440);
	expect_mss(65475, 8940);
}

static void test_check__lives_one_to_two_periods(void **state)
{
	uint64_t starts[] = {0, PERIOD - 1, 5 * PERIOD, 255 * PERIOD + 1, 256 * PERIOD + 9};
	uint16_t mss = 1460, got;

	(void)state;
	for (unsigned int i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		uint64_t at = starts[i], begin = at / PERIOD * PERIOD;
		uint32_t iss = lane_cookie_make(&key, &local, &remote, 99, &mss, at);

		assert_true(lane_cookie_check(&key, &local, &remote, 99, iss, at, &got));
		assert_true(lane_cookie_check(&key, &local, &remote, 99, iss, begin + 2 * PERIOD - 1,
					      &got));
		assert_false(lane_cookie_check(&key, &local, &remote, 99, iss, begin + 2 * PERIOD,
					       &got));
		/* The part that tells the period comes round; the rest does not. */
		assert_false(lane_cookie_check(&key, &local, &remote, 99, iss, at + 256 * PERIOD,
					       &got));
		/* Nor is one good before it was made. */
		if (at >= PERIOD)
			assert_false(lane_cookie_check(&key, &local, &remote, 99, iss, at - PERIOD,
						       &got));
	}
}

static void test_check__is_of_one_syn(void **state)
{
	uint16_t mss = 1460, got;
	uint32_t iss = lane_cookie_make(&key, &local, &remote, 99, &mss, PERIOD);
	struct lane_ep ep;

	(void)state;
	assert_false(lane_cookie_check(&other_key, &local, &remote, 99, iss, PERIOD, &got));
	assert_false(lane_cookie_check(&key, &remote, &local, 99, iss, PERIOD, &got));
	assert_false(lane_cookie_check(&key, &local, &remote, 99 + (1U << 24), iss, PERIOD, &got));
	assert_false(lane_cookie_check(&key, &local, &remote, 100, iss, PERIOD, &got));
	ep = remote;
	ep.port++;
	assert_false(lane_cookie_check(&key, &local, &ep, 99, iss, PERIOD, &got));
	ep = remote;
	ep.ip.b[15]++;
	assert_false(lane_cookie_check(&key, &local, &ep, 99, iss, PERIOD, &got));
	ep = local;
	ep.port++;
	assert_false(lane_cookie_check(&key, &ep, &remote, 99, iss, PERIOD, &got));
}

/* Of 2^32 numbers eight are good: four sizes in each of two periods. */
static void test_check__guesses_fail(void **state)
{
	uint16_t mss = 1460, got;
	uint32_t good = 0, iss;

	(void)state;
	for (uint32_t i = 0; i < 1000000; i++)
		good += lane_cookie_check(&key, &local, &remote, 99, (uint32_t)lane_rng_u64(&rng),
					  9 * PERIOD, &got);
	assert_int_equal(good, 0);
	/* Nor does one good number help to others. */
	iss = lane_cookie_make(&key, &local, &remote, 99, &mss, 9 * PERIOD);
	for (uint32_t i = 4; i < 1000000; i++)
		good += lane_cookie_check(&key, &local, &remote, 99, iss + i, 9 * PERIOD, &got);
	assert_int_equal(good, 0);
}

static void test_may_follow__in_the_window(void **state)
{
	uint32_t strays = 0, missed = 0;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t irs = (uint32_t)lane_rng_u64(&rng), off = lane_rng_below(&rng, 65536);
		uint64_t now = lane_rng_u64(&rng) >> 16;
		uint16_t mss = 1460;
		uint32_t iss = lane_cookie_make(&key, &local, &remote, irs, &mss, now);

		now += lane_rng_below(&rng, PERIOD);
		missed += !lane_cookie_may_follow(&key, &local, &remote, irs + off, iss, now);
		strays += lane_cookie_may_follow(&key, &local, &remote,
						 (uint32_t)lane_rng_u64(&rng), iss, now);
	}
	assert_int_equal(missed, 0);
	assert_in_range(strays, 100, 400);
}

static void test_make__grows_with_time(void **state)
{
	uint16_t mss = 1460;
	uint32_t first = lane_cookie_make(&key, &local, &remote, 99, &mss, PERIOD);
	uint32_t later = lane_cookie_make(&key, &local, &remote, 99, &mss, 4 * PERIOD);

	(void)state;
	assert_true((int32_t)(later - first) > 0);
}

static void test_stamp__says_the_options(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 64; i++) {
		struct lane_cookie_opts o = {.wscale = i & 15, .sack = i >> 4 & 1, .ecn = i >> 5};

		for (uint32_t now = UINT32_MAX - 100; now != 100; now++) {
			uint32_t stamp = lane_cookie_stamp(now, &o);
			struct lane_cookie_opts got = lane_cookie_read_stamp(stamp);

			/* Never ahead of the clock, and not far behind it. */
			assert_in_range(now - stamp, 0, 63);
			assert_int_equal(got.wscale, o.wscale);
			assert_int_equal(got.sack, o.sack);
			assert_int_equal(got.ecn, o.ecn);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_make__rounds_the_mss_down, setup),
		cmocka_unit_test_setup(test_check__lives_one_to_two_periods, setup),
		cmocka_unit_test_setup(test_check__is_of_one_syn, setup),
		cmocka_unit_test_setup(test_check__guesses_fail, setup),
		cmocka_unit_test_setup(test_may_follow__in_the_window, setup),
		cmocka_unit_test_setup(test_make__grows_with_time, setup),
		cmocka_unit_test_setup(test_stamp__says_the_options, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
