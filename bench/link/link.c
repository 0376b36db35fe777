/*
 * link.c - a cable between two interfaces with a rate, a delay and faults: the kernel here has no
 * netem
 *
 * Stands in a namespace of its own between two veth ends, takes frames from one by an AF_PACKET
 * socket and puts them into the other, both ways alike (line.h). Frames must be whole: offloads
 * (tso, gso, gro, tx) are off at the far ends, or there are packets larger than the MTU and
 * checksums that nobody has filled in. Says "link: up" when it forwards, and at SIGTERM or SIGINT
 * one line a direction of what it did.
 */
#include "line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define BATCH     64
#define FRAME_MAX 16384
#define BUFFER    (64 << 20) /* of a socket, bytes */

/* A frame is taken in by one end's socket and leaves by the other's. */
struct end {
	const char *ifname;
	int fd;
	struct line line;
};

static volatile sig_atomic_t stopping;
static uint8_t rx_bytes[BATCH][FRAME_MAX];

static void on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void option(int fd, int level, int name, int value, const char *what)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die(what);
}

static int open_end(const char *ifname)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	a.sll_ifindex = (int)if_nametoindex(ifname);
	if (fd < 0 || !a.sll_ifindex)
		die(ifname);
	option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
	option(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS");
	option(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER, "SO_RCVBUFFORCE");
	option(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER, "SO_SNDBUFFORCE");
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(ifname);
	return fd;
}

/* All that has come to an end goes into its line, a few batches at most. */
static void take(struct end *e)
{
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	int n, rounds = 8;

	do {
		uint64_t now;

		memset(m, 0, sizeof(m));
		for (int i = 0; i < BATCH; i++) {
			v[i] = (struct iovec){rx_bytes[i], FRAME_MAX};
			m[i].msg_hdr.msg_iov = &v[i];
			m[i].msg_hdr.msg_iovlen = 1;
		}
		n = recvmmsg(e->fd, m, BATCH, MSG_DONTWAIT, NULL);
		now = now_ns();
		for (int i = 0; i < n; i++) {
			if (m[i].msg_hdr.msg_flags & MSG_TRUNC)
				e->line.stats.too_big++;
			else
				line_in(&e->line, rx_bytes[i], m[i].msg_len, now);
		}
	} while (n == BATCH && --rounds);
}

/* Sends what is due out of 'e's line by the other end; true: there may be more. */
static bool give(struct end *e, int to)
{
	struct line_frame *f[BATCH];
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	uint64_t now = now_ns();
	int n = 0, sent;

	memset(m, 0, sizeof(m));
	while (n < BATCH && (f[n] = line_out(&e->line, now)) != NULL) {
		v[n] = (struct iovec){f[n]->bytes, f[n]->len};
		m[n].msg_hdr.msg_iov = &v[n];
		m[n].msg_hdr.msg_iovlen = 1;
		n++;
	}
	for (int i = 0; i < n; i += sent) {
		sent = sendmmsg(to, m + i, (unsigned int)(n - i), MSG_DONTWAIT);
		for (int k = i; k < i + sent; k++)
			line_sent(&e->line, f[k], true, now);
		if (sent <= 0) {
			line_sent(&e->line, f[i], false, now);
			sent = 1;
		}
	}
	for (int i = 0; i < n; i++)
		free(f[i]);
	return n == BATCH;
}

static void run(struct end *a, struct end *b)
{
	struct pollfd p[2] = {{.fd = a->fd, .events = POLLIN}, {.fd = b->fd, .events = POLLIN}};

	while (!stopping) {
		uint64_t next = line_next_ns(&a->line), now = now_ns();
		struct timespec t = {0};

		if (line_next_ns(&b->line) < next)
			next = line_next_ns(&b->line);
		if (next > now && next != UINT64_MAX) {
			t.tv_sec = (time_t)((next - now) / 1000000000u);
			t.tv_nsec = (long)((next - now) % 1000000000u);
		}
		if (ppoll(p, 2, next == UINT64_MAX ? NULL : &t, NULL) < 0 && errno != EINTR)
			die("ppoll");
		take(a);
		take(b);
		while (give(a, b->fd) && !stopping)
			;
		while (give(b, a->fd) && !stopping)
			;
	}
}

/* Frames that the kernel had no room for in an end's socket. */
static uint64_t overruns(int fd)
{
	struct tpacket_stats s = {0};
	socklen_t len = sizeof(s);

	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &s, &len);
	return s.tp_drops;
}

/* The lateness, in us, that 'share' of the frames did not exceed (a power of two). */
static unsigned long late_us(const struct line_stats *s, double share)
{
	uint64_t sum = 0;

	for (int i = 0; i < LINE_LATE; i++) {
		sum += s->late[i];
		if ((double)sum >= share * (double)s->out)
			return 1ul << i;
	}
	return 1ul << LINE_LATE;
}

static void report(const char *from, const char *to, struct end *e)
{
	const struct line_stats *s = &e->line.stats;

	printf("link: %s>%s in=%lu in_bytes=%lu out=%lu out_bytes=%lu lost=%lu queue_drops=%lu "
	       "queue_max=%lu "
	       "reordered=%lu duplicated=%lu corrupted=%lu marked=%lu too_big=%lu overruns=%lu "
	       "send_failed=%lu "
	       "waiting=%u late_us_p50=%lu late_us_p99=%lu late_us_max=%lu\n",
	       from, to, s->in, s->in_bytes, s->out, s->out_bytes, s->lost, s->queue_drops,
	       s->queue_max_bytes, s->reordered, s->duplicated, s->corrupted, s->marked, s->too_big,
	       overruns(e->fd), s->send_failed, e->line.nr, late_us(s, 0.5), late_us(s, 0.99),
	       s->late_max_ns / 1000);
}

static void usage(void)
{
	fputs("link --a IF --b IF [options]: forwards frames between two interfaces, both ways "
	      "alike\n"
	      "  --rate MBIT        0 or none: no limit\n"
	      "  --delay MS         one way\n"
	      "  --loss %  --dup %  --corrupt % (one bit)  --reorder % (held back by --hold MS, "
	      "default 2)\n"
	      "  --queue N[p]       bytes (with p: frames) that may wait for the rate; default: no "
	      "limit\n"
	      "  --ecn-threshold N  bytes in the queue beyond which ECN-capable packets are "
	      "marked\n"
	      "  --seed N           of the faults; default 1\n",
	      stderr);
	exit(2);
}

static double number(const char *text, char **end)
{
	double v = strtod(text, end);

	if (*end == text || v < 0)
		usage();
	return v;
}

static void set(struct line_config *c, int name, const char *text, uint64_t *seed)
{
	char *end;
	double v = number(text, &end);

	if (*end && !(name == 'q' && !strcmp(end, "p")))
		usage();
	switch (name) {
	case 'r':
		c->rate_bps = (uint64_t)(v * 1e6);
		break;
	case 'd':
		c->delay_ns = (uint64_t)(v * 1e6);
		break;
	case 'h':
		c->hold_ns = (uint64_t)(v * 1e6);
		break;
	case 'l':
		c->loss = v / 100;
		break;
	case 'o':
		c->reorder = v / 100;
		break;
	case 'u':
		c->dup = v / 100;
		break;
	case 'c':
		c->corrupt = v / 100;
		break;
	case 'e':
		c->ecn_bytes = (uint64_t)v;
		break;
	case 's':
		*seed = (uint64_t)v;
		break;
	case 'q':
		if (*end)
			c->queue_frames = (uint32_t)v;
		else
			c->queue_bytes = (uint64_t)v;
	}
}

static void options(int argc, char **argv, struct end *a, struct end *b, struct line_config *c,
		    uint64_t *seed)
{
	static const struct option names[] = {
		{"a", 1, 0, 'a'},
		{"b", 1, 0, 'b'},
		{"rate", 1, 0, 'r'},
		{"delay", 1, 0, 'd'},
		{"loss", 1, 0, 'l'},
		{"reorder", 1, 0, 'o'},
		{"hold", 1, 0, 'h'},
		{"dup", 1, 0, 'u'},
		{"corrupt", 1, 0, 'c'},
		{"ecn-threshold", 1, 0, 'e'},
		{"queue", 1, 0, 'q'},
		{"seed", 1, 0, 's'},
		{0},
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (name == '?')
			usage();
		else if (name == 'a')
			a->ifname = optarg;
		else if (name == 'b')
			b->ifname = optarg;
		else
			set(c, name, optarg, seed);
	}
	if (!a->ifname || !b->ifname || optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	struct line_config cfg = {.hold_ns = 2000000};
	struct sigaction sa = {.sa_handler = on_signal};
	struct end a = {0}, b = {0};
	uint64_t seed = 1;

	options(argc, argv, &a, &b, &cfg, &seed);
	if (line_init(&a.line, &cfg, seed * 2) < 0 || line_init(&b.line, &cfg, seed * 2 + 1) < 0)
		die("memory");
	a.fd = open_end(a.ifname);
	b.fd = open_end(b.ifname);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	prctl(PR_SET_TIMERSLACK, 1000ul);
	puts("link: up");
	fflush(stdout);
	run(&a, &b);
	report("a", "b", &a);
	report("b", "a", &b);
	line_fini(&a.line);
	line_fini(&b.line);
	return 0;
}
