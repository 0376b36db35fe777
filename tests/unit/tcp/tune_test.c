/*
 * tune_test.c - the first receive window, and how the buffer behind it grows (stack/tcp/tune.c)
 */
#include "tests/unit/tcp/script.h"

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
	script_out(". 1 ack 1001 win 64535");
	lane_tcp_get_opts(s.ln, s.listener, &o);
	o.rcvbuf = 20000;
	lane_tcp_set_opts(s.ln, s.listener, &o);
	s.peer++;
	script_in("S 0 mss 1400 ts 1:0");
	script_out("S. 0 ack 1 win 8688");
	connects("S 0 win 64240");
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_window__as_linux),
		cmocka_unit_test(test_first_window__few_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
