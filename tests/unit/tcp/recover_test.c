/*
 * recover_test.c - tests of stack/tcp/recover.c, and of text that comes in chains of frames
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "stack/tcp/pcb.h"
#include "tests/sim/world.h"

#define PORT 80
#define NR   3

static struct world w;
static struct lane_tcp *listener, *client[NR], *server[NR];

static void open_conns(struct world_config *cfg)
{
	struct lane_ep any = {.port = PORT}, local = {.port = 0}, remote = {.port = PORT};

	world_open(&w, cfg);
	remote.ip = world_ip(1, false);
	listener = lane_tcp_create(w.ln[1], 100);
	assert_int_equal(lane_tcp_listen(w.ln[1], listener, &any, false, 5), 0);
	for (unsigned int i = 0; i < NR; i++) {
		client[i] = lane_tcp_create(w.ln[0], i);
		assert_int_equal(lane_tcp_connect(w.ln[0], client[i], &local, &remote), 0);
		world_run(&w, 10000);
		server[i] = lane_tcp_accept(w.ln[1], listener, i);
		assert_non_null(server[i]);
	}
}

static void drain(void)
{
	struct lane_event ev;

	for (unsigned int i = 0; i < 2; i++)
		while (lane_event(w.ln[i], &ev))
			;
}

static void close_conns(void)
{
	for (unsigned int i = 0; i < NR; i++) {
		lane_tcp_abort(w.ln[0], client[i]);
		lane_tcp_abort(w.ln[1], server[i]);
	}
	lane_tcp_put(w.ln[1], listener);
	world_run(&w, 200000000);
	drain();
	world_run(&w, 1000000);
	for (unsigned int i = 0; i < 2; i++) {
		lane_check(w.ln[i]);
		assert_int_equal(w.ln[i]->st->bufs.nr_free, w.ln[i]->st->bufs.nr);
		assert_int_equal(w.ln[i]->st->tcp_pool.nr_used, 0);
	}
	world_close(&w);
}

static void fill(uint8_t *p, size_t len, unsigned int salt)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 13 + (i >> 8) + salt);
}

/* What a process that dies in the middle of a call leaves: nothing that links pcbs can be trusted. */
static void scramble(struct lane *ln, const struct lane_tcp *at_work)
{
	struct lane_state *st = ln->st;

	st->pcb_at_work = lane_tcp_index(ln, at_work);
	st->events.head = 7;
	st->output.tail = 3;
	st->tcp_pool.free_head = 1;
	st->tcp_pool.nr_used = 40;
	st->bufs.free_head = LANE_NIL;
	st->wheel.slot[5] = 2;
	st->nr_orphans = 9;
	memset(ln->conns + 1, 0x55, 64);
	lane_tcp_x(ln, at_work)->sndq_head = 5;
	lane_tcp_x(ln, at_work)->rcvq_head = 5;
}

static void test_recover__others_go_on(void **state)
{
	static uint8_t src[40000], dst[40000];
	struct world_config cfg;
	ssize_t r;

	(void)state;
	world_config_default(&cfg);
	cfg.pair.delay_us = 1000;
	open_conns(&cfg);
	fill(src, sizeof(src), 1);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(
			lane_tcp_write(w.ln[1], server[i], src, sizeof(src), false, NULL),
			sizeof(src));
	world_run(&w, 1500);
	scramble(w.ln[1], server[1]);
	lane_recover(w.ln[1], 0);
	lane_check(w.ln[1]);
	world_run(&w, 5000000);
	lane_check(w.ln[1]);
	for (unsigned int i = 0; i < NR; i++) {
		size_t got = 0;

		while ((r = lane_tcp_read(w.ln[0], client[i], dst + got, sizeof(dst) - got, false, 0,
					  NULL)) > 0)
			got += (size_t)r;
		if (i == 1)
			continue;
		assert_int_equal(got, sizeof(dst));
		assert_memory_equal(src, dst, sizeof(src));
	}
	assert_int_equal(lane_tcp_read(w.ln[1], server[1], dst, 1, false, 0, NULL), -ECONNRESET);
	/* The peer's ACKs met nobody: the reads above have told of its reset. */
	assert_int_equal(lane_tcp_write(w.ln[0], client[1], "x", 1, false, NULL), -EPIPE);
	close_conns();
}

static void test_recover__queued_and_time_wait(void **state)
{
	struct lane_ep local = {.port = 0}, remote = {.port = PORT};
	struct world_config cfg;
	struct lane_tcp *c, *a;
	char b;

	(void)state;
	world_config_default(&cfg);
	open_conns(&cfg);
	remote.ip = world_ip(1, false);
	/* A connection that lane 1 closes first, one that waits for accept. */
	lane_tcp_shutdown(w.ln[1], server[0], false, true);
	world_run(&w, 10000);
	lane_tcp_shutdown(w.ln[0], client[0], false, true);
	world_run(&w, 10000);
	assert_int_equal(w.ln[1]->st->tw_pool.nr_used, 1);
	c = lane_tcp_create(w.ln[0], 9);
	assert_int_equal(lane_tcp_connect(w.ln[0], c, &local, &remote), 0);
	world_run(&w, 10000);
	w.ln[1]->st->pcb_at_work = lane_tcp_index(w.ln[1], listener);
	lane_recover(w.ln[1], 0);
	lane_check(w.ln[1]);
	assert_int_equal(w.ln[1]->st->tw_pool.nr_used, 1);
	a = lane_tcp_accept(w.ln[1], listener, 9);
	assert_non_null(a);
	assert_int_equal(lane_tcp_write(w.ln[0], c, "x", 1, false, NULL), 1);
	world_run(&w, 10000);
	assert_int_equal(lane_tcp_read(w.ln[1], a, &b, 1, false, 0, NULL), 1);
	lane_tcp_abort(w.ln[0], c);
	lane_tcp_abort(w.ln[1], a);
	close_conns();
}

/* Who dies behind a close, while the pcb still stands on a list, leaves nobody who holds it. */
static void test_recover__freed_but_listed(void **state)
{
	struct lane_ep local = {.port = 0}, remote = {.port = PORT};
	struct world_config cfg;
	struct lane_tcp *c;
	uint32_t before;

	(void)state;
	world_config_default(&cfg);
	open_conns(&cfg);
	remote.ip = world_ip(1, false);
	before = w.ln[0]->st->tcp_pool.nr_used;
	c = lane_tcp_create(w.ln[0], 9);
	assert_int_equal(lane_tcp_connect(w.ln[0], c, &local, &remote), 0);
	lane_tcp_put(w.ln[0], c);
	assert_true(c->flags & LANE_TF_DEAD);
	assert_ptr_equal(lane_tcp_get(w.ln[0], w.ln[0]->st->pcb_at_work), c);
	lane_recover(w.ln[0], 0);
	lane_check(w.ln[0]);
	assert_int_equal(w.ln[0]->st->tcp_pool.nr_used, before);
	close_conns();
}

/* Packets that arrive as chains of small frames, in and out of order. */
static void test_chains(void **state)
{
	static uint8_t src[200000], dst[200000];
	struct world_config cfg;
	size_t sent = 0, got = 0;

	(void)state;
	world_config_default(&cfg);
	cfg.pair.piece = 100;
	cfg.lane[0].nr_bufs = cfg.lane[1].nr_bufs = 8192;
	cfg.faulty = true;
	for (unsigned int i = 0; i < 2; i++) {
		cfg.fault[i].seed = 7 + i;
		cfg.fault[i].reorder = 100000;
		cfg.fault[i].reorder_us = 2000;
		cfg.fault[i].delay_us = 500;
	}
	open_conns(&cfg);
	fill(src, sizeof(src), 3);
	for (unsigned int round = 0; got < sizeof(dst) && round < 100000; round++) {
		ssize_t r = sent < sizeof(src) ? lane_tcp_write(w.ln[0], client[0], src + sent,
								sizeof(src) - sent, false, NULL)
					       : 0;

		sent += r > 0 ? (size_t)r : 0;
		world_run(&w, 1000);
		lane_check(w.ln[1]);
		r = lane_tcp_read(w.ln[1], server[0], dst + got, sizeof(dst) - got, false, 0, NULL);
		got += r > 0 ? (size_t)r : 0;
	}
	assert_int_equal(got, sizeof(dst));
	assert_memory_equal(src, dst, sizeof(src));
	assert_true(w.ln[1]->st->stats.tcp_ooo > 0);
	close_conns();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recover__others_go_on),
		cmocka_unit_test(test_recover__queued_and_time_wait),
		cmocka_unit_test(test_recover__freed_but_listed),
		cmocka_unit_test(test_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
