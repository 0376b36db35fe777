/*
 * ecn_test.c - explicit congestion notification: RFC 3168
 */
#include "tests/unit/tcp/script.h"

#include <endian.h>

#include "lane-int/tcp_info.h"
#include "stack/tcp/cc.h"

static void ask(struct lane_config *cfg)
{
	cfg->ecn = 1;
}

static void never(struct lane_config *cfg)
{
	cfg->ecn = 0;
}

static void by_dctcp(struct lane_config *cfg)
{
	cfg->cc = (uint8_t)lane_cc_find("dctcp");
}

static struct lane_tcp_info_out info(void)
{
	struct lane_tcp_info_out i;

	lane_tcp_get_info(s.ln, s.pcb, &i);
	return i;
}

/* A connection opened by the peer with ECN; a round trip of 20 ms. */
static void accept_ecn(void)
{
	script_listen(5);
	script_in("SEW 0 mss 1000 sackok");
	script_out("S.E 0 ack 1 ecn 0");
	script_run_ms(20);
	script_in(". 1 ack 1");
	script_silent();
	s.pcb = lane_tcp_accept(s.ln, s.listener, 2);
	assert_non_null(s.pcb);
	assert_int_equal(info().ecn_ok, 1);
}

static void open_ecn(void)
{
	script_open(NULL);
	accept_ecn();
}

/* ---- 6.1.1: the handshake ---- */

static void test_passive__accepts_when_asked(void **state)
{
	(void)state;
	open_ecn();
	script_write(2000);
	script_out(". 1 ack 1 len 1000 ecn 2");
	script_out(". 1001 ack 1 len 1000 ecn 2");
	script_in(". 1 ack 2001");
	script_close();
}

static void test_passive__not_asked(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	assert_int_equal(info().ecn_ok, 0);
	script_write(1000);
	script_out(". 1 ack 1 len 1000 ecn 0");
	/* Nor is what then comes marked taken for an echo, or echoed. */
	script_in(".E 1 ack 1001 len 10 ecn 3");
	script_out(". 1001 ack 11");
	assert_int_equal(info().ca_state, 0);
	assert_int_equal(info().cwnd, 10);
	script_close();
}

/* ECE without CWR asks for nothing, nor does a SYN that is ECT (as Linux). */
static void test_passive__half_asked(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("SE 0 mss 1000");
	assert_int_equal(info().ecn_ok, 0);
	script_close();
	script_open(NULL);
	script_accept("SEW 0 mss 1000 ecn 2");
	assert_int_equal(info().ecn_ok, 0);
	script_close();
}

static void test_passive__tcp_ecn_0(void **state)
{
	(void)state;
	script_open(never);
	script_accept("SEW 0 mss 1000");
	assert_int_equal(info().ecn_ok, 0);
	script_close();
}

static void begin_connect(void (*tune)(struct lane_config *cfg), const char *syn)
{
	struct lane_ep local = {.port = 0}, remote = {script_ip(2), SCRIPT_PEER};

	script_open(tune);
	s.pcb = lane_tcp_create(s.ln, 2);
	assert_int_equal(lane_tcp_connect(s.ln, s.pcb, &local, &remote), 0);
	script_flush();
	script_out(syn);
}

static void test_active__asks_only_by_configuration(void **state)
{
	(void)state;
	begin_connect(NULL, "S 0 ecn 0");
	script_in("S.E 0 ack 1 mss 1000");
	script_out(". 1 ack 1");
	assert_int_equal(info().ecn_ok, 0);
	script_close();
	begin_connect(ask, "SEW 0 ecn 0");
	script_in("S.E 0 ack 1 mss 1000");
	script_out(". 1 ack 1 ecn 0");
	assert_int_equal(info().ecn_ok, 1);
	script_close();
}

/* A SYN-ACK without ECE, or one that reflects both bits, is a no. */
static void test_active__refusals(void **state)
{
	(void)state;
	begin_connect(ask, "SEW 0");
	script_in("S. 0 ack 1 mss 1000");
	script_out(". 1 ack 1");
	assert_int_equal(info().ecn_ok, 0);
	script_close();
	begin_connect(ask, "SEW 0");
	script_in("S.EW 0 ack 1 mss 1000");
	script_out(". 1 ack 1");
	assert_int_equal(info().ecn_ok, 0);
	script_close();
}

/* 6.1.1.1: lost, or answered by RST: again without. */
static void test_active__falls_back(void **state)
{
	(void)state;
	begin_connect(ask, "SEW 0");
	script_until_out(2000);
	script_out("S 0");
	script_in("S. 0 ack 1 mss 1000");
	script_out(". 1 ack 1");
	script_close();
	begin_connect(ask, "SEW 0");
	script_in("R. 0 ack 1");
	script_out("S 0");
	script_in("S. 0 ack 1 mss 1000");
	script_out(". 1 ack 1");
	assert_int_equal(info().ecn_ok, 0);
	script_close();
	begin_connect(ask, "SEW 0");
	script_in("R. 0 ack 1");
	script_out("S 0");
	script_in("R. 0 ack 1");
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), ECONNREFUSED);
	script_close();
}

/* Simultaneous open: both SYNs ask. */
static void test_simultaneous(void **state)
{
	(void)state;
	begin_connect(ask, "SEW 0");
	script_in("SEW 0 mss 1000");
	script_out("S.E 0 ack 1");
	script_in("S.E 0 ack 1 mss 1000");
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
	assert_int_equal(info().ecn_ok, 1);
	assert_int_equal(info().ca_state, 0);
	script_close();
}

/* ---- 6.1.2: the sender ---- */

/* An echo that acknowledges nothing: seven of ten may be in flight, not what is. */
static void test_sender__echo_without_news(void **state)
{
	(void)state;
	open_ecn();
	script_write(1000);
	script_out("P. 1 ack 1 len 1000 ecn 2");
	script_in(".E 1 ack 1 len 10");
	assert_int_equal(info().ca_state, 2);
	script_skip();
	script_write(20000);
	assert_int_equal(script_nr_out(), 6);
	script_skip();
	script_read(10);
	script_close();
}

/* The window that an echo leaves is counted in segments where a FIN waits for it: ten bytes are one. */
static void test_sender__fin_behind_little_text(void **state)
{
	(void)state;
	open_ecn();
	script_write(1);
	script_out("P. 1 ack 1 len 1");
	script_write(10);
	script_silent();
	script_in(".E 1 ack 2");
	script_out("P.W 2 ack 1 len 10");
	lane_tcp_shutdown(s.ln, s.pcb, false, true);
	script_flush();
	script_out("F. 12 ack 1");
	script_close();
}

static void test_sender__reduces_once_a_round_trip(void **state)
{
	(void)state;
	open_ecn();
	script_write(40000);
	assert_int_equal(script_nr_out(), 10);
	script_skip();
	script_run_ms(20);
	script_in(".E 1 ack 2001");
	assert_int_equal(info().ca_state, 2);
	assert_int_equal(info().ssthresh, 7);
	/* PRR: the echo stops the flow no more than to 7 of 10. */
	script_in(".E 1 ack 4001");
	script_in(".E 1 ack 6001");
	script_in(".E 1 ack 8001");
	script_in(".E 1 ack 10001");
	assert_int_equal(info().ssthresh, 7);
	assert_int_equal(s.ln->st->stats.tcp_ecn_reduced, 1);
	script_out(".W 10001 ack 1 len 1000 ecn 2"); /* 6.1.2: CWR on the first new text */
	while (script_nr_out() > 1)
		script_out(". 11001 ack 1 len 1000 ecn 2"), script_skip();
	assert_int_equal(info().cwnd, 7);
	/* Behind it all is as before, and the next echo counts again. */
	script_skip();
	script_run_ms(20);
	script_in(". 1 ack 14001");
	assert_int_equal(info().ca_state, 0);
	assert_int_equal(info().cwnd, 7);
	script_skip();
	script_in(".E 1 ack 15001");
	assert_int_equal(s.ln->st->stats.tcp_ecn_reduced, 2);
	assert_in_range(info().ssthresh, 4, 5);
	script_close();
}

/* 6.1.5: what is sent again is not ECT, and carries no CWR. 6.1.2: the loss is said by CWR, too. */
static void test_sender__retransmission_is_not_ect(void **state)
{
	(void)state;
	open_ecn();
	script_write(12000);
	script_skip();
	script_run_ms(20);
	script_in(". 1 ack 1 sack 1001-4001");
	script_out(". 1 ack 1 len 1000 ecn 0");
	script_in(". 1 ack 1 sack 1001-10001");
	script_out(".W 10001 ack 1 len 1000 ecn 2");
	script_out(". 11001 ack 1 len 1000 ecn 2");
	script_in(". 1 ack 12001");
	script_close();
}

/* An echo and a loss in one round trip: one reduction. */
static void test_sender__loss_after_an_echo(void **state)
{
	(void)state;
	open_ecn();
	script_write(40000);
	script_skip();
	script_run_ms(20);
	script_in(".E 1 ack 1001");
	assert_int_equal(info().ssthresh, 7);
	/* Less is in flight by now: a second reduction would show. */
	script_in(".E 1 ack 2001");
	script_in(".E 1 ack 3001");
	script_in(".E 1 ack 4001");
	script_in(".E 1 ack 4001 sack 5001-8001");
	assert_int_equal(info().ca_state, 3);
	assert_int_equal(info().ssthresh, 7);
	script_skip();
	script_close();
}

static void test_sender__control_is_not_ect(void **state)
{
	(void)state;
	open_ecn();
	script_in(". 1 ack 1 len 100 ecn 2");
	script_out(". 1 ack 101 ecn 0");
	assert_int_equal(info().ecn_seen, 1);
	lane_tcp_shutdown(s.ln, s.pcb, false, true);
	script_flush();
	script_out("F. 1 ack 101 ecn 0");
	script_in(". 101 ack 2");
	script_close();
}

/* 6.1.6: a window probe is not ECT. */
static void test_sender__probe_is_not_ect(void **state)
{
	(void)state;
	open_ecn();
	script_in(". 1 ack 1 win 0");
	script_write(100);
	script_until_out(2000);
	script_out(". 0 ack 1 ecn 0");
	script_in(". 1 ack 1 win 1000");
	script_out(". 1 ack 1 len 100 ecn 2");
	script_in(". 1 ack 101");
	script_close();
}

/* ---- 6.1.3: the receiver ---- */

static void test_receiver__echoes_until_cwr(void **state)
{
	(void)state;
	open_ecn();
	script_in(". 1 ack 1 len 100 ecn 2");
	script_out(". 1 ack 101");
	script_in(". 101 ack 1 len 100 ecn 3");
	script_out(".E 1 ack 201");
	script_in(". 201 ack 1 len 100 ecn 2");
	script_out(".E 1 ack 301");
	script_write(100); /* text, too */
	script_out(".E 1 ack 301 len 100 ecn 2");
	script_in(".W 301 ack 101 len 100 ecn 2");
	script_out(". 101 ack 401");
	/* CWR and CE in one: a new echo. */
	script_in(".W 401 ack 101 len 100 ecn 3");
	script_out(".E 101 ack 501");
	assert_int_equal(s.ln->st->stats.tcp_ce_in, 2);
	script_close();
}

/* A mark on text out of order counts; CE on a pure ACK does not (6.1.4). */
static void test_receiver__out_of_order_and_acks(void **state)
{
	(void)state;
	open_ecn();
	script_in(". 1 ack 1 ecn 3");
	script_silent();
	script_in(". 101 ack 1 len 100 ecn 3");
	script_out(".E 1 ack 1 sack 101-201");
	script_close();
}

/* ---- RFC 8257 3.2: DCTCP's receiver ---- */

static void open_dctcp(void)
{
	script_open(by_dctcp);
	script_listen(5);
	script_in("SEW 0 mss 1000 sackok ecn 2"); /* 3.5: here a SYN may be ECT */
	script_out("S.E 0 ack 1 ecn 2");
	script_in(". 1 ack 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 2);
	assert_non_null(s.pcb);
	assert_string_equal(info().cc_name, "dctcp");
	assert_int_equal(info().ecn_ok, 1);
}

static void test_dctcp__ece_follows_the_marks(void **state)
{
	(void)state;
	open_dctcp();
	script_in(". 1 ack 1 len 100 ecn 2");
	script_out(". 1 ack 101 ecn 2");
	script_in(". 101 ack 1 len 100 ecn 3");
	script_out(".E 1 ack 201");
	script_in(". 201 ack 1 len 100 ecn 3");
	script_out(".E 1 ack 301");
	script_in(". 301 ack 1 len 100 ecn 2");
	script_out(". 1 ack 401");
	script_close();
}

/* What came before the change is acknowledged as what it was, in a burst too. */
static void test_dctcp__change_within_a_burst(void **state)
{
	(void)state;
	open_dctcp();
	script_in_burst(". 1 ack 1 len 100 ecn 2");
	script_in_burst(". 101 ack 1 len 100 ecn 2");
	script_in_burst(". 201 ack 1 len 100 ecn 3");
	script_in_burst(". 301 ack 1 len 100 ecn 3");
	script_in_burst(". 401 ack 1 len 100 ecn 2");
	script_flush();
	script_out(". 1 ack 201");
	script_out(".E 1 ack 401");
	script_out(". 1 ack 501");
	script_silent();
	script_close();
}

static void test_dctcp__asks_whatever_tcp_ecn_says(void **state)
{
	(void)state;
	begin_connect(by_dctcp, "SEW 0 ecn 2");
	script_in("S.E 0 ack 1 mss 1000");
	script_out(". 1 ack 1 ecn 2");
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passive__accepts_when_asked),
		cmocka_unit_test(test_passive__not_asked),
		cmocka_unit_test(test_passive__half_asked),
		cmocka_unit_test(test_passive__tcp_ecn_0),
		cmocka_unit_test(test_active__asks_only_by_configuration),
		cmocka_unit_test(test_active__refusals),
		cmocka_unit_test(test_active__falls_back),
		cmocka_unit_test(test_simultaneous),
		cmocka_unit_test(test_sender__echo_without_news),
		cmocka_unit_test(test_sender__fin_behind_little_text),
		cmocka_unit_test(test_sender__reduces_once_a_round_trip),
		cmocka_unit_test(test_sender__retransmission_is_not_ect),
		cmocka_unit_test(test_sender__loss_after_an_echo),
		cmocka_unit_test(test_sender__control_is_not_ect),
		cmocka_unit_test(test_sender__probe_is_not_ect),
		cmocka_unit_test(test_receiver__echoes_until_cwr),
		cmocka_unit_test(test_receiver__out_of_order_and_acks),
		cmocka_unit_test(test_dctcp__ece_follows_the_marks),
		cmocka_unit_test(test_dctcp__change_within_a_burst),
		cmocka_unit_test(test_dctcp__asks_whatever_tcp_ecn_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
