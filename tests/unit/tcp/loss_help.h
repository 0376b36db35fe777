/*
 * loss_help.h - for the tests of loss recovery: a connection with a round trip of 20 ms and text on its way
 */
#ifndef LANE_TESTS_LOSS_HELP_H
#define LANE_TESTS_LOSS_HELP_H

#include "tests/unit/tcp/script.h"

#include "lane-int/tcp_info.h"

static inline struct lane_tcp_info_out info(void)
{
	struct lane_tcp_info_out i;

	lane_tcp_get_info(s.ln, s.pcb, &i);
	return i;
}

/* A round trip of 20 ms, 'n' bytes written and sent, and so much time passed. */
static inline void send_segments(const char *syn, unsigned int n)
{
	script_open(NULL);
	script_accept_far(syn, 20);
	script_write(n);
	script_skip();
	script_run_ms(20);
	script_silent();
}

#endif
