/*
 * udp_test.c - tests of stack/udp
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include <lane/udp.h>

#include "tests/sim/world.h"

static struct world w;

static int setup(void **state)
{
	struct world_config cfg;

	(void)state;
	world_config_default(&cfg);
	world_open(&w, &cfg);
	return 0;
}

/* Every test puts its sockets. */
static int teardown(void **state)
{
	(void)state;
	world_run(&w, 100000);
	for (unsigned int i = 0; i < 2; i++) {
		lane_check(w.ln[i]);
		assert_int_equal(w.ln[i]->st->bufs.nr_free, w.ln[i]->st->bufs.nr);
		assert_int_equal(w.ln[i]->st->udp_pool.nr_used, 0);
		assert_int_equal(w.ln[i]->udp_table->nr, 0);
	}
	world_close(&w);
	return 0;
}

static struct lane_ep ep(const struct lane_ip *ip, uint16_t port)
{
	return (struct lane_ep){.ip = *ip, .port = port};
}

static struct lane_udp *bound(unsigned int i, struct lane_ip ip, uint16_t port, bool v6only)
{
	struct lane_ep local = ep(&ip, port);
	struct lane_udp *pcb = lane_udp_create(w.ln[i], port);

	assert_non_null(pcb);
	assert_int_equal(lane_udp_bind(w.ln[i], pcb, &local, v6only), 0);
	return pcb;
}

/* From port 'from' of lane 1 to port 'to' of lane 0. */
static void send_one(uint16_t from, uint16_t to, bool v6, size_t len)
{
	static const uint8_t text[2048];
	struct lane_ip any = {.d = {0, 0}}, ip = world_ip(0, v6);
	struct lane_udp *pcb = bound(1, any, from, false);
	struct lane_ep remote = ep(&ip, to);

	assert_int_equal(lane_udp_write(w.ln[1], pcb, &remote, NULL, text, len, NULL), len);
	world_run(&w, 100);
	lane_udp_put(w.ln[1], pcb);
}

static const struct lane_ip any6 = {.d = {0, 0}};

static void test_bind__rules(void **state)
{
	struct lane_udp *pcb = lane_udp_create(w.ln[0], 1);
	struct lane_ip foreign = world_ip(1, false);
	struct lane_ep zero = ep(&any6, 0), elsewhere = ep(&foreign, 53), good = ep(&any6, 53);

	assert_int_equal(lane_udp_bind(w.ln[0], pcb, &zero, false), -EINVAL);
	assert_int_equal(lane_udp_bind(w.ln[0], pcb, &elsewhere, false), -EADDRNOTAVAIL);
	assert_int_equal(lane_udp_bind(w.ln[0], pcb, &good, false), 0);
	assert_int_equal(lane_udp_bind(w.ln[0], pcb, &good, false), -EINVAL);
	assert_false(lane_claim_is_free(w.ln[0], LANE_PROTO_UDP, 53));
	assert_int_equal(lane_udp_mask(w.ln[0], 0, 53, 0), 3);
	lane_udp_put(w.ln[0], pcb);
	assert_true(lane_claim_is_free(w.ln[0], LANE_PROTO_UDP, 53));
}

static void test_retire__for_all_that_share_it(void **state)
{
	struct lane_udp *a = lane_udp_create(w.ln[0], 1), *b = lane_udp_create(w.ln[0], 2);
	struct lane_ep all = ep(&any6, 53);

	(void)state;
	assert_int_equal(lane_udp_bind(w.ln[0], a, &all, false), 0);
	assert_int_equal(lane_udp_bind(w.ln[0], b, &all, false), 0);
	lane_udp_retire(w.ln[0], a);
	assert_int_equal(lane_udp_mask(w.ln[0], 0, 53, 3), 0);
	lane_udp_put(w.ln[0], a);
	assert_int_equal(lane_udp_mask(w.ln[0], 0, 53, 0), 3);
	lane_udp_put(w.ln[0], b);
}

static void test_in__specific_address_before_any(void **state)
{
	struct lane_udp *any = bound(0, any6, 53, false);
	struct lane_udp *mine = bound(0, world_ip(0, false), 53, false);

	send_one(9, 53, false, 5);
	send_one(9, 53, true, 5);
	assert_int_equal(lane_udp_nr_queued(mine), 1);
	assert_int_equal(lane_udp_nr_queued(any), 1);
	lane_udp_put(w.ln[0], any);
	lane_udp_put(w.ln[0], mine);
}

static void test_in__families(void **state)
{
	struct lane_udp *only6 = bound(0, any6, 53, true);
	struct lane_udp *only4 = bound(0, lane_ip4(0), 54, false);

	send_one(9, 53, false, 5);
	send_one(9, 54, true, 5);
	assert_int_equal(lane_stats(w.ln[0])->drops[LANE_DROP_UDP_NO_PORT], 2);
	send_one(9, 53, true, 5);
	send_one(9, 54, false, 5);
	assert_int_equal(lane_udp_nr_queued(only6), 1);
	assert_int_equal(lane_udp_nr_queued(only4), 1);
	lane_udp_put(w.ln[0], only6);
	lane_udp_put(w.ln[0], only4);
}

/* Nobody takes it: port unreachable, six at once and then by time (as Linux). */
static void test_in__unreachable(void **state)
{
	struct lane_ip any = {.d = {0, 0}};

	(void)state;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct lane_udp *pcb = bound(1, any, 9, false);
		struct lane_ip ip = world_ip(0, v6);
		struct lane_ep remote = ep(&ip, 53);
		static const uint8_t text[1400];

		assert_int_equal(lane_udp_connect(w.ln[1], pcb, &remote), 0);
		for (unsigned int i = 0; i < 10; i++) {
			assert_int_equal(lane_udp_write(w.ln[1], pcb, NULL, NULL, text, i * 150, NULL), i * 150);
			world_run(&w, 100);
			/* What is wrong with a call does not take the pending error. */
			assert_int_equal(lane_udp_write(w.ln[1], pcb, NULL, NULL, text, 65528, NULL), -EMSGSIZE);
			assert_int_equal(lane_udp_take_error(pcb), i < 6 ? ECONNREFUSED : 0);
		}
		assert_int_equal(lane_stats(w.ln[0])->unreach_out, 6 * (v6 + 1));
		assert_int_equal(lane_stats(w.ln[0])->unreach_withheld, 4 * (v6 + 1));
		world_run(&w, 1000100);
		lane_udp_write(w.ln[1], pcb, NULL, NULL, text, 1, NULL);
		world_run(&w, 100);
		assert_int_equal(lane_udp_take_error(pcb), ECONNREFUSED);
		lane_udp_put(w.ln[1], pcb);
		w.ln[0]->st->stats.unreach_out--;
	}
}

static void test_in__connected_before_unconnected(void **state)
{
	struct lane_udp *server = bound(0, any6, 53, false);
	struct lane_udp *conn = bound(0, any6, 53, false);
	struct lane_ip ip = world_ip(1, false);
	struct lane_ep remote = ep(&ip, 9), local;

	assert_int_equal(lane_udp_connect(w.ln[0], conn, &remote), 0);
	lane_udp_get_local(conn, &local);
	ip = world_ip(0, false);
	assert_true(lane_ip_equal(&local.ip, &ip));
	send_one(9, 53, false, 5);
	send_one(10, 53, false, 5);
	assert_int_equal(lane_udp_nr_queued(conn), 1);
	assert_int_equal(lane_udp_nr_queued(server), 1);
	/* Connected no more it takes all again, and its address is any again. */
	assert_int_equal(lane_udp_connect(w.ln[0], conn, NULL), 0);
	lane_udp_get_local(conn, &local);
	assert_true(lane_ip_equal(&local.ip, &any6));
	assert_int_equal(lane_udp_get_remote(conn, &remote), -ENOTCONN);
	lane_udp_put(w.ln[0], server);
	lane_udp_put(w.ln[0], conn);
}

static void test_in__reuseport_shares_by_flow(void **state)
{
	struct lane_udp *pcb[4];
	uint32_t before[4], moved;

	for (unsigned int i = 0; i < 4; i++)
		pcb[i] = bound(0, any6, 53, false);
	for (uint16_t port = 1000; port < 1064; port++) {
		send_one(port, 53, false, 5);
		for (unsigned int i = 0; i < 4; i++)
			before[i] = lane_udp_nr_queued(pcb[i]);
		/* The same flow goes to the same socket. */
		send_one(port, 53, false, 5);
		moved = 0;
		for (unsigned int i = 0; i < 4; i++)
			moved += lane_udp_nr_queued(pcb[i]) != before[i];
		assert_int_equal(moved, 1);
	}
	for (unsigned int i = 0; i < 4; i++) {
		assert_in_range(lane_udp_nr_queued(pcb[i]), 10, 60);
		lane_udp_put(w.ln[0], pcb[i]);
	}
}

static void test_in__buffer_limit(void **state)
{
	struct lane_udp *pcb = bound(0, any6, 53, false);

	lane_udp_set_rcvbuf(pcb, 2000);
	for (unsigned int i = 0; i < 10; i++)
		send_one(9, 53, false, 5);
	/* 768 bytes each, and one above the limit */
	assert_int_equal(lane_udp_nr_queued(pcb), 3);
	assert_int_equal(lane_udp_nr_dropped(pcb), 7);
	assert_int_equal(lane_stats(w.ln[0])->drops[LANE_DROP_UDP_FULL], 7);
	lane_udp_put(w.ln[0], pcb);
}

/* The last frames are not for datagrams that wait: with few left, each socket may have one. */
static void test_in__few_frames(void **state)
{
	struct lane_udp *pcb = bound(0, any6, 53, false);
	struct lane_bufs *bs = lane_bufs(w.ln[0]);
	uint32_t taken = LANE_NIL;
	struct lane_buf *b;

	while (w.ln[0]->st->bufs.nr_free > bs->nr / 32 * 3 && (b = lane_buf_alloc(bs)) != NULL) {
		b->next = taken;
		taken = lane_buf_index(bs, b);
	}
	for (unsigned int i = 0; i < 3; i++)
		send_one(9, 53, false, 5);
	assert_int_equal(lane_udp_nr_queued(pcb), 1);
	assert_int_equal(lane_udp_nr_dropped(pcb), 2);
	while ((b = lane_buf_at(bs, taken)) != NULL) {
		taken = b->next;
		lane_buf_free(bs, b);
	}
	lane_udp_put(w.ln[0], pcb);
}

static int fail_copy(void *dst, const void *src, size_t len)
{
	return -EFAULT;
}

static void test_read__peek_truncate_fault(void **state)
{
	struct lane_udp *pcb = bound(0, any6, 53, false);
	struct lane_udp_msg msg;
	uint8_t buf[200];

	assert_int_equal(lane_udp_read(w.ln[0], pcb, buf, 10, false, &msg, NULL), -EAGAIN);
	send_one(9, 53, true, 100);
	assert_int_equal(lane_udp_first_len(w.ln[0], pcb), 100);
	assert_int_equal(lane_udp_read(w.ln[0], pcb, buf, 10, true, &msg, NULL), 10);
	assert_int_equal(lane_udp_read(w.ln[0], pcb, buf, 10, false, &msg, fail_copy), -EFAULT);
	assert_int_equal(lane_udp_read(w.ln[0], pcb, buf, 10, false, &msg, NULL), 10);
	assert_int_equal(msg.len, 100);
	assert_int_equal(lane_udp_nr_queued(pcb), 0);
	lane_udp_put(w.ln[0], pcb);
}

static void test_write__refusals(void **state)
{
	static const uint8_t text[4096];
	struct lane_udp *pcb = lane_udp_create(w.ln[0], 1);
	struct lane_ip ip = world_ip(1, false), group = lane_ip4(0x010000e0),
		       far = lane_ip4(0x08080808);
	struct lane_ep peer = ep(&ip, 9), mcast = ep(&group, 9), away = ep(&far, 9), local;

	assert_int_equal(lane_udp_write(w.ln[0], pcb, NULL, NULL, text, 1, NULL), -EDESTADDRREQ);
	assert_int_equal(lane_udp_write(w.ln[0], pcb, &mcast, NULL, text, 1, NULL), -EXDEV);
	assert_int_equal(lane_udp_write(w.ln[0], pcb, &away, NULL, text, 1, NULL), -ENETUNREACH);
	assert_int_equal(lane_udp_write(w.ln[0], pcb, &peer, NULL, text, 1473, NULL), -EMSGSIZE);
	assert_int_equal(lane_udp_write(w.ln[0], pcb, &peer, NULL, text, 1, fail_copy), -EFAULT);
	/* The first datagram binds it to a port of the lane's range. */
	assert_int_equal(lane_udp_write(w.ln[0], pcb, &peer, NULL, text, 1472, NULL), 1472);
	lane_udp_get_local(pcb, &local);
	assert_in_range(local.port, 61000, 65535);
	lane_udp_put(w.ln[0], pcb);
}

static void test_write__no_frame(void **state)
{
	struct lane_udp *pcb = bound(0, any6, 53, false);
	struct lane_bufs *bs = lane_bufs(w.ln[0]);
	struct lane_ip ip = world_ip(1, false);
	struct lane_ep peer = ep(&ip, 9);
	uint32_t taken = LANE_NIL;
	struct lane_buf *b;

	while ((b = lane_buf_alloc(bs)) != NULL) {
		b->next = taken;
		taken = lane_buf_index(bs, b);
	}
	assert_int_equal(lane_udp_write(w.ln[0], pcb, &peer, NULL, "x", 1, NULL), -EAGAIN);
	while ((b = lane_buf_at(bs, taken)) != NULL) {
		taken = b->next;
		lane_buf_free(bs, b);
	}
	lane_udp_put(w.ln[0], pcb);
}

static void test_icmp__refused_once_on_connected(void **state)
{
	struct lane_udp *pcb = bound(0, any6, 53, false);
	struct lane_ip ip = world_ip(1, false);
	struct lane_ep remote = ep(&ip, 9);
	struct lane_icmp_info icmp = {
		.kind = LANE_ICMP_ERROR, .err = ECONNREFUSED, .hard = true, .proto = LANE_PROTO_UDP,
		.remote = remote};
	struct lane_pkt pkt = {0};
	struct lane_event ev;

	assert_int_equal(lane_udp_connect(w.ln[0], pcb, &remote), 0);
	lane_udp_get_local(pcb, &icmp.local);
	assert_false(lane_udp_icmp(w.ln[0], &pkt, &icmp));
	assert_true(lane_event(w.ln[0], &ev));
	assert_int_equal(ev.cookie, 53);
	assert_int_equal(ev.events, LANE_EV_ERROR);
	assert_false(lane_event(w.ln[0], &ev));
	assert_int_equal(lane_udp_err(pcb), ECONNREFUSED);
	assert_int_equal(lane_udp_read(w.ln[0], pcb, NULL, 0, false, NULL, NULL), -ECONNREFUSED);
	assert_int_equal(lane_udp_read(w.ln[0], pcb, NULL, 0, false, NULL, NULL), -EAGAIN);
	icmp.remote.port = 10;
	assert_false(lane_udp_icmp(w.ln[0], &pkt, &icmp));
	assert_int_equal(lane_udp_err(pcb), 0);
	lane_udp_put(w.ln[0], pcb);
}

static void test_put__with_event_and_queue(void **state)
{
	struct lane_udp *a = bound(0, any6, 53, false), *b = bound(0, any6, 54, false);
	struct lane_event ev;

	send_one(9, 53, false, 5);
	send_one(9, 54, false, 5);
	lane_udp_put(w.ln[0], a);
	assert_true(lane_event(w.ln[0], &ev));
	assert_int_equal(ev.cookie, 54);
	assert_int_equal(ev.events, LANE_EV_READABLE);
	assert_false(lane_event(w.ln[0], &ev));
	lane_udp_put(w.ln[0], b);
}

static void test_create__pool_empty(void **state)
{
	struct lane_udp *pcb[64];
	unsigned int nr = 0;

	while (nr < 64 && (pcb[nr] = lane_udp_create(w.ln[0], nr)) != NULL)
		nr++;
	assert_int_equal(nr, w.ln[0]->st->cfg.nr_udp);
	while (nr > 0)
		lane_udp_put(w.ln[0], pcb[--nr]);
}

/* A member died inside: sockets and their ports stay, what was queued is let go. */
static void test_recover__keeps_sockets(void **state)
{
	struct lane_udp *pcb = bound(0, any6, 53, false);

	send_one(9, 53, false, 5);
	w.ln[0]->st->bufs.free_head = 7;
	lane_recover(w.ln[0], 0);
	lane_check(w.ln[0]);
	assert_int_equal(lane_udp_nr_queued(pcb), 0);
	assert_false(lane_claim_is_free(w.ln[0], LANE_PROTO_UDP, 53));
	send_one(9, 53, false, 5);
	assert_int_equal(lane_udp_nr_queued(pcb), 1);
	lane_udp_put(w.ln[0], pcb);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_bind__rules),
		T(test_retire__for_all_that_share_it),
		T(test_in__specific_address_before_any),
		T(test_in__families),
		T(test_in__unreachable),
		T(test_in__connected_before_unconnected),
		T(test_in__reuseport_shares_by_flow),
		T(test_in__buffer_limit),
		T(test_in__few_frames),
		T(test_read__peek_truncate_fault),
		T(test_write__refusals),
		T(test_write__no_frame),
		T(test_icmp__refused_once_on_connected),
		T(test_put__with_event_and_queue),
		T(test_create__pool_empty),
		T(test_recover__keeps_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
