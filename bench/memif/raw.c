/*
 * raw.c - bench-memif-raw: what a DPDK port does with nothing above it
 *
 * 'reflect' sends back each frame with its addresses changed over; 'ask N' keeps N frames of 64 bytes under way and
 * tells how many came back, and how fast. The bound for what a stack can do on the same port.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST	   32
#define FRAME	   64
#define MAX	   4096
#define STEP_NS	   50
#define STEPS	   200000
#define CONNECT_NS 5000000000ULL /* until the other end is there */

struct raw {
	uint16_t port;
	struct rte_mempool *mp;
	uint64_t nr_asked, nr_done;
	uint32_t steps[STEPS];
};

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
	stopping = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void send_all(struct raw *r, struct rte_mbuf *m[], uint16_t n)
{
	uint16_t sent = 0;

	while (sent < n && !stopping)
		sent += rte_eth_tx_burst(r->port, 0, m + sent, n - sent);
	rte_pktmbuf_free_bulk(m + sent, n - sent);
}

static void reflect(struct raw *r)
{
	struct rte_mbuf *m[BURST];

	while (!stopping) {
		uint16_t n = rte_eth_rx_burst(r->port, 0, m, BURST);

		for (uint16_t i = 0; i < n; i++) {
			struct rte_ether_hdr *h = rte_pktmbuf_mtod(m[i], struct rte_ether_hdr *), was = *h;

			h->dst_addr = was.src_addr;
			h->src_addr = was.dst_addr;
		}
		send_all(r, m, n);
	}
}

/* A frame that says when it left. */
static struct rte_mbuf *question(struct raw *r, uint64_t now)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(r->mp);
	uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, FRAME) : NULL;

	if (!p)
		return NULL;
	memset(p, 0, FRAME);
	p[12] = 0x88;
	p[13] = 0xb5; /* IEEE 802: for experiments */
	memcpy(p + 16, &now, sizeof(now));
	return m;
}

static void ask_some(struct raw *r, unsigned int n)
{
	struct rte_mbuf *m[BURST];
	uint64_t now = now_ns();

	while (n) {
		uint16_t k = 0, want = n < BURST ? (uint16_t)n : BURST;

		while (k < want && (m[k] = question(r, now)))
			k++;
		send_all(r, m, k);
		r->nr_asked += k;
		n -= want;
	}
}

static unsigned int hear(struct raw *r)
{
	struct rte_mbuf *m[BURST];
	uint16_t n = rte_eth_rx_burst(r->port, 0, m, BURST);
	uint64_t now = n ? now_ns() : 0, sent;

	for (uint16_t i = 0; i < n; i++) {
		memcpy(&sent, rte_pktmbuf_mtod(m[i], uint8_t *) + 16, sizeof(sent));
		sent = (now - sent) / STEP_NS;
		r->steps[sent < STEPS ? sent : STEPS - 1]++;
	}
	rte_pktmbuf_free_bulk(m, n);
	r->nr_done += n;
	return n;
}

static double percentile(const struct raw *r, double part)
{
	uint64_t want = (uint64_t)((double)r->nr_done * part), nr = 0;

	for (uint32_t i = 0; i < STEPS; i++) {
		nr += r->steps[i];
		if (nr > want)
			return (i + 1) * STEP_NS / 1000.0;
	}
	return 0;
}

static int ask(struct raw *r, unsigned int nr, unsigned int seconds)
{
	uint64_t begin = now_ns(), until = begin + CONNECT_NS;
	double s;

	/* The first answer shows that the other end is there. */
	while (r->nr_done == 0 && !stopping && now_ns() < until) {
		ask_some(r, 1);
		for (unsigned int i = 0; i < 100000 && hear(r) == 0; i++)
			;
	}
	if (r->nr_done == 0) {
		fprintf(stderr, "nobody answers\n");
		return 1;
	}
	for (unsigned int i = 0; i < 1000000; i++)
		hear(r);
	r->nr_done = 0;
	memset(r->steps, 0, sizeof(r->steps));
	begin = now_ns();
	until = begin + seconds * 1000000000ULL;
	ask_some(r, nr);
	while (!stopping && now_ns() < until)
		ask_some(r, hear(r));
	s = (double)(now_ns() - begin) / 1e9;
	printf("requests %" PRIu64 " in %.3f s: %.0f a second, %.0f ns each; round trip us p50 %.2f p99 %.2f\n",
	       r->nr_done, s, (double)r->nr_done / s, s * 1e9 / (double)(r->nr_done ? r->nr_done : 1),
	       percentile(r, 0.5), percentile(r, 0.99));
	return 0;
}

static int open_port(struct raw *r)
{
	struct rte_eth_conf conf = {0};

	r->mp = rte_pktmbuf_pool_create("raw", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!r->mp || rte_eth_dev_count_avail() != 1 || rte_eth_dev_configure(r->port, 1, 1, &conf) < 0)
		return -1;
	if (rte_eth_rx_queue_setup(r->port, 0, 1024, SOCKET_ID_ANY, NULL, r->mp) < 0 ||
	    rte_eth_tx_queue_setup(r->port, 0, 1024, SOCKET_ID_ANY, NULL) < 0)
		return -1;
	return rte_eth_dev_start(r->port);
}

int main(int argc, char **argv)
{
	int n = rte_eal_init(argc, argv), rc = 0;
	struct raw *r = calloc(1, sizeof(*r));
	struct sigaction sa = {.sa_handler = on_signal};

	if (n < 0 || !r || n + 1 >= argc || open_port(r) < 0) {
		fprintf(stderr, "Usage: bench-memif-raw EAL-OPTIONS -- reflect | ask FRAMES [SECONDS]\n");
		return 2;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (strcmp(argv[n + 1], "ask") == 0 && n + 2 < argc)
		rc = ask(r, RTE_MIN((unsigned int)atoi(argv[n + 2]), MAX), n + 3 < argc ? (unsigned int)atoi(argv[n + 3]) : 3);
	else
		reflect(r);
	rte_eth_dev_stop(r->port);
	rte_eth_dev_close(r->port);
	rte_eal_cleanup();
	free(r);
	return rc;
}
