/*
 * knobs_test.c - what a connection does by the namespace's sysctls (posix/keeper/knobs.c), and hard limits
 */
#include "tests/unit/tcp/script.h"

#include "lane-int/tcp_info.h"
#include "stack/tcp/pcb.h"

static struct lane_stats *stats(void)
{
	return &s.ln->st->stats;
}

static void put_pcb(void)
{
	lane_tcp_put(s.ln, s.pcb);
	s.pcb = NULL;
	script_flush();
}

/* ---- what SYNs offer ---- */

static void offer_nothing(struct lane_config *cfg)
{
	cfg->sack = cfg->timestamps = cfg->window_scaling = 0;
}

static void check_offers_nothing(void)
{
	assert_int_equal(s.last.opts.have & (LANE_OPT_SACK_OK | LANE_OPT_TS | LANE_OPT_WSCALE), 0);
}

static void test_tcp_sack_timestamps_window_scaling__0(void **state)
{
	(void)state;
	script_open(offer_nothing);
	script_listen(5);
	script_in("S 0 mss 1460 sackok ts 1000:0 ws 7");
	script_out("S. 0 ack 1");
	check_offers_nothing();
	script_close();
	script_open(offer_nothing);
	script_connect(NULL);
	check_offers_nothing();
	/* A peer that says so all the same is not believed. */
	script_in("S. 0 ack 1 mss 1460 sackok ts 1000:0 ws 7");
	script_out(". 1 ack 1");
	assert_int_equal(s.pcb->flags & (LANE_TF_SACK | LANE_TF_TS | LANE_TF_WSCALE), 0);
	script_in("P. 11 ack 1 len 10");
	script_out(". 1 ack 1");
	script_close();
}

static void no_dsack(struct lane_config *cfg)
{
	cfg->dsack = 0;
}

static void test_tcp_dsack__0(void **state)
{
	(void)state;
	script_open(no_dsack);
	script_accept("S 0 mss 1460 sackok");
	script_in("P. 1 ack 1 len 10");
	script_out(". 1 ack 11");
	script_in("P. 1 ack 1 len 10");
	script_out(". 1 ack 11"); /* no block */
	assert_int_equal(stats()->tcp_dsacks_out, 0);
	script_close();
}

static void large_least(struct lane_config *cfg)
{
	cfg->min_snd_mss = 300;
}

static void test_tcp_min_snd_mss(void **state)
{
	(void)state;
	script_open(large_least);
	script_accept("S 0 mss 8");
	script_write(400);
	script_out(". 1 ack 1 len 300");
	script_close();
}

/* ---- windows ---- */

static uint32_t cwnd(void)
{
	struct lane_tcp_info_out info;

	lane_tcp_get_info(s.ln, s.pcb, &info);
	return info.cwnd;
}

static void no_restart(struct lane_config *cfg)
{
	cfg->slow_start_after_idle = 0;
}

/* The window after 20 segments and then five seconds of silence. */
static uint32_t cwnd_after_idle(void (*tune)(struct lane_config *))
{
	char line[64];
	uint32_t before, after;

	script_open(tune);
	script_accept("S 0 mss 1000");
	for (unsigned int i = 0; i < 20; i++) {
		script_write(10000);
		script_skip();
		snprintf(line, sizeof(line), ". 1 ack %u", 10001 + i * 10000);
		script_in(line);
	}
	before = cwnd();
	assert_true(before > 12);
	script_run_ms(5000);
	script_write(1000);
	after = cwnd();
	script_skip();
	script_close();
	return after == before ? 0 : after;
}

static void test_tcp_slow_start_after_idle(void **state)
{
	(void)state;
	assert_int_equal(cwnd_after_idle(NULL), 10);
	assert_int_equal(cwnd_after_idle(no_restart), 0); /* as it was */
}

static void no_moderation(struct lane_config *cfg)
{
	cfg->moderate_rcvbuf = 0;
}

/* How large the receive buffer became when the program took all that came, 60 KB a round trip. */
static uint32_t tuned(void (*tune)(struct lane_config *))
{
	uint32_t limit, seq = 1;
	char line[64];

	script_open(tune);
	script_accept_far("S 0 mss 1460 ws 7", 10);
	for (unsigned int i = 0; i < 8; i++) {
		for (unsigned int k = 0; k < 40; k++, seq += 1460) {
			snprintf(line, sizeof(line), ". %u ack 1 len 1460", seq);
			script_in(line);
			script_skip();
			script_read(1460);
		}
		script_run_ms(10);
		script_skip();
	}
	limit = s.pcb->rcv_limit;
	script_close();
	return limit;
}

static void test_tcp_moderate_rcvbuf(void **state)
{
	(void)state;
	assert_int_equal(tuned(no_moderation), 65536);
	assert_in_range(tuned(NULL), 2 * 58400, 6291456 / 2);
}

/* Bytes that the send buffer takes, window of 10 segments, then of 'grown' of 1,000 bytes. */
static uint32_t send_limit(void (*tune)(struct lane_config *), unsigned int grown)
{
	uint32_t limit, una = 1;
	char line[64];

	script_open(tune);
	script_accept_far("S 0 mss 1000 ws 7", 20);
	while (cwnd() < grown) {
		uint32_t n = cwnd() * 1000;

		script_write(n);
		script_skip();
		script_run_ms(20);
		una += n;
		snprintf(line, sizeof(line), ". 1 ack %u", una);
		script_in(line);
		script_skip();
	}
	limit = lane_tcp_snd_limit(s.ln, s.pcb);
	script_close();
	return limit;
}

static void many_frames(struct lane_config *cfg)
{
	cfg->nr_bufs = 4096;
}

static void small_most(struct lane_config *cfg)
{
	cfg->tcp_wmem[2] = 100000;
	cfg->nr_bufs = 4096;
}

static void large_default(struct lane_config *cfg)
{
	cfg->tcp_wmem[1] = 300000;
	cfg->nr_bufs = 4096;
}

/* Grows with the window, from 128 KB or the second figure up to the third; and no further than frames allow. */
static void test_tcp_wmem(void **state)
{
	(void)state;
	assert_int_equal(send_limit(many_frames, 10), 131072);
	assert_in_range(send_limit(many_frames, 80), 160000, 330000);
	assert_int_equal(send_limit(large_default, 10), 300000);
	assert_int_equal(send_limit(small_most, 10), 100000);
	assert_true(send_limit(NULL, 10) < 131072); /* 512 frames */
}

static void low_mark(struct lane_config *cfg)
{
	cfg->notsent_lowat = 3000;
	cfg->nr_bufs = 4096;
}

static void test_tcp_notsent_lowat(void **state)
{
	(void)state;
	script_open(low_mark);
	script_accept("S 0 mss 1000");
	script_write(12999);
	assert_int_equal(script_nr_out(), 10);
	assert_true(lane_tcp_is_writable(s.ln, s.pcb)); /* 2,999 wait */
	script_write(1);
	assert_false(lane_tcp_is_writable(s.ln, s.pcb));
	script_skip();
	script_in(". 1 ack 1001");
	script_skip();
	assert_true(lane_tcp_is_writable(s.ln, s.pcb));
	script_close();
}

/* ---- time-outs ---- */

static void low_floor(struct lane_config *cfg)
{
	cfg->rto_min_us = 5000;
}

static unsigned int ms_to_time_out(void (*tune)(struct lane_config *))
{
	unsigned int ms;

	script_open(tune);
	script_accept_far("S 0 mss 1000", 1);
	script_write(100);
	script_out("P. 1 ack 1 len 100");
	ms = script_until_out(1000);
	script_out("P. 1 ack 1 len 100");
	assert_int_equal(stats()->tcp_rtos, 1);
	script_close();
	return ms;
}

static void test_tcp_rto_min_us(void **state)
{
	(void)state;
	assert_in_range(ms_to_time_out(NULL), 201, 203);
	assert_in_range(ms_to_time_out(low_floor), 5, 8);
}

static void one_syn_retry(struct lane_config *cfg)
{
	cfg->syn_retries = cfg->synack_retries = 1;
}

static void test_tcp_syn_retries(void **state)
{
	(void)state;
	script_open(one_syn_retry);
	script_connect(NULL);
	script_run_ms(1100);
	script_out("S 0");
	script_run_ms(2100);
	script_silent();
	assert_int_equal(script_state(), LANE_TCP_CLOSED);
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 1, false, 0, NULL), -ETIMEDOUT);
	script_close();
}

static void test_tcp_synack_retries(void **state)
{
	(void)state;
	script_open(one_syn_retry);
	script_listen(5);
	script_in("S 0 mss 1460");
	script_out("S. 0 ack 1");
	script_run_ms(1100);
	script_out("S. 0 ack 1");
	script_run_s(10);
	script_silent();
	assert_int_equal(s.ln->st->syn_pool.nr_used, 0);
	script_close();
}

/* ---- orphans ---- */

static void two_orphans(struct lane_config *cfg)
{
	cfg->max_orphans = 2;
}

static void test_tcp_max_orphans(void **state)
{
	(void)state;
	script_open(two_orphans);
	for (unsigned int i = 0; i < 3; i++) {
		s.peer = (uint16_t)(SCRIPT_PEER + i);
		script_accept("S 0 mss 1460");
		put_pcb();
		script_out(i < 2 ? "F. 1 ack 1" : "R. 1 ack 1");
	}
	assert_int_equal(s.ln->st->nr_orphans, 2);
	assert_int_equal(stats()->tcp_orphans_reset, 1);
	script_skip();
	script_close();
}

/* A quarter of the connections, whatever the sysctl says. */
static void test_orphans__leave_room(void **state)
{
	unsigned int nr;

	(void)state;
	script_open(NULL);
	for (nr = 0; stats()->tcp_orphans_reset == 0 && nr < 64; nr++) {
		s.peer = (uint16_t)(SCRIPT_PEER + nr);
		script_accept("S 0 mss 1460");
		put_pcb();
		script_skip();
	}
	assert_int_equal(nr, 64 / 4 + 2);
	script_close();
}

static void one_orphan_retry(struct lane_config *cfg)
{
	cfg->orphan_retries = 1;
}

static bool is_gone_after(unsigned int seconds)
{
	bool gone;

	script_accept("S 0 mss 1460");
	put_pcb();
	script_run_s(seconds);
	script_skip();
	gone = s.ln->st->nr_orphans == 0;
	script_close();
	return gone;
}

static void test_tcp_orphan_retries(void **state)
{
	(void)state;
	script_open(one_orphan_retry);
	assert_true(is_gone_after(2));
	script_open(NULL);
	assert_false(is_gone_after(50)); /* 8 of them */
	script_open(NULL);
	assert_true(is_gone_after(130));
}

/* The window stays shut, and each probe is answered: an orphan goes when they are as far apart as they get. */
static void test_orphans__shut_window(void **state)
{
	unsigned int nr = 0;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in(". 1 ack 1 win 0");
	put_pcb();
	for (unsigned int i = 0; i < 10000 && s.ln->st->nr_orphans; i++) {
		script_run_ms(100);
		if (script_nr_out() == 0)
			continue;
		script_out(". 0 ack 1");
		script_in(". 1 ack 1 win 0");
		nr++;
	}
	assert_int_equal(s.ln->st->nr_orphans, 0);
	/* After 200 ms, doubled up to 120 s. */
	assert_int_equal(nr, 10);
	script_silent();
	script_close();
}

static void few_extensions(struct lane_config *cfg)
{
	cfg->nr_tcp_x = 3;
}

/* Whose peer never closes: with an extension, and one that has to give it back. */
static void test_tcp_fin_timeout(void **state)
{
	(void)state;
	for (unsigned int few = 0; few < 2; few++) {
		struct lane_tcp *busy;
		const struct lane_tcp *pcb;

		script_open(few ? few_extensions : NULL);
		s.peer++;
		script_accept("S 0 mss 1460");
		busy = s.pcb;
		script_in("P. 1 ack 1 len 10");
		script_skip();
		s.peer--;
		script_accept("S 0 mss 1460");
		pcb = s.pcb;
		put_pcb();
		script_out("F. 1 ack 1");
		script_in(". 1 ack 2");
		assert_int_equal(pcb->x == LANE_NIL, few);
		script_run_s(59);
		script_silent();
		assert_int_equal(s.ln->st->nr_orphans, 1);
		script_run_s(2);
		assert_int_equal(s.ln->st->nr_orphans, 0);
		lane_tcp_abort(s.ln, busy);
		script_close();
	}
}

/* ---- TIME_WAIT ---- */

static void no_reuse(struct lane_config *cfg)
{
	cfg->tw_reuse = 0;
}

/* connect() from the port that a connection to the same peer ended on, 'ms' ago. */
static int connect_again(void (*tune)(struct lane_config *), unsigned int ms)
{
	struct lane_ep local = {.port = 5555}, remote = {script_ip(2), SCRIPT_PEER};
	int r;

	script_open(tune);
	s.pcb = lane_tcp_create(s.ln, 2);
	assert_int_equal(lane_tcp_connect(s.ln, s.pcb, &local, &remote), 0);
	script_flush();
	script_out("S 0");
	script_in("S. 0 ack 1 mss 1460 ts 1000:0");
	script_out(". 1 ack 1");
	put_pcb();
	script_out("F. 1 ack 1");
	script_in("F. 1 ack 2 ts 1001:0");
	script_out(". 2 ack 2");
	assert_int_equal(s.ln->st->tw_pool.nr_used, 1);
	script_run_s(ms / 1000);
	script_run_ms(ms % 1000);
	s.pcb = lane_tcp_create(s.ln, 2);
	r = lane_tcp_connect(s.ln, s.pcb, &local, &remote);
	script_flush();
	script_skip();
	script_close();
	return r;
}

static void test_tcp_tw_reuse(void **state)
{
	(void)state;
	assert_int_equal(connect_again(NULL, 1500), 0);
	assert_int_equal(connect_again(NULL, 500), -EADDRNOTAVAIL); /* a second has to pass */
	assert_int_equal(connect_again(no_reuse, 1500), -EADDRNOTAVAIL);
	assert_int_equal(connect_again(no_reuse, 61000), 0);
}

/* ---- memory ---- */

/* Small segments behind holes cost a frame each: the queue is as long as the buffer justifies. */
static void test_ooo__hard_cap(void **state)
{
	char line[64];
	unsigned int nr = 0, most;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460 sackok ws 7");
	most = 64 + lane_tcp_opts(s.ln, s.pcb)->rcvbuf / 2 / 512;
	for (; stats()->drops[LANE_DROP_TCP_OOO_FULL] == 0 && nr < 400; nr++) {
		snprintf(line, sizeof(line), "P. %u ack 1 len 1", 3 + 2 * nr);
		script_in(line);
		script_skip();
	}
	assert_int_equal(nr, most + 1);
	/* What fills the hole is taken all the same. */
	script_in("P. 1 ack 1 len 2");
	script_read(3);
	script_skip();
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_sack_timestamps_window_scaling__0),
		cmocka_unit_test(test_tcp_dsack__0),
		cmocka_unit_test(test_tcp_min_snd_mss),
		cmocka_unit_test(test_tcp_slow_start_after_idle),
		cmocka_unit_test(test_tcp_moderate_rcvbuf),
		cmocka_unit_test(test_tcp_wmem),
		cmocka_unit_test(test_tcp_notsent_lowat),
		cmocka_unit_test(test_tcp_rto_min_us),
		cmocka_unit_test(test_tcp_syn_retries),
		cmocka_unit_test(test_tcp_synack_retries),
		cmocka_unit_test(test_tcp_max_orphans),
		cmocka_unit_test(test_orphans__leave_room),
		cmocka_unit_test(test_tcp_orphan_retries),
		cmocka_unit_test(test_orphans__shut_window),
		cmocka_unit_test(test_tcp_fin_timeout),
		cmocka_unit_test(test_tcp_tw_reuse),
		cmocka_unit_test(test_ooo__hard_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
