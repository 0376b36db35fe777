/*
 * stdio.c - streams over sockets
 *
 * stdio inside libc makes no call that we see. A stream made of a lane's socket gets our own
 * functions (fopencookie); its fileno() still works. fclose() ends a number like close() does:
 * what the table says of it must go, or the next file of that number would be taken for a socket.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "posix/sock.h"

static ssize_t cookie_read(void *cookie, char *buf, size_t len)
{
	return read((int)(intptr_t)cookie, buf, len);
}

/* A cookie's write reports an error by 0; errno is set. */
static ssize_t cookie_write(void *cookie, const char *buf, size_t len)
{
	ssize_t r = write((int)(intptr_t)cookie, buf, len);

	return r < 0 ? 0 : r;
}

static int cookie_close(void *cookie)
{
	return (int)shim_ret(shim_close((int)(intptr_t)cookie)); /* as libc's own, no cancellation point */
}

LANE_EXPORT FILE *fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t io = {
		.read = cookie_read, .write = cookie_write, .close = cookie_close};
	struct shim_local *l = shim_get_sock(fd);
	FILE *f;

	if (!l)
		return shim_libc()->fdopen(fd, mode);
	shim_put(l);
	f = fopencookie((void *)(intptr_t)fd, mode, io);
	if (f)
		f->_fileno = fd;
	return f;
}

LANE_EXPORT int fclose(FILE *f)
{
	int fd = f ? fileno_unlocked(f) : -1, r;
	struct shim_local *l = fd >= 0 ? shim_get(fd) : NULL, *now;

	if (!l)
		return shim_libc()->fclose(f);
	r = shim_libc()->fclose(f);
	/* A stream of libc's own has closed the number behind our back; a cookie by close(). */
	now = shim_get(fd);
	if (now) {
		shim_put(now);
		if (now == l && shim_libc()->fcntl(fd, F_GETFD) < 0) {
			shim_epoll_closed_fd(l, fd);
			shim_fd_set(fd, NULL);
		}
	}
	shim_put(l);
	return r;
}

/* The stream's file is another one now, mostly under the same number. */
static FILE *reopened(FILE *f, int fd, struct shim_local *l)
{
	if (l) {
		shim_epoll_closed_fd(l, fd);
		shim_fd_set(fd, NULL);
		shim_put(l);
	}
	if (f)
		shim_fd_new(fileno_unlocked(f));
	return f;
}

#define REOPEN(name)                                                                               \
	FILE *name(const char *path, const char *mode, FILE *f);                                   \
	LANE_EXPORT FILE *name(const char *path, const char *mode, FILE *f)                        \
	{                                                                                          \
		int fd = f ? fileno_unlocked(f) : -1;                                              \
		struct shim_local *l = fd >= 0 ? shim_get(fd) : NULL;                              \
                                                                                                   \
		return reopened(shim_libc()->name(path, mode, f), fd, l);                          \
	}

REOPEN(freopen)
REOPEN(freopen64)
