/*
 * memory_test.c - what an idle connection costs, and extensions that come and go (stack/tcp/x.c)
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "lane-int/tcp_info.h"
#include "stack/tcp/synq.h"
#include "stack/tcp/timewait.h"
#include "tests/sim/world.h"

#define PORT 80
#define NR   12

static struct world w;
static struct lane_tcp *listener, *client[NR], *server[NR];

/* docs/tcp.md: the pcb, its counts and its share of a table that is as full as it may be. */
static void test_idle_cost(void **state)
{
	double share = (double)sizeof(struct lane_ftable_bucket) / 8 / 0.6;
	double v4 = sizeof(struct lane_tcp) + sizeof(struct lane_tcp_cold) + share;

	(void)state;
	assert_true(sizeof(struct lane_tcp) <= 192);
	assert_true(v4 <= 224);
	assert_true(v4 + sizeof(struct lane_tcp_ip6) <= 240);
	assert_true(sizeof(struct lane_tw) <= 48);
	assert_true(sizeof(struct lane_syn) <= 64);
}

static void run(void)
{
	struct lane_event ev;

	world_run(&w, 300000);
	for (unsigned int i = 0; i < 2; i++) {
		while (lane_event(w.ln[i], &ev))
			;
		lane_check(w.ln[i]);
	}
}

/* 'marked': all that is ECT meets congestion. */
static void open_conns(uint32_t nr_x, unsigned int nr, bool marked)
{
	struct lane_ep any = {.port = PORT}, local = {.port = 0}, remote = {.port = PORT};
	struct world_config cfg;

	world_config_default(&cfg);
	cfg.pair.delay_us = 1000;
	cfg.lane[0].nr_tcp_x = cfg.lane[1].nr_tcp_x = nr_x;
	cfg.lane[0].ecn = cfg.lane[1].ecn = marked;
	cfg.faulty = marked;
	cfg.fault[0].mark = cfg.fault[1].mark = 1000000;
	world_open(&w, &cfg);
	listener = lane_tcp_create(w.ln[1], 100);
	assert_int_equal(lane_tcp_listen(w.ln[1], listener, &any, false, 64), 0);
	for (unsigned int i = 0; i < nr; i++) {
		remote.ip = world_ip(1, i & 1);
		client[i] = lane_tcp_create(w.ln[0], i);
		local.ip = world_ip(0, i & 1);
		assert_int_equal(lane_tcp_connect(w.ln[0], client[i], &local, &remote), 0);
		run();
		server[i] = lane_tcp_accept(w.ln[1], listener, i);
		assert_non_null(server[i]);
	}
}

static void close_conns(unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		lane_tcp_abort(w.ln[0], client[i]);
		lane_tcp_abort(w.ln[1], server[i]);
	}
	lane_tcp_put(w.ln[1], listener);
	run();
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(w.ln[i]->st->tcp_pool.nr_used, 0);
		assert_int_equal(w.ln[i]->st->x_pool.nr_used, 0);
		assert_int_equal(w.ln[i]->st->lq_pool.nr_used, 0);
		assert_int_equal(w.ln[i]->st->oset_pool.nr_used, 1);
	}
	world_close(&w);
}

/* 'n' bytes from client 'i' to its server, whose program waits for them at most a minute. */
static void carry(unsigned int i, uint32_t n)
{
	uint8_t src[2000], dst[2000];
	uint32_t sent = 0, got = 0;

	memset(src, (int)i + 1, sizeof(src));
	for (unsigned int turn = 0; got < n && turn < 200; turn++) {
		ssize_t r = lane_tcp_write(w.ln[0], client[i], src, n - sent, false, NULL);

		assert_true(r > 0 || r == -EAGAIN || r == 0);
		sent += r > 0 ? (uint32_t)r : 0;
		run();
		r = lane_tcp_read(w.ln[1], server[i], dst + got, sizeof(dst) - got, false, 0, NULL);
		got += r > 0 ? (uint32_t)r : 0;
	}
	assert_int_equal(got, n);
	assert_memory_equal(src, dst, n);
	run();
}

/* More connections than extensions: who falls idle gives his back, and figures stay. */
static void test_idle_gives_back(void **state)
{
	struct lane_tcp_info_out before, after;

	(void)state;
	open_conns(4, NR, false);
	for (unsigned int i = 0; i < NR; i++)
		carry(i, 100 + i);
	for (unsigned int k = 0; k < 2; k++)
		assert_true(w.ln[k]->st->x_pool.nr_used < 4);
	lane_tcp_get_info(w.ln[0], client[3], &before);
	assert_int_equal(before.bytes_acked, 103);
	assert_int_equal(before.bytes_sent, 103);
	assert_int_equal(before.reordering, 3);
	assert_true(before.cwnd >= 10 && before.rtt_us && before.delivery_rate);
	for (unsigned int i = 4; i < NR; i++)
		carry(i, 200);
	lane_tcp_get_info(w.ln[0], client[3], &after);
	assert_int_equal(after.cwnd, before.cwnd);
	assert_int_equal(after.rtt_us, before.rtt_us);
	assert_int_equal(after.bytes_acked, 103);
	assert_in_range(after.delivery_rate, before.delivery_rate * 99 / 100,
			before.delivery_rate * 101 / 100);
	carry(3, 7);
	lane_tcp_get_info(w.ln[0], client[3], &after);
	assert_int_equal(after.bytes_acked, 110);
	lane_tcp_get_info(w.ln[1], server[3], &after);
	assert_int_equal(after.bytes_received, 110);
	close_conns(NR);
}

/* All extensions hold unread text: the others wait, and lose nothing. */
static void test_pool_empty(void **state)
{
	uint8_t text[64] = {1}, got[64];
	uint32_t nr = 0;

	(void)state;
	open_conns(4, NR, false);
	for (unsigned int i = 0; i < NR; i++) {
		ssize_t r = lane_tcp_write(w.ln[0], client[i], text, sizeof(text), false, NULL);

		assert_true(r == sizeof(text) || r == -EAGAIN);
		nr += r > 0;
	}
	run();
	assert_in_range(nr, 1, NR - 1);
	assert_true(w.ln[0]->st->stats.tcp_no_x > 0);
	for (unsigned int turn = 0; turn < 20; turn++) {
		for (unsigned int i = 0; i < NR; i++)
			lane_tcp_read(w.ln[1], server[i], got, sizeof(got), false, 0, NULL);
		run();
	}
	for (unsigned int i = 0; i < NR; i++)
		carry(i, 50);
	close_conns(NR);
}

/* All extensions hold unread text: who would send looks for one now and then, not all the time. */
static void test_pool_empty__waiting_is_cheap(void **state)
{
	const struct lane_stats *st;
	uint8_t text[64] = {1};
	uint64_t before;
	unsigned int nr = 0;

	(void)state;
	open_conns(4, NR, false);
	st = &w.ln[1]->st->stats;
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(lane_tcp_write(w.ln[0], client[i], text, sizeof(text), false, NULL), sizeof(text));
		run();
	}
	assert_int_equal(w.ln[1]->st->x_pool.nr_used, 4);
	/* Four have an extension, of the reserve; eight have none, and half of them a FIN to send. */
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(lane_tcp_write(w.ln[1], server[i], text, sizeof(text), false, NULL), -EAGAIN);
	for (unsigned int i = 2; i < NR; i += 2)
		assert_int_equal(lane_tcp_shutdown(w.ln[1], server[i], false, true), 0);
	run();
	before = st->tcp_no_x;
	world_run(&w, 10000000);
	assert_in_range(st->tcp_no_x - before, 10 * NR, 10 * 50 * NR);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(lane_tcp_read(w.ln[1], server[i], text, sizeof(text), false, 0, NULL), sizeof(text));
	world_run(&w, 2000000);
	for (struct lane_event ev; lane_event(w.ln[1], &ev);)
		nr += ev.events & LANE_EV_WRITABLE ? 1 : 0;
	assert_true(nr >= NR / 2);
	for (unsigned int i = 2; i < NR; i += 2)
		assert_int_equal(lane_tcp_read(w.ln[0], client[i], text, sizeof(text), false, 0, NULL), 0);
	close_conns(NR);
}

/* The window is being reduced for an echo, and all is acknowledged: no later ACK would end that. */
static void test_idle_gives_back__reduced(void **state)
{
	struct lane_tcp_info_out info;

	(void)state;
	open_conns(2, 3, true);
	for (unsigned int i = 0; i < 3; i++) {
		carry(i, 100);
		carry(i, 100);
	}
	assert_true(w.ln[0]->st->stats.tcp_ecn_reduced >= 3);
	lane_tcp_get_info(w.ln[0], client[0], &info);
	assert_true(info.ecn_ok && info.cwnd < 10);
	assert_int_equal(info.cwnd, info.ssthresh);
	close_conns(3);
}

/* Equal options are one set. */
static void test_options_are_shared(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	open_conns(0, 4, false);
	for (unsigned int i = 0; i < 4; i++) {
		lane_tcp_get_opts(w.ln[0], client[i], &o);
		o.nodelay = 1;
		o.keepidle_us = 5000000;
		assert_int_equal(lane_tcp_set_opts(w.ln[0], client[i], &o), 0);
	}
	assert_int_equal(w.ln[0]->st->oset_pool.nr_used, 2);
	o.nodelay = 0;
	assert_int_equal(lane_tcp_set_opts(w.ln[0], client[0], &o), 0);
	lane_tcp_get_opts(w.ln[0], client[1], &o);
	assert_int_equal(o.nodelay, 1);
	assert_int_equal(w.ln[0]->st->oset_pool.nr_used, 3);
	close_conns(4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_cost),
		cmocka_unit_test(test_idle_gives_back),
		cmocka_unit_test(test_pool_empty),
		cmocka_unit_test(test_pool_empty__waiting_is_cheap),
		cmocka_unit_test(test_idle_gives_back__reduced),
		cmocka_unit_test(test_options_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
