/*
 * tune_test.c - the first receive window, and how the buffer behind it grows (stack/tcp/tune.c)
 */
#include "tests/unit/tcp/script.h"

#include "lane-int/tcp_info.h"
#include "stack/tcp/pcb.h"

static void many_frames(struct lane_config *cfg)
{
	cfg->nr_bufs = 8192;
}

static void few_frames(struct lane_config *cfg)
{
	cfg->nr_bufs = 200;
}

static void connects(const char *syn)
{
	struct lane_ep local = {.port = 0}, remote = {script_ip(2), SCRIPT_PEER};
	struct lane_tcp *pcb = lane_tcp_create(s.ln, 2);

	assert_int_equal(lane_tcp_connect(s.ln, pcb, &local, &remote), 0);
	script_flush();
	script_out(syn);
	lane_tcp_put(s.ln, pcb);
}

/* Linux' figures, of whole segments of half the buffer. */
static void test_first_window__as_linux(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(many_frames);
	script_listen(5);
	script_in("S 0 mss 1400");
	script_out("S. 0 ack 1 win 64240");
	script_in("R 1");
	script_in("S 0 mss 1400 ts 1:0");
	script_out("S. 0 ack 1 win 65160");
	script_in(". 1 ack 1 ts 2:0");
	script_in(". 1 ack 1 len 1000 ts 2:0");
	script_out(". 1 ack 1001 win 64160"); /* 376 bytes more are not worth a step */
	lane_tcp_get_opts(s.ln, s.listener, &o);
	o.rcvbuf = 20000;
	lane_tcp_set_opts(s.ln, s.listener, &o);
	s.peer++;
	script_in("S 0 mss 1400 ts 1:0");
	script_out("S. 0 ack 1 win 8688");
	connects("S 0 win 64240");
	script_close();
}

/* A path MTU that is learnt within the handshake does not take back what the SYN-ACK offered. */
static void test_first_window__path_changes(void **state)
{
	struct lane_ip peer = script_ip(2);

	(void)state;
	script_open(many_frames);
	script_listen(5);
	script_in("S 0 mss 1400");
	script_out("S. 0 ack 1 win 64240");
	lane_pmtu_learn(s.ln, &peer, script_mtu(1499));
	script_in(". 1 ack 1");
	s.pcb = lane_tcp_accept(s.ln, s.listener, 0);
	script_in(". 0 ack 1");
	script_out(". 1 ack 1");
	assert_true(s.last.wnd >= 64240);
	script_close();
}

/* Frames for so much are not there. */
static void test_first_window__few_frames(void **state)
{
	(void)state;
	script_open(few_frames);
	script_listen(5);
	script_in("S 0 mss 1400");
	script_out("S. 0 ack 1 win 4096");
	connects("S 0 win 8192");
	script_close();
}

/* ---- tune.c ---- */

static struct lane_tcp_info_out info(void)
{
	struct lane_tcp_info_out i;

	lane_tcp_get_info(s.ln, s.pcb, &i);
	return i;
}

/* One segment of 1,000 bytes; 'echo' (or 0) as TSecr behind our TSval. */
static void comes(unsigned int seq, uint32_t echo)
{
	char line[80];
	int n = snprintf(line, sizeof(line), ". %u ack 1 len 1000", seq);

	if (echo)
		snprintf(line + n, sizeof(line) - (size_t)n, " ts %u:%u", 2000 + seq, echo);
	script_in(line);
}

/* Segments of 1,000 bytes from 'seq' on, each of which the program takes; 'echo' (or 0) as TSecr behind our TSval. */
static void brings(unsigned int seq, unsigned int nr, uint32_t echo)
{
	for (unsigned int i = 0; i < nr; i++) {
		comes(seq + i * 1000, echo);
		script_read(1000);
	}
	script_skip();
}

/* The echo of our timestamp in a segment that is as large as they come. */
static void test_tune_rtt__by_echo(void **state)
{
	uint32_t tsval;

	(void)state;
	script_open(many_frames);
	script_accept("S 0 mss 1000 ts 1000:0");
	script_in(". 1 ack 1 len 1000 ts 1002:0");
	script_out(". 1 ack 1001 ts 0:1002");
	tsval = s.last.opts.tsval;
	script_read(1000);
	assert_int_equal(info().rcv_rtt_us, 0);
	script_run_ms(40);
	brings(1001, 1, tsval);
	assert_int_equal(info().rcv_rtt_us, 40000);
	/* The same echo again tells nothing, nor does a small segment. */
	script_run_ms(100);
	brings(2001, 1, tsval);
	assert_int_equal(info().rcv_rtt_us, 40000);
	/* An eighth of what is new. */
	brings(3001, 1, tsval + 20);
	assert_int_equal(info().rcv_rtt_us, 40000 - 40000 / 8 + 120000 / 8);
	/* A peer that echoes what we have not said yet. */
	brings(4001, 1, tsval + 100000);
	assert_int_equal(info().rcv_rtt_us, 50000);
	script_close();
}

/* One segment of 1,000 bytes that the program takes, and the ACK of it. Returns what that says as TSval. */
static uint32_t brings_one(unsigned int seq, uint32_t echo)
{
	char line[80];

	snprintf(line, sizeof(line), ". %u ack 1 len 1000 ts %u:%u", seq, 2000 + seq, echo);
	script_in(line); /* also with TSecr 0 */
	script_read(1000);
	assert_true(script_nr_out() > 0);
	snprintf(line, sizeof(line), ". 1 ack %u ts 0:%u", seq + 1000, 2000 + seq);
	script_out(line);
	script_silent();
	return s.last.opts.tsval;
}

static void pass_us(uint32_t us)
{
	lane_poll(s.ln, s.ln->now_us + us);
	script_flush();
}

/* A connection with timestamps, 300 us behind a tick of ours. Returns our TSval in the ACK of its first segment. */
static uint32_t opens_in_a_tick(void)
{
	script_open(many_frames);
	script_accept("S 0 mss 1000 ts 1000:0");
	pass_us(3300 - s.ln->now_us % 1000);
	return brings_one(1, 0);
}

/* A tick is 1 ms, the path takes less: when each tick left first is known. */
static void test_tune_rtt__within_a_tick(void **state)
{
	uint32_t tsval, next;

	(void)state;
	tsval = opens_in_a_tick();
	pass_us(100);
	assert_int_equal(brings_one(1001, 0), tsval);
	pass_us(50);
	assert_int_equal(brings_one(2001, tsval), tsval);
	assert_int_equal(info().rcv_rtt_us, 150);
	/* Now it is 450; the next tick leaves at 50, and the last one's echo comes behind it. */
	pass_us(600);
	next = brings_one(3001, tsval);
	assert_int_equal(next, tsval + 1);
	pass_us(1000);
	tsval = brings_one(4001, tsval);
	assert_int_equal(tsval, next + 1);
	assert_int_equal(info().rcv_rtt_us, 150);
	pass_us(100);
	brings_one(5001, next);
	assert_int_equal(info().rcv_rtt_us, 150 - 150 / 8 + 4 * 150 / 8);
	/* Two ticks before the last: as ticks tell it, but four times what was known at most. */
	pass_us(5000);
	brings_one(6001, next);
	pass_us(1000);
	brings_one(7001, tsval);
	assert_int_equal(info().rcv_rtt_us, 207 - 207 / 8 + 4 * 207 / 8);
	script_close();
}

/* An echo in the same microsecond does not make all that come later too short. */
static void test_tune_rtt__from_nothing(void **state)
{
	uint32_t tsval;

	(void)state;
	tsval = opens_in_a_tick();
	tsval = brings_one(1001, tsval);
	assert_in_range(info().rcv_rtt_us, 1, 10);
	for (unsigned int i = 0; i < 60; i++) {
		tsval = lane_now_ms(s.ln) + s.pcb->ts_offset;
		script_run_ms(40);
		brings(2001 + i * 1000, 1, tsval);
	}
	assert_in_range(info().rcv_rtt_us, 39000, 40000);
	script_close();
}

/* Text that waits for the program may have closed the window: a longer time may be the program's. */
static void test_tune_rtt__not_the_programs(void **state)
{
	uint32_t tsval;

	(void)state;
	script_open(many_frames);
	script_accept("S 0 mss 1000 ts 1000:0");
	tsval = brings_one(1, 0);
	script_run_ms(10);
	tsval = brings_one(1001, tsval);
	assert_int_equal(info().rcv_rtt_us, 10000);
	for (unsigned int i = 0; i < 20; i++)
		comes(2001 + i * 1000, tsval - 10);
	script_run_ms(100);
	comes(22001, tsval);
	assert_int_equal(info().rcv_rtt_us, 10000);
	script_read(21000);
	script_skip();
	brings(23001, 1, tsval + 1);
	assert_true(info().rcv_rtt_us > 10000);
	script_close();
}

/* Without timestamps the time in which a window arrives; the shortest counts. */
static void test_tune_rtt__by_window(void **state)
{
	(void)state;
	script_open(many_frames);
	script_accept("S 0 mss 1000");
	brings(1, 1, 0);
	assert_int_equal(info().rcv_rtt_us, 0);
	script_run_ms(30);
	brings(1001, 66, 0);
	assert_int_equal(info().rcv_rtt_us, 30000);
	script_run_ms(10);
	brings(67001, 66, 0);
	assert_int_equal(info().rcv_rtt_us, 10000);
	script_run_ms(50);
	brings(133001, 66, 0);
	assert_int_equal(info().rcv_rtt_us, 10000);
	script_close();
}

/* The round is the receiver's: the handshake took no time here, the path takes 40 ms. */
static void test_tune__by_the_receivers_round(void **state)
{
	uint32_t before, echo = 0;

	(void)state;
	script_open(many_frames);
	script_accept("S 0 mss 1000 ws 7 ts 1000:0");
	before = s.pcb->rcv_limit;
	for (unsigned int round = 0; round < 6; round++) {
		brings(1 + round * 60000, 60, echo);
		echo = lane_now_ms(s.ln) + s.pcb->ts_offset;
		script_run_ms(40);
	}
	assert_int_equal(info().rcv_rtt_us, 40000);
	assert_in_range(info().rcv_space, 60000, 62000);
	/* 16 segments more, and twice as much again by the growth from the first round's ten. */
	assert_in_range(s.pcb->rcv_limit, before + 1, 16 * before);
	script_close();
}

/* The program takes them, piece by piece: a multiple of 10,000. */
static void takes(unsigned int bytes)
{
	for (; bytes >= 10000; bytes -= 10000)
		script_read(10000);
	script_skip();
}

/* Time passes, in which the lane's other connections get so many bytes a ms. */
static void busy_ms(unsigned int ms, unsigned int others)
{
	while (ms--) {
		s.ln->st->stats.rx_bytes += others;
		script_run_ms(1);
	}
}

/* Rounds of 'ms': in each so many bytes come, which the program takes. Returns the next number. */
static unsigned int rounds(unsigned int seq, unsigned int nr, unsigned int bytes, unsigned int ms, unsigned int others)
{
	while (nr--) {
		for (unsigned int i = 0; i < bytes; i += 1000, seq += 1000)
			comes(seq, 0);
		busy_ms(ms, others);
		takes(bytes);
	}
	return seq;
}

static unsigned int grows(unsigned int seq, unsigned int ms, unsigned int others)
{
	for (unsigned int i = 0; i < 5; i++)
		seq = rounds(seq, 3, 100000 << i < 600000 ? 100000 << i : 600000, ms, others);
	assert_true(s.pcb->rcv_limit > 1000000);
	return seq;
}

/* Of 200,000 bytes the program takes 1,000 a round, and the rest in the end. */
static unsigned int falls_behind(unsigned int seq, unsigned int nr, unsigned int ms, unsigned int others)
{
	unsigned int i;

	for (i = 0; i < 200; i++, seq += 1000)
		comes(seq, 0);
	for (i = 0; i < nr; i++) {
		busy_ms(ms, others);
		script_read(1000);
		script_skip();
	}
	for (; i < 200; i++)
		script_read(1000);
	script_skip();
	return seq;
}

#define MANY 2000000 /* bytes a ms: 16 Gbit/s */

/* On a fast lane a program that is behind needs no large buffer: what waits in it is cold when it is read. */
static void test_tune__program_is_behind(void **state)
{
	unsigned int seq;
	uint32_t large;

	(void)state;
	script_open(many_frames);
	script_accept_far("S 0 mss 1000 ws 7", 1);
	seq = grows(rounds(1, 6, 60000, 1, MANY), 1, MANY);
	large = s.pcb->rcv_limit;
	/* Once in a while it may be. */
	seq = falls_behind(seq, 1, 1, MANY);
	assert_int_equal(s.pcb->rcv_limit, large);
	seq = falls_behind(seq, 180, 4, MANY);
	assert_in_range(s.pcb->rcv_limit, 256 << 10, (256 << 10) + 10000);
	/* Nor does it shrink where SO_RCVLOWAT has asked for more. */
	assert_int_equal(lane_tcp_rcv_lowat(s.ln, s.pcb, 400000), 400000);
	seq = falls_behind(seq, 180, 4, MANY);
	assert_int_equal(s.pcb->rcv_limit, 400000);
	/* It waits for the path again. */
	grows(seq, 1, MANY);
	script_close();
}

/* As Linux where the path is long, and where little comes. */
static void test_tune__long_or_slow_paths(void **state)
{
	uint32_t large;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int ms = i ? 1 : 20, seq, others = i ? 0 : MANY;

		script_open(many_frames);
		script_accept_far("S 0 mss 1000 ws 7", ms);
		seq = grows(rounds(1, 6, 60000, ms, others), ms, others);
		large = s.pcb->rcv_limit;
		falls_behind(seq, 180, 4 * ms, others);
		assert_int_equal(s.pcb->rcv_limit, large);
		script_close();
	}
}

/* A peer that had nothing to say for a while makes no long path. */
static void test_tune_rtt__after_a_pause(void **state)
{
	uint32_t tsval;

	(void)state;
	tsval = opens_in_a_tick();
	pass_us(100);
	tsval = brings_one(1001, tsval);
	assert_int_equal(info().rcv_rtt_us, 100);
	script_run_ms(1000);
	brings_one(2001, tsval);
	script_run_ms(1000);
	brings_one(3001, tsval + 1000);
	assert_in_range(info().rcv_rtt_us, 100, 200);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_window__as_linux),
		cmocka_unit_test(test_first_window__path_changes),
		cmocka_unit_test(test_first_window__few_frames),
		cmocka_unit_test(test_tune_rtt__by_echo),
		cmocka_unit_test(test_tune_rtt__by_window),
		cmocka_unit_test(test_tune__by_the_receivers_round),
		cmocka_unit_test(test_tune_rtt__within_a_tick),
		cmocka_unit_test(test_tune_rtt__from_nothing),
		cmocka_unit_test(test_tune_rtt__not_the_programs),
		cmocka_unit_test(test_tune__program_is_behind),
		cmocka_unit_test(test_tune__long_or_slow_paths),
		cmocka_unit_test(test_tune_rtt__after_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
