/*
 * bbr_test.c - BBR over an emulated link: draft-ietf-ccwg-bbr, what it measures and what it does
 *
 * 10 Mbit/s, 40 ms, a queue of 2 BDP unless a test says otherwise: a BDP of 50,000 bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <lane/tcp.h>

#include "stack/tcp/cc_bbr.h"
#include "stack/tcp/pcb.h"
#include "tests/sim/world.h"

#define BW  1250000U /* bytes a second */
#define BDP 50000U

static struct world w;
static struct lane_tcp *listener, *client, *server;
static uint64_t got;

static struct bbr *bbr(void)
{
	return (struct bbr *)lane_tcp_pace(w.ln[0], client)->cc.priv;
}

static struct lane_cc *cc(void)
{
	return &lane_tcp_x(w.ln[0], client)->cc;
}

static void open_marking_path(uint32_t queue_bytes, uint32_t loss, uint32_t mark_bytes)
{
	struct lane_ep any = {.port = 80}, local = {.port = 0}, remote = {.ip = world_ip(1, false), .port = 80};
	struct world_config cfg;

	world_config_default(&cfg);
	cfg.faulty = true;
	for (unsigned int i = 0; i < 2; i++) {
		cfg.lane[i].nr_bufs = 4096;
		cfg.lane[i].cc = (uint8_t)lane_cc_find("bbr");
		cfg.lane[i].ecn = 1;
		cfg.fault[i].seed = i + 1;
		cfg.fault[i].delay_us = 20000;
		cfg.fault[i].rate_kbps = 10000;
		cfg.fault[i].queue_bytes = queue_bytes;
	}
	cfg.fault[1].loss = loss;
	cfg.fault[1].mark_bytes = mark_bytes;
	world_open(&w, &cfg);
	listener = lane_tcp_create(w.ln[1], 100);
	client = lane_tcp_create(w.ln[0], 1);
	lane_tcp_listen(w.ln[1], listener, &any, false, 5);
	lane_tcp_connect(w.ln[0], client, &local, &remote);
	got = 0;
	for (server = NULL; !server;) {
		world_run(&w, 1000);
		server = lane_tcp_accept(w.ln[1], listener, 2);
	}
}

static void open_path(uint32_t queue_bytes, uint32_t loss)
{
	open_marking_path(queue_bytes, loss, 0);
}

/* So much time with a program that writes 'bytes' every millisecond, or all that it can (0). */
static void run_ms(uint32_t ms, uint32_t bytes)
{
	static uint8_t text[65536];
	struct lane_event ev;
	ssize_t r;

	while (ms--) {
		for (unsigned int i = 0; i < 2; i++)
			while (lane_event(w.ln[i], &ev))
				;
		if (bytes)
			lane_tcp_write(w.ln[0], client, text, bytes, false, NULL);
		while (!bytes && lane_tcp_write(w.ln[0], client, text, sizeof(text), false, NULL) > 0)
			;
		while ((r = lane_tcp_read(w.ln[1], server, text, sizeof(text), false, 0, NULL)) > 0)
			got += (uint64_t)r;
		world_run(&w, 1000);
	}
}

static void close_path(void)
{
	lane_tcp_abort(w.ln[0], client);
	lane_tcp_abort(w.ln[1], server);
	lane_tcp_put(w.ln[1], listener);
	world_run(&w, 1000000);
	assert_int_equal(w.ln[0]->st->pace_pool.nr_used, 0);
	assert_int_equal(w.ln[1]->st->pace_pool.nr_used, 0);
	world_close(&w);
}

/* 5.3.1, 5.3.2: doubling until the bandwidth is found; then the queue goes. */
static void test_startup__finds_the_bandwidth(void **state)
{
	(void)state;
	open_path(2 * BDP, 0);
	assert_int_equal(bbr()->state, BBR_STARTUP);
	run_ms(250, 0);
	assert_int_equal(bbr()->state, BBR_STARTUP);
	run_ms(1000, 0);
	assert_true(bbr()->full_bw_reached);
	assert_true(bbr()->state >= BBR_DOWN && bbr()->state <= BBR_UP);
	assert_in_range(bbr()->bw, BW * 90 / 100, BW * 105 / 100);
	assert_in_range(bbr()->min_rtt_us, 40000, 44000);
	close_path();
}

/* 5.3.3: the rate is nearly all of the link's, the queue nearly always short. */
static void test_probe_bw__full_rate_and_short_queue(void **state)
{
	uint64_t before;
	uint32_t longest = 0;

	(void)state;
	open_path(4 * BDP, 0);
	run_ms(2000, 0);
	before = got;
	for (int i = 0; i < 150; i++) {
		run_ms(20, 0);
		if (client->rto.srtt_us > longest)
			longest = client->rto.srtt_us;
		assert_true(lane_tcp_in_flight(w.ln[0], client) < 3 * BDP);
	}
	assert_true(got - before > 3 * (uint64_t)BW * 88 / 100);
	assert_true(longest < 75000);
	close_path();
}

/* 5.3.4: after 5 s without a shorter round trip half of the pipe is emptied for 200 ms. */
static void test_probe_rtt(void **state)
{
	uint32_t ms = 0, least = UINT32_MAX;

	(void)state;
	open_path(4 * BDP, 0);
	run_ms(3000, 0);
	for (; ms < 6000 && bbr()->state != BBR_PROBE_RTT; ms++)
		run_ms(1, 0);
	assert_true(ms < 6000);
	for (ms = 0; ms < 1000 && bbr()->state == BBR_PROBE_RTT; ms++) {
		run_ms(1, 0);
		if (cc()->cwnd < least)
			least = cc()->cwnd;
	}
	assert_in_range(ms, 200, 450);
	assert_true(least < BDP * 65 / 100);
	assert_int_equal(bbr()->state, BBR_CRUISE);
	run_ms(100, 0);
	assert_true(cc()->cwnd > BDP);
	close_path();
}

/* Random loss below 2 % does not slow it down. */
static void test_loss__one_percent(void **state)
{
	(void)state;
	open_path(2 * BDP, 10000);
	run_ms(10000, 0);
	assert_true(got > 10 * (uint64_t)BW * 55 / 100);
	close_path();
}

/* A queue of a tenth: loss bounds what is in flight (inflight_hi), and the rate stays. */
static void test_loss__short_queue(void **state)
{
	const struct lane_stats *st;

	(void)state;
	open_path(BDP / 10, 0);
	run_ms(10000, 0);
	st = lane_stats(w.ln[0]);
	assert_true(bbr()->inflight_hi < 2 * BDP);
	assert_true(got > 10 * (uint64_t)BW * 70 / 100);
	/* 2 % is the most that it takes for long. */
	assert_true(st->tcp_retransmits < st->tx_packets * 4 / 100);
	close_path();
}

/* RFC 3168: a link that marks behind a third of a BDP has its way, and is used. */
static void test_ecn__echoes_bound_it(void **state)
{
	(void)state;
	open_marking_path(4 * BDP, 0, BDP / 3);
	run_ms(10000, 0);
	assert_true(lane_stats(w.ln[0])->tcp_ecn_reduced > 2);
	assert_int_equal(lane_stats(w.ln[0])->tcp_retransmits, 0);
	assert_true(bbr()->inflight_hi < 2 * BDP);
	assert_true(got > 10 * (uint64_t)BW * 70 / 100);
	close_path();
}

/* A program that sends a tenth of the rate does not make the bandwidth forgotten at once, nor Startup end. */
static void test_app_limited(void **state)
{
	(void)state;
	open_path(2 * BDP, 0);
	run_ms(1000, 125);
	assert_int_equal(bbr()->state, BBR_STARTUP);
	run_ms(1500, 0);
	assert_in_range(bbr()->bw, BW * 90 / 100, BW * 105 / 100);
	run_ms(3000, 125);
	assert_true(bbr()->bw > BW * 80 / 100);
	close_path();
}

/* After a pause the known rate counts from the first segment on. */
static void test_restart_from_idle(void **state)
{
	uint64_t before;

	(void)state;
	open_path(2 * BDP, 0);
	run_ms(3000, 0);
	run_ms(500, 1); /* what is queued leaves, and then next to nothing comes */
	run_ms(1000, 1);
	before = got;
	run_ms(500, 0);
	assert_true(got - before > (uint64_t)BW / 2 * 70 / 100);
	close_path();
}

/* The path is gone for a second: a time-out, and then on as before. */
static void test_time_out(void **state)
{
	struct lane_fault_config cfg;
	uint64_t before;

	(void)state;
	open_path(2 * BDP, 0);
	run_ms(2000, 0);
	cfg = w.cfg.fault[1];
	cfg.loss = 1000000;
	lane_fault_set(w.fault[1], &cfg);
	run_ms(1000, 0);
	assert_true(lane_stats(w.ln[0])->tcp_rtos > 0);
	assert_true(cc()->cwnd <= 4U * client->snd_mss);
	cfg.loss = 0;
	lane_fault_set(w.fault[1], &cfg);
	run_ms(2000, 0);
	before = got;
	run_ms(3000, 0);
	assert_true(got - before > 3 * (uint64_t)BW * 75 / 100);
	close_path();
}

/* Any samples in any order. */
static void test_random__stays_in_bounds(void **state)
{
	struct lane_cc_ext ext = {.begun = 1};
	struct lane_cc one = {.cwnd = 0};
	struct lane_cc_sample s = {.now_us = 1000000, .mss = 1000, .ext = &ext};
	struct lane_rng r;

	(void)state;
	lane_rng_seed(&r, 5);
	lane_cc_bbr.init(&one, &s);
	for (int i = 0; i < 200000; i++) {
		s.now_us += lane_rng_below(&r, 1U << lane_rng_below(&r, 22));
		s.newly_delivered = lane_rng_below(&r, 1U << lane_rng_below(&r, 20));
		s.prior_delivered = (uint32_t)s.delivered - lane_rng_below(&r, 1U << 20);
		s.delivered += s.newly_delivered;
		s.rate_bytes = (uint32_t)s.delivered - s.prior_delivered;
		s.has_rate = lane_rng_below(&r, 4);
		s.interval_us = lane_rng_below(&r, 3) ? lane_rng_below(&r, 1U << lane_rng_below(&r, 24)) : 0;
		s.rtt_us = lane_rng_below(&r, 3) ? lane_rng_below(&r, 1U << lane_rng_below(&r, 28)) : 0;
		s.in_flight = lane_rng_below(&r, 2 * one.cwnd + 1);
		s.tx_in_flight = lane_rng_below(&r, 2 * one.cwnd + 1);
		s.lost_since = lane_rng_below(&r, 2) ? lane_rng_below(&r, 10000) : 0;
		s.lost = lane_rng_below(&r, 2) ? lane_rng_below(&r, 10000) : 0;
		s.rate_app_limited = lane_rng_below(&r, 2);
		s.app_limited = lane_rng_below(&r, 2);
		s.in_recovery = lane_rng_below(&r, 2);
		if (lane_rng_below(&r, 50) == 0)
			lane_cc_bbr.on_rto(&one, &s, lane_rng_below(&r, 2));
		else if (lane_rng_below(&r, 50) == 0)
			lane_cc_bbr.on_idle(&one, &s, 1, 1);
		else if (lane_rng_below(&r, 50) == 0)
			lane_cc_bbr.undo(&one, &s);
		else
			lane_cc_bbr.on_ack(&one, &s);
		assert_in_range(one.cwnd, s.mss, LANE_CC_CWND_MAX);
		assert_true(ext.pacing_rate > 0 && ext.quantum >= 2 * s.mss);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_startup__finds_the_bandwidth),
		cmocka_unit_test(test_probe_bw__full_rate_and_short_queue),
		cmocka_unit_test(test_probe_rtt),
		cmocka_unit_test(test_loss__one_percent),
		cmocka_unit_test(test_loss__short_queue),
		cmocka_unit_test(test_ecn__echoes_bound_it),
		cmocka_unit_test(test_app_limited),
		cmocka_unit_test(test_restart_from_idle),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_random__stays_in_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
