/*
 * loss_test.c - retransmission: RFC 6298 (time-out), 5681 and 6582 (recovery), 3042, path MTU
 */
#include "tests/unit/tcp/script.h"

#include "lane-int/tcp_info.h"
#include "stack/tcp/pcb.h"

static void test_rto__backoff(void **state)
{
	unsigned int ms = 200; /* the floor: the round trip is 0 */

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(100);
	script_out("P. 1 ack 1 len 100");
	for (unsigned int i = 0; i < 6; i++) {
		assert_in_range(script_until_out(ms + 10), ms, ms + 4);
		script_out("P. 1 ack 1 len 100");
		ms *= 2;
	}
	script_in(". 1 ack 101");
	script_run_ms(30000);
	script_silent();
	assert_int_equal(s.ln->st->stats.tcp_rtos, 6);
	script_close();
}

static void few_retries(struct lane_config *cfg)
{
	cfg->retries2 = 3;
}

static void test_rto__gives_up(void **state)
{
	(void)state;
	script_open(few_retries);
	script_accept("S 0 mss 1000");
	script_write(100);
	script_run_ms(200 + 400 + 800 + 1600 + 20);
	assert_int_equal(script_nr_out(), 4);
	script_skip();
	assert_int_equal(script_events(s.pcb), LANE_EV_ERROR);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -ETIMEDOUT);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -EPIPE);
	script_close();
}

/* As Linux: not before it was sent again once. */
static void test_user_timeout__shorter_than_rto(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000", 600);
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.user_timeout_us = 200000;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(100);
	script_out("P. 1 ack 1 len 100");
	assert_in_range(script_until_out(3000), 1000, 2000);
	script_out("P. 1 ack 1 len 100");
	script_run_ms(500);
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), ETIMEDOUT);
	script_skip();
	script_close();
}

static void test_user_timeout(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_run_ms(5000); /* idle does not count */
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.user_timeout_us = 1000000;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(100);
	script_out("P. 1 ack 1 len 100");
	/* From the first retransmission on, as in Linux. */
	assert_in_range(script_until_out(1100), 200, 1100);
	script_skip();
	script_run_ms(980);
	assert_int_equal(script_events(s.pcb), 0);
	script_run_ms(40);
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), ETIMEDOUT);
	script_skip();
	script_close();
}

/* After a time-out all of it is sent again, as the window opens. */
static void test_rto__go_back(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(5000);
	script_skip();
	script_until_out(210);
	script_out(". 1 ack 1 len 1000");
	script_silent();
	script_in(". 1 ack 1001");
	script_out(". 1001 ack 1 len 1000");
	script_out(". 2001 ack 1 len 1000");
	script_silent();
	/* The peer had the rest. */
	script_in(". 1 ack 5001");
	script_run_ms(3000);
	script_silent();
	script_close();
}

static void test_fast_retransmit(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(10000);
	assert_int_equal(script_nr_out(), 10);
	script_skip();
	/* The first is lost. Limited transmit (RFC 3042) has nothing to send. */
	script_in(". 1 ack 1 win 65535");
	script_in(". 1 ack 1 win 65535");
	script_silent();
	script_in(". 1 ack 1 win 65535");
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 1 win 65535");
	script_silent();
	script_in(". 1 ack 10001 win 65535");
	assert_int_equal(s.ln->st->stats.tcp_fast_retransmits, 1);
	assert_int_equal(s.ln->st->stats.tcp_rtos, 0);
	script_close();
}

static void test_limited_transmit(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(20000);
	assert_int_equal(script_nr_out(), 10); /* IW10 */
	script_skip();
	script_in(". 1 ack 1 win 65535");
	script_out(". 10001 ack 1 len 1000");
	script_in(". 1 ack 1 win 65535");
	script_out(". 11001 ack 1 len 1000");
	script_in(". 1 ack 1 win 65535");
	script_out(". 1 ack 1 len 1000");
	script_close();
}

/* RFC 6582 3.2: a partial ACK shows the next hole. */
static void test_newreno__partial_ack(void **state)
{
	struct lane_tcp_info_out info;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(10000);
	script_skip();
	for (unsigned int i = 0; i < 3; i++)
		script_in(". 1 ack 1 win 65535");
	script_out(". 1 ack 1 len 1000");
	script_in(". 1 ack 3001 win 65535");
	script_out(". 3001 ack 1 len 1000");
	script_in(". 1 ack 6001 win 65535");
	script_out(". 6001 ack 1 len 1000");
	lane_tcp_get_info(s.ln, s.pcb, &info);
	assert_int_equal(info.ca_state, 3);
	script_in(". 1 ack 10001 win 65535");
	lane_tcp_get_info(s.ln, s.pcb, &info);
	assert_int_equal(info.ca_state, 0);
	assert_true(info.cwnd < 10);
	assert_int_equal(info.total_retrans, 3);
	script_close();
}

/* design.md 6: what the driver still holds is not written; a copy goes. */
static void test_resend__held_frame_is_copied(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	s.hold_tx = true;
	script_write(100);
	script_out("P. 1 ack 1 len 100");
	script_until_out(210);
	script_out("P. 1 ack 1 len 100");
	assert_int_equal(script_nr_out(), 0);
	/* Acknowledged while the driver holds both. */
	script_in(". 1 ack 101");
	script_complete();
	s.hold_tx = false;
	script_close();
}

static void test_partial_ack__of_a_frame(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_write(1000);
	script_out("P. 1 ack 1 len 1000");
	script_in(". 1 ack 401");
	script_until_out(210);
	script_out("P. 401 ack 1 len 600");
	script_in(". 1 ack 1001");
	script_close();
}

/* RFC 1191, 8201: smaller segments at once; RFC 5927: only for what is in flight. */
static void test_icmp__too_big(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_write(2920);
	script_out(". 1 ack 1 len 1460");
	script_out("P. 1461 ack 1 len 1460");
	script_icmp(SCRIPT_ICMP_TOO_BIG, 2922, 1300); /* not in flight, nor next */
	script_silent();
	script_icmp(SCRIPT_ICMP_TOO_BIG, 1, 1300);
	script_out(". 1 ack 1 len 1260");
	script_out(". 1261 ack 1 len 200");
	script_out(". 1461 ack 1 len 1260");
	script_out("P. 2721 ack 1 len 200");
	script_silent();
	script_in(". 1 ack 2921");
	script_close();
}

/* As Linux: the number that is next is believed, so that an idle connection hears, too. */
static void test_icmp__of_what_is_next(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_icmp(SCRIPT_ICMP_TOO_BIG, 2, 1300);
	assert_int_equal(s.pcb->snd_mss, 1460);
	script_icmp(SCRIPT_ICMP_TOO_BIG, 1, 1300);
	assert_int_equal(s.pcb->snd_mss, 1260);
	script_silent();
	script_close();
}

/* Of what is acknowledged together the oldest tells the round trip, as in Linux: it waited the longest. */
static void test_rto__by_the_oldest(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept_far("S 0 mss 1000", 100);
	script_write(1000);
	script_run_ms(80);
	script_write(1000);
	script_run_ms(80);
	script_in(". 1 ack 2001");
	assert_in_range(s.pcb->rto.srtt_us, 105000, 110000); /* 100 * 7/8 + 160 / 8 */
	assert_in_range(s.pcb->min_rtt_us, 79000, 81000);
	script_skip();
	script_close();
}

static void set_mtu(uint32_t mtu)
{
	struct lane_nettab *nt = lane_nettab(s.ln);

	lane_net_write_begin(nt);
	nt->mtu = script_mtu(mtu);
	lane_net_write_end(nt, true);
}

static void set_neighbour(const struct lane_mac *mac, bool failed)
{
	struct lane_nettab *nt = lane_nettab(s.ln);
	struct lane_ip peer = script_ip(2);

	lane_net_write_begin(nt);
	assert_int_equal(lane_net_neigh_set(nt, &peer, mac, failed), 0);
	lane_net_write_end(nt, false);
}

/* A neighbour that is never resolved is no reason to wait for ever (RFC 1122 4.2.3.9). */
static void test_neighbour__that_stays_unknown(void **state)
{
	struct lane_mac mac = {{2, 0, 0, 0, 0, 2}};

	(void)state;
	script_open(few_retries);
	script_connect("S. 0 ack 1 mss 1000");
	script_events(s.pcb);
	/* The kernel gave up, and then forgot that it did. */
	set_neighbour(&mac, true);
	script_in(". 1 ack 1 len 10");
	script_silent();
	set_neighbour(NULL, false);
	script_events(s.pcb);
	script_write(100);
	script_run_ms(200 + 400 + 800 + 1600 + 20);
	script_silent();
	assert_int_equal(script_events(s.pcb), LANE_EV_ERROR);
	assert_int_equal(lane_tcp_write(s.ln, s.pcb, "x", 1, false, NULL), -EHOSTUNREACH);
	script_close();
}

/* The loss window of small segments is no window for large ones (RFC 5681 3.1). */
static void test_mtu__grows_after_a_timeout(void **state)
{
	(void)state;
	script_open(NULL);
	set_mtu(100);
	script_accept("S 0 mss 1460");
	script_write(60);
	script_out("P. 1 ack 1 len 60");
	script_until_out(300);
	script_out("P. 1 ack 1 len 60");
	set_mtu(1500);
	script_until_out(600);
	script_out("P. 1 ack 1 len 60");
	script_in(". 1 ack 61");
	script_write(2000);
	script_out(". 61 ack 1 len 1460");
	script_close();
}

static void names_the_reason(enum script_icmp what, int err)
{
	script_open(few_retries);
	script_accept("S 0 mss 1000");
	script_write(100);
	script_icmp(what, 1, 0);
	assert_int_equal(script_state(), LANE_TCP_ESTABLISHED);
	script_run_ms(3100);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -err);
	script_skip();
	script_close();
}

static void test_icmp__soft_error_names_the_reason(void **state)
{
	(void)state;
	names_the_reason(SCRIPT_ICMP_HOST, EHOSTUNREACH);
	names_the_reason(SCRIPT_ICMP_PARAMETER, EPROTO);
}

static void test_karn__timestamps_measure_resent(void **state)
{
	struct lane_tcp_info_out info;
	char line[80];
	uint32_t tsval;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1012 ts 1000:0");
	script_write(100);
	script_out("P. 1 ack 1 len 100 ts 0:1001");
	script_until_out(210);
	script_out("P. 1 ack 1 len 100 ts 0:1001");
	tsval = s.last.opts.tsval;
	script_run_ms(50);
	snprintf(line, sizeof(line), ". 1 ack 101 ts 1002:%u", tsval);
	script_in(line);
	lane_tcp_get_info(s.ln, s.pcb, &info);
	assert_in_range(info.rtt_us, 1000, 50500);
	assert_int_equal(info.backoff, 0);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rto__backoff),
		cmocka_unit_test(test_rto__gives_up),
		cmocka_unit_test(test_user_timeout),
		cmocka_unit_test(test_user_timeout__shorter_than_rto),
		cmocka_unit_test(test_rto__go_back),
		cmocka_unit_test(test_fast_retransmit),
		cmocka_unit_test(test_limited_transmit),
		cmocka_unit_test(test_newreno__partial_ack),
		cmocka_unit_test(test_resend__held_frame_is_copied),
		cmocka_unit_test(test_partial_ack__of_a_frame),
		cmocka_unit_test(test_icmp__too_big),
		cmocka_unit_test(test_icmp__of_what_is_next),
		cmocka_unit_test(test_rto__by_the_oldest),
		cmocka_unit_test(test_neighbour__that_stays_unknown),
		cmocka_unit_test(test_mtu__grows_after_a_timeout),
		cmocka_unit_test(test_icmp__soft_error_names_the_reason),
		cmocka_unit_test(test_karn__timestamps_measure_resent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
