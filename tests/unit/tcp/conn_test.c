/*
 * conn_test.c - whole connections between two lanes: open, text both ways, close
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include <lane/tcp.h>

#include "tests/sim/world.h"

#define PORT 80

static struct world w;
static struct lane_tcp *listener, *client, *server;

static void open_world(const struct world_config *cfg)
{
	struct lane_ep any = {.port = PORT};

	world_open(&w, cfg);
	listener = lane_tcp_create(w.ln[1], 1);
	assert_non_null(listener);
	assert_int_equal(lane_tcp_listen(w.ln[1], listener, &any, false, 5), 0);
}

static void connect_world(bool v6)
{
	struct lane_ep local = {.port = 0}, remote = {.ip = world_ip(1, v6), .port = PORT};
	struct lane_tcp_status st;

	client = lane_tcp_create(w.ln[0], 2);
	assert_int_equal(lane_tcp_connect(w.ln[0], client, &local, &remote), 0);
	world_run(&w, 100000);
	lane_tcp_get_status(w.ln[0], client, &st);
	assert_int_equal(st.state, LANE_TCP_ESTABLISHED);
	server = lane_tcp_accept(w.ln[1], listener, 3);
	assert_non_null(server);
}

static void drain_events(void)
{
	struct lane_event ev;

	for (unsigned int i = 0; i < 2; i++)
		while (lane_event(w.ln[i], &ev))
			;
}

static void close_world(void)
{
	lane_tcp_put(w.ln[1], listener);
	world_run(&w, 200000000);
	drain_events();
	world_run(&w, 1000000);
	for (unsigned int i = 0; i < 2; i++) {
		lane_check(w.ln[i]);
		assert_int_equal(w.ln[i]->st->bufs.nr_free, w.ln[i]->st->bufs.nr);
		assert_int_equal(w.ln[i]->st->tcp_pool.nr_used, 0);
		assert_int_equal(w.ln[i]->st->tw_pool.nr_used, 0);
	}
	world_close(&w);
}

/* Sends 'len' bytes from 'from' (of lane 'i') and reads them at the other end. */
static void transfer(unsigned int i, struct lane_tcp *from, struct lane_tcp *to, size_t len)
{
	uint8_t *src = malloc(len), *dst = malloc(len);
	size_t sent = 0, got = 0;

	assert_true(src && dst);
	for (size_t k = 0; k < len; k++)
		src[k] = (uint8_t)(k * 7 + k / 251);
	for (unsigned int round = 0; got < len && round < 1000000; round++) {
		ssize_t r = 0;

		if (sent < len)
			r = lane_tcp_write(w.ln[i], from, src + sent, len - sent, false, NULL);
		assert_true(r >= 0 || r == -EAGAIN);
		if (r > 0)
			sent += (size_t)r;
		world_run(&w, 1000);
		do {
			r = lane_tcp_read(w.ln[!i], to, dst + got, len - got, false, 0, NULL);
			if (r > 0)
				got += (size_t)r;
		} while (r > 0 && got < len);
		lane_check(w.ln[0]);
		lane_check(w.ln[1]);
	}
	assert_int_equal(got, len);
	assert_memory_equal(src, dst, len);
	free(src);
	free(dst);
}

static void close_both(void)
{
	char c;

	lane_tcp_put(w.ln[0], client);
	world_run(&w, 100000);
	assert_int_equal(lane_tcp_read(w.ln[1], server, &c, 1, false, 0, NULL), 0);
	lane_tcp_put(w.ln[1], server);
	world_run(&w, 100000);
	assert_int_equal(w.ln[0]->st->tw_pool.nr_used, 1);
}

static void echo(bool v6)
{
	struct world_config cfg;

	world_config_default(&cfg);
	cfg.pair.delay_us = 500;
	open_world(&cfg);
	connect_world(v6);
	transfer(0, client, server, 1);
	transfer(1, server, client, 100);
	transfer(0, client, server, 300000);
	transfer(1, server, client, 2000000);
	close_both();
	close_world();
}

static void test_conn__v4(void **state)
{
	(void)state;
	echo(false);
}

static void test_conn__v6(void **state)
{
	(void)state;
	echo(true);
}

static void test_conn__under_loss(void **state)
{
	struct world_config cfg;

	(void)state;
	world_config_default(&cfg);
	cfg.faulty = true;
	for (unsigned int i = 0; i < 2; i++) {
		cfg.fault[i].seed = 42 + i;
		cfg.fault[i].loss = 20000;
		cfg.fault[i].reorder = 20000;
		cfg.fault[i].reorder_us = 3000;
		cfg.fault[i].dup = 10000;
		cfg.fault[i].delay_us = 1000;
	}
	open_world(&cfg);
	connect_world(false);
	transfer(0, client, server, 500000);
	transfer(1, server, client, 500000);
	world_run(&w, 5000000);
	lane_tcp_put(w.ln[0], client);
	lane_tcp_put(w.ln[1], server);
	world_run(&w, 100000000);
	close_world();
}

static void test_conn__refused(void **state)
{
	struct world_config cfg;
	struct lane_ep local = {.port = 0}, remote = {.port = 81};
	struct lane_event ev;

	(void)state;
	world_config_default(&cfg);
	open_world(&cfg);
	remote.ip = world_ip(1, false);
	client = lane_tcp_create(w.ln[0], 2);
	assert_int_equal(lane_tcp_connect(w.ln[0], client, &local, &remote), 0);
	world_run(&w, 100000);
	assert_true(lane_event(w.ln[0], &ev));
	assert_true(ev.events & LANE_EV_ERROR);
	assert_int_equal(lane_tcp_read(w.ln[0], client, NULL, 1, false, 0, NULL), -ECONNREFUSED);
	assert_int_equal(lane_tcp_read(w.ln[0], client, NULL, 1, false, 0, NULL), 0);
	assert_int_equal(lane_tcp_write(w.ln[0], client, "x", 1, false, NULL), -EPIPE);
	lane_tcp_put(w.ln[0], client);
	close_world();
}

static void small_enough(void *arg, unsigned int end, const uint8_t *frame, size_t len)
{
	assert_true(len <= 14 + 1500);
}

/* Super-segments arrive cut, each with sums of its own; what does not fit the driver goes alone. */
static void test_super__cut_at_the_edge(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		struct world_config cfg;

		world_config_default(&cfg);
		cfg.pair.caps = LANE_CAP_TX_CSUM | LANE_CAP_TSO;
		cfg.pair.partial = i & 2;
		cfg.pair.ring_size = i & 4 ? 2 : 256;
		cfg.pair.trace = small_enough;
		open_world(&cfg);
		connect_world(i & 1);
		transfer(0, client, server, 300000);
		transfer(1, server, client, 300000);
		assert_true(w.ln[0]->st->stats.tcp_supers > 3);
		assert_int_equal(lane_pair_nr_lost(w.pair), 0);
		assert_int_equal(w.ln[0]->st->stats.drops[LANE_DROP_TCP_CSUM], 0);
		assert_int_equal(w.ln[1]->st->stats.drops[LANE_DROP_TCP_CSUM], 0);
		close_both();
		close_world();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conn__v4),
		cmocka_unit_test(test_conn__v6),
		cmocka_unit_test(test_conn__under_loss),
		cmocka_unit_test(test_conn__refused),
		cmocka_unit_test(test_super__cut_at_the_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
