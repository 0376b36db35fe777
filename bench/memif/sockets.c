/*
 * sockets.c - bench-memif-sockets: the same echo on kernel sockets, for the column beside
 *
 * 'serve PORT' answers; 'ask IP PORT CONNECTIONS BYTES SECONDS' has one request under way on each connection. One
 * thread at each end, epoll, and with 'spin' neither sleeps.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS	512
#define STEP_NS 50
#define STEPS	200000
#define BYTES	65536

struct conn {
	int fd;
	unsigned int nr_back;
	unsigned long long sent_ns;
};

struct state {
	struct conn *conn;
	unsigned int nr_conns, bytes, seconds;
	int ep, timeout;
	unsigned long long nr_done;
	unsigned int steps[STEPS];
	char text[BYTES];
};

static unsigned long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long long)ts.tv_sec * 1000000000 + (unsigned long long)ts.tv_nsec;
}

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(struct state *s, int fd, uint64_t data)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = data};
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(s->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void answer(struct state *s, int fd)
{
	ssize_t n = recv(fd, s->text, sizeof(s->text), MSG_DONTWAIT);

	if (n > 0 && send(fd, s->text, (size_t)n, MSG_NOSIGNAL) == n)
		return;
	if (n < 0 && errno == EAGAIN)
		return;
	close(fd);
}

static void serve(struct state *s, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct epoll_event ev[EVENTS];
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 4096) < 0)
		die("listen");
	watch(s, l, (uint64_t)l);
	for (;;) {
		int n = epoll_wait(s->ep, ev, EVENTS, s->timeout), fd;

		for (int i = 0; i < n; i++) {
			if ((int)ev[i].data.u64 != l)
				answer(s, (int)ev[i].data.u64);
			else
				while ((fd = accept(l, NULL, NULL)) >= 0)
					watch(s, fd, (uint64_t)fd);
		}
	}
}

static void ask_next(struct state *s, struct conn *c)
{
	c->nr_back = 0;
	c->sent_ns = now_ns();
	if (send(c->fd, s->text, s->bytes, MSG_NOSIGNAL) != (ssize_t)s->bytes)
		die("send");
}

static void hear(struct state *s, struct conn *c)
{
	ssize_t n = recv(c->fd, s->text, sizeof(s->text), MSG_DONTWAIT);
	unsigned long long step;

	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		die("recv");
	}
	c->nr_back += (unsigned int)n;
	if (c->nr_back < s->bytes)
		return;
	step = (now_ns() - c->sent_ns) / STEP_NS;
	s->steps[step < STEPS ? step : STEPS - 1]++;
	s->nr_done++;
	ask_next(s, c);
}

static double percentile(const struct state *s, double part)
{
	unsigned long long want = (unsigned long long)((double)s->nr_done * part), nr = 0;

	for (unsigned int i = 0; i < STEPS; i++) {
		nr += s->steps[i];
		if (nr > want)
			return (i + 1) * STEP_NS / 1000.0;
	}
	return 0;
}

static int ask(struct state *s, const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	unsigned long long begin, until;
	struct epoll_event ev[EVENTS];
	double took;

	inet_pton(AF_INET, ip, &a.sin_addr);
	for (unsigned int i = 0; i < s->nr_conns; i++) {
		s->conn[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(s->conn[i].fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			die("connect");
		watch(s, s->conn[i].fd, i);
	}
	begin = now_ns();
	until = begin + s->seconds * 1000000000ULL;
	for (unsigned int i = 0; i < s->nr_conns; i++)
		ask_next(s, &s->conn[i]);
	while (now_ns() < until) {
		int n = epoll_wait(s->ep, ev, EVENTS, s->timeout);

		for (int i = 0; i < n; i++)
			hear(s, &s->conn[ev[i].data.u64]);
	}
	took = (double)(now_ns() - begin) / 1e9;
	printf("requests %llu in %.3f s: %.0f a second, %.0f ns each; round trip us p50 %.2f p99 %.2f\n", s->nr_done,
	       took, (double)s->nr_done / took, took * 1e9 / (double)(s->nr_done ? s->nr_done : 1),
	       percentile(s, 0.5), percentile(s, 0.99));
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit files = {8192, 8192};
	struct state *s = calloc(1, sizeof(*s));
	int spin = argc > 1 && strcmp(argv[argc - 1], "spin") == 0;

	if (!s)
		return 1;
	argc -= spin;
	setrlimit(RLIMIT_NOFILE, &files);
	s->ep = epoll_create1(0);
	s->timeout = spin ? 0 : 1000;
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(s, atoi(argv[2]));
	if (argc != 7 || strcmp(argv[1], "ask") != 0) {
		fprintf(stderr, "Usage: bench-memif-sockets serve PORT | ask IP PORT CONNECTIONS BYTES SECONDS [spin]\n");
		return 2;
	}
	s->nr_conns = (unsigned int)atoi(argv[4]);
	s->bytes = (unsigned int)atoi(argv[5]);
	s->seconds = (unsigned int)atoi(argv[6]);
	s->conn = calloc(s->nr_conns, sizeof(*s->conn));
	return s->conn && s->bytes && s->bytes <= BYTES ? ask(s, argv[2], atoi(argv[3])) : 1;
}
