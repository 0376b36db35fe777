/*
 * ip_test.c - tests of stack/wire/ip.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "stack/base/csum.h"
#include "stack/base/rng.h"
#include "stack/wire/ip.h"

/* A packet under construction: a header with 8 bytes of payload. */
static uint8_t pkt[600];
static struct lane_ip_info info;

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void fix_csum(void)
{
	uint16_t sum;

	memset(pkt + 10, 0, 2);
	sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, pkt, (pkt[0] & 15) * 4U));
	memcpy(pkt + 10, &sum, 2);
}

/* An IPv4 packet with 'nopts' bytes of options; returns its length. */
static uint32_t make4(const uint8_t *opts, uint32_t nopts)
{
	uint32_t hlen = 20 + nopts;

	memset(pkt, 0, sizeof(pkt));
	pkt[0] = (uint8_t)(0x40 | hlen / 4);
	pkt[1] = 0xb9;
	put16(pkt + 2, hlen + 8);
	put16(pkt + 4, 0x1234);
	pkt[8] = 61;
	pkt[9] = LANE_PROTO_TCP;
	memcpy(pkt + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	if (nopts)
		memcpy(pkt + 20, opts, nopts);
	fix_csum();
	return hlen + 8;
}

/* An IPv6 packet with 'next' and 'body' behind the header; returns its length. */
static uint32_t make6(uint8_t next, const uint8_t *body, uint32_t len)
{
	memset(pkt, 0, sizeof(pkt));
	put16(pkt, 0x6b90); /* traffic class 0xb9 */
	put16(pkt + 4, len);
	pkt[6] = next;
	pkt[7] = 61;
	pkt[8] = 0xfe;
	pkt[9] = 0x80;
	pkt[23] = 1;
	pkt[24] = 0x20;
	pkt[25] = 0x01;
	pkt[39] = 2;
	if (len)
		memcpy(pkt + 40, body, len);
	return 40 + len;
}

static enum lane_drop parse(uint32_t len)
{
	return lane_ip_parse(guard_copy(pkt, len), len, len, &info);
}

static void test_parse__ip4(void **state)
{
	struct lane_ip src = lane_ip4(0x0100000a), dst = lane_ip4(0x0200000a);

	(void)state;
	assert_int_equal(parse(make4(NULL, 0)), LANE_OK);
	assert_true(lane_ip_equal(&info.src, &src));
	assert_true(lane_ip_equal(&info.dst, &dst));
	assert_int_equal(info.hlen, 20);
	assert_int_equal(info.l4_len, 8);
	assert_int_equal(info.proto, LANE_PROTO_TCP);
	assert_int_equal(info.tos, 0xb9);
	assert_int_equal(info.ttl, 61);
	assert_false(info.is_frag);
}

static void test_parse__trailing_bytes_are_padding(void **state)
{
	(void)state;
	make4(NULL, 0);
	assert_int_equal(parse(46), LANE_OK);
	assert_int_equal(info.l4_len, 8);
	make6(LANE_PROTO_UDP, (uint8_t[8]){0}, 8);
	assert_int_equal(parse(60), LANE_OK);
	assert_int_equal(info.l4_len, 8);
}

static void test_parse__every_truncation(void **state)
{
	const uint8_t opts[] = {1, 1, 7, 3, 4, 0, 0, 0};
	const uint8_t body[] = {LANE_PROTO_TCP, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
	uint32_t len = make4(opts, sizeof(opts));

	(void)state;
	for (uint32_t n = 0; n < len; n++)
		assert_int_not_equal(parse(n), LANE_OK);
	assert_int_equal(parse(len), LANE_OK);
	assert_int_equal(parse(0), LANE_DROP_SHORT);
	assert_int_equal(parse(19), LANE_DROP_SHORT);
	assert_int_equal(parse(27), LANE_DROP_IP_HLEN);
	assert_int_equal(parse(28), LANE_DROP_IP_LEN);

	len = make6(60, body, sizeof(body));
	for (uint32_t n = 0; n < len; n++)
		assert_int_not_equal(parse(n), LANE_OK);
	assert_int_equal(parse(len), LANE_OK);
	assert_int_equal(info.hlen, 48);
}

static void test_parse__a_chain_has_its_headers_in_front(void **state)
{
	const uint8_t body[] = {LANE_PROTO_TCP, 0, 1, 4, 0, 0, 0, 0};

	(void)state;
	make4(NULL, 0);
	put16(pkt + 2, 9000);
	fix_csum();
	assert_int_equal(lane_ip_parse(guard_copy(pkt, 28), 28, 9000, &info), LANE_OK);
	assert_int_equal(info.l4_len, 8980);
	/* The extension header goes on in the next frame. */
	make6(60, body, sizeof(body));
	put16(pkt + 4, 9000);
	assert_int_equal(lane_ip_parse(guard_copy(pkt, 44), 44, 9040, &info), LANE_DROP_IP_OPTIONS);
}

static void test_parse__bad_ip4_headers(void **state)
{
	uint32_t len = make4(NULL, 0);

	(void)state;
	pkt[0] = 0x55;
	assert_int_equal(parse(len), LANE_DROP_IP_VERSION);
	pkt[0] = 0x44;
	assert_int_equal(parse(len), LANE_DROP_IP_HLEN);
	pkt[0] = 0x4f;
	assert_int_equal(parse(len), LANE_DROP_IP_HLEN);
	make4(NULL, 0);
	put16(pkt + 2, 19);
	fix_csum();
	assert_int_equal(parse(len), LANE_DROP_IP_LEN);
	put16(pkt + 2, len + 1);
	fix_csum();
	assert_int_equal(parse(len), LANE_DROP_IP_LEN);
	make4(NULL, 0);
	for (int i = 1; i < 20; i++) {
		pkt[i] ^= 0x10;
		assert_int_not_equal(parse(len), LANE_OK);
		pkt[i] ^= 0x10;
	}
	pkt[8]--;
	assert_int_equal(parse(len), LANE_DROP_IP_CSUM);
}

static void test_parse__ip4_options(void **state)
{
	(void)state;
	assert_int_equal(parse(make4((uint8_t[]){1, 1, 1, 0}, 4)), LANE_OK);
	assert_int_equal(info.hlen, 24);
	/* What follows the end of the list is not read. */
	assert_int_equal(parse(make4((uint8_t[]){0, 131, 0, 0}, 4)), LANE_OK);
	assert_int_equal(parse(make4((uint8_t[]){148, 4, 0, 0}, 4)), LANE_OK);
	assert_int_equal(parse(make4((uint8_t[]){148, 5, 0, 0}, 4)), LANE_DROP_IP_OPTIONS);
	assert_int_equal(parse(make4((uint8_t[]){148, 0, 0, 0}, 4)), LANE_DROP_IP_OPTIONS);
	assert_int_equal(parse(make4((uint8_t[]){1, 1, 1, 148}, 4)), LANE_DROP_IP_OPTIONS);
	assert_int_equal(parse(make4((uint8_t[]){131, 3, 4, 0}, 4)), LANE_DROP_IP_OPTIONS);
	assert_int_equal(parse(make4((uint8_t[]){1, 137, 3, 4}, 4)), LANE_DROP_IP_OPTIONS);
}

static void test_parse__ip4_fragments(void **state)
{
	uint32_t len = make4(NULL, 0);

	(void)state;
	put16(pkt + 6, 0x2000);
	fix_csum();
	assert_int_equal(parse(len), LANE_OK);
	assert_true(info.is_frag && info.more_frags);
	assert_int_equal(info.frag_off, 0);
	assert_int_equal(info.frag_id, 0x1234);
	put16(pkt + 6, 3);
	fix_csum();
	assert_int_equal(parse(len), LANE_OK);
	assert_true(info.is_frag && !info.more_frags);
	assert_int_equal(info.frag_off, 24);
	put16(pkt + 6, 0x4000); /* DF alone */
	fix_csum();
	assert_int_equal(parse(len), LANE_OK);
	assert_false(info.is_frag);
	/* The ping of death ends behind 65535. */
	put16(pkt + 6, 0x1fff);
	fix_csum();
	assert_int_equal(parse(len), LANE_DROP_IP_FRAGMENT);
}

static void test_parse__ip6(void **state)
{
	(void)state;
	assert_int_equal(parse(make6(LANE_PROTO_UDP, (uint8_t[8]){0}, 8)), LANE_OK);
	assert_memory_equal(info.src.b, pkt + 8, 16);
	assert_memory_equal(info.dst.b, pkt + 24, 16);
	assert_int_equal(info.hlen, 40);
	assert_int_equal(info.l4_len, 8);
	assert_int_equal(info.proto, LANE_PROTO_UDP);
	assert_int_equal(info.tos, 0xb9);
	assert_int_equal(info.ttl, 61);
}

static void test_parse__ip6_without_a_length(void **state)
{
	uint32_t len = make6(LANE_PROTO_TCP, (uint8_t[32]){0}, 32);

	(void)state;
	put16(pkt + 4, 0);
	assert_int_equal(lane_ip_parse(guard_copy(pkt, len), len, 100000, &info), LANE_OK);
	assert_int_equal(info.l4_len, 100000 - 40);
	/* In a frame that the field could tell, 0 is 0, as Linux has it. */
	assert_int_equal(lane_ip_parse(guard_copy(pkt, len), len, len, &info), LANE_OK);
	assert_int_equal(info.l4_len, 0);
}

/* An IPv4 address in disguise must not be taken for the IPv4 one. */
static void test_parse__ip6_mapped_addresses(void **state)
{
	struct lane_ip mapped = lane_ip4(0x0100000a);
	uint32_t len = make6(LANE_PROTO_TCP, NULL, 0);

	(void)state;
	memcpy(pkt + 8, mapped.b, 16);
	assert_int_equal(parse(len), LANE_DROP_IP_SRC);
	make6(LANE_PROTO_TCP, NULL, 0);
	memcpy(pkt + 24, mapped.b, 16);
	assert_int_equal(parse(len), LANE_DROP_IP_DST);
}

static void test_parse__ip6_extension_headers(void **state)
{
	uint8_t body[] = {
		60, 0, 1, 4, 0, 0, 0, 0,  /* hop by hop: PadN */
		43, 1, 0, 0, 0, 0, 0, 0,  /* destination options: Pad1 ... */
		0,  0, 0, 0, 0, 0, 0, 0,  /* ... two units long */
		44, 0, 4, 0, 0, 0, 0, 0,  /* routing, no segments left */
		6,  0, 0, 0, 0, 0, 0, 99, /* atomic fragment */
		1,  2, 3, 4,
	};
	uint32_t len = make6(0, body, sizeof(body));

	(void)state;
	assert_int_equal(parse(len), LANE_OK);
	assert_int_equal(info.hlen, 80);
	assert_int_equal(info.l4_len, 4);
	assert_int_equal(info.proto, LANE_PROTO_TCP);
	assert_false(info.is_frag);
	for (uint32_t n = 0; n < len; n++)
		assert_int_not_equal(parse(n), LANE_OK);
	body[27] = 1; /* segments left */
	assert_int_equal(parse(make6(0, body, sizeof(body))), LANE_DROP_IP_OPTIONS);
}

static void test_parse__ip6_bad_extension_headers(void **state)
{
	uint8_t many[80];

	(void)state;
	/* hop-by-hop is not first */
	assert_int_equal(parse(make6(60, (uint8_t[16]){0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}, 16)),
			 LANE_DROP_IP_OPTIONS);
	/* longer than the packet */
	assert_int_equal(parse(make6(60, (uint8_t[8]){6, 1, 1, 4}, 8)), LANE_DROP_IP_OPTIONS);
	/* an option longer than its header */
	assert_int_equal(parse(make6(60, (uint8_t[8]){6, 0, 1, 5}, 8)), LANE_DROP_IP_OPTIONS);
	/* an option that must be understood */
	assert_int_equal(parse(make6(60, (uint8_t[8]){6, 0, 0xc2, 4}, 8)), LANE_DROP_IP_OPTIONS);
	/* one that need not */
	assert_int_equal(parse(make6(60, (uint8_t[8]){6, 0, 0x1e, 4}, 8)), LANE_OK);
	/* more headers than any honest packet has */
	memset(many, 0, sizeof(many));
	for (int i = 0; i < 80; i += 8)
		many[i] = 60;
	assert_int_equal(parse(make6(60, many, sizeof(many))), LANE_DROP_IP_OPTIONS);
}

static void test_parse__ip6_fragments(void **state)
{
	uint8_t body[24] = {6, 0, 0x05, 0xa9, 0, 0, 1, 2};

	(void)state;
	assert_int_equal(parse(make6(44, body, sizeof(body))), LANE_OK);
	assert_true(info.is_frag && info.more_frags);
	assert_int_equal(info.frag_off, 1448);
	assert_int_equal(info.frag_id, 0x102);
	assert_int_equal(info.hlen, 48);
	assert_int_equal(info.l4_len, 16);
	assert_int_equal(info.proto, LANE_PROTO_TCP);
	body[2] = 0xff;
	body[3] = 0xf8;
	assert_int_equal(parse(make6(44, body, sizeof(body))), LANE_DROP_IP_FRAGMENT);
}

static void test_parse__garbage(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 11);
	for (int i = 0; i < 20000; i++) {
		uint32_t len = lane_rng_below(&r, 120);

		make6(0, NULL, 0);
		for (uint32_t j = 0; j < len; j++)
			if (j > 5 && lane_rng_below(&r, 3))
				pkt[j] = (uint8_t)(lane_rng_below(&r, 2) ? lane_rng_u64(&r) : 60);
		pkt[0] = lane_rng_below(&r, 2) ? 0x60 : (uint8_t)(0x40 | lane_rng_below(&r, 16));
		put16(pkt + (pkt[0] == 0x60 ? 4 : 2), lane_rng_below(&r, 120));
		if (pkt[0] != 0x60)
			fix_csum();
		if (parse(len) == LANE_OK)
			assert_true(info.hlen + info.l4_len <= len);
	}
}

static void test_emit__parses_back(void **state)
{
	uint8_t out[48];
	struct lane_ip_info in = {
		.src = lane_ip4(0x0100000a),
		.dst = lane_ip4(0x0200000a),
		.proto = LANE_PROTO_TCP,
		.tos = 0x12,
		.ttl = 64,
		.l4_len = 20,
	};

	(void)state;
	memset(out, 0x77, sizeof(out));
	assert_int_equal(lane_ip_emit(out, &in, 0xabcd), 20);
	assert_int_equal(out[20], 0x77);
	assert_int_equal(out[6], 0x40); /* DF */
	assert_int_equal(out[4], 0xab);
	assert_int_equal(lane_ip_parse(out, sizeof(out), sizeof(out), &info), LANE_OK);
	assert_true(lane_ip_equal(&info.src, &in.src) && lane_ip_equal(&info.dst, &in.dst));
	assert_int_equal(info.l4_len, 20);
	assert_int_equal(info.tos, 0x12);
	assert_int_equal(info.ttl, 64);

	in.src.b[0] = 0xfd;
	in.dst.b[0] = 0xfd;
	in.l4_len = 8;
	assert_int_equal(lane_ip_emit(out, &in, 0), 40);
	assert_int_equal(out[40], 0x77);
	assert_int_equal(lane_ip_parse(out, sizeof(out), sizeof(out), &info), LANE_OK);
	assert_true(lane_ip_equal(&info.src, &in.src) && lane_ip_equal(&info.dst, &in.dst));
	assert_int_equal(info.l4_len, 8);
	assert_int_equal(info.tos, 0x12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__ip4),
		cmocka_unit_test(test_parse__trailing_bytes_are_padding),
		cmocka_unit_test(test_parse__every_truncation),
		cmocka_unit_test(test_parse__a_chain_has_its_headers_in_front),
		cmocka_unit_test(test_parse__bad_ip4_headers),
		cmocka_unit_test(test_parse__ip4_options),
		cmocka_unit_test(test_parse__ip4_fragments),
		cmocka_unit_test(test_parse__ip6),
		cmocka_unit_test(test_parse__ip6_without_a_length),
		cmocka_unit_test(test_parse__ip6_mapped_addresses),
		cmocka_unit_test(test_parse__ip6_extension_headers),
		cmocka_unit_test(test_parse__ip6_bad_extension_headers),
		cmocka_unit_test(test_parse__ip6_fragments),
		cmocka_unit_test(test_parse__garbage),
		cmocka_unit_test(test_emit__parses_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
