/*
 * data_test.c - text both ways: reassembly, ACK policy, Nagle and cork, urgent data
 */
#include "tests/unit/tcp/script.h"

static void set_nodelay(void)
{
	struct lane_tcp_opts_set o;

	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.nodelay = 1;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
}

static void test_text__in_order(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("P. 1 ack 1 len 100");
	script_out(". 1 ack 101");
	assert_int_equal(script_events(s.pcb), LANE_EV_READABLE);
	assert_int_equal(lane_tcp_text(s.ln, s.pcb), 100);
	script_read(100);
	assert_int_equal(lane_tcp_text(s.ln, s.pcb), 0);
	script_silent();
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -EAGAIN);
	script_close();
}

/* One ACK for a burst of one flow; and text that leaves carries it. */
static void test_ack__one_a_burst(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in_burst("P. 1 ack 1 len 1000");
	script_in_burst("P. 1001 ack 1 len 1000");
	script_in_burst("P. 2001 ack 1 len 1000");
	script_flush();
	script_out(". 1 ack 3001");
	script_silent();
	script_in_burst("P. 3001 ack 1 len 10");
	script_write(20);
	script_out("P. 1 ack 3011 len 20");
	script_silent();
	script_read(3010);
	script_close();
}

/* tcp.md 1: the first 16 at once, then each second segment, else delayed by min(40 ms, srtt / 4). */
static void test_ack__delayed(void **state)
{
	char line[64];
	unsigned int seq = 1, ms;

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_run_ms(100); /* the round trip */
	script_in(". 1 ack 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 2);
	for (unsigned int i = 0; i < 16; i++, seq += 1000) {
		snprintf(line, sizeof(line), "P. %u ack 1 len 1000", seq);
		script_in(line);
		snprintf(line, sizeof(line), ". 1 ack %u", seq + 1000);
		script_out(line);
	}
	script_in("P. 16001 ack 1 len 1000");
	script_silent();
	ms = script_until_out(100);
	assert_in_range(ms, 25, 27);
	script_out(". 1 ack 17001");
	assert_int_equal(s.ln->st->stats.tcp_delayed_acks, 1);
	script_in("P. 17001 ack 1 len 1000");
	script_silent();
	script_in("P. 18001 ack 1 len 1000");
	script_out(". 1 ack 19001");
	script_run_ms(100);
	script_silent();
	script_read(19000);
	/* After a pause the peer starts with a small window: it is not to wait. */
	script_run_ms(1000);
	script_in("P. 19001 ack 1 len 1000");
	script_out(". 1 ack 20001");
	script_close();
}

/* A request, which is ACKed at once, the answer, and the next request. */
static void begin_dialogue(void)
{
	script_in("P. 1 ack 1 len 10");
	script_out(". 1 ack 11");
	script_write(10);
	script_out("P. 1 ack 11 len 10");
	script_in("P. 11 ack 11 len 10");
}

/* Where the program answers, its text carries the ACKs; when it does not, the delay ends that. */
static void test_ack__pingpong(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	begin_dialogue();
	script_silent();
	script_write(10);
	script_out("P. 11 ack 21 len 10");
	script_in(". 21 ack 21");
	script_run_ms(500);
	script_in("P. 21 ack 21 len 10");
	script_silent();
	script_until_out(41);
	script_out(". 21 ack 31");
	script_in("P. 31 ack 21 len 10");
	script_out(". 21 ack 41");
	script_read(40);
	script_close();
}

/* The answer may take longer than a short round trip: the ACK waits for it as long as Linux' would. */
static void test_ack__pingpong_of_a_short_rtt(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1000");
	script_out("S. 0 ack 1");
	script_run_ms(4);
	script_in(". 1 ack 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 2);
	begin_dialogue();
	script_run_ms(30);
	script_silent();
	assert_in_range(script_until_out(20), 9, 12);
	script_out(". 11 ack 21");
	/* That was no dialogue: a quarter of the round trip. */
	script_in("P. 21 ack 11 len 10");
	script_read(30);
	script_close();
}

static void low_rto(struct lane_config *cfg)
{
	cfg->rto_min_us = 5000;
}

/* Where time-outs may be short, no ACK is later than they are. */
static void test_ack__pingpong_of_a_short_rto(void **state)
{
	(void)state;
	script_open(low_rto);
	script_accept("S 0 mss 1000");
	begin_dialogue();
	script_silent();
	assert_in_range(script_until_out(50), 3, 5);
	script_out(". 11 ack 21");
	script_read(20);
	script_close();
}

/* RFC 2018 4: the latest block first, the others as they came; a FIN belongs to its block. */
static void test_ooo__sack_latest_first(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	script_in(". 701 ack 1 len 100");
	script_out(". 1 ack 1 sack 701-801");
	script_in(". 101 ack 1 len 100");
	script_out(". 1 ack 1 sack 101-201 sack 701-801");
	script_in(". 501 ack 1 len 100");
	script_out(". 1 ack 1 sack 501-601 sack 101-201 sack 701-801");
	script_in(". 201 ack 1 len 50");
	script_out(". 1 ack 1 sack 101-251 sack 501-601 sack 701-801");
	script_in("F. 1001 ack 1");
	script_out(". 1 ack 1 sack 1001-1002 sack 101-251 sack 501-601 sack 701-801");
	script_in(". 801 ack 1 len 200");
	script_out(". 1 ack 1 sack 701-1002 sack 101-251 sack 501-601");
	script_in(". 1 ack 1 len 100");
	script_skip();
	script_in(". 251 ack 1 len 250");
	script_skip();
	script_in(". 601 ack 1 len 100");
	script_skip();
	script_read(1000);
	script_close();
}

static void test_ooo__sack_and_fill(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	script_in(". 101 ack 1 len 100");
	script_out(". 1 ack 1 sack 101-201");
	script_in(". 301 ack 1 len 100");
	script_out(". 1 ack 1 sack 301-401 sack 101-201");
	script_in(". 501 ack 1 len 100");
	script_out(". 1 ack 1 sack 501-601 sack 301-401 sack 101-201");
	/* Joins two ranges. */
	script_in(". 201 ack 1 len 100");
	script_out(". 1 ack 1 sack 101-401 sack 501-601");
	assert_int_equal(script_events(s.pcb), 0);
	script_in(". 1 ack 1 len 100");
	script_out(". 1 ack 401 sack 501-601");
	assert_int_equal(script_events(s.pcb), LANE_EV_READABLE);
	script_in(". 401 ack 1 len 100");
	script_out(". 1 ack 601");
	script_read(600);
	script_close();
}

static void test_ooo__overlaps(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	script_in(". 201 ack 1 len 100");
	script_out(". 1 ack 1 sack 201-301");
	/* Over its front, over its end, inside it, around it. */
	script_in(". 151 ack 1 len 100");
	script_out(". 1 ack 1 sack 201-251 151-301");
	script_in(". 251 ack 1 len 100");
	script_out(". 1 ack 1 sack 251-301 151-351");
	script_in(". 180 ack 1 len 20");
	script_out(". 1 ack 1 sack 180-200 151-351");
	script_in(". 101 ack 1 len 400");
	script_out(". 1 ack 1 sack 151-351 101-501");
	/* In order, with an overlap into the range. */
	script_in(". 1 ack 1 len 250");
	script_out(". 1 ack 501 sack 101-251");
	script_read(500);
	/* Partly and wholly old. */
	script_in(". 401 ack 1 len 200");
	script_out(". 1 ack 601 sack 401-501");
	script_in(". 1 ack 1 len 100");
	script_out(". 1 ack 601 sack 1-101");
	script_read(100);
	script_close();
}

/* The window closes, text beyond it is refused, reading opens it by a worthwhile step. */
static void few_extensions(struct lane_config *cfg)
{
	cfg->nr_tcp_x = 2;
}

/* A hole that the peer does not fill holds the extension that another needs, until it is old (RFC 2018 8). */
static void test_ooo__forgotten_when_old(void **state)
{
	struct lane_tcp *first;
	uint8_t byte = 0;

	(void)state;
	script_open(few_extensions);
	script_accept("S 0 mss 1460 sackok");
	first = s.pcb;
	script_in(". 101 ack 1 len 100");
	script_out(". 1 ack 1 sack 101-201");
	s.peer++;
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 3);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, &byte, 1, false, NULL), -EAGAIN);
	script_run_ms(3000);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, &byte, 1, false, NULL), -EAGAIN);
	script_run_ms(3000);
	script_write(10);
	script_out("P. 1 ack 1 len 10");
	assert_int_equal(lane_stats(s.ln)->tcp_ooo_forgotten, 1);
	script_in(". 1 ack 11");
	lane_tcp_abort(s.ln, s.pcb);
	script_skip();
	s.pcb = first;
	s.peer--;
	script_skip();
	script_close();
}

static void test_collapse__small_segments_share_a_frame(void **state)
{
	uint32_t before;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	before = s.ln->st->bufs.nr_free;
	for (unsigned int i = 0; i < 16; i++) {
		char line[64];

		snprintf(line, sizeof(line), "P. %u ack 1 len 50", 1 + 50 * i);
		script_in(line);
	}
	assert_int_equal(before - s.ln->st->bufs.nr_free, 1);
	script_read(800);
	script_skip();
	script_close();
}

static void test_nagle__minshall(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(10);
	script_out("P. 1 ack 1 len 10");
	script_write(10);
	script_write(10);
	script_silent();
	script_in(". 1 ack 11");
	script_out("P. 11 ack 1 len 20");
	/* A full segment leaves though a short one is out; its short rest waits. */
	script_write(1010);
	script_out(". 31 ack 1 len 1000");
	script_silent();
	script_in(". 1 ack 1031");
	script_out("P. 1031 ack 1 len 10");
	script_in(". 1 ack 1041");
	/* Full segments in flight do not hold a short one (Minshall). */
	script_write(1010);
	script_out(". 1041 ack 1 len 1000");
	script_out("P. 2041 ack 1 len 10");
	script_close();
}

static void test_nagle__nodelay(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	set_nodelay();
	script_write(10);
	script_out("P. 1 ack 1 len 10");
	script_write(10);
	script_out("P. 11 ack 1 len 10");
	script_close();
}

static void test_cork__holds_200_ms(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.cork = 1;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(600);
	script_write(600);
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 1001");
	script_silent();
	assert_in_range(script_until_out(300), 199, 203);
	script_out("P. 1001 ack 1 len 200");
	script_write(10);
	script_silent();
	o.cork = 0;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_flush();
	script_out("P. 1201 ack 1 len 10");
	script_close();
}

static void test_more__then_not(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "\x07\x0e", 2, true, NULL), 2);
	script_flush();
	script_silent();
	script_write(8);
	script_out("P. 1 ack 1 len 10");
	script_close();
}

/* Frames of one call leave as they are; what fits into the last of the call before is joined to it. */
static void test_send__zero_copy(void **state)
{
	static const uint16_t len[3] = {1000, 3, 4};
	struct lane_buf *b[3];
	uint32_t seq = 1;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	set_nodelay();
	for (unsigned int i = 0; i < 3; i++) {
		b[i] = lane_buf_alloc(lane_bufs(s.ln));
		assert_non_null(b[i]);
		b[i]->len = len[i];
		for (unsigned int k = 0; k < len[i]; k++, seq++)
			lane_buf_data(lane_bufs(s.ln), b[i])[k] = (uint8_t)(seq * 7 + (seq >> 8));
	}
	assert_int_equal(lane_tcp_send(s.ln, s.pcb, b, 2, false), 0);
	assert_int_equal(lane_tcp_send(s.ln, s.pcb, b + 2, 1, false), 0);
	script_flush();
	script_out(". 1 ack 1 len 1000");
	script_out("P. 1001 ack 1 len 7");
	script_close();
}

/* A header that is held back and a small file behind it: one segment. Settings alone send no ACK. */
static void test_send__joins_what_is_held(void **state)
{
	struct lane_tcp_opts_set o;
	struct lane_buf *b;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.cork = 1;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(3);
	b = lane_buf_alloc(lane_bufs(s.ln));
	assert_non_null(b);
	b->len = 3;
	for (unsigned int k = 0; k < 3; k++)
		lane_buf_data(lane_bufs(s.ln), b)[k] = (uint8_t)((4 + k) * 7);
	assert_int_equal(lane_tcp_send(s.ln, s.pcb, &b, 1, false), 0);
	script_flush();
	script_silent();
	o.cork = 0;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_flush();
	script_out("P. 1 ack 1 len 6");
	script_close();
}

static void test_sndbuf__eagain_then_writable(void **state)
{
	static const uint8_t text[8192];
	struct lane_tcp_opts_set o;
	struct lane_tcp_status st;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.sndbuf = 12000;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(6000);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, text, sizeof(text), false, NULL), -EAGAIN);
	lane_tcp_get_status(s.ln, s.pcb, &st);
	assert_false(st.writable);
	assert_int_equal(st.snd_queued, 6000);
	script_skip();
	script_events(s.pcb);
	script_in(". 1 ack 1001");
	assert_int_equal(script_events(s.pcb), 0);
	script_in(". 1 ack 2001");
	assert_int_equal(script_events(s.pcb), LANE_EV_WRITABLE);
	script_skip();
	script_close();
}

static void test_take__whole_frames(void **state)
{
	struct lane_buf *b[8];
	int n;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in(". 1 ack 1 len 1400");
	script_in(". 1401 ack 1 len 1400");
	script_skip();
	n = lane_tcp_take(s.ln, s.pcb, b, 8, 2000);
	assert_int_equal(n, 1);
	assert_int_equal(b[0]->len, 1400);
	lane_tcp_untake(s.ln, s.pcb, b, 1);
	n = lane_tcp_take(s.ln, s.pcb, b, 8, 5000);
	assert_int_equal(n, 2);
	lane_tcp_received(s.ln, s.pcb, 2800);
	lane_buf_free(lane_bufs(s.ln), b[0]);
	lane_buf_free(lane_bufs(s.ln), b[1]);
	assert_int_equal(lane_tcp_take(s.ln, s.pcb, b, 8, 5000), -EAGAIN);
	script_close();
}

/* posix.md 54, 78. */
static void test_urgent__mark(void **state)
{
	struct lane_tcp_status st;
	uint8_t c;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("PU. 1 ack 1 len 10 urg 6"); /* the sixth byte */
	script_skip();
	assert_true(script_events(s.pcb) & LANE_EV_URGENT);
	lane_tcp_get_status(s.ln, s.pcb, &st);
	assert_true(st.urgent);
	assert_int_equal(lane_tcp_text(s.ln, s.pcb), 0);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, &c, 1, true, 0, NULL), 1);
	script_read(1);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 100, false, 0, NULL), 4);
	lane_tcp_get_status(s.ln, s.pcb, &st);
	assert_true(st.at_mark);
	assert_int_equal(lane_tcp_read_oob(s.ln, s.pcb, &c, false), 1);
	assert_int_equal(c, 42);
	assert_int_equal(lane_tcp_read_oob(s.ln, s.pcb, &c, false), -EINVAL);
	/* The byte itself is skipped, as by a peek's second piece. */
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 100, true, 3, NULL), 1);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 100, false, 0, NULL), 4);
	script_close();
}

/* A second urgent byte while the program stands at the first: that one is gone, as in Linux. */
static void test_urgent__twice(void **state)
{
	uint8_t buf[32];

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("PU. 1 ack 1 len 3 urg 3");
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, buf, sizeof(buf), false, 0, NULL), 2);
	script_in("PU. 4 ack 1 len 3 urg 3");
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, buf, sizeof(buf), false, 0, NULL), 2);
	/* A pointer of 0 means the first byte. */
	script_in("PU. 7 ack 1 len 3 urg 0");
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, buf, sizeof(buf), false, 0, NULL), 2);
	script_skip();
	script_close();
}

/* RFC 9293 3.8.5: the peer learns of it though its window is shut. */
static void test_urgent__behind_a_shut_window(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in(". 1 ack 1 win 0");
	assert_int_equal(lane_tcp_write_oob(s.ln, s.pcb, "abc", 3, NULL), 3);
	script_flush();
	script_silent();
	script_in("P. 1 ack 1 win 0 len 10");
	script_out("U. 1 ack 11 urg 3");
	script_close();
}

static void test_urgent__sent(void **state)
{
	static const uint8_t text[3] = {7, 14, 21};

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	assert_int_equal(lane_tcp_write_oob(s.ln, s.pcb, text, 3, NULL), 3);
	script_flush();
	script_out("PU. 1 ack 1 len 3 urg 3");
	script_in(". 1 ack 4");
	script_write(2);
	script_out("P. 4 ack 1 len 2");
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text__in_order),
		cmocka_unit_test(test_ack__one_a_burst),
		cmocka_unit_test(test_ack__delayed),
		cmocka_unit_test(test_ack__pingpong),
		cmocka_unit_test(test_ack__pingpong_of_a_short_rtt),
		cmocka_unit_test(test_ack__pingpong_of_a_short_rto),
		cmocka_unit_test(test_ooo__sack_latest_first),
		cmocka_unit_test(test_ooo__sack_and_fill),
		cmocka_unit_test(test_ooo__overlaps),
		cmocka_unit_test(test_ooo__forgotten_when_old),
		cmocka_unit_test(test_collapse__small_segments_share_a_frame),
		cmocka_unit_test(test_nagle__minshall),
		cmocka_unit_test(test_nagle__nodelay),
		cmocka_unit_test(test_cork__holds_200_ms),
		cmocka_unit_test(test_more__then_not),
		cmocka_unit_test(test_send__zero_copy),
		cmocka_unit_test(test_send__joins_what_is_held),
		cmocka_unit_test(test_sndbuf__eagain_then_writable),
		cmocka_unit_test(test_take__whole_frames),
		cmocka_unit_test(test_urgent__mark),
		cmocka_unit_test(test_urgent__behind_a_shut_window),
		cmocka_unit_test(test_urgent__sent),
		cmocka_unit_test(test_urgent__twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
