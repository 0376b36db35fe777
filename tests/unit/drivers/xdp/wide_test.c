/*
 * wide_test.c - drivers/xdp/wide.c over rings in plain memory and a socket pair in place of the
 * packet socket
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/xdp/queue.h"

#define NR     512 /* frames */
#define STRIDE 2112
#define RING   128
#define HLEN   (14 + 20 + 20)
#define MSS    100

struct ring {
	uint32_t producer, consumer, flags;
	uint64_t desc[2 * RING];
};

struct env {
	struct lane_xdp_queue q;
	struct lane_xdp_share share;
	struct lane_bufs bs;
	struct lane_buf_pool pool;
	struct ring rx, tx, fill, comp;
	int far; /* what the driver sends comes out here */
};

static void view(struct lane_xdp_view *v, struct ring *r)
{
	*v = (struct lane_xdp_view){.producer = &r->producer,
				    .consumer = &r->consumer,
				    .flags = &r->flags,
				    .desc = r->desc,
				    .size = RING};
}

static int setup(void **state)
{
	struct env *e = calloc(1, sizeof(*e));
	int s[2];

	e->bs = (struct lane_bufs){.meta = calloc(NR, sizeof(struct lane_buf)),
				   .frames = calloc(NR, STRIDE),
				   .pool = &e->pool,
				   .nr = NR,
				   .stride = STRIDE,
				   .size = 2048};
	lane_buf_pool_init(&e->bs);
	view(&e->q.rx, &e->rx);
	view(&e->q.tx, &e->tx);
	view(&e->q.fill, &e->fill);
	view(&e->q.comp, &e->comp);
	e->share.have = LANE_XDP_F_NEED_WAKEUP | LANE_XDP_F_SUPER;
	assert_int_equal(lane_xdp_wide_init(&e->share.wide), 0);
	e->share.wide.head = e->share.wide.tail = e->share.wide.done = UINT32_MAX - 5;
	e->q.q = (struct lane_queue){.drv = &lane_xdp_driver, .bufs = &e->bs};
	e->q.share = &e->share;
	e->q.rx_position = &e->share.queue[0].rx_position;
	e->q.unkicked = &e->share.queue[0].nr_unkicked;
	e->q.reserve = NR;
	e->q.fd = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	e->q.packet_fd = s[0];
	e->far = s[1];
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	struct env *e = *state;

	close(e->q.packet_fd);
	close(e->far);
	free(e->bs.meta);
	free(e->bs.frames);
	free(e);
	return 0;
}

static struct lane_buf *frame(struct env *e, uint16_t len, uint8_t fill)
{
	struct lane_buf *b = lane_buf_alloc(&e->bs);

	assert_non_null(b);
	b->len = b->pkt_len = len;
	memset(lane_buf_data(&e->bs, b), fill, len);
	return b;
}

/* A super-segment of 'nr' frames, the last of them with 30 bytes. */
static struct lane_buf *super(struct env *e, uint32_t nr)
{
	struct lane_buf *first = frame(e, HLEN + MSS, 0), *last = first;
	uint8_t *p = lane_buf_data(&e->bs, first);

	p[14] = 0x45;
	p[34 + 12] = 0x50;
	first->l3_off = first->off + 14;
	first->csum_start = 34;
	first->csum_off = 16;
	first->flags |= LANE_BUF_CSUM;
	for (uint32_t i = 1; i < nr; i++) {
		struct lane_buf *b = frame(e, i + 1 < nr ? MSS : 30, (uint8_t)i);

		last->flags |= LANE_BUF_MORE;
		last->next = lane_buf_index(&e->bs, b);
		first->pkt_len += b->len;
		last = b;
	}
	return first;
}

static uint16_t tx(struct env *e, struct lane_buf *b)
{
	return lane_xdp_driver.tx_burst(&e->q.q, &b, 1);
}

static void kick(struct env *e)
{
	lane_xdp_driver.kick(&e->q.q);
}

static void poll_queue(struct env *e)
{
	struct lane_buf *got[1];

	assert_int_equal(lane_xdp_driver.rx_burst(&e->q.q, got, 1), 0);
}

static ssize_t arrived(struct env *e, struct virtio_net_hdr *h, uint8_t *bytes)
{
	uint8_t all[65600];
	ssize_t n = recv(e->far, all, sizeof(all), MSG_DONTWAIT);

	if (n < (ssize_t)sizeof(*h))
		return -1;
	memcpy(h, all, sizeof(*h));
	memcpy(bytes, all + sizeof(*h), (size_t)n - sizeof(*h));
	return n - (ssize_t)sizeof(*h);
}

static void test_super__leaves_as_one(void **state)
{
	struct env *e = *state;
	struct virtio_net_hdr h;
	uint8_t bytes[65600];

	assert_int_equal(lane_xdp_driver.room(&e->q.q), LANE_XDP_PIECES);
	assert_int_equal(tx(e, super(e, 3)), 1);
	assert_int_equal(e->q.q.nr_unkicked, 3);
	assert_int_equal(arrived(e, &h, bytes), -1);
	kick(e);
	assert_int_equal(e->q.q.nr_unkicked, 0);
	assert_int_equal(arrived(e, &h, bytes), HLEN + MSS + MSS + 30);
	assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, MSS);
	assert_int_equal(h.hdr_len, HLEN);
	assert_int_equal(h.csum_start, 34);
	assert_int_equal(h.csum_offset, 16);
	assert_int_equal(bytes[HLEN + MSS], 1);
	assert_int_equal(bytes[HLEN + 2 * MSS], 2);
	/* The frames come back with the next burst. */
	assert_int_equal(e->pool.nr_free, NR - 3);
	poll_queue(e);
	assert_int_equal(e->pool.nr_free, NR);
}

/* What comes behind a super-segment that waits does not overtake it. */
static void test_order__stays(void **state)
{
	struct env *e = *state;
	struct virtio_net_hdr h;
	uint8_t bytes[65600];

	assert_int_equal(tx(e, super(e, 2)), 1);
	assert_int_equal(tx(e, frame(e, 60, 9)), 1);
	assert_int_equal(e->tx.producer, 0);
	kick(e);
	assert_int_equal(arrived(e, &h, bytes), HLEN + MSS + 30);
	assert_int_equal(arrived(e, &h, bytes), 60);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(h.flags, 0);
	/* Nothing waits any more: the ring again. */
	assert_int_equal(tx(e, frame(e, 60, 9)), 1);
	assert_int_equal(e->tx.producer, 1);
	/* And a super-segment behind that waits for it. */
	assert_int_equal(tx(e, super(e, 2)), 1);
	kick(e);
	assert_int_equal(arrived(e, &h, bytes), -1);
	e->tx.consumer = e->tx.producer; /* the kernel took it */
	kick(e);
	assert_int_equal(arrived(e, &h, bytes), HLEN + MSS + 30);
}

static void test_room__is_kept(void **state)
{
	struct env *e = *state;
	uint32_t n = 0;

	while (lane_xdp_driver.room(&e->q.q) >= LANE_SG_MAX && e->pool.nr_free >= LANE_SG_MAX) {
		assert_int_equal(tx(e, super(e, LANE_SG_MAX)), 1);
		n += LANE_SG_MAX;
	}
	assert_int_equal(e->share.wide.head - e->share.wide.tail, n);
	e->share.wide.head = e->share.wide.done + LANE_XDP_PIECES; /* full */
	assert_int_equal(lane_xdp_driver.room(&e->q.q), 0);
	struct lane_buf *b = super(e, 2);
	assert_int_equal(tx(e, b), 0);
	assert_false(b->flags & LANE_BUF_TX);
}

/* A full XSK ring is no obstacle to a chain: what asked for room has booked it as sent. */
static void test_room__beside_a_full_ring(void **state)
{
	struct env *e = *state;
	struct lane_buf *b;

	for (unsigned int i = 0; i < RING; i++)
		assert_int_equal(tx(e, frame(e, 60, 9)), 1);
	b = frame(e, 60, 9);
	assert_int_equal(tx(e, b), 0);
	assert_true(lane_xdp_driver.room(&e->q.q) >= LANE_SG_MAX);
	assert_int_equal(tx(e, super(e, 2)), 1);
	/* What comes behind it goes its way. */
	assert_int_equal(tx(e, b), 1);
	assert_int_equal(e->tx.producer, RING);
	assert_int_equal(e->share.wide.head - e->share.wide.tail, 3);
}

/* The kernel has no room now: the packet stays. It refuses: there are no more super-segments. */
static void test_refused(void **state)
{
	struct env *e = *state;
	struct virtio_net_hdr h;
	uint8_t bytes[65600];
	int sent = 0;

	while (e->pool.nr_free >= 40 && e->q.q.nr_unkicked == 0) {
		assert_int_equal(tx(e, super(e, 40)), 1);
		kick(e);
		poll_queue(e);
		sent++;
	}
	assert_int_not_equal(e->q.q.nr_unkicked, 0);
	while (arrived(e, &h, bytes) > 0)
		;
	kick(e);
	assert_int_equal(e->q.q.nr_unkicked, 0);
	assert_int_not_equal(e->share.have & LANE_XDP_F_SUPER, 0);
	close(e->far);
	assert_int_equal(tx(e, super(e, 2)), 1);
	kick(e);
	assert_int_equal(e->q.q.nr_unkicked, 0);
	assert_int_equal(e->share.have & LANE_XDP_F_SUPER, 0);
	assert_int_equal(lane_xdp_driver.room(&e->q.q), 0);
	e->far = -1;
	poll_queue(e);
	assert_int_equal(e->pool.nr_free, NR);
}

static void *dies_sending(void *arg)
{
	struct env *e = arg;

	assert_int_equal(pthread_mutex_trylock(&e->share.wide.busy), 0);
	return NULL;
}

/* One who died while it sent is noticed, whatever its pid is called here; one who lives is left alone. */
static void test_busy(void **state)
{
	struct env *e = *state;
	struct virtio_net_hdr h;
	uint8_t bytes[65600];
	pthread_t t;

	assert_int_equal(tx(e, super(e, 2)), 1);
	assert_int_equal(pthread_mutex_lock(&e->share.wide.busy), 0);
	kick(e);
	assert_int_equal(arrived(e, &h, bytes), -1);
	assert_int_equal(pthread_mutex_unlock(&e->share.wide.busy), 0);
	assert_int_equal(pthread_create(&t, NULL, dies_sending, e), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	for (unsigned int i = 0; i < 2; i++) {
		kick(e);
		assert_int_equal(arrived(e, &h, bytes), HLEN + MSS + 30);
		assert_int_equal(tx(e, super(e, 2)), 1);
	}
}

/* One who is stopped while it sends does not stop the others: they send without super-segments. */
static void test_busy__for_long(void **state)
{
	struct env *e = *state;
	struct virtio_net_hdr h;
	uint8_t bytes[65600];

	assert_int_equal(tx(e, super(e, 2)), 1);
	assert_int_equal(pthread_mutex_lock(&e->share.wide.busy), 0);
	for (unsigned int i = 0; i < LANE_XDP_STALLED - 1; i++)
		kick(e);
	assert_int_equal(tx(e, frame(e, 60, 9)), 1);
	assert_int_equal(e->tx.producer, 0);
	kick(e);
	assert_int_equal(lane_xdp_driver.room(&e->q.q), 0);
	assert_int_equal(tx(e, frame(e, 60, 9)), 1);
	assert_int_equal(e->tx.producer, 1);
	e->tx.consumer = e->tx.producer;
	/* It goes on. */
	assert_int_equal(pthread_mutex_unlock(&e->share.wide.busy), 0);
	kick(e);
	assert_int_equal(arrived(e, &h, bytes), HLEN + MSS + 30);
	assert_int_equal(arrived(e, &h, bytes), 60);
	assert_int_not_equal(lane_xdp_driver.room(&e->q.q), 0);
	assert_int_equal(e->q.q.nr_unkicked, 0);
}

/* Who is held by a filter of system calls leaves it to others, and says that it waits. */
static void test_plain__is_left_to_others(void **state)
{
	struct env *e = *state;
	struct virtio_net_hdr h;
	uint8_t bytes[65600];

	assert_int_equal(tx(e, super(e, 2)), 1);
	e->q.q.plain = 1;
	kick(e);
	assert_int_equal(arrived(e, &h, bytes), -1);
	assert_int_equal(e->q.q.nr_unkicked, 2);
	e->q.q.plain = 0;
	kick(e);
	assert_int_equal(arrived(e, &h, bytes), HLEN + MSS + 30);
	assert_int_equal(e->q.q.nr_unkicked, 0);
}

/* Another member may write anything there. */
static void test_damaged__is_left_out(void **state)
{
	struct env *e = *state;
	struct virtio_net_hdr h;
	uint8_t bytes[65600];

	assert_int_equal(tx(e, super(e, 2)), 1);
	e->share.wide.piece[e->share.wide.tail % LANE_XDP_PIECES].frame = NR;
	kick(e);
	assert_int_equal(e->q.q.nr_unkicked, 0);
	assert_int_equal(tx(e, super(e, 2)), 1);
	e->share.wide.piece[(e->share.wide.tail + 1) % LANE_XDP_PIECES].len = 4000;
	kick(e);
	assert_int_equal(e->q.q.nr_unkicked, 0);
	e->share.wide.tail = e->share.wide.head + 77;
	kick(e);
	poll_queue(e);
	assert_int_equal(arrived(e, &h, bytes), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_super__leaves_as_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order__stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room__is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room__beside_a_full_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy__for_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain__is_left_to_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged__is_left_out, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
