/*
 * stats_test.c - tests of stack/base/stats.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lane/stats.h>

static void test_drop_name__is_the_enumerator(void **state)
{
	(void)state;
	assert_string_equal(lane_drop_name(LANE_OK), "OK");
	assert_string_equal(lane_drop_name(LANE_DROP_TCP_PAWS), "TCP_PAWS");
	assert_string_equal(lane_drop_name(LANE_NR_DROPS - 1), "FOREIGN");
	assert_null(lane_drop_name(LANE_NR_DROPS));
}

static void test_drop_text__every_reason_has_one(void **state)
{
	(void)state;
	for (int i = 0; i < LANE_NR_DROPS; i++)
		assert_true(strlen(lane_drop_text((enum lane_drop)i)) > 5);
	assert_string_equal(lane_drop_text(LANE_DROP_TCP_PAWS), "old timestamp (RFC 7323 5)");
	assert_null(lane_drop_text(LANE_NR_DROPS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_name__is_the_enumerator),
		cmocka_unit_test(test_drop_text__every_reason_has_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
