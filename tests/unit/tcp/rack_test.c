/*
 * rack_test.c - loss detection by time: RFC 8985 6
 */
#include "tests/unit/tcp/loss_help.h"

/* 6.2 step 5: with less than three SACKed a quarter of the round trip is waited. */
static void test_reordering_timer(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 3000);
	script_in(". 1 ack 1 sack 1001-2001");
	script_silent();
	assert_in_range(script_until_out(100), 5, 7);
	script_out(". 1 ack 1 len 1000");
	script_silent();
	assert_int_equal(s.ln->st->stats.tcp_rack_lost, 1);
	assert_int_equal(info().ca_state, 3);
	script_in(". 1 ack 3001");
	script_close();
}

/* What comes late, but within that time, was not lost. */
static void test_reordering__no_loss(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 3000);
	script_in(". 1 ack 1 sack 1001-2001");
	script_run_ms(3);
	script_in(". 1 ack 2001");
	script_run_ms(5);
	script_in(". 1 ack 3001");
	script_run_ms(30);
	script_silent();
	assert_int_equal(s.ln->st->stats.tcp_retransmits, 0);
	assert_int_equal(info().ca_state, 0);
	script_close();
}

/* 6.2 step 4: on a path that was seen to reorder three SACKed segments prove nothing. */
static void test_reordering_seen__waits(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 10000);
	script_in(". 1 ack 1 sack 4001-5001");
	script_in(". 1 ack 1 sack 4001-5001 1001-2001");
	assert_int_equal(info().reordering, 4);
	script_in(". 1 ack 1 sack 1001-8001");
	script_silent();
	assert_in_range(script_until_out(100), 5, 7);
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 10001");
	script_close();
}

/* A retransmission that was lost, too, is found by what was sent after it. */
static void test_lost_retransmission(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 20000);
	script_in(". 1 ack 1 sack 1001-4001");
	script_out(". 1 ack 1 len 1000");
	script_skip();
	script_run_ms(1);
	script_in(". 1 ack 1 sack 1001-9001");
	assert_true(script_nr_out() > 0); /* new text */
	script_out(". 10001 ack 1 len 1000");
	script_skip();
	script_run_ms(20);
	script_in(". 1 ack 1 sack 10001-11001 1001-9001");
	script_out(". 1 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_rtos, 0);
	script_close();
}

/* 6.2 step 4: each round with a DSACK makes the window wider by a quarter. */
static void test_dsack__wider(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 3000);
	script_in(". 1 ack 1001 sack 1-1001");
	script_in(". 1 ack 1001 sack 2001-3001");
	script_silent();
	assert_in_range(script_until_out(100), 10, 12);
	script_out(". 1001 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_dsacks_in, 1);
	script_in(". 1 ack 3001");
	script_close();
}

/* 6.2 step 4: for sixteen recoveries. */
static void test_dsack__is_forgotten(void **state)
{
	char line[64];
	uint32_t una = 3001;

	(void)state;
	send_segments("S 0 mss 1000 sackok", 3000);
	script_in(". 1 ack 3001 sack 1-1001");
	for (unsigned int i = 0; i < 18; i++, una += 2000) {
		script_write(2000);
		script_skip();
		script_run_ms(20);
		snprintf(line, sizeof(line), ". 1 ack %u sack %u-%u", una, una + 1000, una + 2000);
		script_in(line);
		if (i < 16)
			assert_in_range(script_until_out(100), 10, 12);
		else
			assert_in_range(script_until_out(100), 5, 7);
		script_skip();
		snprintf(line, sizeof(line), ". 1 ack %u", una + 2000);
		script_in(line);
		assert_int_equal(info().ca_state, 0);
	}
	script_close();
}

/* 6.3: a time-out does not take for lost what was sent a moment ago. */
static void test_timeout__only_what_is_old(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 1000);
	script_run_ms(195);
	script_write(1000);
	script_out(". 1001 ack 1 len 1000");
	script_until_out(20);
	script_out(". 1 ack 1 len 1000");
	assert_int_equal(s.ln->st->stats.tcp_rtos, 1);
	assert_int_equal(info().lost, 1);
	script_in(". 1 ack 2001");
	script_run_ms(500);
	script_silent();
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reordering_timer),
		cmocka_unit_test(test_reordering__no_loss),
		cmocka_unit_test(test_reordering_seen__waits),
		cmocka_unit_test(test_lost_retransmission),
		cmocka_unit_test(test_dsack__wider),
		cmocka_unit_test(test_dsack__is_forgotten),
		cmocka_unit_test(test_timeout__only_what_is_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
