/*
 * rng_test.c - tests of stack/base/rng.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/base/rng.h"

static void test_seed__reference_state(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 0);
	/* splitmix64's first output from 0, then xoshiro256**'s */
	assert_true(r.s[0] == 0xe220a8397b1dcdaf);
	assert_true(lane_rng_u64(&r) == 0x99ec5f36cb75f2b4);
}

static void test_u64__replays_from_its_seed(void **state)
{
	struct lane_rng a, b;

	(void)state;
	lane_rng_seed(&a, 42);
	lane_rng_seed(&b, 42);
	for (int i = 0; i < 100; i++)
		assert_true(lane_rng_u64(&a) == lane_rng_u64(&b));
	lane_rng_seed(&b, 43);
	assert_true(lane_rng_u64(&a) != lane_rng_u64(&b));
}

static void test_below__stays_below_and_reaches_all(void **state)
{
	struct lane_rng r;
	int count[7] = {0};

	(void)state;
	lane_rng_seed(&r, 1);
	for (int i = 0; i < 7000; i++) {
		uint32_t v = lane_rng_below(&r, 7);

		assert_true(v < 7);
		count[v]++;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(count[i], 800, 1200);
}

static void test_below__ends_of_the_range(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 1);
	assert_int_equal(lane_rng_below(&r, 0), 0);
	assert_int_equal(lane_rng_below(&r, 1), 0);
	for (int i = 0; i < 100; i++)
		assert_true(lane_rng_below(&r, UINT32_MAX) < UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed__reference_state),
		cmocka_unit_test(test_u64__replays_from_its_seed),
		cmocka_unit_test(test_below__stays_below_and_reaches_all),
		cmocka_unit_test(test_below__ends_of_the_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
