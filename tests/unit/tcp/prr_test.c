/*
 * prr_test.c - proportional rate reduction: RFC 6937
 */
#include "tests/unit/tcp/loss_help.h"

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
	script_in(". 1 ack 1001 sack 9001-11001");
	/* What has arrived now, though it was sent again already, and one more as the ACK shows no new loss. */
	script_out(". 1001 ack 1 len 1000");
	script_out(". 2001 ack 1 len 1000");
	script_out(". 3001 ack 1 len 1000");
	script_silent();
	script_close();
}

/* Grows the window to 40 segments, all of which are out then, the first of them 'una'. Returns 'una'. */
static uint32_t forty_out(void)
{
	uint32_t una = 1;
	char line[64];

	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	for (unsigned int n = 10; n < 40; n *= 2) {
		script_write(n * 1000);
		script_skip();
		script_run_ms(20);
		una += n * 1000;
		snprintf(line, sizeof(line), ". 1 ack %u", una);
		script_in(line);
	}
	assert_int_equal(info().cwnd, 40);
	script_write(60000);
	assert_int_equal(script_nr_out(), 40);
	script_skip();
	script_run_ms(20);
	return una;
}

/* 3: while more is out than ssthresh, what leaves is to what arrives as ssthresh is to the flight before. */
static void test_reduces_in_proportion__long(void **state)
{
	unsigned int sent = 0, most = 0;
	uint32_t una = forty_out();
	char line[64];

	(void)state;
	for (unsigned int n = 3; n < 15; n++) {
		snprintf(line, sizeof(line), ". 1 ack %u sack %u-%u", una, una + 1000, una + 1000 + n * 1000);
		script_in(line);
		sent += script_nr_out();
		most = script_nr_out() > most ? script_nr_out() : most;
		script_skip();
		assert_int_equal(info().ssthresh, 28);
		assert_int_equal(sent, n * 28 / 40);
	}
	assert_int_equal(most, 2);
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
		cmocka_unit_test(test_reduces_in_proportion__long),
		cmocka_unit_test(test_great_loss__slow_start),
		cmocka_unit_test(test_stretch_ack__bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
