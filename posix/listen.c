/*
 * listen.c - listen(2) and shutdown(2)
 *
 * A listener listens twice: in the lane, where connections over the interface come in, and in the
 * kernel under the same number, for loopback, other interfaces and everything that looks at
 * sockets from outside. The lane's comes first, so that its claim is stored before the kernel's
 * listener can take a SYN (design.md 3); it goes again if the kernel says no. Only a socket
 * without a port must ask the kernel first, which then chooses one.
 *
 * The kernel's half is always O_NONBLOCK, since accept(2) looks at both.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "posix/keeper/sys.h"
#include "posix/sock.h"

static int somaxconn(void)
{
	int n = 4096, fd, state = shim_cancel_off();
	char text[16];
	ssize_t r;

	fd = open("/proc/sys/net/core/somaxconn", O_RDONLY | O_CLOEXEC);
	shim_cancel_restore(state);
	if (fd < 0)
		return n;
	r = sys_read(fd, text, sizeof(text) - 1);
	sys_close(fd);
	if (r > 0) {
		text[r] = 0;
		n = atoi(text);
	}
	return n;
}

static int clamp_backlog(int backlog)
{
	int max = somaxconn();

	/* Linux compares as unsigned: -1 is the maximum. */
	return (unsigned int)backlog > (unsigned int)max ? max : backlog;
}

static int kernel_listen(int fd, int backlog)
{
	return shim_libc()->listen(fd, backlog) < 0 ? -errno : 0;
}

/* Makes the lane's listener: its index in *index. 0 or -errno. */
static int lane_listener(const struct shim_kopts *k, const struct lane_ep *local, int backlog,
			 uint32_t *index)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	uint64_t cookie;
	int r = -ENOMEM;

	shim_enter(v);
	*index = shim_sock_make(v, SHIM_SOCK_LISTENER, k->flags | SHIM_SOCK_SHADOW, &cookie);
	s = shim_sock_at(v, *index);
	pcb = s ? lane_tcp_create(v->ln, cookie) : NULL;
	if (pcb) {
		s->pcb = lane_tcp_index(v->ln, pcb);
		shim_kopts_apply(s, k);
		r = lane_tcp_listen(v->ln, pcb, local, k->flags & SHIM_SOCK_V6ONLY, backlog);
		if (r < 0)
			shim_sock_release(v, *index, v->row);
	} else if (s) {
		shim_sock_free(v, *index);
	}
	shim_leave(v);
	return r;
}

static void drop_listener(uint32_t index)
{
	struct shim_view *v = &shim.view;

	shim_enter(v);
	shim_sock_release(v, index, v->row);
	shim_leave(v);
}

/* The first listen() of a FRESH socket that the lane may serve on 'local'. */
static int listen_both(int fd, struct shim_local *l, struct lane_ep *local, int backlog)
{
	int r, flags, clamped = clamp_backlog(backlog);
	bool kernel_first = local->port == 0;
	struct shim_kopts k;
	uint32_t index;

	if (kernel_first) {
		r = kernel_listen(fd, backlog);
		if (r < 0)
			return r;
		r = shim_addr_of_kernel(fd, local);
		if (r < 0)
			return 0; /* listens in the kernel, and stays there */
	}
	shim_kopts_read(fd, l, &k);
	if (lane_listener(&k, local, clamped, &index) < 0) {
		shim_fresh_kernel(l, SHIM_FB_ARENA_FULL);
		return kernel_first ? 0 : kernel_listen(fd, backlog);
	}
	r = kernel_first ? 0 : kernel_listen(fd, backlog);
	if (r == 0)
		r = shim_fresh_become(fd, l, index, true);
	if (r < 0) {
		drop_listener(index);
		return r;
	}
	flags = shim_libc()->fcntl(fd, F_GETFL);
	shim_libc()->fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	return 0;
}

static int first_listen(int fd, struct shim_local *l, int backlog)
{
	enum shim_fallback why;
	struct lane_ep local;

	if (!shim_join()) {
		shim_fresh_kernel(l, shim.why);
		return kernel_listen(fd, backlog);
	}
	if (shim_addr_of_kernel(fd, &local) < 0)
		return kernel_listen(fd, backlog);
	shim_uring_look();
	why = shim_refuses(fd, l, &local);
	if (why == SHIM_NR_FB)
		return listen_both(fd, l, &local, backlog);
	shim_fresh_kernel(l, why);
	return kernel_listen(fd, backlog);
}

int shim_listen(int fd, struct shim_local *l, int backlog)
{
	struct shim_view *v = &shim.view;
	int clamped, r = -EINVAL;
	struct shim_sock *s;
	struct lane_tcp *pcb;
	struct lane_ep local;

	if (l->kind == SHIM_FRESH)
		return first_listen(fd, l, backlog);
	clamped = clamp_backlog(backlog);
	if (shim_sock_of(l) && shim_sock_of(l)->kind != SHIM_SOCK_LISTENER)
		return -EINVAL;
	/* A listener again: the kernel's port first, for shutdown() may have given it back. */
	r = kernel_listen(fd, backlog);
	if (r < 0 || shim_addr_of_kernel(fd, &local) < 0)
		return r;
	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	r = pcb ? lane_tcp_listen(v->ln, pcb, &local, s->flags & SHIM_SOCK_V6ONLY, clamped) : -EINVAL;
	shim_leave(v);
	return r;
}

static int shutdown_udp(int fd, struct shim_local *l, int how)
{
	struct shim_view *v = &shim.view;
	int r = shim_libc()->shutdown(fd, how) < 0 ? -errno : 0;

	/* ENOTCONN wakes a blocked recv all the same (posix.md 81). */
	shim_enter(v);
	if (how != SHUT_WR)
		shim_sock_set_flag(l, SHIM_SOCK_RD_SHUT, true);
	if (how != SHUT_RD)
		shim_sock_set_flag(l, SHIM_SOCK_WR_SHUT, true);
	shim_sock_notify(v, l->index, UINT32_MAX);
	shim_leave(v);
	return r;
}

int shim_shutdown(int fd, struct shim_local *l, int how)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st = {.state = LANE_TCP_CLOSED};
	struct lane_tcp *pcb;
	struct shim_sock *s;
	bool listener;
	int r;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (l->dgram)
		return shutdown_udp(fd, l, how);
	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	listener = pcb && s->kind == SHIM_SOCK_LISTENER;
	if (pcb)
		lane_tcp_get_rcv_status(v->ln, pcb, &st);
	r = pcb ? lane_tcp_shutdown(v->ln, pcb, how != SHUT_WR, how != SHUT_RD) : -ENOTCONN;
	if (listener)
		r = 0;
	if (st.state == LANE_TCP_SYN_SENT) {
		shim_sock_set_flag(l, SHIM_SOCK_CONNECTING, false);
		shim_sock_set_flag(l, SHIM_SOCK_UNCONNECTED, true);
	}
	/* As Linux, also where there is nothing left to shut. */
	if (r == 0 || r == -ENOTCONN)
		shim_sock_notify(v, l->index, UINT32_MAX);
	shim_leave(v);
	if (listener)
		return shim_libc()->shutdown(fd, how) < 0 ? -errno : 0;
	return r;
}
