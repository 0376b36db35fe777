/*
 * main.c - lane-echo: sends back what it receives, on the native API
 *
 * A whole program of a lane in one file: open an interface, listen, turn, sleep when idle. One
 * lane, one thread, no lock and no keeper.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <lane/lane.h>
#include <lane/tcp.h>
#include <lane/udp.h>

#include "drivers/control/netlink/netlink.h"
#include "drivers/xdp/xdp.h"

#define EVENTS_MAX 1024 /* handled in one turn */
#define BACKLOG    511
#define PIECE      (256 * 1024) /* bytes of TCP echoed at once */
#define DATAGRAM   65536

struct echo {
	struct lane *ln;
	void *mem;
	size_t size;
	struct lane_xdp_dev *dev;
	struct lane_xdp_share share;
	struct lane_xdp_fds fds;
	struct lane_netlink *nl;
	struct lane_xdp_config xdp;
	uint16_t port;
	bool udp;
	char piece[PIECE];
};

static volatile sig_atomic_t stopping;
static int stop_fd; /* readable when stopping: a signal just before the sleep is not lost */

static void on_signal(int sig)
{
	uint64_t one = 1;
	int saved = errno;

	(void)sig;
	stopping = 1;
	if (write(stop_fd, &one, sizeof(one)) < 0)
		_exit(1);
	errno = saved;
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- the program's work ---- */

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

static unsigned int handle_events(struct echo *e)
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

/* ---- the loop ---- */

static void follow_network(struct echo *e)
{
	if (lane_netlink_read(e->nl)) {
		lane_xdp_set_addrs(e->dev, lane_nettab(e->ln));
		lane_claim_refresh(e->ln);
	}
}

/* Sleeps until a frame, a change of the network, the next timer or a signal. */
static void wait_for_work(struct echo *e)
{
	struct pollfd p[LANE_QUEUES_MAX + 2];
	uint64_t at = lane_next_timer(e->ln), now = now_us();
	uint64_t us = at > now ? at - now : 0;
	struct timespec ts = {.tv_sec = (time_t)(us / 1000000),
			      .tv_nsec = (long)(us % 1000000) * 1000};
	nfds_t n = 0;
	struct lane_queue *q;

	p[n++] = (struct pollfd){.fd = lane_netlink_fd(e->nl), .events = POLLIN};
	p[n++] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
	while ((q = lane_queue(e->ln, (unsigned int)n - 2))) {
		p[n] = (struct pollfd){.fd = q->drv->arm(q), .events = POLLIN};
		n++;
	}
	if (ppoll(p, n, at == UINT64_MAX ? NULL : &ts, NULL) > 0 && p[0].revents)
		follow_network(e);
}

static void run(struct echo *e)
{
	unsigned int nr;

	while (!stopping) {
		nr = lane_poll(e->ln, now_us());
		nr += handle_events(e);
		lane_kick(e->ln, lane_flush(e->ln));
		lane_netlink_resolve(e->nl);
		if (nr == 0)
			wait_for_work(e);
	}
}

/* ---- opening and closing ---- */

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "lane-echo: %s: %s\n", what, why);
	return -1;
}

static int create_lane(struct echo *e)
{
	struct lane_config cfg;
	uint64_t secret[3];

	lane_config_default(&cfg);
	cfg.buf_stride = lane_xdp_stride(&e->xdp);
	if (lane_config_memory(&cfg, 64u << 20) < 0 ||
	    getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return fail("configuration", strerror(errno));
	cfg.seed = secret[0];
	cfg.hash_key[0] = secret[1];
	cfg.hash_key[1] = secret[2];
	e->size = lane_size(&cfg);
	e->mem = mmap(NULL, e->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (e->mem == MAP_FAILED)
		return fail("memory", strerror(errno));
	e->ln = lane_create(&cfg, e->mem, now_us());
	return e->ln ? 0 : fail("lane", "out of memory");
}

static int open_interface(struct echo *e)
{
	char text[LANE_XDP_ERR];
	int r;

	if (strcmp(e->xdp.ifname, "lo") == 0 && lane_xdp_loopback_settings(text) != 0)
		fprintf(stderr, "lane-echo: %s\n", text);
	if (lane_netlink_open(e->xdp.ifname, lane_nettab(e->ln), &e->nl, text) < 0 ||
	    lane_xdp_open(&e->xdp, e->ln, &e->share, &e->fds, &e->dev, text) < 0)
		return fail("AF_XDP", text);
	r = lane_xdp_map(e->ln, &e->share, &e->fds);
	if (r < 0)
		return fail("rings", strerror(-r));
	if (lane_xdp_bind(e->dev, text) < 0)
		return fail("AF_XDP", text);
	lane_xdp_set_addrs(e->dev, lane_nettab(e->ln));
	return 0;
}

/* On all addresses of the interface, of both families. */
static int serve(struct echo *e)
{
	struct lane_ep any = {.port = e->port};
	struct lane_tcp *tcp;
	struct lane_udp *udp;
	int r = -ENOBUFS;

	lane_set_now(e->ln, now_us());
	if (e->udp) {
		udp = lane_udp_create(e->ln, 0);
		r = udp ? lane_udp_bind(e->ln, udp, &any, false) : r;
	} else {
		tcp = lane_tcp_create(e->ln, 0);
		r = tcp ? lane_tcp_listen(e->ln, tcp, &any, false, BACKLOG) : r;
	}
	return r < 0 ? fail("listen", strerror(-r)) : 0;
}

/* What was counted: the lane's totals and drops, then the driver's lines. */
static void tell_counts(const struct echo *e)
{
	const struct lane_stats *st = lane_stats(e->ln);
	char text[4096];

	printf("rx_packets %llu\ntx_packets %llu\nretransmits %llu\n",
	       (unsigned long long)st->rx_packets, (unsigned long long)st->tx_packets,
	       (unsigned long long)st->tcp_retransmits);
	for (unsigned int i = 0; i < LANE_NR_DROPS; i++)
		if (st->drops[i])
			printf("drop %s %llu\n", lane_drop_name((enum lane_drop)i),
			       (unsigned long long)st->drops[i]);
	if (lane_xdp_stats(&e->share, &e->fds, text, sizeof(text)) > 0)
		fputs(text, stdout);
}

static void close_all(struct echo *e)
{
	struct lane_queue *q;

	for (unsigned int i = 0; e->ln && (q = lane_queue(e->ln, i)); i++)
		q->drv->close(q);
	lane_xdp_close(e->dev);
	lane_netlink_close(e->nl);
	lane_detach(e->ln);
	if (e->mem && e->mem != MAP_FAILED)
		munmap(e->mem, e->size);
	free(e);
}

/* ---- the command line ---- */

static const char usage[] =
	"Usage: lane-echo -i IF [options]\n"
	"Sends back what it receives over TCP (or UDP) on the addresses of an interface, by "
	"AF_XDP;\n"
	"the kernel keeps all other ports.\n\n"
	"  -i, --interface IF  the interface (default: the one with the default route)\n"
	"  -p, --port PORT     default 7\n"
	"  -u, --udp           UDP instead of TCP\n"
	"  -m, --mode MODE     auto (default), generic or native XDP\n"
	"  -z, --zerocopy      ask for zero copy\n"
	"  -h, --help          this text\n"
	"Runs until SIGINT or SIGTERM, then tells what it counted.\n";

/* For tests of what older kernels lack: --without sg,tx-metadata */
static int parse_without(char *list, uint32_t *without)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} features[] = {
		{"sg", LANE_XDP_F_SG},
		{"tx-metadata", LANE_XDP_F_TX_METADATA},
		{"unaligned", LANE_XDP_F_UNALIGNED},
		{"sk-lookup", LANE_XDP_F_SK_LOOKUP},
		{"syncookie", LANE_XDP_F_SYNCOOKIE},
		{"need-wakeup", LANE_XDP_F_NEED_WAKEUP},
		{"map-late", LANE_XDP_F_MAP_LATE},
		{"super-segments", LANE_XDP_F_SUPER},
	};
	size_t i, nr = sizeof(features) / sizeof(features[0]);

	for (char *w = strtok(list, ","); w; w = strtok(NULL, ",")) {
		for (i = 0; i < nr && strcmp(w, features[i].name) != 0; i++)
			;
		if (i == nr)
			return fail("no such feature", w);
		*without |= features[i].bit;
	}
	return 0;
}

static int parse_mode(const char *s, enum lane_xdp_mode *mode)
{
	static const char *const names[] = {"auto", "generic", "native"};

	for (unsigned int i = 0; i < 3; i++) {
		if (strcmp(s, names[i]) == 0) {
			*mode = (enum lane_xdp_mode)i;
			return 0;
		}
	}
	return fail("no such mode", s);
}

static int parse_port(const char *s, uint16_t *port)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (*end || v == 0 || v > 65535)
		return fail("no such port", s);
	*port = (uint16_t)v;
	return 0;
}

/* 0: go on, 1: done (help), -1: an error was told. */
static int parse_options(struct echo *e, int argc, char **argv)
{
	static const struct option options[] = {
		{"interface", required_argument, NULL, 'i'},
		{"port", required_argument, NULL, 'p'},
		{"udp", no_argument, NULL, 'u'},
		{"mode", required_argument, NULL, 'm'},
		{"zerocopy", no_argument, NULL, 'z'},
		{"without", required_argument, NULL, 'W'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, "i:p:um:zh", options, NULL)) >= 0) {
		if (c == 'i')
			snprintf(e->xdp.ifname, sizeof(e->xdp.ifname), "%s", optarg);
		else if (c == 'p')
			r = parse_port(optarg, &e->port);
		else if (c == 'u')
			e->udp = true;
		else if (c == 'm')
			r = parse_mode(optarg, &e->xdp.mode);
		else if (c == 'z')
			e->xdp.zerocopy = LANE_XDP_TRI_ON;
		else if (c == 'W')
			r = parse_without(optarg, &e->xdp.without);
		else
			r = c == 'h' ? 1 : -1;
	}
	if (r == 1)
		fputs(usage, stdout);
	else if (r < 0 || optind < argc)
		fputs("Try: lane-echo --help\n", stderr);
	return r == 0 && optind < argc ? -1 : r;
}

static int start(struct echo *e)
{
	struct sigaction sa = {.sa_handler = on_signal};
	char text[512];

	if (!e->xdp.ifname[0] && lane_netlink_default_if(e->xdp.ifname) < 0)
		return fail("interface", "there is no default route: name one with -i");
	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop_fd < 0)
		return fail("eventfd", strerror(errno));
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (create_lane(e) < 0 || open_interface(e) < 0 || serve(e) < 0)
		return -1;
	lane_xdp_describe(&e->share, text, sizeof(text));
	printf("lane-echo: %s port %u on %s: %s\n", e->udp ? "UDP" : "TCP", e->port, e->xdp.ifname,
	       text);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct echo *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return 1;
	e->port = 7;
	r = parse_options(e, argc, argv);
	if (r == 0) {
		r = start(e);
		if (r == 0) {
			run(e);
			tell_counts(e);
		}
	}
	close_all(e);
	return r < 0;
}
