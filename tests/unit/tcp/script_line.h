/*
 * script_line.h - a script's line of text as a segment; script.h says how lines look
 */
#ifndef LANE_TESTS_SCRIPT_LINE_H
#define LANE_TESTS_SCRIPT_LINE_H

#include "tests/unit/tcp/script.h"

/* Words that a line may lack although 0 is a value. */
#define SCRIPT_HAVE_ACK 0x1
#define SCRIPT_HAVE_WIN 0x2
#define SCRIPT_HAVE_URG 0x4
#define SCRIPT_HAVE_ECN 0x8

struct script_line {
	struct lane_tcp_info ti; /* sequence numbers as in the line */
	unsigned int have;	 /* SCRIPT_HAVE_* */
	uint8_t ecn;		 /* IP's field */
};

/* A line that cannot be read fails the test. */
void script_parse(const char *line, struct script_line *l);

#endif
