/*
 * error_test.c - tests of stack/udp/error.c, and of send.c's path MTUs, pieces and joined reads
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include <lane/udp.h>

#include "stack/base/csum.h"
#include "stack/udp/pcb.h"
#include "stack/wire/eth.h"
#include "stack/wire/udp.h"
#include "tests/sim/world.h"

static struct world w;
static struct lane_udp *pcb; /* of lane 0, port 53, connected to port 9 of lane 1 */
static struct lane_ep peer;

static void open_world(bool v6)
{
	struct lane_ep local = {.ip = world_ip(0, v6), .port = 53};
	struct world_config cfg;

	world_config_default(&cfg);
	world_open(&w, &cfg);
	peer = (struct lane_ep){.ip = world_ip(1, v6), .port = 9};
	pcb = lane_udp_create(w.ln[0], 53);
	assert_int_equal(lane_udp_bind(w.ln[0], pcb, &local, false), 0);
	assert_int_equal(lane_udp_connect(w.ln[0], pcb, &peer), 0);
}

static void close_world(void)
{
	lane_udp_put(w.ln[0], pcb);
	world_run(&w, 100000);
	for (unsigned int i = 0; i < 2; i++) {
		lane_check(w.ln[i]);
		assert_int_equal(w.ln[i]->st->bufs.nr_free, w.ln[i]->st->bufs.nr);
	}
	world_close(&w);
}

/* A router (here the peer) says 'type', 'code', 'word' about a datagram of ours with 'text'. */
static void say(uint8_t type, uint8_t code, uint32_t word, const char *text)
{
	bool is4 = lane_ip_is4(&peer.ip);
	size_t tlen = strlen(text), hlen = is4 ? 20 : 40, len = 8 + hlen + 8 + tlen;
	struct lane_ip_info quote = {.src = world_ip(0, !is4), .dst = peer.ip, .proto = LANE_PROTO_UDP,
				     .ttl = 60, .l4_len = (uint32_t)(8 + tlen)};
	struct lane_ip_info outer = {.src = peer.ip, .dst = world_ip(0, !is4), .ttl = 64,
				     .proto = is4 ? LANE_PROTO_ICMP : LANE_PROTO_ICMP6,
				     .l4_len = (uint32_t)len};
	struct lane_udp_hdr uh = {.sport = lane_be16_of(53), .dport = lane_be16_of(peer.port)};
	struct lane_buf *b = lane_buf_alloc(&w.ln[0]->bufs);
	struct lane_mac to = world_mac(0), from = world_mac(1);
	uint8_t *p = lane_buf_data(&w.ln[0]->bufs, b), *icmp = p + 14 + hlen;
	struct lane_be32 be = lane_be32_of(word);
	uint64_t sum = is4 ? 0 : lane_csum_pseudo(&outer.src, &outer.dst, LANE_PROTO_ICMP6, (uint32_t)len);
	uint16_t csum;

	memcpy(p, &to, 6);
	memcpy(p + 6, &from, 6);
	memcpy(p + 12, is4 ? "\x08\x00" : "\x86\xdd", 2);
	lane_ip_emit(p + 14, &outer, 1);
	memset(icmp, 0, 8);
	icmp[0] = type;
	icmp[1] = code;
	memcpy(icmp + 4, &be, 4);
	lane_ip_emit(icmp + 8, &quote, 2);
	memcpy(icmp + 8 + hlen, &uh, 8);
	memcpy(icmp + 16 + hlen, text, tlen);
	csum = (uint16_t)~lane_csum_fold(lane_csum_add(sum, icmp, (uint32_t)len));
	memcpy(icmp + 2, &csum, 2);
	b->len = (uint16_t)(14 + hlen + len);
	b->pkt_len = b->len;
	b->queue = 0;
	lane_rx(w.ln[0], &b, 1);
}

static void test_error__hard_ones_pend(void **state)
{
	(void)state;
	open_world(false);
	say(3, 1, 0, "soft");
	say(11, 0, 0, "soft");
	assert_int_equal(lane_udp_err(pcb), 0);
	say(3, 3, 0, "refused");
	assert_int_equal(lane_udp_take_error(pcb), ECONNREFUSED);
	say(3, 13, 0, "filtered");
	assert_int_equal(lane_udp_take_error(pcb), EHOSTUNREACH);
	say(3, 2, 0, "no protocol");
	assert_int_equal(lane_udp_take_error(pcb), ENOPROTOOPT);
	lane_udp_put_error(pcb, EFAULT);
	assert_int_equal(lane_udp_take_error(pcb), EFAULT);
	assert_int_equal(lane_udp_nr_errors(pcb), 0);
	close_world();
}

static void test_error__all_are_queued_on_request(void **state)
{
	struct lane_udp_error e;
	char buf[16] = "";

	(void)state;
	open_world(false);
	lane_udp_set_recverr(pcb, true, false);
	say(11, 0, 0, "hops");
	say(3, 3, 0, "refused");
	assert_int_equal(lane_udp_err(pcb), ECONNREFUSED);
	assert_int_equal(lane_udp_nr_errors(pcb), 2);
	assert_int_equal(lane_udp_read_error(w.ln[0], pcb, buf, 16, &e, NULL), 4);
	assert_memory_equal(buf, "hops", 4);
	assert_int_equal(e.err, EHOSTUNREACH);
	assert_int_equal(e.type, 11);
	assert_true(e.is4 && lane_ip_equal(&e.offender, &peer.ip));
	assert_int_equal(lane_udp_err(pcb), ECONNREFUSED);
	assert_int_equal(lane_udp_read_error(w.ln[0], pcb, buf, 3, &e, NULL), 3);
	assert_int_equal(e.len, 7);
	assert_int_equal(e.code, 3);
	assert_int_equal(e.remote.port, 9);
	assert_int_equal(lane_udp_err(pcb), 0);
	assert_int_equal(lane_udp_read_error(w.ln[0], pcb, buf, 3, &e, NULL), -EAGAIN);
	close_world();
}

/* As Linux: what is queued counts in the receive buffer, what is not is pending all the same. */
static void test_error__the_buffer_has_an_end(void **state)
{
	struct lane_udp_error e;
	char buf[16];

	(void)state;
	open_world(false);
	lane_udp_set_recverr(pcb, true, false);
	lane_udp_set_rcvbuf(pcb, 3 * 768);
	for (unsigned int i = 0; i < 4; i++)
		say(3, 3, 0, "refused");
	assert_int_equal(lane_udp_nr_errors(pcb), 2);
	assert_int_equal(lane_udp_err(pcb), ECONNREFUSED);
	assert_int_equal(lane_udp_read_error(w.ln[0], pcb, buf, 16, &e, NULL), 7);
	say(3, 3, 0, "refused");
	assert_int_equal(lane_udp_nr_errors(pcb), 2);
	close_world();
}

/* RFC 8201 4: it is no path's, but Linux tells the program. */
static void test_error__too_big_below_the_least(void **state)
{
	(void)state;
	open_world(true);
	say(2, 0, 68, "x");
	assert_int_equal(lane_udp_take_error(pcb), EMSGSIZE);
	assert_int_equal(lane_pmtu_of(w.ln[0], &peer.ip, 1500), 1500);
	close_world();
}

/* As Linux: what is too long, and may not be cut, is wrong whatever is pending. */
static void test_error__too_long_comes_first(void **state)
{
	static const uint8_t text[3000];

	(void)state;
	open_world(false);
	lane_udp_put_error(pcb, ECONNREFUSED);
	lane_udp_set_pmtudisc(pcb, false, LANE_PMTUDISC_DO);
	assert_int_equal(lane_udp_write(w.ln[0], pcb, NULL, NULL, text, sizeof(text), NULL), -EMSGSIZE);
	lane_udp_set_pmtudisc(pcb, false, LANE_PMTUDISC_WANT);
	assert_int_equal(lane_udp_write(w.ln[0], pcb, NULL, NULL, text, sizeof(text), NULL), -ECONNREFUSED);
	close_world();
}

static void test_error__the_queue_has_an_end(void **state)
{
	(void)state;
	open_world(true);
	lane_udp_set_recverr(pcb, false, true);
	for (unsigned int i = 0; i < 40; i++)
		say(1, 4, 0, "x");
	assert_int_equal(lane_udp_nr_errors(pcb), 32);
	assert_int_equal(lane_udp_nr_dropped(pcb), 8);
	lane_check(w.ln[0]);
	close_world(); /* frees them */
}

static ssize_t write_bytes(size_t len)
{
	static const uint8_t text[4000];

	return lane_udp_write(w.ln[0], pcb, NULL, NULL, text, len, NULL);
}

/* RFC 1191: the lane cuts what the path does not take, unless the program forbids it. */
static void test_too_big__by_choice(void **state)
{
	(void)state;
	open_world(false);
	assert_int_equal(write_bytes(1400), 1400);
	say(3, 4, 1000, "big");
	assert_int_equal(lane_udp_take_error(pcb), EMSGSIZE);
	assert_int_equal(lane_pmtu_of(w.ln[0], &peer.ip, 1500), 1000);
	assert_int_equal(write_bytes(1400), 1400);
	assert_int_equal(lane_stats(w.ln[0])->ip_fragments_out, 2);
	lane_udp_set_pmtudisc(pcb, false, LANE_PMTUDISC_DO);
	assert_int_equal(write_bytes(1400), -EMSGSIZE);
	assert_true(lane_udp_is_narrow(w.ln[0], pcb, 1400));
	assert_false(lane_udp_is_narrow(w.ln[0], pcb, 1600));
	assert_int_equal(write_bytes(972), 972);
	lane_udp_set_pmtudisc(pcb, false, LANE_PMTUDISC_PROBE);
	assert_int_equal(write_bytes(1400), 1400);
	assert_int_equal(write_bytes(1600), -EMSGSIZE);
	assert_int_equal(lane_stats(w.ln[0])->ip_fragments_out, 2);
	close_world();
}

static void test_too_big__not_believed(void **state)
{
	(void)state;
	open_world(true);
	say(2, 0, 1000, "below IPv6's least");
	assert_int_equal(w.ln[0]->st->nr_pmtu, 0);
	lane_udp_set_pmtudisc(pcb, true, LANE_PMTUDISC_INTERFACE);
	say(2, 0, 1300, "by the interface");
	assert_int_equal(w.ln[0]->st->nr_pmtu, 0);
	lane_udp_set_pmtudisc(pcb, true, LANE_PMTUDISC_WANT);
	say(2, 0, 1300, "good");
	assert_int_equal(w.ln[0]->st->nr_pmtu, 1);
	close_world();
}

static void test_pieces__all_or_none(void **state)
{
	static uint8_t text[3000], got[3000];
	struct lane_ep from;
	struct lane_udp *r;
	struct lane_udp_msg msg;
	uint16_t size;

	(void)state;
	open_world(false);
	r = lane_udp_create(w.ln[1], 9);
	assert_int_equal(lane_udp_bind(w.ln[1], r, &peer, false), 0);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	assert_int_equal(lane_udp_write_pieces(w.ln[0], pcb, NULL, NULL, text, 3000, 1480, NULL),
			 -EMSGSIZE);
	assert_int_equal(lane_udp_write_pieces(w.ln[0], pcb, NULL, NULL, text, 3000, 20, NULL), -EINVAL);
	assert_int_equal(lane_stats(w.ln[0])->udp_out, 0);
	assert_int_equal(lane_udp_write_pieces(w.ln[0], pcb, NULL, NULL, text, 2500, 1000, NULL), 2500);
	assert_int_equal(lane_udp_write_pieces(w.ln[0], pcb, NULL, NULL, text, 900, 1000, NULL), 900);
	world_run(&w, 1000);
	assert_int_equal(lane_udp_nr_queued(r), 4);
	assert_int_equal(lane_udp_read_joined(w.ln[1], r, got, 3000, &msg, &size, NULL), 2500);
	assert_int_equal(size, 1000);
	assert_int_equal(msg.len, 2500);
	assert_memory_equal(got, text, 2500);
	lane_udp_get_local(pcb, &from);
	assert_int_equal(msg.remote.port, from.port);
	assert_int_equal(lane_udp_read_joined(w.ln[1], r, got, 3000, &msg, &size, NULL), 900);
	assert_int_equal(size, 0);
	/* What the buffer does not take stays a datagram of its own. */
	assert_int_equal(lane_udp_write_pieces(w.ln[0], pcb, NULL, NULL, text, 2000, 1000, NULL), 2000);
	world_run(&w, 1000);
	assert_int_equal(lane_udp_read_joined(w.ln[1], r, got, 1500, &msg, &size, NULL), 1000);
	assert_int_equal(lane_udp_read_joined(w.ln[1], r, got, 1500, &msg, &size, NULL), 1000);
	assert_int_equal(lane_udp_read_joined(w.ln[1], r, got, 1500, &msg, &size, NULL), -EAGAIN);
	lane_udp_put(w.ln[1], r);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error__hard_ones_pend),
		cmocka_unit_test(test_error__all_are_queued_on_request),
		cmocka_unit_test(test_error__the_buffer_has_an_end),
		cmocka_unit_test(test_error__too_big_below_the_least),
		cmocka_unit_test(test_error__too_long_comes_first),
		cmocka_unit_test(test_error__the_queue_has_an_end),
		cmocka_unit_test(test_too_big__by_choice),
		cmocka_unit_test(test_too_big__not_believed),
		cmocka_unit_test(test_pieces__all_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
