/*
 * io_recv.c - receiving from a lane's TCP socket
 *
 * Up to SHIM_COPY_LOCKED bytes are copied inside the lock. For more, whole frames are taken out
 * of the pcb in one bracket, copied with no lock held, and given back in a second. While that
 * goes on the sock is RD_BUSY and other readers wait: the bytes must come out in order. The mark
 * names its member, so that it does not outlive it.
 */
#include "posix/sandbox.h"
#include "posix/sock.h"

/* Under the lock: true if another reader copies. A dead member's mark is wiped. */
static bool is_busy(struct shim_view *v, struct shim_sock *s)
{
	if (shim_likely(!(s->flags & SHIM_SOCK_RD_BUSY)))
		return false;
	if (s->rd_row && s->rd_row <= SHIM_ROWS &&
	    shim_row_is_live(v->a, s->rd_row - 1u))
		return true;
	atomic_fetch_and(&s->flags, (uint16_t)~SHIM_SOCK_RD_BUSY);
	return false;
}

/* Takes the lock ('locked': it is held) when no other reader copies. NULL (unlocked): the sock is gone. */
static struct lane_tcp *enter_reader(struct shim_local *l, struct shim_sock **s, bool locked)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	unsigned int i;

	for (i = 0;; i++) {
		if (i || !locked)
			shim_enter(v);
		pcb = shim_tcp_of(l, s);
		if (pcb && !is_busy(v, *s))
			return pcb;
		shim_leave(v);
		if (!pcb)
			return NULL;
		shim_breathe(i);
	}
}

/* What a read with nothing to copy returns; 0 means that there is text. */
static ssize_t nothing(struct shim_view *v, struct lane_tcp *pcb, const struct lane_tcp_status *st,
		       const struct shim_sock *s)
{
	if (s->kind == SHIM_SOCK_LISTENER || (s->flags & SHIM_SOCK_UNCONNECTED))
		return st->err ? -lane_tcp_take_error(v->ln, pcb) : -ENOTCONN;
	/* The peer's end comes before an error that followed it (posix.md 66). */
	if (st->rcv_queued || st->peer_fin)
		return 0;
	if (st->err)
		return -lane_tcp_take_error(v->ln, pcb);
	if (st->rd_shut || st->state == LANE_TCP_CLOSED ||
	    st->state == LANE_TCP_TIME_WAIT)
		return 0;
	return -EAGAIN;
}

/* Under the lock: copies pieces of at most 'want' bytes in sum. */
static ssize_t read_locked(struct shim_view *v, struct lane_tcp *pcb, struct shim_cursor *c,
			   size_t want, int flags, size_t skip)
{
	bool peek = flags & MSG_PEEK, discard = flags & MSG_TRUNC;
	size_t got = 0, len;
	ssize_t r = 0;
	void *p;

	while (got < want) {
		p = shim_cursor_piece(c, want - got, &len);
		if (!len)
			break;
		r = p || discard ? lane_tcp_read(v->ln, pcb, discard ? NULL : p, len, peek,
						 skip + (peek ? got : 0), shim_copy_out)
				 : -EFAULT; /* to lane_tcp_read() NULL says discard */
		if (r <= 0)
			break;
		shim_cursor_advance(c, (size_t)r);
		got += (size_t)r;
		if ((size_t)r < len)
			break;
	}
	return got && !(peek && r == -EFAULT) ? (ssize_t)got : r;
}

/* The same into several pieces: where one of them is no memory nothing is taken. */
static ssize_t read_vector(struct shim_view *v, struct lane_tcp *pcb, struct shim_cursor *c, size_t want)
{
	ssize_t r = read_locked(v, pcb, c, want, MSG_PEEK, 0);

	return r > 0 ? lane_tcp_read(v->ln, pcb, NULL, (size_t)r, false, 0, shim_copy_out) : r;
}

/* Frames are ours now: copies them out. Returns how many were copied whole; their bytes in *bytes. */
static unsigned int copy_frames(struct shim_view *v, struct lane_buf *const *out, unsigned int n,
				struct shim_cursor *c, size_t *bytes)
{
	struct lane_bufs *bs = lane_bufs(v->ln);
	struct shim_cursor at;
	const uint8_t *text;
	size_t done, len;
	unsigned int i;
	void *p;

	*bytes = 0;
	for (i = 0; i < n; i++) {
		text = lane_buf_data(bs, out[i]);
		at = *c;
		for (done = 0; done < out[i]->len; done += len) {
			p = shim_cursor_piece(&at, out[i]->len - done, &len);
			if (!len || shim_copy_out(p, text + done, len) < 0)
				return i;
			shim_cursor_advance(&at, len);
		}
		*c = at;
		*bytes += out[i]->len;
	}
	return i;
}

static void set_owner(struct lane_buf *const *out, unsigned int n, int row)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		out[i]->owner = (uint8_t)(row + 1);
}

/* The second bracket: 'n' frames were taken, the first 'used' of them consumed. */
static void give_back(struct shim_local *l, struct lane_buf **out, unsigned int n, unsigned int used,
		      size_t bytes)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	unsigned int i;

	shim_enter(v);
	set_owner(out, n, -1);
	pcb = shim_tcp_of(l, &s);
	for (i = 0; i < (pcb ? used : n); i++)
		lane_buf_free(lane_bufs(v->ln), out[i]);
	if (pcb) {
		if (used < n)
			lane_tcp_untake(v->ln, pcb, out + used, n - used);
		lane_tcp_received(v->ln, pcb, bytes);
		atomic_fetch_and(&s->flags, (uint16_t)~SHIM_SOCK_RD_BUSY);
	}
	shim_leave(v);
}

/* Entered with the lock, which it leaves: a large copy of at most 'want' bytes. */
static ssize_t read_frames(struct shim_local *l, struct shim_sock *s, struct lane_tcp *pcb,
			   struct shim_cursor *c, size_t want)
{
	struct lane_buf *out[SHIM_FRAMES];
	struct shim_view *v = &shim.view;
	unsigned int used;
	size_t bytes;
	int n;

	n = lane_tcp_take(v->ln, pcb, out, SHIM_FRAMES, want);
	if (n <= 0) {
		ssize_t r = n;

		/* No frame is free to cut the first one with: that is no error of the program's. */
		if (n == -ENOBUFS)
			r = read_locked(v, pcb, c, want < SHIM_COPY_LOCKED ? want : SHIM_COPY_LOCKED, 0, 0);
		shim_leave(v);
		return r;
	}
	shim_sig_enter(); /* no handler may leave by longjmp from here on */
	set_owner(out, (unsigned int)n, v->row);
	s->rd_row = (uint8_t)(v->row + 1);
	atomic_fetch_or(&s->flags, SHIM_SOCK_RD_BUSY);
	shim_leave(v);
	used = copy_frames(v, out, (unsigned int)n, c, &bytes);
	give_back(l, out, (unsigned int)n, used, bytes);
	shim_sig_leave();
	return used ? (ssize_t)bytes : -EFAULT;
}

/* The text that a read which takes it finds, without a look at the status; 0: the status says. */
static uint32_t plain_text(struct shim_view *v, const struct shim_sock *s, const struct lane_tcp *pcb,
			   int flags)
{
	if (shim_unlikely((flags & (MSG_PEEK | MSG_TRUNC)) || s->kind != SHIM_SOCK_TCP ||
			  (s->flags & SHIM_SOCK_UNCONNECTED)))
		return 0;
	return lane_tcp_text(v->ln, pcb);
}

/* Leaves the lock that it is called with. '*more': there is more text than what is read, on this side of
 * the urgent mark. */
static ssize_t recv_asked(struct shim_local *l, struct shim_sock *s, struct lane_tcp *pcb,
			  struct shim_cursor *c, size_t want, int flags, size_t got, bool *more)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	ssize_t r;

	lane_tcp_get_rcv_status(v->ln, pcb, &st);
	if (flags & MSG_PEEK)
		st.rcv_queued = st.rcv_queued > got ? st.rcv_queued - (uint32_t)got : 0;
	/* An error behind text that this call has already delivered stays for the next one. */
	if (got && !st.rcv_queued && st.err) {
		shim_leave(v);
		return 0;
	}
	if (st.at_mark && !st.rcv_queued && want && !(flags & MSG_PEEK))
		lane_tcp_pass_urgent(v->ln, pcb);
	r = nothing(v, pcb, &st, s);
	if (r || !st.rcv_queued || !want ||
	    (got && lane_tcp_at_mark(v->ln, pcb, flags & MSG_PEEK ? got : 0))) {
		shim_leave(v);
		return r;
	}
	if (want > st.rcv_queued)
		want = st.rcv_queued;
	*more = st.rcv_queued > want || want > SHIM_COPY_LOCKED;
	if (want > SHIM_COPY_LOCKED && !(flags & (MSG_PEEK | MSG_TRUNC)))
		return read_frames(l, s, pcb, c, want);
	if (c->n > 1 && !(flags & (MSG_PEEK | MSG_TRUNC)))
		r = read_vector(v, pcb, c, want);
	else
		r = read_locked(v, pcb, c, want, flags, flags & MSG_PEEK ? got : 0);
	shim_leave(v);
	return r;
}

/* One bracket, which was begun when 'locked'. */
static ssize_t recv_once(struct shim_local *l, struct shim_cursor *c, size_t want, int flags,
			 size_t got, bool *more, bool locked)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	uint32_t text;
	ssize_t r;

	*more = false;
	pcb = enter_reader(l, &s, locked);
	if (!pcb)
		return -EBADF;
	text = plain_text(v, s, pcb, flags);
	if (!text || !want)
		return recv_asked(l, s, pcb, c, want, flags, got, more);
	if (want > text)
		want = text;
	*more = text > want || want > SHIM_COPY_LOCKED;
	if (want > SHIM_COPY_LOCKED)
		return read_frames(l, s, pcb, c, want);
	r = c->n > 1 ? read_vector(v, pcb, c, want) : read_locked(v, pcb, c, want, 0, 0);
	shim_leave(v);
	return r;
}

static ssize_t recv_oob(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags)
{
	struct shim_cursor c = {.iov = iov, .n = iovcnt};
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	uint8_t byte;
	size_t len;
	void *p;
	int r;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	r = !pcb			     ? -EBADF
	    : s->kind == SHIM_SOCK_LISTENER ? -ENOTCONN
					    : lane_tcp_read_oob(v->ln, pcb, &byte, flags & MSG_PEEK);
	shim_leave(v);
	if (r <= 0)
		return r;
	p = shim_cursor_piece(&c, 1, &len);
	if (!len)
		return 0;
	return flags & MSG_TRUNC ? 1 : shim_copy_out(p, &byte, 1) < 0 ? -EFAULT : 1;
}

/* Sleeps until there is more than 'have' (MSG_PEEK leaves it queued); 0: go on, with the lock if
 * *locked, else recv's result. */
static ssize_t wait_readable(struct shim_local *l, int64_t timeo, uint64_t *start, size_t got,
			     size_t have, const struct shim_sig_mark *mark, bool *locked)
{
	int64_t left = shim_time_left(timeo, start);
	bool restart = timeo < 0 && !got;
	int r = -EINTR;

	if (!shim_sig_ends(mark, restart))
		r = left ? shim_io_wait_locked(l, POLLIN, left, restart, have, locked) : 0;
	/* When the time is out, there is a last look: less than SO_RCVLOWAT wakes nobody. */
	if (r > 0 || (r == 0 && left))
		return 0;
	if (got)
		return (ssize_t)got;
	return r < 0 ? r : -EAGAIN;
}

/* A call that may sleep wants so much. */
static size_t least(struct shim_local *l, int flags, size_t total)
{
	const struct shim_sock *s = shim_sock_of(l);

	if (flags & MSG_WAITALL)
		return total;
	return s && s->so_rcvlowat ? s->so_rcvlowat : 1;
}

/* Most reads: one buffer, no flag that says what to do with text, and all that there is or that it takes is
 * copied inside the lock. Begun with the lock when 'locked'. 0, with the lock: it is not that simple. */
static ssize_t recv_simply(struct shim_local *l, const struct iovec *iov, bool locked)
{
	const unsigned int other = SHIM_SOCK_RD_BUSY | SHIM_SOCK_UNCONNECTED;
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	size_t n;
	ssize_t r;

	if (!locked)
		shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (!pcb || s->kind != SHIM_SOCK_TCP || (s->flags & other) || s->so_rcvlowat > 1)
		return 0;
	n = lane_tcp_text(v->ln, pcb);
	if (n > iov->iov_len)
		n = iov->iov_len;
	if (!n || n > SHIM_COPY_LOCKED)
		return 0;
	r = lane_tcp_read(v->ln, pcb, iov->iov_base, n, false, 0, shim_copy_out);
	shim_leave(v);
	return r;
}

static bool is_simple(const struct iovec *iov, int iovcnt, int flags)
{
	return shim_iov_is_one(iov, iovcnt) && iov->iov_base &&
	       !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Begun with the lock when 'locked'. */
static ssize_t recv_stream(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags,
			   bool locked, const struct shim_sig_mark *mark)
{
	struct shim_cursor c = {.iov = iov, .n = iovcnt};
	bool more, looked = false, waited = false, simple = locked;
	ssize_t r, total = shim_iov_total(iov, iovcnt);
	int64_t timeo = -1;
	uint64_t start = 0;
	size_t got = 0;

	if (shim_unlikely(total < 0))
		return total;
	for (;;) {
		r = recv_once(l, &c, (size_t)total - got, flags, got, &more, locked);
		locked = false;
		if (r > 0)
			got += (size_t)r;
		if (got == (size_t)total && r != -EAGAIN)
			return r < 0 && !got ? r : (ssize_t)got;
		if (r > 0 && (more || got < least(l, flags, (size_t)total)))
			continue;
		if (r != -EAGAIN)
			return got ? (ssize_t)got : r;
		if (got && got >= least(l, flags, (size_t)total))
			return (ssize_t)got;
		if (!shim_may_block(l, flags)) {
			if (looked || !shim_look())
				return got ? (ssize_t)got : -EAGAIN;
			looked = true;
			continue;
		}
		if (!waited)
			timeo = shim_rcvtimeo_us(l);
		waited = true;
		r = wait_readable(l, timeo, &start, got, flags & MSG_PEEK ? got : 0, mark, &locked);
		/* Who asks for nothing waits once, as Linux, and whatever ends that has nothing for it. */
		if (!total) {
			if (locked)
				shim_leave(&shim.view);
			return 0;
		}
		if (!r && simple && locked && !got)
			r = recv_simply(l, iov, true);
		if (r)
			return r;
	}
}

static ssize_t recv_datagram(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)iovcnt};

	return shim_udp_recv(l, &m, flags);
}

ssize_t shim_sock_recv(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags)
{
	struct shim_sig_mark mark = shim_sig_mark();
	bool simple = is_simple(iov, iovcnt, flags);
	ssize_t r;

	if (shim_unlikely(l->dgram))
		return recv_datagram(l, iov, iovcnt, flags);
	if (shim_unlikely(flags & MSG_ERRQUEUE))
		return shim_zerocopy_recv(l, &(struct msghdr){0});
	if (shim_unlikely(flags & MSG_OOB))
		return recv_oob(l, iov, iovcnt, flags);
	r = simple ? recv_simply(l, iov, false) : 0;
	return r ? r : recv_stream(l, iov, iovcnt, flags, simple, &mark);
}
