/*
 * gate_test.c - tests of drivers/dpdk/gate.c: a memif port is polled while its peer, in this process too, comes and goes
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/queue.h"

extern const struct lane_dpdk_plugin lane_dpdk_plugin;

#define NR	1024 /* frames */
#define VISITS	200  /* of the peer */
#define LINK_MS 2000
#define BURST	32

/* All threads on one CPU: what interrupts a burst is EAL's thread then. */
static void pin(void)
{
	cpu_set_t set;
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static int start_eal(void **state)
{
	char eal[256], err[LANE_DPDK_ERR];

	(void)state;
	pin();
	snprintf(eal, sizeof(eal),
		 "--vdev net_memif0,role=server,socket=lane-%d-gate --vdev net_memif1,role=client,socket=lane-%d-gate "
		 "--vdev net_memif2,role=server,id=1,socket=lane-%d-gate",
		 (int)getpid(), (int)getpid(), (int)getpid());
	if (lane_dpdk_plugin.start(eal, 64u << 20, err) == 0)
		return 0;
	print_error("%s\n", err);
	return -1;
}

static int stop_eal(void **state)
{
	(void)state;
	lane_dpdk_plugin.stop();
	return 0;
}

struct peer {
	uint16_t id;
	struct rte_mempool *mp;
	unsigned int nr_visits; /* atomic, as is the next one */
	bool over;
};

static void set_up(struct peer *p)
{
	struct rte_eth_conf conf = {0};

	assert_int_equal(rte_eth_dev_get_port_by_name("net_memif1", &p->id), 0);
	p->mp = rte_pktmbuf_pool_create("peer", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	assert_non_null(p->mp);
	assert_int_equal(rte_eth_dev_configure(p->id, 1, 1, &conf), 0);
	assert_int_equal(rte_eth_rx_queue_setup(p->id, 0, 256, SOCKET_ID_ANY, NULL, p->mp), 0);
	assert_int_equal(rte_eth_tx_queue_setup(p->id, 0, 256, SOCKET_ID_ANY, NULL), 0);
}

static bool wait_link(const struct peer *p)
{
	struct rte_eth_link link = {0};

	for (int ms = 0; ms < LINK_MS && !link.link_status; ms++) {
		usleep(1000);
		rte_eth_link_get_nowait(p->id, &link);
	}
	return link.link_status;
}

static void send_some(const struct peer *p)
{
	struct rte_mbuf *m[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(p->mp, m, BURST) < 0)
		return;
	for (int i = 0; i < BURST; i++)
		memset(rte_pktmbuf_append(m[i], 64), i, 64);
	sent = rte_eth_tx_burst(p->id, 0, m, BURST);
	rte_pktmbuf_free_bulk(m + sent, BURST - sent);
}

static void *visit(void *arg)
{
	struct peer *p = arg;

	for (unsigned int i = 0; i < VISITS && rte_eth_dev_start(p->id) == 0 && wait_link(p); i++) {
		for (int k = 0; k < 4; k++) {
			send_some(p);
			usleep(500);
		}
		rte_eth_dev_stop(p->id);
		__atomic_fetch_add(&p->nr_visits, 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&p->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static struct lane_queue *open_port(const char *port, struct lane_bufs *bs, struct lane_buf_pool *pool)
{
	uint8_t *mem = lane_dpdk_plugin.memory((size_t)NR * (LANE_DPDK_STRIDE + sizeof(struct lane_buf)));
	struct lane_dpdk_config cfg = {.port = port};
	struct lane_queue *q;
	char err[LANE_DPDK_ERR];

	assert_non_null(mem);
	*bs = (struct lane_bufs){.meta = (struct lane_buf *)(mem + (size_t)NR * LANE_DPDK_STRIDE),
				 .frames = mem,
				 .pool = pool,
				 .nr = NR,
				 .stride = LANE_DPDK_STRIDE,
				 .size = LANE_DPDK_FRAME};
	lane_buf_pool_init(bs);
	if (lane_dpdk_plugin.open(&cfg, &bs, 1, &q, err) < 0)
		fail_msg("%s", err);
	return q;
}

/* Sends and receives all the time; what comes is whole. Returns how many frames came. */
static unsigned int poll_until_over(struct lane_queue *q, struct lane_bufs *bs, const struct peer *p)
{
	struct lane_buf *got[LANE_BURST], *out;
	unsigned int nr = 0;

	while (!__atomic_load_n(&p->over, __ATOMIC_ACQUIRE)) {
		uint16_t n = q->drv->rx_burst(q, got, LANE_BURST);

		for (uint16_t i = 0; i < n; i++, nr++) {
			assert_int_equal(got[i]->pkt_len, 64);
			assert_int_equal(lane_buf_data(bs, got[i])[0], lane_buf_data(bs, got[i])[63]);
			lane_buf_free(bs, got[i]);
		}
		out = q->drv->room(q) > LANE_BURST ? lane_buf_alloc(bs) : NULL;
		if (out) {
			out->len = 64;
			out->pkt_len = 64;
			assert_int_equal(q->drv->tx_burst(q, &out, 1), 1);
		}
		q->drv->flush(q);
	}
	return nr;
}

/* Its memory is unmapped by EAL's interrupt thread each time: never during a burst. Another port that is closed
 * meanwhile changes nothing. */
static void test_gate__peer_comes_and_goes(void **state)
{
	struct peer p = {0};
	struct lane_buf_pool pool, other_pool;
	struct lane_bufs bs, other_bs;
	struct lane_queue *q = open_port("net_memif0", &bs, &pool);
	struct lane_queue *other = open_port("net_memif2", &other_bs, &other_pool);
	pthread_t t;
	unsigned int nr;

	(void)state;
	other->drv->close(other);
	set_up(&p);
	assert_int_equal(pthread_create(&t, NULL, visit, &p), 0);
	nr = poll_until_over(q, &bs, &p);
	pthread_join(t, NULL);
	assert_int_equal(p.nr_visits, VISITS);
	assert_true(nr >= VISITS);
	rte_eth_dev_close(p.id);
	q->drv->close(q);
	assert_int_equal(pool.nr_free, NR);
	assert_int_equal(other_pool.nr_free, NR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate__peer_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, start_eal, stop_eal);
}
