/*
 * pool_test.c - tests of stack/base/pool.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lane-int/engine.h"

#define NR 5

struct object {
	uint32_t link;
	uint8_t body[20];
};

static struct object objects[NR];
static struct lane_pool pool;

static int setup(void **state)
{
	(void)state;
	memset(objects, 0xee, sizeof(objects));
	lane_pool_init(&pool, objects, sizeof(objects[0]), NR);
	return 0;
}

static uint32_t get(void)
{
	return lane_pool_get(&pool, objects, sizeof(objects[0]));
}

static void test_init__no_objects(void **state)
{
	(void)state;
	lane_pool_init(&pool, objects, sizeof(objects[0]), 0);
	assert_int_equal(get(), LANE_NIL);
}

static void test_get__each_once_and_zeroed(void **state)
{
	static const struct object zero;
	uint8_t seen[NR] = {0};

	(void)state;
	for (int i = 0; i < NR; i++) {
		uint32_t at = get();

		assert_true(at < NR);
		assert_int_equal(seen[at]++, 0);
		assert_memory_equal(&objects[at], &zero, sizeof(zero));
	}
	assert_int_equal(pool.nr_used, NR);
}

static void test_get__counts_failures(void **state)
{
	(void)state;
	for (int i = 0; i < NR; i++)
		get();
	assert_int_equal(get(), LANE_NIL);
	assert_int_equal(get(), LANE_NIL);
	assert_int_equal(pool.nr_failed, 2);
	assert_int_equal(pool.nr_used, NR);
}

static void test_get__damaged_link_is_an_empty_pool(void **state)
{
	(void)state;
	objects[0].link = 77;
	assert_int_equal(get(), 0);
	assert_int_equal(get(), LANE_NIL);
}

static void test_put__last_put_is_next(void **state)
{
	uint32_t a = get(), b = get();

	(void)state;
	memset(objects[a].body, 1, sizeof(objects[a].body));
	lane_pool_put(&pool, objects, sizeof(objects[0]), b);
	lane_pool_put(&pool, objects, sizeof(objects[0]), a);
	assert_int_equal(pool.nr_used, 0);
	assert_int_equal(pool.nr_max, 2);
	assert_int_equal(get(), a);
	assert_int_equal(objects[a].body[0], 0);
	assert_int_equal(get(), b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_init__no_objects, setup),
		cmocka_unit_test_setup(test_get__each_once_and_zeroed, setup),
		cmocka_unit_test_setup(test_get__counts_failures, setup),
		cmocka_unit_test_setup(test_get__damaged_link_is_an_empty_pool, setup),
		cmocka_unit_test_setup(test_put__last_put_is_next, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
