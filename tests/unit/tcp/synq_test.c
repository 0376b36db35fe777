/*
 * synq_test.c - half-open connections in records: RFC 9293 3.10.7.4 in SYN-RECEIVED
 */
#include "tests/unit/tcp/syn_help.h"

/* ---- records ---- */

static void test_record__takes_no_pcb(void **state)
{
	struct lane_ep local, remote;
	uint32_t seen = 0;

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 1);
	assert_int_equal(nr_half_open(), 1);
	for (uint32_t i = 0; i < s.ln->st->cfg.nr_syn; i++) {
		if (!lane_tcp_syn_at(s.ln, i, &local, &remote))
			continue;
		assert_int_equal(local.port, SCRIPT_PORT);
		assert_int_equal(remote.port, SCRIPT_PEER);
		seen++;
	}
	assert_int_equal(seen, 1);
	script_in(". 1 ack 1");
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 2);
	assert_int_equal(nr_half_open(), 0);
	expect_accept(true);
	script_close();
}

static void test_record__synack_again_is_equal(void **state)
{
	struct lane_tcp_info first;

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 win 8000 mss 1400 ws 7 sackok ts 1000:0");
	script_out("S. 0 ack 1 mss 1460 ws 7 sackok ts 0:1000");
	first = s.last;
	for (unsigned int i = 0; i < 3; i++) {
		uint32_t ms = script_until_out(9000);

		script_out("S. 0 ack 1 mss 1460 ws 7 sackok ts 0:1000");
		assert_int_equal(s.last.seq, first.seq);
		assert_int_equal(s.last.wnd, first.wnd);
		/* Time goes on, though. */
		assert_int_equal(s.last.opts.tsval - first.opts.tsval, ms);
		first = s.last;
	}
	assert_int_equal(stats()->tcp_synacks_again, 3);
	in_echo(". 1 ack 1 win 300", 1001);
	expect_accept(true);
	/* All options are there after the detour. */
	assert_int_equal(lane_tcp_snd_mss(s.ln, s.pcb), 1388);
	assert_int_equal(s.pcb->snd_wnd, 300 << 7);
	assert_int_equal(s.pcb->flags & (LANE_TF_TS | LANE_TF_SACK | LANE_TF_WSCALE),
			 LANE_TF_TS | LANE_TF_SACK | LANE_TF_WSCALE);
	script_close();
}

static void test_record__round_trip(void **state)
{
	struct lane_tcp_info_out info;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1460", 30);
	lane_tcp_get_info(s.ln, s.pcb, &info);
	assert_in_range(info.rtt_us, 30000, 31000);
	assert_in_range(info.min_rtt_us, 30000, 31000);
	assert_int_equal(info.total_retrans, 0);
	script_close();
}

/* Karn: which of two SYN-ACKs is answered nobody knows. */
static void test_record__no_round_trip_after_two(void **state)
{
	struct lane_tcp_info_out info;

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	assert_in_range(script_until_out(1010), 990, 1010);
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	expect_accept(true);
	lane_tcp_get_info(s.ln, s.pcb, &info);
	assert_int_equal(info.rtt_us, 0);
	assert_int_equal(info.total_retrans, 1);
	script_close();
}

static void test_record__old_timestamp(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460 ts 1000:0");
	script_out("S. 0 ack 1 ts 0:1000");
	in_echo(". 1 ack 1", 500);
	script_out(". 1 ack 1 ts 0:1000");
	assert_int_equal(stats()->drops[LANE_DROP_TCP_PAWS], 1);
	expect_accept(false);
	in_echo(". 1 ack 1", 1000);
	expect_accept(true);
	script_close();
}

/* Some say 0 in the SYN, and the time only later. */
static void test_record__zero_timestamp(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460 ts 0:0");
	script_out("S. 0 ack 1 ts 0:0");
	in_echo(". 1 ack 1", 4000000000U);
	expect_accept(true);
	script_write(10);
	script_out("P. 1 ack 1 len 10 ts 0:4000000000");
	script_close();
}

static void test_record__windows(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	/* Beyond the window of the SYN-ACK: an ACK; RST there: nothing. */
	script_in(". 70000 ack 1");
	script_out(". 1 ack 1");
	script_in("R 70000");
	script_silent();
	assert_int_equal(nr_half_open(), 1);
	/* Without ACK nothing happens. */
	script_in("F 1");
	script_silent();
	/* Out of order, but in the window: it completes. */
	script_in(". 101 ack 1 len 100");
	script_out(". 1 ack 1");
	expect_accept(true);
	script_in("P. 1 ack 1 len 100");
	script_out(". 1 ack 201");
	script_read(200);
	script_close();
}

/* RFC 5961 3.2 */
static void test_record__rst_in_window(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in("R 100");
	script_out(". 1 ack 1");
	assert_int_equal(stats()->drops[LANE_DROP_TCP_RST_CHALLENGE], 1);
	script_in("R. 1 ack 0"); /* only its number counts, as in Linux */
	script_silent();
	assert_int_equal(nr_half_open(), 0);
	script_in(". 1 ack 1");
	script_out("R 1");
	script_close();
}

static void test_record__icmp(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_icmp(SCRIPT_ICMP_HOST, 1, 0); /* not what is in flight (RFC 5927) */
	assert_int_equal(stats()->drops[LANE_DROP_ICMP_INVALID], 1);
	script_icmp(s.v6 ? SCRIPT_ICMP_HOST : SCRIPT_ICMP_PORT, 0, 0); /* advice */
	assert_int_equal(nr_half_open(), 1);
	script_icmp(s.v6 ? SCRIPT_ICMP_PORT : SCRIPT_ICMP_HOST, 0, 0);
	assert_int_equal(nr_half_open(), 0);
	assert_int_equal(stats()->drops[LANE_DROP_ICMP_INVALID], 1);
	s.peer++;
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_icmp(SCRIPT_ICMP_PARAMETER, 0, 0);
	assert_int_equal(nr_half_open(), 0);
	script_close();
}

static void test_record__fin_with_third_ack(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in("F. 1 ack 1 len 5");
	script_out(". 1 ack 7");
	expect_accept(true);
	assert_int_equal(script_state(), LANE_TCP_CLOSE_WAIT);
	script_read(5);
	script_close();
}

static void test_record__listener_closes(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	for (s.peer = 4000; s.peer < 4003; s.peer++) {
		script_in("S 0 mss 1460");
		script_out("S. 0 ack 1");
	}
	assert_int_equal(nr_half_open(), 3);
	lane_tcp_put(s.ln, s.listener);
	s.listener = NULL;
	script_flush();
	script_silent();
	assert_int_equal(nr_half_open(), 0);
	s.peer = 4002;
	script_in(". 1 ack 1");
	script_out("R 1");
	script_close();
}

/* A program may not connect to where a handshake is under way from there. */
static void test_record__connect_finds_it(void **state)
{
	struct lane_tcp *pcb;
	struct lane_ep local = {.port = SCRIPT_PORT}, remote = {.port = SCRIPT_PEER};

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	local.ip = s.ln->net->addr[0].ip;
	remote.ip = local.ip;
	remote.ip.b[15] = 2;
	pcb = lane_tcp_create(s.ln, 3);
	assert_int_equal(lane_tcp_connect(s.ln, pcb, &local, &remote), -EADDRNOTAVAIL);
	lane_tcp_put(s.ln, pcb);
	script_close();
}

static void set_defer(unsigned int seconds)
{
	struct lane_tcp_opts_set o;

	lane_tcp_get_opts(s.ln, s.listener, &o);
	o.defer_accept_us = seconds * 1000000;
	lane_tcp_set_opts(s.ln, s.listener, &o);
}

/* 3 s are two time-outs: at the second the SYN-ACK asks once more, and any ACK will do. */
static void test_defer__at_the_end_any_ack(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	set_defer(3);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	script_silent();
	assert_int_equal(stats()->drops[LANE_DROP_TCP_DEFER], 1);
	assert_in_range(script_until_out(3100), 2900, 3100);
	script_out("S. 0 ack 1");
	expect_accept(false);
	script_in(". 1 ack 1");
	expect_accept(true);
	script_close();
}

/* Never acknowledged it is given up as without the option. */
static void test_defer__no_ack(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	set_defer(1);
	script_in("S 0 mss 1460");
	for (unsigned int i = 0; i < 6; i++) {
		script_until_out(33000);
		script_out("S. 0 ack 1");
	}
	script_run_ms(40000);
	script_silent();
	assert_int_equal(nr_half_open(), 0);
	script_close();
}

static void test_accept_full__ack_is_dropped(void **state)
{
	uint32_t iss;

	(void)state;
	script_open(NULL);
	script_listen(0);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	iss = s.iss;
	s.peer++;
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	s.peer--;
	s.iss = iss;
	/* Text comes with it, and again, until there is room. */
	script_in("P. 1 ack 1 len 20");
	script_silent();
	assert_int_equal(stats()->drops[LANE_DROP_TCP_BACKLOG], 1);
	assert_int_equal(nr_half_open(), 1);
	expect_accept(true);
	lane_tcp_abort(s.ln, s.pcb);
	script_flush();
	script_skip();
	s.iss = iss;
	script_in("P. 1 ack 1 len 20");
	script_out(". 1 ack 21");
	expect_accept(true);
	script_read(20);
	script_close();
}

static void no_pcbs(struct lane_config *cfg)
{
	cfg->nr_tcp = 2;
}

static void aborts(struct lane_config *cfg)
{
	cfg->abort_on_overflow = 1;
	cfg->nr_tcp = 2;
}

/* Linux' tcp_abort_on_overflow. */
static void test_accept_full__reset(void **state)
{
	struct lane_tcp *other;

	(void)state;
	script_open(aborts);
	script_listen(5);
	other = lane_tcp_create(s.ln, 3);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	script_out("R 1");
	assert_int_equal(nr_half_open(), 0);
	lane_tcp_put(s.ln, other);
	script_close();
}

/* With no pcb left the ACK is dropped, and good again when there is one. */
static void test_no_pcb__ack_is_dropped(void **state)
{
	struct lane_tcp *other;

	(void)state;
	script_open(no_pcbs);
	script_listen(5);
	other = lane_tcp_create(s.ln, 3);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	script_silent();
	assert_int_equal(stats()->drops[LANE_DROP_TCP_NO_PCB], 1);
	assert_int_equal(nr_half_open(), 1);
	lane_tcp_put(s.ln, other);
	script_in(". 1 ack 1");
	expect_accept(true);
	script_close();
}

/* ---- a member died in the lock ---- */

static void test_recover(void **state)
{
	uint32_t iss[4];

	(void)state;
	script_open(NULL);
	script_listen(5);
	for (unsigned int i = 0; i < 4; i++) {
		s.peer = (uint16_t)(4000 + i);
		script_in("S 0 mss 1460 ts 1000:0");
		script_out("S. 0 ack 1");
		iss[i] = s.iss;
		script_run_ms(i == 1 ? 1500 : 10);
		script_skip();
	}
	/* One was half made, and what links them is broken. */
	for (uint32_t i = 0; i < s.ln->st->cfg.nr_syn; i++) {
		if (s.ln->syns[i].remote_port == 4003)
			s.ln->syns[i].listener = 0;
		s.ln->syns[i].link = s.ln->syns[i].prev = 7;
	}
	s.ln->st->synq[0].head = 3;
	s.ln->st->synq[1].tail = LANE_NIL;
	s.ln->st->syn_pool.free_head = 0;
	lane_tcp_lq(s.ln, s.listener)->nr_syns = 77;
	memset(s.ln->syn_table + 1, 0x55, 64);
	lane_recover(s.ln, NULL);
	lane_check(s.ln);
	assert_int_equal(nr_half_open(), 3);
	script_flush();
	script_skip();
	for (unsigned int i = 0; i < 4; i++) {
		s.peer = (uint16_t)(4000 + i);
		s.iss = iss[i];
		script_in(". 1 ack 1 ts 1001:0");
		if (i == 3) {
			script_out("R 1");
			continue;
		}
		expect_accept(true);
		lane_tcp_abort(s.ln, s.pcb);
		script_skip();
	}
	s.pcb = NULL;
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record__takes_no_pcb),
		cmocka_unit_test(test_record__synack_again_is_equal),
		cmocka_unit_test(test_record__round_trip),
		cmocka_unit_test(test_record__no_round_trip_after_two),
		cmocka_unit_test(test_record__old_timestamp),
		cmocka_unit_test(test_record__zero_timestamp),
		cmocka_unit_test(test_record__windows),
		cmocka_unit_test(test_record__rst_in_window),
		cmocka_unit_test(test_record__icmp),
		cmocka_unit_test(test_record__fin_with_third_ack),
		cmocka_unit_test(test_record__listener_closes),
		cmocka_unit_test(test_record__connect_finds_it),
		cmocka_unit_test(test_defer__at_the_end_any_ack),
		cmocka_unit_test(test_defer__no_ack),
		cmocka_unit_test(test_accept_full__ack_is_dropped),
		cmocka_unit_test(test_accept_full__reset),
		cmocka_unit_test(test_no_pcb__ack_is_dropped),
		cmocka_unit_test(test_recover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
