/*
 * undo_test.c - recoveries that were for nothing: RFC 3522, 4015, 5682, 3708
 */
#include "tests/unit/tcp/loss_help.h"

/* An ACK with a timestamp of ours, as it came with 's.last'. */
static void ack_ts(const char *what, uint32_t val, uint32_t ecr)
{
	char line[96];

	snprintf(line, sizeof(line), "%s ts %u:%u", what, val, ecr);
	script_in(line);
}

/* RFC 3522: the ACK of what was sent again bears the first transmission's timestamp. */
static void test_eifel__fast_recovery(void **state)
{
	uint32_t ts;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1012 sackok ts 1000:0", 20);
	script_write(10000);
	script_out(". 1 ack 1 len 1000");
	ts = s.last.opts.tsval;
	script_skip();
	script_run_ms(20);
	ack_ts(". 1 ack 1 sack 1001-4001", 1010, ts);
	script_out(". 1 ack 1 len 1000");
	assert_int_equal(info().ca_state, 3);
	script_run_ms(2);
	ack_ts(". 1 ack 4001", 1012, ts);
	assert_int_equal(info().ca_state, 0);
	assert_true(info().cwnd >= 10);
	assert_true(info().ssthresh > 1000);
	assert_int_equal(s.ln->st->stats.tcp_undone, 1);
	ack_ts(". 1 ack 10001", 1013, ts);
	script_silent();
	script_close();
}

static void test_eifel__real_loss(void **state)
{
	uint32_t ts;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1012 sackok ts 1000:0", 20);
	script_write(10000);
	script_out(". 1 ack 1 len 1000");
	ts = s.last.opts.tsval;
	script_skip();
	script_run_ms(20);
	ack_ts(". 1 ack 1 sack 1001-4001", 1010, ts);
	script_out(". 1 ack 1 len 1000");
	ts = s.last.opts.tsval;
	script_run_ms(20);
	ack_ts(". 1 ack 4001", 1012, ts);
	assert_int_equal(info().ca_state, 3);
	assert_int_equal(s.ln->st->stats.tcp_undone, 0);
	script_close();
}

static void test_eifel__time_out(void **state)
{
	uint32_t ts;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1012 ts 1000:0", 20);
	script_write(5000);
	script_out(". 1 ack 1 len 1000");
	ts = s.last.opts.tsval;
	script_skip();
	script_until_out(300);
	script_out(". 1 ack 1 len 1000");
	assert_int_equal(info().cwnd, 1);
	ack_ts(". 1 ack 1001", 1010, ts);
	assert_int_equal(s.ln->st->stats.tcp_undone, 1);
	assert_int_equal(info().ca_state, 0);
	assert_true(info().cwnd >= 10);
	script_silent();
	ack_ts(". 1 ack 5001", 1011, ts);
	script_close();
}

/* RFC 4015 3.2: an ACK that may answer the second transmission, since the first one's was lost, is no measure of
 * the path (it was: simulator seed 100434 came to a round trip of 90 s). One that comes too soon for that is. */
static void test_eifel__lost_ack_is_no_round_trip(void **state)
{
	uint32_t ts;

	(void)state;
	for (unsigned int wait_ms = 0; wait_ms <= 20; wait_ms += 20) {
		script_open(NULL);
		script_accept_far("S 0 mss 1012 ts 1000:0", 20);
		script_write(1000);
		script_out(". 1 ack 1 len 1000");
		ts = s.last.opts.tsval;
		assert_in_range(script_until_out(300), 200, 260);
		script_out(". 1 ack 1 len 1000");
		script_run_ms(wait_ms);
		ack_ts(". 1 ack 1001", 1010, ts);
		assert_int_equal(s.ln->st->stats.tcp_undone, 1);
		if (wait_ms)
			assert_in_range(info().rtt_us, 20000, 21000);
		else
			assert_in_range(info().rtt_us, 42000, 52000);
		script_close();
	}
}

/* RFC 5682 2.1: new text goes before old; the second ACK is for what was sent once. */
static void frto_step_2(void)
{
	send_segments("S 0 mss 1000", 20000);
	script_until_out(300);
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 1001");
	script_out(". 10001 ack 1 len 1000");
	script_out(". 11001 ack 1 len 1000");
	script_silent();
}

static void test_frto__spurious(void **state)
{
	(void)state;
	frto_step_2();
	script_in(". 1 ack 2001");
	assert_int_equal(s.ln->st->stats.tcp_undone, 1);
	assert_int_equal(info().ca_state, 0);
	assert_true(info().cwnd >= 10);
	script_skip();
	assert_int_equal(s.ln->st->stats.tcp_retransmits, 1);
	/* RFC 6582 3.2 step 2: what was out at the time-out begins no recovery by duplicates. */
	for (unsigned int i = 0; i < 4; i++)
		script_in(". 1 ack 2001");
	assert_int_equal(s.ln->st->stats.tcp_fast_retransmits, 0);
	script_close();
}

/* Step 3 a: once a duplicate has decided it, what was sent once proves nothing any more. */
static void test_frto__decided(void **state)
{
	(void)state;
	frto_step_2();
	script_in(". 1 ack 1001");
	script_in(". 1 ack 2001");
	assert_int_equal(s.ln->st->stats.tcp_undone, 0);
	assert_int_equal(info().ca_state, 4);
	script_close();
}

static void test_frto__real(void **state)
{
	(void)state;
	frto_step_2();
	script_in(". 1 ack 1001");
	script_in(". 1 ack 1001");
	assert_int_equal(s.ln->st->stats.tcp_undone, 0);
	assert_int_equal(info().ca_state, 4);
	script_until_out(1000);
	script_out(". 1001 ack 1 len 1000");
	script_close();
}

/* 3.1: with SACK. Nothing new to send: it is decided by what is acknowledged with the first. */
static void test_frto__sack(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 5000);
	script_until_out(100); /* the probe */
	script_skip();
	script_until_out(400);
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 3001");
	assert_int_equal(s.ln->st->stats.tcp_undone, 1);
	assert_int_equal(info().ca_state, 0);
	script_silent();
	script_in(". 1 ack 5001");
	script_close();
}

/* RFC 3708: DSACKs for all that was sent again, also when recovery is over. */
static void test_dsack(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 10000);
	script_in(". 1 ack 1 sack 1001-4001");
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 10001");
	assert_int_equal(info().ca_state, 0);
	assert_true(info().cwnd < 10);
	script_in(". 1 ack 10001 sack 1-1001");
	assert_int_equal(s.ln->st->stats.tcp_undone, 1);
	assert_true(info().cwnd >= 10);
	assert_int_equal(s.ln->st->stats.tcp_dsacks_in, 1);
	script_close();
}

/* What one recovery sent again and the next acknowledges is no original of the next (once each such pair
 * was undone, and the window came back whole). */
static void test_eifel__retransmission_of_the_recovery_before(void **state)
{
	uint32_t ts, again;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1012 sackok ts 1000:0", 20);
	script_write(40000);
	script_out(". 1 ack 1 len 1000");
	ts = s.last.opts.tsval;
	script_skip();
	script_run_ms(20);
	ack_ts(". 1 ack 1 sack 1001-10001", 1010, ts);
	script_out(". 1 ack 1 len 1000");
	script_out(". 10001 ack 1 len 1000");
	script_out(". 11001 ack 1 len 1000");
	script_skip();
	script_run_ms(20);
	/* New text is lost, too, and goes again within the same recovery. */
	ack_ts(". 1 ack 1 sack 11001-12001 1001-10001", 1030, ts + 20);
	script_out(". 1 ack 1 len 1000");
	script_out(". 10001 ack 1 len 1000");
	again = s.last.opts.tsval;
	script_skip();
	script_run_ms(2);
	ack_ts(". 1 ack 10001 sack 11001-12001", 1032, ts + 20);
	assert_int_equal(info().ca_state, 3);
	assert_int_equal(s.ln->st->stats.tcp_fast_retransmits, 2);
	script_run_ms(18);
	ack_ts(". 1 ack 12001", 1050, again);
	assert_int_equal(s.ln->st->stats.tcp_undone, 0);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eifel__fast_recovery),
		cmocka_unit_test(test_eifel__real_loss),
		cmocka_unit_test(test_eifel__retransmission_of_the_recovery_before),
		cmocka_unit_test(test_eifel__time_out),
		cmocka_unit_test(test_eifel__lost_ack_is_no_round_trip),
		cmocka_unit_test(test_frto__spurious),
		cmocka_unit_test(test_frto__decided),
		cmocka_unit_test(test_frto__real),
		cmocka_unit_test(test_frto__sack),
		cmocka_unit_test(test_dsack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
