/*
 * serve.c - sends back what it receives
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <lane/tcp.h>
#include <lane/udp.h>

#include "echo.h"

#define EVENTS_MAX 1024 /* handled in one turn */
#define BACKLOG    511
#define DATAGRAM   65536

/* Sends back what is there, as far as there is space; the rest stays unread, so that the peer's
 * window closes. A short write brings LANE_EV_WRITABLE. */
static void echo_tcp(struct echo *e, struct lane_tcp *pcb)
{
	ssize_t n, sent;

	for (;;) {
		n = lane_tcp_read(e->ln, pcb, e->piece, sizeof(e->piece), true, 0, NULL);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			/* The peer's FIN, or an error: both end it. */
			lane_tcp_put(e->ln, pcb);
			return;
		}
		sent = lane_tcp_write(e->ln, pcb, e->piece, (size_t)n, false, NULL);
		if (sent > 0)
			lane_tcp_read(e->ln, pcb, NULL, (size_t)sent, false, 0, NULL);
		if (sent < n)
			return;
	}
}

static void echo_udp(struct echo *e, struct lane_udp *pcb)
{
	struct lane_udp_msg m;
	ssize_t n;

	for (;;) {
		n = lane_udp_read(e->ln, pcb, e->piece, DATAGRAM, false, &m, NULL);
		if (n == -EAGAIN)
			return;
		/* An error is an ICMP message about an answer; an answer beyond the MTU is lost. */
		if (n >= 0)
			lane_udp_write(e->ln, pcb, &m.remote, &m.local, e->piece, (size_t)n, NULL);
	}
}

static void accept_all(struct echo *e, struct lane_tcp *listener)
{
	struct lane_tcp *pcb;

	while ((pcb = lane_tcp_accept(e->ln, listener, 0)))
		echo_tcp(e, pcb);
}

static unsigned int handle_events(struct echo *e, void *arg)
{
	struct lane_event ev;
	unsigned int n = 0;

	for (; n < EVENTS_MAX && lane_event(e->ln, &ev); n++) {
		if (ev.proto == IPPROTO_UDP)
			echo_udp(e, lane_udp_at(e->ln, ev.index));
		else if (ev.events & LANE_EV_ACCEPT)
			accept_all(e, lane_tcp_at(e->ln, ev.index));
		else
			echo_tcp(e, lane_tcp_at(e->ln, ev.index));
	}
	return n;
}

void echo_run(struct echo *e)
{
	while (!echo_stopping())
		echo_turn(e, handle_events, NULL, UINT64_MAX);
}

/* On all addresses of the interface, of both families. */
int echo_serve(struct echo *e)
{
	struct lane_ep any = {.port = e->port};
	struct lane_tcp *tcp;
	struct lane_udp *udp;
	int r = -ENOBUFS;

	lane_set_now(e->ln, echo_now_ns() / 1000);
	if (e->udp) {
		udp = lane_udp_create(e->ln, 0);
		r = udp ? lane_udp_bind(e->ln, udp, &any, false) : r;
	} else {
		tcp = lane_tcp_create(e->ln, 0);
		r = tcp ? lane_tcp_listen(e->ln, tcp, &any, false, BACKLOG) : r;
	}
	return r < 0 ? echo_fail("listen", strerror(-r)) : 0;
}
