/*
 * accept.c - accept(2): the lane's queue and the kernel's, merged
 *
 * The lane is asked first; after KERNEL_EVERY connections in a row from it, and whenever it has
 * none, the kernel's half is asked. A connection is taken out of the lane's queue only when there
 * is a number for it, so EMFILE leaves it there (posix.md 76). The number is a dup of the anchor:
 * whoever uses it behind our back gets ENOTCONN, never somebody else's data.
 */
#include <fcntl.h>
#include <unistd.h>

#include "posix/keeper/sys.h"
#include "posix/sock.h"

#define KERNEL_EVERY 16

/* Whether a connection waits in the lane: 0, -EAGAIN, -EINVAL (not listening). */
static int waiting(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	struct shim_sock *s;
	struct lane_tcp *pcb;
	int r = -EINVAL;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb && s->kind == SHIM_SOCK_LISTENER) {
		lane_tcp_get_status(v->ln, pcb, &st);
		if (st.state == LANE_TCP_LISTEN)
			r = st.nr_accept ? 0 : -EAGAIN;
	}
	shim_leave(v);
	return r;
}

/* Options that a connection has from its listener and that are the shim's, not the engine's. */
static void inherit(struct shim_sock *s, const struct shim_sock *from)
{
	s->linger_s = from->linger_s;
	s->rcvtimeo_ms = from->rcvtimeo_ms;
	s->sndtimeo_ms = from->sndtimeo_ms;
	s->so_rcvlowat = from->so_rcvlowat;
	s->so_priority = from->so_priority;
	s->so_mark = from->so_mark;
	s->so_bits = from->so_bits;
	s->cmsg = from->cmsg;
}

/* Moves the next connection into a new sock for 'nl'; its peer in *peer. -EAGAIN: another was faster. */
static int take(struct shim_local *l, struct shim_local *nl, unsigned int flags, struct lane_ep *peer)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb, *conn = NULL;
	struct shim_sock *s, *from;
	uint64_t cookie;
	uint32_t i;
	int r = -EAGAIN;

	shim_enter(v);
	pcb = shim_tcp_of(l, &from);
	i = pcb ? shim_sock_make(v, SHIM_SOCK_TCP, flags, &cookie) : LANE_NIL;
	s = shim_sock_at(v, i);
	if (!s) {
		r = pcb ? -ENFILE : -EINVAL;
	} else {
		s->flags |= from->flags & (SHIM_SOCK_V6 | SHIM_SOCK_LINGER);
		inherit(s, from);
		conn = lane_tcp_accept(v->ln, pcb, cookie);
		if (!conn)
			shim_sock_free(v, i);
	}
	if (conn) {
		s->pcb = lane_tcp_index(v->ln, conn);
		nl->v6 = l->v6;
		memcpy(nl->kept, l->kept, sizeof(nl->kept));
		nl->index = i;
		nl->generation = s->generation;
		lane_tcp_get_peer(v->ln, conn, peer);
		r = 0;
	}
	shim_leave(v);
	return r;
}

static int accept_lane(struct shim_local *l, struct sockaddr *addr, socklen_t *len, int flags)
{
	int fd, r = waiting(l);
	struct shim_local *nl;
	struct lane_ep peer;

	if (r < 0)
		return r;
	fd = shim_fd_within(shim_libc()->fcntl(
		shim.anchor, flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0));
	if (fd < 0)
		return fd;
	nl = shim_local_alloc(SHIM_SOCK);
	r = nl ? take(l, nl, flags & SOCK_NONBLOCK ? SHIM_SOCK_NONBLOCK : 0, &peer) : -ENOMEM;
	if (r < 0) {
		sys_close(fd);
		if (nl)
			shim_put(nl);
		return r;
	}
	shim_fd_set(fd, nl);
	r = shim_addr_put(&peer, l->v6, addr, len);
	if (r < 0) {
		shim_close(fd);
		return r;
	}
	return fd;
}

/* The kernel's half, without waiting: another process may have taken O_NONBLOCK from the description,
 * for a program that it executed (exec.c). */
static int accept_kernel(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int has, r;

	if (!sys_poll_now(&p, 1))
		return -EAGAIN;
	r = shim_fd_room(fd);
	if (r < 0)
		return r;
	has = shim_libc()->fcntl(fd, F_GETFL);
	if (!(has & O_NONBLOCK))
		shim_libc()->fcntl(fd, F_SETFL, has | O_NONBLOCK);
	r = (int)sys_call(SYS_accept4, fd, (long)addr, (long)len, flags, 0);
	if (r < 0)
		return r;
	shim_count_fallback(SHIM_FB_KERNEL_HALF);
	return shim_fd_new(shim_fd_within(r));
}

static int accept_either(int fd, struct shim_local *l, struct sockaddr *addr, socklen_t *len,
			 int flags)
{
	bool kernel_first = l->accept_turn >= KERNEL_EVERY;
	int r;

	if (kernel_first) {
		l->accept_turn = 0;
		r = accept_kernel(fd, addr, len, flags);
		if (r != -EAGAIN)
			return r;
	}
	r = accept_lane(l, addr, len, flags);
	if (r >= 0) {
		l->accept_turn++;
		return r;
	}
	if (r != -EAGAIN || kernel_first)
		return r;
	return accept_kernel(fd, addr, len, flags);
}

/* accept(2) takes the number before it looks at the listener. The highest one is free, as a rule. */
static int no_number(int fd)
{
	int probe;

	if (shim_nofile_extra && shim_libc()->fcntl(shim_nofile_limit - 1, F_GETFD) < 0)
		return 0;
	if (shim_nofile_extra)
		return shim_fd_room(fd);
	probe = shim_libc()->fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (probe < 0)
		return -errno;
	sys_close(probe);
	return 0;
}

/* The caller's hold, which the end of its accept() would drop. */
static void accept_abandon(void *arg)
{
	shim_put(arg);
}

static int accept_ready(struct shim_view *v, void *arg)
{
	struct lane_tcp_status st;
	struct shim_sock *s;
	struct lane_tcp *pcb = shim_tcp_of(arg, &s);

	(void)v;
	if (!pcb)
		return 1;
	lane_tcp_get_status(shim.view.ln, pcb, &st);
	return st.nr_accept || st.state != LANE_TCP_LISTEN;
}

int shim_accept(int fd, struct shim_local *l, struct sockaddr *addr, socklen_t *len, int flags)
{
	int64_t timeo = shim_rcvtimeo_us(l);
	uint64_t start = 0;
	struct pollfd kernel = {.fd = fd, .events = POLLIN};
	struct shim_wait w = {.ready = accept_ready, .abandon = accept_abandon, .arg = l, .socks = &l->index, .nr_socks = 1,
			      .ep = LANE_NIL, .kernel_epfd = -1, .kernel_fds = &kernel,
			      .nr_kernel_fds = 1, .restart = timeo < 0};
	bool waited = false;
	int r, room;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	for (;;) {
		r = l->dgram ? -EOPNOTSUPP : accept_either(fd, l, addr, len, flags);
		if (r == -EAGAIN && shim_look())
			r = accept_either(fd, l, addr, len, flags);
		room = r < 0 && !waited ? no_number(fd) : 0;
		if (room < 0)
			return room;
		if (r != -EAGAIN || (shim_sock_flags(l) & SHIM_SOCK_NONBLOCK))
			return r;
		w.timeout_us = shim_time_left(timeo, &start);
		if (w.timeout_us == 0)
			return -EAGAIN;
		waited = true;
		r = shim_wait(&w);
		if (r < 0)
			return r;
	}
}
