/*
 * ack_test.c - the ACK that leaves with the program's read, where it was delayed (ackpolicy.c)
 */
#include "tests/unit/tcp/script.h"

#include "stack/tcp/pcb.h"

static unsigned int next; /* the peer's next sequence number */

/* A segment of the peer's, behind the last one. */
static void in(const char *flags, unsigned int len)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %u ack %u len %u", flags, next,
		 s.pcb->snd_nxt - s.iss, len);
	next += len;
	script_in(line);
}

static void out_ack(void)
{
	char line[64];

	snprintf(line, sizeof(line), ". %u ack %u", s.pcb->snd_nxt - s.iss, next);
	script_out(line);
	script_silent();
}

/* The program's answer, which carries the ACK. */
static void answer(void)
{
	char line[64];

	snprintf(line, sizeof(line), "P. %u ack %u len 10", s.pcb->snd_nxt - s.iss, next);
	script_write(10);
	script_out(line);
	script_silent();
}

/* A connection that has had its first 16 segments, which are ACKed at once; all is read. */
static void open_up(void)
{
	script_open(NULL);
	script_accept("S 0 mss 1460");
	next = 1;
	for (unsigned int i = 0; i < 16; i++) {
		in("P.", 1000);
		out_ack();
		script_read(1000);
		script_silent();
	}
}

/* The peer's Nagle waits for it. */
static void test_read__acks_what_was_pushed(void **state)
{
	(void)state;
	open_up();
	for (unsigned int i = 0; i < 5; i++) {
		in("P.", 100);
		script_silent();
		script_read(100);
		out_ack();
	}
	assert_int_equal(s.ln->st->stats.tcp_delayed_acks, 0);
	script_run_ms(100);
	script_silent();
	script_close();
}

static void test_read__of_a_part_acks_nothing(void **state)
{
	(void)state;
	open_up();
	in("P.", 100);
	script_read(60);
	script_silent();
	script_read(40);
	out_ack();
	script_close();
}

/* Without PSH more follows. A short one says so by itself. */
static void test_read__of_a_full_segment(void **state)
{
	(void)state;
	open_up();
	in(".", 1000);
	script_read(1000);
	script_silent();
	script_until_out(41);
	out_ack();
	in("P.", 1000);
	script_silent();
	script_read(1000);
	out_ack();
	in(".", 999);
	script_silent();
	script_read(999);
	out_ack();
	script_close();
}

/* The answer carries it; two short segments are two writes, and the peer's second may have waited. */
static void test_read__in_a_dialogue(void **state)
{
	(void)state;
	open_up();
	in("P.", 10);
	script_read(10);
	out_ack();
	answer();
	for (unsigned int i = 0; i < 5; i++) {
		in("P.", 10);
		script_silent();
		script_read(10);
		script_silent();
		answer();
	}
	in("P.", 10);
	in("P.", 10);
	script_silent();
	script_read(20);
	out_ack();
	answer();
	assert_int_equal(s.ln->st->stats.tcp_delayed_acks, 0);
	script_close();
}

/* What is lent is not read yet. */
static void test_read__of_lent_frames(void **state)
{
	struct lane_buf *b;

	(void)state;
	open_up();
	in("P.", 100);
	assert_int_equal(lane_tcp_take(s.ln, s.pcb, &b, 1, 100), 1);
	script_flush();
	script_silent();
	lane_tcp_received(s.ln, s.pcb, 100);
	lane_buf_free(&s.ln->bufs, b);
	script_flush();
	out_ack();
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read__acks_what_was_pushed),
		cmocka_unit_test(test_read__of_a_part_acks_nothing),
		cmocka_unit_test(test_read__of_a_full_segment),
		cmocka_unit_test(test_read__in_a_dialogue),
		cmocka_unit_test(test_read__of_lent_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
