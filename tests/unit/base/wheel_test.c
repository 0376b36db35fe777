/*
 * wheel_test.c - tests of stack/base/wheel.c, most of them against an array of deadlines
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/base/rng.h"
#include "stack/base/wheel.h"

#define NR  48
#define MS  1000ULL
#define SEC 1000000ULL

/* As in a pcb: the timer is somewhere inside. */
struct object {
	uint64_t before;
	struct lane_timer timer;
	uint64_t after;
};

static struct object objects[NR];
static struct lane_wheel wheel;
static struct lane_timers timers = {&wheel, &objects[0].timer, sizeof(objects[0]), NR};

/* The model: when each fires, in ticks; 0: not started. */
static uint64_t due[NR];

static void begin(uint64_t now_us)
{
	memset(objects, 0, sizeof(objects));
	memset(due, 0, sizeof(due));
	lane_wheel_init(&wheel, now_us);
}

static int setup(void **state)
{
	(void)state;
	begin(5 * SEC);
	return 0;
}

static void start(uint32_t i, uint64_t at_us)
{
	lane_timer_start(&timers, i, at_us);
	due[i] = (at_us + MS - 1) / MS;
	if (due[i] < wheel.now_tick)
		due[i] = wheel.now_tick;
}

static void stop(uint32_t i)
{
	lane_timer_stop(&timers, i);
	due[i] = 0;
}

static uint64_t earliest(void)
{
	uint64_t min = UINT64_MAX;

	for (uint32_t i = 0; i < NR; i++)
		if (due[i] && due[i] < min)
			min = due[i];
	return min;
}

static uint32_t nr_due(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < NR; i++)
		n += due[i] != 0;
	return n;
}

/*
 * What next() tells, in ticks: the first deadline, or the start of the 256 ticks of the first one
 * in the second wheel. 0 if the third wheel is in use: there those hang too that were beyond its
 * end.
 */
static uint64_t next_tick(void)
{
	uint64_t min = UINT64_MAX;

	for (uint32_t i = 0; i < NR; i++) {
		uint32_t slot = objects[i].timer.slot;
		uint64_t tick = slot > 256 ? due[i] & ~255ULL : due[i];

		if (slot > 256 + 64)
			return 0;
		if (due[i] && tick < min)
			min = tick;
	}
	return min;
}

static void check_next(void)
{
	uint64_t next = lane_wheel_next(&wheel);
	uint64_t first = earliest();

	assert_int_equal(wheel.nr_started, nr_due());
	if (first == UINT64_MAX) {
		assert_true(next == UINT64_MAX);
		return;
	}
	assert_true(next <= first * MS);
	assert_true(next >= wheel.now_tick * MS);
	if (next_tick())
		assert_true(next == next_tick() * MS);
}

/* Pops all that is due; the model says which must come, and in which order. */
static void expire_all(uint64_t now_us)
{
	uint64_t last = 0;

	for (uint32_t n = 0; n <= NR; n++) {
		uint32_t i = lane_timer_expire(&timers, now_us);

		if (i == LANE_NIL) {
			assert_true(earliest() > now_us / MS);
			return;
		}
		assert_true(i < NR);
		assert_int_not_equal(due[i], 0);
		assert_true(due[i] <= now_us / MS);
		assert_true(due[i] >= last);
		assert_int_equal(objects[i].timer.slot, 0);
		last = due[i];
		due[i] = 0;
	}
	fail_msg("more timers fired than were started");
}

static void test_start__fires_at_its_tick_and_not_before(void **state)
{
	(void)state;
	start(1, 5 * SEC + 2500);
	assert_int_equal(lane_timer_expire(&timers, 5 * SEC + 2500), LANE_NIL);
	assert_int_equal(lane_timer_expire(&timers, 5 * SEC + 2999), LANE_NIL);
	assert_int_equal(lane_timer_expire(&timers, 5 * SEC + 3000), 1);
	assert_int_equal(lane_timer_expire(&timers, 5 * SEC + 3000), LANE_NIL);
}

static void test_start__moves_a_started_one(void **state)
{
	(void)state;
	start(1, 6 * SEC);
	start(1, 400 * SEC);
	assert_int_equal(wheel.nr_started, 1);
	assert_int_equal(lane_timer_expire(&timers, 399 * SEC), LANE_NIL);
	start(1, 399 * SEC + 5 * MS);
	assert_int_equal(lane_timer_expire(&timers, 399 * SEC + 5 * MS), 1);
}

static void test_start__in_the_past_fires_next(void **state)
{
	(void)state;
	start(1, 0);
	assert_int_equal(lane_timer_expire(&timers, 5 * SEC), 1);
	/* This tick is over. */
	start(1, 0);
	assert_int_equal(lane_timer_expire(&timers, 5 * SEC), LANE_NIL);
	assert_int_equal(lane_timer_expire(&timers, 5 * SEC + MS), 1);
}

static void test_start__restarted_for_the_past_by_its_owner(void **state)
{
	int nr = 0;

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		start(i, 5 * SEC);
	for (uint32_t i; nr < 100; nr++) {
		i = lane_timer_expire(&timers, 5 * SEC);
		if (i == LANE_NIL)
			break;
		start(i, 0);
	}
	assert_int_equal(nr, 4);
	assert_int_equal(wheel.nr_started, 4);
}

static void test_start__beyond_the_wheels(void **state)
{
	uint64_t at = 5 * SEC + 7200 * SEC;

	(void)state;
	start(2, at);
	for (uint64_t now = 5 * SEC; now < at; now += 100 * SEC)
		assert_int_equal(lane_timer_expire(&timers, now), LANE_NIL);
	assert_int_equal(lane_timer_expire(&timers, at - 1), LANE_NIL);
	assert_int_equal(lane_timer_expire(&timers, at), 2);
}

static void test_start__for_ever(void **state)
{
	(void)state;
	lane_timer_start(&timers, 3, UINT64_MAX);
	assert_int_equal(lane_timer_expire(&timers, 20 * 86400 * SEC), LANE_NIL);
	assert_int_equal(wheel.nr_started, 1);
	lane_timer_stop(&timers, 3);
	assert_int_equal(wheel.nr_started, 0);
}

static void test_stop__is_idempotent(void **state)
{
	(void)state;
	lane_timer_stop(&timers, 1);
	start(1, 6 * SEC);
	stop(1);
	stop(1);
	assert_int_equal(wheel.nr_started, 0);
	assert_int_equal(lane_timer_expire(&timers, 60 * SEC), LANE_NIL);
}

/* One that is due already, while another one's owner works. */
static void test_stop__a_due_one(void **state)
{
	uint32_t first, i;

	(void)state;
	for (i = 0; i < 3; i++)
		start(i, 5 * SEC + MS);
	first = lane_timer_expire(&timers, 6 * SEC);
	assert_true(first < 3);
	i = (first + 1) % 3;
	stop(i);
	assert_true(lane_wheel_next(&wheel) <= 5 * SEC + MS);
	assert_int_equal(lane_timer_expire(&timers, 6 * SEC), 3 - first - i);
	assert_int_equal(lane_timer_expire(&timers, 6 * SEC), LANE_NIL);
}

/* One of the first 'nr_spans': 3 keep to two wheels. */
static uint64_t random_span(struct lane_rng *r, uint32_t nr_spans)
{
	static const uint64_t spans[] = {2 * MS, 300 * MS, 16 * SEC, 1100 * SEC, 4000 * SEC};

	return lane_rng_u64(r) % spans[lane_rng_below(r, nr_spans)];
}

static void test_expire__random_operations(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct lane_rng r;
		/* Also over the end of the 32 bits of a tick. */
		uint64_t now = seed % 2 ? seed * SEC + 77 : ((1ULL << 32) - 5000) * MS;

		uint32_t nr_spans = seed <= 2 ? 3 : 5;

		lane_rng_seed(&r, seed);
		begin(now);
		for (int step = 0; step < 3000; step++) {
			uint32_t i = lane_rng_below(&r, NR);

			if (lane_rng_below(&r, 4) != 0)
				start(i, now + random_span(&r, nr_spans) -
						 (lane_rng_below(&r, 8) ? 0 : 5 * MS));
			else
				stop(i);
			if (lane_rng_below(&r, 3) == 0)
				now += random_span(&r, nr_spans) >> lane_rng_below(&r, 8);
			check_next();
			expire_all(now);
			check_next();
		}
	}
}

/* A sleeper that wakes when next() says gets everything in time, in few steps. */
static void test_next__drives_a_sleeper(void **state)
{
	uint64_t now = 5 * SEC;
	uint32_t nr_wakes = 0;

	(void)state;
	for (uint32_t i = 0; i < NR; i++)
		start(i, now + i * i * 300 * MS);
	while (wheel.nr_started && nr_wakes++ < 1000) {
		uint64_t next = lane_wheel_next(&wheel);

		assert_true(next >= now || next + MS > now);
		if (next > now)
			now = next;
		expire_all(now);
	}
	assert_true(nr_wakes < 4 * NR);
	assert_true(lane_wheel_next(&wheel) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_start__fires_at_its_tick_and_not_before, setup),
		cmocka_unit_test_setup(test_start__moves_a_started_one, setup),
		cmocka_unit_test_setup(test_start__in_the_past_fires_next, setup),
		cmocka_unit_test_setup(test_start__restarted_for_the_past_by_its_owner, setup),
		cmocka_unit_test_setup(test_start__beyond_the_wheels, setup),
		cmocka_unit_test_setup(test_start__for_ever, setup),
		cmocka_unit_test_setup(test_stop__is_idempotent, setup),
		cmocka_unit_test_setup(test_stop__a_due_one, setup),
		cmocka_unit_test_setup(test_expire__random_operations, setup),
		cmocka_unit_test_setup(test_next__drives_a_sleeper, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
