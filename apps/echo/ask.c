/*
 * ask.c - the other end: connections that each have one request under way, and what they saw
 *
 * Every answer is compared with its request. A datagram that does not come back is sent again after a while, and
 * counted as lost.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lane/tcp.h>
#include <lane/udp.h>

#include "echo.h"

#define STEP_NS	 50	/* of the histogram of round trips */
#define STEPS	 200000 /* up to 10 ms */
#define LOST_NS	 200000000ULL
#define LOOK_US	 50000	/* for lost datagrams, and the end */

struct conn {
	struct lane_tcp *tcp;
	struct lane_udp *udp;
	uint64_t sent_ns;  /* when the request left */
	uint32_t nr_back;  /* bytes of the answer */
	uint32_t nr_out;   /* bytes of the request that were taken */
	uint32_t round;	   /* which request it is */
	bool open;
};

struct asking {
	struct conn *conn;
	uint32_t *steps;
	uint8_t *text;	 /* of a request; 'round' goes into its first bytes */
	uint64_t nr_asked, nr_done, nr_lost, nr_wrong, nr_open, nr_failed;
	uint64_t begin_ns, end_ns;
};

/* Requests differ from one connection and round to the next. */
static void fill(const struct echo *e, struct asking *a, const struct conn *c)
{
	uint32_t key[2] = {(uint32_t)(c - a->conn), c->round};

	memcpy(a->text, key, e->request < sizeof(key) ? e->request : sizeof(key));
}

/* Sends what is left of the request. */
static void push(struct echo *e, struct asking *a, struct conn *c)
{
	ssize_t n;

	fill(e, a, c);
	if (c->udp) {
		n = lane_udp_write(e->ln, c->udp, NULL, NULL, a->text, e->request, NULL);
		c->nr_out = e->request;
	} else {
		n = lane_tcp_write(e->ln, c->tcp, a->text + c->nr_out, e->request - c->nr_out, false, NULL);
		if (n > 0)
			c->nr_out += (uint32_t)n;
	}
}

static void ask_next(struct echo *e, struct asking *a, struct conn *c)
{
	if (e->nr_requests && a->nr_asked >= e->nr_requests)
		return;
	a->nr_asked++;
	c->round++;
	c->nr_back = c->nr_out = 0;
	c->sent_ns = echo_now_ns();
	push(e, a, c);
}

static void done(struct echo *e, struct asking *a, struct conn *c)
{
	uint64_t now = echo_now_ns(), step = (now - c->sent_ns) / STEP_NS;

	a->steps[step < STEPS ? step : STEPS - 1]++;
	a->nr_done++;
	a->end_ns = now;
	c->sent_ns = 0;
	ask_next(e, a, c);
}

/* Reads what came of the answer. */
static void read_tcp(struct echo *e, struct asking *a, struct conn *c)
{
	ssize_t n;

	while ((n = lane_tcp_read(e->ln, c->tcp, e->piece, sizeof(e->piece), false, 0, NULL)) > 0) {
		fill(e, a, c);
		if (c->nr_back + (size_t)n > e->request ||
		    memcmp(e->piece, a->text + c->nr_back, (size_t)n) != 0)
			a->nr_wrong++;
		c->nr_back += (uint32_t)n;
		if (c->nr_back >= e->request)
			done(e, a, c);
	}
	if (n != -EAGAIN) {
		a->nr_failed++;
		c->open = false;
	}
}

static void read_udp(struct echo *e, struct asking *a, struct conn *c)
{
	struct lane_udp_msg m;
	ssize_t n;

	while ((n = lane_udp_read(e->ln, c->udp, e->piece, sizeof(e->piece), false, &m, NULL)) >= 0) {
		fill(e, a, c);
		/* Else it is late: an answer to what was given up. */
		if ((size_t)n == e->request && memcmp(e->piece, a->text, (size_t)n) == 0 && c->sent_ns)
			done(e, a, c);
	}
}

static unsigned int handle_events(struct echo *e, void *arg)
{
	struct asking *a = arg;
	struct lane_event ev;
	unsigned int n = 0;

	for (; n < 1024 && lane_event(e->ln, &ev); n++) {
		struct conn *c = &a->conn[ev.cookie];

		if (ev.proto == IPPROTO_UDP) {
			read_udp(e, a, c);
			continue;
		}
		if ((ev.events & LANE_EV_CONNECTED) && !c->open) {
			c->open = true;
			a->nr_open++;
		}
		if (c->sent_ns && c->nr_out < e->request)
			push(e, a, c);
		read_tcp(e, a, c);
	}
	return n;
}

static int open_conn(struct echo *e, struct conn *c, uint64_t cookie)
{
	struct lane_ep any = {.port = 0}, local = {.port = (uint16_t)(1024 + cookie)};
	int r;

	if (!e->udp) {
		c->tcp = lane_tcp_create(e->ln, cookie);
		return c->tcp ? lane_tcp_connect(e->ln, c->tcp, &any, &e->server) : -ENOBUFS;
	}
	c->udp = lane_udp_create(e->ln, cookie);
	r = c->udp ? lane_udp_bind(e->ln, c->udp, &local, false) : -ENOBUFS;
	c->open = true;
	return r ? r : lane_udp_connect(e->ln, c->udp, &e->server);
}

/* All connections, within ten seconds. */
static int open_all(struct echo *e, struct asking *a)
{
	uint64_t until = echo_now_ns() / 1000 + 10000000;
	int r = 0;

	lane_set_now(e->ln, echo_now_ns() / 1000);
	for (uint32_t i = 0; r == 0 && i < e->nr_conns; i++)
		r = open_conn(e, &a->conn[i], i);
	if (r)
		return echo_fail("connect", strerror(-r));
	while (!e->udp && a->nr_open < e->nr_conns && !a->nr_failed && !echo_stopping() &&
	       echo_now_ns() / 1000 < until)
		echo_turn(e, handle_events, a, until);
	return e->udp || a->nr_open == e->nr_conns ? 0 : echo_fail("connect", "no answer, or a refusal");
}

static void resend_lost(struct echo *e, struct asking *a)
{
	uint64_t now = echo_now_ns();

	for (uint32_t i = 0; e->udp && i < e->nr_conns; i++) {
		struct conn *c = &a->conn[i];

		if (!c->sent_ns || now - c->sent_ns < LOST_NS)
			continue;
		a->nr_lost++;
		c->sent_ns = now;
		push(e, a, c);
	}
}

static bool is_over(const struct echo *e, const struct asking *a)
{
	if (echo_stopping() || a->nr_failed)
		return true;
	if (e->nr_requests && a->nr_done >= e->nr_requests)
		return true;
	return echo_now_ns() - a->begin_ns >= e->seconds * 1000000000ULL;
}

static double percentile(const struct asking *a, double part)
{
	uint64_t want = (uint64_t)((double)a->nr_done * part), nr = 0;

	for (uint32_t i = 0; i < STEPS; i++) {
		nr += a->steps[i];
		if (nr > want)
			return (i + 1) * STEP_NS / 1000.0;
	}
	return 0;
}

static void tell(const struct echo *e, const struct asking *a)
{
	double s = (double)(a->end_ns - a->begin_ns) / 1e9;
	double rate = s > 0 ? (double)a->nr_done / s : 0;

	printf("requests %llu in %.3f s: %.0f a second, %.0f ns each; round trip us p50 %.2f p99 %.2f; "
	       "connections %u, bytes %u, lost %llu, wrong %llu, failed %llu\n",
	       (unsigned long long)a->nr_done, s, rate, rate > 0 ? 1e9 / rate : 0, percentile(a, 0.5),
	       percentile(a, 0.99), e->nr_conns, e->request, (unsigned long long)a->nr_lost,
	       (unsigned long long)a->nr_wrong, (unsigned long long)a->nr_failed);
}

static int ask(struct echo *e, struct asking *a)
{
	int r = open_all(e, a);

	if (r < 0)
		return r;
	a->begin_ns = a->end_ns = echo_now_ns();
	for (uint32_t i = 0; i < e->nr_conns; i++)
		ask_next(e, a, &a->conn[i]);
	lane_kick(e->ln, lane_flush(e->ln));
	while (!is_over(e, a)) {
		uint64_t until = echo_now_ns() / 1000 + LOOK_US;

		while (!is_over(e, a) && echo_now_ns() / 1000 < until)
			echo_turn(e, handle_events, a, until);
		resend_lost(e, a);
	}
	tell(e, a);
	if (a->nr_wrong || a->nr_failed)
		return -1;
	return e->nr_requests && a->nr_done < e->nr_requests ? -1 : 0;
}

/* Resets what is open, so that the server has nothing left. */
static void leave(struct echo *e, struct asking *a)
{
	for (uint32_t i = 0; a->conn && i < e->nr_conns; i++) {
		if (a->conn[i].tcp)
			lane_tcp_abort(e->ln, a->conn[i].tcp);
		if (a->conn[i].udp)
			lane_udp_put(e->ln, a->conn[i].udp);
	}
	lane_kick(e->ln, lane_flush(e->ln));
}

int echo_ask(struct echo *e)
{
	struct asking a = {.conn = calloc(e->nr_conns, sizeof(*a.conn)),
			   .steps = calloc(STEPS, sizeof(*a.steps)),
			   .text = malloc(e->request)};
	int r = -1;

	if (!a.conn || !a.steps || !a.text) {
		echo_fail("memory", strerror(ENOMEM));
	} else {
		for (uint32_t i = 0; i < e->request; i++)
			a.text[i] = (uint8_t)(i * 7);
		r = ask(e, &a);
		leave(e, &a);
	}
	free(a.conn);
	free(a.steps);
	free(a.text);
	return r;
}
