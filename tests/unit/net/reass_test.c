/*
 * reass_test.c - tests of stack/net/reass.c: fragments become datagrams, or do not
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <lane/udp.h>

#include "stack/base/csum.h"
#include "stack/wire/tcp.h"
#include "stack/wire/udp.h"
#include "tests/unit/net/fragments.h"

#define TEXT_MAX 65507

static void test_in__every_order(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 2 * 256; n++) {
		uint32_t k[4] = {n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 & 3};

		if ((1u << k[0] | 1u << k[1] | 1u << k[2] | 1u << k[3]) != 15)
			continue;
		make(n >> 8, n, 4 * 504 - 100);
		for (uint32_t i = 0; i < 4; i++) {
			assert_nothing();
			give(k[i] * 504, k[i] * 504 + 504);
		}
		assert_arrives();
	}
	assert_int_equal(lane_stats(w.ln[0])->ip_reassembled, 48);
}

static void test_in__largest(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		make(v6, 1, TEXT_MAX);
		lane_udp_set_rcvbuf(pcb, 1 << 20);
		for (uint32_t at = 0; at < d.len; at += 1480)
			give(at, at + 1480);
		assert_arrives();
	}
}

static void test_in__chains(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		/* The second: the first frame of a fragment holds its headers and nothing else. */
		uint32_t pieces[] = {99, v6 ? 62 : 34, 300, 701};

		for (uint32_t i = 0; i < 4; i++) {
			make(v6, i, 4000);
			d.piece = pieces[i];
			give(1480, 2960);
			give(2960, 4440);
			give(0, 1480);
			assert_arrives();
		}
	}
}

static void test_in__duplicates(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		make(v6, 5, 3000);
		give(0, 1000);
		give(0, 1000);
		give(2000, 4000);
		give(2000, 4000);
		give(504, 1000);
		give(1000, 1504);
		give(0, 1504); /* of two fragments, all there */
		assert_int_equal(drops(LANE_DROP_IP_FRAG_DUP), 4 * (v6 + 1));
		assert_nothing();
		give(1504, 2000);
		assert_arrives();
	}
}

static void test_in__overlap_discards_all(void **state)
{
	static const uint32_t bad[][2] = {{992, 1008},  {0, 1008},   {800, 2400},
					  {1992, 2008}, {504, 1504}, {1000, 2008}};

	(void)state;
	for (uint32_t i = 0; i < 12; i++) {
		uint64_t before = drops(LANE_DROP_IP_FRAG_OVERLAP);

		make(i & 1, i, 3000);
		give(0, 1000);
		give(2000, 2504);
		give(bad[i / 2][0], bad[i / 2][1]);
		assert_int_equal(drops(LANE_DROP_IP_FRAG_OVERLAP), before + 3);
		assert_int_equal(nr_held(), 0);
		/* Sent again it is whole. */
		give(0, 1504);
		give(1504, 4000);
		assert_arrives();
	}
}

static void test_in__contradicting_ends(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		uint64_t before = drops(LANE_DROP_IP_FRAGMENT);

		make(v6, 1, 3000);
		give(2000, 4000);
		give_as(1000, 1500, false); /* ends before what is there */
		assert_int_equal(nr_held(), 0);
		give_as(2000, 2400, true);
		give_as(1000, 1500, false); /* the same, whose end was not known */
		assert_int_equal(nr_held(), 0);
		give_as(1000, 1500, false);
		give_as(1600, 2000, true); /* goes on behind the end */
		assert_int_equal(nr_held(), 0);
		give_as(1000, 1500, false);
		give_as(1000, 1400, false); /* another end */
		assert_int_equal(nr_held(), 0);
		assert_int_equal(drops(LANE_DROP_IP_FRAGMENT), before + 8);
	}
}

static void test_in__malformed(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		uint64_t before = drops(LANE_DROP_IP_FRAGMENT);

		make(v6, 1, 3000);
		give_as(0, 1001, true);
		give_as(1000, 1000, true);
		give_as(1000, 1000, false);
		give_as(65528, 65536, false); /* longer than a datagram may be */
		assert_int_equal(drops(LANE_DROP_IP_FRAGMENT), before + 4);
		assert_int_equal(nr_held(), 0);
	}
}

static void test_in__tiny_first(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		make(v6, 1, 400);
		give(0, 8); /* the whole header of UDP */
		give(8, 1000);
		assert_arrives();
		d.proto = LANE_PROTO_TCP;
		give(0, 16);
		assert_int_equal(drops(LANE_DROP_IP_FRAG_TINY), v6 + 1);
		d.proto = 47;
		give(0, 64);
		assert_int_equal(drops(LANE_DROP_IP_PROTO), v6 + 1);
	}
	assert_int_equal(nr_held(), 0);
}

/* The options of a TCP header in the second fragment: read as from one piece. */
static void test_in__tcp_options_in_the_second(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		struct lane_ip src = world_ip(1, v6), dst = world_ip(0, v6);
		uint64_t sum;
		struct lane_tcp_hdr h = {.sport = lane_be16_of(9),
					 .dport = lane_be16_of(80),
					 .off = 15 << 4,
					 .flags = LANE_WIRE_SYN};

		make(v6, 1, 1992);
		d.proto = LANE_PROTO_TCP;
		memset(d.l4 + sizeof(h), 1, 40);
		memcpy(d.l4, &h, sizeof(h));
		sum = lane_csum_pseudo(&src, &dst, LANE_PROTO_TCP, d.len);
		h.csum = (uint16_t)~lane_csum_fold(lane_csum_add(sum, d.l4, d.len));
		memcpy(d.l4, &h, sizeof(h));
		give(24, 1000);
		give(1000, 2000);
		give(0, 24);
		/* All of it was understood: there is no listener. */
		assert_int_equal(drops(LANE_DROP_TCP_NO_PORT), v6 + 1);
	}
}

static void test_in__checksum_of_the_whole(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		make(v6, 1, 2001);
		d.l4[1500] ^= 4;
		give(1000, 2000);
		give(2000, 3000);
		give(0, 1000);
		assert_nothing();
		assert_int_equal(drops(LANE_DROP_UDP_CSUM), v6 + 1);
	}
}

static void test_in__datagrams_are_told_apart(void **state)
{
	(void)state;
	make(false, 1, 2000);
	give(0, 1000);
	make(false, 2, 2000);
	give(1000, 3000);
	make(true, 1, 2000);
	give(1000, 3000);
	make(false, 1, 2000);
	d.proto = LANE_PROTO_TCP;
	give(1000, 3000);
	assert_nothing();
	assert_int_equal(w.ln[0]->st->nr_reass, 4);
	/* RFC 8200: the protocol of the first fragment counts. */
	make(true, 1, 2000);
	give(0, 1000);
	assert_int_equal(lane_udp_nr_queued(pcb), 1);
}

static void test_in__ecn(void **state)
{
	static const uint8_t tos[][3] = {{2, 2, 2}, {2, 3, 3}, {1, 2, 1}, {0, 0, 0}};
	struct lane_udp_msg msg;
	uint8_t buf[16];

	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		make(i & 1, i, 1000);
		d.tos = tos[i / 2][0] | 0x20;
		give(0, 504);
		d.tos = tos[i / 2][1] | 0x20;
		give(504, 2000);
		lane_udp_read(w.ln[0], pcb, buf, sizeof(buf), false, &msg, NULL);
		assert_int_equal(msg.tos, tos[i / 2][2] | 0x20);
	}
	make(false, 9, 1000);
	give(0, 504);
	d.tos = 3;
	give(504, 2000);
	assert_nothing();
	assert_int_equal(drops(LANE_DROP_IP_FRAGMENT), 2);
}

static void test_in6__extension_headers(void **state)
{
	(void)state;
	/* Hop-by-hop options in front of the fragment header. */
	make(true, 1, 1000);
	memcpy(d.ext, (uint8_t[]){44, 0, 1, 4, 0, 0, 0, 0}, 8);
	d.nr_ext = 8;
	d.ext_first = 0;
	give(504, 2000);
	give(0, 504);
	assert_arrives();
	/* Destination options behind it: a part of what is cut. */
	make(true, 2, 1000);
	memmove(d.l4 + 8, d.l4, d.len);
	memcpy(d.l4, (uint8_t[]){17, 0, 1, 4, 0, 0, 0, 0}, 8);
	d.len += 8;
	d.proto = 60;
	give(504, 2000);
	give(0, 8); /* RFC 7112: without the UDP header */
	assert_int_equal(drops(LANE_DROP_IP_FRAG_TINY), 1);
	give(0, 504);
	memmove(d.l4, d.l4 + 8, d.len - 8);
	d.len -= 8;
	assert_arrives();
}

static void test_in6__atomic(void **state)
{
	(void)state;
	make(true, 1, 1000);
	give(0, 504);
	/* RFC 6946: whole by itself, and no part of the one that is under way with the same name.
	 */
	make(true, 1, 300);
	give_as(0, d.len, false);
	assert_int_equal(lane_udp_nr_queued(pcb), 1);
	assert_int_equal(nr_held(), 1);
}

/* A fragment header inside a datagram that was cut. */
static void test_in6__cut_twice(void **state)
{
	(void)state;
	make(true, 1, 1000);
	memmove(d.l4 + 8, d.l4, d.len);
	memcpy(d.l4, (uint8_t[]){17, 0, 0, 1, 0, 0, 0, 9}, 8);
	d.len += 8;
	d.proto = 44;
	give(0, 504);
	assert_int_equal(drops(LANE_DROP_IP_FRAGMENT), 1);
	assert_int_equal(nr_held(), 0);
}

static void test_timers__give_up(void **state)
{
	uint64_t t0 = w.now_us;

	(void)state;
	make(false, 1, 3000);
	give(0, 1000);
	give(2000, 4000);
	make(true, 1, 3000);
	give(0, 1000);
	assert_int_equal(lane_next_timer(w.ln[0]), t0 + 30000000);
	lane_poll(w.ln[0], t0 + 29999999);
	assert_int_equal(nr_held(), 3);
	lane_poll(w.ln[0], t0 + 30000000);
	assert_int_equal(nr_held(), 1);
	assert_int_equal(drops(LANE_DROP_IP_FRAG_TIMEOUT), 2);
	assert_int_equal(lane_next_timer(w.ln[0]), t0 + 60000000);
	lane_poll(w.ln[0], t0 + 60000000);
	assert_int_equal(drops(LANE_DROP_IP_FRAG_TIMEOUT), 3);
	assert_int_equal(lane_next_timer(w.ln[0]), UINT64_MAX);
	assert_int_equal(w.ln[0]->st->bufs.nr_free, w.ln[0]->st->bufs.nr);
}

static void test_caps__datagrams(void **state)
{
	(void)state;
	for (uint32_t id = 0; id <= LANE_NR_REASS; id++) {
		make(id & 1, id, 1000);
		lane_set_now(w.ln[0], ++w.now_us);
		give(0, 504);
	}
	assert_int_equal(w.ln[0]->st->nr_reass, LANE_NR_REASS);
	assert_int_equal(drops(LANE_DROP_IP_FRAG_FULL), 1);
	make(true, 1, 1000); /* the second oldest is still there, the oldest is not */
	give(504, 2000);
	assert_int_equal(lane_udp_nr_queued(pcb), 1);
	make(false, 0, 1000);
	give(504, 2000);
	assert_int_equal(lane_udp_nr_queued(pcb), 1);
}

static void test_caps__fragments(void **state)
{
	(void)state;
	make(false, 1, 3000);
	for (uint32_t i = 0; i < LANE_REASS_FRAGS_MAX; i++)
		give(i * 16, i * 16 + 8);
	assert_int_equal(drops(LANE_DROP_IP_FRAG_FULL), 0);
	give(2900 & ~7, 4000);
	assert_int_equal(drops(LANE_DROP_IP_FRAG_FULL), LANE_REASS_FRAGS_MAX + 1);
	assert_int_equal(nr_held(), 0);
}

static void test_caps__frames(void **state)
{
	uint32_t max = w.ln[0]->bufs.nr / 8;

	(void)state;
	for (uint32_t id = 0; id < 30; id++) {
		make(false, id, 3000);
		d.piece = 100;
		lane_set_now(w.ln[0], ++w.now_us);
		give(0, 1000);
		assert_true(nr_held() <= max);
	}
	assert_true(drops(LANE_DROP_IP_FRAG_FULL) > 0 && nr_held() > max - 11);
	/* One that alone goes beyond it goes too. */
	make(false, 99, 60000);
	d.piece = 100;
	for (uint32_t at = 0; at < d.len; at += 8000)
		give(at, at + 8000);
	assert_nothing();
}

static void test_recover__frees_all(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < 5; id++) {
		make(id & 1, id, 3000);
		give(0, 1000);
		give(2000, 4000);
	}
	lane_recover(w.ln[0], 0);
	lane_check(w.ln[0]);
	assert_int_equal(w.ln[0]->st->bufs.nr_free, w.ln[0]->st->bufs.nr);
	assert_int_equal(w.ln[0]->st->nr_reass, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_in__every_order),
		T(test_in__largest),
		T(test_in__chains),
		T(test_in__duplicates),
		T(test_in__overlap_discards_all),
		T(test_in__contradicting_ends),
		T(test_in__malformed),
		T(test_in__tiny_first),
		T(test_in__tcp_options_in_the_second),
		T(test_in__checksum_of_the_whole),
		T(test_in__datagrams_are_told_apart),
		T(test_in__ecn),
		T(test_in6__extension_headers),
		T(test_in6__atomic),
		T(test_in6__cut_twice),
		T(test_timers__give_up),
		T(test_caps__datagrams),
		T(test_caps__fragments),
		T(test_caps__frames),
		T(test_recover__frees_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
