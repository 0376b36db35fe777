/*
 * tlp_test.c - the tail loss probe: RFC 8985 7
 */
#include "tests/unit/tcp/loss_help.h"

/* 7.2, 7.3: the last segment after two round trips; its SACK shows the rest. */
static void test_tail_lost(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 5000);
	script_in(". 1 ack 2001");
	assert_in_range(script_until_out(100), 44, 47);
	script_out("P. 4001 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_tlps, 1);
	script_run_ms(20);
	script_in(". 1 ack 2001 sack 4001-5001");
	script_out(". 2001 ack 1 len 1000");
	assert_int_equal(info().lost, 2);
	script_in(". 1 ack 3001 sack 4001-5001");
	script_out(". 3001 ack 1 len 1000");
	script_in(". 1 ack 5001");
	assert_int_equal(s.ln->st->stats.tcp_rtos, 0);
	script_close();
}

/* 7.3: new text, where there is some. */
static void test_new_text_first(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 12000);
	script_until_out(100);
	script_out(". 10001 ack 1 len 1000");
	script_silent();
	assert_int_equal(s.ln->st->stats.tcp_tlps, 1);
	script_in(". 1 ack 11001");
	script_out("P. 11001 ack 1 len 1000");
	script_in(". 1 ack 12001");
	assert_int_equal(s.ln->st->stats.tcp_retransmits, 0);
	assert_true(info().cwnd >= 10);
	script_close();
}

/* One probe, then the time-out, which counts from it. */
static void test_once(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 2000);
	assert_in_range(script_until_out(100), 24, 27);
	script_out("P. 1001 ack 1 len 1000");
	assert_in_range(script_until_out(400), 220, 264);
	script_out(". 1 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_tlps, 1);
	assert_int_equal(s.ln->st->stats.tcp_rtos, 1);
	script_in(". 1 ack 2001");
	script_close();
}

/* 7.2: one segment alone may wait for a delayed ACK: the time-out is earlier. */
static void test_single__no_probe(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 1000);
	assert_in_range(script_until_out(400), 199, 243);
	script_out("P. 1 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_tlps, 0);
	script_in(". 1 ack 1001");
	script_close();
}

/* 7.4 case 1: the probe was for nothing. */
static void test_spurious__no_reduction(void **state)
{
	uint32_t cwnd;

	(void)state;
	send_segments("S 0 mss 1000 sackok", 5000);
	script_until_out(100);
	script_out("P. 4001 ack 1 len 1000");
	script_in(". 1 ack 5001");
	cwnd = info().cwnd;
	script_in(". 1 ack 5001 sack 4001-5001");
	script_write(3000);
	script_skip();
	script_in(". 1 ack 8001");
	assert_true(info().cwnd >= cwnd);
	assert_true(info().ssthresh > 1000);
	script_close();
}

/* 7.4 case 3: the probe repaired a loss, which counts as one. */
static void test_repaired__reduction(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 5000);
	script_in(". 1 ack 4001");
	script_write(1000);
	script_skip();
	script_until_out(100);
	script_out("P. 5001 ack 1 len 1000");
	script_in(". 1 ack 6001");
	assert_true(info().ssthresh > 1000);
	script_write(1000);
	script_skip();
	script_in(". 1 ack 7001");
	assert_true(info().ssthresh < 10);
	script_close();
}

/* Peers without SACK get none. */
static void test_no_sack__no_probe(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000", 5000);
	assert_in_range(script_until_out(400), 199, 203);
	script_out(". 1 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_tlps, 0);
	script_in(". 1 ack 5001");
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tail_lost),
		cmocka_unit_test(test_new_text_first),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_single__no_probe),
		cmocka_unit_test(test_spurious__no_reduction),
		cmocka_unit_test(test_repaired__reduction),
		cmocka_unit_test(test_no_sack__no_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
