/*
 * guard_test.c - what a connection does not believe, and how it finds out that the peer is gone:
 * PAWS, RFC 5961, zero-window probes, keepalive; and of what it takes only so much
 */
#include "stack/tcp/pcb.h"
#include "tests/unit/tcp/script.h"

static uint64_t drops(enum lane_drop why)
{
	return s.ln->st->stats.drops[why];
}

static void test_paws(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 ts 1000:0");
	script_in("P. 1 ack 1 len 10 ts 1005:0");
	script_out(". 1 ack 11 ts 0:1005");
	script_in("P. 11 ack 1 len 10 ts 1004:0");
	script_out(". 1 ack 11 ts 0:1005");
	assert_int_equal(drops(LANE_DROP_TCP_PAWS), 1);
	/* Modulo 2^32. */
	script_in("P. 11 ack 1 len 10 ts 2147484000:0");
	script_out(". 1 ack 21 ts 0:2147484000");
	/* RST has no PAWS (RFC 7323 5.2). */
	script_in("R 21 ts 1:0");
	assert_int_equal(script_state(), LANE_TCP_CLOSED);
	script_close();
}

/* RFC 7323 5.5: after 24 days without a word the peer's clock may have gone half round. */
static void test_paws__not_after_24_days(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 ts 1000:0");
	script_in("P. 1 ack 1 len 10 ts 900000:0");
	script_out(". 1 ack 11 ts 0:900000");
	for (unsigned int days = 23; days < 26; days += 2) {
		lane_poll(s.ln, s.ln->now_us + days * 24 * 3600 * 1000000ULL);
		script_flush();
		script_skip();
		script_in("P. 11 ack 1 len 10 ts 100:0");
		script_out(days < 24 ? ". 1 ack 11 ts 0:900000" : ". 1 ack 21 ts 0:100");
	}
	script_close();
}

/* RFC 7323 4.3: a segment behind a hole does not move ts_recent. */
static void test_ts_recent__only_from_the_left_edge(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 ts 1000:0");
	script_in("P. 101 ack 1 len 10 ts 1009:0");
	script_out(". 1 ack 1 ts 0:1001");
	script_in("P. 1 ack 1 len 100 ts 1010:0");
	script_out(". 1 ack 111 ts 0:1010");
	script_close();
}

/* RFC 5961 3.2. */
static void test_rst__must_be_exact(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("R 100");
	script_out(". 1 ack 1");
	assert_int_equal(drops(LANE_DROP_TCP_RST_CHALLENGE), 1);
	script_in("R 100000"); /* outside the window: silence */
	script_silent();
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
	script_in("R 1");
	assert_int_equal(script_state(), LANE_TCP_CLOSED);
	script_close();
}

/* RFC 5961 4.2. */
static void test_syn__is_challenged(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("S 1");
	script_out(". 1 ack 1");
	script_in("S 7777777");
	script_out(". 1 ack 1");
	script_in("S. 1 ack 1");
	script_out(". 1 ack 1");
	assert_int_equal(drops(LANE_DROP_TCP_SYN_CHALLENGE), 3);
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
	script_close();
}

/* RFC 5961 5.2. */
static void test_ack__out_of_range(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("P. 1 ack 2 len 10"); /* never sent */
	script_out(". 1 ack 1");
	script_in("P. 1 ack 4294800000 len 10"); /* far too old */
	script_out(". 1 ack 1");
	assert_int_equal(drops(LANE_DROP_TCP_ACK_INVALID), 2);
	/* Older than all that was ever sent. */
	script_in("P. 1 ack 0 len 10");
	script_out(". 1 ack 1");
	assert_int_equal(drops(LANE_DROP_TCP_ACK_INVALID), 3);
	/* A little old is overtaken; its text is good. */
	script_write(20);
	script_out("P. 1 ack 1 len 20");
	script_in(". 1 ack 21");
	script_in("P. 1 ack 1 len 10");
	script_out(". 21 ack 11");
	script_read(10);
	script_close();
}

/* RFC 9293 3.8.6.2.1 (4): a window that stays small gets text, if late. */
static void test_window__small_for_ever(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_shrink(100);
	script_write(250);
	script_silent();
	for (unsigned int at = 1; at < 200; at += 100) {
		char line[64];

		assert_in_range(script_until_out(2000), 190, 2000);
		snprintf(line, sizeof(line), ". %u ack 2 len 100", at);
		script_out(line);
		snprintf(line, sizeof(line), ". 2 ack %u win 100", at + 100);
		script_in(line);
	}
	script_out("P. 201 ack 2 len 50");
	script_close();
}

/* Who sees nothing of the connection must not move its clock. */
static void test_ts_recent__not_with_a_wrong_ack(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 ts 1000:0");
	script_in("P. 1 ack 9 len 10 ts 2000:0");
	script_out(". 1 ack 1 ts 0:1001");
	script_in("P. 1 ack 4294960000 len 10 ts 3000:0");
	script_out(". 1 ack 1 ts 0:1001");
	script_in("P. 1 ack 1 len 10 ts 1002:0");
	script_out(". 1 ack 11 ts 0:1002");
	script_close();
}

/* Nor an ACK that was overtaken, but where Linux' header prediction takes the segment. */
static void test_ts_recent__of_an_overtaken_ack(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 ts 1000:0 sackok");
	script_write(20);
	script_out("P. 1 ack 1 len 20 ts 0:1001");
	script_in(". 1 ack 21 ts 1002:0");
	script_in("P. 1 ack 1 win 500 len 10 ts 1003:0");
	script_out(". 21 ack 11 ts 0:1002");
	script_in("P. 11 ack 1 len 10 ts 1004:0");
	script_out(". 21 ack 21 ts 0:1004");
	script_in("PU. 21 ack 1 len 10 ts 1005:0 urg 1");
	script_out(". 21 ack 31 ts 0:1004");
	script_read(20);
	script_close();
}

/* In TIME_WAIT an ACK in place moves it, and nothing else. */
static void test_ts_recent__in_time_wait(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 ts 1000:0");
	lane_tcp_shutdown(s.ln, s.pcb, false, true);
	script_flush();
	script_skip();
	script_in("F. 1 ack 2 ts 1002:0");
	script_skip();
	script_in(". 2 ack 2 ts 1005:0");
	script_in(". 2 ack 2 ts 1004:0");
	script_out(". 2 ack 2 ts 0:1005");
	script_in(". 1 ack 2 len 1 ts 1009:0");
	script_out(". 2 ack 2 ts 0:1005");
	lane_tcp_put(s.ln, s.pcb);
	s.pcb = NULL;
	script_close();
}

/* As Linux: of two that say the same the window does not shrink, but to nothing. */
static void test_window__of_a_repeat(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in(". 1 ack 1 win 3000");
	assert_int_equal(s.pcb->snd_wnd, 65535);
	script_in("P. 1 ack 1 win 3000 len 10");
	assert_int_equal(s.pcb->snd_wnd, 65535);
	script_skip();
	script_in("P. 11 ack 1 win 3000 len 10");
	assert_int_equal(s.pcb->snd_wnd, 3000);
	script_skip();
	script_in(". 21 ack 1 win 2500");
	script_in(". 21 ack 1 win 2000");
	assert_int_equal(s.pcb->snd_wnd, 2500);
	script_in(". 21 ack 1 win 4000");
	assert_int_equal(s.pcb->snd_wnd, 4000);
	script_in(". 21 ack 1 win 0");
	assert_int_equal(s.pcb->snd_wnd, 0);
	script_read(20);
	script_close();
}

/* As Linux: without ACK, SYN and RST there is no answer wherever it lies. */
static void test_flags__fin_alone(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("F 200000");
	script_in("F 4294960000 len 5");
	script_in("F 1 len 100");
	script_silent();
	assert_int_equal(drops(LANE_DROP_TCP_NO_ACK), 3);
	script_close();
}

static void test_challenge__rate_limited(void **state)
{
	unsigned int nr[3];

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	/* Other numbers in other seconds: a peer that counts its own learns nothing (CVE-2016-5696). */
	for (unsigned int k = 0; k < 3; k++) {
		for (nr[k] = 0; s.ln->st->stats.tcp_challenges_withheld == k && nr[k] < 2000; nr[k]++) {
			script_in("R 100");
			script_skip();
		}
		assert_in_range(nr[k], 501, 1500);
		script_run_ms(1000);
	}
	assert_true(nr[0] != nr[1] || nr[1] != nr[2]);
	script_in("R 100");
	script_out(". 1 ack 1");
	script_close();
}

static void test_flags__impossible(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("P 1 len 5");
	script_silent();
	assert_int_equal(drops(LANE_DROP_TCP_FLAGS), 1);
	script_in("F 1");
	script_silent();
	assert_int_equal(drops(LANE_DROP_TCP_NO_ACK), 1);
	/* As Linux: like a SYN, and like a RST. */
	script_in("SF 1 ack 1");
	script_out(". 1 ack 1");
	script_in("SR. 1 ack 1");
	script_silent();
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -ECONNRESET);
	script_close();
}

/* The peer that resets behind text of which we miss the front; Linux takes that. */
/* A FIN that waits is what came last. */
static void test_rst__behind_a_waiting_fin(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	script_in("F. 101 ack 1 len 100");
	script_out(". 1 ack 1 sack 101-202");
	script_in("R 201");
	script_out(". 1 ack 1 sack 101-202");
	script_in("R 202");
	script_silent();
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -ECONNRESET);
	script_close();
}

static void test_rst__at_sack_end(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok");
	script_in("P. 101 ack 1 len 100");
	script_skip();
	script_in("R 200");
	script_out(". 1 ack 1 sack 101-201");
	script_in("R 201");
	script_silent();
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -ECONNRESET);
	script_close();
}

/* RFC 9293 3.8.6.1: a closed window is probed, for ever as long as the peer answers. */
static void test_persist(void **state)
{
	unsigned int ms = 200;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(1000);
	script_out("P. 1 ack 1 len 1000");
	script_in(". 1 ack 1001 win 0");
	script_write(1000);
	script_silent();
	for (unsigned int i = 0; i < 5; i++) {
		assert_in_range(script_until_out(ms + 10), ms, ms + 4);
		script_out(". 1000 ack 1");
		script_in(". 1 ack 1001 win 0");
		ms *= 2;
	}
	script_in(". 1 ack 1001 win 5000");
	script_out("P. 1001 ack 1 len 1000");
	script_in(". 1 ack 2001 win 5000");
	script_close();
}

/* RFC 9293 3.8.6.2.1: a small window does not make small segments. */
static void test_sws__sender(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_shrink(500);
	script_write(1000);
	script_silent();
	script_in(". 2 ack 1 win 40000");
	script_out("P. 1 ack 2 len 1000");
	script_in(". 2 ack 1001 win 40000");
	script_close();
}

static void accept_keepalive(bool cork)
{
	struct lane_tcp_opts_set o;

	script_open(NULL);
	script_accept("S 0 mss 1000");
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.keepalive = 1;
	o.keepidle_us = 10000000;
	o.keepintvl_us = 2000000;
	o.keepcnt = 3;
	o.cork = cork;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
}

static void test_keepalive(void **state)
{
	(void)state;
	accept_keepalive(false);
	assert_in_range(script_until_out(10100), 9990, 10010);
	script_out(". 0 ack 1");
	script_in(". 1 ack 1");
	assert_in_range(script_until_out(10100), 9990, 10010);
	for (unsigned int i = 0; i < 3; i++) {
		script_out(". 0 ack 1");
		assert_in_range(script_until_out(2100), 1990, 2010);
	}
	/* Three probes without an answer. */
	script_out("R. 1 ack 1");
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -ETIMEDOUT);
	script_close();
}

/* Text that a cork holds stays; it left without a timer. */
static void test_keepalive__beside_held_text(void **state)
{
	(void)state;
	accept_keepalive(true);
	script_run_ms(9900);
	script_write(1);
	assert_in_range(script_until_out(200), 80, 120);
	script_out(". 0 ack 1");
	assert_in_range(script_until_out(300), 80, 120);
	script_out("P. 1 ack 1 len 1");
	assert_in_range(script_until_out(2000), 100, 2000);
	script_out("P. 1 ack 1 len 1");
	script_close();
}

/* Nor is it cut for a window that takes a part of it. */
static void test_keepalive__beside_held_text_and_a_small_window(void **state)
{
	(void)state;
	accept_keepalive(true);
	script_shrink(50);
	script_run_ms(9900);
	script_write(100);
	assert_in_range(script_until_out(200), 80, 120);
	script_out(". 0 ack 2");
	/* The cork lets go, and then it is the window that is in the way. */
	assert_in_range(script_until_out(2000), 250, 2000);
	script_out(". 1 ack 2 len 50");
	script_in(". 2 ack 51 win 50");
	assert_in_range(script_until_out(300), 190, 210);
	script_out("P. 51 ack 2 len 50");
	script_in(". 2 ack 101 win 50");
	script_close();
}

/* A packet of the driver's in pieces: headers in the first frame, text over several. */
static void test_pool__empty(void **state)
{
	struct lane_buf *b[512];
	unsigned int n = 0;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	while (n < 512 && (b[n] = lane_buf_alloc(lane_bufs(s.ln))) != NULL)
		b[n++]->owner = 1;
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -EAGAIN);
	while (n)
		lane_buf_free(lane_bufs(s.ln), b[--n]);
	script_events(s.pcb);
	script_run_ms(5);
	assert_int_equal(script_events(s.pcb), LANE_EV_WRITABLE);
	script_close();
}

/* As Linux, which has a record of an orphan by then: no answer to an ACK of what was never sent. */
static void test_ack__of_an_orphan(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	lane_tcp_put(s.ln, s.pcb);
	s.pcb = NULL;
	script_flush();
	script_out("F. 1 ack 1");
	script_in(". 1 ack 2");
	script_in(". 1 ack 100");
	script_silent();
	script_close();
}

static void many_frames(struct lane_config *cfg)
{
	cfg->nr_bufs = 4096;
	cfg->tcp_rmem[1] = 2 << 20;
}

/* Each segment costs a walk over the ranges, so there are not more than a sound path leaves. */
static void test_ooo__many_ranges(void **state)
{
	char line[64];

	(void)state;
	script_open(many_frames);
	script_accept("S 0 mss 1460");
	for (unsigned int i = 0; i < 600; i++) {
		snprintf(line, sizeof(line), ". %u ack 1 len 1", 3 + 2 * i);
		script_in(line);
		script_skip();
	}
	assert_int_equal(lane_tcp_x(s.ln, s.pcb)->nr_ooo, 512);
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_OOO_FULL], 600 - 512);
	/* What makes them fewer is taken. */
	script_in(". 4 ack 1 len 1");
	script_in(". 1026 ack 1 len 10");
	script_in(". 1201 ack 1 len 1");
	script_skip();
	lane_check(s.ln);
	script_in(". 1 ack 1 len 1035");
	script_out(". 1 ack 1036");
	script_in(". 1036 ack 1 len 400");
	script_out(". 1 ack 1436");
	script_read(1435);
	assert_int_equal(lane_tcp_x(s.ln, s.pcb)->nr_ranges, 0);
	script_close();
}

static void many_pcbs(struct lane_config *cfg)
{
	cfg->nr_tcp = LANE_TCP_OSETS + 1;
}

/* Sockets that all have other options: one too many is told so, and keeps what it had. */
static void test_opts__too_many_sets(void **state)
{
	struct lane_tcp *pcb[LANE_TCP_OSETS];
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(many_pcbs);
	for (unsigned int i = 0; i < LANE_TCP_OSETS; i++) {
		pcb[i] = lane_tcp_create(s.ln, i);
		lane_tcp_get_opts(s.ln, pcb[i], &o);
		o.user_timeout_us = 1 + i;
		assert_int_equal(lane_tcp_set_opts(s.ln, pcb[i], &o), i + 1 < LANE_TCP_OSETS ? 0 : -ENOBUFS);
	}
	assert_int_equal(s.ln->st->stats.tcp_no_opts, 1);
	lane_tcp_get_opts(s.ln, pcb[LANE_TCP_OSETS - 1], &o);
	assert_int_equal(o.user_timeout_us, 0);
	lane_check(s.ln);
	for (unsigned int i = 0; i < LANE_TCP_OSETS; i++)
		lane_tcp_put(s.ln, pcb[i]);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paws),
		cmocka_unit_test(test_paws__not_after_24_days),
		cmocka_unit_test(test_ts_recent__only_from_the_left_edge),
		cmocka_unit_test(test_window__small_for_ever),
		cmocka_unit_test(test_ts_recent__not_with_a_wrong_ack),
		cmocka_unit_test(test_ts_recent__of_an_overtaken_ack),
		cmocka_unit_test(test_ts_recent__in_time_wait),
		cmocka_unit_test(test_window__of_a_repeat),
		cmocka_unit_test(test_flags__fin_alone),
		cmocka_unit_test(test_rst__must_be_exact),
		cmocka_unit_test(test_syn__is_challenged),
		cmocka_unit_test(test_ack__out_of_range),
		cmocka_unit_test(test_challenge__rate_limited),
		cmocka_unit_test(test_flags__impossible),
		cmocka_unit_test(test_rst__at_sack_end),
		cmocka_unit_test(test_rst__behind_a_waiting_fin),
		cmocka_unit_test(test_persist),
		cmocka_unit_test(test_sws__sender),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_keepalive__beside_held_text),
		cmocka_unit_test(test_keepalive__beside_held_text_and_a_small_window),
		cmocka_unit_test(test_pool__empty),
		cmocka_unit_test(test_ooo__many_ranges),
		cmocka_unit_test(test_ack__of_an_orphan),
		cmocka_unit_test(test_opts__too_many_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
