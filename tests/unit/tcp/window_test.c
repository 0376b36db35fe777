/*
 * window_test.c - the receive window: what the peer is told, and that it is what is enforced
 */
#include "tests/unit/tcp/script.h"

#include "stack/tcp/pcb.h"

static void small_buffer(struct lane_config *cfg)
{
	cfg->tcp_rmem[1] = cfg->tcp_rmem[2] = cfg->rmem_max = 8192;
}

/* The window closes, text beyond it is refused, reading opens it by a worthwhile step. */
static void test_window__closes_and_opens(void **state)
{
	(void)state;
	script_open(small_buffer);
	script_accept("S 0 mss 1000");
	script_in(". 1 ack 1 len 1000");
	script_out(". 1 ack 1001 win 3096");
	script_in(". 1001 ack 1 len 1000");
	script_out(". 1 ack 2001 win 2096");
	script_in(". 2001 ack 1 len 1000");
	script_out(". 1 ack 3001 win 1096");
	script_in(". 3001 ack 1 len 1000");
	script_out(". 1 ack 4001 win 96");
	/* Only 96 bytes of it fit. */
	script_in(". 4001 ack 1 len 1000");
	script_out(". 1 ack 4097 win 0");
	script_in(". 4097 ack 1 len 1");
	script_out(". 1 ack 4097 win 0");
	assert_int_equal(s.ln->st->stats.drops[LANE_DROP_TCP_RCV_FULL], 2);
	script_read(100);
	script_silent();
	script_read(1000);
	script_out(". 1 ack 4097 win 1100");
	script_read(2996);
	script_out(". 1 ack 4097 win 4096");
	script_close();
}

/* RFC 9293 3.8.6.2.2: the right edge moves by a segment, or half of a small buffer, or not at all. */
static void test_window__no_small_steps(void **state)
{
	uint32_t wnd;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_in("P. 1 ack 1 len 1000");
	script_out(". 1 ack 1001");
	wnd = s.last.wnd;
	script_read(100);
	script_in("P. 1001 ack 1 len 10");
	script_out(". 1 ack 1011");
	assert_int_equal(s.last.wnd, wnd - 10);
	script_read(900);
	script_in("P. 1011 ack 1 len 10");
	script_out(". 1 ack 1021");
	assert_int_equal(s.last.wnd, wnd - 20 + 1000);
	script_close();
}

/* RFC 7323 2.4: what the scale rounds away does not move the right edge to the left. */
static void test_window__scale_rounds_up(void **state)
{
	uint32_t edge = 0, seq = 1, now;
	char line[64];

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000 ws 7");
	for (unsigned int i = 0; i < 40; i++, seq += 33) {
		snprintf(line, sizeof(line), "P. %u ack 1 len 33", seq);
		script_in(line);
		if (script_nr_out() == 0)
			continue;
		snprintf(line, sizeof(line), ". 1 ack %u", seq + 33);
		script_out(line);
		now = seq + 33 + (s.last.wnd << 7);
		assert_true(now >= edge);
		edge = now;
	}
	assert_true(edge > 0);
	script_close();
}

static void test_window__probe_is_answered(void **state)
{
	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	/* seq - 1 without and with a byte (tcp.md 4). */
	script_in(". 0 ack 1");
	script_out(". 1 ack 1");
	script_in(". 0 ack 1 len 1");
	script_out(". 1 ack 1");
	script_close();
}

static void large_buffers(struct lane_config *cfg)
{
	cfg->tcp_rmem[1] = cfg->tcp_rmem[2] = 4 << 20;
}

/* Without scaling no more can be told than 65,535: what is read then is not worth an ACK. */
static void test_window__full_without_scaling(void **state)
{
	uint8_t buf[128];
	char line[64];

	(void)state;
	script_open(large_buffers);
	script_accept("S 0 mss 1460");
	for (uint32_t seq = 1; seq < 500; seq += 100) {
		snprintf(line, sizeof(line), "P. %u ack 1 len 100", seq);
		script_in(line);
		script_run_ms(100);
		script_skip();
		assert_int_equal(lane_tcp_read(s.ln, s.pcb, buf, sizeof(buf), false, 0, NULL), 100);
		script_run_ms(0);
		script_silent();
	}
	script_close();
}

/* As Linux: what the SYN offered is all until text of some length comes. */
static void test_window__first_until_text(void **state)
{
	struct lane_tcp_opts_set o;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1000");
	script_in(". 0 ack 1");
	script_out(". 1 ack 1 win 64240");
	lane_tcp_get_opts(s.ln, s.pcb, &o);
	o.rcvbuf = 200000;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_in(". 0 ack 1");
	script_out(". 1 ack 1 win 64240");
	o.rcvbuf = 131072;
	lane_tcp_set_opts(s.ln, s.pcb, &o);
	script_write(10);
	script_out("P. 1 ack 1 len 10 win 64240");
	script_in("P. 1 ack 11 len 10");
	script_out(". 11 ack 11 win 64230");
	script_in("P. 11 ack 11 len 100");
	script_out(". 11 ack 111 win 65426"); /* 65536 without what waits */
	script_close();
}

static void coarse_scale(struct lane_config *cfg)
{
	cfg->nr_bufs = 4096;
	cfg->tcp_rmem[1] = 131072;
	cfg->tcp_rmem[2] = 256 << 20;
}

/* Segments shorter than a unit of the scale do not move the edge on and on while nothing is read. */
static void test_window__full_with_a_coarse_scale(void **state)
{
	unsigned int seq = 1;
	char line[80];

	(void)state;
	script_open(coarse_scale);
	script_accept("S 0 mss 1460 ws 9");
	assert_int_equal(s.pcb->rcv_wscale, 13);
	for (unsigned int i = 0; i < 400 && s.pcb->rcv_adv - s.pcb->rcv_nxt >= 1400; i++, seq += 1400) {
		snprintf(line, sizeof(line), ". %u ack 1 len 1400", seq);
		script_in(line);
		script_skip();
	}
	assert_in_range(seq, 65536 - 8192, s.pcb->rcv_limit * 9 / 8 + 8192);
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window__closes_and_opens),
		cmocka_unit_test(test_window__no_small_steps),
		cmocka_unit_test(test_window__scale_rounds_up),
		cmocka_unit_test(test_window__probe_is_answered),
		cmocka_unit_test(test_window__full_without_scaling),
		cmocka_unit_test(test_window__first_until_text),
		cmocka_unit_test(test_window__full_with_a_coarse_scale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
