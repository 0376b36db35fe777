/*
 * queue_test.c - tests of drivers/dpdk: pool.c, queue.c and port.c on net_null and net_ring
 *
 * net_ring is a cable from a port to itself: what is sent comes back as the same mbuf. EAL starts once, and a port
 * that was closed is gone, so each test has ports of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include "drivers/dpdk/queue.h"
#include "stack/base/csum.h"

extern const struct lane_dpdk_plugin lane_dpdk_plugin;

#define NR 1024
#define KEPT (1 + LANE_DPDK_SPARE) /* frame 0, and what is kept for receiving */

struct frames {
	struct lane_bufs bs;
	struct lane_buf_pool pool;
	struct lane_queue *q;
};

static int start_eal(void **state)
{
	char err[LANE_DPDK_ERR];

	if (lane_dpdk_plugin.start("--vdev net_null0,size=100 --vdev net_null1 --vdev net_null2,size=64 --vdev net_null3 "
				   "--vdev net_null4 --vdev net_null5 --vdev net_null6 --vdev net_null7 --vdev net_ring0 --vdev net_ring1 --vdev net_ring2",
				   64u << 20, err) == 0)
		return 0;
	print_error("%s\n", err);
	return -1;
}

static void make_frames(struct frames *f)
{
	uint8_t *mem = lane_dpdk_plugin.memory((size_t)NR * (LANE_DPDK_STRIDE + sizeof(struct lane_buf)));

	assert_non_null(mem);
	f->bs = (struct lane_bufs){.meta = (struct lane_buf *)(mem + (size_t)NR * LANE_DPDK_STRIDE),
				   .frames = mem,
				   .pool = &f->pool,
				   .nr = NR,
				   .stride = LANE_DPDK_STRIDE,
				   .size = LANE_DPDK_FRAME};
	lane_buf_pool_init(&f->bs);
}

static void open_port(struct frames *f, const char *port)
{
	struct lane_dpdk_config cfg = {.port = port, .ring_size = 64};
	struct lane_bufs *bufs = &f->bs;
	char err[LANE_DPDK_ERR] = "";

	make_frames(f);
	if (lane_dpdk_plugin.open(&cfg, &bufs, 1, &f->q, err) < 0)
		fail_msg("%s: %s", port, err);
}

static void close_port(struct frames *f)
{
	f->q->drv->close(f->q);
	assert_int_equal(f->pool.nr_free, NR);
}

static struct lane_buf *packet(struct frames *f, uint16_t len)
{
	struct lane_buf *b = lane_buf_alloc(&f->bs);

	assert_non_null(b);
	b->len = len;
	b->pkt_len = len;
	for (uint16_t i = 0; i < len; i++)
		lane_buf_data(&f->bs, b)[i] = (uint8_t)(i + len);
	return b;
}

/* A packet received is the lane's frame itself, and the PMD's again once the lane has freed it. */
static void test_rx__frames_of_the_lane(void **state)
{
	struct lane_buf *got[LANE_BURST];
	struct frames f;

	open_port(&f, "net_null0");
	for (unsigned int turn = 0; turn < 100; turn++) {
		assert_int_equal(f.q->drv->rx_burst(f.q, got, LANE_BURST), LANE_BURST);
		assert_int_equal(f.pool.nr_free, NR - KEPT - LANE_BURST);
		for (unsigned int i = 0; i < LANE_BURST; i++) {
			assert_int_equal(got[i]->pkt_len, 100);
			assert_int_equal(got[i]->len, 100);
			assert_int_equal(got[i]->flags, 0);
			assert_int_equal(got[i]->owner, 0);
			assert_true(got[i]->off + got[i]->len <= LANE_DPDK_FRAME);
			memset(lane_buf_frame(&f.bs, got[i]), 0xa5, LANE_DPDK_FRAME);
			lane_buf_free(&f.bs, got[i]);
		}
	}
	close_port(&f);
}

/* Text that waits for ACKs holds every frame: there are some to receive into all the same. */
static void test_rx__when_the_pool_is_empty(void **state)
{
	struct lane_buf *got[LANE_BURST], *held[NR], *again[LANE_BURST];
	unsigned int nr = 0;
	char text[1024];
	struct frames f;

	open_port(&f, "net_null2");
	while ((held[nr] = lane_buf_alloc(&f.bs)))
		nr++;
	assert_int_equal(nr, NR - KEPT);
	for (unsigned int i = 0; i < LANE_DPDK_SPARE / LANE_BURST; i++)
		assert_int_equal(f.q->drv->rx_burst(f.q, i ? again : got, LANE_BURST), LANE_BURST);
	assert_int_equal(f.q->drv->rx_burst(f.q, got, LANE_BURST), 0);
	lane_dpdk_plugin.stats(f.q, text, sizeof(text));
	assert_non_null(strstr(text, "dpdk_rx_no_frame 1\n"));
	while (nr)
		lane_buf_free(&f.bs, held[--nr]);
	/* And they are kept back anew. */
	assert_int_equal(f.q->drv->rx_burst(f.q, held, LANE_BURST), LANE_BURST);
	assert_int_equal(f.pool.nr_free, NR - 1 - LANE_DPDK_SPARE * 2 - LANE_BURST);
	for (unsigned int i = 1; i < NR; i++)
		if (!(f.bs.meta[i].flags & LANE_BUF_FREE) && f.bs.meta[i].owner != LANE_BUF_DRIVER)
			lane_buf_free(&f.bs, &f.bs.meta[i]);
	close_port(&f);
}

/* A completion gives back the frame, unless a send queue holds it still. */
static void test_tx__completion(void **state)
{
	struct lane_buf *b, *kept;
	struct frames f;

	open_port(&f, "net_null1");
	b = packet(&f, 60);
	kept = packet(&f, 61);
	kept->flags |= LANE_BUF_SNDQ;
	assert_int_equal(f.q->drv->tx_burst(f.q, &b, 1), 1);
	assert_int_equal(f.q->drv->tx_burst(f.q, &kept, 1), 1);
	assert_true(b->flags & LANE_BUF_TX);
	assert_int_equal(f.q->nr_unkicked, 2);
	f.q->drv->flush(f.q);
	assert_int_equal(f.q->nr_unkicked, 0);
	assert_true(b->flags & LANE_BUF_FREE);
	assert_int_equal(kept->flags, LANE_BUF_SNDQ);
	assert_int_equal(f.pool.nr_free, NR - KEPT - 1);
	lane_buf_free(&f.bs, kept);
	close_port(&f);
}

/* By itself what comes back is the frame that is being sent: the lane gets a copy, and then the completion. */
static void test_rx__copies_what_it_sends(void **state)
{
	struct lane_buf *b, *got[LANE_BURST];
	struct frames f;

	open_port(&f, "net_ring0");
	b = packet(&f, 700);
	b->flags |= LANE_BUF_SNDQ;
	f.q->drv->tx_burst(f.q, &b, 1);
	f.q->drv->flush(f.q);
	assert_true(b->flags & LANE_BUF_TX);
	assert_int_equal(f.q->drv->rx_burst(f.q, got, LANE_BURST), 1);
	assert_ptr_not_equal(got[0], b);
	assert_int_equal(b->flags, LANE_BUF_SNDQ);
	assert_int_equal(got[0]->pkt_len, 700);
	assert_memory_equal(lane_buf_data(&f.bs, got[0]), lane_buf_data(&f.bs, b), 700);
	lane_buf_free(&f.bs, b);
	lane_buf_free(&f.bs, got[0]);
	close_port(&f);
}

/* A chain leaves as one packet, and comes as one. */
static void test_tx__chain(void **state)
{
	struct lane_buf *b[3], *got[LANE_BURST];
	struct frames f;

	open_port(&f, "net_ring1");
	for (unsigned int i = 0; i < 3; i++) {
		b[i] = packet(&f, 1400);
		if (i) {
			b[i - 1]->flags |= LANE_BUF_MORE;
			b[i - 1]->next = lane_buf_index(&f.bs, b[i]);
		}
	}
	b[0]->pkt_len = 4200;
	assert_int_equal(f.q->drv->tx_burst(f.q, b, 1), 1);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(b[i]->flags & LANE_BUF_TX);
	f.q->drv->flush(f.q);
	assert_int_equal(f.q->drv->rx_burst(f.q, got, LANE_BURST), 1);
	assert_int_equal(got[0]->pkt_len, 4200);
	assert_int_equal(got[0]->len, LANE_DPDK_FRAME);
	assert_true(got[0]->flags & LANE_BUF_MORE);
	assert_int_equal(lane_buf_at(&f.bs, got[0]->next)->len, 4200 - LANE_DPDK_FRAME);
	assert_int_equal(lane_buf_data(&f.bs, got[0])[1400], (uint8_t)1400);
	assert_int_equal(f.pool.nr_free, NR - KEPT - 2);
	lane_buf_free_packet(&f.bs, got[0]);
	/* Their mbufs are single ones again. */
	for (unsigned int i = 0; i < 3; i++) {
		const struct rte_mbuf *m = lane_dpdk_mbuf((struct lane_dpdk_queue *)f.q, b[i]);

		assert_int_equal(m->nb_segs, 1);
		assert_null(m->next);
	}
	close_port(&f);
}

/* Nothing is lost when the device's ring is full: what it has no room for waits, and then it is refused. */
static void test_tx__full_ring(void **state)
{
	unsigned int sent = 0, nr = 0;
	struct lane_buf *b, *got[LANE_BURST];
	struct frames f;
	uint16_t n;

	open_port(&f, "net_ring2");
	for (;;) {
		b = packet(&f, 60);
		if (f.q->drv->tx_burst(f.q, &b, 1) == 0)
			break;
		if (++sent % 16 == 0)
			f.q->drv->flush(f.q);
		if (sent == NR / 2)
			break;
	}
	assert_false(b->flags & LANE_BUF_TX && sent < NR / 2);
	for (unsigned int i = 0; i < 100; i++) {
		f.q->drv->flush(f.q);
		n = f.q->drv->rx_burst(f.q, got, LANE_BURST);
		nr += n;
		while (n)
			lane_buf_free(&f.bs, got[--n]);
	}
	assert_int_equal(nr, sent);
	if (sent < NR / 2)
		lane_buf_free(&f.bs, b);
	close_port(&f);
}

/* What was staged comes back at close. */
static void test_close__staged(void **state)
{
	struct lane_buf *b;
	struct frames f;

	open_port(&f, "net_null3");
	b = packet(&f, 60);
	f.q->drv->tx_burst(f.q, &b, 1);
	close_port(&f);
}

#define L3   14
#define L4   (L3 + 20)
#define TEXT (L4 + 32) /* TCP with timestamps */
#define MSS  1448

/* What the engine sends: the first of 'nr' frames of a TCP packet, or all of a UDP datagram. */
static struct lane_buf *unfinished(struct frames *f, uint8_t proto, unsigned int nr)
{
	struct lane_ip src = lane_ip4(0x0100000a), dst = lane_ip4(0x0200000a);
	struct lane_buf *b = packet(f, TEXT + MSS);
	uint8_t *p = lane_buf_data(&f->bs, b);
	uint16_t sum;

	b->pkt_len = TEXT + MSS * nr;
	b->l3_off = b->off + L3;
	b->flags |= LANE_BUF_CSUM;
	b->csum_start = L4;
	b->csum_off = proto == IPPROTO_UDP ? 6 : 16;
	p[L3] = 0x45;
	p[L4 + 12] = 0x80;
	sum = lane_csum_fold(lane_csum_pseudo(&src, &dst, proto, b->pkt_len - L4));
	memcpy(p + L4 + b->csum_off, &sum, sizeof(sum));
	return b;
}

/* The mbuf as the device gets it: what to do, where; a super-segment's sum has no length in it. */
static void test_tx__what_the_device_does(void **state)
{
	struct lane_ip src = lane_ip4(0x0100000a), dst = lane_ip4(0x0200000a);
	struct lane_buf *b, *rest[2];
	struct lane_dpdk_queue *q;
	struct rte_mbuf *m;
	struct frames f;
	uint16_t want;

	open_port(&f, "net_null5");
	q = (struct lane_dpdk_queue *)f.q;
	b = unfinished(&f, IPPROTO_UDP, 1);
	assert_int_equal(f.q->drv->tx_burst(f.q, &b, 1), 1);
	m = q->stage[0];
	assert_int_equal(m->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM);
	assert_int_equal(m->l2_len, L3);
	assert_int_equal(m->l3_len, L4 - L3);

	q->port->tx_offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	b = unfinished(&f, IPPROTO_TCP, 3);
	for (unsigned int i = 0; i < 2; i++)
		rest[i] = packet(&f, MSS);
	b->flags |= LANE_BUF_MORE;
	b->next = lane_buf_index(&f.bs, rest[0]);
	rest[0]->flags |= LANE_BUF_MORE;
	rest[0]->next = lane_buf_index(&f.bs, rest[1]);
	assert_int_equal(f.q->drv->tx_burst(f.q, &b, 1), 1);
	m = q->stage[1];
	assert_int_equal(m->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG |
					      RTE_MBUF_F_TX_IP_CKSUM);
	assert_int_equal(m->nb_segs, 3);
	assert_int_equal(m->pkt_len, TEXT + 3 * MSS);
	assert_int_equal(m->l4_len, TEXT - L4);
	assert_int_equal(m->tso_segsz, MSS);
	want = lane_csum_fold(lane_csum_pseudo(&src, &dst, IPPROTO_TCP, 0));
	assert_memory_equal(lane_buf_data(&f.bs, b) + L4 + 16, &want, sizeof(want));
	f.q->drv->flush(f.q);
	assert_int_equal(f.pool.nr_free, NR - KEPT);
	close_port(&f);
}

/* The port's table and key are read back, and each flow has one home. */
static void test_home__two_lanes(void **state)
{
	struct lane_dpdk_config cfg = {.port = "net_null4"};
	struct frames f[2];
	struct lane_bufs *bufs[2] = {&f[0].bs, &f[1].bs};
	struct lane_ep local = {lane_ip4(0x0100000a), 0}, remote = {lane_ip4(0x0200000a), 80};
	unsigned int nr[2] = {0};
	struct lane_queue *q[2];
	struct lane_dpdk_info info;
	char err[LANE_DPDK_ERR];

	make_frames(&f[0]);
	make_frames(&f[1]);
	assert_int_equal(lane_dpdk_plugin.open(&cfg, bufs, 2, q, err), 0);
	lane_dpdk_plugin.info(q[0], &info);
	assert_int_equal(info.steering, LANE_DPDK_TOEPLITZ);
	for (local.port = 32768; local.port < 34768; local.port++) {
		bool home[2] = {q[0]->drv->home(q[0], &local, &remote), q[1]->drv->home(q[1], &local, &remote)};

		assert_true(home[0] != home[1]);
		nr[home[1]]++;
	}
	assert_in_range(nr[0], 500, 1500);
	q[0]->drv->close(q[0]);
	q[1]->drv->close(q[1]);
	assert_int_equal(f[0].pool.nr_free, NR);
	assert_int_equal(f[1].pool.nr_free, NR);
}

/* A lane is detached behind its queue's close, while the port and other lanes' queues go on. */
static void test_close__lane_goes_first(void **state)
{
	struct lane_dpdk_config cfg = {.port = "net_null6"};
	struct frames f[2];
	struct lane_bufs *bufs[2] = {&f[0].bs, &f[1].bs};
	struct lane_buf *b, *got[LANE_BURST];
	struct lane_queue *q[2];
	char err[LANE_DPDK_ERR];

	make_frames(&f[0]);
	make_frames(&f[1]);
	assert_int_equal(lane_dpdk_plugin.open(&cfg, bufs, 2, q, err), 0);
	b = packet(&f[0], 60);
	assert_int_equal(q[0]->drv->tx_burst(q[0], &b, 1), 1);
	q[0]->drv->close(q[0]);
	memset(&f[0].bs, 0xff, sizeof(f[0].bs));
	assert_int_equal(q[1]->drv->rx_burst(q[1], got, LANE_BURST), LANE_BURST);
	for (unsigned int i = 0; i < LANE_BURST; i++)
		lane_buf_free(&f[1].bs, got[i]);
	q[1]->drv->close(q[1]);
	assert_int_equal(f[0].pool.nr_free, NR);
	assert_int_equal(f[1].pool.nr_free, NR);
}

#define CLOSERS 4

static void *close_one(void *arg)
{
	struct lane_queue *q = arg;

	q->drv->close(q);
	return NULL;
}

/* Each by its own thread: the last one closes the port, once. */
static void test_close__by_threads(void **state)
{
	struct lane_dpdk_config cfg = {.port = "net_null7"};
	struct frames f[CLOSERS];
	struct lane_bufs *bufs[CLOSERS];
	struct lane_queue *q[CLOSERS];
	pthread_t t[CLOSERS];
	char err[LANE_DPDK_ERR];

	for (int i = 0; i < CLOSERS; i++) {
		make_frames(&f[i]);
		bufs[i] = &f[i].bs;
	}
	assert_int_equal(lane_dpdk_plugin.open(&cfg, bufs, CLOSERS, q, err), 0);
	for (int i = 0; i < CLOSERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, close_one, q[i]), 0);
	for (int i = 0; i < CLOSERS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < CLOSERS; i++)
		assert_int_equal(f[i].pool.nr_free, NR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rx__frames_of_the_lane),
		cmocka_unit_test(test_rx__when_the_pool_is_empty),
		cmocka_unit_test(test_tx__completion),
		cmocka_unit_test(test_rx__copies_what_it_sends),
		cmocka_unit_test(test_tx__chain),
		cmocka_unit_test(test_tx__full_ring),
		cmocka_unit_test(test_close__staged),
		cmocka_unit_test(test_tx__what_the_device_does),
		cmocka_unit_test(test_home__two_lanes),
		cmocka_unit_test(test_close__lane_goes_first),
		cmocka_unit_test(test_close__by_threads),
	};

	return cmocka_run_group_tests(tests, start_eal, NULL);
}
