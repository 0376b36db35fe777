/*
 * syn_help.h - for the tests of half-open connections
 */
#ifndef LANE_TESTS_SYN_HELP_H
#define LANE_TESTS_SYN_HELP_H

#include "tests/unit/tcp/script.h"

#include "lane-int/tcp_info.h"
#include "stack/tcp/synq.h"

static inline const struct lane_stats *stats(void)
{
	return lane_stats(s.ln);
}

static inline uint32_t nr_half_open(void)
{
	return s.ln->st->syn_pool.nr_used;
}

static inline void expect_accept(bool there)
{
	s.pcb = lane_tcp_accept(s.ln, s.listener, 7);
	assert_true(there == (s.pcb != NULL));
}

/* A segment with our last TSval echoed. */
static inline void in_echo(const char *line, unsigned int tsval)
{
	char full[128];

	snprintf(full, sizeof(full), "%s ts %u:%u", line, tsval, s.last.opts.tsval);
	script_in(full);
}

#endif
