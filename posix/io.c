/*
 * io.c - read(2), write(2), send(2), recv(2) and their vector forms, as the program calls them
 *
 * A number that is not a lane's socket costs a table look-up and goes to libc. A cancellation that is
 * due ends the thread before the call holds anything.
 */
#include <unistd.h>

#include "posix/sock.h"

LANE_EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len < SHIM_RW_MAX ? len : SHIM_RW_MAX};
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->recv(fd, buf, len, flags);
	r = shim_sock_recv(l, &iov, 1, flags);
	shim_put(l);
	return shim_ret(r);
}

LANE_EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len < SHIM_RW_MAX ? len : SHIM_RW_MAX};
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->read(fd, buf, len);
	/* Nothing is "Match SYS5 behaviour"; no memory is as long as a negative number. */
	r = (ssize_t)len > 0 ? shim_sock_recv(l, &iov, 1, 0) : len ? -EFAULT : 0;
	shim_put(l);
	return shim_ret(r);
}

LANE_EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct iovec iov = {.iov_base = (void *)buf,
			    .iov_len = len < SHIM_RW_MAX ? len : SHIM_RW_MAX};
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->send(fd, buf, len, flags);
	r = shim_sock_send(l, &iov, 1, flags & ~SHIM_MSG_BATCH);
	shim_put(l);
	return shim_ret(r);
}

LANE_EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	struct iovec iov = {.iov_base = (void *)buf,
			    .iov_len = len < SHIM_RW_MAX ? len : SHIM_RW_MAX};
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->write(fd, buf, len);
	r = (ssize_t)len >= 0 ? shim_sock_send(l, &iov, 1, 0) : -EFAULT;
	shim_put(l);
	return shim_ret(r);
}

static ssize_t vector(struct shim_local *l, const struct iovec *iov, int n, bool out)
{
	struct iovec own[SHIM_IOV_MAX];
	ssize_t r = shim_iov_get(own, iov, n);

	if (r == 0)
		r = shim_iov_total(own, n);
	if (r <= 0)
		return r; /* a vector of nothing never comes to the socket */
	return out ? shim_sock_send(l, own, n, 0) : shim_sock_recv(l, own, n, 0);
}

LANE_EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->readv(fd, iov, n);
	r = vector(l, iov, n, false);
	shim_put(l);
	return shim_ret(r);
}

LANE_EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct shim_local *l;
	ssize_t r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->writev(fd, iov, n);
	r = vector(l, iov, n, true);
	shim_put(l);
	return shim_ret(r);
}

/* ---- with an offset: a socket has none (ESPIPE), but -1 means "as readv" ---- */

/* RWF_NOWAIT is a socket's MSG_DONTWAIT; what the others say of files means nothing. */
static ssize_t vector_with(int fd, const struct iovec *iov, int n, int flags, bool out)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

	if (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return shim_ret(-EOPNOTSUPP);
	if (!(flags & RWF_NOWAIT) || n < 0 || n > SHIM_IOV_MAX)
		return out ? writev(fd, iov, n) : readv(fd, iov, n);
	return out ? sendmsg(fd, &m, MSG_DONTWAIT) : recvmsg(fd, &m, MSG_DONTWAIT);
}

#define POSITIONED_V2(name, other, out)                                                            \
	ssize_t name(int fd, const struct iovec *iov, int n, off_t at, int flags);                 \
	LANE_EXPORT ssize_t name(int fd, const struct iovec *iov, int n, off_t at, int flags)      \
	{                                                                                          \
		struct shim_local *l = shim_get_sock(fd);                                          \
                                                                                                   \
		if (!l)                                                                            \
			return shim_libc()->other(fd, iov, n, at, flags);                          \
		shim_put(l);                                                                       \
		if (at != -1)                                                                      \
			return shim_ret(-ESPIPE);                                                  \
		return vector_with(fd, iov, n, flags, out);                                        \
	}

POSITIONED_V2(preadv2, preadv64v2, false)
POSITIONED_V2(preadv64v2, preadv64v2, false)
POSITIONED_V2(pwritev2, pwritev64v2, true)
POSITIONED_V2(pwritev64v2, pwritev64v2, true)
