/*
 * print_test.c - tests of stack/wire/print.c
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
#include "stack/wire/print.h"
#include "stack/wire/tcp.h"

static uint8_t frame[200];
static char text[400];

/* Ethernet and IP headers for 'l4_len' bytes; returns where those begin. */
static uint32_t begin(bool is4, uint8_t proto, uint32_t l4_len)
{
	struct lane_ip_info ip = {
		.src = lane_ip4(0x0100000a),
		.dst = lane_ip4(0x0200000a),
		.proto = proto,
		.ttl = 64,
		.l4_len = l4_len,
	};

	memset(frame, 0, sizeof(frame));
	frame[12] = is4 ? 0x08 : 0x86;
	frame[13] = is4 ? 0x00 : 0xdd;
	if (!is4) {
		ip.src = lane_ip6((uint8_t[16]){0xfe, 0x80, [15] = 1});
		ip.dst = lane_ip6((uint8_t[16]){0xfe, 0x80, [15] = 2});
	}
	return 14U + lane_ip_emit(frame + 14, &ip, 0);
}

static void assert_prints(size_t len, const char *want)
{
	int n = lane_print_frame(text, sizeof(text), guard_copy(frame, len), len);

	assert_string_equal(text, want);
	assert_int_equal(n, strlen(want));
}

static void test_frame__tcp_syn_ack(void **state)
{
	struct lane_tcp_info t = {
		.sport = 5000,
		.dport = 80,
		.seq = 1,
		.ack = 2,
		.wnd = 512,
		.flags = LANE_WIRE_SYN | LANE_WIRE_ACK,
		.opts = {.have = LANE_OPT_MSS, .mss = 1460},
	};
	uint32_t at = begin(true, LANE_PROTO_TCP, 24);

	(void)state;
	lane_tcp_emit(frame + at, &t);
	assert_prints(at + 24, "IP 10.0.0.1.5000 > 10.0.0.2.80: Flags [S.], seq 1, ack 2, win 512, "
			       "options [mss 1460], length 0");
	t.opts = (struct lane_tcp_opts){.have = LANE_OPT_MSS | LANE_OPT_SACK_OK | LANE_OPT_TS |
						LANE_OPT_WSCALE,
					.mss = 1460,
					.tsval = 3,
					.tsecr = 4,
					.wscale = 7};
	at = begin(true, LANE_PROTO_TCP, 40);
	lane_tcp_emit(frame + at, &t);
	assert_prints(at + 40, "IP 10.0.0.1.5000 > 10.0.0.2.80: Flags [S.], seq 1, ack 2, win 512, "
			       "options [mss 1460,sackOK,TS val 3 ecr 4,wscale 7], length 0");
}

static void test_frame__tcp_text(void **state)
{
	struct lane_tcp_info t = {.sport = 1,
				  .dport = 2,
				  .seq = 100,
				  .ack = 5,
				  .wnd = 9,
				  .urg = 4,
				  .flags = LANE_WIRE_PSH | LANE_WIRE_ACK | LANE_WIRE_URG |
					   LANE_WIRE_FIN};
	uint32_t at = begin(false, LANE_PROTO_TCP, 30);

	(void)state;
	lane_tcp_emit(frame + at, &t);
	assert_prints(at + 30,
		      "IP6 fe80::1.1 > fe80::2.2: Flags [FP.U], seq 100:110, ack 5, win 9, "
		      "urg 4, length 10");
	/* The first frame of a chain. */
	assert_prints(at + 24,
		      "IP6 fe80::1.1 > fe80::2.2: Flags [FP.U], seq 100:110, ack 5, win 9, "
		      "urg 4, length 10, cut after 24");
}

static void test_frame__tcp_sack_and_pure_ack(void **state)
{
	struct lane_tcp_info t = {
		.sport = 1,
		.dport = 2,
		.seq = 100,
		.ack = 5,
		.wnd = 9,
		.flags = LANE_WIRE_ACK,
		.opts = {.have = LANE_OPT_SACK, .nr_sack = 2, .sack = {{7, 8}, {9, 10}}}};
	uint32_t at = begin(true, LANE_PROTO_TCP, 40);

	(void)state;
	lane_tcp_emit(frame + at, &t);
	assert_prints(at + 40, "IP 10.0.0.1.1 > 10.0.0.2.2: Flags [.], ack 5, win 9, "
			       "options [sack 2 {7:8}{9:10}], length 0");
}

static void test_frame__udp_with_a_vlan_tag(void **state)
{
	uint32_t at = begin(true, LANE_PROTO_UDP, 20);

	(void)state;
	memcpy(frame + at, (uint8_t[]){0, 53, 0x10, 0, 0, 20, 0, 0}, 8);
	assert_prints(at + 20, "IP 10.0.0.1.53 > 10.0.0.2.4096: UDP, length 12");
	memmove(frame + 16, frame + 12, at + 8);
	memcpy(frame + 12, (uint8_t[]){0x81, 0, 0x20, 5}, 4);
	assert_prints(at + 24, "vlan 5, IP 10.0.0.1.53 > 10.0.0.2.4096: UDP, length 12");
}

static void test_frame__icmp(void **state)
{
	uint32_t at = begin(true, LANE_PROTO_ICMP, 36);
	struct lane_ip_info q = {.src = lane_ip4(0x0200000a),
				 .dst = lane_ip4(0x0100000a),
				 .proto = LANE_PROTO_TCP,
				 .ttl = 1,
				 .l4_len = 20};
	uint16_t sum;

	(void)state;
	memcpy(frame + at, (uint8_t[]){3, 4, 0, 0, 0, 0, 5, 0x14}, 8);
	lane_ip_emit(frame + at + 8, &q, 0);
	memcpy(frame + at + 28, (uint8_t[]){0, 80, 0, 99, 0, 0, 0, 0}, 8);
	sum = (uint16_t)~lane_csum_fold(lane_csum_add(0, frame + at, 36));
	memcpy(frame + at + 2, &sum, 2);
	assert_prints(at + 36,
		      "IP 10.0.0.1 > 10.0.0.2: ICMP type 3 code 4 (too big, mtu 1300), about "
		      "TCP 10.0.0.2.80 > 10.0.0.1.99, length 36");
	frame[at + 20]++;
	assert_prints(at + 36, "IP 10.0.0.1 > 10.0.0.2: ICMP, bad [ICMP_CSUM], length 36");
	at = begin(true, LANE_PROTO_ICMP, 8);
	memcpy(frame + at, (uint8_t[]){8, 0, 0xf7, 0xff}, 4); /* echo request */
	assert_prints(at + 8, "IP 10.0.0.1 > 10.0.0.2: ICMP type 8 code 0, length 8");
}

static void test_frame__arp(void **state)
{
	static const uint8_t arp[] = {0,  1, 8, 0, 6, 4, 0, 1, 2, 3, 4,  5, 6, 7,
				      10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};

	(void)state;
	memset(frame, 0, sizeof(frame));
	frame[12] = 8;
	frame[13] = 6;
	memcpy(frame + 14, arp, sizeof(arp));
	assert_prints(42, "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28");
	frame[21] = 2;
	assert_prints(42, "ARP, Reply 10.0.0.1 is-at 02:03:04:05:06:07, length 28");
	assert_prints(41, "ARP, bad [SHORT], length 27");
}

static void test_frame__what_does_not_parse(void **state)
{
	uint32_t at = begin(true, 132, 20);

	(void)state;
	assert_prints(at + 20, "IP 10.0.0.1 > 10.0.0.2: proto 132, length 20");
	frame[22]++;
	assert_prints(at + 20, "IP bad [IP_CSUM], length 40");
	begin(true, LANE_PROTO_TCP, 12);
	assert_prints(at + 12, "IP 10.0.0.1 > 10.0.0.2: TCP, bad [TCP_HLEN], length 12");
	assert_prints(13, "Ethernet, bad [SHORT], length 13");
	memset(frame, 0, sizeof(frame));
	frame[12] = 0x88;
	frame[13] = 0xcc;
	assert_prints(60, "00:00:00:00:00:00 > 00:00:00:00:00:00, ethertype 0x88cc, length 60");
}

static void test_frame__every_truncation_and_size(void **state)
{
	uint32_t at = begin(false, LANE_PROTO_TCP, 40);
	int whole;

	(void)state;
	frame[at + 12] = 0x50;
	for (uint32_t len = 0; len <= at + 40; len++)
		assert_true(lane_print_frame(text, sizeof(text), guard_copy(frame, len), len) > 0);
	whole = lane_print_frame(text, sizeof(text), frame, at + 40);
	for (size_t size = 0; size < 120; size++) {
		memset(text, 'x', sizeof(text));
		assert_int_equal(lane_print_frame(text, size, frame, at + 40), whole);
		assert_int_equal(text[size], 'x');
		if (size)
			assert_true(strlen(text) < size);
	}
}

static void test_frame__garbage(void **state)
{
	static const uint8_t protos[] = {1, 6, 17, 58};
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 2);
	for (int i = 0; i < 20000; i++) {
		uint32_t at = begin(i % 2, protos[lane_rng_below(&r, 4)], lane_rng_below(&r, 100));
		uint32_t len = lane_rng_below(&r, sizeof(frame));

		for (uint32_t j = at; j < sizeof(frame); j++)
			frame[j] = (uint8_t)lane_rng_u64(&r);
		if (lane_rng_below(&r, 4) == 0)
			frame[lane_rng_below(&r, at)] = (uint8_t)lane_rng_u64(&r);
		assert_true(lane_print_frame(text, sizeof(text), guard_copy(frame, len), len) > 0);
	}
}

static void test_ip__both_families(void **state)
{
	struct lane_ip a = lane_ip4(0x0100007f), b = lane_ip6((uint8_t[16]){0x20, 1, [15] = 9});
	char small[4];

	(void)state;
	assert_string_equal(lane_print_ip(text, sizeof(text), &a), "127.0.0.1");
	assert_string_equal(lane_print_ip(text, sizeof(text), &b), "2001::9");
	assert_string_equal(lane_print_ip(small, sizeof(small), &a), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame__tcp_syn_ack),
		cmocka_unit_test(test_frame__tcp_text),
		cmocka_unit_test(test_frame__tcp_sack_and_pure_ack),
		cmocka_unit_test(test_frame__udp_with_a_vlan_tag),
		cmocka_unit_test(test_frame__icmp),
		cmocka_unit_test(test_frame__arp),
		cmocka_unit_test(test_frame__what_does_not_parse),
		cmocka_unit_test(test_frame__every_truncation_and_size),
		cmocka_unit_test(test_frame__garbage),
		cmocka_unit_test(test_ip__both_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
