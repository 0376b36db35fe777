/*
 * tcp_test.c - tests of stack/wire/tcp.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "stack/base/rng.h"
#include "stack/wire/tcp.h"

static struct lane_tcp_info info;

/* A header with these options, padded with zeroes; 'text' bytes of text follow. Result in 'info'.
 */
static enum lane_drop parse(uint8_t flags, const uint8_t *opts, uint32_t nopts, uint32_t text)
{
	uint8_t p[60] = {0x13, 0x88, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x20, 0, 0, 0, 0, 9};
	uint32_t hlen = 20 + (nopts + 3) / 4 * 4;

	p[12] = (uint8_t)(hlen / 4 << 4);
	p[13] = flags;
	if (nopts)
		memcpy(p + 20, opts, nopts);
	memset(&info, 0xee, sizeof(info));
	return lane_tcp_parse(guard_copy(p, hlen), hlen, hlen + text, &info);
}

#define PARSE(flags, ...)                                                                          \
	parse(flags, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), 0)

static void test_parse__plain(void **state)
{
	(void)state;
	assert_int_equal(parse(LANE_WIRE_ACK | LANE_WIRE_PSH, NULL, 0, 1000), LANE_OK);
	assert_int_equal(info.sport, 5000);
	assert_int_equal(info.dport, 80);
	assert_int_equal(info.seq, 0x01020304);
	assert_int_equal(info.ack, 0x05060708);
	assert_int_equal(info.wnd, 0x2000);
	assert_int_equal(info.urg, 9);
	assert_int_equal(info.flags, LANE_WIRE_ACK | LANE_WIRE_PSH);
	assert_int_equal(info.hlen, 20);
	assert_int_equal(info.len, 1000);
	assert_int_equal(info.opts.have, 0);
}

static void test_parse__every_truncation(void **state)
{
	uint8_t p[40] = {0};

	(void)state;
	p[12] = 10 << 4;
	for (uint32_t n = 0; n < sizeof(p); n++) {
		assert_int_equal(lane_tcp_parse(guard_copy(p, n), n, n, &info), LANE_DROP_TCP_HLEN);
		/* The rest is in another frame, or behind the end of the IP packet. */
		assert_int_equal(lane_tcp_parse(guard_copy(p, n), n, 4000, &info),
				 LANE_DROP_TCP_HLEN);
		assert_int_equal(lane_tcp_parse(guard_copy(p, sizeof(p)), sizeof(p), n, &info),
				 LANE_DROP_TCP_HLEN);
	}
	assert_int_equal(lane_tcp_parse(p, sizeof(p), sizeof(p), &info), LANE_OK);
	assert_int_equal(info.len, 0);
}

static void test_parse__header_length(void **state)
{
	uint8_t p[60] = {0};

	(void)state;
	for (uint32_t words = 0; words < 16; words++) {
		p[12] = (uint8_t)(words << 4);
		assert_int_equal(lane_tcp_parse(guard_copy(p, 60), 60, 60, &info),
				 words < 5 ? LANE_DROP_TCP_HLEN : LANE_OK);
	}
}

static void test_parse__syn_options(void **state)
{
	(void)state;
	assert_int_equal(PARSE(LANE_WIRE_SYN, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 2, 1,
			       3, 3, 7),
			 LANE_OK);
	assert_int_equal(info.opts.have,
			 LANE_OPT_MSS | LANE_OPT_SACK_OK | LANE_OPT_TS | LANE_OPT_WSCALE);
	assert_int_equal(info.opts.mss, 1460);
	assert_int_equal(info.opts.tsval, 256);
	assert_int_equal(info.opts.tsecr, 2);
	assert_int_equal(info.opts.wscale, 7);
	/* RFC 7323 2.3: more than 14 is taken as 14 */
	PARSE(LANE_WIRE_SYN, 3, 3, 200, 0);
	assert_int_equal(info.opts.wscale, 14);
	/* An MSS of 0 says nothing. */
	PARSE(LANE_WIRE_SYN, 2, 4, 0, 0);
	assert_int_equal(info.opts.have, 0);
}

/* RFC 9293 3.2, RFC 7323 2.2: these are for SYNs only. */
static void test_parse__syn_options_elsewhere(void **state)
{
	(void)state;
	PARSE(LANE_WIRE_ACK, 2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 0);
	assert_int_equal(info.opts.have, 0);
	PARSE(LANE_WIRE_SYN, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2);
	assert_int_equal(info.opts.have, 0);
}

static void test_parse__timestamp_in_every_layout(void **state)
{
	(void)state;
	PARSE(LANE_WIRE_ACK, 1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6);
	assert_int_equal(info.opts.have, LANE_OPT_TS);
	assert_int_equal(info.opts.tsval, 5);
	assert_int_equal(info.opts.tsecr, 6);
	PARSE(LANE_WIRE_ACK, 8, 10, 0, 0, 0, 7, 0, 0, 0, 8, 1, 1);
	assert_int_equal(info.opts.have, LANE_OPT_TS);
	assert_int_equal(info.opts.tsval, 7);
	assert_int_equal(info.opts.tsecr, 8);
}

static void test_parse__sack(void **state)
{
	(void)state;
	PARSE(LANE_WIRE_ACK, 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0, 0, 3, 0xff, 0, 0, 4);
	assert_int_equal(info.opts.have, LANE_OPT_SACK);
	assert_int_equal(info.opts.nr_sack, 2);
	assert_int_equal(info.opts.sack[0].start, 1);
	assert_int_equal(info.opts.sack[0].end, 2);
	assert_int_equal(info.opts.sack[1].start, 0xff000003);
	assert_int_equal(info.opts.sack[1].end, 0xff000004);
	PARSE(LANE_WIRE_ACK, 5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(info.opts.have, 0);
	PARSE(LANE_WIRE_ACK, 5, 2, 0, 0);
	assert_int_equal(info.opts.have, 0);
}

static void test_parse__malformed_options_end_the_list(void **state)
{
	(void)state;
	/* too short, too long, without a length: what came before counts */
	assert_int_equal(PARSE(LANE_WIRE_SYN, 2, 4, 5, 0xb4, 3, 1, 7, 0), LANE_OK);
	assert_int_equal(info.opts.have, LANE_OPT_MSS);
	assert_int_equal(PARSE(LANE_WIRE_SYN, 2, 4, 5, 0xb4, 3, 200, 7, 0), LANE_OK);
	assert_int_equal(info.opts.have, LANE_OPT_MSS);
	assert_int_equal(PARSE(LANE_WIRE_SYN, 2, 4, 5, 0xb4, 1, 1, 1, 3), LANE_OK);
	assert_int_equal(info.opts.have, LANE_OPT_MSS);
	/* behind the end of the list */
	assert_int_equal(PARSE(LANE_WIRE_SYN, 0, 0, 0, 0, 2, 4, 5, 0xb4), LANE_OK);
	assert_int_equal(info.opts.have, 0);
	/* a wrong length, and an unknown kind: skipped */
	assert_int_equal(PARSE(LANE_WIRE_SYN, 2, 3, 5, 77, 5, 1, 2, 3, 3, 3, 7, 0), LANE_OK);
	assert_int_equal(info.opts.have, LANE_OPT_WSCALE);
}

static void test_parse__garbage(void **state)
{
	struct lane_rng r;
	uint8_t p[60];

	(void)state;
	lane_rng_seed(&r, 9);
	for (int i = 0; i < 50000; i++) {
		uint32_t len = lane_rng_below(&r, sizeof(p) + 1);

		for (uint32_t j = 0; j < len; j++)
			p[j] = (uint8_t)lane_rng_below(&r, lane_rng_below(&r, 2) ? 256 : 12);
		if (len > 12)
			p[12] = (uint8_t)(len / 4 << 4);
		if (lane_tcp_parse(guard_copy(p, len), len, len, &info) == LANE_OK) {
			assert_true(info.hlen + info.len == len);
			assert_true(info.opts.nr_sack <= 4);
			assert_true(info.opts.wscale <= 14 || !(info.opts.have & LANE_OPT_WSCALE));
		}
	}
}

static void test_opts_len__never_more_than_forty(void **state)
{
	(void)state;
	for (unsigned int have = 0; have < 32; have++) {
		for (uint8_t nr = 0; nr <= 5; nr++) {
			struct lane_tcp_opts o = {.have = (uint8_t)have, .nr_sack = nr};

			assert_true(lane_tcp_opts_len(&o) <= 40);
			assert_int_equal(lane_tcp_opts_len(&o) % 4, 0);
		}
	}
	assert_int_equal(lane_tcp_opts_len(&(struct lane_tcp_opts){.have = LANE_OPT_TS}), 12);
	assert_int_equal(lane_tcp_opts_len(&(struct lane_tcp_opts){
				 .have = LANE_OPT_TS | LANE_OPT_SACK, .nr_sack = 4}),
			 40);
	assert_int_equal(
		lane_tcp_opts_len(&(struct lane_tcp_opts){.have = LANE_OPT_SACK, .nr_sack = 4}),
		36);
}

/* All sets of options come back as they were, and nothing is written behind them. */
static void test_emit__parses_back(void **state)
{
	struct lane_tcp_info in = {
		.sport = 80,
		.dport = 40000,
		.seq = 0xfffffff0,
		.ack = 7,
		.wnd = 70000,
		.urg = 3,
		.opts = {.wscale = 9,
			 .nr_sack = 2,
			 .mss = 1448,
			 .tsval = 11,
			 .tsecr = 12,
			 .sack = {{1, 2}, {3, 4}}},
	};

	(void)state;
	for (unsigned int have = 0; have < 32; have++) {
		uint8_t out[64];
		uint8_t hlen;
		bool syn = !(have & LANE_OPT_SACK);

		if (!syn && have & (LANE_OPT_MSS | LANE_OPT_WSCALE | LANE_OPT_SACK_OK))
			continue;
		memset(out, 0x77, sizeof(out));
		in.flags = syn ? LANE_WIRE_SYN : LANE_WIRE_ACK;
		in.opts.have = (uint8_t)have;
		hlen = lane_tcp_emit(out, &in);
		assert_int_equal(hlen, 20 + lane_tcp_opts_len(&in.opts));
		assert_int_equal(out[hlen], 0x77);
		assert_int_equal(out[16] | out[17], 0);
		assert_int_equal(lane_tcp_parse(out, hlen, hlen + 5U, &info), LANE_OK);
		assert_int_equal(info.hlen, hlen);
		assert_int_equal(info.len, 5);
		assert_int_equal(info.seq, in.seq);
		assert_int_equal(info.ack, in.ack);
		assert_int_equal(info.wnd, 65535);
		assert_int_equal(info.urg, 3);
		assert_int_equal(info.flags, in.flags);
		assert_int_equal(info.opts.have, have);
		if (have & LANE_OPT_MSS)
			assert_int_equal(info.opts.mss, 1448);
		if (have & LANE_OPT_WSCALE)
			assert_int_equal(info.opts.wscale, 9);
		if (have & LANE_OPT_TS)
			assert_int_equal(info.opts.tsecr, 12);
		if (have & LANE_OPT_SACK)
			assert_memory_equal(info.opts.sack, in.opts.sack, 16);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__plain),
		cmocka_unit_test(test_parse__every_truncation),
		cmocka_unit_test(test_parse__header_length),
		cmocka_unit_test(test_parse__syn_options),
		cmocka_unit_test(test_parse__syn_options_elsewhere),
		cmocka_unit_test(test_parse__timestamp_in_every_layout),
		cmocka_unit_test(test_parse__sack),
		cmocka_unit_test(test_parse__malformed_options_end_the_list),
		cmocka_unit_test(test_parse__garbage),
		cmocka_unit_test(test_opts_len__never_more_than_forty),
		cmocka_unit_test(test_emit__parses_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
