/*
 * pool.c - a lane's frames as an rte_mempool
 *
 * Theory of operation. A PMD wants its buffers as objects of a mempool: a header of 64 bytes, struct rte_mbuf (128),
 * then the data. A lane wants frames at one stride. Both have theirs in the same memory:
 *
 *	|<------------------ LANE_DPDK_STRIDE ------------------>|
 *	| frame i: LANE_DPDK_FRAME bytes  | header of | rte_mbuf | frame i + 1
 *	                                    object i+1  of i + 1
 *
 * The mbuf of a frame lies in front of it, in the gap that the frame before leaves. Frame 0 has none and is kept
 * out of use. The stride is an odd number of cache lines, so headers of different frames lie in different sets.
 *
 * There is one list of free frames, the lane's: the mempool's operations take from it and give to it, and it has no
 * cache. So what the PMD frees after sending is a completion (LANE_BUF_TX), and a received frame that the lane
 * frees is at once the PMD's to fill. A free frame's mbuf is as DPDK wants a raw one: one reference, one segment.
 *
 * Text that waits for ACKs may hold every frame, and without a frame no ACK comes: some are kept back for receiving.
 */
#include <errno.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "queue.h"

#define OPS    "lane"
#define HEADER 64 /* of a mempool's object */
#define FRONT  (HEADER + sizeof(struct rte_mbuf))

_Static_assert(LANE_DPDK_STRIDE == LANE_DPDK_FRAME + FRONT, "object and frame have one stride");
_Static_assert(LANE_DPDK_STRIDE % 128 == 64, "an odd number of cache lines");

struct lane_buf *lane_dpdk_buf(const struct lane_dpdk_queue *q, const struct rte_mbuf *m)
{
	size_t at = (size_t)((const uint8_t *)(m + 1) - q->q.bufs->frames);

	return &q->q.bufs->meta[at / LANE_DPDK_STRIDE];
}

struct rte_mbuf *lane_dpdk_mbuf(const struct lane_dpdk_queue *q, const struct lane_buf *b)
{
	uint8_t *frame = q->q.bufs->frames + (size_t)lane_buf_index(q->q.bufs, b) * LANE_DPDK_STRIDE;

	return (struct rte_mbuf *)frame - 1;
}

/* ---- the mempool's operations ---- */

static int pool_alloc(struct rte_mempool *mp)
{
	mp->pool_data = mp->pool_config;
	return 0;
}

static void pool_free(struct rte_mempool *mp)
{
}

static int pool_enqueue(struct rte_mempool *mp, void *const *obj, unsigned int n)
{
	struct lane_dpdk_queue *q = mp->pool_data;

	for (unsigned int i = 0; i < n; i++) {
		struct lane_buf *b = lane_dpdk_buf(q, obj[i]);

		if (b->flags & LANE_BUF_TX)
			lane_buf_tx_done(q->q.bufs, b);
		else
			lane_buf_free(q->q.bufs, b);
	}
	return 0;
}

static struct lane_buf *take_spare(struct lane_dpdk_queue *q)
{
	return &q->q.bufs->meta[q->spare[--q->nr_spare]];
}

static int pool_dequeue(struct rte_mempool *mp, void **obj, unsigned int n)
{
	struct lane_dpdk_queue *q = mp->pool_data;

	/* DPDK empties a pool before it goes. */
	if (!q)
		return -ENOENT;
	if (q->q.bufs->pool->nr_free + q->nr_spare < n) {
		q->nr_no_frame++;
		return -ENOBUFS;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct lane_buf *b = lane_buf_alloc(q->q.bufs);

		if (!b)
			b = take_spare(q);
		b->owner = LANE_BUF_DRIVER;
		obj[i] = lane_dpdk_mbuf(q, b);
	}
	return 0;
}

static unsigned int pool_count(const struct rte_mempool *mp)
{
	const struct lane_dpdk_queue *q = mp->pool_data;

	return q->q.bufs->pool->nr_free + q->nr_spare;
}

/* Objects lie where the frames are, across pages too; they are free already. */
static int pool_populate(struct rte_mempool *mp, unsigned int max, void *vaddr, rte_iova_t iova, size_t len,
			 rte_mempool_populate_obj_cb_t *cb, void *arg)
{
	unsigned int i;

	for (i = 0; i < max && (i + 1) * (size_t)LANE_DPDK_STRIDE <= len; i++) {
		size_t at = i * (size_t)LANE_DPDK_STRIDE + HEADER;

		cb(mp, arg, (char *)vaddr + at, iova + at);
	}
	return (int)i;
}

static const struct rte_mempool_ops ops = {
	.name = OPS,
	.alloc = pool_alloc,
	.free = pool_free,
	.enqueue = pool_enqueue,
	.dequeue = pool_dequeue,
	.get_count = pool_count,
	.populate = pool_populate,
};

/* ---- its life ---- */

/* By the first queue of the process the operations become known to DPDK. */
static int set_ops(struct lane_dpdk_queue *q)
{
	if (rte_mempool_set_ops_byname(q->mp, OPS, q) == 0)
		return 0;
	if (rte_mempool_register_ops(&ops) < 0)
		return -ENOSPC;
	return rte_mempool_set_ops_byname(q->mp, OPS, q);
}

/* Where the first object's header lies for a device; RTE_BAD_IOVA: not in memory that it can read. */
static rte_iova_t first_iova(const uint8_t *first)
{
	if (rte_mem_virt2memseg_list(first))
		return rte_mem_virt2iova(first);
	return rte_eal_iova_mode() == RTE_IOVA_VA ? (rte_iova_t)(uintptr_t)first : RTE_BAD_IOVA;
}

static int create_empty(struct lane_dpdk_queue *q)
{
	struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = LANE_DPDK_FRAME};
	char name[RTE_MEMPOOL_NAMESIZE];
	int r;

	snprintf(name, sizeof(name), "lane%u.%u", q->port->id, q->idx);
	q->mp = rte_mempool_create_empty(name, q->q.bufs->nr - 1, LANE_DPDK_STRIDE - HEADER, 0, sizeof(priv),
					 SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_SPREAD);
	if (!q->mp)
		return -rte_errno;
	if (q->mp->header_size != HEADER || q->mp->trailer_size)
		return -EPROTO;
	r = set_ops(q);
	if (r == 0)
		rte_pktmbuf_pool_init(q->mp, &priv);
	return r;
}

/* Takes frame 0, and some for receiving, out of the lane's pool. */
static int reserve(struct lane_dpdk_queue *q)
{
	struct lane_bufs *bs = q->q.bufs;
	struct lane_buf *b;

	if (bs->stride != LANE_DPDK_STRIDE || bs->size != LANE_DPDK_FRAME || bs->pool->nr_free != bs->nr ||
	    bs->nr < 4 * LANE_DPDK_SPARE)
		return -EINVAL;
	b = lane_buf_alloc(bs);
	assert(lane_buf_index(bs, b) == 0);
	b->owner = LANE_BUF_DRIVER;
	q->reserved = true;
	lane_dpdk_pool_save(q);
	return 0;
}

int lane_dpdk_pool_create(struct lane_dpdk_queue *q, char *err)
{
	uint8_t *first = q->q.bufs->frames + LANE_DPDK_FRAME;
	size_t len = (q->q.bufs->nr - 1) * (size_t)LANE_DPDK_STRIDE;
	int r = reserve(q);

	if (r < 0) {
		snprintf(err, LANE_DPDK_ERR, "a lane on DPDK needs fresh frames, of %u bytes at a stride of %u",
			 LANE_DPDK_FRAME, LANE_DPDK_STRIDE);
		return r;
	}
	r = create_empty(q);
	if (r == 0)
		r = rte_mempool_populate_iova(q->mp, (char *)first, first_iova(first), len, NULL, NULL);
	if (r < 0) {
		snprintf(err, LANE_DPDK_ERR, "no mempool: %s", rte_strerror(-r));
		return r;
	}
	rte_mempool_obj_iter(q->mp, rte_pktmbuf_init, NULL);
	return 0;
}

void lane_dpdk_pool_save(struct lane_dpdk_queue *q)
{
	while (q->nr_spare < LANE_DPDK_SPARE && q->q.bufs->pool->nr_free > LANE_DPDK_SPARE) {
		struct lane_buf *b = lane_buf_alloc(q->q.bufs);

		b->owner = LANE_BUF_DRIVER;
		q->spare[q->nr_spare++] = lane_buf_index(q->q.bufs, b);
	}
}

void lane_dpdk_pool_destroy(struct lane_dpdk_queue *q)
{
	while (q->nr_spare)
		lane_buf_free(q->q.bufs, take_spare(q));
	if (q->reserved)
		lane_buf_free(q->q.bufs, &q->q.bufs->meta[0]);
	q->reserved = false;
	if (q->mp)
		q->mp->pool_data = NULL;
	rte_mempool_free(q->mp);
	q->mp = NULL;
}
