/*
 * icmp_test.c - tests of stack/wire/icmp.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "guard.h"
#include "stack/base/csum.h"
#include "stack/base/rng.h"
#include "stack/wire/icmp.h"
#include "stack/wire/ip.h"

/* The message: 8 bytes, the quoted IP header, 8 bytes of its L4 header. */
static uint8_t msg[200];
static uint32_t msg_len;
static struct lane_ip router, us, peer;
static struct lane_icmp_info info;

static void fix_csum(void)
{
	bool is4 = lane_ip_is4(&router);
	uint64_t sum = is4 ? 0 : lane_csum_pseudo(&router, &us, LANE_PROTO_ICMP6, msg_len);
	uint16_t csum;

	memset(msg + 2, 0, 2);
	csum = (uint16_t)~lane_csum_fold(lane_csum_add(sum, msg, msg_len));
	memcpy(msg + 2, &csum, 2);
}

static void make(bool is4, uint8_t type, uint8_t code, uint32_t word, uint8_t proto)
{
	struct lane_ip_info quoted;
	uint32_t be = __builtin_bswap32(word);

	router = lane_ip4(0xfe00000a);
	us = lane_ip4(0x0100000a);
	peer = lane_ip4(0x0200000a);
	if (!is4)
		router.b[0] = us.b[0] = peer.b[0] = 0xfd;
	memset(msg, 0, sizeof(msg));
	msg[0] = type;
	msg[1] = code;
	memcpy(msg + 4, &be, 4);
	quoted = (struct lane_ip_info){
		.src = us, .dst = peer, .proto = proto, .l4_len = 1000, .ttl = 1};
	msg_len = 8U + lane_ip_emit(msg + 8, &quoted, 0);
	/* ports 80 and 4000, sequence number 0x01020304 */
	memcpy(msg + msg_len, (uint8_t[]){0, 80, 0x0f, 0xa0, 1, 2, 3, 4}, 8);
	msg_len += 8;
	fix_csum();
}

static enum lane_drop parse(uint32_t len)
{
	return lane_icmp_parse(guard_copy(msg, len), len, &router, &us, &info);
}

static void assert_flow(uint8_t proto)
{
	assert_int_equal(info.proto, proto);
	assert_true(lane_ip_equal(&info.local.ip, &us));
	assert_true(lane_ip_equal(&info.remote.ip, &peer));
	assert_int_equal(info.local.port, 80);
	assert_int_equal(info.remote.port, 4000);
}

static void test_parse__needs_fragmentation(void **state)
{
	(void)state;
	make(true, 3, 4, 1400, LANE_PROTO_TCP);
	assert_int_equal(parse(msg_len), LANE_OK);
	assert_int_equal(info.kind, LANE_ICMP_TOO_BIG);
	assert_int_equal(info.mtu, 1400);
	assert_flow(LANE_PROTO_TCP);
	assert_true(info.has_seq);
	assert_int_equal(info.seq, 0x01020304);
	/* RFC 4884 puts a length into the word's upper half: it is no part of the MTU. */
	make(true, 3, 4, 0x00050000 | 1300, LANE_PROTO_TCP);
	assert_int_equal(parse(msg_len), LANE_OK);
	assert_int_equal(info.mtu, 1300);
}

static void test_parse__packet_too_big(void **state)
{
	(void)state;
	make(false, 2, 0, 70000, LANE_PROTO_UDP);
	assert_int_equal(parse(msg_len), LANE_OK);
	assert_int_equal(info.kind, LANE_ICMP_TOO_BIG);
	assert_int_equal(info.mtu, 70000);
	assert_flow(LANE_PROTO_UDP);
	assert_false(info.has_seq);
}

/* Linux' icmp_err_convert and icmpv6_err_convert(). */
static void test_parse__meanings(void **state)
{
	static const struct {
		bool is4;
		uint8_t type, code, err;
		bool hard;
	} k[] = {
		{true, 3, 0, ENETUNREACH, false},   {true, 3, 1, EHOSTUNREACH, false},
		{true, 3, 2, ENOPROTOOPT, true},    {true, 3, 3, ECONNREFUSED, true},
		{true, 3, 5, EOPNOTSUPP, false},    {true, 3, 9, ENETUNREACH, true},
		{true, 3, 10, EHOSTUNREACH, true},  {true, 3, 13, EHOSTUNREACH, true},
		{true, 3, 15, EHOSTUNREACH, true},  {true, 11, 0, EHOSTUNREACH, false},
		{true, 11, 2, EHOSTUNREACH, false}, {true, 12, 0, EPROTO, true},
		{true, 12, 1, EPROTO, true},	    {false, 1, 0, ENETUNREACH, false},
		{false, 1, 1, EACCES, true},	    {false, 1, 3, EHOSTUNREACH, false},
		{false, 1, 4, ECONNREFUSED, true},  {false, 1, 6, EACCES, true},
		{false, 1, 99, EPROTO, true},	    {false, 3, 0, EHOSTUNREACH, false},
		{false, 4, 0, EPROTO, true},	    {false, 4, 1, EPROTO, true},
		{false, 100, 0, EPROTO, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(k) / sizeof(k[0]); i++) {
		make(k[i].is4, k[i].type, k[i].code, 0, LANE_PROTO_TCP);
		assert_int_equal(parse(msg_len), LANE_OK);
		assert_int_equal(info.kind, LANE_ICMP_ERROR);
		assert_int_equal(info.err, k[i].err);
		assert_int_equal(info.hard, k[i].hard);
		assert_int_equal(info.type, k[i].type);
		assert_int_equal(info.code, k[i].code);
		assert_flow(LANE_PROTO_TCP);
	}
}

static void test_parse__no_errors(void **state)
{
	/* echo, echo reply, source quench, redirect, unknown code; then neighbour advertisement */
	static const uint8_t types4[] = {8, 0, 4, 5, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(types4); i++) {
		make(true, types4[i], 200, 0, LANE_PROTO_TCP);
		assert_int_equal(parse(msg_len), LANE_DROP_ICMP_IGNORED);
		assert_int_equal(info.kind, LANE_ICMP_OTHER);
	}
	make(true, 11, 1, 0, LANE_PROTO_TCP); /* reassembly took too long: as Linux */
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_IGNORED);
	make(false, 136, 0, 0, LANE_PROTO_TCP);
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_IGNORED);
	make(true, 3, 3, 0, LANE_PROTO_ICMP); /* about no flow of ours */
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_IGNORED);
}

static void test_parse__wrong_checksum(void **state)
{
	(void)state;
	for (int is4 = 0; is4 < 2; is4++) {
		make(is4, is4 ? 3 : 1, is4 ? 3 : 4, 0, LANE_PROTO_TCP);
		msg[msg_len - 1] ^= 1;
		assert_int_equal(parse(msg_len), LANE_DROP_ICMP_CSUM);
	}
}

static void test_parse__every_truncation(void **state)
{
	(void)state;
	for (int is4 = 0; is4 < 2; is4++) {
		make(is4, is4 ? 3 : 1, is4 ? 3 : 4, 0, LANE_PROTO_TCP);
		for (uint32_t whole = msg_len; msg_len; msg_len--) {
			enum lane_drop why;

			fix_csum();
			why = parse(msg_len);
			if (msg_len == whole)
				assert_int_equal(why, LANE_OK);
			else
				assert_int_not_equal(why, LANE_OK);
		}
		assert_int_equal(parse(0), LANE_DROP_SHORT);
	}
}

static void test_parse__quotes_that_are_not_ours(void **state)
{
	(void)state;
	make(true, 3, 3, 0, LANE_PROTO_TCP);
	us.b[15]++; /* it was sent to another address than the quote came from */
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_INVALID);
	make(true, 3, 3, 0, LANE_PROTO_TCP);
	msg[8] = 0x65; /* version */
	fix_csum();
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_INVALID);
	msg[8] = 0x44; /* header length */
	fix_csum();
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_INVALID);
	msg[8] = 0x4f; /* beyond the end */
	fix_csum();
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_INVALID);
	make(true, 3, 3, 0, LANE_PROTO_TCP);
	msg[8 + 7] = 9; /* a later fragment: no ports in it */
	fix_csum();
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_INVALID);
	make(false, 1, 4, 0, LANE_PROTO_TCP);
	msg[8] = 0x45;
	fix_csum();
	assert_int_equal(parse(msg_len), LANE_DROP_ICMP_INVALID);
}

static void test_parse__quoted_options(void **state)
{
	(void)state;
	make(true, 3, 3, 0, LANE_PROTO_TCP);
	memmove(msg + 8 + 24, msg + 8 + 20, 8);
	msg[8] = 0x46;
	msg_len += 4;
	fix_csum();
	assert_int_equal(parse(msg_len), LANE_OK);
	assert_flow(LANE_PROTO_TCP);
}

static void test_parse__garbage(void **state)
{
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 5);
	for (int i = 0; i < 20000; i++) {
		make(i % 2, i % 2 ? 3 : 1, (uint8_t)lane_rng_below(&r, 16), 0, LANE_PROTO_TCP);
		for (uint32_t n = lane_rng_below(&r, 6); n; n--)
			msg[4 + lane_rng_below(&r, msg_len - 4)] = (uint8_t)lane_rng_u64(&r);
		msg_len = lane_rng_below(&r, msg_len + 1);
		fix_csum();
		parse(msg_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__needs_fragmentation),
		cmocka_unit_test(test_parse__packet_too_big),
		cmocka_unit_test(test_parse__meanings),
		cmocka_unit_test(test_parse__no_errors),
		cmocka_unit_test(test_parse__wrong_checksum),
		cmocka_unit_test(test_parse__every_truncation),
		cmocka_unit_test(test_parse__quotes_that_are_not_ours),
		cmocka_unit_test(test_parse__quoted_options),
		cmocka_unit_test(test_parse__garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
