/*
 * hostile_test.c - segments that no TCP would send, in every state: nothing breaks, nothing leaks
 *
 * By seeds, reproducible: each round opens a connection, lets the program do something, and throws
 * segments near the window at it. The invariants run after each (script_flush).
 */
#include <errno.h>

#include "tests/unit/tcp/script.h"

#include "stack/base/rng.h"

#define ROUNDS	 200
#define SEGMENTS 60

static uint32_t near(struct lane_rng *r, uint32_t at)
{
	static const uint32_t far[] = {0, 1, 2, 10, 100, 1000, 1460, 5000, 65535, 70000, 1u << 31};
	uint32_t by = far[lane_rng_below(r, sizeof(far) / sizeof(far[0]))];

	return lane_rng_below(r, 2) ? at + by : at - by;
}

static void throw_one(struct lane_rng *r)
{
	static const char *const flags[] = {".",  ".",  ".",  "P.", "P.", "F.", "FP.", "S",
					    "S.", "R",  "R.", "U.", "PU.", "F", "SF", "FPU"};
	uint32_t seq = near(r, 1 + lane_rng_below(r, 3000)), ack = near(r, 1 + lane_rng_below(r, 3000));
	char line[200];
	int n;

	n = snprintf(line, sizeof(line), "%s %u ack %u len %u win %u urg %u",
		     flags[lane_rng_below(r, sizeof(flags) / sizeof(flags[0]))], seq, ack,
		     lane_rng_below(r, 3) ? lane_rng_below(r, 1400) : 0, lane_rng_below(r, 65536),
		     lane_rng_below(r, 2000));
	if (lane_rng_below(r, 4) == 0)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " ts %u:%u",
			      near(r, 1000), near(r, (uint32_t)(s.ln->now_us / 1000)));
	else if (lane_rng_below(r, 8) == 0)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " sack %u-%u", near(r, ack),
			      near(r, ack));
	assert_true((size_t)n < sizeof(line));
	script_in(line);
	script_skip();
}

/* The program does something, whatever the state is; s.pcb is NULL after its close. */
static void act(struct lane_rng *r)
{
	static uint8_t text[3000];
	struct lane_tcp_status st;
	uint8_t byte;

	if (!s.pcb)
		return;
	lane_tcp_get_status(s.ln, s.pcb, &st);
	switch (lane_rng_below(r, 24)) {
	case 0:
		lane_tcp_shutdown(s.ln, s.pcb, lane_rng_below(r, 2), lane_rng_below(r, 2));
		break;
	case 1:
		lane_tcp_put(s.ln, s.pcb);
		s.pcb = NULL;
		break;
	case 2:
		lane_tcp_read_oob(s.ln, s.pcb, &byte, false);
		break;
	case 3:
		script_run_ms(lane_rng_below(r, 400));
		break;
	case 4:
		/* The driver checks what is sent against the pattern of s.iss. */
		if (st.state == LANE_TCP_ESTABLISHED && !st.wr_shut && !st.err)
			script_write(lane_rng_below(r, sizeof(text) / 2) + 1);
		break;
	case 5:
	case 6:
		lane_tcp_read(s.ln, s.pcb, text, lane_rng_below(r, sizeof(text)), lane_rng_below(r, 2),
			      0, NULL);
		break;
	default:
		break;
	}
	script_flush();
	script_skip();
}

static void open_one(struct lane_rng *r)
{
	switch (lane_rng_below(r, 4)) {
	case 0:
		script_connect(NULL);
		break;
	case 1:
		script_connect("S. 0 ack 1 mss 1460 sackok ws 3");
		break;
	case 2:
		script_accept("S 0 mss 1460 ts 1000:0 sackok");
		break;
	default:
		script_listen(1);
		script_in("S 0 mss 1460 ws 2");
		break;
	}
	script_skip();
}

static void test_random_segments(void **state)
{
	struct lane_rng r;

	(void)state;
	for (unsigned int seed = 1; seed <= ROUNDS; seed++) {
		lane_rng_seed(&r, seed);
		script_open(NULL);
		open_one(&r);
		for (unsigned int i = 0; i < SEGMENTS; i++) {
			/* A SYN may have made another connection: the pattern is then unknown. */
			if (lane_rng_below(&r, 2))
				throw_one(&r);
			else
				act(&r);
		}
		script_close();
	}
}

/* A program's read has come to an urgent byte with nothing behind it: it is gone. */
static void test_urgent__passed(void **state)
{
	struct lane_tcp_status st;
	uint8_t c;

	(void)state;
	script_open(NULL);
	script_accept("S 0 mss 1460");
	script_in("PU. 1 ack 1 len 3 urg 3");
	script_skip();
	lane_tcp_pass_urgent(s.ln, s.pcb); /* it is not next */
	assert_int_equal(lane_tcp_read(s.ln, s.pcb, NULL, 9, false, 0, NULL), 2);
	lane_tcp_get_status(s.ln, s.pcb, &st);
	assert_true(st.urgent && st.at_mark);
	lane_tcp_pass_urgent(s.ln, s.pcb);
	lane_tcp_get_status(s.ln, s.pcb, &st);
	assert_false(st.urgent);
	assert_int_equal(lane_tcp_read_oob(s.ln, s.pcb, &c, false), -EINVAL);
	lane_tcp_put_error(s.ln, s.pcb, EFAULT);
	assert_int_equal(lane_tcp_take_error(s.ln, s.pcb), EFAULT);
	script_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_segments),
		cmocka_unit_test(test_urgent__passed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
