/*
 * main.c - lane-echo: sends back what it receives, on the native API
 *
 * A whole program of a lane: open an interface (xdp.c, dpdk.c), listen (serve.c) or connect (ask.c), turn, sleep when
 * idle (loop.c). One lane, one thread, no lock and no keeper.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "echo.h"

static volatile sig_atomic_t stopping;
static int stop_fd; /* e->stop_fd */

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

bool echo_stopping(void)
{
	return stopping;
}

uint64_t echo_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int echo_fail(const char *what, const char *why)
{
	fprintf(stderr, "lane-echo: %s: %s\n", what, why);
	return -1;
}

int echo_create_lane(struct echo *e, uint32_t stride, uint32_t size)
{
	struct lane_config cfg;
	uint64_t secret[3];

	lane_config_default(&cfg);
	cfg.buf_stride = stride;
	if (size)
		cfg.buf_size = size;
	if (lane_config_memory(&cfg, 64u << 20) < 0 ||
	    getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return echo_fail("configuration", strerror(errno));
	cfg.seed = secret[0];
	cfg.hash_key[0] = secret[1];
	cfg.hash_key[1] = secret[2];
	e->size = lane_size(&cfg);
	if (e->dpdk) {
		e->mem = e->dpdk->memory(e->size);
	} else {
		e->mem = mmap(NULL, e->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (e->mem == MAP_FAILED)
			e->mem = NULL;
	}
	if (!e->mem)
		return echo_fail("memory", strerror(ENOMEM));
	e->ln = lane_create(&cfg, e->mem, echo_now_ns() / 1000);
	return e->ln ? 0 : echo_fail("lane", "out of memory");
}

/* What was counted: the lane's totals and drops, then the driver's lines. */
static void tell_counts(const struct echo *e)
{
	const struct lane_stats *st = lane_stats(e->ln);
	char text[4096] = "";

	printf("rx_packets %llu\ntx_packets %llu\nretransmits %llu\n",
	       (unsigned long long)st->rx_packets, (unsigned long long)st->tx_packets,
	       (unsigned long long)st->tcp_retransmits);
	for (unsigned int i = 0; i < LANE_NR_DROPS; i++)
		if (st->drops[i])
			printf("drop %s %llu\n", lane_drop_name((enum lane_drop)i),
			       (unsigned long long)st->drops[i]);
	if (e->dpdk)
		e->dpdk->stats(lane_queue(e->ln, 0), text, sizeof(text));
	else
		lane_xdp_stats(&e->share, &e->fds, text, sizeof(text));
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
	if (e->dpdk)
		e->dpdk->stop();
	else if (e->mem)
		munmap(e->mem, e->size);
	free(e);
}

static int start(struct echo *e)
{
	struct sigaction sa = {.sa_handler = on_signal};
	char text[512];

	e->stop_fd = stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop_fd < 0)
		return echo_fail("eventfd", strerror(errno));
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if ((e->use_dpdk ? echo_open_dpdk(e) : echo_open_xdp(e)) < 0 || (!e->ask && echo_serve(e) < 0))
		return -1;
	if (e->use_dpdk)
		echo_describe_dpdk(e, text, sizeof(text));
	else
		echo_describe_xdp(e, text, sizeof(text));
	printf("lane-echo: %s port %u on %s\n", e->udp ? "UDP" : "TCP", e->port, text);
	fflush(stdout);
	return 0;
}

static int work(struct echo *e)
{
	int r = start(e);

	if (r == 0 && e->ask) {
		e->server.port = e->port;
		r = echo_ask(e);
	} else if (r == 0) {
		echo_run(e);
	}
	if (r == 0)
		tell_counts(e);
	return r;
}

int main(int argc, char **argv)
{
	struct echo *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return 1;
	e->port = 7;
	e->nr_conns = 1;
	e->request = 64;
	e->seconds = 10;
	r = echo_parse_options(e, argc, argv);
	if (r == 0)
		r = work(e);
	close_all(e);
	return r < 0;
}
