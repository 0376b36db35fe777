/*
 * wide.c - super-segments over AF_XDP: an AF_PACKET socket beside the XSKs, which the kernel cuts
 * for
 *
 * Theory of operation. A frame that an XSK sends fits the interface's MTU: its transmit metadata
 * know no segmentation. A packet socket takes up to 64 KB with a virtio_net_hdr, which go through
 * veth and lo uncut, and are cut by a NIC or in front of it (facts.md A4; decision 0012). So what
 * tx_burst() gets as a chain is noted, piece by piece, in a ring in the share, and kick() sends one
 * message for each packet. The kernel has copied it when that returns; the frames are given back by
 * the next burst.
 *
 * Order. While the ring has something, all packets of the interface go through it; kick() empties
 * the XSK's ring first. 'head' and 'done' move under the lane's lock; 'tail' without it, by who has
 * 'busy': one process at a time. It is a robust mutex that is only tried, so the kernel tells of its
 * holder's death, in whatever pid namespace that was. A holder may be stopped, too, mostly behind its
 * sendmsg(2): then its frames wait for it, and after some kicks the others go on without super-segments.
 *
 * The socket is bound to the interface and hears nothing: protocol 0, and a filter that can not be
 * taken off.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "drivers/robust.h"
#include "drivers/sys.h"
#include "dev.h"
#include "queue.h"

#define SEND_BUFFER  (8 << 20)
#define SENDS        64 /* messages in one kick */
#define ETH_HLEN_MIN 14

/* ---- the opener ---- */

static int make_deaf(int fd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = {.len = 1, .filter = &none};
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on));
}

static int make_sender(int fd, uint32_t ifindex)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)ifindex};
	int on = 1, bytes = SEND_BUFFER;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	/* Not PACKET_QDISC_BYPASS: that way the kernel drops what it would have to cut itself, where the
	 * interface has no TSO or has it switched off. */
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0)
		return -1;
	return bind(fd, (struct sockaddr *)&at, sizeof(at));
}

int lane_xdp_wide_init(struct lane_xdp_wide *w)
{
	return lane_robust_init(&w->busy);
}

int lane_xdp_wide_open(struct lane_xdp_dev *dev)
{
	int fd = -1;

	if (!(dev->cfg.without & LANE_XDP_F_SUPER))
		fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (make_deaf(fd) < 0 || make_sender(fd, dev->itf.ifindex) < 0 ||
			lane_xdp_wide_init(&dev->share->wide) < 0)) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		dev->share->have |= LANE_XDP_F_SUPER;
	else if (!(dev->cfg.without & LANE_XDP_F_SUPER))
		dev->share->lacking |= LANE_XDP_F_SUPER;
	return fd;
}

/* ---- under the lane's lock ---- */

static struct lane_xdp_piece *piece_at(struct lane_xdp_wide *w, uint32_t i)
{
	return &w->piece[i % LANE_XDP_PIECES];
}

/* Pieces that wait to be sent; a damaged ring counts as empty. */
static uint32_t waiting(const struct lane_xdp_wide *w)
{
	uint32_t n = __atomic_load_n(&w->head, __ATOMIC_ACQUIRE) -
		     __atomic_load_n(&w->tail, __ATOMIC_ACQUIRE);

	return n <= LANE_XDP_PIECES ? n : 0;
}

uint32_t lane_xdp_wide_waiting(const struct lane_xdp_queue *q)
{
	return waiting(&q->share->wide);
}

static bool is_stalled(const struct lane_xdp_wide *w)
{
	return __atomic_load_n(&w->nr_refused, __ATOMIC_RELAXED) >= LANE_XDP_STALLED;
}

bool lane_xdp_wide_leads(const struct lane_xdp_queue *q)
{
	return waiting(&q->share->wide) && !is_stalled(&q->share->wide);
}

/* Pieces that may be noted. */
static uint32_t free_pieces(const struct lane_xdp_wide *w)
{
	uint32_t used = __atomic_load_n(&w->head, __ATOMIC_RELAXED) - w->done;

	return used <= LANE_XDP_PIECES ? LANE_XDP_PIECES - used : 0;
}

uint32_t lane_xdp_wide_room(const struct lane_queue *lq)
{
	const struct lane_xdp_share *share = ((const struct lane_xdp_queue *)lq)->share;

	/* With zero copy the NIC takes frames as they are. */
	if ((__atomic_load_n(&share->have, __ATOMIC_RELAXED) &
	     (LANE_XDP_F_SUPER | LANE_XDP_F_ZEROCOPY)) != LANE_XDP_F_SUPER ||
	    is_stalled(&share->wide))
		return 0;
	return free_pieces(&share->wide);
}

/* What the kernel must know of the packet that begins with 'b'. */
static void describe(const struct lane_bufs *bs, const struct lane_buf *b, struct lane_xdp_piece *p)
{
	const uint8_t *data = lane_buf_data(bs, b);

	if (b->flags & LANE_BUF_CSUM) {
		p->csum_start = b->csum_start;
		p->csum_off = b->csum_off;
	}
	if (!(b->flags & LANE_BUF_MORE))
		return;
	/* The first frame has one segment's text behind the TCP header. */
	p->hlen = (uint16_t)(b->csum_start + (data[b->csum_start + 12] >> 4) * 4);
	p->size = (uint16_t)(b->len - p->hlen);
	p->v6 = data[b->l3_off - b->off] >> 4 == 6;
}

bool lane_xdp_wide_put(struct lane_xdp_queue *q, struct lane_buf *b)
{
	struct lane_bufs *bs = q->q.bufs;
	struct lane_xdp_wide *w = &q->share->wide;
	uint32_t head = w->head, n = 0;
	const struct lane_buf *f = b;

	if (free_pieces(w) < LANE_SG_MAX)
		return false;
	for (bool more = true; more && f && n < LANE_SG_MAX; n++) {
		struct lane_xdp_piece *p = piece_at(w, head + n);

		more = f->flags & LANE_BUF_MORE;
		*p = (struct lane_xdp_piece){
			.frame = lane_buf_index(bs, f), .off = f->off, .len = f->len, .more = more};
		if (n == 0)
			describe(bs, b, p);
		bs->meta[p->frame].flags |= LANE_BUF_TX;
		f = lane_buf_at(bs, f->next);
	}
	/* With a fence: who sends and finds nothing more must not leave while this is noted. */
	__atomic_store_n(&w->head, head + n, __ATOMIC_SEQ_CST);
	return true;
}

void lane_xdp_wide_reap(struct lane_xdp_queue *q)
{
	struct lane_xdp_wide *w = &q->share->wide;
	uint32_t batch[LANE_SG_MAX], n = __atomic_load_n(&w->tail, __ATOMIC_ACQUIRE) - w->done;

	while (n > 0 && n <= LANE_XDP_PIECES) {
		uint32_t k = n < LANE_SG_MAX ? n : LANE_SG_MAX;

		for (uint32_t i = 0; i < k; i++)
			batch[i] = piece_at(w, w->done + i)->frame;
		__atomic_store_n(&w->done, w->done + k, __ATOMIC_RELAXED); /* a kick looks at it without the lock */
		n -= k;
		for (uint32_t i = 0; i < k; i++) {
			struct lane_buf *b = lane_buf_at(q->q.bufs, batch[i]);

			if (b && b->flags & LANE_BUF_TX)
				lane_buf_tx_done(q->q.bufs, b);
		}
	}
}

/* ---- the kick, without the lock ---- */

/* One after the other; false: another is at it, and will find what was noted before this. */
static bool begin(struct lane_xdp_wide *w)
{
	int r;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r = pthread_mutex_trylock(&w->busy);
	/* Killed in the middle: its packet may leave a second time, which does no harm. */
	if (r == EOWNERDEAD)
		r = pthread_mutex_consistent(&w->busy);
	if (r && !is_stalled(w))
		__atomic_add_fetch(&w->nr_refused, 1, __ATOMIC_RELAXED);
	return r == 0;
}

static void end(struct lane_xdp_wide *w)
{
	pthread_mutex_unlock(&w->busy);
	/* What was noted meanwhile by one who saw us at it is ours to send: it is looked for behind this. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Collects the pieces of the packet at 'tail'; returns how many, 0: it is damaged. */
static uint32_t gather(const struct lane_xdp_queue *q, struct lane_xdp_wide *w, uint32_t left,
		       struct iovec iov[LANE_SG_MAX])
{
	const struct lane_bufs *bs = q->q.bufs;

	for (uint32_t n = 0; n < left && n < LANE_SG_MAX; n++) {
		const struct lane_xdp_piece p = *piece_at(w, w->tail + n);

		if (p.frame >= bs->nr || p.off > bs->size || p.len > bs->size - p.off)
			return 0;
		iov[n].iov_base = bs->frames + (size_t)p.frame * bs->stride + p.off;
		iov[n].iov_len = p.len;
		if (!p.more)
			return n + 1;
	}
	return 0;
}

static void fill_header(const struct lane_xdp_piece *p, struct virtio_net_hdr *h)
{
	*h = (struct virtio_net_hdr){.hdr_len = p->hlen, .gso_size = p->size};
	if (p->csum_start) {
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = p->csum_start;
		h->csum_offset = p->csum_off;
	}
	if (p->size)
		h->gso_type = p->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
}

/* Sends the packet at 'tail'. False: not now. */
static bool send_one(const struct lane_xdp_queue *q, struct lane_xdp_wide *w)
{
	struct iovec iov[LANE_SG_MAX + 1];
	uint32_t left = waiting(w), n = gather(q, w, left, iov + 1);
	struct virtio_net_hdr h;
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n + 1};
	long r = 0;

	fill_header(piece_at(w, w->tail), &h);
	iov[0] = (struct iovec){&h, sizeof(h)};
	if (n > 0)
		r = lane_syscall(SYS_sendmsg, q->packet_fd, (long)&m, MSG_DONTWAIT, 0, 0, 0);
	if (r < 0) {
		/* A queue below is full. Else the packet is lost, as in any network. */
		if (r == -EAGAIN || r == -ENOBUFS || r == -EINTR)
			return false;
		if (h.gso_size && r != -ENETDOWN && r != -ENXIO)
			__atomic_and_fetch(&q->share->have, ~(uint32_t)LANE_XDP_F_SUPER,
					   __ATOMIC_RELAXED);
	}
	__atomic_store_n(&w->tail, w->tail + (n ? n : left), __ATOMIC_RELEASE);
	__atomic_store_n(&w->nr_refused, 0, __ATOMIC_RELAXED);
	return true;
}

void lane_xdp_wide_kick(struct lane_xdp_queue *q)
{
	struct lane_xdp_wide *w = &q->share->wide;
	bool full = false;

	/* A filter that has no sendto(2) left may kill for sendmsg(2): the keeper sends it. */
	if (q->q.plain)
		return;
	for (int i = 0; i < SENDS && !full && waiting(w) && begin(w);) {
		for (; i < SENDS && !full && waiting(w); i++)
			full = !send_one(q, w);
		end(w);
	}
}
