/*
 * prr_test.c - proportional rate reduction: RFC 6937
 */
#include "tests/unit/tcp/script.h"

#include "lane-int/tcp_info.h"

static struct lane_tcp_info_out info(void)
{
	struct lane_tcp_info_out i;

	lane_tcp_get_info(s.ln, s.pcb, &i);
	return i;
}

/* A round trip of 20 ms, 'n' bytes written and sent, and so much time passed. */
static void send_segments(const char *syn, unsigned int n)
{
	script_open(NULL);
	script_accept_far(syn, 20);
	script_write(n);
	script_skip();
	script_run_ms(20);
	script_silent();
}

/* 3: of ten segments delivered seven may leave (CUBIC's beta), spread over the round trip. */
static void test_reduces_in_proportion(void **state)
{
	char line[64];
	unsigned int nr = 0;

	(void)state;
	send_segments("S 0 mss 1000 sackok", 40000);
	script_in(". 1 ack 1 sack 1001-4001");
	for (unsigned int end = 4; end < 10; end++) {
		nr += script_nr_out();
		/* Never a burst. */
		assert_true(script_nr_out() <= 2);
		script_skip();
		snprintf(line, sizeof(line), ". 1 ack 1 sack 1001-%u", end * 1000 + 1001);
		script_in(line);
	}
	nr += script_nr_out();
	script_skip();
	assert_in_range(nr, 6, 7);
	script_run_ms(20);
	script_in(". 1 ack 10001");
	assert_int_equal(info().ca_state, 0);
	assert_int_equal(info().cwnd, 7);
	assert_int_equal(info().ssthresh, 7);
	script_close();
}

/* 3, PRR-SSRB: a great loss does not stop the flow; it is built up by what arrives. */
static void test_great_loss__slow_start(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 40000);
	script_in(". 1 ack 1 sack 9001-10001");
	script_out(". 10001 ack 1 len 1000"); /* limited transmit */
	script_run_ms(5);
	assert_in_range(script_until_out(50), 1, 3);
	script_out(". 1 ack 1 len 1000");
	script_skip();
	assert_int_equal(info().lost, 9);
	script_run_ms(20);
	script_in(". 1 ack 1001 sack 9001-10001");
	assert_in_range(script_nr_out(), 1, 2);
	script_out(". 1001 ack 1 len 1000");
	script_close();
}

/* Half of the window SACKed at once does not let half a window leave at once. */
static void test_stretch_ack__bounded(void **state)
{
	(void)state;
	send_segments("S 0 mss 1000 sackok", 40000);
	script_in(". 1 ack 1 sack 1001-10001");
	assert_in_range(script_nr_out(), 1, 9);
	script_out(". 1 ack 1 len 1000");
	script_skip();
	assert_true(info().cwnd <= 7);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reduces_in_proportion),
		cmocka_unit_test(test_great_loss__slow_start),
		cmocka_unit_test(test_stretch_ack__bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
