/*
 * group_test.c - tests of stack/udp/group.c, and of stack/rx.c's part in it
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include <lane/udp.h>

#include "stack/base/csum.h"
#include "stack/wire/eth.h"
#include "stack/wire/udp.h"
#include "tests/sim/world.h"

#define PORT	 7000
#define NR_SOCKS 3

static struct world w;
static struct lane_udp *sock[NR_SOCKS];
static struct lane_driver spy; /* the cable's, and told of groups */
static int nr_on, nr_off;

static void on_group(struct lane_queue *q, const struct lane_ip *group, bool on)
{
	nr_on += on;
	nr_off += !on;
}

static struct lane_ip group(bool v6, uint8_t last)
{
	struct lane_ip ip = lane_ip4(0);

	if (v6) {
		memset(&ip, 0, sizeof(ip));
		ip.b[0] = 0xff;
		ip.b[1] = 0x02;
	} else {
		ip.b[12] = 239;
	}
	ip.b[15] = last;
	return ip;
}

static int setup(void **state)
{
	struct lane_ep local = {.port = PORT};
	struct world_config cfg;
	struct lane_queue *q;

	(void)state;
	world_config_default(&cfg);
	world_open(&w, &cfg);
	q = lane_queue(w.ln[0], 0);
	spy = *q->drv;
	spy.group = on_group;
	q->drv = &spy;
	nr_on = nr_off = 0;
	for (unsigned int i = 0; i < NR_SOCKS; i++) {
		sock[i] = lane_udp_create(w.ln[0], i);
		assert_int_equal(lane_udp_bind(w.ln[0], sock[i], &local, false), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NR_SOCKS; i++)
		lane_udp_put(w.ln[0], sock[i]);
	assert_int_equal(w.ln[0]->st->nr_groups, 0);
	assert_int_equal(nr_on, nr_off);
	lane_check(w.ln[0]);
	assert_int_equal(w.ln[0]->st->bufs.nr_free, w.ln[0]->st->bufs.nr);
	world_close(&w);
	return 0;
}

static uint32_t put_ip(uint8_t *out, const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto)
{
	struct lane_udp_hdr h = {.sport = lane_be16_of(9), .dport = lane_be16_of(PORT)};
	uint32_t l4_len = sizeof(h) + 1000, at;
	struct lane_ip_info info = {.src = *src, .dst = *dst, .proto = proto, .ttl = 1, .l4_len = l4_len};

	h.len = lane_be16_of((uint16_t)l4_len);
	at = lane_ip_emit(out, &info, 1);
	memset(out + at, 'x', l4_len);
	memcpy(out + at, &h, sizeof(h));
	h.csum = (uint16_t)~lane_csum_fold(
		lane_csum_add(lane_csum_pseudo(src, dst, proto, l4_len), out + at, l4_len));
	memcpy(out + at, &h, sizeof(h));
	return at + l4_len;
}

/* A datagram of 1,000 bytes from 'src' in frames of 300, sent to many stations. */
static void give_proto(const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto)
{
	struct lane_eth_hdr eth = {.dst = {{0x01, 0, 0x5e, 0, 0, 1}}, .src = world_mac(1),
				   .type = lane_be16_of(lane_ip_is4(dst) ? LANE_ETH_IP4 : LANE_ETH_IP6)};
	struct lane_buf *first;
	uint8_t bytes[1200];
	uint32_t len;

	memcpy(bytes, &eth, sizeof(eth));
	len = (uint32_t)sizeof(eth) + put_ip(bytes + sizeof(eth), src, dst, proto);
	first = lane_buf_packet(lane_bufs(w.ln[0]), bytes, len, 300);
	assert_non_null(first);
	lane_rx(w.ln[0], &first, 1);
	lane_check(w.ln[0]);
}

static void give(const struct lane_ip *dst)
{
	struct lane_ip src = world_ip(1, !lane_ip_is4(dst));

	give_proto(&src, dst, LANE_PROTO_UDP);
}

static uint64_t dropped(enum lane_drop why)
{
	return lane_stats(w.ln[0])->drops[why];
}

/* Socket 'i' got so many datagrams, whole and addressed to 'dst'. */
static void got(unsigned int i, unsigned int n, const struct lane_ip *dst)
{
	struct lane_udp_msg msg;
	char text[2000];

	assert_int_equal(lane_udp_nr_queued(sock[i]), n);
	while (n--) {
		assert_int_equal(lane_udp_read(w.ln[0], sock[i], text, sizeof(text), false, &msg, NULL), 1000);
		assert_true(text[0] == 'x' && text[999] == 'x');
		assert_true(lane_ip_equal(&msg.local, dst));
		assert_int_equal(msg.remote.port, 9);
	}
}

static void test_join__each_member_gets_one(void **state)
{
	(void)state;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct lane_ip g = group(v6, 1), other = group(v6, 2);

		give(&g);
		assert_int_equal(dropped(LANE_DROP_ETH_DST), v6 + 1);
		assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, NULL), 0);
		assert_int_equal(lane_udp_join(w.ln[0], sock[2], 0, &g, NULL), 0);
		give(&g);
		give(&other);
		got(0, 1, &g);
		got(1, 0, &g);
		got(2, 1, &g);
		assert_int_equal(dropped(LANE_DROP_IP_DST), v6 + 1);
		assert_int_equal(nr_on, v6 + 1);
		assert_int_equal(lane_udp_leave(w.ln[0], sock[0], 0, &g, NULL), 0);
		assert_int_equal(nr_off, v6);
		give(&g);
		got(0, 0, &g);
		got(2, 1, &g);
		assert_int_equal(lane_udp_leave(w.ln[0], sock[2], 0, &g, NULL), 0);
		assert_int_equal(nr_off, v6 + 1);
	}
}

static void test_join__one_source(void **state)
{
	struct lane_ip g = group(false, 1), peer = world_ip(1, false), other = world_ip(7, false);

	(void)state;
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, &peer), 0);
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, &other), 0);
	give(&g);
	got(0, 1, &g);
	assert_int_equal(lane_udp_leave(w.ln[0], sock[0], 0, &g, &peer), 0);
	give(&g);
	got(0, 0, &g);
	assert_int_equal(dropped(LANE_DROP_UDP_NO_PORT), 1);
	assert_int_equal(nr_off, 0);
	assert_int_equal(lane_udp_leave(w.ln[0], sock[0], 0, &g, NULL), 0);
	assert_int_equal(nr_off, 1);
}

static void test_join__refused(void **state)
{
	struct lane_ip g = group(false, 1), peer = world_ip(1, false), peer6 = world_ip(1, true);

	(void)state;
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &peer, NULL), -EINVAL);
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 1, &g, NULL), -EINVAL);
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, &peer6), -EINVAL);
	assert_int_equal(lane_udp_leave(w.ln[0], sock[0], 0, &g, NULL), -EADDRNOTAVAIL);
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, NULL), 0);
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, NULL), -EADDRINUSE);
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, &peer), -EINVAL);
	for (uint8_t i = 2; i <= LANE_NR_GROUPS; i++) {
		g = group(false, i);
		assert_int_equal(lane_udp_join(w.ln[0], sock[1], 0, &g, NULL), 0);
	}
	g = group(false, 200);
	assert_int_equal(lane_udp_join(w.ln[0], sock[1], 0, &g, NULL), -ENOBUFS);
}

/* Who is bound to another port or another group, or talks to somebody else, is left alone. */
static void test_in__by_bind_and_peer(void **state)
{
	struct lane_ip g = group(false, 1), g2 = group(false, 2);
	struct lane_ep peer = {.ip = world_ip(1, false), .port = 10}, at = {.ip = g2, .port = PORT};

	(void)state;
	lane_udp_put(w.ln[0], sock[1]);
	sock[1] = lane_udp_create(w.ln[0], 1);
	assert_int_equal(lane_udp_bind(w.ln[0], sock[1], &at, false), 0);
	for (unsigned int i = 0; i < NR_SOCKS; i++) {
		assert_int_equal(lane_udp_join(w.ln[0], sock[i], 0, &g, NULL), 0);
		assert_int_equal(lane_udp_join(w.ln[0], sock[i], 0, &g2, NULL), 0);
	}
	assert_int_equal(lane_udp_connect(w.ln[0], sock[2], &peer), 0);
	give(&g);
	got(0, 1, &g);
	got(1, 0, &g);
	got(2, 0, &g);
	give(&g2);
	got(0, 1, &g2);
	got(1, 1, &g2);
}

/* RFC 1122 3.3.6, 4.2.3.10: an address of ours in a frame to many, and TCP to a group. */
static void test_in__only_udp_to_groups(void **state)
{
	struct lane_ip g = group(false, 1), own = world_ip(0, false), src = world_ip(1, false);

	(void)state;
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, NULL), 0);
	give(&own);
	give_proto(&src, &g, LANE_PROTO_TCP);
	assert_int_equal(dropped(LANE_DROP_IP_DST), 2);
	got(0, 0, &g);
}

static void test_in__no_frames_for_a_copy(void **state)
{
	struct lane_bufs *bs = lane_bufs(w.ln[0]);
	struct lane_buf *held[2000];
	struct lane_ip g = group(false, 1);
	unsigned int nr = 0;

	(void)state;
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, NULL), 0);
	assert_int_equal(lane_udp_join(w.ln[0], sock[1], 0, &g, NULL), 0);
	while (w.ln[0]->st->bufs.nr_free > 6) {
		held[nr] = lane_buf_alloc(bs);
		held[nr++]->owner = 1; /* a program's */
	}
	give(&g);
	assert_int_equal(dropped(LANE_DROP_NO_BUF), 1);
	got(0, 0, &g);
	got(1, 1, &g);
	while (nr)
		lane_buf_free(bs, held[--nr]);
}

static void test_recover__forgets_whose_socket_is_gone(void **state)
{
	struct lane_ip g = group(false, 1);

	(void)state;
	assert_int_equal(lane_udp_join(w.ln[0], sock[0], 0, &g, NULL), 0);
	assert_int_equal(lane_udp_join(w.ln[0], sock[1], 0, &g, NULL), 0);
	w.ln[0]->st->group[0].udp = 15; /* nobody's */
	lane_recover(w.ln[0], 0);
	assert_int_equal(w.ln[0]->st->nr_groups, 1);
	lane_check(w.ln[0]);
	give(&g);
	got(0, 0, &g);
	got(1, 1, &g);
	nr_on = 1; /* told again */
	nr_off = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_join__each_member_gets_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_join__one_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_join__refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in__by_bind_and_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in__only_udp_to_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in__no_frames_for_a_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover__forgets_whose_socket_is_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
