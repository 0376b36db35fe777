/*
 * dup.c - dup(2), dup2(2), dup3(2): more numbers for one description
 *
 * The kernel duplicates what lies under the number (shadow or anchor), so the new number is the
 * lowest free one as always; the table entry makes it the same socket.
 */
#include <fcntl.h>
#include <unistd.h>

#include "posix/sock.h"

/* 'new' was just made by the kernel as a duplicate of what 'l' (may be NULL) stands for. */
int shim_dup_done(struct shim_local *l, int new)
{
	if (new < 0)
		return new;
	if (l)
		shim_fd_add(new, l);
	else
		shim_fd_new(new);
	if (l && l->kind == SHIM_SOCK)
		shim_std_stream(new);
	return new;
}

int shim_dup(int fd)
{
	struct shim_local *l;
	int r;

	if (shim_fd_is_hidden(fd))
		return -EBADF;
	l = shim_get(fd);
	r = shim_dup_done(l, shim_fd_within(shim_libc()->dup(fd)));
	if (l)
		shim_put(l);
	return r;
}

/* 'to' was open and is ours: what it stood for ends as by close(2), the kernel's part by dup2 itself. */
static void end_of(int to, struct shim_local *old)
{
	shim_epoll_closed_fd(old, to);
	if (atomic_load(&old->refs) > 1) {
		if (old->shadow == to)
			shim_fd_others(old, to, &old->shadow);
		if (old->epfd == to)
			shim_fd_others(old, to, &old->epfd);
	}
	shim_put(old);
}

int shim_dup3(int fd, int to, int flags, bool is_dup2)
{
	struct shim_local *l, *old;
	int r;

	if (shim_fd_is_hidden(fd) || shim_fd_is_hidden(to))
		return -EBADF;
	if (fd == to) {
		r = is_dup2 ? shim_libc()->dup2(fd, to) : shim_libc()->dup3(fd, to, flags);
		return r < 0 ? -errno : r;
	}
	/* A bad 'fd' must leave 'to' alone. */
	if (shim_libc()->fcntl(fd, F_GETFD) < 0)
		return -errno;
	l = shim_get(fd);
	old = shim_fd_take(to);
	r = is_dup2 ? shim_libc()->dup2(fd, to) : shim_libc()->dup3(fd, to, flags);
	r = r < 0 ? -errno : r;
	if (r >= 0 && l)
		shim_fd_add(to, l);
	if (r < 0 && old)
		shim_fd_set(to, old);
	else if (old)
		end_of(to, old);
	if (r >= 0 && l && l->kind == SHIM_SOCK)
		shim_std_stream(to);
	if (l)
		shim_put(l);
	return r;
}

LANE_EXPORT int dup(int fd)
{
	return (int)shim_ret(shim_dup(fd));
}

LANE_EXPORT int dup2(int fd, int to)
{
	return (int)shim_ret(shim_dup3(fd, to, 0, true));
}

LANE_EXPORT int dup3(int fd, int to, int flags)
{
	return (int)shim_ret(shim_dup3(fd, to, flags, false));
}
