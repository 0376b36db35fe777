/*
 * isn_test.c - tests of stack/tcp/isn.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/tcp/isn.h"

static const struct lane_hash_key key = {{1, 2}}, other_key = {{1, 3}};
static struct lane_ep local, remote;

static int setup(void **state)
{
	(void)state;
	/* Padding must not count. */
	memset(&local, 0xff, sizeof(local));
	memset(&remote, 0, sizeof(remote));
	local.ip = lane_ip4(0x0100000a);
	local.port = 40000;
	remote.ip = lane_ip4(0x0200000a);
	remote.port = 80;
	return 0;
}

static void test_isn__counts_four_microseconds(void **state)
{
	uint32_t first = lane_isn(&key, &local, &remote, 1000);

	(void)state;
	assert_int_equal(lane_isn(&key, &local, &remote, 1003), first);
	assert_int_equal(lane_isn(&key, &local, &remote, 1004), first + 1);
	assert_int_equal(lane_isn(&key, &local, &remote, 1000 + 4000000), first + 1000000);
	/* It wraps with the clock's 2^34 us. */
	assert_int_equal(lane_isn(&key, &local, &remote, 1000 + (1ULL << 34)), first);
}

static void test_isn__every_part_of_the_flow_counts(void **state)
{
	uint32_t v[6];
	struct lane_ep moved = local;

	(void)state;
	v[0] = lane_isn(&key, &local, &remote, 0);
	v[1] = lane_isn(&other_key, &local, &remote, 0);
	v[2] = lane_isn(&key, &remote, &local, 0);
	moved.port++;
	v[3] = lane_isn(&key, &moved, &remote, 0);
	moved = local;
	moved.ip.b[15]++;
	v[4] = lane_isn(&key, &moved, &remote, 0);
	v[5] = lane_ts_offset(&key, &local, &remote);
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < i; j++)
			assert_int_not_equal(v[i], v[j]);
}

static void test_ts_offset__same_for_every_incarnation(void **state)
{
	struct lane_ep copy;

	(void)state;
	memset(&copy, 0x11, sizeof(copy));
	copy.ip = local.ip;
	copy.port = local.port;
	assert_int_equal(lane_ts_offset(&key, &local, &remote),
			 lane_ts_offset(&key, &copy, &remote));
	assert_int_not_equal(lane_ts_offset(&key, &local, &remote),
			     lane_ts_offset(&other_key, &local, &remote));
}

static void test_port_pick__each_port_once_in_a_round(void **state)
{
	static uint8_t seen[65536];
	const uint32_t starts[] = {0, 12345};

	(void)state;
	for (size_t k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
		memset(seen, 0, sizeof(seen));
		for (uint32_t n = 0; n < 28233; n++) {
			uint16_t p = lane_port_pick(lane_port_offset(&key, &local.ip, &remote), 32768, 61000,
						    starts[k] + n);

			assert_in_range(p, 32768, 61000);
			assert_int_equal(seen[p]++, 0);
		}
	}
}

static void test_port_pick__small_and_full_ranges(void **state)
{
	(void)state;
	assert_int_equal(lane_port_pick(lane_port_offset(&key, &local.ip, &remote), 7, 7, 99), 7);
	for (uint32_t n = 0; n < 100; n++)
		assert_in_range(lane_port_pick(lane_port_offset(&key, &local.ip, &remote), 65534, 65535, n), 65534,
				65535);
	lane_port_pick(lane_port_offset(&key, &local.ip, &remote), 0, 65535, UINT32_MAX);
}

/* RFC 6056 3.3.3: where the round starts depends on whom it goes to. */
static void test_port_pick__starts_elsewhere_for_others(void **state)
{
	uint16_t a = lane_port_pick(lane_port_offset(&key, &local.ip, &remote), 32768, 60999, 0);
	uint16_t b;

	(void)state;
	remote.port++;
	b = lane_port_pick(lane_port_offset(&key, &local.ip, &remote), 32768, 60999, 0);
	assert_int_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_isn__counts_four_microseconds, setup),
		cmocka_unit_test_setup(test_isn__every_part_of_the_flow_counts, setup),
		cmocka_unit_test_setup(test_ts_offset__same_for_every_incarnation, setup),
		cmocka_unit_test_setup(test_port_pick__each_port_once_in_a_round, setup),
		cmocka_unit_test_setup(test_port_pick__small_and_full_ranges, setup),
		cmocka_unit_test_setup(test_port_pick__starts_elsewhere_for_others, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
