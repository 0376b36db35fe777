/*
 * hash_test.c - tests of stack/base/hash.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/base/hash.h"

/* The vectors' key and input are the bytes 0, 1, 2, ... */
static const struct lane_hash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

struct vector {
	uint32_t len;
	uint64_t hash;
};

static void fill(uint8_t *p)
{
	for (int i = 0; i < 64; i++)
		p[i] = (uint8_t)i;
}

static void test_siphash24__reference_vectors(void **state)
{
	static const struct vector v[] = {
		{0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd}, {2, 0x0d6c8009d9a94f5a},
		{3, 0x85676696d7fb7e2d},  {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5},
		{63, 0x958a324ceb064572},
	};
	uint8_t in[64];

	(void)state;
	fill(in);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_true(lane_siphash24(&key, in, v[i].len) == v[i].hash);
}

static void test_siphash13__reference_vectors(void **state)
{
	static const struct vector v[] = {
		{0, 0xabac0158050fc4dc},
		{1, 0xc9f49bf37d57ca93},
		{2, 0x82cb9b024dc7d44d},
		{3, 0x8bf80ab8e7ddf7fb},
	};
	uint8_t in[64];

	(void)state;
	fill(in);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_true(lane_siphash13(&key, in, v[i].len) == v[i].hash);
}

static void test_siphash13__any_alignment(void **state)
{
	uint8_t in[64], moved[72];

	(void)state;
	fill(in);
	for (size_t at = 0; at < 8; at++) {
		memcpy(moved + at, in, 40);
		assert_true(lane_siphash13(&key, moved + at, 40) == lane_siphash13(&key, in, 40));
	}
}

static void test_flow_hash__every_part_counts(void **state)
{
	struct lane_ep a = {lane_ip4(0x0100000a), 80}, b = {lane_ip4(0x0200000a), 4000};
	struct lane_hash_key other = {{key.k[0], key.k[1] + 1}};
	uint32_t h[8];

	(void)state;
	h[0] = lane_flow_hash(&key, 6, &a, &b);
	h[1] = lane_flow_hash(&key, 17, &a, &b);
	h[2] = lane_flow_hash(&key, 6, &b, &a);
	h[3] = lane_flow_hash(&other, 6, &a, &b);
	b.port++;
	h[4] = lane_flow_hash(&key, 6, &a, &b);
	b.port--;
	a.port++;
	h[5] = lane_flow_hash(&key, 6, &a, &b);
	a.port--;
	b.ip.b[15]++;
	h[6] = lane_flow_hash(&key, 6, &a, &b);
	b.ip.b[0]++; /* no IPv4 address any more */
	h[7] = lane_flow_hash(&key, 6, &a, &b);
	for (int i = 0; i < 8; i++) {
		assert_int_not_equal(h[i], 0);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(h[i], h[j]);
	}
}

static void test_flow_hash__padding_does_not_count(void **state)
{
	struct lane_ep a, b;

	(void)state;
	memset(&a, 0xff, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.ip = b.ip = lane_ip4(0x0100000a);
	a.port = b.port = 80;
	assert_int_equal(lane_flow_hash(&key, 6, &a, &b), lane_flow_hash(&key, 6, &b, &a));
}

/* 64 Ki ports into 64 Ki values: no value may be taken much too often, and none be 0. */
static void test_port_hash__spreads(void **state)
{
	static uint16_t count[4096];
	uint16_t most = 0;

	(void)state;
	for (uint32_t port = 0; port < 65536; port++) {
		uint32_t h = lane_port_hash(&key, 6, (uint16_t)port);

		assert_int_not_equal(h, 0);
		if (++count[h % 4096] > most)
			most = count[h % 4096];
	}
	assert_true(most < 48); /* 16 on average */
	assert_int_not_equal(lane_port_hash(&key, 6, 80), lane_port_hash(&key, 17, 80));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash24__reference_vectors),
		cmocka_unit_test(test_siphash13__reference_vectors),
		cmocka_unit_test(test_siphash13__any_alignment),
		cmocka_unit_test(test_flow_hash__every_part_counts),
		cmocka_unit_test(test_flow_hash__padding_does_not_count),
		cmocka_unit_test(test_port_hash__spreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
