/*
 * ooo_test.c - FINs behind holes and before text, and the ACKs that tell of holes; ranges are data_test.c's
 */
#include "stack/tcp/pcb.h"
#include "tests/unit/tcp/script.h"

static void test_ooo__fin_waits(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("F. 101 ack 1 len 50");
	script_out(". 1 ack 1");
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
	/* Nothing comes behind a FIN, but an answer does. */
	script_in(". 151 ack 1 len 50");
	script_out(". 1 ack 1");
	script_in(". 1 ack 1 len 100");
	script_out(". 1 ack 152");
	assert_int_equal(script_state(), LANE_TCP_CLOSE_WAIT);
	script_read(150);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), 0);
	script_close();
}

/* Anybody may have sent a FIN behind a hole: the text that is next counts, and what follows it. */
static void test_ooo__fin_of_a_stranger(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("F. 51 ack 1");
	script_out(". 1 ack 1");
	script_in(". 1 ack 1 len 100");
	script_out(". 1 ack 101");
	script_in("F. 101 ack 1 len 50");
	script_out(". 1 ack 152");
	script_read(150);
	script_close();
}

/* The same FIN behind a hole is answered each time. */
static void test_ooo__fin_again(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	for (unsigned int i = 0; i < 2; i++) {
		script_in("F. 101 ack 1");
		script_out(". 1 ack 1 sack 101-102");
	}
	script_close();
}

/* A FIN that is next ends the stream, whatever waits behind it. */
static void test_ooo__dropped_by_the_fin(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in(". 101 ack 1 len 100");
	script_out(". 1 ack 1");
	script_in("F. 1 ack 1 len 100");
	script_out(". 1 ack 102");
	assert_int_equal(script_state(), LANE_TCP_CLOSE_WAIT);
	script_read(100);
	/* A reset with the FIN's number, as macOS has it. */
	script_in("R 101");
	assert_int_equal(script_state(), LANE_TCP_CLOSED);
	script_close();
}

/* Text that begins before the FIN and reaches beyond it: as Linux. */
static void test_text__beyond_the_fin_resets(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("F. 1 ack 1 len 10");
	script_out(". 1 ack 12");
	script_in(". 12 ack 1 len 10");
	script_silent();
	script_in(". 1 ack 1 len 30");
	script_out("R 1");
	assert_int_equal(script_state(), LANE_TCP_CLOSED);
	script_close();
}

/* With text an ACK is no duplicate (RFC 5681 2), and in a full segment there is no room for blocks. */
static void test_ooo__ack_apart_from_text(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1440 sackok");
	script_shrink(1440);
	script_write(2880);
	script_out("P. 1 ack 2 len 1440");
	script_in(". 101 ack 1441 win 1440 len 100");
	script_out(". 1441 ack 2 sack 101-201");
	script_out("P. 1441 ack 2 len 1440 sack 101-201");
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ooo__fin_waits),
		cmocka_unit_test(test_ooo__fin_of_a_stranger),
		cmocka_unit_test(test_ooo__fin_again),
		cmocka_unit_test(test_ooo__dropped_by_the_fin),
		cmocka_unit_test(test_text__beyond_the_fin_resets),
		cmocka_unit_test(test_ooo__ack_apart_from_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
