/*
 * rawcall.c - syscall(2): socket calls that programs make by number
 *
 * libuv closes that way, openssl, Java and Rust do more. A known number is the interposed function;
 * everything else goes to the kernel untouched.
 */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "posix/sandbox.h"
#include "posix/sock.h"

#define P(i) ((void *)a[i])
#define I(i) ((int)a[i])
#define U(i) ((unsigned int)a[i])

/* The signal mask of pselect6 comes as a structure. */
static long pselect6(const long a[6])
{
	struct {
		const sigset_t *mask;
		size_t size;
	} sig = {0};

	if (a[5])
		memcpy(&sig, P(5), sizeof(sig));
	return pselect(I(0), P(1), P(2), P(3), P(4), sig.mask);
}

static bool transfer(long nr, const long a[6], long *r)
{
	switch (nr) {
	case SYS_read:
		*r = read(I(0), P(1), (size_t)a[2]);
		return true;
	case SYS_write:
		*r = write(I(0), P(1), (size_t)a[2]);
		return true;
	case SYS_readv:
		*r = readv(I(0), P(1), I(2));
		return true;
	case SYS_writev:
		*r = writev(I(0), P(1), I(2));
		return true;
	case SYS_sendto:
		*r = sendto(I(0), P(1), (size_t)a[2], I(3), P(4), (socklen_t)a[5]);
		return true;
	case SYS_recvfrom:
		*r = recvfrom(I(0), P(1), (size_t)a[2], I(3), P(4), P(5));
		return true;
	case SYS_sendmsg:
		*r = sendmsg(I(0), P(1), I(2));
		return true;
	case SYS_recvmsg:
		*r = recvmsg(I(0), P(1), I(2));
		return true;
	case SYS_sendmmsg:
		*r = sendmmsg(I(0), P(1), U(2), I(3));
		return true;
	case SYS_recvmmsg:
		*r = recvmmsg(I(0), P(1), U(2), I(3), P(4));
		return true;
	case SYS_sendfile:
		*r = sendfile(I(0), I(1), P(2), (size_t)a[3]);
		return true;
	default:
		return false;
	}
}

static bool socket_call(long nr, const long a[6], long *r)
{
	switch (nr) {
	case SYS_socket:
		*r = socket(I(0), I(1), I(2));
		return true;
	case SYS_bind:
		*r = bind(I(0), P(1), (socklen_t)a[2]);
		return true;
	case SYS_listen:
		*r = listen(I(0), I(1));
		return true;
	case SYS_accept:
		*r = accept(I(0), P(1), P(2));
		return true;
	case SYS_accept4:
		*r = accept4(I(0), P(1), P(2), I(3));
		return true;
	case SYS_connect:
		*r = connect(I(0), P(1), (socklen_t)a[2]);
		return true;
	case SYS_shutdown:
		*r = shutdown(I(0), I(1));
		return true;
	case SYS_getsockname:
		*r = getsockname(I(0), P(1), P(2));
		return true;
	case SYS_getpeername:
		*r = getpeername(I(0), P(1), P(2));
		return true;
	case SYS_getsockopt:
		*r = getsockopt(I(0), I(1), I(2), P(3), P(4));
		return true;
	case SYS_setsockopt:
		*r = setsockopt(I(0), I(1), I(2), P(3), (socklen_t)a[4]);
		return true;
	default:
		return false;
	}
}

static bool number_call(long nr, const long a[6], long *r)
{
	switch (nr) {
	case SYS_close:
		*r = close(I(0));
		return true;
	case SYS_close_range:
		*r = close_range(U(0), U(1), I(2));
		return true;
	case SYS_dup:
		*r = dup(I(0));
		return true;
#ifdef SYS_dup2
	case SYS_dup2:
		*r = dup2(I(0), I(1));
		return true;
#endif
	case SYS_dup3:
		*r = dup3(I(0), I(1), I(2));
		return true;
	case SYS_fcntl:
		*r = fcntl(I(0), I(1), a[2]);
		return true;
	case SYS_ioctl:
		*r = ioctl(I(0), (unsigned long)a[1], P(2));
		return true;
	default:
		return false;
	}
}

static bool waiting_call(long nr, const long a[6], long *r)
{
	switch (nr) {
#ifdef SYS_poll
	case SYS_poll:
		*r = poll(P(0), (nfds_t)a[1], I(2));
		return true;
	case SYS_select:
		*r = select(I(0), P(1), P(2), P(3), P(4));
		return true;
	case SYS_epoll_create:
		*r = epoll_create(I(0));
		return true;
	case SYS_epoll_wait:
		*r = epoll_wait(I(0), P(1), I(2), I(3));
		return true;
#endif
	case SYS_ppoll:
		*r = ppoll(P(0), (nfds_t)a[1], P(2), P(3));
		return true;
	case SYS_pselect6:
		*r = pselect6(a);
		return true;
	case SYS_epoll_create1:
		*r = epoll_create1(I(0));
		return true;
	case SYS_epoll_ctl:
		*r = epoll_ctl(I(0), I(1), I(2), P(3));
		return true;
	case SYS_epoll_pwait:
		*r = epoll_pwait(I(0), P(1), I(2), I(3), P(4));
		return true;
	case SYS_epoll_pwait2:
		*r = epoll_pwait2(I(0), P(1), I(2), P(3), P(4));
		return true;
	default:
		return false;
	}
}

LANE_EXPORT long syscall(long nr, ...)
{
	long a[6], r;
	va_list ap;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (transfer(nr, a, &r) || socket_call(nr, a, &r) || number_call(nr, a, &r) ||
	    waiting_call(nr, a, &r))
		return r;
	if (shim_raw_fork(nr, a, &r))
		return r;
	if (nr == SYS_prctl)
		return prctl(I(0), a[1], a[2], a[3], a[4]);
	if (nr == SYS_seccomp && a[0] == SECCOMP_SET_MODE_FILTER)
		shim_seccomp_filter(P(2));
	else if (nr == SYS_seccomp && a[0] == SECCOMP_SET_MODE_STRICT)
		shim_seccomp_strict();
	/* Its submissions pass us by: on a lane's number they fail with ENOTCONN, new ones stay out. */
	if (nr == SYS_io_uring_setup)
		shim.uses_uring = true;
	return shim_libc()->syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
