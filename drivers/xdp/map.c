/*
 * map.c - a process' mappings of the rings and the claims
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lane-int/ifs.h"
#include "queue.h"
#include "uapi.h"

static int map_ring(struct lane_xdp_view *v, const struct lane_xdp_ring *r, int fd, off_t page)
{
	uint8_t *p =
		mmap(NULL, r->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);

	if (p == MAP_FAILED)
		return -errno;
	v->map = p;
	v->map_len = r->map_len;
	v->producer = (uint32_t *)(p + r->producer);
	v->consumer = (uint32_t *)(p + r->consumer);
	v->flags = (uint32_t *)(p + r->flags);
	v->desc = p + r->desc;
	v->size = r->size;
	return 0;
}

static void unmap(const struct lane_xdp_view *v)
{
	if (v->map)
		munmap(v->map, v->map_len);
}

void lane_xdp_queue_close(struct lane_queue *lq)
{
	struct lane_xdp_queue *q = (struct lane_xdp_queue *)lq;

	if (!q)
		return;
	unmap(&q->rx);
	unmap(&q->tx);
	unmap(&q->fill);
	unmap(&q->comp);
	if (q->claims)
		munmap(q->claims, q->claims_size);
	free(q);
}

static int map_claims(struct lane_xdp_queue *q, const struct lane_xdp_share *share, int fd)
{
	void *p;

	if (share->claims_size < sizeof(struct lane_xdp_claims))
		return -EPROTO;
	p = mmap(NULL, share->claims_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	q->claims = p;
	q->claims_size = share->claims_size;
	return 0;
}

static int map_all(struct lane_xdp_queue *q, struct lane_xdp_share *share,
		   const struct lane_xdp_fds *fds, unsigned int i)
{
	int r = map_ring(&q->rx, &share->queue[i].rx, fds->xsk[i], XDP_PGOFF_RX_RING);

	if (r == 0)
		r = map_ring(&q->tx, &share->queue[i].tx, fds->xsk[i], XDP_PGOFF_TX_RING);
	if (r == 0)
		r = map_ring(&q->fill, &share->queue[i].fill, fds->xsk[i],
			     (off_t)XDP_UMEM_PGOFF_FILL_RING);
	if (r == 0)
		r = map_ring(&q->comp, &share->queue[i].comp, fds->xsk[i],
			     (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
	return r == 0 ? map_claims(q, share, fds->claims) : r;
}

static int add_queue(struct lane *ln, struct lane_xdp_share *share, const struct lane_xdp_fds *fds,
		     unsigned int i)
{
	struct lane_xdp_queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->q.drv = &lane_xdp_driver;
	q->q.bufs = lane_bufs(ln);
	q->q.caps = share->caps;
	q->q.idx = (uint8_t)i;
	q->q.ifi = share->ifi;
	q->share = share;
	q->partial_ok = share->partial_ok;
	/* Less than what TCP leaves free (an eighth), or a lane that sends much could receive nothing. */
	q->reserve = lane_bufs(ln)->nr / 16;
	q->fill_max = lane_bufs(ln)->nr / 4 / share->nr_queues / lane_nr_ifs(ln);
	q->rx_position = &share->queue[i].rx_position;
	q->unkicked = &share->queue[i].nr_unkicked;
	q->fd = fds->xsk[i];
	q->packet_fd = fds->packet;
	r = map_all(q, share, fds, i);
	if (r == 0) {
		q->q.rx_filled = q->rx.producer;
		q->q.rx_taken = q->rx.consumer;
		q->q.rx_size = q->rx.size;
		r = lane_add_queue(ln, &q->q);
	}
	if (r < 0)
		lane_xdp_queue_close(&q->q);
	return r;
}

int lane_xdp_map(struct lane *ln, struct lane_xdp_share *share, const struct lane_xdp_fds *fds)
{
	int r = 0;

	if (share->bound && !(share->have & LANE_XDP_F_MAP_LATE))
		return -EBUSY;
	if (share->nr_queues > LANE_QUEUES_MAX)
		return -EPROTO;
	/* The queues of those that were added stay the lane's, as with any other queue. */
	for (unsigned int i = 0; r == 0 && i < share->nr_queues; i++)
		r = add_queue(ln, share, fds, i);
	return r;
}
