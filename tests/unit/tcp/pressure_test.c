/*
 * pressure_test.c - few frames and many connections that do not read: what was promised fits (rcv.c)
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include <lane/tcp.h>

#include "lane-int/tcp_info.h"
#include "tests/sim/world.h"

#define PORT   80
#define HOGS   200
#define FRAMES 8192 /* of the lane that receives */

static struct world w;
static struct lane_tcp *listener, *to[HOGS], *from[HOGS];
static uint8_t text[65536];

static void open_world(void)
{
	struct lane_ep any = {.port = PORT};
	struct world_config cfg;

	world_config_default(&cfg);
	for (unsigned int i = 0; i < 2; i++) {
		cfg.lane[i].nr_tcp = 512;
		cfg.lane[i].nr_tw = 512;
	}
	cfg.lane[0].nr_bufs = 32768;
	cfg.lane[1].nr_bufs = FRAMES;
	world_open(&w, &cfg);
	listener = lane_tcp_create(w.ln[1], 1);
	assert_int_equal(lane_tcp_listen(w.ln[1], listener, &any, false, 10), 0);
}

static void close_world(void)
{
	struct lane_event ev;

	lane_tcp_put(w.ln[1], listener);
	world_run(&w, 200000000);
	for (unsigned int i = 0; i < 2; i++) {
		while (lane_event(w.ln[i], &ev))
			;
		lane_check(w.ln[i]);
		assert_int_equal(w.ln[i]->st->rcv_promised, 0);
		assert_int_equal(w.ln[i]->st->bufs.nr_free, w.ln[i]->st->bufs.nr);
	}
	world_close(&w);
}

static struct lane_tcp *open_conn(struct lane_tcp **accepted)
{
	struct lane_ep local = {.port = 0}, remote = {.ip = world_ip(1, false), .port = PORT};
	struct lane_tcp *pcb = lane_tcp_create(w.ln[0], 2);

	assert_non_null(pcb);
	assert_int_equal(lane_tcp_connect(w.ln[0], pcb, &local, &remote), 0);
	world_run(&w, 1000);
	*accepted = lane_tcp_accept(w.ln[1], listener, 3);
	assert_non_null(*accepted);
	return pcb;
}

/* Writes what it takes; returns how much. */
static size_t push(struct lane_tcp *pcb, size_t most)
{
	ssize_t r = lane_tcp_write(w.ln[0], pcb, text, most < sizeof(text) ? most : sizeof(text), false,
				   NULL);

	return r > 0 ? (size_t)r : 0;
}

/* 'len' bytes through a new connection whose program reads. */
static void serve(size_t len)
{
	struct lane_tcp *in, *out = open_conn(&in);
	size_t sent = 0, got = 0;
	uint8_t buf[8192];
	ssize_t r;

	for (unsigned int i = 0; i < 10000 && got < len; i++) {
		sent += push(out, len - sent);
		world_run(&w, 200);
		while ((r = lane_tcp_read(w.ln[1], in, buf, sizeof(buf), false, 0, NULL)) > 0)
			got += (size_t)r;
	}
	assert_int_equal(got, len);
	lane_tcp_put(w.ln[0], out);
	lane_tcp_put(w.ln[1], in);
}

static void nothing_was_dropped(void)
{
	const struct lane_stats *st = lane_stats(w.ln[1]);

	assert_int_equal(st->drops[LANE_DROP_TCP_RCV_FULL], 0);
	assert_int_equal(st->drops[LANE_DROP_TCP_OOO_FULL], 0);
	assert_int_equal(st->drops[LANE_DROP_NO_BUF], 0);
	assert_int_equal(lane_stats(w.ln[0])->tcp_retransmits, 0);
}

static void test_hogs__what_was_promised_fits(void **state)
{
	size_t sent = 0, got = 0;
	uint8_t buf[8192];
	ssize_t r;

	(void)state;
	open_world();
	for (unsigned int i = 0; i < HOGS; i++)
		from[i] = open_conn(&to[i]);
	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < HOGS; i++)
			sent += push(from[i], sizeof(text));
		world_run(&w, 5000);
	}
	nothing_was_dropped();
	assert_true(w.ln[1]->st->bufs.nr_free >= FRAMES / 8);
	/* Nearly all that can be given has been, and a newcomer is served. */
	assert_true(w.ln[1]->st->bufs.nr_free <= FRAMES / 2);
	serve(300000);
	nothing_was_dropped();
	for (unsigned int round = 0; round < 1000 && got < sent; round++) {
		for (unsigned int i = 0; i < HOGS; i++)
			while ((r = lane_tcp_read(w.ln[1], to[i], buf, sizeof(buf), false, 0, NULL)) > 0)
				got += (size_t)r;
		world_run(&w, 1000);
	}
	assert_int_equal(got, sent);
	nothing_was_dropped();
	for (unsigned int i = 0; i < HOGS; i++) {
		lane_tcp_put(w.ln[0], from[i]);
		lane_tcp_put(w.ln[1], to[i]);
	}
	close_world();
}

/* Idle connections promise nothing: one that reads gets a window as if it were alone. */
static void test_idle__do_not_count(void **state)
{
	struct lane_tcp_info_out info;

	(void)state;
	open_world();
	for (unsigned int i = 0; i < HOGS; i++) {
		from[i] = open_conn(&to[i]);
		push(from[i], 3000);
	}
	world_run(&w, 5000);
	for (unsigned int i = 0; i < HOGS; i++)
		assert_int_equal(lane_tcp_read(w.ln[1], to[i], text, 4000, false, 0, NULL), 3000);
	assert_int_equal(w.ln[1]->st->rcv_promised, 0);
	push(from[0], 30000);
	world_run(&w, 5000);
	lane_tcp_get_info(w.ln[1], to[0], &info);
	assert_true(info.rcv_wnd > 30000);
	for (unsigned int i = 0; i < HOGS; i++) {
		lane_tcp_abort(w.ln[0], from[i]);
		lane_tcp_put(w.ln[1], to[i]);
	}
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hogs__what_was_promised_fits),
		cmocka_unit_test(test_idle__do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
