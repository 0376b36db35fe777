/*
 * rto_test.c - tests of stack/tcp/rto.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/tcp/rto.h"

#define MIN_US 200000

static struct lane_rto r;

static int setup(void **state)
{
	(void)state;
	memset(&r, 0xff, sizeof(r));
	lane_rto_init(&r, MIN_US);
	return 0;
}

static void test_init__one_second(void **state)
{
	(void)state;
	assert_int_equal(r.rto_us, 1000000);
	assert_int_equal(r.srtt_us, 0);
	assert_int_equal(r.nr_backoffs, 0);
}

static void test_sample__first_sets_rttvar_to_half(void **state)
{
	(void)state;
	lane_rto_sample(&r, 300000, MIN_US);
	assert_int_equal(r.srtt_us, 300000);
	assert_int_equal(r.rttvar_us, 150000);
	/* srtt + 4 * rttvar, RFC 6298 2.2 */
	assert_int_equal(r.rto_us, 900000);
}

static void test_sample__later_ones_are_smoothed(void **state)
{
	(void)state;
	lane_rto_sample(&r, 300000, MIN_US);
	lane_rto_sample(&r, 380000, MIN_US);
	/* rttvar first, with the old srtt: RFC 6298 2.3 */
	assert_int_equal(r.rttvar_us, 150000 * 3 / 4 + 80000 / 4);
	assert_int_equal(r.srtt_us, 300000 * 7 / 8 + 380000 / 8);
	assert_int_equal(r.rto_us, r.srtt_us + 4 * r.rttvar_us);
}

static void test_sample__floor_holds_for_the_variance_part(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		lane_rto_sample(&r, 40, MIN_US);
	assert_int_equal(r.srtt_us, 40);
	assert_true(r.rttvar_us < 10);
	assert_int_equal(r.rto_us, 40 + MIN_US);
}

static void test_sample__follows_a_change_both_ways(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		lane_rto_sample(&r, 100000, MIN_US);
	assert_in_range(r.srtt_us, 99990, 100010);
	for (int i = 0; i < 200; i++)
		lane_rto_sample(&r, 1000, MIN_US);
	assert_in_range(r.srtt_us, 990, 1010);
	for (int i = 0; i < 200; i++)
		lane_rto_sample(&r, 5000, MIN_US);
	assert_in_range(r.srtt_us, 4990, 5010);
}

static void test_sample__ends_of_the_range(void **state)
{
	(void)state;
	lane_rto_sample(&r, 0, MIN_US); /* 0 would mean: no sample */
	assert_int_equal(r.srtt_us, 1);
	for (int i = 0; i < 100; i++) {
		lane_rto_sample(&r, UINT32_MAX, MIN_US);
		assert_true(r.rto_us <= LANE_RTO_MAX_US);
	}
	assert_int_equal(r.rto_us, LANE_RTO_MAX_US);
	assert_true(r.srtt_us <= LANE_RTO_MAX_US);
}

static void test_backoff__doubles_up_to_the_most(void **state)
{
	uint32_t want = 900000;

	(void)state;
	lane_rto_sample(&r, 300000, MIN_US);
	for (int i = 1; i < 300; i++) {
		lane_rto_backoff(&r);
		want = 2 * want < LANE_RTO_MAX_US ? 2 * want : LANE_RTO_MAX_US;
		assert_int_equal(r.rto_us, want);
		assert_int_equal(r.nr_backoffs, i < 31 ? i : 31); /* Linux counts to 15 */
	}
}

static void test_backoff__ends_with_a_sample(void **state)
{
	(void)state;
	lane_rto_sample(&r, 300000, MIN_US);
	lane_rto_backoff(&r);
	lane_rto_sample(&r, 300000, MIN_US);
	assert_int_equal(r.nr_backoffs, 0);
	assert_true(r.rto_us < 900000);
}

static void test_reset_backoff__computes_from_what_is_known(void **state)
{
	(void)state;
	lane_rto_backoff(&r);
	lane_rto_reset_backoff(&r, MIN_US);
	assert_int_equal(r.rto_us, LANE_RTO_INITIAL_US);
	lane_rto_sample(&r, 300000, MIN_US);
	lane_rto_backoff(&r);
	lane_rto_backoff(&r);
	lane_rto_reset_backoff(&r, MIN_US);
	assert_int_equal(r.rto_us, 900000);
	assert_int_equal(r.nr_backoffs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_init__one_second, setup),
		cmocka_unit_test_setup(test_sample__first_sets_rttvar_to_half, setup),
		cmocka_unit_test_setup(test_sample__later_ones_are_smoothed, setup),
		cmocka_unit_test_setup(test_sample__floor_holds_for_the_variance_part, setup),
		cmocka_unit_test_setup(test_sample__follows_a_change_both_ways, setup),
		cmocka_unit_test_setup(test_sample__ends_of_the_range, setup),
		cmocka_unit_test_setup(test_backoff__doubles_up_to_the_most, setup),
		cmocka_unit_test_setup(test_backoff__ends_with_a_sample, setup),
		cmocka_unit_test_setup(test_reset_backoff__computes_from_what_is_known, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
