/*
 * csum_test.c - tests of stack/base/csum.c against a byte by byte sum (RFC 1071)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/base/csum.h"
#include "stack/base/rng.h"

#define MAX_LEN 65535
#define ALIGN   8

static uint8_t bytes[MAX_LEN + 64], copy[MAX_LEN + 64];

/* The folded sum, of words in memory order. */
static uint16_t naive(uint32_t start, const uint8_t *p, size_t len)
{
	uint32_t sum = start;

	for (size_t i = 0; i < len; i++) {
		sum += (uint32_t)p[i] << (i % 2 ? 8 : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Equal as one's complement numbers: 0 and 0xffff are one. */
static void assert_sum_equal(uint16_t a, uint16_t b)
{
	assert_int_equal(a % 0xffff, b % 0xffff);
}

static int setup(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)lane_rng_u64(&r);
	return 0;
}

static void test_add__all_lengths_and_alignments(void **state)
{
	(void)state;
	for (size_t align = 0; align < ALIGN; align++) {
		for (size_t len = 0; len < 600; len++) {
			const uint8_t *p = bytes + align;

			assert_sum_equal(lane_csum_fold(lane_csum_add(0, p, len)),
					 naive(0, p, len));
		}
	}
}

static void test_add__long_and_full_of_ones(void **state)
{
	(void)state;
	assert_sum_equal(lane_csum_fold(lane_csum_add(0, bytes + 1, MAX_LEN)),
			 naive(0, bytes + 1, MAX_LEN));
	memset(copy, 0xff, sizeof(copy));
	assert_int_equal(lane_csum_fold(lane_csum_add(0, copy, MAX_LEN - 1)), 0xffff);
	assert_sum_equal(lane_csum_fold(lane_csum_add(UINT64_MAX, copy, MAX_LEN - 1)), 0xffff);
}

static void test_add__parts_make_the_whole(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= 1460; cut += 2) {
		uint64_t sum = lane_csum_add(0, bytes, cut);

		sum = lane_csum_add(sum, bytes + cut, 1461 - cut);
		assert_sum_equal(lane_csum_fold(sum), naive(0, bytes, 1461));
	}
}

static void test_copy__copies_and_adds(void **state)
{
	(void)state;
	for (size_t align = 0; align < ALIGN; align++) {
		for (size_t len = 0; len < 400; len++) {
			uint64_t sum;

			memset(copy, 0, sizeof(copy));
			sum = lane_csum_copy(7, copy + 3, bytes + align, len);
			assert_sum_equal(lane_csum_fold(sum), naive(7, bytes + align, len));
			assert_memory_equal(copy + 3, bytes + align, len);
			assert_int_equal(copy[2], 0);
			assert_int_equal(copy[3 + len], 0);
		}
	}
}

static void test_fold__ends_of_the_range(void **state)
{
	(void)state;
	assert_int_equal(lane_csum_fold(0), 0);
	assert_int_equal(lane_csum_fold(0xffff), 0xffff);
	assert_int_equal(lane_csum_fold(0x10000), 1);
	assert_int_equal(lane_csum_fold(0x1fffe), 0xffff);
	assert_int_equal(lane_csum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(lane_csum_fold(1ULL << 63), 0x8000);
}

static void test_pseudo__ip4(void **state)
{
	const uint8_t header[] = {10, 0, 0, 1, 192, 168, 255, 254, 0, 6, 0x05, 0xb4};
	struct lane_ip src = lane_ip4(0x0100000a), dst = lane_ip4(0xfeffa8c0);

	(void)state;
	assert_sum_equal(lane_csum_fold(lane_csum_pseudo(&src, &dst, 6, 0x05b4)),
			 naive(0, header, sizeof(header)));
}

static void test_pseudo__ip6(void **state)
{
	uint8_t header[40];
	struct lane_ip src = lane_ip6(bytes), dst = lane_ip6(bytes + 16);

	(void)state;
	memcpy(header, bytes, 32);
	memcpy(header + 32, (uint8_t[]){0, 1, 0x11, 0x22, 0, 0, 0, 58}, 8);
	assert_sum_equal(lane_csum_fold(lane_csum_pseudo(&src, &dst, 58, 0x11122)),
			 naive(0, header, sizeof(header)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add__all_lengths_and_alignments),
		cmocka_unit_test(test_add__long_and_full_of_ones),
		cmocka_unit_test(test_add__parts_make_the_whole),
		cmocka_unit_test(test_copy__copies_and_adds),
		cmocka_unit_test(test_fold__ends_of_the_range),
		cmocka_unit_test(test_pseudo__ip4),
		cmocka_unit_test(test_pseudo__ip6),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
