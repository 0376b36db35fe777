/*
 * clock_test.c - posix/keeper/clock.c: between two looks at the kernel's clock it may not run away
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "posix/keeper/arena.h"

#define AHEAD_US 100
#define READS    400000

static uint64_t nr_asked;
static int64_t shift_us;     /* of the kernel's clock, as we tell it */
static uint64_t stands_at_us; /* 0: it goes */

static uint64_t real_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool counter_is_invariant(void)
{
#ifdef __x86_64__
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && d & 1U << 8;
#else
	return false;
#endif
}

static int clock_of_test(clockid_t id, struct timespec *ts)
{
	uint64_t us = stands_at_us ? stands_at_us : real_us() + (uint64_t)shift_us;

	assert_int_equal(id, CLOCK_MONOTONIC);
	nr_asked++;
	ts->tv_sec = (time_t)(us / 1000000);
	ts->tv_nsec = (long)(us % 1000000) * 1000;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	shim_clock = clock_of_test;
	nr_asked = 0;
	return 0;
}

static void test_now__is_the_kernels(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < READS; i++) {
		uint64_t before = real_us(), now = shim_now_us(), after = real_us();

		assert_true(now <= after + AHEAD_US);
		assert_true(now >= last);
		assert_true(now + 100000 >= before);
		last = now;
	}
	/* Otherwise the rest of these tests sees nothing. */
	if (counter_is_invariant())
		assert_true(nr_asked < READS / 2);
}

static void test_now__kernels_clock_leaps(void **state)
{
	uint64_t was = shim_now_us(), now = was;

	(void)state;
	shift_us += 3600 * 1000000LL;
	for (int i = 0; i < READS && now < was + 3600 * 1000000ULL; i++)
		now = shim_now_us();
	assert_true(now >= was + 3600 * 1000000ULL);
	/* Back, as in another time namespace: it follows, or no time-out would come for so long. */
	shift_us -= 1800 * 1000000LL;
	for (int i = 0; i < READS && now > was + 1801 * 1000000ULL; i++)
		now = shim_now_us();
	assert_true(now <= was + 1801 * 1000000ULL);
	shift_us += 1800 * 1000000LL;
}

static uint64_t most_ahead_us, nr_handled;

static void on_timer(int nr)
{
	uint64_t now = shim_now_us(), after = real_us();

	(void)nr;
	nr_handled++;
	if (now > after + most_ahead_us)
		most_ahead_us = now - after;
}

/* A handler that reads the clock in the middle of a reading: the parts of two anchors do not mix. */
static void test_now__in_a_handler(void **state)
{
	const struct itimerval often = {{0, 73}, {0, 73}}, never = {0};
	uint64_t end = real_us() + 300000;

	(void)state;
	shift_us = 0;
	stands_at_us = 0;
	for (uint64_t us = 0; us < real_us();)
		us = shim_now_us();
	signal(SIGALRM, on_timer);
	setitimer(ITIMER_REAL, &often, NULL);
	for (uint64_t us = 0; us < end; us = real_us()) {
		uint64_t now = shim_now_us(), after = real_us();

		if (now > after + most_ahead_us)
			most_ahead_us = now - after;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	assert_true(nr_handled > 0);
	assert_true(most_ahead_us <= 50);
}

static void test_now__kernels_clock_stands(void **state)
{
	uint64_t now;

	(void)state;
	stands_at_us = real_us() + (uint64_t)shift_us;
	for (int i = 0; i < READS; i++)
		assert_true(shim_now_us() <= stands_at_us + AHEAD_US);
	now = shim_now_us();
	stands_at_us = 0;
	assert_true(shim_now_us() >= now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_now__is_the_kernels, setup),
		cmocka_unit_test_setup(test_now__in_a_handler, setup),
		cmocka_unit_test_setup(test_now__kernels_clock_leaps, setup),
		cmocka_unit_test_setup(test_now__kernels_clock_stands, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
