/*
 * pacing_test.c - tests of stack/tcp/pace.c
 */
#include "tests/unit/tcp/script.h"

#include "lane-int/tcp_info.h"
#include "stack/tcp/pcb.h"

static struct lane_tcp_info_out info(void)
{
	struct lane_tcp_info_out i;

	lane_tcp_get_info(s.ln, s.pcb, &i);
	return i;
}

static void by_bbr(struct lane_config *cfg)
{
	cfg->cc = (uint8_t)lane_cc_find("bbr");
}

static void bbr_without_memory(struct lane_config *cfg)
{
	by_bbr(cfg);
	cfg->nr_pace = 0;
}

static void set_rate(struct lane_tcp *pcb, uint64_t rate)
{
	struct lane_tcp_opts_set o;

	lane_tcp_get_opts(s.ln, pcb, &o);
	o.max_pacing_rate = rate;
	lane_tcp_set_opts(s.ln, pcb, &o);
}

/* SO_MAX_PACING_RATE: 1 MB/s, so segments of 1,000 bytes (and 54 of headers) leave every 1,054 us, by twos. */
static void test_max_rate__spreads_a_window(void **state)
{
	unsigned int before, ms = 0;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	set_rate(s.pcb, 1000000);
	script_write(10000);
	assert_int_equal(script_nr_out(), 2);
	for (; script_nr_out() < 10 && ms < 50; ms++) {
		before = script_nr_out();
		script_run_ms(1);
		assert_true(script_nr_out() - before <= 3);
		/* Never ahead of the rate by more than the two. */
		assert_true(script_nr_out() * 1054 <= (ms + 1) * 1000 + 2 * 1054 + 1000);
	}
	assert_in_range(ms, 8, 11);
	script_skip();
	script_in(". 1 ack 10001");
	script_close();
}

/* Who sleeps is woken when the next segments are due, to the microsecond. */
static void test_next_timer__is_exact(void **state)
{
	uint64_t at;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	set_rate(s.pcb, 2000000);
	script_write(10000);
	script_skip();
	at = lane_next_timer(s.ln);
	assert_in_range(at - s.ln->now_us, 1050, 1054 + LANE_PACE_TICK_US);
	lane_poll(s.ln, at - 1);
	script_flush();
	script_silent();
	lane_poll(s.ln, at + LANE_PACE_TICK_US);
	script_flush();
	assert_int_equal(script_nr_out(), 2);
	script_skip();
	script_close();
}

static void test_max_rate__limit_is_lifted(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	set_rate(s.pcb, 10000);
	script_write(10000);
	assert_int_equal(script_nr_out(), 2);
	set_rate(s.pcb, 0);
	assert_int_equal(info().pacing_rate, 0);
	assert_int_equal(s.ln->st->pace_pool.nr_used, 0);
	script_flush();
	assert_int_equal(script_nr_out(), 10);
	script_skip();
	script_close();
}

static void test_max_rate__is_inherited(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	set_rate(s.listener, 1000000);
	script_accept_far("S 0 mss 1000 sackok", 20);
	assert_int_equal(info().pacing_rate, 1000000);
	assert_int_equal(info().max_pacing_rate, 1000000);
	script_write(10000);
	assert_int_equal(script_nr_out(), 2);
	script_skip();
	script_close();
	/* script_close() looks whether all of it was given back. */
}

/* What is sent again is paced, too, but for the first. */
static void test_retransmissions(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	script_write(10000);
	script_skip();
	script_run_ms(20);
	set_rate(s.pcb, 1000000);
	script_until_out(2000);
	script_skip();
	script_run_ms(400);
	script_in(". 1 ack 1 sack 9001-10001");
	script_run_ms(1);
	assert_in_range(script_nr_out(), 1, 4);
	script_skip();
	script_close();
}

/* BBR: a window of 10 in a round trip of 20 ms, times 2.77. */
static void test_bbr__paces_from_the_start(void **state)
{
	unsigned int ms = 0;

	(void)state;
	script_open(by_bbr);
	script_accept_far("S 0 mss 1000 sackok", 20);
	assert_string_equal(info().cc_name, "bbr");
	assert_in_range(info().pacing_rate, 1350000, 1390000);
	script_write(10000);
	assert_int_equal(script_nr_out(), 2);
	for (; script_nr_out() < 10 && ms < 50; ms++)
		script_run_ms(1);
	assert_in_range(ms, 4, 8);
	script_skip();
	script_close();
}

/* Another control while text waits for its time: it leaves at once, since nobody else would wake it. */
static void test_bbr__no_more(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(by_bbr);
	script_accept_far("S 0 mss 1000 sackok", 900);
	script_write(5000);
	assert_int_equal(script_nr_out(), 2);
	script_skip();
	script_in(". 1 ack 2001");
	assert_int_equal(script_nr_out(), 0);
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.cc = (uint8_t)lane_cc_find("cubic");
	assert_int_equal(lane_tcp_set_opts(s.ln, s.pcb, &o), 0);
	script_flush();
	assert_int_equal(script_nr_out(), 3);
	script_skip();
	script_close();
}

/* No memory for it: CUBIC, unpaced, and counted. */
static void test_bbr__without_memory(void **state)
{
	(void)state;
	script_open(bbr_without_memory);
	script_accept_far("S 0 mss 1000 sackok", 20);
	assert_int_equal(s.ln->st->stats.tcp_unpaced, 1);
	script_write(20000);
	assert_int_equal(script_nr_out(), 10);
	script_skip();
	script_run_ms(20);
	script_in(". 1 ack 1 sack 1001-10001");
	assert_int_equal(info().ssthresh, 7);
	script_skip();
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_max_rate__spreads_a_window),
		cmocka_unit_test(test_next_timer__is_exact),
		cmocka_unit_test(test_max_rate__limit_is_lifted),
		cmocka_unit_test(test_max_rate__is_inherited),
		cmocka_unit_test(test_retransmissions),
		cmocka_unit_test(test_bbr__paces_from_the_start),
		cmocka_unit_test(test_bbr__no_more),
		cmocka_unit_test(test_bbr__without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
