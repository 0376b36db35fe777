/*
 * loop.c - a turn of a lane, and the sleep between turns
 *
 * A driver without a descriptor to sleep on (most of DPDK's) is polled for a while, then looked at again after naps.
 */
#include <poll.h>
#include <time.h>

#include "echo.h"

#define SPIN_US 50  /* without work, before the first nap */
#define NAP_US	100

static uint64_t now_us(void)
{
	return echo_now_ns() / 1000;
}

static void follow_network(struct echo *e)
{
	if (e->nl && lane_netlink_read(e->nl)) {
		lane_xdp_set_addrs(e->dev, lane_nettab(e->ln));
		lane_claim_refresh(e->ln);
	}
}

/* Sleeps until a frame, a change of the network, 'at' or a signal. */
static void sleep_until(struct echo *e, uint64_t at)
{
	struct pollfd p[LANE_QUEUES_MAX + 2];
	uint64_t now = now_us(), us;
	struct timespec ts;
	struct lane_queue *q;
	nfds_t n = 0;

	p[n++] = (struct pollfd){.fd = e->nl ? lane_netlink_fd(e->nl) : -1, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = e->stop_fd, .events = POLLIN};
	while ((q = lane_queue(e->ln, (unsigned int)n - 2))) {
		p[n] = (struct pollfd){.fd = q->drv->arm(q), .events = POLLIN};
		if (p[n++].fd < 0 && at > now + NAP_US)
			at = now + NAP_US;
	}
	us = at > now ? at - now : 0;
	ts = (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
	if (ppoll(p, n, at == UINT64_MAX ? NULL : &ts, NULL) > 0 && p[0].revents)
		follow_network(e);
}

/* Polls for a short time instead of sleeping, where sleeping is a nap; true: there are frames, maybe. */
static bool keep_polling(struct echo *e, uint64_t *idle_us)
{
	struct lane_queue *q = lane_queue(e->ln, 0);

	if (e->spin)
		return true;
	if (!q || q->drv->arm(q) >= 0)
		return false;
	if (*idle_us == 0)
		*idle_us = now_us();
	return now_us() - *idle_us < SPIN_US;
}

void echo_turn(struct echo *e, unsigned int (*work)(struct echo *e, void *arg), void *arg, uint64_t until_us)
{
	uint64_t idle_us = 0, at;

	for (;;) {
		unsigned int nr = lane_poll(e->ln, now_us());

		nr += work(e, arg);
		lane_kick(e->ln, lane_flush(e->ln));
		if (e->nl)
			lane_netlink_resolve(e->nl);
		if (nr || echo_stopping() || now_us() >= until_us)
			return;
		if (keep_polling(e, &idle_us))
			continue;
		at = lane_next_timer(e->ln);
		sleep_until(e, at < until_us ? at : until_us);
	}
}
