/*
 * active_test.c - opening by us: RFC 9293 3.5, 3.10.7.3, what ends it, simultaneous opens
 */
#include "tests/unit/tcp/script.h"

#include "stack/tcp/pcb.h"

static void test_active__options(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect(NULL);
	assert_int_equal(s.last.opts.have,
			 LANE_OPT_MSS | LANE_OPT_WSCALE | LANE_OPT_SACK_OK | LANE_OPT_TS);
	assert_in_range(s.last.sport, s.ln->net->port_min, s.ln->net->port_max);
	script_in("S. 0 ack 1 win 8000 mss 1000 ws 2 ts 77:0 sackok");
	script_out(". 1 ack 1 ts 0:77");
	assert_int_equal(script_events(s.pcb) & LANE_EV_CONNECTED, LANE_EV_CONNECTED);
	assert_int_equal(lane_tcp_snd_mss(s.ln, s.pcb), 988);
	script_close();
}

static void test_active__peer_without_options(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect("S. 0 ack 1 win 8000");
	assert_int_equal(s.last.opts.have, 0);
	assert_int_equal(lane_tcp_snd_mss(s.ln, s.pcb), script_default_mss());
	script_close();
}

static void set_rcvbuf(uint32_t bytes)
{
	struct lane_tcp_opts_set o;

	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.rcvbuf = bytes;
	assert_int_equal(lane_tcp_set_opts(s.ln, s.pcb, &o), 0);
}

/* The peer scales by the last SYN that it saw: all offer what the first one did. */
static void test_active__buffer_set_between_syns(void **state)
{
	uint8_t scale;

	(void)state;
	script_open(NULL);
	script_connect(NULL);
	scale = s.last.opts.wscale;
	assert_true(scale > 0);
	set_rcvbuf(65536);
	script_until_out(3000);
	script_out("S 0");
	assert_int_equal(s.last.opts.wscale, scale);
	script_in("S. 0 ack 1 win 8000 mss 1000 ws 2 ts 77:0 sackok");
	script_out(". 1 ack 1");
	assert_int_equal(s.last.wnd, (s.pcb->rcv_adv - s.pcb->rcv_nxt) >> scale);
	script_close();
}

static void connect_again(void)
{
	struct lane_ep local = {.port = 0}, remote = {script_ip(2), SCRIPT_PEER};

	assert_int_equal(lane_tcp_connect(s.ln, s.pcb, &local, &remote), 0);
	script_flush();
	script_out("S 0");
	script_in("S. 0 ack 1 win 8000 mss 1000 ws 2 ts 77:0 sackok");
	script_out(". 1 ack 1");
}

/* As Linux: who is reset by shutdown or disconnect says so, until he connects again. */
static void test_active__errors_end_with_connect(void **state)
{
	struct lane_tcp_status st;

	(void)state;
	script_open(NULL);
	script_connect(NULL);
	assert_int_equal(lane_tcp_shutdown(s.ln, s.pcb, true, true), 0);
	lane_tcp_get_status(s.ln, s.pcb, &st);
	assert_int_equal(st.err, ECONNRESET);
	script_flush();
	script_skip();
	connect_again();
	script_write(1);
	script_out("P. 1 ack 1 len 1");
	lane_tcp_disconnect(s.ln, s.pcb);
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), ECONNRESET);
	script_flush();
	script_skip();
	connect_again();
	script_write(1);
	script_out("P. 1 ack 1 len 1");
	script_close();
}

static void test_active__refused(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect(NULL);
	script_in("R 0"); /* without an ACK it means nothing */
	assert_int_equal(script_state(), LANE_TCP_SYN_SENT);
	script_in("R. 0 ack 1");
	assert_int_equal(script_state(), LANE_TCP_CLOSED);
	assert_int_equal(script_events(s.pcb), LANE_EV_ERROR);
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), ECONNREFUSED);
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), 0);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), 0);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -EPIPE);
	/* And it may be used again. */
	lane_tcp_disconnect(s.ln, s.pcb);
	lane_tcp_put(s.ln, s.pcb);
	s.pcb = NULL;
	script_close();
}

static void test_active__bad_ack_is_reset(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect(NULL);
	script_in("S. 0 ack 9");
	script_out("R 9");
	assert_int_equal(script_state(), LANE_TCP_SYN_SENT);
	/* What the peer had of before is gone: the SYN comes again at once, but once only. */
	assert_in_range(script_until_out(10), 1, 4);
	script_out("S 0");
	script_in(". 0 ack 9");
	script_out("R 9");
	assert_in_range(script_until_out(2100), 1900, 2003);
	script_out("S 0");
	script_close();
}

/* However many they are, the SYN comes again at once, and once only. */
static void test_active__many_bad_acks(void **state)
{
	unsigned int syns = 0;

	(void)state;
	script_open(NULL);
	script_connect(NULL);
	for (unsigned int ms = 0; ms < 500; ms++) {
		script_in(". 77 ack 999");
		script_out("R 999");
		script_run_ms(1);
		if (script_nr_out())
			script_out("S 0");
		syns += lane_tcp_x(s.ln, s.pcb)->retries > syns;
	}
	assert_int_equal(syns, 1);
	script_close();
}

/* It is not answered, so nothing of before has ended by it. */
static void test_active__bad_ack_of_a_reset(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect(NULL);
	script_in("R. 0 ack 9");
	script_silent();
	/* Not believed, but the SYN comes again at once, as in Linux. */
	assert_in_range(script_until_out(10), 1, 4);
	script_out("S 0");
	script_close();
}

static void test_active__times_out(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect(NULL);
	for (unsigned int i = 0, ms = 1000; i < 6; i++, ms *= 2) {
		assert_in_range(script_until_out(ms + 10), ms, ms + 3);
		script_out("S 0");
	}
	script_run_ms(64010);
	script_silent();
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), ETIMEDOUT);
	script_close();
}

static void test_active__icmp_is_hard(void **state)
{
	static const struct {
		enum script_icmp what;
		int err;
	} k[] = {
		{SCRIPT_ICMP_HOST, EHOSTUNREACH},
		{SCRIPT_ICMP_NET, ENETUNREACH},
		{SCRIPT_ICMP_PORT, ECONNREFUSED},
		{SCRIPT_ICMP_PARAMETER, EPROTO},
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(k) / sizeof(k[0]); i++) {
		script_open(NULL);
		script_connect(NULL);
		script_icmp(k[i].what, 2, 0); /* not in flight (RFC 5927), nor next */
		assert_int_equal(script_state(), LANE_TCP_SYN_SENT);
		script_icmp(k[i].what, i & 1, 0);
		assert_int_equal(script_state(), LANE_TCP_CLOSED);
		assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), k[i].err);
		script_close();
	}
}

/* RFC 9293 3.5, figure 8. */
static void test_simultaneous_open(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect(NULL);
	script_in("S 0 win 8000 mss 1460");
	script_out("S. 0 ack 1");
	/* As Linux: it offers what our SYN did. */
	assert_int_equal(s.last.opts.have, LANE_OPT_MSS | LANE_OPT_WSCALE | LANE_OPT_SACK_OK | LANE_OPT_TS);
	assert_int_equal(script_state(), LANE_TCP_SYN_RECEIVED);
	script_in("S. 0 ack 1 win 8000 mss 1460");
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
	assert_int_equal(script_events(s.pcb) & LANE_EV_CONNECTED, LANE_EV_CONNECTED);
	script_skip();
	script_write(10);
	script_out("P. 1 ack 1 len 10");
	script_close();
}

/* RFC 7323 2.2: no window of a segment with a SYN is scaled. */
static void test_simultaneous_open__window(void **state)
{
	(void)state;
	script_open(NULL);
	script_connect(NULL);
	script_in("S 0 win 1000 mss 500 ws 7");
	script_out("S. 0 ack 1");
	script_in("S. 0 ack 1 win 1000 mss 500 ws 7");
	script_skip();
	script_write(2000);
	script_out(". 1 ack 1 len 500");
	script_out(". 501 ack 1 len 500");
	script_silent();
	script_in(". 1 ack 1001 win 8");
	script_out(". 1001 ack 1 len 500");
	script_out("P. 1501 ack 1 len 500");
	script_in(". 1 ack 2001 win 8");
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_active__options),
		cmocka_unit_test(test_active__peer_without_options),
		cmocka_unit_test(test_active__buffer_set_between_syns),
		cmocka_unit_test(test_active__errors_end_with_connect),
		cmocka_unit_test(test_active__refused),
		cmocka_unit_test(test_active__bad_ack_is_reset),
		cmocka_unit_test(test_active__many_bad_acks),
		cmocka_unit_test(test_active__bad_ack_of_a_reset),
		cmocka_unit_test(test_active__times_out),
		cmocka_unit_test(test_active__icmp_is_hard),
		cmocka_unit_test(test_simultaneous_open),
		cmocka_unit_test(test_simultaneous_open__window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
