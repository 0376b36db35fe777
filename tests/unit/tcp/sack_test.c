/*
 * sack_test.c - the scoreboard of a sender: RFC 2018, 2883, 6675
 */
#include "tests/unit/tcp/loss_help.h"

static void test_three_sacked__the_hole_goes_again(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 10000);
	script_in(". 1 ack 1 sack 1001-2001");
	assert_int_equal(info().ca_state, 1);
	script_in(". 1 ack 1 sack 1001-3001");
	script_silent();
	script_in(". 1 ack 1 sack 1001-4001");
	script_out(". 1 ack 1 len 1000");
	script_silent();
	assert_int_equal(info().ca_state, 3);
	assert_int_equal(info().sacked, 3);
	assert_int_equal(info().lost, 1);
	assert_int_equal(info().retrans, 1);
	assert_int_equal(info().unacked, 10);
	script_in(". 1 ack 4001");
	assert_int_equal(info().sacked, 0);
	assert_int_equal(info().lost, 0);
	assert_int_equal(info().bytes_acked, 4000);
	script_in(". 1 ack 10001");
	assert_int_equal(info().ca_state, 0);
	assert_int_equal(info().total_retrans, 1);
	assert_int_equal(info().reordering, 3);
	script_close();
}

/* RFC 6675: only holes go again, each once, as what arrives makes room. */
static void test_holes__each_once(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 10000);
	script_in(". 1 ack 1 sack 1001-2001 3001-4001 5001-6001");
	script_out(". 1 ack 1 len 1000");
	script_out(". 2001 ack 1 len 1000");
	script_out(". 4001 ack 1 len 1000");
	script_in(". 1 ack 1 sack 6001-8001 5001-6001 3001-4001 1001-2001");
	script_silent();
	script_in(". 1 ack 2001 sack 3001-4001 5001-8001");
	script_silent();
	script_in(". 1 ack 8001");
	script_silent();
	script_in(". 1 ack 10001");
	assert_int_equal(info().total_retrans, 3);
	assert_int_equal(s.ln->st->stats.tcp_rtos, 0);
	script_close();
}

/* Blocks that no receiver sends are not believed. */
static void test_bad_blocks__nothing_marked(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 10000);
	script_in(". 1 ack 1 sack 9001-12001");
	script_in(". 1 ack 1 sack 5001-4001");
	script_in(". 1 ack 1 sack 4001-4001 20001-30001");
	script_in(". 1 ack 1 sack 1501-1900"); /* a part of a frame */
	script_silent();
	assert_int_equal(info().sacked, 0);
	/* They overlap. */
	script_in(". 1 ack 1 sack 6001-8001 7001-9001");
	assert_int_equal(info().sacked, 3);
	script_in(". 1 ack 10001");
	script_close();
}

/* RFC 3042: what arrived makes room for new text. */
static void test_limited_transmit(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 20000);
	script_in(". 1 ack 1 sack 1001-2001");
	script_out(". 10001 ack 1 len 1000");
	script_in(". 1 ack 1 sack 1001-3001");
	script_out(". 11001 ack 1 len 1000");
	script_silent();
	script_close();
}

/* An ACK that was overtaken still has blocks. */
static void test_old_ack__its_blocks_count(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 10000);
	script_in(". 1 ack 2001 sack 4001-5001");
	script_in(". 1 ack 1001 sack 3001-5001");
	assert_int_equal(info().sacked, 2);
	script_in(". 1 ack 10001");
	script_close();
}

/* RFC 2018 8: what was SACKed may be dropped until it is acknowledged. */
static void test_renege(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 5000);
	script_in(". 1 ack 1 sack 1001-5001");
	script_out(". 1 ack 1 len 1000");
	script_run_ms(20);
	script_in(". 1 ack 1001");
	assert_in_range(script_until_out(100), 10, 13);
	script_out(". 1001 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_reneges, 1);
	assert_int_equal(info().sacked, 0);
	script_run_ms(20);
	script_in(". 1 ack 2001");
	script_out(". 2001 ack 1 len 1000");
	script_out(". 3001 ack 1 len 1000");
	script_in(". 1 ack 5001");
	script_close();
}

/* RFC 2883 4: a duplicate is reported once, in front. */
static void test_dsack_out(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000 sackok");
	script_in(". 1 ack 1 len 500");
	script_out(". 1 ack 501");
	script_in(". 1 ack 1 len 500");
	script_out(". 1 ack 501 sack 1-501");
	script_in(". 1001 ack 1 len 500");
	script_out(". 1 ack 501 sack 1001-1501");
	script_in(". 1001 ack 1 len 500");
	script_out(". 1 ack 501 sack 1001-1501 1001-1501");
	script_in(". 301 ack 1 len 100");
	script_out(". 1 ack 501 sack 301-401 1001-1501");
	script_in(". 501 ack 1 len 500");
	script_out(". 1 ack 1501");
	assert_int_equal(s.ln->st->stats.tcp_dsacks_out, 3);
	script_read(1500);
	script_close();
}

/* A SACKed frame that the driver still holds is not written when its hole goes. */
static void test_held_frame__copied(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	s.hold_tx = true;
	script_write(5000);
	script_skip();
	script_run_ms(20);
	script_in(". 1 ack 1 sack 1001-5001");
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 5001");
	script_complete();
	s.hold_tx = false;
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_sacked__the_hole_goes_again),
		cmocka_unit_test(test_holes__each_once),
		cmocka_unit_test(test_bad_blocks__nothing_marked),
		cmocka_unit_test(test_limited_transmit),
		cmocka_unit_test(test_old_ack__its_blocks_count),
		cmocka_unit_test(test_renege),
		cmocka_unit_test(test_dsack_out),
		cmocka_unit_test(test_held_frame__copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
