/*
 * ifs_test.c - tests of stack/net/ifs.c and of a lane with three interfaces: ways in, ways out,
 * claims
 *
 * Lane 0 has 10.0.1.1/24 and fd00:1::1/64, 10.0.2.1/24 and fd00:2::1/64, and lo; a lane of its own
 * is at the other end of each of the first two cables. The third cable, lo's, is a loop back to it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include <lane/tcp.h>
#include <lane/udp.h>

#include "drivers/pair/pair.h"
#include "lane-int/engine.h"

#define PORT 7000
#define IFS  3 /* of lane 0 */
#define LO   2

static struct {
	struct lane *ln[IFS]; /* 0: with all interfaces; 1, 2: at the other end of 0 and 1 */
	void *mem[IFS];
	struct lane_pair *pair[IFS];
	struct lane_driver drv; /* the cable's, with claims noted */
	uint64_t now_us;
	uint32_t any[IFS], listen[IFS]; /* last claim on PORT */
} w;

static struct lane_ip ip_of(unsigned int net, unsigned int host, bool v6)
{
	struct lane_ip ip = lane_ip4(0);

	if (v6) {
		memset(&ip, 0, sizeof(ip));
		ip.b[0] = 0xfd;
		ip.b[3] = (uint8_t)net;
	} else {
		ip.b[12] = 10;
		ip.b[14] = (uint8_t)net;
	}
	ip.b[15] = (uint8_t)host;
	return ip;
}

static struct lane_ip localhost(void)
{
	struct lane_ip ip = lane_ip4(0);

	ip.b[12] = 127;
	ip.b[15] = 1;
	return ip;
}

static struct lane_mac mac_of(unsigned int net, unsigned int host)
{
	return (struct lane_mac){{2, 0, 0, 0, (uint8_t)net, (uint8_t)host}};
}

static void note_claim(struct lane_queue *q, uint8_t proto, uint16_t port, uint32_t any,
		       uint32_t listen)
{
	(void)proto;
	if (port != PORT)
		return;
	w.any[q->ifi] = any;
	w.listen[q->ifi] = listen;
}

/* Interface 'net' of host 'host'; 'others': its routes leave by other interfaces. */
static void add_routes(struct lane_nettab *t, unsigned int net, bool others)
{
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct lane_net_route r = {.dst = ip_of(net, 0, v6), .plen = v6 ? 64 : 24};

		r.kind = others ? LANE_ROUTE_ELSEWHERE : LANE_ROUTE_UNICAST;
		assert_int_equal(lane_net_route_add(t, &r), 0);
	}
}

static void fill_net(struct lane_nettab *t, unsigned int net, unsigned int host, bool known)
{
	struct lane_mac peer = mac_of(net, 3 - host);

	lane_net_write_begin(t);
	t->mac = mac_of(net, host);
	t->up = 1;
	t->mtu = 1500 - 100 * net;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct lane_ip ip = ip_of(net, 3 - host, v6);

		t->addr[v6] = (struct lane_net_addr){
			.ip = ip_of(net, host, v6), .plen = v6 ? 64 : 24, .used = 1};
		if (known)
			assert_int_equal(lane_net_neigh_set(t, &ip, &peer, false), 0);
	}
	/* fe80::1 of both, as it may be. */
	t->addr[2] = (struct lane_net_addr){
		.ip = {.b = {[0] = 0xfe, [1] = 0x80, [15] = 1}}, .plen = 64, .used = 1};
	add_routes(t, net, false);
	if (host == 1)
		add_routes(t, 3 - net, true);
	lane_net_write_end(t, true);
}

static void fill_lo(struct lane_nettab *t)
{
	lane_net_write_begin(t);
	t->up = t->loopback = 1;
	t->mtu = 65536;
	t->addr[0] =
		(struct lane_net_addr){.ip = localhost(), .plen = 8, .used = 1, .whole_prefix = 1};
	t->addr[1] = (struct lane_net_addr){.ip = {.b = {[15] = 1}}, .plen = 128, .used = 1};
	lane_net_write_end(t, true);
}

static void open_lane(unsigned int i, unsigned int nr_ifs)
{
	struct lane_config c;

	lane_config_default(&c);
	c.nr_bufs = 1024;
	c.nr_tcp = c.nr_tw = 64;
	c.nr_udp = 16;
	c.seed = 1 + i;
	c.nr_ifs = (uint8_t)nr_ifs;
	w.mem[i] = aligned_alloc(4096, lane_size(&c));
	memset(w.mem[i], 0, lane_size(&c));
	w.ln[i] = lane_create(&c, w.mem[i], w.now_us);
	assert_non_null(w.ln[i]);
}

static void add_queue(struct lane *ln, struct lane_queue *q, unsigned int ifi)
{
	w.drv = *q->drv;
	w.drv.claim = note_claim;
	q->drv = &w.drv;
	q->ifi = (uint8_t)ifi;
	assert_int_equal(lane_add_queue(ln, q), 0);
}

static void open_all(bool known)
{
	struct lane_pair_config cfg = {.now_us = &w.now_us};

	memset(&w, 0, sizeof(w));
	w.now_us = 1000000;
	for (unsigned int i = 0; i < IFS; i++)
		open_lane(i, i ? 1 : IFS);
	fill_lo(lane_nettab_at(w.ln[0], LO));
	for (unsigned int i = 0; i < 2; i++) {
		fill_net(lane_nettab_at(w.ln[0], i), i + 1, 1, known);
		fill_net(lane_nettab(w.ln[i + 1]), i + 1, 2, true);
		w.pair[i] = lane_pair_create(&cfg, lane_bufs(w.ln[0]), lane_bufs(w.ln[i + 1]));
		add_queue(w.ln[0], lane_pair_queue(w.pair[i], 0), i);
		assert_int_equal(lane_add_queue(w.ln[i + 1], lane_pair_queue(w.pair[i], 1)), 0);
	}
	w.pair[LO] = lane_pair_create(&cfg, lane_bufs(w.ln[0]), lane_bufs(w.ln[0]));
	add_queue(w.ln[0], lane_pair_queue(w.pair[LO], 0), LO);
	add_queue(w.ln[0], lane_pair_queue(w.pair[LO], 1), LO);
}

static void run(void)
{
	for (unsigned int n = 0; n < 50; n++) {
		w.now_us += 1000;
		for (unsigned int i = 0; i < IFS; i++) {
			lane_poll(w.ln[i], w.now_us);
			lane_kick(w.ln[i], lane_flush(w.ln[i]));
			lane_check(w.ln[i]);
		}
	}
}

static void close_all(void)
{
	struct lane_queue *q;

	for (unsigned int i = 0; i < IFS; i++)
		for (unsigned int k = 0; (q = lane_queue(w.ln[i], k)); k++)
			q->drv->close(q);
	for (unsigned int i = 0; i < IFS; i++) {
		lane_pair_destroy(w.pair[i]);
		lane_detach(w.ln[i]);
		free(w.mem[i]);
	}
}

static void test_route__one_table_has_the_way(void **state)
{
	struct lane_ip any = {.d = {0, 0}}, own = ip_of(2, 1, false), out = ip_of(9, 9, false);
	struct lane_ip local = localhost(), group = lane_ip4(0xffffffff);
	struct lane_net_hop hop;

	open_all(true);
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		for (unsigned int i = 0; i < 2; i++) {
			struct lane_ip dst = ip_of(i + 1, 2, v6), src = ip_of(i + 1, 1, v6);

			for (unsigned int first = 0; first < IFS; first++) {
				assert_int_equal(lane_ifs_route(w.ln[0], first, &dst, &any, &hop),
						 i);
				assert_true(lane_ip_equal(&hop.src, &src));
				assert_int_equal(hop.mtu, 1500 - 100 * (i + 1));
			}
		}
	}
	assert_int_equal(lane_ifs_route(w.ln[0], 0, &local, &any, &hop), LO);
	/* An own address is another interface's way, lo's, whose table does not have it. */
	assert_int_equal(lane_ifs_route(w.ln[0], 0, &own, &any, &hop), -EXDEV);
	assert_int_equal(lane_ifs_route(w.ln[0], LO, &out, &any, &hop), -ENETUNREACH);
	assert_int_equal(lane_ifs_route(w.ln[0], 0, &group, &any, &hop), -EXDEV);
	/* lo's addresses stay on lo. */
	out = ip_of(1, 2, false);
	assert_int_equal(lane_ifs_route(w.ln[0], 0, &out, &local, &hop), -EXDEV);
	assert_int_equal(lane_ifs_route(w.ln[0], 0, &local, &own, &hop), -EXDEV);
	assert_int_equal(lane_ifs_addr(w.ln[0], &own), 1);
	assert_int_equal(lane_ifs_addr(w.ln[0], &local), LO);
	assert_int_equal(lane_ifs_addr(w.ln[0], &out), -1);
	close_all();
}

static void test_claim__masks_of_each_interface(void **state)
{
	struct lane_ep all = {.port = PORT}, one = {.ip = ip_of(2, 1, false), .port = PORT};
	struct lane_tcp *l;

	open_all(true);
	l = lane_tcp_create(w.ln[0], 1);
	assert_int_equal(lane_tcp_listen(w.ln[0], l, &all, false, 8), 0);
	/* Link-local addresses (entry 2) are the first interface's only. */
	assert_int_equal(w.any[0], 7);
	assert_int_equal(w.listen[0], 7);
	assert_int_equal(w.any[1], 3);
	assert_int_equal(w.listen[1], 3);
	assert_int_equal(w.listen[LO], 3);
	lane_tcp_put(w.ln[0], l);
	assert_int_equal(w.any[0] | w.any[1] | w.any[LO] | w.listen[0], 0);
	l = lane_tcp_create(w.ln[0], 1);
	assert_int_equal(lane_tcp_listen(w.ln[0], l, &one, false, 8), 0);
	assert_int_equal(w.listen[0], 0);
	assert_int_equal(w.listen[1], 1);
	assert_int_equal(w.listen[LO], 0);
	lane_tcp_put(w.ln[0], l);
	close_all();
}

static void exchange(unsigned int from, struct lane_udp *a, unsigned int to, struct lane_udp *b,
		     const struct lane_ip *dst)
{
	struct lane_ep remote = {.ip = *dst, .port = PORT};
	struct lane_udp_msg msg;
	uint8_t buf[16];

	assert_int_equal(lane_udp_write(w.ln[from], a, &remote, NULL, "ping", 4, NULL), 4);
	run();
	assert_int_equal(lane_udp_read(w.ln[to], b, buf, sizeof(buf), false, &msg, NULL), 4);
	/* Back to where it came from. */
	assert_int_equal(lane_udp_write(w.ln[to], b, &msg.remote, NULL, "pong", 4, NULL), 4);
	run();
	assert_int_equal(lane_udp_read(w.ln[from], a, buf, sizeof(buf), false, &msg, NULL), 4);
}

/* Both ways over each interface; 'known': the mirrors have the neighbours, else the MACs that were
 * seen. */
static void datagrams(bool known)
{
	struct lane_ep local = {.port = PORT};
	struct lane_udp *u[IFS];

	open_all(known);
	for (unsigned int i = 0; i < IFS; i++) {
		u[i] = lane_udp_create(w.ln[i], 1);
		assert_int_equal(lane_udp_bind(w.ln[i], u[i], &local, false), 0);
	}
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		for (unsigned int i = 0; i < 2; i++) {
			struct lane_ip mine = ip_of(i + 1, 1, v6), his = ip_of(i + 1, 2, v6);

			exchange(i + 1, u[i + 1], 0, u[0], &mine);
			if (known)
				exchange(0, u[0], i + 1, u[i + 1], &his);
		}
	}
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(w.ln[0]->st->ifs[i].rx_packets, known ? 4 : 2);
		assert_int_equal(w.ln[0]->st->ifs[i].tx_packets, known ? 4 : 2);
		assert_int_equal(lane_stats(w.ln[i + 1])->drops[LANE_DROP_ETH_DST], 0);
	}
	for (unsigned int i = 0; i < IFS; i++)
		lane_udp_put(w.ln[i], u[i]);
	close_all();
}

static void test_udp__each_interface(void **state)
{
	datagrams(true);
}

static void test_udp__answers_the_mac_seen(void **state)
{
	datagrams(false);
}

/* A connection follows its route to the other interface. */
static void test_path__route_moves(void **state)
{
	struct lane_ip src = {.d = {0, 0}}, dst = ip_of(1, 2, false);
	struct lane_net_route r = {.dst = dst, .plen = 32, .gw = ip_of(2, 2, false)};
	struct lane_path path = {.queue = 0};
	struct lane_nettab *t;
	struct lane_mac mac;

	open_all(true);
	assert_int_equal(lane_path_update(w.ln[0], &path, &src, &dst), 0);
	assert_int_equal(path.ifi, 0);
	for (unsigned int i = 0; i < 2; i++) {
		t = lane_nettab_at(w.ln[0], i);
		r.kind = i == 1 ? LANE_ROUTE_UNICAST : LANE_ROUTE_ELSEWHERE;
		lane_net_write_begin(t);
		assert_int_equal(lane_net_route_add(t, &r), 0);
		lane_net_write_end(t, true);
	}
	for (unsigned int n = 0; n < 3; n++) {
		assert_int_equal(lane_path_update(w.ln[0], &path, &src, &dst), 0);
		assert_int_equal(path.ifi, 1);
		mac = mac_of(2, 2);
		assert_memory_equal(&path.mac, &mac, sizeof(mac));
		assert_int_equal(path.mtu, 1300);
	}
	close_all();
}

static void test_queue__of_no_interface(void **state)
{
	struct lane_queue q = {.ifi = IFS};

	open_all(true);
	assert_int_equal(lane_add_queue(w.ln[0], &q), -EINVAL);
	assert_null(lane_nettab_at(w.ln[0], IFS));
	assert_ptr_equal(lane_nettab_at(w.ln[0], 0), lane_nettab(w.ln[0]));
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route__one_table_has_the_way),
		cmocka_unit_test(test_claim__masks_of_each_interface),
		cmocka_unit_test(test_udp__each_interface),
		cmocka_unit_test(test_udp__answers_the_mac_seen),
		cmocka_unit_test(test_path__route_moves),
		cmocka_unit_test(test_queue__of_no_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
