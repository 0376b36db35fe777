/*
 * iov.c - what receiving and sending share: a program's buffers, waiting, SIGPIPE
 */
#include <pthread.h>

#include "lane-int/ifs.h"
#include "posix/sock.h"

void *shim_cursor_piece(struct shim_cursor *c, size_t max, size_t *len)
{
	size_t left;

	while (c->n && c->done >= c->iov->iov_len) {
		c->iov++;
		c->n--;
		c->done = 0;
	}
	if (!c->n) {
		*len = 0;
		return NULL;
	}
	left = c->iov->iov_len - c->done;
	*len = left < max ? left : max;
	return (char *)c->iov->iov_base + c->done;
}

void shim_cursor_advance(struct shim_cursor *c, size_t len)
{
	size_t step;

	while (len && c->n) {
		step = c->iov->iov_len - c->done;
		if (step > len)
			step = len;
		c->done += step;
		len -= step;
		if (c->done < c->iov->iov_len)
			return;
		c->iov++;
		c->n--;
		c->done = 0;
	}
}

ssize_t shim_iov_sum(const struct iovec *iov, int n)
{
	size_t total = 0;
	int i;

	for (i = 0; i < n; i++) {
		if ((ssize_t)iov[i].iov_len < 0)
			return -EINVAL;
		if ((intptr_t)((uintptr_t)iov[i].iov_base + iov[i].iov_len) < 0)
			return -EFAULT; /* no program's memory ends there */
		total += iov[i].iov_len;
		if (total > SHIM_RW_MAX)
			total = SHIM_RW_MAX;
	}
	return (ssize_t)total;
}

int shim_iov_get(struct iovec *own, const struct iovec *user, int n)
{
	if (n < 0 || n > SHIM_IOV_MAX)
		return -EINVAL;
	return shim_copy_in(own, user, (size_t)n * sizeof(*own));
}

ssize_t shim_pipe_signal(ssize_t r, int flags)
{
	if (r == -EPIPE && !(flags & MSG_NOSIGNAL))
		pthread_kill(pthread_self(), SIGPIPE);
	return r;
}

bool shim_may_block(struct shim_local *l, int flags)
{
	return !(flags & MSG_DONTWAIT) && !(shim_sock_flags(l) & SHIM_SOCK_NONBLOCK);
}

struct io_wait {
	struct shim_local *l;
	uint32_t events;
	size_t have;
};

/* The usual answer, without the rest of the status. */
static bool has_text(struct shim_view *v, const struct shim_sock *s, size_t have)
{
	const struct lane_tcp *pcb = s->kind == SHIM_SOCK_TCP ? lane_tcp_at(v->ln, s->pcb) : NULL;
	uint32_t text = pcb ? lane_tcp_text(v->ln, pcb) : 0;

	return text > have && text >= s->so_rcvlowat;
}

static int io_ready(struct shim_view *v, void *arg)
{
	const struct io_wait *io = arg;
	const struct shim_sock *s = shim_sock_of(io->l);
	struct lane_tcp_status st;
	struct lane_tcp *pcb;
	uint32_t mask, asked = io->events | EPOLLERR | EPOLLHUP | EPOLLRDHUP;

	if (shim_unlikely(!s))
		return (int)(io->events | EPOLLHUP);
	if (io->events == POLLIN && has_text(v, s, io->have))
		return POLLIN;
	mask = shim_sock_mask(v, s, asked) & asked;
	if (mask != EPOLLIN || !io->have || s->kind != SHIM_SOCK_TCP)
		return (int)mask;
	pcb = lane_tcp_at(v->ln, s->pcb);
	if (!pcb)
		return (int)mask;
	lane_tcp_get_status(v->ln, pcb, &st);
	return st.rcv_queued > io->have ? (int)mask : 0;
}

/* The caller's hold, which its call's end would drop. */
static void io_abandon(void *arg)
{
	shim_put(((struct io_wait *)arg)->l);
}

int shim_io_wait_locked(struct shim_local *l, uint32_t events, int64_t timeout_us, bool restart,
			size_t have, bool *locked)
{
	struct io_wait io = {.l = l, .events = events, .have = have};
	struct pollfd shadow = {.fd = l->shadow, .events = (short)events};
	struct shim_wait w = {.ready = io_ready, .arg = &io, .socks = &l->index, .nr_socks = 1,
			      .ep = LANE_NIL, .kernel_epfd = -1, .kernel_fds = &shadow,
			      .nr_kernel_fds = l->shadow >= 0, .timeout_us = timeout_us,
			      .restart = restart, .keep_lock = locked && l->shadow < 0,
			      .abandon = io_abandon};
	int r = shim_wait(&w);

	if (locked)
		*locked = r > 0 && w.keep_lock;
	return r;
}

int shim_io_wait(struct shim_local *l, uint32_t events, int64_t timeout_us, bool restart, size_t have)
{
	return shim_io_wait_locked(l, events, timeout_us, restart, have, NULL);
}

/* Space there is, frames there are not: the pool fills again within a round trip. */
static int pool_has_frames(struct shim_view *v, void *arg)
{
	(void)arg;
	return lane_bufs(v->ln)->pool->nr_free > SHIM_FRAMES;
}

static void pause_abandon(void *arg)
{
	shim_put(arg);
}

int shim_pause(struct shim_local *l, int64_t us)
{
	struct shim_wait w = {.ready = pool_has_frames, .abandon = pause_abandon, .arg = l,
			      .socks = &l->index, .nr_socks = 1, .ep = LANE_NIL, .kernel_epfd = -1,
			      .timeout_us = us, .restart = true};
	int r = shim_wait(&w);

	return r < 0 ? r : 0;
}

bool shim_look(void)
{
	struct shim_view *v = &shim.view;
	unsigned int n;

	/* On lo the other end may be this thread's own: what it wrote is there, as with the kernel. */
	if (lane_ifs_have_loopback(v->ln))
		shim_kick_deferred();
	shim_enter(v);
	n = shim_turn(v);
	shim_leave(v);
	return n;
}
