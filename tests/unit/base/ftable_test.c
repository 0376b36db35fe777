/*
 * ftable_test.c - tests of stack/base/ftable.c, most of them against a plain list
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/base/ftable.h"
#include "stack/base/rng.h"

#define MAX 300

/* What should be in the table. */
static struct {
	uint32_t hash, idx;
} model[MAX];
static uint32_t nr_model;
static void *mem;
static struct lane_ftable *table;

static int setup(void **state)
{
	(void)state;
	mem = aligned_alloc(64, lane_ftable_size(MAX));
	assert_non_null(mem);
	table = lane_ftable_init(mem, MAX);
	nr_model = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(mem);
	return 0;
}

static void insert(uint32_t hash, uint32_t idx)
{
	int r = lane_ftable_insert(table, hash, idx);

	if (nr_model == MAX) {
		assert_int_equal(r, -ENOSPC);
		return;
	}
	assert_int_equal(r, 0);
	model[nr_model].hash = hash;
	model[nr_model].idx = idx;
	nr_model++;
}

static void remove_at(uint32_t i)
{
	assert_int_equal(lane_ftable_remove(table, model[i].hash, model[i].idx), 0);
	model[i] = model[--nr_model];
}

/* Every index under 'hash', once, and no other. */
static void check_lookup(uint32_t hash)
{
	struct lane_ftable_iter it;
	uint32_t nr_found = 0, nr_due = 0;
	uint64_t sum_found = 0, sum_due = 0;

	for (uint32_t i = lane_ftable_first(table, hash, &it); i != LANE_NIL;
	     i = lane_ftable_next(table, &it)) {
		nr_found++;
		sum_found += (uint64_t)i * i;
		assert_true(nr_found <= nr_model);
	}
	for (uint32_t i = 0; i < nr_model; i++) {
		if (model[i].hash == hash) {
			nr_due++;
			sum_due += (uint64_t)model[i].idx * model[i].idx;
		}
	}
	assert_int_equal(nr_found, nr_due);
	assert_true(sum_found == sum_due);
}

/* The table's own bytes behind the head. */
static void assert_no_tags_no_passed(void)
{
	const struct lane_ftable_bucket *b = (const void *)((uint8_t *)mem + 64);
	const uint16_t *passed = (const void *)(b + table->nr_buckets);

	for (uint32_t i = 0; i < table->nr_buckets; i++) {
		for (int j = 0; j < 8; j++)
			assert_int_equal(b[i].tag[j], 0);
		assert_int_equal(passed[i], 0);
	}
	assert_int_equal(table->nr, 0);
}

static void test_size__sixty_percent_load(void **state)
{
	(void)state;
	/* 4.8 entries a bucket, to the next power of two */
	assert_int_equal(table->nr_buckets, 64);
	assert_true(lane_ftable_size(MAX) >= 64 + 64 * 66);
	assert_true(lane_ftable_size(1) >= 64 + 66);
	assert_int_equal(lane_ftable_size(1000) % 64, 0);
}

static void test_insert__full_table(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MAX; i++)
		insert(i * 2654435761U | 1, i);
	assert_int_equal(lane_ftable_insert(table, 5, 5), -ENOSPC);
	remove_at(7);
	assert_int_equal(lane_ftable_insert(table, 5, 5), 0);
}

static void test_insert__one_entry(void **state)
{
	struct lane_ftable_iter it;

	(void)state;
	table = lane_ftable_init(mem, 1);
	assert_int_equal(lane_ftable_insert(table, 0xffffffff, 9), 0);
	assert_int_equal(lane_ftable_insert(table, 1, 1), -ENOSPC);
	assert_int_equal(lane_ftable_first(table, 0xffffffff, &it), 9);
	assert_int_equal(lane_ftable_next(table, &it), LANE_NIL);
	assert_int_equal(lane_ftable_first(table, 1, &it), LANE_NIL);
}

static void test_remove__what_is_not_there(void **state)
{
	(void)state;
	insert(64, 1);
	assert_int_equal(lane_ftable_remove(table, 64, 2), -ENOENT);
	assert_int_equal(lane_ftable_remove(table, 128, 1), -ENOENT);
	remove_at(0);
	assert_int_equal(lane_ftable_remove(table, 64, 1), -ENOENT);
	assert_no_tags_no_passed();
}

/* All have one home at the table's end: the chain wraps around, and is removed from its start,
 * middle. */
static void test_remove__out_of_a_long_chain(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 3);
	for (uint32_t i = 0; i < MAX; i++)
		insert((i % 5 + 1) * 64 + 63, i);
	while (nr_model) {
		for (uint32_t h = 1; h <= 6; h++)
			check_lookup(h * 64 + 63);
		remove_at(nr_model > MAX / 2 ? 0 : lane_rng_below(&r, nr_model));
	}
	assert_no_tags_no_passed();
}

static void test_first__random_operations(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 7);
	for (uint32_t step = 0; step < 30000; step++) {
		/* Few homes and few tags, so that probing and equal hashes are the rule. */
		uint32_t hash = (lane_rng_below(&r, 3) + 1) * 64 + lane_rng_below(&r, 12) * 5;
		/* Grows and shrinks in turn. */
		uint32_t bias = step / 1000 % 2 ? 7 : 3;

		if (lane_rng_below(&r, 10) < bias)
			insert(hash, step);
		else if (nr_model)
			remove_at(lane_rng_below(&r, nr_model));
		assert_int_equal(table->nr, nr_model);
		lane_ftable_prefetch(table, hash);
		check_lookup(hash);
	}
	while (nr_model)
		remove_at(nr_model - 1);
	assert_no_tags_no_passed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_size__sixty_percent_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_insert__full_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_insert__one_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove__what_is_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove__out_of_a_long_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first__random_operations, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
