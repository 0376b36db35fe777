/*
 * handshake_test.c - opening by the peer: RFC 9293 3.5, 3.10.7.1 and 3.10.7.2, options, backlog, listener's end
 */
#include "tests/unit/tcp/script.h"

#include "stack/tcp/pcb.h"

static void test_passive__options_agreed(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 win 8000 mss 1460 ws 7 sackok ts 1000:0");
	script_out("S. 0 ack 1 mss 1460 ws 7 sackok ts 0:1000");
	assert_int_equal(script_events(s.listener), 0);
	script_in(". 1 ack 1 win 500 ts 1001:0");
	assert_int_equal(script_events(s.listener), LANE_EV_ACCEPT);
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	assert_null(lane_tcp_accept(s.ln, s.listener, 7));
	/* 1500 - 40 - 12 for the timestamps */
	assert_int_equal(lane_tcp_snd_mss(s.ln, s.pcb), 1448);
	script_write(2000);
	script_out(". 1 ack 1 len 1448 ts 0:1001");
	script_out("P. 1449 ack 1 len 552");
	script_close();
}

static void test_passive__no_options(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 win 8000");
	assert_int_equal(lane_tcp_snd_mss(s.ln, s.pcb), script_default_mss());
	script_write(script_default_mss() + 64);
	script_out(s.v6 ? ". 1 ack 1 len 1220" : ". 1 ack 1 len 536");
	assert_int_equal(s.last.opts.have, 0);
	script_out(s.v6 ? "P. 1221 ack 1 len 64" : "P. 537 ack 1 len 64");
	script_close();
}

static void test_passive__syn_repeated(void **state)
{
	struct lane_tcp_info first;

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1 mss 1460");
	first = s.last;
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1 mss 1460");
	/* Repeated SYN-ACKs are equal (tcp.md 4). */
	assert_int_equal(first.seq, s.last.seq);
	assert_int_equal(first.wnd, s.last.wnd);
	script_silent();
	script_close();
}

static void test_passive__synack_again_with_backoff(void **state)
{
	unsigned int ms = 1000;

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	for (unsigned int i = 0; i < 5; i++) {
		assert_in_range(script_until_out(ms + 10), ms, ms + 3);
		script_out("S. 0 ack 1");
		ms *= 2;
	}
	/* Given up: silence, and the record is gone. */
	script_run_ms(40000);
	script_silent();
	assert_int_equal(s.ln->st->syn_pool.nr_used, 0);
	script_close();
}

static void test_passive__bad_ack_is_reset(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 2");
	script_out("R 2");
	script_in(". 1 ack 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	script_close();
}

static void test_passive__rst_forgets_the_syn(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in("R 1");
	script_silent();
	assert_int_equal(s.ln->st->syn_pool.nr_used, 0);
	script_close();
}

static void test_passive__text_in_third_ack(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in("P. 1 ack 1 len 100");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	script_read(100);
	script_out(". 1 ack 101");
	script_close();
}

static void test_listener__strays(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in(". 10 ack 20");
	script_out("R 20");
	script_in("F 10");
	script_in("R 10");
	script_in("FPU 10");
	script_silent();
	script_close();
}

static void test_no_port__reset(void **state)
{
	(void)state;
	script_open(NULL);
	script_in("S 0 mss 1460");
	script_out("R. 0 ack 1");
	script_in(". 10 ack 20 len 5");
	script_out("R 20");
	script_in("R 10");
	script_in("R. 10 ack 3");
	script_silent();
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_NO_PORT], 2);
	script_close();
}

/* posix.md 70: n holds n + 1; more SYNs are dropped in silence. */
static void test_backlog(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(1);
	for (s.peer = 4000; s.peer < 4002; s.peer++) {
		script_in("S 0 mss 1460");
		script_out("S. 0 ack 1");
		script_in(". 1 ack 1");
	}
	script_in("S 0 mss 1460");
	script_silent();
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_BACKLOG], 1);
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	/* There is room again. */
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	/* listen() again changes the backlog only. */
	assert_int_equal(lane_tcp_listen(s.ln, s.listener, &(struct lane_ep){.port = 80}, false, 0), 0);
	s.peer++;
	script_in("S 0 mss 1460");
	script_silent();
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 4);
	script_skip();
	script_close();
}

static void few_pcbs(struct lane_config *cfg)
{
	cfg->nr_tcp = 64;
	cfg->nr_syn = 256; /* no cookies */
	cfg->listen_spill = 1;
}

/* With hardly a pcb left SYNs are the kernel's, until there are enough again. */
static void test_listen_in__spill(void **state)
{
	(void)state;
	script_open(few_pcbs);
	script_listen(64);
	for (s.peer = 4000; s.peer < 4063; s.peer++) {
		assert_int_equal(s.ln->st->listen_full, 0);
		script_in("S 0 mss 1460");
		script_out("S. 0 ack 1");
		script_in(". 1 ack 1");
	}
	script_run_ms(2);
	assert_int_equal(s.ln->st->listen_full, 1);
	/* Its queue is reset with it. */
	lane_tcp_put(s.ln, s.listener);
	s.listener = NULL;
	script_run_ms(2);
	assert_int_equal(s.ln->st->listen_full, 0);
	script_skip();
	script_close();
}

/* Who gets a SYN-ACK gets a connection: half-open ones leave the last pcbs to nobody. */
static void test_listen_in__spill_keeps_promises(void **state)
{
	uint32_t iss[63];

	(void)state;
	script_open(few_pcbs);
	script_listen(64);
	for (s.peer = 4000; s.peer < 4063; s.peer++) {
		script_in("S 0 mss 1460");
		script_out("S. 0 ack 1");
		iss[s.peer - 4000] = s.iss;
	}
	script_in("S 0 mss 1460");
	script_silent();
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_NO_PCB], 1);
	assert_int_equal(s.ln->st->listen_full, 1);
	for (s.peer = 4000; s.peer < 4063; s.peer++) {
		s.iss = iss[s.peer - 4000];
		script_in(". 1 ack 1");
	}
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 64);
	assert_int_equal(s.ln->st->syn_pool.nr_used, 0);
	script_skip();
	lane_tcp_put(s.ln, s.listener);
	s.listener = NULL;
	script_run_ms(2);
	script_skip();
	script_close();
}

/* A peer that has not answered comes again, to the kernel: no second SYN-ACK with another number. Who has
 * answered and found no room does not. */
static void test_listen_in__spill_and_half_open(void **state)
{
	struct lane_tcp *own[63];
	unsigned int nr = 0;
	uint32_t iss;

	(void)state;
	script_open(few_pcbs);
	script_listen(64);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	s.peer++;
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	iss = s.iss;
	while (nr < 63 && (own[nr] = lane_tcp_create(s.ln, 0)))
		nr++;
	assert_int_equal(s.ln->st->tcp_pool.nr_used, 64);
	s.peer = 4001;
	s.iss = iss;
	script_in(". 1 ack 1");
	script_run_ms(1005);
	assert_int_equal(s.ln->st->listen_full, 1);
	script_out("S. 0 ack 1");
	assert_int_equal(s.last.dport, 4001);
	script_run_ms(2000);
	script_out("S. 0 ack 1");
	assert_int_equal(s.last.dport, 4001);
	script_silent();
	while (nr > 0)
		lane_tcp_put(s.ln, own[--nr]);
	script_run_ms(2);
	assert_int_equal(s.ln->st->listen_full, 0);
	script_skip();
	script_run_ms(4000);
	assert_in_range(script_nr_out(), 2, 100);
	script_skip();
	lane_tcp_put(s.ln, s.listener);
	s.listener = NULL;
	script_run_ms(2);
	script_skip();
	script_close();
}

/* Two handshakes end when there is room for one: the second's ACK is dropped and may come again. */
static void test_backlog__full_at_third_ack(void **state)
{
	uint32_t iss[2];

	(void)state;
	script_open(NULL);
	script_listen(0);
	for (unsigned int i = 0; i < 2; i++, s.peer++) {
		script_in("S 0 mss 1460");
		script_out("S. 0 ack 1");
		iss[i] = s.iss;
	}
	for (unsigned int i = 0; i < 2; i++) {
		s.peer = (uint16_t)(SCRIPT_PEER + i);
		s.iss = iss[i];
		script_in(". 1 ack 1");
	}
	script_silent();
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	assert_null(lane_tcp_accept(s.ln, s.listener, 7));
	lane_tcp_abort(s.ln, s.pcb);
	script_skip();
	assert_in_range(script_until_out(1100), 900, 1100);
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	script_close();
}

static void test_listener__close_resets_the_queue(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	lane_tcp_put(s.ln, s.listener);
	s.listener = NULL;
	script_flush();
	script_out("R. 1 ack 1");
	script_close();
}

/* posix.md 71. */
static void test_queued__reset_is_still_accepted(void **state)
{
	struct lane_tcp_status st;
	struct lane_ep ep;

	(void)state;
	script_open(NULL);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	script_in("R 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	lane_tcp_get_status(s.ln, s.pcb, &st);
	assert_int_equal(st.err, ECONNRESET);
	assert_int_equal(lane_tcp_get_remote(s.ln, s.pcb, &ep), -ENOTCONN);
	lane_tcp_get_peer(s.ln, s.pcb, &ep);
	assert_int_not_equal(ep.port, 0);
	script_close();
}

static void test_defer_accept(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(NULL);
	script_listen(5);
	lane_tcp_get_opts(s.ln, s.listener, &o);
	o.defer_accept_us = 3000000;
	lane_tcp_set_opts(s.ln, s.listener, &o);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in(". 1 ack 1");
	assert_null(lane_tcp_accept(s.ln, s.listener, 7));
	script_run_ms(2000);
	script_silent();
	script_in("P. 1 ack 1 len 10");
	script_out(". 1 ack 11");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_non_null(s.pcb);
	script_read(10);
	script_close();
}

/* In SYN_RECEIVED, as Linux: another SYN in the window ends it, a SYN-ACK is challenged. */
static void test_syn_received__other_syn(void **state)
{
	(void)state;
	script_open(NULL);
	script_listen(8);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_in("S. 0 ack 1");
	script_out(". 1 ack 1");
	script_in("S 5000 mss 1460");
	script_skip();
	assert_int_equal(s.ln->st->syn_pool.nr_used, 0);
	script_in("S 5000 mss 1460");
	script_out("S. 0 ack 5001");
	script_close();
}

/* Less than the timestamps that go with each segment: text goes on in the smallest segments there are. */
static void test_mss__smaller_than_the_options(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 8 ts 1000:0");
	script_write(100);
	script_out(". 1 ack 1 len 48");
	script_close();
}

/* A sysctl that changes is the default of new sockets, not of those that there are. */
static void test_create__defaults_of_now(void **state)
{
	struct lane_tcp_opts_set o;
	struct lane_tcp *pcb;

	(void)state;
	script_open(NULL);
	script_listen(5);
	s.ln->st->cfg.keepalive_time_us = 1234000000;
	lane_tcp_get_opts(s.ln, s.listener, &o);
	assert_int_equal(o.keepidle_us, 7200000000);
	pcb = lane_tcp_create(s.ln, 3);
	lane_tcp_get_opts(s.ln, pcb, &o);
	assert_int_equal(o.keepidle_us, 1234000000);
	lane_tcp_put(s.ln, pcb);
	/* What a listener hands on is its own. */
	script_accept("S 0 mss 1460");
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	assert_int_equal(o.keepidle_us, 7200000000);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passive__options_agreed),
		cmocka_unit_test(test_passive__no_options),
		cmocka_unit_test(test_passive__syn_repeated),
		cmocka_unit_test(test_passive__synack_again_with_backoff),
		cmocka_unit_test(test_passive__bad_ack_is_reset),
		cmocka_unit_test(test_passive__rst_forgets_the_syn),
		cmocka_unit_test(test_passive__text_in_third_ack),
		cmocka_unit_test(test_listener__strays),
		cmocka_unit_test(test_no_port__reset),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_listen_in__spill),
		cmocka_unit_test(test_listen_in__spill_keeps_promises),
		cmocka_unit_test(test_listen_in__spill_and_half_open),
		cmocka_unit_test(test_backlog__full_at_third_ack),
		cmocka_unit_test(test_listener__close_resets_the_queue),
		cmocka_unit_test(test_queued__reset_is_still_accepted),
		cmocka_unit_test(test_defer_accept),
		cmocka_unit_test(test_syn_received__other_syn),
		cmocka_unit_test(test_create__defaults_of_now),
		cmocka_unit_test(test_mss__smaller_than_the_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
