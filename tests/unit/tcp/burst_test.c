/*
 * burst_test.c - segments that come together: what is merged, what is not, and that nobody can tell
 */
#include "tests/unit/tcp/script.h"

#include "stack/tcp/pcb.h"

static uint64_t nr_merged(void)
{
	return s.ln->st->stats.tcp_merged;
}

static void test_merge__text(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in_wait(". 1 ack 1 len 1460");
	script_in_wait(". 1461 ack 1 len 1460");
	script_in_wait("P. 2921 ack 1 len 80");
	script_in("P. 3001 ack 1 len 1000");
	script_out(". 1 ack 4001");
	script_silent();
	assert_int_equal(nr_merged(), 3);
	assert_int_equal(s.pcb->segs_in, 2 + 4);
	assert_int_equal(s.pcb->rcv_mss, 1460);
	script_read(4000);
	script_close();
}

/* Small ones share a frame, as they do one by one. */
static void test_merge__small_text_in_one_frame(void **state)
{
	char line[64];
	uint32_t before;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	before = s.ln->st->bufs.nr_free;
	for (unsigned int i = 0; i < 20; i++) {
		snprintf(line, sizeof(line), "P. %u ack 1 len 10", 1 + 10 * i);
		script_in_wait(line);
	}
	script_in("P. 201 ack 1 len 10");
	assert_int_equal(nr_merged(), 20);
	assert_int_equal(before - s.ln->st->bufs.nr_free, 1);
	script_skip();
	script_read(210);
	script_close();
}

static void test_merge__a_gap_and_what_came_before(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	script_in_wait("P. 1 ack 1 len 100");
	script_in_wait("P. 201 ack 1 len 100"); /* a gap */
	script_in_wait("P. 301 ack 1 len 100"); /* follows it */
	script_in_wait("P. 101 ack 1 len 100"); /* closes it */
	script_in("P. 1 ack 1 len 100");        /* came before */
	script_out(". 1 ack 401 sack 1-101");
	script_silent();
	assert_int_equal(nr_merged(), 1);
	assert_int_equal(s.ln->st->stats.tcp_ooo, 2);
	script_read(400);
	script_close();
}

static void test_merge__acks(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(3000);
	script_skip();
	script_in_wait(". 1 ack 1001 win 5000");
	script_in_wait(". 1 ack 2001 win 4000");
	script_in(". 1 ack 3001 win 3000");
	assert_int_equal(nr_merged(), 2);
	assert_int_equal(s.pcb->snd_una, s.pcb->snd_nxt);
	assert_int_equal(s.pcb->snd_wnd, 3000);
	assert_int_equal(lane_tcp_x(s.ln, s.pcb)->nr_sndq, 0);
	script_silent();
	script_close();
}

/* A forged ACK of what was not sent takes no good one with it, nor does it spoil text. */
static void test_merge__no_ack_of_what_was_not_sent(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(3000);
	script_skip();
	script_in_wait(". 1 ack 1001");
	script_in_wait(". 1 ack 2001");
	script_in(". 1 ack 3002");
	assert_int_equal(nr_merged(), 1);
	assert_int_equal(s.pcb->snd_nxt - s.pcb->snd_una, 1000);
	script_out(". 3001 ack 1");
	script_in_wait("P. 1 ack 3001 len 100");
	script_in("P. 101 ack 3002 len 100");
	assert_int_equal(s.pcb->snd_una, s.pcb->snd_nxt);
	script_read(100);
	script_close();
}

/* An old timestamp in front of a good one drops itself only (RFC 7323 5.3). */
static void test_merge__no_old_timestamp(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000 ts 100:0");
	script_in("P. 1 ack 1 len 100 ts 2510:0");
	script_skip();
	script_in_wait("P. 101 ack 1 len 100 ts 2505:0");
	script_in("P. 201 ack 1 len 100 ts 2511:0");
	assert_int_equal(nr_merged(), 0);
	script_in("P. 101 ack 1 len 100 ts 2512:0");
	script_skip();
	script_read(300);
	script_close();
}

/* Text behind an ACK, an ACK behind text, an ACK that moves with text. */
static void test_merge__acks_and_text(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(4000);
	script_skip();
	script_in_wait(". 1 ack 1001");
	script_in_wait("P. 1 ack 2001 len 1400");
	script_in_wait("P. 1401 ack 3001 len 1400 win 30000");
	script_in(". 2801 ack 4001 win 20000");
	assert_int_equal(nr_merged(), 3);
	assert_int_equal(s.pcb->snd_una, s.pcb->snd_nxt);
	assert_int_equal(s.pcb->snd_wnd, 20000);
	script_out(". 4001 ack 2801");
	script_silent();
	script_read(2800);
	script_close();
}

/* RFC 5681 3.2: three duplicates in one burst are three. */
static void test_merge__no_duplicate_acks(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(5000);
	script_skip();
	script_in_wait(". 1 ack 1");
	script_in_wait(". 1 ack 1");
	script_in(". 1 ack 1");
	assert_int_equal(nr_merged(), 0);
	assert_int_equal(s.ln->st->stats.tcp_fast_retransmits, 1);
	script_out("P. 1 ack 1 len 1000");
	script_close();
}

static void test_merge__not_with_flags_or_sack(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000 sackok");
	script_write(3000);
	script_skip();
	script_in_wait(". 1 ack 1001");
	script_in_wait(". 1 ack 1001 sack 2001-3001");
	script_in_wait("P. 1 ack 1001 len 100");
	script_in_wait("PU. 101 ack 1001 len 100 urg 50");
	script_in("F. 201 ack 1001");
	assert_int_equal(nr_merged(), 0);
	assert_int_equal(lane_tcp_x(s.ln, s.pcb)->rec.nr_sacked, 1);
	assert_int_equal(s.pcb->state, LANE_TCP_CLOSE_WAIT);
	script_skip();
	script_close();
}

/* The timestamp that is echoed is the one that segments one by one would leave (RFC 7323 4.3). */
static void test_merge__timestamps(void **state)
{
	uint64_t drops;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000 ts 100:0");
	script_in_wait("P. 1 ack 1 len 100 ts 2005:0");
	script_in_wait("P. 101 ack 1 len 100 ts 2007:0");
	script_in("P. 201 ack 1 len 100 ts 2007:0");
	assert_int_equal(nr_merged(), 2);
	script_out(". 1 ack 301 ts 0:2005");
	drops = s.ln->st->stats.drops[LANE_DROP_TCP_PAWS];
	script_in_wait("P. 301 ack 1 len 100 ts 2010:0");
	script_in_wait("P. 401 ack 1 len 100 ts 1990:0"); /* an old one */
	script_in("P. 401 ack 1 len 100 ts 2011:0");
	assert_int_equal(nr_merged(), 2);
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_PAWS], drops + 1);
	script_skip();
	script_read(500);
	script_close();
}

/* Two flows in turn, one of which is nobody's. */
static void test_merge__flows_apart(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	for (unsigned int i = 0; i < 4; i++) {
		char line[64];

		snprintf(line, sizeof(line), "P. %u ack 1 len 10", 1 + 10 * i);
		s.peer = SCRIPT_PEER;
		script_in_wait(line);
		s.peer = SCRIPT_PEER + 1;
		script_in_wait(line);
	}
	s.peer = SCRIPT_PEER;
	script_in(". 41 ack 1");
	assert_int_equal(nr_merged(), 6);
	script_out("R 1");
	script_out(". 1 ack 41");
	script_silent();
	script_read(40);
	script_close();
}

/* A connection that ends within the burst takes nothing that comes behind. */
static void test_seg__behind_the_end(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_in_wait("P. 1 ack 1 len 10");
	script_in_wait("R. 11 ack 1");
	script_in("P. 11 ack 1 len 10");
	script_out("R 1");
	script_silent();
	assert_int_equal(s.pcb->state, LANE_TCP_CLOSED);
	script_close();
}

/* ---- super-segments ---- */

static void test_super__one_packet(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_cuts();
	script_write(3500);
	script_out(". 1 ack 1 len 1000");
	script_silent();
	assert_int_equal(s.ln->st->stats.tcp_supers, 1);
	assert_int_equal(s.pcb->snd_nxt - s.iss, 3501);
	/* The second is lost: it alone goes again. */
	script_in(". 1 ack 1001");
	script_in(". 1 ack 1001");
	script_in(". 1 ack 1001");
	script_in(". 1 ack 1001");
	script_out(". 1001 ack 1 len 1000");
	script_in(". 1 ack 3501");
	script_silent();
	script_close();
}

/* A probe of the tail is due when new text leaves: its last segment, which the driver has just taken. */
static void test_super__probe_in_the_same_turn(void **state)
{
	uint8_t text[3000];

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	script_cuts();
	s.hold_tx = true;
	script_write(2500);
	script_skip();
	for (unsigned int ms = 0; ms < 1000; ms++) {
		lane_poll(s.ln, s.ln->now_us + 1000);
		if (lane_tcp_x(s.ln, s.pcb)->rec.bits & LANE_RB_TLP_DUE)
			break;
		script_flush();
	}
	assert_true(lane_tcp_x(s.ln, s.pcb)->rec.bits & LANE_RB_TLP_DUE);
	script_fill(text, sizeof(text));
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, text, sizeof(text), false, NULL), sizeof(text));
	script_flush();
	script_out(". 2501 ack 1 len 1000");
	script_out("P. 4501 ack 1 len 1000");
	script_silent();
	script_complete();
	s.hold_tx = false;
	script_close();
}

/* The driver has no room after all: what was gathered is lost, but not what leaves behind it. */
static void test_super__refused(void **state)
{
	uint8_t text[2500];

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000 sackok", 20);
	script_cuts();
	s.hold_tx = true;
	script_fill(text, sizeof(text));
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, text, sizeof(text), false, NULL), sizeof(text));
	lane_tcp_shutdown(s.ln, s.pcb, false, true);
	s.refuse = 1;
	script_flush();
	script_out("F. 2001 ack 1 len 500");
	script_silent();
	assert_int_equal(s.pcb->snd_nxt - s.iss, 2502);
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TX_FULL], 1);
	/* The peer has it, which tells what is lost. */
	script_run_ms(20);
	script_in(". 1 ack 1 sack 2001-2502");
	script_until_out(20);
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 1001 sack 2001-2502");
	script_out(". 1001 ack 1 len 1000");
	script_in(". 1 ack 2502");
	script_complete();
	s.hold_tx = false;
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge__text),
		cmocka_unit_test(test_merge__small_text_in_one_frame),
		cmocka_unit_test(test_merge__a_gap_and_what_came_before),
		cmocka_unit_test(test_merge__acks),
		cmocka_unit_test(test_merge__no_ack_of_what_was_not_sent),
		cmocka_unit_test(test_merge__no_old_timestamp),
		cmocka_unit_test(test_merge__acks_and_text),
		cmocka_unit_test(test_merge__no_duplicate_acks),
		cmocka_unit_test(test_merge__not_with_flags_or_sack),
		cmocka_unit_test(test_merge__timestamps),
		cmocka_unit_test(test_merge__flows_apart),
		cmocka_unit_test(test_seg__behind_the_end),
		cmocka_unit_test(test_super__one_packet),
		cmocka_unit_test(test_super__probe_in_the_same_turn),
		cmocka_unit_test(test_super__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
