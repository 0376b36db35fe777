/*
 * udp.c - datagram sockets
 *
 * A UDP socket of the lane keeps its kernel socket under the number, bound and connected alike:
 * what the lane has no part in (multicast, broadcast, fragments, datagrams beyond the MTU, other
 * interfaces, control messages it does not know) goes and comes that way, and receiving merges both.
 * The kernel's socket is asked first wherever an error is to be found.
 */
#include "lane-int/ifs.h"
#include "posix/cmsg.h"
#include "posix/keeper/sys.h"
#include "posix/sock.h"

#define KERNEL_EVERY 16 /* datagrams in a row from the lane before the kernel is asked */

/* ---- becoming a sock ---- */

static bool lane_reaches(const struct lane_ip *ip)
{
	const struct lane *ln = shim.view.ln;
	const struct lane_ip any = lane_ip4(0);
	struct lane_net_hop hop;

	return !lane_ip_is_any(ip) && !lane_ifs_is_group(ln, ip) &&
	       lane_ifs_route(ln, 0, ip, lane_ip_is4(ip) ? &any : &(struct lane_ip){0}, &hop) >= 0;
}

/* The sock of a kernel socket bound to 'local': 0 and *index. */
static int make(int fd, const struct shim_local *l, const struct lane_ep *local,
		const struct lane_ep *remote, uint32_t *index)
{
	struct shim_view *v = &shim.view;
	struct lane_udp *pcb;
	struct shim_kopts k;
	struct shim_sock *s;
	uint64_t cookie;
	int r = -ENOMEM;

	shim_kopts_read(fd, l, &k);
	shim_enter(v);
	*index = shim_sock_make(v, SHIM_SOCK_UDP, k.flags | SHIM_SOCK_SHADOW, &cookie);
	s = shim_sock_at(v, *index);
	pcb = s ? lane_udp_create(v->ln, cookie) : NULL;
	if (pcb) {
		s->pcb = lane_udp_index(v->ln, pcb);
		shim_kopts_apply(s, &k);
		/* No kernel stands behind it that would cut. */
		lane_udp_set_fragment(pcb, shim_own_mode());
		r = lane_udp_bind(v->ln, pcb, local, k.flags & SHIM_SOCK_V6ONLY);
		if (r == 0 && remote)
			r = lane_udp_connect(v->ln, pcb, remote);
		if (r == 0)
			r = shim_group_adopt(l, pcb);
		if (r < 0)
			shim_sock_release(v, *index, v->row);
	} else if (s) {
		shim_sock_free(v, *index);
	}
	shim_leave(v);
	return r;
}

/* -ENOBUFS: there is no room for its groups, and it has none of them. Else 0, whoever serves it now. */
static int become(int fd, struct shim_local *fresh, const struct lane_ep *remote)
{
	struct shim_view *v = &shim.view;
	enum shim_fallback why;
	struct lane_ep local;
	uint32_t index;
	int r = 0;

	if (shim_addr_of_kernel(fd, &local) < 0 || !local.port)
		return 0;
	why = shim_refuses(fd, fresh, &local);
	if (why == SHIM_NR_FB) {
		r = make(fd, fresh, &local, remote, &index);
		why = r < 0 ? SHIM_FB_ARENA_FULL : SHIM_NR_FB;
	}
	if (why != SHIM_NR_FB) {
		shim_fresh_kernel(fresh, why);
		return r == -ENOBUFS ? r : 0;
	}
	if (shim_fresh_become(fd, fresh, index, true) < 0) {
		shim_enter(v);
		shim_sock_release(v, index, v->row);
		shim_leave(v);
	}
	return 0;
}

/* bind() of the kernel socket has succeeded. */
int shim_udp_bound(int fd, struct shim_local *fresh)
{
	if (shim_join())
		return become(fd, fresh, NULL);
	shim_fresh_kernel(fresh, shim.why);
	return 0;
}

void shim_udp_first_send(int fd, struct shim_local *fresh, const struct sockaddr *addr,
			 socklen_t len)
{
	struct sockaddr_storage any = {.ss_family = fresh->v6 ? AF_INET6 : AF_INET};
	struct lane_ep local;
	struct shim_addr a;

	if (!shim_join()) {
		shim_fresh_kernel(fresh, shim.why);
		return;
	}
	if (shim_addr_get(&a, addr, len) < 0 || !a.ep.port || !lane_reaches(&a.ep.ip) ||
	    a.family != (fresh->v6 ? AF_INET6 : AF_INET) || shim_addr_of_kernel(fd, &local) < 0)
		return;
	if (!local.port && shim_libc()->bind(fd, (struct sockaddr *)&any,
					     fresh->v6 ? sizeof(struct sockaddr_in6)
						       : sizeof(struct sockaddr_in)) < 0)
		return;
	become(fd, fresh, NULL);
}

/* ---- connect ---- */

static int reconnect(struct shim_local *l, const struct lane_ep *remote)
{
	struct shim_view *v = &shim.view;
	struct lane_udp *pcb;
	struct shim_sock *s;

	shim_enter(v);
	pcb = shim_udp_of(l, &s);
	if (pcb && lane_udp_connect(v->ln, pcb, remote) < 0)
		lane_udp_connect(v->ln, pcb, NULL);
	shim_leave(v);
	return pcb ? 0 : -EBADF;
}

static enum shim_fallback why_kernel(const struct lane_ip *ip)
{
	if (lane_ifs_is_group(shim.view.ln, ip))
		return SHIM_FB_MULTICAST;
	return shim_ip_is_loopback(ip) ? SHIM_FB_LOOPBACK : SHIM_FB_OTHER_IF;
}

int shim_udp_connect(int fd, struct shim_local *l, const struct sockaddr *addr, socklen_t len)
{
	struct shim_addr a;
	int r;

	/* The kernel has no way there, and no part in it. */
	if (shim_addr_get(&a, addr, len) == 0 && a.family != AF_UNSPEC && a.ep.port &&
	    lane_settings_own(&shim.settings) && shim_join() && shim_own_reaches(&a.ep.ip)) {
		r = shim_own_port(fd, l);
	} else {
		shim_own_hear(fd);
		r = (int)sys_call(SYS_connect, fd, (long)addr, (long)len, 0, 0);
	}
	if (r < 0)
		return r;
	if (l->kind == SHIM_FRESH && !shim_join()) {
		shim_fresh_kernel(l, shim.why);
		return 0;
	}
	if (shim_addr_get(&a, addr, len) < 0)
		return 0;
	if (l->kind == SHIM_SOCK)
		return reconnect(l, a.family == AF_UNSPEC || !lane_reaches(&a.ep.ip) ? NULL : &a.ep);
	if (a.family == AF_UNSPEC)
		return 0;
	if (lane_reaches(&a.ep.ip))
		become(fd, l, &a.ep);
	else
		shim_fresh_kernel(l, why_kernel(&a.ep.ip));
	return 0;
}

/* ---- several pieces as one: the lane copies through a function, whose user pointer is an offset ---- */

static __thread const struct msghdr *pieces;
#define PIECES_BASE ((uintptr_t)4096)

static int walk(uintptr_t at, void *in, const void *out, size_t len)
{
	struct shim_cursor c = {.iov = pieces->msg_iov, .n = (int)pieces->msg_iovlen};
	size_t done, piece;
	void *p;
	int r;

	shim_cursor_advance(&c, at - PIECES_BASE);
	for (done = 0; done < len; done += piece) {
		p = shim_cursor_piece(&c, len - done, &piece);
		if (!piece)
			return -EFAULT;
		r = in ? shim_copy_in((char *)in + done, p, piece)
		       : shim_copy_out(p, (const char *)out + done, piece);
		if (r < 0)
			return r;
		shim_cursor_advance(&c, piece);
	}
	return 0;
}

static int gather(void *dst, const void *src, size_t len)
{
	return walk((uintptr_t)src, dst, NULL, len);
}

static int scatter(void *dst, const void *src, size_t len)
{
	return walk((uintptr_t)dst, NULL, src, len);
}

/* ---- send ---- */

static ssize_t kernel_send(struct shim_local *l, const struct msghdr *m, int flags)
{
	ssize_t r = sys_call(SYS_sendmsg, l->shadow, (long)m, flags & ~MSG_ZEROCOPY, 0, 0);

	if (r < 0)
		return r;
	shim_sock_set_flag(l, SHIM_SOCK_CORKED, flags & MSG_MORE);
	return r;
}

/* The lane gives these back to the kernel, which sends it or says what is wrong. */
static bool for_kernel(ssize_t r)
{
	return r == -EMSGSIZE || r == -EXDEV || r == -ENETUNREACH || r == -EDESTADDRREQ ||
	       r == -EADDRNOTAVAIL || r == -EACCES || r == -EINVAL || r == -EHOSTUNREACH;
}

/* A datagram, or a send that is cut into several, on its way to the lane. */
struct to_send {
	const struct msghdr *m;
	const struct lane_ep *remote; /* NULL: the peer */
	const struct lane_ip *src;    /* NULL: by bind or route */
	size_t total;
	uint16_t segment; /* bytes of each of several, 0: one */
	bool batch;	  /* more follow: they leave together */
	bool pending;	  /* what it returned was the pending error */
};

static ssize_t lane_send(struct shim_local *l, struct to_send *t)
{
	bool single = t->m->msg_iovlen == 1;
	const void *data = single ? t->m->msg_iov->iov_base : (void *)PIECES_BASE;
	struct shim_view *v = &shim.view;
	struct lane_udp *pcb;
	struct shim_sock *s;
	ssize_t r = -EBADF;
	int err = 0;

	shim_enter(v);
	pieces = t->m;
	pcb = shim_udp_of(l, &s);
	if (pcb) {
		err = lane_udp_err(pcb);
		r = lane_udp_write_pieces(v->ln, pcb, t->remote, t->src, data, t->total, t->segment,
					  single ? shim_copy_in : gather);
		t->pending = err && !lane_udp_err(pcb);
	}
	/* The kernel knows nothing of a path that only the lane was told of. */
	if (r == -EMSGSIZE && lane_udp_is_narrow(v->ln, pcb, t->total))
		r = -E2BIG;
	if (t->batch)
		shim_leave_quiet(v);
	else
		shim_leave(v);
	return r;
}

static int no_frames(struct shim_local *l, int64_t timeo, uint64_t *start)
{
	int64_t left = shim_time_left(timeo, start);

	if (!left)
		return -EAGAIN;
	return shim_pause(l, left >= 0 && left < 1000 ? left : 1000);
}

/* Whether the lane may send it: fills in 't' and 'a'. What it has no part in is the kernel's. */
static bool lane_may_send(struct shim_local *l, struct to_send *t, int flags, struct shim_addr *a,
			  struct lane_ip *src)
{
	const struct msghdr *m = t->m;
	unsigned int f = shim_sock_flags(l);
	const struct shim_sock *s = shim_sock_of(l);

	if ((flags & (MSG_MORE | MSG_OOB)) || (f & (SHIM_SOCK_CORKED | SHIM_SOCK_WR_SHUT | SHIM_SOCK_RETIRED)) || !s)
		return false;
	if (m->msg_name && (shim_addr_get(a, m->msg_name, m->msg_namelen) < 0 || !a->ep.port ||
			    a->family != (l->v6 ? AF_INET6 : AF_INET) || a->scope))
		return false;
	t->remote = m->msg_name ? &a->ep : NULL;
	t->segment = s->udp_segment;
	if (m->msg_control && m->msg_controllen) {
		if (shim_cmsg_sender(m, src, &t->segment) < 0)
			return false;
		t->src = src;
	}
	return true;
}

static ssize_t udp_send(struct shim_local *l, const struct msghdr *m, int flags)
{
	ssize_t r, total = shim_iov_total(m->msg_iov, (int)m->msg_iovlen);
	struct to_send t = {.m = m, .batch = flags & SHIM_MSG_BATCH};
	uint64_t start = 0;
	struct lane_ip src;
	struct shim_addr a;

	if (total < 0)
		return total;
	t.total = (size_t)total;
	if (!lane_may_send(l, &t, flags, &a, &src))
		return kernel_send(l, m, flags);
	for (;;) {
		r = lane_send(l, &t);
		if (t.pending)
			return r;
		/* In own-address mode the kernel's socket is not connected to the peer: its answer says nothing. */
		if (for_kernel(r))
			return t.remote || r == -EDESTADDRREQ || !shim_own_mode() ? kernel_send(l, m, flags) : r;
		if (r == -E2BIG)
			return -EMSGSIZE;
		if (r != -EAGAIN || !shim_may_block(l, flags))
			return r;
		r = no_frames(l, shim_sndtimeo_us(l), &start);
		if (r < 0)
			return r;
	}
}

ssize_t shim_udp_send(struct shim_local *l, const struct msghdr *m, int flags)
{
	ssize_t r = udp_send(l, m, flags);

	if (shim_unlikely(flags & MSG_ZEROCOPY) && r >= 0)
		shim_zerocopy_sent(l);
	return r;
}

/* ---- receive ---- */

/* Under the lock: the next datagram; with UDP_GRO those behind it that are like it, *size each. */
static ssize_t read_next(struct shim_view *v, struct lane_udp *pcb, const struct shim_sock *s,
			 struct msghdr *m, int flags, size_t total, struct lane_udp_msg *msg,
			 uint16_t *size)
{
	bool single = m->msg_iovlen == 1;
	void *dst = single ? m->msg_iov->iov_base : (void *)PIECES_BASE;
	lane_copy_fn copy = single ? shim_copy_out : scatter;

	*size = 0;
	if ((s->cmsg & SHIM_CMSG_GRO) && !(flags & MSG_PEEK))
		return lane_udp_read_joined(v->ln, pcb, dst, total, msg, size, copy);
	return lane_udp_read(v->ln, pcb, dst, total, flags & MSG_PEEK, msg, copy);
}

static ssize_t lane_recv(struct shim_local *l, struct msghdr *m, int flags)
{
	ssize_t r = -EBADF, total = shim_iov_total(m->msg_iov, (int)m->msg_iovlen);
	struct shim_view *v = &shim.view;
	struct lane_udp_msg msg;
	struct lane_udp *pcb;
	uint32_t wanted = 0;
	struct shim_sock *s;
	uint16_t size = 0;

	if (total < 0)
		return total;
	shim_enter(v);
	pieces = m;
	pcb = shim_udp_of(l, &s);
	if (pcb) {
		r = read_next(v, pcb, s, m, flags, (size_t)total, &msg, &size);
		wanted = s->cmsg;
	}
	shim_leave(v);
	if (r < 0)
		return r;
	m->msg_flags = msg.len > (size_t)total ? MSG_TRUNC : 0;
	total = flags & MSG_TRUNC ? (ssize_t)msg.len : r;
	r = shim_cmsg_name(m, &msg.remote, l->v6);
	if (r == 0)
		shim_cmsg_put(m, &msg, size, wanted, l->v6);
	return r < 0 ? r : total;
}

/* MSG_ERRQUEUE. -EAGAIN: the lane has none. */
static ssize_t lane_recv_error(struct shim_local *l, struct msghdr *m)
{
	ssize_t r = -EBADF, n, total = shim_iov_total(m->msg_iov, (int)m->msg_iovlen);
	bool single = m->msg_iovlen == 1;
	struct shim_view *v = &shim.view;
	struct lane_udp_error e;
	struct lane_udp *pcb;
	struct shim_sock *s;

	if (total < 0)
		return total;
	shim_enter(v);
	pieces = m;
	pcb = shim_udp_of(l, &s);
	if (pcb)
		r = lane_udp_read_error(v->ln, pcb,
					single ? m->msg_iov->iov_base : (void *)PIECES_BASE,
					(size_t)total, &e, single ? shim_copy_out : scatter);
	shim_leave(v);
	if (r < 0)
		return r;
	n = r;
	m->msg_flags = MSG_ERRQUEUE | (e.len > (size_t)total ? MSG_TRUNC : 0);
	r = shim_cmsg_name(m, &e.remote, l->v6);
	if (r == 0)
		shim_cmsg_put_error(m, &e, l->v6);
	return r < 0 ? r : n;
}

static ssize_t kernel_recv(struct shim_local *l, struct msghdr *m, int flags)
{
	return sys_call(SYS_recvmsg, l->shadow, (long)m, flags | MSG_DONTWAIT, 0, 0);
}

/* A pass over both queues. 'kernel': it is known, or time, to ask the kernel too. */
static ssize_t recv_either(struct shim_local *l, struct msghdr *m, int flags, bool kernel)
{
	ssize_t r;

	if (l->accept_turn >= KERNEL_EVERY) {
		l->accept_turn = 0;
		r = kernel_recv(l, m, flags);
		if (r != -EAGAIN)
			return r;
	}
	r = lane_recv(l, m, flags);
	if (r >= 0)
		l->accept_turn++;
	return r == -EAGAIN && kernel ? kernel_recv(l, m, flags) : r;
}

ssize_t shim_udp_recv(struct shim_local *l, struct msghdr *m, int flags)
{
	bool block = shim_may_block(l, flags), kernel = !block, looked = false;
	int64_t timeo = shim_rcvtimeo_us(l), left;
	uint64_t start = 0;
	ssize_t r;

	if (flags & MSG_ERRQUEUE) {
		r = lane_recv_error(l, m);
		if (r == -EAGAIN)
			r = shim_zerocopy_recv(l, m);
		return r == -EAGAIN ? kernel_recv(l, m, flags) : r;
	}
	flags &= ~MSG_OOB; /* datagrams know none */
	for (;;) {
		r = recv_either(l, m, flags, kernel);
		if (r != -EAGAIN)
			return r;
		if (!block) {
			if (looked || !shim_look())
				return -EAGAIN;
			looked = true;
			continue;
		}
		if (shim_sock_flags(l) & SHIM_SOCK_RD_SHUT)
			return 0;
		left = shim_time_left(timeo, &start);
		r = left ? shim_io_wait(l, POLLIN, left, timeo < 0, 0) : 0;
		if (r <= 0)
			return r < 0 ? r : -EAGAIN;
		kernel = true;
	}
}
