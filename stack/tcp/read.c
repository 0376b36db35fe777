/*
 * read.c - received text on its way to the program
 *
 * What a read gives when there is no text, and in which order (end of file, pending error, end after a
 * reset), is Linux' order. A read stops before the urgent byte, and the next one skips it unless it is
 * kept inline (RFC 6093).
 */
#include "stack/tcp/pcb.h"

/* No text: 0 (end), -EAGAIN, or the pending error once. */
static int nothing(struct lane_tcp *pcb)
{
	int err = pcb->err;

	if (pcb->state == LANE_TCP_LISTEN)
		return -ENOTCONN;
	if (pcb->flags & LANE_TF_PEER_FIN)
		return 0;
	if (err) {
		pcb->err = 0;
		return -err;
	}
	if (pcb->flags & LANE_TF_RD_SHUT)
		return 0;
	return pcb->state == LANE_TCP_CLOSED ? -ENOTCONN : -EAGAIN;
}

/* Takes 'n' bytes off the front of the queue. */
static void consume(struct lane *ln, struct lane_tcp *pcb, uint32_t n)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_bufs *bs = &ln->bufs;
	struct lane_buf *b;

	x->rcv_queued -= n;
	while (n && (b = lane_buf_at(bs, x->rcvq_head)) != NULL) {
		if (b->len > n) {
			b->off += n;
			b->len -= n;
			return;
		}
		n -= b->len;
		x->rcvq_head = b->next;
		if (x->rcvq_head == LANE_NIL)
			x->rcvq_tail = LANE_NIL;
		b->flags &= (uint8_t)~LANE_BUF_MORE;
		b->next = LANE_NIL;
		lane_buf_free(bs, b);
	}
}

/* The mark is behind the program: it means nothing any more. */
static void pass_mark(const struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->urg_state != LANE_URG_NONE &&
	    lane_seq_gt(lane_tcp_copied_seq(ln, pcb), x->urg_seq))
		x->urg_state = LANE_URG_NONE;
}

/* At most so many of 'n' bytes from 'pos' on may be read in one go: not beyond the mark. */
static uint32_t until_mark(const struct lane *ln, const struct lane_tcp *pcb, uint32_t pos, uint32_t n)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->urg_state != LANE_URG_NONE && lane_seq_gt(x->urg_seq, pos) &&
	    x->urg_seq - pos < n)
		return x->urg_seq - pos;
	return n;
}

static bool at_hidden_mark(const struct lane *ln, const struct lane_tcp *pcb, uint32_t pos)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	return x->urg_state != LANE_URG_NONE && x->urg_seq == pos && !lane_tcp_opts(ln, pcb)->oobinline;
}

/* Copies 'n' bytes from 'skip' on, all of which are queued. */
static int copy_out(struct lane *ln, const struct lane_tcp *pcb, uint8_t *dst, uint32_t skip,
		    uint32_t n, lane_copy_fn copy)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_buf *b = lane_buf_at(&ln->bufs, x->rcvq_head);

	for (; b && n; b = lane_buf_at(&ln->bufs, b->next)) {
		const uint8_t *src = lane_buf_data(&ln->bufs, b) + skip;
		uint32_t part = b->len > skip ? b->len - skip : 0;

		if (part == 0) {
			skip -= b->len;
			continue;
		}
		skip = 0;
		if (part > n)
			part = n;
		if (!copy)
			memcpy(dst, src, part);
		else if (copy(dst, src, part))
			return -EFAULT;
		dst += part;
		n -= part;
	}
	return 0;
}

/* All that is queued is one frame, which is read whole, as mostly: false if not so. lane_tcp_read() without marks; *r
 * is what it returns. */
static bool read_plain(struct lane *ln, struct lane_tcp *pcb, void *dst, size_t len, lane_copy_fn copy, ssize_t *r)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->rcvq_head);
	uint32_t n = x->rcv_queued;

	if (!b || b->len != n || n > len || x->urg_state != LANE_URG_NONE)
		return false;
	if (!copy)
		memcpy(dst, lane_buf_data(&ln->bufs, b), n);
	else if (copy(dst, lane_buf_data(&ln->bufs, b), n)) {
		*r = -EFAULT;
		return true;
	}
	x->rcvq_head = x->rcvq_tail = LANE_NIL;
	x->rcv_queued = 0;
	b->next = LANE_NIL;
	lane_buf_free(&ln->bufs, b);
	lane_tcp_received(ln, pcb, n);
	lane_tcp_rest(ln, pcb);
	*r = n;
	return true;
}

/* Apart, as the short way needs none of its registers. */
__attribute__((noinline)) static ssize_t read_any(struct lane *ln, struct lane_tcp *pcb, void *dst, size_t len,
						  bool peek, size_t skip, lane_copy_fn copy)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t n, at = (uint32_t)skip, hidden;

	/* Bytes that a peek has told of already; the urgent one in front of them is none of them. */
	if (skip && at_hidden_mark(ln, pcb, lane_tcp_copied_seq(ln, pcb)))
		at++;
	if (at >= x->rcv_queued)
		return nothing(pcb);
	hidden = at_hidden_mark(ln, pcb, lane_tcp_copied_seq(ln, pcb) + at);
	if (hidden && x->rcv_queued == at + 1) {
		if (!peek) {
			consume(ln, pcb, 1);
			pass_mark(ln, pcb);
			lane_tcp_received(ln, pcb, 1);
		}
		return nothing(pcb);
	}
	n = x->rcv_queued - at - hidden;
	if (len < n)
		n = (uint32_t)len;
	n = until_mark(ln, pcb, lane_tcp_copied_seq(ln, pcb) + at + hidden, n);
	if (dst && copy_out(ln, pcb, dst, at + hidden, n, copy))
		return -EFAULT;
	if (!peek && n) {
		consume(ln, pcb, n + hidden);
		pass_mark(ln, pcb);
		lane_tcp_received(ln, pcb, n + hidden);
		lane_tcp_rest(ln, pcb);
	}
	return n;
}

ssize_t lane_tcp_read(struct lane *ln, struct lane_tcp *pcb, void *dst, size_t len, bool peek,
		      size_t skip, lane_copy_fn copy)
{
	ssize_t r;

	lane_tcp_work(ln, pcb);
	if (dst && !peek && skip == 0 && !ln->no_plain && read_plain(ln, pcb, dst, len, copy, &r))
		return r;
	return read_any(ln, pcb, dst, len, peek, skip, copy);
}

void lane_tcp_skip_mark(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (x->rcv_queued == 0 || !at_hidden_mark(ln, pcb, lane_tcp_copied_seq(ln, pcb)))
		return;
	consume(ln, pcb, 1);
	lane_tcp_received(ln, pcb, 1);
}

void lane_tcp_pass_urgent(struct lane *ln, struct lane_tcp *pcb)
{
	lane_tcp_work(ln, pcb);
	lane_tcp_skip_mark(ln, pcb);
	pass_mark(ln, pcb);
}

/* The front of the queue is larger than 'max': a frame with its first bytes. */
static int take_part(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *out[], uint32_t max)
{
	struct lane_buf *b = lane_buf_alloc(&ln->bufs);

	if (!b)
		return -ENOBUFS;
	if (max > ln->bufs.size - b->off)
		max = ln->bufs.size - b->off;
	copy_out(ln, pcb, lane_buf_data(&ln->bufs, b), 0, max, NULL);
	b->len = max;
	b->pkt_len = max;
	consume(ln, pcb, max);
	out[0] = b;
	return 1;
}

int lane_tcp_take(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *out[], uint32_t n, size_t max)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t pos = lane_tcp_copied_seq(ln, pcb), left = max < UINT32_MAX ? (uint32_t)max : UINT32_MAX;
	struct lane_buf *b;
	uint32_t i = 0;

	lane_tcp_work(ln, pcb);
	if (x->rcv_queued && at_hidden_mark(ln, pcb, pos)) {
		consume(ln, pcb, 1);
		pass_mark(ln, pcb);
		lane_tcp_received(ln, pcb, 1);
		pos++;
	}
	if (x->rcv_queued == 0)
		return nothing(pcb);
	if (n == 0 || left == 0)
		return 0;
	left = until_mark(ln, pcb, pos, left);
	b = lane_buf_at(&ln->bufs, x->rcvq_head);
	if (b && b->len > left)
		return take_part(ln, pcb, out, left);
	for (; b && i < n && b->len <= left; b = lane_buf_at(&ln->bufs, x->rcvq_head)) {
		x->rcvq_head = b->next;
		if (x->rcvq_head == LANE_NIL)
			x->rcvq_tail = LANE_NIL;
		x->rcv_queued -= b->len;
		left -= b->len;
		b->next = LANE_NIL;
		b->flags &= (uint8_t)~LANE_BUF_MORE;
		b->pkt_len = b->len;
		out[i++] = b;
	}
	pass_mark(ln, pcb);
	return (int)i;
}

void lane_tcp_untake(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *bufs[], uint32_t n)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	lane_tcp_work(ln, pcb);
	while (n--) {
		struct lane_buf *b = bufs[n];

		b->owner = 0;
		/* What is lent counts in rcv_used. The connection may have ended meanwhile: then it
		 * knows nothing of them any more. */
		if (pcb->x == LANE_NIL || x->rcv_used - x->rcv_queued < b->len) {
			lane_buf_free(&ln->bufs, b);
			continue;
		}
		b->next = x->rcvq_head;
		x->rcvq_head = lane_buf_index(&ln->bufs, b);
		if (x->rcvq_tail == LANE_NIL)
			x->rcvq_tail = x->rcvq_head;
		x->rcv_queued += b->len;
	}
}

int lane_tcp_read_oob(struct lane *ln, struct lane_tcp *pcb, uint8_t *byte, bool peek)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t pos = lane_tcp_copied_seq(ln, pcb);

	lane_tcp_work(ln, pcb);
	if (lane_tcp_opts(ln, pcb)->oobinline || x->urg_state == LANE_URG_NONE ||
	    x->urg_state == LANE_URG_READ)
		return -EINVAL;
	if (pcb->state == LANE_TCP_CLOSED && !(pcb->flags & LANE_TF_PEER_FIN))
		return -ENOTCONN; /* it was reset: as Linux */
	if (lane_seq_ge(x->urg_seq, pos + x->rcv_queued))
		return -EAGAIN;
	copy_out(ln, pcb, byte, x->urg_seq - pos, 1, NULL);
	if (!peek)
		x->urg_state = LANE_URG_READ;
	return 1;
}
