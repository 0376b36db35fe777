/*
 * sys.h - system calls that must not come by the interposed libc names
 *
 * The shim interposes write, close, execve and syscall itself. What is called on our own
 * descriptors while a lane call is under way, or in the child that becomes the keeper, goes to the
 * kernel directly. Each returns as the kernel does: -errno, and leaves errno alone.
 */
#ifndef SHIM_SYS_H
#define SHIM_SYS_H

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>

#include "drivers/sys.h"

static inline long sys_call(long nr, long a, long b, long c, long d, long e)
{
	return lane_syscall(nr, a, b, c, d, e, 0);
}

static inline long sys_write(int fd, const void *p, size_t len)
{
	return sys_call(SYS_write, fd, (long)p, (long)len, 0, 0);
}

/* Unlike libc's not a cancellation point, as the others are not. */
static inline long sys_read(int fd, void *p, size_t len)
{
	return sys_call(SYS_read, fd, (long)p, (long)len, 0, 0);
}

static inline long sys_close(int fd)
{
	return sys_call(SYS_close, fd, 0, 0, 0, 0);
}

/* epoll_wait(2) with a time-out of 0. */
static inline long sys_epoll_now(int epfd, struct epoll_event *ev, int room)
{
#ifdef SYS_epoll_wait
	return sys_call(SYS_epoll_wait, epfd, (long)ev, room, 0, 0);
#else
	return sys_call(SYS_epoll_pwait, epfd, (long)ev, room, 0, 0);
#endif
}

/* poll(2) with a time-out of 0. */
static inline long sys_poll_now(struct pollfd *fds, unsigned int nr)
{
#ifdef SYS_poll
	return sys_call(SYS_poll, (long)fds, (long)nr, 0, 0, 0);
#else
	struct timespec none = {0};

	return sys_call(SYS_ppoll, (long)fds, (long)nr, (long)&none, 0, 0);
#endif
}

#endif
