/*
 * io_send.c - sending on a lane's TCP socket
 *
 * Up to SHIM_COPY_LOCKED bytes are copied inside the lock, straight from the program where they
 * are one piece, by way of the stack where they are several: an address that faults then sends
 * nothing (posix.md 65). For more, frames are taken out in one bracket, filled with no lock held,
 * and sent in a second. They are marked with this member's row, so that they come back if it dies.
 */
#include <string.h>
#include <time.h>

#include "posix/sock.h"

/* Where both ends are one thread's, one look brings the text to the peer, the next its answer back. */
#define LOOKS 2

/* The pcb, if it may send now; else NULL and *r. Under the lock. A listener's state is none to send in. */
static struct lane_tcp *sender(struct shim_local *l, ssize_t *r)
{
	struct shim_view *v = &shim.view;
	struct shim_sock *s;
	struct lane_tcp *pcb = shim_tcp_of(l, &s);

	if (!pcb) {
		*r = -EBADF;
		return NULL;
	}
	*r = lane_tcp_may_send(pcb);
	if (shim_unlikely(*r > 0))
		*r = -lane_tcp_take_error(v->ln, pcb);
	return *r ? NULL : pcb;
}

static int plain_copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	return 0;
}

/* One bracket with the copy inside. */
static ssize_t write_locked(struct shim_local *l, const void *src, size_t len, int flags,
			    lane_copy_fn copy)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	ssize_t r;

	shim_enter(v);
	pcb = sender(l, &r);
	if (pcb && len) {
		if (flags & MSG_OOB)
			r = lane_tcp_write_oob(v->ln, pcb, src, len, copy);
		else
			r = lane_tcp_write(v->ln, pcb, src, len, flags & MSG_MORE, copy);
	}
	shim_leave(v);
	return r;
}

static int gather(uint8_t *to, const struct shim_cursor *from, size_t len)
{
	struct shim_cursor c = *from;
	size_t piece;
	void *p;

	while (len) {
		p = shim_cursor_piece(&c, len, &piece);
		if (!piece)
			return -EFAULT;
		if (shim_copy_in(to, p, piece) < 0)
			return -EFAULT;
		shim_cursor_advance(&c, piece);
		to += piece;
		len -= piece;
	}
	return 0;
}

static __attribute__((noinline)) ssize_t send_gathered(struct shim_local *l,
						       const struct shim_cursor *c, size_t want,
						       int flags)
{
	uint8_t bounce[SHIM_COPY_LOCKED];
	ssize_t r;

	/* A socket that cannot send says so first. */
	if (gather(bounce, c, want) < 0) {
		r = write_locked(l, bounce, 0, flags, plain_copy);
		return r < 0 ? r : -EFAULT;
	}
	return write_locked(l, bounce, want, flags, plain_copy);
}

static ssize_t send_small(struct shim_local *l, const struct shim_cursor *c, size_t want, int flags)
{
	if (c->n && c->iov->iov_len - c->done >= want)
		return write_locked(l, (const char *)c->iov->iov_base + c->done, want, flags,
				    shim_copy_in);
	return send_gathered(l, c, want, flags);
}

/* ---- frames ---- */

static void free_frames(struct shim_view *v, struct shim_frames *f, unsigned int from)
{
	for (; f->n > from; f->n--)
		lane_buf_free(lane_bufs(v->ln), f->buf[f->n - 1]);
}

ssize_t shim_frames_get(struct shim_local *l, struct shim_frames *f, size_t want)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	struct lane_bufs *bs;
	struct lane_tcp *pcb;
	struct lane_buf *b;
	size_t n, got, asked = want;
	ssize_t r;

	f->n = 0;
	shim_enter(v);
	pcb = sender(l, &r);
	if (!pcb)
		goto out;
	lane_tcp_get_status(v->ln, pcb, &st);
	bs = lane_bufs(v->ln);
	f->room = lane_tcp_snd_mss(v->ln, pcb);
	if (f->room > bs->size - LANE_HEADROOM)
		f->room = bs->size - LANE_HEADROOM;
	/* The engine joins the first frame to the last segment (lane_tcp_send()): no short one amid the text. */
	f->first = lane_tcp_tail_room(v->ln, pcb);
	if (f->first == 0 || f->first > f->room)
		f->first = f->room;
	if (want > st.snd_space)
		want = st.snd_space;
	n = want ? (want + f->room - f->first + f->room - 1) / f->room : 0;
	for (n = n > SHIM_FRAMES ? SHIM_FRAMES : n; f->n < n && (b = lane_buf_alloc(bs));) {
		b->owner = (uint8_t)(v->row + 1);
		f->buf[f->n++] = b;
	}
	got = f->n ? (size_t)f->n * f->room - (f->room - f->first) : 0;
	if (want > got)
		want = got;
	if (want < asked && f->n < SHIM_FRAMES)
		lane_tcp_want_space(v->ln, pcb);
	r = want ? (ssize_t)want : -EAGAIN;
out:
	if (r > 0)
		shim_sig_enter();
	shim_leave(v);
	return r;
}

ssize_t shim_frames_send(struct shim_local *l, struct shim_frames *f, size_t len, bool more)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	unsigned int i, n = 0;
	size_t left = len;
	ssize_t r = 0;

	shim_enter(v);
	for (i = 0; i < f->n; i++) {
		f->buf[i]->owner = 0;
		f->buf[i]->len = (uint16_t)(left < shim_frame_room(f, i) ? left : shim_frame_room(f, i));
		f->buf[i]->pkt_len = f->buf[i]->len;
		left -= f->buf[i]->len;
		n += f->buf[i]->len != 0;
	}
	free_frames(v, f, n);
	pcb = n ? sender(l, &r) : NULL;
	if (pcb)
		r = lane_tcp_send(v->ln, pcb, f->buf, n, more);
	if (pcb && r == 0)
		r = (ssize_t)len;
	else
		free_frames(v, f, 0);
	shim_leave(v);
	shim_sig_leave();
	return r;
}

/* Copies the program's bytes into frames: how many before an address faulted. */
static size_t fill(struct shim_frames *f, struct shim_cursor *c, size_t want)
{
	struct lane_bufs *bs = lane_bufs(shim.view.ln);
	size_t done = 0, piece, at = 0;
	unsigned int i = 0;
	void *p;

	while (done < want) {
		size_t room = shim_frame_room(f, i);

		p = shim_cursor_piece(c, want - done < room - at ? want - done : room - at, &piece);
		if (!piece || shim_copy_in(lane_buf_data(bs, f->buf[i]) + at, p, piece) < 0)
			return done - at; /* whole frames before it */
		shim_cursor_advance(c, piece);
		done += piece;
		at += piece;
		if (at == room) {
			at = 0;
			i++;
		}
	}
	return done;
}

static ssize_t send_large(struct shim_local *l, struct shim_cursor *c, size_t want, int flags)
{
	struct shim_cursor at = *c;
	struct shim_frames f;
	ssize_t room = shim_frames_get(l, &f, want);
	ssize_t r;
	bool more;
	size_t n;

	if (room < 0)
		return room;
	n = fill(&f, &at, (size_t)room);
	/* Only a bracket that was too small is sure to be followed by another. */
	more = (flags & MSG_MORE) || (n < want && f.n == SHIM_FRAMES);
	r = shim_frames_send(l, &f, n, more);
	return n ? r : -EFAULT;
}

/* ---- the whole of a call ---- */

static int wait_writable(struct shim_local *l, int64_t left, bool restart)
{
	int r = shim_io_wait(l, POLLOUT, left, restart, 0);

	if (r <= 0 || lane_bufs(shim.view.ln)->pool->nr_free > SHIM_FRAMES)
		return r;
	r = shim_pause(l, left >= 0 && left < 1000 ? left : 1000);
	return r < 0 ? r : 1;
}

/* An error that came while this call slept belongs to the next one if bytes were taken. */
static bool has_error(struct shim_local *l)
{
	struct lane_tcp_status st;

	shim_rcv_status(l, &st);
	return st.err;
}

/* 'sent' bytes of the first buffer are; the call began at 'mark'. */
static ssize_t send_stream(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags,
			   size_t sent, const struct shim_sig_mark *mark)
{
	struct shim_cursor c = {.iov = iov, .n = iovcnt, .done = sent};
	ssize_t r, total = shim_iov_total(iov, iovcnt);
	int64_t left, timeo = -1;
	size_t want;
	bool waited = false;
	uint64_t start = 0;
	unsigned int looks = 0;

	if (shim_unlikely(total < 0))
		return total;
	for (;;) {
		want = (size_t)total - sent;
		/* Only the last byte of all is urgent: its bracket is the last. */
		if (want <= SHIM_COPY_LOCKED)
			r = send_small(l, &c, want, flags);
		else if (flags & MSG_OOB)
			r = send_large(l, &c, want - SHIM_COPY_LOCKED, flags & ~MSG_OOB);
		else
			r = send_large(l, &c, want, flags);
		if (r > 0)
			sent += (size_t)r;
		if (sent == (size_t)total && r >= 0)
			return (ssize_t)sent;
		if (r > 0) {
			shim_cursor_advance(&c, (size_t)r);
			continue;
		}
		/* ACKs that make room, or a RST, may have come since the program last waited. */
		if (r == -EAGAIN && !shim_may_block(l, flags) && looks++ < LOOKS && shim_look())
			continue;
		if (r != -EAGAIN || !shim_may_block(l, flags))
			return sent ? (ssize_t)sent : shim_pipe_signal(r, flags);
		if (!waited)
			timeo = shim_sndtimeo_us(l);
		waited = true;
		left = shim_time_left(timeo, &start);
		/* What was taken is told, also to a handler that restarts calls. */
		if (shim_sig_ends(mark, timeo < 0 && !sent))
			r = -EINTR;
		else
			r = left ? wait_writable(l, left, timeo < 0 && !sent) : -EAGAIN;
		if (r <= 0)
			return sent ? (ssize_t)sent : r < 0 ? r : -EAGAIN;
		if (sent && has_error(l))
			return (ssize_t)sent;
	}
}

static ssize_t send_datagram(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)iovcnt};

	return shim_udp_send(l, &m, flags);
}

/* Most writes: one buffer that is copied inside the lock, and no flag that makes it another call. */
static bool is_simple(const struct iovec *iov, int iovcnt, int flags)
{
	return shim_iov_is_one(iov, iovcnt) && iov->iov_len && iov->iov_len <= SHIM_COPY_LOCKED &&
	       !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE));
}

ssize_t shim_sock_send(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags)
{
	struct shim_sig_mark mark = shim_sig_mark();
	ssize_t r = 0;

	if (shim_unlikely(l->dgram))
		return send_datagram(l, iov, iovcnt, flags);
	if (shim_likely(is_simple(iov, iovcnt, flags))) {
		r = write_locked(l, iov->iov_base, iov->iov_len, flags, shim_copy_in);
		if (r == (ssize_t)iov->iov_len)
			return r;
		if (r < 0 && r != -EAGAIN)
			return shim_pipe_signal(r, flags);
	}
	if (shim_unlikely(flags & MSG_FASTOPEN)) {
		r = shim_connect_again(l);
		if (r < 0)
			return r;
	}
	r = send_stream(l, iov, iovcnt, flags, r > 0 ? (size_t)r : 0, &mark);
	if (shim_unlikely(flags & MSG_ZEROCOPY) && r > 0)
		shim_zerocopy_sent(l);
	return r;
}
