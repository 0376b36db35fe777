/*
 * plain_test.c - which segments take the short way (stack/tcp/plain.h), and that the others do not
 *
 * That both ways are the same is for the simulator to tell (tests/sim/differ.c).
 */
#include "tests/unit/tcp/script.h"

#include "stack/tcp/pcb.h"

static uint64_t nr_in(void)
{
	return s.ln->nr_plain_in;
}

static uint64_t nr_out(void)
{
	return s.ln->nr_plain_out;
}

/* Answers are written by the long way over IPv6. */
static uint64_t if_v4(uint64_t n)
{
	return s.v6 ? 0 : n;
}

/* A connection on which the peer's first request was answered; the answer is out. */
static void begin(void)
{
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok ws 7 ts 100:0");
	script_in("P. 1 ack 1 len 64 ts 2001:0");
	script_read(64);
	script_write(64);
	script_skip();
	assert_int_equal(nr_in(), 1);
	assert_int_equal(nr_out(), if_v4(1));
}

static void test_in__requests_and_answers(void **state)
{
	(void)state;
	begin();
	script_in("P. 65 ack 65 len 64 ts 2002:0");
	assert_int_equal(nr_in(), 2);
	assert_int_equal(s.pcb->snd_una, s.pcb->snd_nxt);
	assert_int_equal(s.pcb->ts_recent, 2002);
	assert_int_equal(lane_tcp_x(s.ln, s.pcb)->nr_sndq, 0);
	assert_true(script_events(s.pcb) & LANE_EV_READABLE);
	script_read(64);
	s.pcb->flags |= LANE_TF_CWND_LIMITED;
	script_write(30);
	script_out("P. 65 ack 129 len 30");
	assert_int_equal(nr_out(), if_v4(2));
	assert_false(s.pcb->flags & LANE_TF_CWND_LIMITED);
	script_in(". 129 ack 95 win 500 ts 2003:0");
	assert_int_equal(nr_in(), 3);
	assert_int_equal(s.pcb->snd_wnd, 500 << 7);
	script_silent();
	script_close();
}

/* Those that came with others are plain, too, from their look-up on. */
static void test_in__of_a_burst(void **state)
{
	(void)state;
	begin();
	script_in_wait(". 65 ack 65 ts 2002:0");
	script_in("P. 65 ack 65 len 64 win 500 ts 2002:0");
	assert_int_equal(nr_in(), 3);
	script_read(64);
	script_close();
}

/* Whatever says more, or may be wrong. */
static void test_in__all_others_go_the_long_way(void **state)
{
	static const char *const line[] = {
		"P. 65 ack 65 len 64",			    /* without the timestamp */
		"P. 65 ack 65 len 64 ts 1990:0",		    /* RFC 7323 5.3 */
		"P. 65 ack 65 len 64 ts 2002:0 sack 1-65",   /* a DSACK */
		"P. 66 ack 65 len 64 ts 2002:0",		    /* a gap */
		"P. 1 ack 65 len 64 ts 2002:0",		    /* it came before */
		"P. 65 ack 66 len 64 ts 2002:0",		    /* RFC 5961 5 */
		"P. 65 ack 0 len 64 ts 2002:0",		    /* an old ACK */
		"P. 65 ack 33 len 64 ts 2002:0",		    /* half of the segment */
		". 65 ack 1 ts 2002:0",			    /* a duplicate */
		"PE. 65 ack 65 len 64 ts 2002:0",
		"PU. 65 ack 65 len 64 urg 64 ts 2002:0",
		"P. 10000000 ack 65 len 64 ts 2002:0",	    /* beyond the window */
		"FP. 65 ack 65 len 64 ts 2002:0",
		"R 65 ts 2002:0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
		begin();
		script_in(line[i]);
		assert_int_equal(nr_in(), 1);
		script_skip();
		script_close();
	}
}

/* What the long way would have told, or reset. */
static void test_in__signs_of_life(void **state)
{
	(void)state;
	begin();
	s.pcb->keep_probes = 1;
	s.pcb->soft_err = EHOSTUNREACH;
	script_run_ms(20);
	script_in("P. 65 ack 65 len 64 ts 2002:0");
	assert_int_equal(nr_in(), 2);
	assert_int_equal(s.pcb->keep_probes, 0);
	assert_int_equal(s.pcb->soft_err, 0);
	assert_int_equal(s.pcb->last_rx_ms, lane_now_ms(s.ln));
	script_read(64);
	script_skip();
	script_close();
}

/* A writer that waits for room is told. */
static void test_in__who_waits_for_space(void **state)
{
	(void)state;
	begin();
	script_events(s.pcb);
	lane_tcp_want_space(s.ln, s.pcb);
	script_in(". 65 ack 65 ts 2002:0");
	assert_int_equal(nr_in(), 1);
	assert_true(script_events(s.pcb) & LANE_EV_WRITABLE);
	script_in("P. 65 ack 65 len 64 ts 2002:0");
	assert_int_equal(nr_in(), 2);
	script_read(64);
	script_skip();
	script_close();
}

/* A connection on which something else is going on. */
static void test_in__not_beside_other_things(void **state)
{
	(void)state;
	begin();
	script_in("P. 65 ack 65 len 64 ts 2002:0");
	script_in("P. 129 ack 65 len 64 ts 2002:0"); /* the first is not read */
	assert_int_equal(nr_in(), 2);
	script_read(128);
	script_skip();
	script_in("P. 257 ack 65 len 64 ts 2002:0"); /* behind a hole, which stays */
	script_in(". 193 ack 65 ts 2002:0");
	script_in("P. 193 ack 65 len 32 ts 2002:0");
	assert_int_equal(nr_in(), 2);
	script_read(32);
	script_skip();
	script_close();
	begin();
	lane_tcp_shutdown(s.ln, s.pcb, false, true);
	script_flush();
	script_skip();
	script_in("P. 65 ack 65 len 64 ts 2002:0");
	assert_int_equal(nr_in(), 1);
	script_read(64);
	script_skip();
	script_close();
}

static void test_out__only_what_waits_alone(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	begin();
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.nodelay = 1;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(10); /* the answer before is not acknowledged */
	script_out("P. 65 ack 65 len 10");
	assert_int_equal(nr_out(), if_v4(1));
	script_in(". 65 ack 75 ts 2002:0");
	script_write(3000); /* of more than one segment */
	script_skip();
	assert_int_equal(nr_out(), if_v4(1));
	script_in(". 65 ack 3075 win 1 ts 2002:0");
	script_write(200); /* the window takes 128 */
	assert_int_equal(nr_out(), if_v4(1));
	script_skip();
	script_in(". 65 ack 3075 win 100 ts 2002:0");
	script_skip();
	script_close();
}

static void test_out__not_corked(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	begin();
	script_in(". 65 ack 65 ts 2002:0");
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.cork = 1;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(10);
	script_silent();
	assert_int_equal(nr_out(), if_v4(1));
	o.cork = 0;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_flush();
	script_out("P. 65 ack 65 len 10");
	script_in(". 65 ack 75 ts 2002:0");
	script_close();
}

/* A full ring: the long way has it, and it goes again. */
static void test_out__the_driver_is_full(void **state)
{
	uint64_t before;

	(void)state;
	begin();
	script_in(". 65 ack 65 ts 2002:0");
	before = s.ln->st->stats.drops[LANE_DROP_TX_FULL];
	s.refuse = 2; /* both ways */
	script_write(10);
	script_silent();
	assert_true(s.ln->st->stats.drops[LANE_DROP_TX_FULL] > before);
	assert_int_equal(nr_out(), if_v4(1));
	s.refuse = 0;
	script_run_ms(5);
	script_out("P. 65 ack 65 len 10");
	script_in(". 65 ack 75 ts 2002:0");
	script_close();
}

/* An address that is gone is looked at again, though the last frame was of the same. */
static void test_in__addresses_that_went(void **state)
{
	struct lane_nettab *t;

	(void)state;
	begin();
	t = lane_nettab(s.ln);
	lane_net_write_begin(t);
	for (unsigned int i = 0; i < LANE_NET_ADDRS; i++)
		t->addr[i].used = 0;
	lane_net_write_end(t, true);
	script_in("P. 65 ack 65 len 64 ts 2002:0");
	assert_int_equal(nr_in(), 1);
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_IP_DST], 1);
	script_close();
}

/* A request that nothing answers yet: its ACK waits, and what the window and the program held before counts no more. */
static void test_out__nothing_waits(void **state)
{
	(void)state;
	for (int off = 0; off < 2; off++) {
		struct lane_tcp_x *x;

		begin();
		s.ln->no_plain = off;
		x = lane_tcp_x(s.ln, s.pcb);
		x->rate.limited = 0;
		s.pcb->flags |= LANE_TF_CWND_LIMITED;
		script_in("P. 65 ack 65 len 64 ts 2002:0");
		script_silent();
		assert_false(s.pcb->flags & LANE_TF_CWND_LIMITED);
		assert_int_equal(s.pcb->armed, 1 << LANE_TT_DACK);
		assert_true(x->rate.limited);
		assert_int_equal(x->rate.limited_until, x->delivered);
		script_close();
	}
}

/* A small text leaves room, unless the program allows no more than it. */
static void test_write__room_that_is_left(void **state)
{
	static const uint32_t lowat[] = {UINT32_MAX, 65, 64};

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		struct lane_tcp_opts_set o;
		uint8_t text[64];

		begin();
		s.ln->no_plain = i & 1;
		script_in(". 65 ack 65 ts 2002:0");
		lane_tcp_get_opts(s.ln, s.pcb, &o);
		o.notsent_lowat = lowat[i / 2];
		lane_tcp_set_opts(s.ln, s.pcb, &o);
		script_fill(text, sizeof(text));
		assert_int_equal(lane_tcp_write(s.ln, s.pcb, text, sizeof(text), false, NULL), sizeof(text));
		assert_int_equal(!!(s.pcb->flags & LANE_TF_NOSPACE), lowat[i / 2] == sizeof(text));
		script_flush();
		script_out("P. 65 ack 65 len 64");
		script_close();
	}
}

static int no_copy(void *dst, const void *src, size_t n)
{
	(void)dst, (void)src, (void)n;
	return -1;
}

/* Memory of the program that is not there costs it nothing. */
static void test_copy__that_fails(void **state)
{
	(void)state;
	for (int off = 0; off < 2; off++) {
		uint8_t text[64];
		uint32_t nr_free;

		begin();
		s.ln->no_plain = off;
		script_in("P. 65 ack 65 len 64 ts 2002:0");
		nr_free = s.ln->st->bufs.nr_free;
		assert_int_equal(lane_tcp_read(s.ln, s.pcb, text, sizeof(text), false, 0, no_copy), -EFAULT);
		assert_int_equal(lane_tcp_write(s.ln, s.pcb, text, sizeof(text), false, no_copy), -EFAULT);
		assert_int_equal(s.ln->st->bufs.nr_free, nr_free);
		assert_int_equal(lane_tcp_x(s.ln, s.pcb)->nr_sndq, 0);
		script_read(64);
		script_close();
	}
}

static void test_switch__off(void **state)
{
	(void)state;
	script_open(NULL);
	s.ln->no_plain = true;
	script_accept("S 0 mss 1460 sackok ws 7 ts 100:0");
	script_in("P. 1 ack 1 len 64 ts 2001:0");
	script_read(64);
	script_write(64);
	script_skip();
	assert_int_equal(nr_in() + nr_out(), 0);
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in__requests_and_answers),
		cmocka_unit_test(test_in__of_a_burst),
		cmocka_unit_test(test_in__all_others_go_the_long_way),
		cmocka_unit_test(test_in__signs_of_life),
		cmocka_unit_test(test_in__who_waits_for_space),
		cmocka_unit_test(test_in__not_beside_other_things),
		cmocka_unit_test(test_in__addresses_that_went),
		cmocka_unit_test(test_out__only_what_waits_alone),
		cmocka_unit_test(test_out__not_corked),
		cmocka_unit_test(test_out__the_driver_is_full),
		cmocka_unit_test(test_out__nothing_waits),
		cmocka_unit_test(test_write__room_that_is_left),
		cmocka_unit_test(test_copy__that_fails),
		cmocka_unit_test(test_switch__off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
