/*
 * name.c - getsockname(2) and getpeername(2)
 */
#include "posix/sock.h"

static int udp_local(int fd, struct shim_local *l, struct lane_ep *ep)
{
	struct shim_view *v = &shim.view;
	struct lane_udp *pcb;
	struct shim_sock *s;

	/* The shadow is bound as the program sees it, but not connected in own-address mode. */
	if (!shim_own_mode())
		return shim_addr_of_kernel(fd, ep);
	shim_enter(v);
	pcb = shim_udp_of(l, &s);
	if (pcb)
		lane_udp_get_local(pcb, ep);
	shim_leave(v);
	return pcb ? 0 : shim_addr_of_kernel(fd, ep);
}

static int tcp_local(int fd, struct shim_local *l, struct lane_ep *ep)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct lane_ep bound;
	struct shim_sock *s;
	bool of_kernel;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	of_kernel = pcb && (s->kind == SHIM_SOCK_LISTENER || (s->flags & SHIM_SOCK_UNCONNECTED));
	if (pcb && !of_kernel)
		lane_tcp_get_local(v->ln, pcb, ep);
	shim_leave(v);
	if (!pcb)
		return -EBADF;
	if (of_kernel)
		return shim_addr_of_kernel(fd, ep);
	/* Bound since its connect() failed. */
	if (shim_connect_failed(l) && shim_addr_of_kernel(fd, &bound) == 0 && bound.port)
		*ep = bound;
	return 0;
}

int shim_getsockname(int fd, struct shim_local *l, struct sockaddr *addr, socklen_t *len)
{
	struct lane_ep ep;
	int r = l->dgram ? udp_local(fd, l, &ep) : tcp_local(fd, l, &ep);

	if (r < 0)
		return r;
	return addr ? shim_addr_put(&ep, l->v6, addr, len) : -EFAULT;
}

/* ENOTCONN also while connecting and once it is over, in TIME_WAIT as well (posix.md 67). */
static int tcp_remote(struct shim_local *l, struct lane_ep *ep)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	int r = -ENOTCONN;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb && s->kind == SHIM_SOCK_TCP) {
		shim_turn(v); /* a RST may wait */
		lane_tcp_get_status(v->ln, pcb, &st);
		if (st.state != LANE_TCP_CLOSED && st.state != LANE_TCP_SYN_SENT &&
		    st.state != LANE_TCP_TIME_WAIT)
			r = lane_tcp_get_remote(v->ln, pcb, ep);
	}
	shim_leave(v);
	return r;
}

static int udp_remote(struct shim_local *l, struct lane_ep *ep)
{
	struct shim_view *v = &shim.view;
	struct lane_udp *pcb;
	struct shim_sock *s;
	int r = -ENOTCONN;

	shim_enter(v);
	pcb = shim_udp_of(l, &s);
	if (pcb)
		r = lane_udp_get_remote(pcb, ep);
	shim_leave(v);
	return r;
}

int shim_getpeername(int fd, struct shim_local *l, struct sockaddr *addr, socklen_t *len)
{
	struct lane_ep ep;
	int r = l->dgram ? udp_remote(l, &ep) : tcp_remote(l, &ep);

	/* A UDP socket connected to where only the kernel reaches. */
	if (r < 0 && l->dgram)
		return shim_libc()->getpeername(fd, addr, len) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	return addr ? shim_addr_put(&ep, l->v6, addr, len) : -EFAULT;
}

LANE_EXPORT int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct shim_local *l = shim_get_sock(fd);
	int r;

	if (!l && shim_adopt_inherited(fd))
		l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->getsockname(fd, addr, len);
	r = shim_getsockname(fd, l, addr, len);
	shim_put(l);
	return (int)shim_ret(r);
}

LANE_EXPORT int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct shim_local *l = shim_get_sock(fd);
	int r;

	if (!l)
		return shim_libc()->getpeername(fd, addr, len);
	r = shim_getpeername(fd, l, addr, len);
	shim_put(l);
	return (int)shim_ret(r);
}
