/*
 * script_line.c - a line of text to a segment (see script_line.h)
 */
#include "tests/unit/tcp/script_line.h"

#include <stdlib.h>

static uint32_t number(const char **p)
{
	char *end;
	uint32_t v = (uint32_t)strtoul(*p, &end, 10);

	assert_true(end != *p);
	*p = end;
	return v;
}

static bool word(const char **p, const char *w)
{
	size_t n = strlen(w);

	while (**p == ' ')
		(*p)++;
	if (strncmp(*p, w, n) != 0 || ((*p)[n] != ' ' && (*p)[n] != 0))
		return false;
	*p += n;
	while (**p == ' ')
		(*p)++;
	return true;
}

static uint8_t flags_of(const char **p)
{
	static const char names[] = "FSRP.UEW";
	uint8_t f = 0;

	for (; **p && **p != ' '; (*p)++) {
		const char *c = strchr(names, **p);

		assert_non_null(c);
		f |= (uint8_t)(1 << (c - names));
	}
	return f;
}

static void option(const char **p, struct script_line *l)
{
	struct lane_tcp_info *ti = &l->ti;
	struct lane_tcp_opts *o = &ti->opts;

	if (word(p, "ack")) {
		ti->ack = number(p);
		l->have |= SCRIPT_HAVE_ACK;
	} else if (word(p, "len")) {
		ti->len = number(p);
	} else if (word(p, "win")) {
		ti->wnd = number(p);
		l->have |= SCRIPT_HAVE_WIN;
	} else if (word(p, "urg")) {
		ti->urg = (uint16_t)number(p);
		l->have |= SCRIPT_HAVE_URG;
	} else if (word(p, "ecn")) {
		l->ecn = (uint8_t)number(p);
		l->have |= SCRIPT_HAVE_ECN;
	} else if (word(p, "mss")) {
		o->mss = (uint16_t)number(p);
		o->have |= LANE_OPT_MSS;
	} else if (word(p, "ws")) {
		o->wscale = (uint8_t)number(p);
		o->have |= LANE_OPT_WSCALE;
	} else if (word(p, "sackok")) {
		o->have |= LANE_OPT_SACK_OK;
	} else if (word(p, "ts")) {
		o->tsval = number(p);
		(*p)++;
		o->tsecr = number(p);
		o->have |= LANE_OPT_TS;
	} else if (word(p, "sack")) {
		do {
			assert_true(o->nr_sack < 4);
			o->sack[o->nr_sack].start = number(p);
			(*p)++;
			o->sack[o->nr_sack++].end = number(p);
			while (**p == ' ')
				(*p)++;
		} while (**p >= '0' && **p <= '9');
		o->have |= LANE_OPT_SACK;
	} else {
		fail_msg("script: cannot read \"%s\"", *p);
	}
}

void script_parse(const char *line, struct script_line *l)
{
	const char *p = line;

	*l = (struct script_line){.ti = {.wnd = 65535}};
	l->ti.flags = flags_of(&p);
	l->ti.seq = number(&p);
	while (*p) {
		option(&p, l);
		while (*p == ' ')
			p++;
	}
}
