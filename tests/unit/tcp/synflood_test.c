/*
 * synflood_test.c - a SYN queue that is full: who gives way, SYN cookies (RFC 4987)
 */
#include "tests/unit/tcp/syn_help.h"

#include "stack/tcp/cookie.h"

static void one_record(struct lane_config *cfg)
{
	cfg->nr_syn = 1;
}

static void no_cookies(struct lane_config *cfg)
{
	cfg->nr_syn = 1;
	cfg->syncookies = 0;
}

static void only_cookies(struct lane_config *cfg)
{
	cfg->syncookies = 2;
}

/* With one record taken, the next SYN gets a cookie. */
static void fill_queue(void)
{
	script_listen(5);
	s.peer = 3999;
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	s.peer = SCRIPT_PEER;
	assert_int_equal(nr_half_open(), 1);
}

static void test_full__without_cookies(void **state)
{
	(void)state;
	script_open(no_cookies);
	fill_queue();
	script_in("S 0 mss 1460");
	script_silent();
	assert_int_equal(stats()->drops[LANE_DROP_TCP_BACKLOG], 1);
	/* Its turn comes when the other is given up. */
	script_run_ms(64000);
	script_skip();
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	assert_int_equal(stats()->tcp_cookies_sent, 0);
	script_close();
}

static void short_backlog(struct lane_config *cfg)
{
	cfg->syncookies = 0;
	cfg->max_syn_backlog = 8;
}

static void test_full__three_quarters_of_max_syn_backlog(void **state)
{
	(void)state;
	script_open(short_backlog);
	script_listen(5);
	for (s.peer = 4000; s.peer < 4010; s.peer++)
		script_in("S 0 mss 1460");
	assert_int_equal(nr_half_open(), 7);
	script_skip();
	script_close();
}

/* As Linux: under pressure the old ones go after two tries, so that the young ones have room. */
static void test_full__old_ones_go_sooner(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	for (s.peer = 4000; s.peer < 4000 + LANE_SYNQ_MIN && nr_half_open() < 33; s.peer++) {
		script_in("S 0 mss 1460");
		script_out("S. 0 ack 1");
	}
	lane_tcp_lq(s.ln, s.listener)->backlog = 8; /* as if it had room for 128 only */
	assert_int_equal(nr_half_open(), 33);
	script_run_ms(64000);
	assert_int_equal(nr_half_open(), 0);
	script_skip();
	script_close();
}

static void test_cookie__without_timestamps(void **state)
{
	(void)state;
	script_open(one_record);
	fill_queue();
	script_in("S 0 win 8000 mss 1450 ws 7 sackok");
	script_out("S. 0 ack 1 mss 1460 win 16384");
	/* There is no place to keep them in. */
	assert_int_equal(s.last.opts.have, LANE_OPT_MSS);
	assert_int_equal(nr_half_open(), 1);
	assert_int_equal(stats()->tcp_cookies_sent, 1);
	/* It is not sent again by itself. */
	script_run_ms(900);
	script_silent();
	script_in("P. 1 ack 1 len 100");
	script_out(". 1 ack 101");
	expect_accept(true);
	assert_int_equal(stats()->tcp_cookies_good, 1);
	script_read(100);
	/* 1450 is said as 1440. */
	assert_int_equal(lane_tcp_snd_mss(s.ln, s.pcb), 1440);
	assert_int_equal(s.pcb->flags & (LANE_TF_TS | LANE_TF_SACK | LANE_TF_WSCALE), 0);
	script_close();
}

static void test_cookie__with_timestamps(void **state)
{
	struct lane_tcp_info_out info;
	uint32_t stamp;

	(void)state;
	script_open(one_record);
	fill_queue();
	script_in("S 0 win 8000 mss 1460 ws 7 sackok ts 1000:0");
	script_out("S. 0 ack 1 mss 1460 ws 7 sackok ts 0:1000");
	stamp = s.last.opts.tsval;
	in_echo(". 1 ack 1 win 300", 1001);
	expect_accept(true);
	assert_int_equal(s.pcb->snd_wnd, 300 << 7);
	assert_int_equal(s.pcb->flags & (LANE_TF_TS | LANE_TF_SACK | LANE_TF_WSCALE),
			 LANE_TF_TS | LANE_TF_SACK | LANE_TF_WSCALE);
	lane_tcp_get_info(s.ln, s.pcb, &info);
	assert_int_equal(info.rtt_us, 0);
	assert_int_equal(info.rcv_wscale, 7);
	script_write(10);
	script_out("P. 1 ack 1 len 10 ts 0:1001");
	/* What follows is not older than the cookie. */
	assert_true((int32_t)(s.last.opts.tsval - stamp) >= 0);
	script_close();
}

static void test_cookie__nothing_but_timestamps(void **state)
{
	(void)state;
	script_open(one_record);
	fill_queue();
	script_in("S 0 win 8000 mss 1460 ts 1000:0");
	script_out("S. 0 ack 1 mss 1460 ts 0:1000");
	assert_int_equal(s.last.opts.have, LANE_OPT_MSS | LANE_OPT_TS);
	in_echo(". 1 ack 1 win 300", 1001);
	expect_accept(true);
	assert_int_equal(s.pcb->snd_wnd, 300);
	assert_int_equal(s.pcb->flags & (LANE_TF_TS | LANE_TF_SACK | LANE_TF_WSCALE), LANE_TF_TS);
	script_close();
}

static void test_cookie__fin_with_third_ack(void **state)
{
	(void)state;
	script_open(one_record);
	fill_queue();
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in("F. 1 ack 1 len 5");
	script_out(". 1 ack 7");
	expect_accept(true);
	script_read(5);
	script_close();
}

static void test_cookie__forged(void **state)
{
	(void)state;
	script_open(one_record);
	fill_queue();
	/* Before the first cookie nothing is tried. */
	script_in(". 1 ack 100");
	script_out("R 100");
	assert_int_equal(stats()->tcp_cookies_bad, 0);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1000000000");
	script_out("R 1000000000");
	script_in(". 1000000001 ack 1");
	script_out("R 1");
	s.peer++;
	script_in(". 1 ack 1");
	script_out("R 1");
	s.peer--;
	assert_int_equal(stats()->tcp_cookies_bad, 3);
	script_in("R. 1 ack 1");
	script_in("S. 0 ack 1");
	script_out("R 1");
	assert_int_equal(stats()->tcp_cookies_bad, 3);
	expect_accept(false);
	script_in(". 1 ack 1");
	expect_accept(true);
	script_close();
}

/* The ACK and the first text are lost: what comes behind them is no reason for a reset. */
static void test_cookie__first_is_lost(void **state)
{
	(void)state;
	script_open(one_record);
	fill_queue();
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in("P. 1001 ack 1 len 100");
	script_in("P. 60001 ack 1 len 100");
	script_silent();
	assert_int_equal(stats()->drops[LANE_DROP_TCP_COOKIE], 2);
	script_in("P. 1 ack 1 len 1000");
	script_out(". 1 ack 1001");
	expect_accept(true);
	script_in("P. 1001 ack 1 len 100");
	script_out(". 1 ack 1101");
	script_read(1100);
	script_close();
}

static void test_cookie__too_old(void **state)
{
	(void)state;
	script_open(one_record);
	fill_queue();
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_run_ms(2 * LANE_COOKIE_PERIOD_US / 1000);
	script_skip();
	script_in(". 1 ack 1");
	script_out("R 1");
	expect_accept(false);
	script_close();
}

static void test_cookie__accept_queue_full(void **state)
{
	uint32_t first;

	(void)state;
	script_open(only_cookies);
	script_listen(0);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	first = s.iss;
	s.peer++;
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	s.peer--;
	s.iss = first;
	script_in("P. 1 ack 1 len 20");
	script_silent();
	assert_int_equal(stats()->drops[LANE_DROP_TCP_BACKLOG], 1);
	assert_int_equal(nr_half_open(), 0);
	expect_accept(true);
	lane_tcp_abort(s.ln, s.pcb);
	script_flush();
	script_skip();
	s.iss = first;
	script_in("P. 1 ack 1 len 20");
	script_out(". 1 ack 21");
	expect_accept(true);
	script_read(20);
	script_close();
}

static void test_cookie__always(void **state)
{
	(void)state;
	script_open(only_cookies);
	script_accept("S 0 mss 1460 ts 1000:0 sackok");
	assert_int_equal(stats()->tcp_cookies_good, 1);
	script_write(10);
	script_out("P. 1 ack 1 len 10 ts 0:1001");
	script_close();
}

/* The SYN-ACK of a cookie is lost, the SYN comes again and finds room: either ACK is good. */
static void test_cookie__then_a_record(void **state)
{
	uint32_t first;

	(void)state;
	script_open(one_record);
	fill_queue();
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	first = s.iss;
	s.peer = 3999;
	script_in("R 1");
	s.peer = SCRIPT_PEER;
	assert_int_equal(nr_half_open(), 0);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	assert_int_equal(nr_half_open(), 1);
	assert_true(first != s.iss);
	s.iss = first;
	script_in(". 1 ack 1");
	expect_accept(true);
	assert_int_equal(nr_half_open(), 0);
	script_write(10);
	script_out("P. 1 ack 1 len 10");
	script_close();
}

/* ---- floods ---- */

/* So many SYNs in one millisecond. */
static void flood(unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		s.peer = (uint16_t)(5000 + i);
		script_in("S 0 mss 1460");
		script_skip();
	}
	script_run_ms(1);
	script_skip();
}

static void test_flood__is_limited_until_it_ends(void **state)
{
	(void)state;
	script_open(only_cookies);
	script_listen(5);
	/* A burst of clients is none. */
	flood(900);
	script_run_ms(100);
	flood(900);
	assert_int_equal(s.limited, 0);
	flood(100);
	assert_int_equal(s.limited, SCRIPT_PORT);
	assert_int_equal(stats()->tcp_floods, 1);
	/* As long as some get through it goes on. */
	for (unsigned int i = 0; i < 30; i++) {
		flood(120);
		script_run_ms(99);
		assert_int_equal(s.limited, SCRIPT_PORT);
	}
	for (unsigned int i = 0; i < 21; i++) {
		flood(20);
		script_run_ms(99);
	}
	assert_int_equal(s.limited, 0);
	assert_int_equal(stats()->tcp_floods, 1);
	assert_true(lane_tcp_flood_next(s.ln) == UINT64_MAX);
	script_close();
}

/* More ports than we can look after: the first ones are limited. */
static void test_flood__of_many_ports(void **state)
{
	(void)state;
	script_open(only_cookies);
	for (unsigned int i = 0; i < 1000 * (LANE_NR_FLOODS + 1); i++)
		lane_tcp_flood_note(s.ln, (uint16_t)(1 + i % (LANE_NR_FLOODS + 1)));
	assert_in_range(stats()->tcp_floods, 0, LANE_NR_FLOODS);
	for (unsigned int i = 0; i < 1000 * (LANE_NR_FLOODS + 1); i++)
		lane_tcp_flood_note(s.ln, (uint16_t)(1 + i / 1000));
	assert_int_equal(stats()->tcp_floods, LANE_NR_FLOODS);
	assert_int_equal(stats()->tcp_floods_beyond, 1000);
	script_run_ms(2100);
	assert_int_equal(s.limited, 0);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full__without_cookies),
		cmocka_unit_test(test_full__three_quarters_of_max_syn_backlog),
		cmocka_unit_test(test_full__old_ones_go_sooner),
		cmocka_unit_test(test_cookie__without_timestamps),
		cmocka_unit_test(test_cookie__with_timestamps),
		cmocka_unit_test(test_cookie__nothing_but_timestamps),
		cmocka_unit_test(test_cookie__fin_with_third_ack),
		cmocka_unit_test(test_cookie__forged),
		cmocka_unit_test(test_cookie__first_is_lost),
		cmocka_unit_test(test_cookie__too_old),
		cmocka_unit_test(test_cookie__accept_queue_full),
		cmocka_unit_test(test_cookie__always),
		cmocka_unit_test(test_flood__is_limited_until_it_ends),
		cmocka_unit_test(test_flood__of_many_ports),
		cmocka_unit_test(test_cookie__then_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
