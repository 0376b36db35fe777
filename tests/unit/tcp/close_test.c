/*
 * close_test.c - the end of connections: RFC 9293 3.6, every way through the states; TIME_WAIT; resets
 */
#include "stack/tcp/pcb.h"
#include "tests/unit/tcp/script.h"

static void end_pcb(void)
{
	lane_tcp_put(s.ln, s.pcb);
	s.pcb = NULL;
	script_flush();
}

/* RFC 9293 3.6, figure 12, our side first. */
static void test_active__normal(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	assert_int_equal(lane_tcp_shutdown(s.ln, s.pcb, false, true), 0);
	script_flush();
	assert_int_equal(script_state(), LANE_TCP_FIN_WAIT_1);
	script_out("F. 1 ack 1");
	script_in(". 1 ack 2");
	assert_int_equal(script_state(), LANE_TCP_FIN_WAIT_2);
	assert_true(script_events(s.pcb) & LANE_EV_DRAINED);
	/* Half-closed: the peer may still send. */
	script_in("P. 1 ack 2 len 50");
	script_out(". 2 ack 51");
	script_read(50);
	script_in("F. 51 ack 2");
	script_out(". 2 ack 52");
	assert_int_equal(script_state(), LANE_TCP_TIME_WAIT);
	assert_int_equal(lane_tcp_shutdown(s.ln, s.pcb, true, true), -ENOTCONN);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), 0);
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	/* The peer's FIN again: the minute begins anew. */
	script_run_s(50);
	script_in("F. 51 ack 2");
	script_out(". 2 ack 52");
	script_run_s(59);
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	script_run_s(2);
	assert_int_equal(s.ln->st->tw_pool.nr_used, 0);
	script_close();
}

/* RFC 9293 3.8.6: a FIN is a byte of the window; probes find out when it opens. */
static void test_fin__waits_for_the_window(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in(". 1 ack 1 win 0");
	assert_int_equal(lane_tcp_shutdown(s.ln, s.pcb, false, true), 0);
	script_flush();
	script_silent();
	assert_int_equal(script_state(), LANE_TCP_FIN_WAIT_1);
	for (unsigned int i = 0; i < 20; i++) {
		script_until_out(130000);
		script_out(". 0 ack 1");
		script_in(". 1 ack 1 win 0");
	}
	assert_int_equal(script_state(), LANE_TCP_FIN_WAIT_1);
	script_in(". 1 ack 1 win 1");
	script_out("F. 1 ack 1");
	script_in(". 1 ack 2");
	assert_int_equal(script_state(), LANE_TCP_FIN_WAIT_2);
	script_close();
}

/* Nobody reads what fills the hole before the FIN: as Linux. */
static void test_fin__behind_a_hole_nobody_reads(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	assert_int_equal(lane_tcp_shutdown(s.ln, s.pcb, true, true), 0);
	script_flush();
	script_out("F. 1 ack 1");
	script_in("F. 11 ack 1");
	script_out("R 1");
	assert_int_equal(script_state(), LANE_TCP_CLOSED);
	script_close();
}

static void test_passive__normal(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("F. 1 ack 1");
	script_out(". 1 ack 2");
	assert_int_equal(script_state(), LANE_TCP_CLOSE_WAIT);
	assert_true(script_events(s.pcb) & LANE_EV_EOF);
	script_write(10);
	script_out("P. 1 ack 2 len 10");
	end_pcb();
	script_out("F. 11 ack 2");
	script_in(". 2 ack 12");
	script_silent();
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 1); /* the listener */
	assert_int_equal(s.ln->st->tw_pool.nr_used, 0);
	script_close();
}

/* RFC 9293 3.6, figure 13. */
static void test_simultaneous_close(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	end_pcb();
	script_out("F. 1 ack 1");
	script_in("F. 1 ack 1");
	script_out(". 2 ack 2");
	assert_int_equal(s.ln->st->tw_pool.nr_used, 0);
	script_in(". 2 ack 2");
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	script_close();
}

static void test_fin__ack_and_fin_in_one(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	end_pcb();
	script_out("F. 1 ack 1");
	script_in("F. 1 ack 2");
	script_out(". 2 ack 2");
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	script_close();
}

static void test_fin__rides_on_text_and_is_resent(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(10);
	script_out("P. 1 ack 1 len 10");
	script_in(". 1 ack 11");
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "\x4d\x54", 2, false, NULL), 2);
	assert_int_equal(lane_tcp_shutdown(s.ln, s.pcb, false, true), 0);
	script_flush();
	script_out("FP. 11 ack 1 len 2");
	script_until_out(210);
	script_out("FP. 11 ack 1 len 2");
	/* Only the FIN is missing. */
	script_in(". 1 ack 13");
	script_silent();
	script_until_out(500);
	script_out("F. 13 ack 1");
	script_in(". 1 ack 14");
	assert_int_equal(script_state(), LANE_TCP_FIN_WAIT_2);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -EPIPE);
	script_close();
}

static void test_close__unread_text_resets(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("P. 1 ack 1 len 50");
	script_out(". 1 ack 51");
	end_pcb();
	script_out("R. 1 ack 51");
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 1);
	script_close();
}

static void test_close__text_after_it_resets(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	end_pcb();
	script_out("F. 1 ack 1");
	script_in(". 1 ack 2");
	script_in("P. 1 ack 2 len 10");
	script_out("R 2");
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 1);
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_CLOSED], 1);
	script_close();
}

static void test_close__queued_text_goes_out_first(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(15000);
	assert_int_equal(script_nr_out(), 10);
	script_skip();
	end_pcb();
	script_silent();
	script_in(". 1 ack 10001");
	for (unsigned int i = 0; i < 4; i++) {
		char line[64];

		snprintf(line, sizeof(line), ". %u ack 1 len 1000", 10001 + i * 1000);
		script_out(line);
	}
	script_out("FP. 14001 ack 1 len 1000");
	script_in(". 1 ack 15002");
	/* FIN_WAIT_2 of an orphan ends by itself. */
	script_run_ms(59000);
	assert_int_equal(s.ln->st->nr_orphans, 1);
	script_run_ms(1200);
	assert_int_equal(s.ln->st->nr_orphans, 0);
	script_close();
}

/* TCP_SYNCNT is the program's patience; once it has let go, an orphan's counts. */
static void test_close__before_a_simultaneous_open_is_complete(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(NULL);
	script_connect(NULL);
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.syncnt = 127;
	assert_int_equal(lane_tcp_set_opts(s.ln, s.pcb, &o), 0);
	script_in("S 0 mss 1000");
	script_out("S. 0 ack 1");
	end_pcb();
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 1);
	script_run_ms(600000);
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 0);
	script_close();
}

static void test_abort(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_write(10);
	script_skip();
	lane_tcp_abort(s.ln, s.pcb);
	s.pcb = NULL;
	script_flush();
	script_out("R. 11 ack 1");
	script_close();
}

/* posix.md 66: the data, the error, the end. */
static void test_rst__behind_text(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("P. 1 ack 1 len 10");
	script_in("R 11");
	assert_int_equal(script_events(s.pcb), LANE_EV_READABLE | LANE_EV_ERROR);
	script_read(10);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -ECONNRESET);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), 0);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -EPIPE);
	script_skip();
	script_close();
}

static void test_rst__after_fin_and_send(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("F. 1 ack 1");
	script_write(1);
	script_skip();
	script_in("R 2");
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), 0);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -EPIPE);
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), 0);
	script_close();
}

/* posix.md 77. */
static void test_shutdown_rd__text_is_still_delivered(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	assert_int_equal(lane_tcp_shutdown(s.ln, s.pcb, true, false), 0);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), 0);
	script_in("P. 1 ack 1 len 10");
	script_out(". 1 ack 11");
	script_read(10);
	script_close();
}

static void to_time_wait(void)
{
	lane_tcp_shutdown(s.ln, s.pcb, false, true);
	script_flush();
	script_skip();
}

/* An orphan in FIN_WAIT_2 that has no extension. */
static struct lane_tcp *to_fin_wait_2(void)
{
	struct lane_tcp *pcb;

	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	pcb = s.pcb;
	end_pcb();
	script_out("F. 1 ack 1");
	script_in(". 1 ack 2");
	assert_int_equal(pcb->state, LANE_TCP_FIN_WAIT_2);
	lane_tcp_x_put(s.ln, pcb);
	return pcb;
}

/* tcp_fin_timeout: a peer that sends ACKs and no FIN does not keep it. */
static void test_fin_wait_2__ends(void **state)
{
	(void)state;
	to_fin_wait_2();
	for (unsigned int i = 0; i < 5; i++) {
		script_run_ms(11900);
		script_in(". 1 ack 2");
		assert_int_equal(s.ln->st->tcp_pool.nr_used, 2);
	}
	script_run_ms(600);
	script_silent();
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 1);
	script_close();
}

/* TCP_LINGER2 below 0: whether the FIN's ACK or the program's close comes first. */
static void test_fin_wait_2__none(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	for (int closed_first = 0; closed_first < 2; closed_first++) {
		script_open(NULL);
		script_accept("S 0 mss 1460 sackok");
		lane_tcp_get_opts(s.ln, s.pcb, &o);
		o.linger2_us = UINT32_MAX;
		lane_tcp_set_opts(s.ln, s.pcb, &o);
		if (closed_first)
			end_pcb();
		else
			lane_tcp_shutdown(s.ln, s.pcb, false, true);
		script_flush();
		script_out("F. 1 ack 1");
		script_in(". 1 ack 2");
		if (!closed_first) {
			assert_int_equal(script_state(), LANE_TCP_FIN_WAIT_2);
			end_pcb();
		}
		script_out("R. 2 ack 1");
		assert_int_equal(s.ln->st->tcp_pool.nr_used, 1);
		script_close();
	}
}

/* Nor does it end early when what is due has to be looked at again. */
static void test_fin_wait_2__not_early(void **state)
{
	struct lane_tcp *pcb;

	(void)state;
	pcb = to_fin_wait_2();
	script_in(". 1 ack 2 sack 1-2");
	assert_int_not_equal(pcb->x, LANE_NIL);
	script_run_ms(59900);
	assert_int_equal(pcb->state, LANE_TCP_FIN_WAIT_2);
	script_in("F. 1 ack 2");
	script_out(". 2 ack 2");
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	script_close();
}

/* RFC 9293 3.10.7.4, RFC 6191: a higher sequence number, or a later timestamp, opens anew. */
static void test_time_wait__reuse_by_seq(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	to_time_wait();
	script_in("F. 1 ack 2");
	end_pcb();
	script_skip();
	/* Old: answered with an ACK. */
	script_in("S 1 mss 1460");
	script_out(". 2 ack 2");
	script_in("S 100 mss 1460");
	script_out("S. 0 ack 101");
	assert_int_equal(s.ln->st->tw_pool.nr_used, 0);
	script_close();
}

static void test_time_wait__reuse_by_timestamp(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 ts 1000:0");
	to_time_wait();
	script_in("F. 1 ack 2 ts 1002:0");
	end_pcb();
	script_skip();
	script_in("S 1000 mss 1460 ts 900:0");
	script_out(". 2 ack 2 ts 0:1002");
	/* A lower sequence number, but later. */
	script_in("S 0 mss 1460 ts 1003:0");
	script_out("S. 0 ack 1 ts 0:1003");
	script_close();
}

/* Linux with tcp_rfc1337 off: only an exact RST ends it. */
static void test_time_wait__rst(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	to_time_wait();
	script_in("F. 1 ack 2");
	end_pcb();
	assert_true(s.last.wnd > 0);
	script_skip();
	script_in("R 1");
	script_in("R 3");
	script_silent();
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	/* An older SYN is challenged; the RST that answers makes room for the next. */
	script_in("S 1 mss 1460");
	script_out(". 2 ack 2");
	assert_true(s.last.wnd > 0);
	script_in("R 2");
	script_silent();
	assert_int_equal(s.ln->st->tw_pool.nr_used, 0);
	script_close();
}

/* As Linux: without a listener no SYN ends it, however new: nobody could open the connection. */
static void test_time_wait__syn_for_nobody(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect("S. 0 ack 1 mss 1460");
	to_time_wait();
	script_in("F. 1 ack 2");
	end_pcb();
	script_skip();
	script_in("S 100 mss 1460");
	script_out(". 2 ack 2");
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	script_close();
}

/* Two ends that disagree do not answer each other's ACKs for ever (RFC 5961 7). */
static void test_time_wait__acks_for_acks_are_limited(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	to_time_wait();
	script_in("F. 1 ack 2");
	end_pcb();
	script_skip();
	for (unsigned int i = 0; s.ln->st->stats.tcp_challenges_withheld == 0; i++) {
		assert_true(i < 1501);
		script_in(". 7 ack 2");
		if (script_nr_out())
			script_out(". 2 ack 2");
	}
	/* Others do not suffer by it: an older SYN, and a FIN whose ACK was lost. */
	script_in("S 1 mss 1460");
	script_out(". 2 ack 2");
	script_in("F. 1 ack 2");
	script_out(". 2 ack 2");
	script_close();
}

static void one_record(struct lane_config *cfg)
{
	cfg->nr_tw = 1;
}

static void test_time_wait__oldest_gives_way(void **state)
{
	(void)state;
	script_open(one_record);
	for (unsigned int i = 0; i < 3; i++, s.peer++) {
		script_accept("S 0 mss 1460");
		to_time_wait();
		script_in("F. 1 ack 2");
		end_pcb();
		script_skip();
	}
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	assert_int_equal(s.ln->st->stats.tcp_time_waits, 3);
	script_close();
}

/* A peer that sends text behind its FIN: it is no text, and nothing of it stays. */
static void test_fin__before_text_that_waits(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_in(". 2 ack 1 len 16");
	script_out(". 1 ack 1");
	script_in("F. 1 ack 1");
	script_out(". 1 ack 2");
	assert_int_equal(script_state(), LANE_TCP_CLOSE_WAIT);
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_SECOND_FIN], 1);
	assert_int_equal(s.ln->st->bufs.nr_free, s.ln->st->bufs.nr);
	script_close();
}

/* Room to send is nothing that a listener could wait for. */
static void test_listen_stop__after_asking_for_space(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(1);
	lane_tcp_want_space(s.ln, s.listener);
	assert_int_equal(lane_tcp_shutdown(s.ln, s.listener, true, false), 0);
	script_flush();
	script_close();
}

/* A reader copies outside the lock while another thread disconnects: what it puts back is freed. */
static void test_untake__after_disconnect(void **state)
{
	struct lane_buf *b[1];

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_in(". 1 ack 1 len 100");
	assert_int_equal(lane_tcp_take(s.ln, s.pcb, b, 1, 1000), 1);
	lane_tcp_disconnect(s.ln, s.pcb);
	lane_tcp_untake(s.ln, s.pcb, b, 1);
	script_flush();
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 100, false, 0, NULL), -ECONNRESET);
	script_close();
}

/* A connection that has ended keeps its text for the program: it cannot listen unless disconnected. */
static void test_listen__with_text_of_an_ended_connection(void **state)
{
	struct lane_ep local = {.port = 81};

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_in(". 1 ack 1 len 100");
	script_skip();
	script_in("R 101");
	assert_int_equal(lane_tcp_listen(s.ln, s.pcb, &local, false, 1), -EINVAL);
	lane_tcp_disconnect(s.ln, s.pcb);
	assert_int_equal(lane_tcp_listen(s.ln, s.pcb, &local, false, 1), 0);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 100, false, 0, NULL), -ENOTCONN);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_active__normal),
		cmocka_unit_test(test_fin__waits_for_the_window),
		cmocka_unit_test(test_fin__behind_a_hole_nobody_reads),
		cmocka_unit_test(test_passive__normal),
		cmocka_unit_test(test_simultaneous_close),
		cmocka_unit_test(test_fin__ack_and_fin_in_one),
		cmocka_unit_test(test_fin__rides_on_text_and_is_resent),
		cmocka_unit_test(test_close__unread_text_resets),
		cmocka_unit_test(test_close__text_after_it_resets),
		cmocka_unit_test(test_close__queued_text_goes_out_first),
		cmocka_unit_test(test_close__before_a_simultaneous_open_is_complete),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_rst__behind_text),
		cmocka_unit_test(test_rst__after_fin_and_send),
		cmocka_unit_test(test_shutdown_rd__text_is_still_delivered),
		cmocka_unit_test(test_fin_wait_2__ends),
		cmocka_unit_test(test_fin_wait_2__not_early),
		cmocka_unit_test(test_fin_wait_2__none),
		cmocka_unit_test(test_time_wait__reuse_by_seq),
		cmocka_unit_test(test_time_wait__reuse_by_timestamp),
		cmocka_unit_test(test_time_wait__rst),
		cmocka_unit_test(test_time_wait__syn_for_nobody),
		cmocka_unit_test(test_time_wait__acks_for_acks_are_limited),
		cmocka_unit_test(test_time_wait__oldest_gives_way),
		cmocka_unit_test(test_fin__before_text_that_waits),
		cmocka_unit_test(test_listen_stop__after_asking_for_space),
		cmocka_unit_test(test_untake__after_disconnect),
		cmocka_unit_test(test_listen__with_text_of_an_ended_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
