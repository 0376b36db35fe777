/*
 * msg.c - recvfrom, recvmsg, recvmmsg, sendto, sendmsg, sendmmsg
 *
 * The program's header and vector are copied first, so that a bad address is EFAULT and a header
 * that another thread changes is harmless.
 */
#include <unistd.h>

#include "posix/cmsg.h"
#include "posix/pass.h"
#include "posix/sock.h"

static bool wants_inq(struct shim_local *l)
{
	const struct shim_sock *s = shim_sock_of(l);

	return s && (s->cmsg & SHIM_CMSG_INQ);
}

/* What TCP_INQ tells: bytes that are left, or 1 for the end. */
static int inq(struct shim_local *l)
{
	struct lane_tcp_status st;

	shim_rcv_status(l, &st);
	return st.rcv_inq || !st.peer_fin ? (int)st.rcv_inq : 1;
}

ssize_t shim_recvmsg(struct shim_local *l, struct msghdr *m, int flags)
{
	ssize_t r;

	if (l->dgram)
		return shim_udp_recv(l, m, flags);
	if (flags & MSG_ERRQUEUE)
		return shim_zerocopy_recv(l, m);
	r = shim_sock_recv(l, m->msg_iov, (int)m->msg_iovlen, flags);
	if (r < 0)
		return r;
	/* A stream says not who sent it. */
	m->msg_namelen = 0;
	m->msg_flags = flags & (MSG_OOB | MSG_CMSG_CLOEXEC);
	if ((flags & MSG_OOB) && r == 0 && shim_iov_total(m->msg_iov, (int)m->msg_iovlen) == 0)
		m->msg_flags |= MSG_TRUNC;
	if (wants_inq(l))
		shim_cmsg_put_inq(m, m->msg_control ? inq(l) : 0);
	else
		m->msg_controllen = 0;
	return r;
}

ssize_t shim_sendmsg(struct shim_local *l, const struct msghdr *m, int flags)
{
	return l->dgram ? shim_udp_send(l, m, flags)
			: shim_sock_send(l, m->msg_iov, (int)m->msg_iovlen, flags);
}

/* Copies a program's header and its vector (into 'iov'). */
static int get_header(struct msghdr *m, const struct msghdr *user, struct iovec *iov)
{
	if (shim_copy_in(m, user, sizeof(*m)) < 0)
		return -EFAULT;
	if (m->msg_iovlen > SHIM_IOV_MAX)
		return -EMSGSIZE;
	if (!m->msg_name)
		m->msg_namelen = 0;
	if ((int)m->msg_namelen < 0)
		return -EINVAL;
	if (shim_copy_in(iov, m->msg_iov, m->msg_iovlen * sizeof(*iov)) < 0)
		return -EFAULT;
	m->msg_iov = iov;
	return 0;
}

static ssize_t recv_header(struct shim_local *l, struct msghdr *user, int flags)
{
	struct iovec iov[SHIM_IOV_MAX];
	struct msghdr m;
	ssize_t r = get_header(&m, user, iov);

	if (r < 0)
		return r;
	r = shim_recvmsg(l, &m, flags);
	if (r < 0)
		return r;
	if ((m.msg_name && shim_copy_out(&user->msg_namelen, &m.msg_namelen, sizeof(m.msg_namelen)) < 0) ||
	    shim_copy_out(&user->msg_controllen, &m.msg_controllen, sizeof(m.msg_controllen)) < 0 ||
	    shim_copy_out(&user->msg_flags, &m.msg_flags, sizeof(m.msg_flags)) < 0)
		return -EFAULT;
	return r;
}

static ssize_t send_header(struct shim_local *l, const struct msghdr *user, int flags)
{
	struct iovec iov[SHIM_IOV_MAX];
	struct msghdr m;
	ssize_t r = get_header(&m, user, iov);

	return r < 0 ? r : shim_sendmsg(l, &m, flags);
}

/* A FRESH UDP socket sends to where the lane may reach: then it is a sock from here on. */
static struct shim_local *get_sender(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct shim_local *l = shim_get(fd);

	if (!l || l->kind == SHIM_SOCK)
		return l;
	if (l->kind == SHIM_FRESH && l->dgram && addr)
		shim_udp_first_send(fd, l, addr, len);
	shim_put(l);
	return shim_get_sock(fd);
}

/* A datagram. */
static ssize_t recv_from(struct shim_local *l, struct iovec *iov, int flags, struct sockaddr *addr,
			 const socklen_t *addr_len, socklen_t *name_len)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1, .msg_name = addr};
	ssize_t r;

	if (addr && shim_copy_in(&m.msg_namelen, addr_len, sizeof(m.msg_namelen)) < 0)
		return -EFAULT;
	if ((int)m.msg_namelen < 0)
		return -EINVAL;
	r = shim_udp_recv(l, &m, flags);
	*name_len = m.msg_namelen;
	return r;
}

LANE_EXPORT ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
			     socklen_t *addr_len)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len < SHIM_RW_MAX ? len : SHIM_RW_MAX};
	socklen_t name_len = 0; /* a stream says not who sent it */
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->recvfrom(fd, buf, len, flags, addr, addr_len);
	r = l->dgram ? recv_from(l, &iov, flags, addr, addr_len, &name_len)
		     : shim_sock_recv(l, &iov, 1, flags);
	shim_put(l);
	if (r >= 0 && addr && shim_copy_out(addr_len, &name_len, sizeof(name_len)) < 0)
		r = -EFAULT;
	return shim_ret(r);
}

LANE_EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l) {
		r = shim_libc()->recvmsg(fd, m, flags);
		if (r >= 0 && m->msg_controllen)
			shim_cmsg_rights(m);
		return r;
	}
	r = recv_header(l, m, flags);
	shim_put(l);
	return shim_ret(r);
}

/* A datagram. */
static ssize_t send_to(struct shim_local *l, struct iovec *iov, int flags, const struct sockaddr *addr,
		       socklen_t addr_len)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1, .msg_name = (void *)addr,
			   .msg_namelen = addr ? addr_len : 0};

	return shim_udp_send(l, &m, flags);
}

LANE_EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags,
			   const struct sockaddr *addr, socklen_t addr_len)
{
	struct iovec iov = {.iov_base = (void *)buf,
			    .iov_len = len < SHIM_RW_MAX ? len : SHIM_RW_MAX};
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = get_sender(fd, addr, addr_len);
	if (!l)
		return shim_libc()->sendto(fd, buf, len, flags, addr, addr_len);
	r = l->dgram ? send_to(l, &iov, flags & ~SHIM_MSG_BATCH, addr, addr_len)
		     : shim_sock_send(l, &iov, 1, flags & ~SHIM_MSG_BATCH);
	shim_put(l);
	return shim_ret(r);
}

/* The address in a header that may not be readable. */
static struct shim_local *get_msg_sender(int fd, const struct msghdr *user)
{
	struct shim_local *l = shim_get(fd);
	struct msghdr m;

	if (!l || l->kind == SHIM_SOCK)
		return l;
	shim_put(l);
	/* FRESH: only once joined is there a handler that catches a bad address. */
	if (!l->dgram || !shim_join() || shim_copy_in(&m, user, sizeof(m)) < 0)
		return NULL;
	return get_sender(fd, m.msg_name, m.msg_namelen);
}

static void take_back(void *m)
{
	shim_pass_rights(m, -1);
}

/* On no lane socket; lane sockets may go along. */
static ssize_t send_other(int fd, const struct msghdr *m, int flags)
{
	ssize_t r;

	if (!shim_pass_rights(m, 1))
		return shim_libc()->sendmsg(fd, m, flags);
	pthread_cleanup_push(take_back, (void *)(uintptr_t)m);
	r = shim_libc()->sendmsg(fd, m, flags);
	pthread_cleanup_pop(0);
	if (r < 0)
		shim_pass_rights(m, -1);
	return r;
}

LANE_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = get_msg_sender(fd, m);
	if (!l)
		return send_other(fd, m, flags);
	r = send_header(l, m, flags & ~SHIM_MSG_BATCH);
	shim_put(l);
	return shim_ret(r);
}

/* ---- several at once ---- */

/* Datagrams that went to the driver without a kick leave now. */
static void batch_leaves(void)
{
	struct shim_view *v = &shim.view;

	shim_enter(v);
	shim_leave(v);
}

static int send_many(struct shim_local *l, struct mmsghdr *v, unsigned int n, int flags)
{
	unsigned int i, len;
	ssize_t r = 0;

	if (n > SHIM_IOV_MAX)
		n = SHIM_IOV_MAX;
	for (i = 0; i < n; i++) {
		r = send_header(l, &v[i].msg_hdr, flags | (i + 1 < n ? SHIM_MSG_BATCH : 0));
		if (r < 0)
			break;
		len = (unsigned int)r;
		if (shim_copy_out(&v[i].msg_len, &len, sizeof(len)) < 0) {
			r = -EFAULT;
			break;
		}
	}
	if (i < n && i && l->dgram)
		batch_leaves();
	return i ? (int)i : (int)r;
}

/* Messages on no lane socket, of which those from 'first' on take nothing along after all. */
struct many {
	struct mmsghdr *v;
	unsigned int first, n;
};

static void take_back_many(void *arg)
{
	const struct many *m = arg;
	unsigned int i;

	for (i = m->first; i < m->n; i++)
		shim_pass_rights(&m->v[i].msg_hdr, -1);
}

static int send_many_other(int fd, struct mmsghdr *v, unsigned int n, int flags)
{
	struct many m = {.v = v, .n = n < SHIM_IOV_MAX ? n : SHIM_IOV_MAX};
	bool any = false;
	unsigned int i;
	int r;

	for (i = 0; i < m.n; i++)
		any |= shim_pass_rights(&v[i].msg_hdr, 1);
	if (!any)
		return shim_libc()->sendmmsg(fd, v, n, flags);
	pthread_cleanup_push(take_back_many, &m);
	r = shim_libc()->sendmmsg(fd, v, n, flags);
	pthread_cleanup_pop(0);
	m.first = r > 0 ? (unsigned int)r : 0;
	take_back_many(&m);
	return r;
}

LANE_EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
{
	struct shim_local *l;
	int r;

	shim_cancel_point();
	l = n ? get_msg_sender(fd, &v->msg_hdr) : shim_get_sock(fd);
	if (!l)
		return send_many_other(fd, v, n, flags);
	r = send_many(l, v, n, flags & ~SHIM_MSG_BATCH);
	shim_put(l);
	return (int)shim_ret(r);
}

/* An error that waits comes before what there is to read. */
static int first_error(struct shim_local *l, int flags)
{
	const struct shim_sock *s = shim_sock_of(l);
	struct shim_view *v = &shim.view;
	uint32_t mask;

	if (!s || (flags & MSG_ERRQUEUE))
		return 0;
	shim_enter(v);
	mask = shim_sock_mask(v, s, 0);
	shim_leave_quiet(v);
	return mask & EPOLLERR ? -shim_take_error(l) : 0;
}

static void put_error(struct shim_local *l, int err)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *tcp;
	struct lane_udp *udp;
	struct shim_sock *s;

	shim_enter(v);
	tcp = shim_tcp_of(l, &s);
	udp = tcp ? NULL : shim_udp_of(l, &s);
	if (tcp)
		lane_tcp_put_error(v->ln, tcp, err);
	else if (udp)
		lane_udp_put_error(udp, err);
	shim_leave_quiet(v);
}

/* *left: microseconds of the time-out, < 0: none; what is left of them when messages came. */
static int recv_many(struct shim_local *l, struct mmsghdr *v, unsigned int n, int flags, int64_t *left)
{
	int64_t timeout_us = *left;
	uint64_t start = 0;
	unsigned int i, len;
	ssize_t r = first_error(l, flags);

	if (r < 0)
		return (int)r;
	shim_time_left(timeout_us, &start);
	for (i = 0; i < n; i++) {
		r = recv_header(l, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			break;
		len = (unsigned int)r;
		if (shim_copy_out(&v[i].msg_len, &len, sizeof(len)) < 0)
			return i ? (int)i : -EFAULT;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		/* Linux looks at the time-out after each datagram only. Less than 1 us has gone at least. */
		if (timeout_us >= 0 && (*left = shim_time_left(timeout_us, &start)) <= 1) {
			*left = 0;
			return (int)i + 1;
		}
	}
	/* What ended it is told by the next call. */
	if (i && r < 0 && r != -EAGAIN && r != -EINTR)
		put_error(l, (int)-r);
	return i ? (int)i : (int)r;
}

LANE_EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags,
			 struct timespec *timeout)
{
	struct shim_local *l;
	struct timespec ts;
	int64_t us = -1;
	int r = 0;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l) {
		r = shim_libc()->recvmmsg(fd, v, n, flags, timeout);
		for (int i = 0; i < r; i++)
			if (v[i].msg_hdr.msg_controllen)
				shim_cmsg_rights(&v[i].msg_hdr);
		return r;
	}
	if (timeout && shim_copy_in(&ts, timeout, sizeof(ts)) < 0)
		r = -EFAULT;
	else if (timeout && (ts.tv_sec < 0 || (unsigned long)ts.tv_nsec > 999999999))
		r = -EINVAL;
	else if (timeout)
		us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	if (r == 0)
		r = recv_many(l, v, n, flags, &us);
	ts = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	if (r > 0 && us >= 0 && shim_copy_out(timeout, &ts, sizeof(ts)) < 0)
		r = -EFAULT;
	shim_put(l);
	return (int)shim_ret(r);
}
