/*
 * connect.c - connect(2) of stream sockets
 *
 * The kernel socket under the number stays unconnected (bound, if the program bound it): the lane's
 * pcb makes the connection. What the lane cannot reach stays with the kernel, which is
 * then asked by its own connect(), so that errors are its own too.
 *
 * As inet_stream_connect() has it: a connection that failed tells its error once, by connect() or
 * SO_ERROR; if that was read already, the next connect() gives ECONNABORTED; the one after
 * that starts anew (posix.md 46, 68).
 */
#include "lane-int/engine.h"
#include "lane-int/ifs.h"
#include "posix/sock.h"

/* The caller's hold on the socket, which the end of its connect() would drop. */
static void connect_abandon(void *arg)
{
	shim_put(arg);
}

static int kernel_connect(int fd, struct shim_local *l, const struct sockaddr *addr, socklen_t len)
{
	int r;

	pthread_cleanup_push(connect_abandon, l);
	r = shim_libc()->connect(fd, addr, len) < 0 ? -errno : 0;
	pthread_cleanup_pop(0);
	return r;
}

/* 0.0.0.0 and :: are this host (posix.md 80). */
static void fix_any(struct lane_ep *remote)
{
	static const struct lane_ip one = {.b = {[15] = 1}};

	if (!lane_ip_is_any(&remote->ip))
		return;
	remote->ip = lane_ip_is4(&remote->ip) ? lane_ip4(htonl(INADDR_LOOPBACK)) : one;
}

/* Whether the lane may try 'a' from kernel socket 'fd', bound to 'local': SHIM_NR_FB, or why not. */
static enum shim_fallback judge(int fd, const struct shim_local *l, struct shim_addr *a,
				struct lane_ep *local)
{
	const struct lane *ln = shim.view.ln;
	struct lane_net_hop hop;
	enum shim_fallback why;
	int r, own;

	if (shim_addr_of_kernel(fd, local) < 0)
		return SHIM_FB_NO_LANE;
	why = shim_refuses(fd, l, local);
	if (why != SHIM_NR_FB)
		return why;
	fix_any(&a->ep);
	if (lane_ifs_is_group(ln, &a->ep.ip))
		return SHIM_FB_MULTICAST;
	if (a->scope && a->scope != lane_ifs_net(ln, 0)->ifindex)
		return SHIM_FB_LINK_LOCAL;
	own = lane_ifs_addr(ln, &a->ep.ip);
	/* To itself: its SYN would have to be claimed as a listener's. */
	if (a->ep.port == local->port && own >= 0)
		return SHIM_FB_LOOPBACK;
	if (lane_ip_is4(&a->ep.ip) && !lane_ip_is4(&local->ip) && !lane_ip_is_any(&local->ip))
		return SHIM_FB_NO_ROUTE; /* v6-bound to v4-mapped: ENETUNREACH */
	if (own >= 0 && !lane_ifs_net(ln, (unsigned int)own)->loopback)
		return SHIM_FB_LOOPBACK;
	r = lane_ifs_route(ln, 0, &a->ep.ip, &local->ip, &hop);
	if (r < 0 && shim_ip_is_loopback(&a->ep.ip))
		return SHIM_FB_LOOPBACK;
	if (r == -EXDEV)
		return SHIM_FB_OTHER_IF;
	if (r < 0)
		return SHIM_FB_NO_ROUTE;
	/* The answers come by the address' interface, which may be another one than the route's. */
	return lane_ip_is_any(&local->ip) || lane_ifs_addr(ln, &local->ip) == r ? SHIM_NR_FB
										: SHIM_FB_OTHER_IF;
}

/* A new sock with a connection under way: 0 and its index, or -errno. */
static int start(const struct shim_kopts *k, const struct lane_ep *local,
		 const struct lane_ep *remote, uint32_t *index)
{
	struct shim_view *v = &shim.view;
	unsigned int flags = k->flags | SHIM_SOCK_SHADOW | SHIM_SOCK_CONNECTING;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	uint64_t cookie;
	int r = -ENOMEM;

	shim_enter(v);
	*index = shim_sock_make(v, SHIM_SOCK_TCP, flags, &cookie);
	s = shim_sock_at(v, *index);
	/* Those that half-open connections will need are theirs: their peers know of no others. */
	pcb = s && lane_claim_spare(v->ln) ? lane_tcp_create(v->ln, cookie) : NULL;
	if (pcb) {
		s->pcb = lane_tcp_index(v->ln, pcb);
		shim_kopts_apply(s, k);
		r = lane_tcp_connect(v->ln, pcb, local, remote);
		if (r < 0)
			shim_sock_release(v, *index, v->row);
	} else if (s) {
		shim_sock_free(v, *index);
	}
	shim_leave(v);
	return r;
}

static enum shim_fallback why_not(int r)
{
	switch (r) {
	case -EXDEV:
		return SHIM_FB_OTHER_IF;
	case -ENOMEM:
		return SHIM_FB_ARENA_FULL;
	default:
		return SHIM_FB_NO_ROUTE;
	}
}

/* The result of the connection that is under way or over: 1: under way, 0: connected, -errno. */
static int outcome(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	int r = -EBADF;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (!pcb)
		goto out;
	lane_tcp_get_status(v->ln, pcb, &st);
	if (st.state == LANE_TCP_SYN_SENT || st.state == LANE_TCP_SYN_RECEIVED) {
		r = 1;
		goto out;
	}
	shim_sock_set_flag(l, SHIM_SOCK_CONNECTING, false);
	r = 0;
	if (!st.was_connected) {
		r = -lane_tcp_take_error(v->ln, pcb);
		if (r == 0)
			r = -ECONNABORTED;
		lane_tcp_disconnect(v->ln, pcb);
		shim_sock_set_flag(l, SHIM_SOCK_UNCONNECTED, true);
	}
out:
	shim_leave(v);
	return r;
}

/* Not as POLLOUT: a connection may be there while there is no frame to send with. */
static int decided(struct shim_view *v, void *arg)
{
	struct lane_tcp_status st;
	struct shim_sock *s;
	struct lane_tcp *pcb = shim_tcp_of(arg, &s);

	if (!pcb)
		return 1;
	lane_tcp_get_status(v->ln, pcb, &st);
	return st.state != LANE_TCP_SYN_SENT && st.state != LANE_TCP_SYN_RECEIVED;
}

static int wait_connected(struct shim_local *l)
{
	int64_t timeo = shim_sndtimeo_us(l), left;
	struct shim_wait w = {.ready = decided, .abandon = connect_abandon, .arg = l,
			      .socks = &l->index, .nr_socks = 1, .ep = LANE_NIL, .kernel_epfd = -1,
			      .restart = timeo < 0};
	uint64_t begin = 0;
	int r;

	while ((r = outcome(l)) > 0) {
		left = shim_time_left(timeo, &begin);
		if (left == 0)
			return -EINPROGRESS;
		w.timeout_us = left;
		r = shim_wait(&w);
		if (r < 0)
			return r;
	}
	return r;
}

static int connect_fresh(int fd, struct shim_local *l, const struct sockaddr *addr, socklen_t len)
{
	enum shim_fallback why;
	struct shim_local *now;
	struct lane_ep local;
	struct shim_addr a;
	struct shim_kopts k;
	uint32_t index;
	int r;

	if (!shim_join()) {
		shim_fresh_kernel(l, shim.why);
		return kernel_connect(fd, l, addr, len);
	}
	/* AF_UNSPEC and what connect() refuses at once leave the socket as it is: undecided. */
	if (shim_addr_get(&a, addr, len) < 0 || a.family != (l->v6 ? AF_INET6 : AF_INET) ||
	    !a.ep.port)
		return kernel_connect(fd, l, addr, len);
	why = judge(fd, l, &a, &local);
	if (why == SHIM_NR_FB) {
		shim_kopts_read(fd, l, &k);
		r = start(&k, &local, &a.ep, &index);
		/* The kernel chose the port, and knows nothing of the lane's, nor of their TIME_WAITs. */
		if (r == -EADDRNOTAVAIL && local.port && l->any_port) {
			local.port = 0;
			r = start(&k, &local, &a.ep, &index);
		}
		if (r == -EADDRINUSE || (r == -EADDRNOTAVAIL && local.port))
			return -EADDRNOTAVAIL;
		why = r < 0 ? why_not(r) : SHIM_NR_FB;
	}
	if (why != SHIM_NR_FB) {
		shim_fresh_kernel(l, why);
		return kernel_connect(fd, l, addr, len);
	}
	r = shim_fresh_become(fd, l, index, false);
	if (r < 0)
		return r;
	if (k.flags & SHIM_SOCK_NONBLOCK)
		return -EINPROGRESS;
	now = shim_get_sock(fd);
	if (!now)
		return -EBADF;
	pthread_cleanup_push(connect_abandon, l);
	r = wait_connected(now);
	pthread_cleanup_pop(0);
	shim_put(now);
	return r;
}

static int disconnect(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb) {
		lane_tcp_disconnect(v->ln, pcb);
		shim_sock_set_flag(l, SHIM_SOCK_CONNECTING, false);
		shim_sock_set_flag(l, SHIM_SOCK_UNCONNECTED, true);
		shim_sock_notify(v, l->index, UINT32_MAX);
	}
	shim_leave(v);
	return pcb ? 0 : -EBADF;
}

/* A sock that is unconnected again connects. The lane must reach it: the kernel's part is over. */
static int reconnect(int fd, struct shim_local *l, struct shim_addr *a)
{
	struct shim_view *v = &shim.view;
	enum shim_fallback why;
	struct lane_ep local;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	int r;

	if (a->family != (l->v6 ? AF_INET6 : AF_INET))
		return -EAFNOSUPPORT;
	why = judge(fd, l, a, &local);
	if (why != SHIM_NR_FB)
		return -ENETUNREACH;
	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	r = pcb ? lane_tcp_connect(v->ln, pcb, &local, &a->ep) : -EBADF;
	if (r == 0) {
		shim_sock_set_flag(l, SHIM_SOCK_UNCONNECTED, false);
		shim_sock_set_flag(l, SHIM_SOCK_CONNECTING, true);
		shim_sock_notify(v, l->index, UINT32_MAX);
	}
	shim_leave(v);
	return r == -EXDEV ? -ENETUNREACH : r;
}

int shim_connect_again(struct shim_local *l)
{
	unsigned int flags = shim_sock_flags(l);
	int r;

	if (flags & SHIM_SOCK_UNCONNECTED)
		return 0;
	if (!(flags & SHIM_SOCK_CONNECTING))
		return -EISCONN;
	if (!(flags & SHIM_SOCK_NONBLOCK)) {
		r = wait_connected(l);
		return r == -EINPROGRESS ? -EALREADY : r;
	}
	r = outcome(l);
	if (r > 0 && shim_look())
		r = outcome(l);
	return r > 0 ? -EALREADY : r;
}

bool shim_connect_failed(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	bool failed = false;

	if (!(shim_sock_flags(l) & SHIM_SOCK_CONNECTING))
		return false;
	shim_enter(v);
	shim_turn(v); /* a RST may wait */
	pcb = shim_tcp_of(l, &s);
	if (pcb) {
		lane_tcp_get_status(v->ln, pcb, &st);
		failed = st.state == LANE_TCP_CLOSED && !st.was_connected;
	}
	shim_leave(v);
	return failed;
}

int shim_connect(int fd, struct shim_local *l, const struct sockaddr *addr, socklen_t len)
{
	unsigned int flags;
	struct shim_addr a;
	int r;

	if (l->kind == SHIM_FRESH)
		return connect_fresh(fd, l, addr, len);
	r = shim_addr_get(&a, addr, len);
	if (r < 0)
		return r;
	if (a.family == AF_UNSPEC)
		return disconnect(l);
	flags = shim_sock_flags(l);
	if (!(flags & SHIM_SOCK_UNCONNECTED))
		return shim_connect_again(l);
	r = reconnect(fd, l, &a);
	if (r < 0)
		return r;
	return flags & SHIM_SOCK_NONBLOCK ? -EINPROGRESS : wait_connected(l);
}
