/*
 * echo.c - a lane that echoes for a template client (see echo.h)
 *
 * The queue is the bench's own: rx_burst() hands out frames that were filled before the clock ran,
 * and gives back what was sent a turn ago, as a driver does; tx_burst() notes what is sent, and the
 * client reads it after the clock has stopped. So the frames are in the cache, as a NIC's are
 * (DDIO).
 */
#include "bench/micro/echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <lane/lane.h>
#include <lane/tcp.h>

#include "bench/micro/client.h"
#include "bench/micro/tsc.h"
#include "lane-int/nettab.h"

#define SENT_MAX    4096
#define RX_OFF      256 /* where AF_XDP puts a received frame */
#define NR_BUFS     8192
#define BULK_WINDOW (64 * 1448) /* bytes that are sent for one ACK */
#define BURST_US                                                                                   \
	1 /* of the lane's clock: so fast that 1 M flows have their turn before a time-out */

struct queue {
	struct lane_queue q; /* first */
	struct lane_buf *in[LANE_BURST], *sent[SENT_MAX];
	bool follows[SENT_MAX]; /* text of a super-segment that began before */
	uint32_t nr_in, nr_sent;
	uint32_t nr_read; /* of 'sent': the client has seen them */
};

struct echo_world {
	struct echo_config cfg;
	struct client client;
	struct queue queue;
	struct lane *ln;
	void *mem;
	size_t size;
	uint64_t now_us;
	uint32_t *order; /* all flows, shuffled */
	uint32_t next;   /* in 'order' */
	uint64_t random;
	double cost;
	struct lane_tcp *pcb; /* of the only flow */
};

static void fail_unless(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench-micro: %s\n", what);
	exit(1);
}

/* ---- the queue ---- */

static uint16_t rx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct queue *q = (struct queue *)lq;
	uint16_t nr = (uint16_t)(q->nr_in < n ? q->nr_in : n);

	for (uint32_t i = 0; i < q->nr_read; i++)
		lane_buf_tx_done(lq->bufs, q->sent[i]);
	fail_unless(q->nr_read == q->nr_sent, "frames that the client has not seen");
	q->nr_sent = q->nr_read = 0;
	memcpy(bufs, q->in, nr * sizeof(bufs[0]));
	q->nr_in -= nr;
	return nr;
}

static void note(struct queue *q, struct lane_buf *b, bool follows)
{
	q->follows[q->nr_sent] = follows;
	q->sent[q->nr_sent++] = b;
	b->flags |= LANE_BUF_TX;
}

static uint16_t tx_burst(struct lane_queue *lq, struct lane_buf *bufs[], uint16_t n)
{
	struct queue *q = (struct queue *)lq;
	uint16_t i;

	for (i = 0; i < n && q->nr_sent + LANE_SG_MAX <= SENT_MAX; i++) {
		struct lane_buf *b = bufs[i];

		note(q, b, false);
		while (b->flags & LANE_BUF_MORE) {
			b = lane_buf_at(lq->bufs, b->next);
			note(q, b, true);
		}
	}
	return i;
}

static uint32_t room(const struct lane_queue *lq)
{
	return SENT_MAX - ((const struct queue *)lq)->nr_sent;
}

static void close_queue(struct lane_queue *lq)
{
	(void)lq;
}

static const struct lane_driver driver = {.name = "template",
					  .rx_burst = rx_burst,
					  .tx_burst = tx_burst,
					  .room = room,
					  .close = close_queue};

/* ---- the world ---- */

static void fill_net(struct lane *ln)
{
	struct lane_nettab *t = lane_nettab(ln);
	struct lane_net_route r = {.plen = 8};
	struct lane_mac mac = client_mac(false);
	struct lane_ip gw;
	uint32_t ip;

	memcpy(&ip, CLIENT_SERVER_IP, sizeof(ip));
	gw = lane_ip4(ip);
	gw.b[15] = 2;
	r.gw = gw;
	r.dst = lane_ip4(ip);
	r.dst.b[15] = 0;
	lane_net_write_begin(t);
	t->mac = client_mac(true);
	t->up = 1;
	t->mtu = 1500;
	t->addr[0] = (struct lane_net_addr){.ip = lane_ip4(ip), .plen = 8, .used = 1};
	fail_unless(lane_net_route_add(t, &r) == 0, "route");
	lane_net_write_end(t, true);
	lane_net_write_begin(t);
	fail_unless(lane_net_neigh_set(t, &gw, &mac, false) == 0, "neighbour");
	lane_net_write_end(t, false);
}

static void make_lane(struct echo_world *w)
{
	struct lane_config cfg;
	uint32_t nr = w->cfg.flows;

	lane_config_default(&cfg);
	/* Each flow has an answer that is not acknowledged, unless they are to be idle. */
	cfg.nr_bufs = NR_BUFS + (w->cfg.nr_x ? 0 : 2 * nr);
	cfg.nr_tcp = nr + 64;
	cfg.nr_tcp_x = w->cfg.nr_x;
	cfg.nr_tw = 64;
	cfg.nr_udp = 16;
	cfg.hash_key[0] = 0x0123456789abcdef;
	cfg.hash_key[1] = 0xfedcba9876543210;
	w->size = lane_size(&cfg);
	w->mem = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fail_unless(w->mem != MAP_FAILED, "memory");
	madvise(w->mem, w->size, w->cfg.nr_x ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	w->ln = lane_create(&cfg, w->mem, w->now_us);
	fail_unless(w->ln != NULL, "lane");
	fill_net(w->ln);
	w->queue.q = (struct lane_queue){.drv = &driver,
					 .bufs = lane_bufs(w->ln),
					 .caps = w->cfg.software ? 0 : LANE_CAP_TX_CSUM};
	if (w->cfg.cuts)
		w->queue.q.caps |= LANE_CAP_TSO;
	fail_unless(lane_add_queue(w->ln, &w->queue.q) == 0, "queue");
}

/* A frame of flow 'i' waits in the queue. */
static void inject(struct echo_world *w, uint32_t i, uint32_t len)
{
	struct lane_bufs *bs = lane_bufs(w->ln);
	struct lane_buf *b = lane_buf_alloc(bs);

	fail_unless(b != NULL, "no frame");
	b->off = RX_OFF;
	b->len = (uint16_t)client_send(&w->client, i, len, lane_buf_data(bs, b));
	b->pkt_len = b->len;
	b->flags = w->cfg.software ? 0 : LANE_BUF_CSUM_OK;
	w->queue.in[w->queue.nr_in++] = b;
}

/* The client reads what was sent. Returns how many frames. */
static uint32_t collect(struct echo_world *w)
{
	struct queue *q = &w->queue;
	uint32_t first = q->nr_read;

	for (; q->nr_read < q->nr_sent; q->nr_read++) {
		struct lane_buf *b = q->sent[q->nr_read];

		if (q->follows[q->nr_read])
			continue;
		fail_unless(client_take(&w->client, lane_buf_data(lane_bufs(w->ln), b), b->pkt_len) !=
				    LANE_NIL,
			    "a strange answer");
	}
	return q->nr_read - first;
}

static void turn(struct echo_world *w)
{
	struct lane_event ev;

	lane_poll(w->ln, w->now_us += BURST_US);
	while (lane_event(w->ln, &ev)) {
		struct lane_tcp *pcb = lane_tcp_at(w->ln, ev.index), *c;

		while (pcb && (ev.events & LANE_EV_ACCEPT) &&
		       (c = lane_tcp_accept(w->ln, pcb, 1)) != NULL)
			w->pcb = c;
	}
	lane_flush(w->ln);
	collect(w);
}

static void connect_all(struct echo_world *w)
{
	struct lane_ep any = {.port = CLIENT_SERVER_PORT};
	struct lane_tcp *l = lane_tcp_create(w->ln, 0);
	uint32_t n;

	fail_unless(l && lane_tcp_listen(w->ln, l, &any, false, 4096) == 0, "listen");
	for (uint32_t i = 0; i < w->cfg.flows; i += n) {
		n = w->cfg.flows - i < LANE_BURST ? w->cfg.flows - i : LANE_BURST;
		for (int step = 0; step < 2; step++) { /* SYN, then ACK */
			for (uint32_t k = 0; k < n; k++)
				inject(w, i + k, 0);
			turn(w);
		}
	}
	turn(w);
	fail_unless(lane_stats(w->ln)->tcp_accepts == w->cfg.flows, "not all are connected");
}

static uint64_t next_random(struct echo_world *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return w->random >> 33;
}

static void shuffle(struct echo_world *w)
{
	for (uint32_t i = w->cfg.flows - 1; i > 0; i--) {
		uint32_t k = (uint32_t)(next_random(w) % (i + 1)), x = w->order[i];

		w->order[i] = w->order[k];
		w->order[k] = x;
	}
	w->next = 0;
}

struct echo_world *echo_open(const struct echo_config *cfg)
{
	struct echo_world *w = calloc(1, sizeof(*w));

	fail_unless(w != NULL, "memory");
	w->cfg = *cfg;
	w->now_us = 1000000;
	w->cost = tsc_cost();
	client_init(&w->client, cfg->flows, true);
	make_lane(w);
	w->order = calloc(cfg->flows, sizeof(*w->order));
	fail_unless(w->order != NULL, "memory");
	for (uint32_t i = 0; i < cfg->flows; i++)
		w->order[i] = i;
	connect_all(w);
	shuffle(w);
	return w;
}

void echo_close(struct echo_world *w)
{
	lane_detach(w->ln);
	munmap(w->mem, w->size);
	client_fini(&w->client);
	free(w->order);
	free(w);
}

/* ---- the echo ---- */

static void echo_copy(struct lane *ln, struct lane_tcp *pcb)
{
	uint8_t text[2048];
	ssize_t n = lane_tcp_read(ln, pcb, text, sizeof(text), false, 0, NULL);

	if (n > 0)
		fail_unless(lane_tcp_write(ln, pcb, text, (size_t)n, false, NULL) == n, "write");
}

static void echo_lend(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_buf *b;

	if (lane_tcp_take(ln, pcb, &b, 1, SIZE_MAX) != 1)
		return;
	lane_tcp_received(ln, pcb, b->len);
	fail_unless(lane_tcp_send(ln, pcb, &b, 1, false) == 0, "send");
}

static void program(struct echo_world *w)
{
	struct lane_event ev;

	while (lane_event(w->ln, &ev)) {
		struct lane_tcp *pcb = lane_tcp_at(w->ln, ev.index);

		if (!pcb || !(ev.events & LANE_EV_READABLE))
			continue;
		if (w->cfg.lend)
			echo_lend(w->ln, pcb);
		else
			echo_copy(w->ln, pcb);
	}
}

/* One measured turn: a segment with 'len' bytes of text from each of the next flows. */
static void measure(struct echo_world *w, uint32_t len, double cycles[ECHO_STAGES])
{
	uint64_t at[ECHO_STAGES + 1];

	for (uint32_t i = 0; i < w->cfg.burst; i++)
		inject(w, w->order[w->next + i], len);
	w->now_us += BURST_US;
	w->client.now_ms = (uint32_t)(w->now_us / 1000);
	at[0] = tsc();
	lane_poll(w->ln, w->now_us);
	at[1] = tsc();
	program(w);
	at[2] = tsc();
	lane_flush(w->ln);
	at[3] = tsc();
	for (int i = 0; i < ECHO_STAGES; i++)
		cycles[i] += (double)(at[i + 1] - at[i]) - w->cost;
}

void echo_run(struct echo_world *w, double cycles[ECHO_STAGES])
{
	uint32_t done = 0, n = w->cfg.burst;

	for (int i = 0; i < ECHO_STAGES; i++)
		cycles[i] = 0;
	while (done < w->cfg.rounds) {
		if (w->next + n > w->cfg.flows)
			shuffle(w);
		measure(w, w->cfg.text, cycles);
		fail_unless(collect(w) == n, "not one answer for each request");
		if (w->cfg.apart) {
			measure(w, 0, cycles);
			fail_unless(collect(w) == 0, "an answer to an ACK");
		}
		w->next += n;
		done += n;
	}
	for (int i = 0; i < ECHO_STAGES; i++)
		cycles[i] /= done;
}

/* ---- bulk ---- */

static double sum(const double cycles[ECHO_STAGES])
{
	return cycles[ECHO_POLL] + cycles[ECHO_PROGRAM] + cycles[ECHO_FLUSH];
}

static void discard(struct echo_world *w)
{
	static uint8_t sink[1 << 17];
	struct lane_event ev;

	while (lane_event(w->ln, &ev))
		if (lane_tcp_read(w->ln, w->pcb, sink, sizeof(sink), false, 0, NULL) < 0)
			fail_unless(false, "read");
}

double echo_bulk_in(struct echo_world *w)
{
	double cycles[ECHO_STAGES] = {0};
	uint32_t done = 0;

	while (done < w->cfg.rounds) {
		uint64_t at;

		for (uint32_t n = 0; n < w->cfg.burst; n++)
			inject(w, 0, 1448);
		w->now_us += BURST_US;
		at = tsc();
		lane_poll(w->ln, w->now_us);
		discard(w);
		lane_flush(w->ln);
		cycles[0] += (double)(tsc() - at) - w->cost;
		collect(w);
		done += w->cfg.burst;
	}
	return sum(cycles) / done;
}

static void write_all(struct echo_world *w)
{
	static const uint8_t text[65536];

	while (lane_tcp_write(w->ln, w->pcb, text, sizeof(text), false, NULL) > 0)
		;
}

double echo_bulk_out(struct echo_world *w)
{
	struct lane_tcp_opts_set opts;
	double cycles = 0;
	uint32_t done = 0;
	struct lane_event ev;

	lane_tcp_get_opts(w->ln, w->pcb, &opts);
	opts.sndbuf = 2 * BULK_WINDOW;
	lane_tcp_set_opts(w->ln, w->pcb, &opts);
	while (done < w->cfg.rounds) {
		uint64_t at;

		inject(w, 0, 0);
		w->now_us += BURST_US;
		at = tsc();
		lane_poll(w->ln, w->now_us);
		while (lane_event(w->ln, &ev))
			;
		write_all(w);
		lane_flush(w->ln);
		cycles += (double)(tsc() - at) - w->cost;
		done += collect(w);
	}
	return cycles / done;
}

/* Echoes what came for 'pcb'. */
static void answer(struct echo_world *w, struct lane_tcp *pcb)
{
	uint8_t text[2048];
	ssize_t n = lane_tcp_read(w->ln, pcb, text, sizeof(text), false, 0, NULL);

	if (n > 0)
		fail_unless(lane_tcp_write(w->ln, pcb, text, (size_t)n, false, NULL) == n, "write");
}

void echo_settle(struct echo_world *w)
{
	struct lane_event ev;
	uint32_t n;

	for (uint32_t i = 0; i < w->cfg.flows; i += n) {
		n = w->cfg.flows - i < LANE_BURST ? w->cfg.flows - i : LANE_BURST;
		for (int step = 0; step < 2; step++) { /* text, then the ACK of what came back */
			for (uint32_t k = 0; k < n; k++)
				inject(w, i + k, step ? 0 : 64);
			lane_poll(w->ln, w->now_us += BURST_US);
			while (lane_event(w->ln, &ev))
				answer(w, lane_tcp_at(w->ln, ev.index));
			lane_flush(w->ln);
			collect(w);
		}
	}
	w->now_us += 1000000;
	turn(w);
	turn(w);
}

struct lane *echo_lane(struct echo_world *w, void **mem, size_t *size)
{
	*mem = w->mem;
	*size = w->size;
	return w->ln;
}
