/*
 * flood.c - when a listener gets far more SYNs than its queue holds, drivers are asked to limit them
 *
 * A cookie takes no memory, but a frame, a place in the ring and a SYN-ACK, which the connections that stand
 * lack. More than START cookies within a window are no burst of clients any more: SYNs to the port are limited
 * where they come in (lane_driver.limit), until for a while there were fewer than KEEP in each window.
 */
#include "stack/tcp/synq.h"

#define WINDOW_US 100000
#define START	  1000
#define KEEP	  100
#define HOLD_US	  2000000

static void tell(struct lane *ln, uint16_t port, bool on)
{
	for (unsigned int i = 0; i < ln->nr_queues; i++) {
		struct lane_queue *q = ln->queues[i];

		if (q->drv->limit)
			q->drv->limit(q, port, on);
	}
}

/* The entry of 'port', or one that is not limited any more, or NULL: as many ports are under attack as we can
 * look after. */
static struct lane_flood *entry_for(struct lane *ln, uint16_t port)
{
	struct lane_flood *spare = NULL;

	for (unsigned int i = 0; i < LANE_NR_FLOODS; i++) {
		struct lane_flood *f = &ln->st->flood[i];

		if (f->used && f->port == port)
			return f;
		if (!f->limited && (!spare || f->window_us < spare->window_us))
			spare = f;
	}
	if (spare)
		*spare = (struct lane_flood){.port = port, .used = 1, .window_us = ln->now_us};
	return spare;
}

void lane_tcp_flood_note(struct lane *ln, uint16_t port)
{
	struct lane_flood *f = entry_for(ln, port);

	if (!f) {
		ln->st->stats.tcp_floods_beyond++;
		return;
	}
	if (ln->now_us - f->window_us >= WINDOW_US) {
		f->window_us = ln->now_us;
		f->nr = 0;
	}
	if (++f->nr < (f->limited ? KEEP : START))
		return;
	f->until_us = ln->now_us + HOLD_US;
	if (f->limited)
		return;
	f->limited = 1;
	ln->st->stats.tcp_floods++;
	tell(ln, port, true);
}

void lane_tcp_flood_timers(struct lane *ln)
{
	const struct lane_flood *all = ln->st->flood;
	bool any = false;

	/* Once a poll: mostly there is none. */
	for (unsigned int i = 0; i < LANE_NR_FLOODS; i++)
		any |= all[i].limited;
	if (!any)
		return;
	for (unsigned int i = 0; i < LANE_NR_FLOODS; i++) {
		struct lane_flood *f = &ln->st->flood[i];

		if (!f->limited || ln->now_us < f->until_us)
			continue;
		f->limited = 0;
		f->nr = 0;
		tell(ln, f->port, false);
	}
}

uint64_t lane_tcp_flood_next(const struct lane *ln)
{
	uint64_t at = UINT64_MAX;

	for (unsigned int i = 0; i < LANE_NR_FLOODS; i++) {
		const struct lane_flood *f = &ln->st->flood[i];

		if (f->limited && f->until_us < at)
			at = f->until_us;
	}
	return at;
}
