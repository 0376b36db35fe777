/*
 * close.c - the end of numbers: close(2), close_range(2), closefrom(3)
 *
 * The table entry goes first, so that the number cannot be given out again while it still means
 * something here; then libc closes the kernel's descriptor; the last hold then ends the socket
 * (fd.c). Descriptors of ours answer EBADF, as if they were not there.
 */
#include <linux/close_range.h>
#include <limits.h>
#include <unistd.h>

#include "posix/keeper/sys.h"
#include "posix/sock.h"

/* SO_LINGER {1, n}: the last close in the last process waits until all is acknowledged. */
static bool unacknowledged(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	bool wait = false;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb && s->kind == SHIM_SOCK_TCP && s->rows == shim_row_bit(v->row)) {
		lane_tcp_get_status(v->ln, pcb, &st);
		if (!st.wr_shut && !st.rcv_queued && st.was_connected)
			lane_tcp_shutdown(v->ln, pcb, false, true);
		wait = st.snd_queued && !st.rcv_queued && st.state != LANE_TCP_CLOSED;
	}
	shim_leave(v);
	return wait;
}

static int drained(struct shim_view *v, void *arg)
{
	struct lane_tcp_status st;
	struct shim_sock *s;
	struct lane_tcp *pcb = shim_tcp_of(arg, &s);

	if (!pcb)
		return 1;
	lane_tcp_get_status(v->ln, pcb, &st);
	return !st.snd_queued || st.state == LANE_TCP_CLOSED;
}

static void linger(struct shim_local *l)
{
	struct shim_wait w = {.ready = drained, .arg = l, .socks = &l->index, .nr_socks = 1,
			      .ep = LANE_NIL, .kernel_epfd = -1};
	const struct shim_sock *s = shim_sock_of(l);
	int state;

	if (!s || !(s->flags & SHIM_SOCK_LINGER) || !s->linger_s || atomic_load(&l->refs) != 1)
		return;
	w.timeout_us = (int64_t)s->linger_s * 1000000;
	state = shim_cancel_off(); /* the number is gone, the rest of close() must follow */
	if (unacknowledged(l))
		shim_wait(&w);
	shim_cancel_restore(state);
}

int shim_close(int fd)
{
	struct shim_local *l;
	int r, saved;

	if (shim_unlikely(shim_fd_is_hidden(fd)))
		return -EBADF;
	l = shim_fd_take(fd);
	if (!l)
		return (int)sys_close(fd);
	saved = errno;
	if (l->kind == SHIM_SOCK)
		linger(l);
	shim_epoll_closed_fd(l, fd);
	r = (int)sys_close(fd);
	/* Another number of it may be asked for the kernel's half from now on. */
	if (atomic_load(&l->refs) > 1) {
		if (l->shadow == fd)
			shim_fd_others(l, fd, &l->shadow);
		if (l->epfd == fd)
			shim_fd_others(l, fd, &l->epfd);
	}
	shim_put(l);
	errno = saved;
	return r;
}

LANE_EXPORT int close(int fd)
{
	shim_cancel_point();
	return (int)shim_ret(shim_close(fd));
}

struct range {
	unsigned int first, last;
};

static void close_one(int fd, struct shim_local *l, void *arg)
{
	const struct range *r = arg;

	(void)l;
	if ((unsigned int)fd >= r->first && (unsigned int)fd <= r->last)
		shim_close(fd);
}

/* libc's close_range between our hidden numbers. */
static int kernel_range(unsigned int first, unsigned int last, int flags)
{
	unsigned int from = first, top = shim_fd_hidden_top(), fd;

	for (fd = first; fd <= last && fd < top; fd++) {
		if (!shim_fd_is_hidden((int)fd))
			continue;
		if (fd > from && shim_libc()->close_range(from, fd - 1, flags) < 0)
			return -errno;
		from = fd + 1;
	}
	if (from > last)
		return 0;
	return shim_libc()->close_range(from, last, flags) < 0 ? -errno : 0;
}

int shim_close_range(unsigned int first, unsigned int last, int flags)
{
	struct range r = {first, last};

	if (first <= last && !(flags & CLOSE_RANGE_CLOEXEC) &&
	    !(flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)))
		shim_fd_each(close_one, &r);
	if (first > last)
		return shim_libc()->close_range(first, last, flags) < 0 ? -errno : 0;
	return kernel_range(first, last, flags);
}

LANE_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return (int)shim_ret(shim_close_range(first, last, flags));
}

LANE_EXPORT void closefrom(int first)
{
	shim_close_range(first < 0 ? 0 : (unsigned int)first, UINT_MAX, 0);
}
