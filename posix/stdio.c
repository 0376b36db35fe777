/*
 * stdio.c - streams over sockets
 *
 * stdio inside libc makes no call that we see. A stream made of a lane's socket gets our own
 * functions (fopencookie); its fileno() still works. So do the standard streams when a lane's socket
 * comes under their number, by dup2 or through an exec. fclose() ends a number like close() does:
 * what the table says of it must go, or the next file of that number would be taken for a socket.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
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

/* glibc takes ESPIPE, and nothing else, for what cannot be positioned: fflush() is then well. */
static int cookie_seek(void *cookie, off64_t *at, int whence)
{
	(void)cookie;
	(void)at;
	(void)whence;
	return (int)shim_ret(-ESPIPE);
}

static int cookie_close(void *cookie)
{
	return (int)shim_ret(shim_close((int)(intptr_t)cookie)); /* as libc's own, no cancellation point */
}

static FILE *cookie_stream(int fd, const char *mode)
{
	static const cookie_io_functions_t io = {
		.read = cookie_read, .write = cookie_write, .seek = cookie_seek, .close = cookie_close};
	FILE *f = fopencookie((void *)(intptr_t)fd, mode, io);

	if (f)
		f->_fileno = fd;
	return f;
}

LANE_EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct shim_local *l = shim_get_sock(fd);

	if (!l)
		return shim_libc()->fdopen(fd, mode);
	shim_put(l);
	return cookie_stream(fd, mode);
}

#define UNBUFFERED 2 /* glibc's _IO_UNBUFFERED */

/* How 'f' buffers: _IONBF, _IOLBF or _IOFBF. */
static int buffering(FILE *f)
{
	if (__flbf(f))
		return _IOLBF;
	return f->_flags & UNBUFFERED ? _IONBF : _IOFBF;
}

/* What was written to 'from' and waits goes where its number leads now, as with libc's own stream. */
static void move_pending(FILE *from, FILE *to)
{
	size_t n = __fpending(from);

	if (n)
		fwrite(from->_IO_write_base, 1, n, to);
	__fpurge(from);
}

/* Such a stream serves whatever is under its number later, so it is never taken back. */
void shim_std_stream(int fd)
{
	FILE *f, **which = fd == 0 ? &stdin : fd == 1 ? &stdout : &stderr;
	static bool ours[3];

	if ((unsigned int)fd > 2 || ours[fd] || !*which)
		return;
	f = cookie_stream(fd, fd ? "w" : "r");
	if (!f)
		return;
	ours[fd] = true;
	setvbuf(f, NULL, buffering(*which), BUFSIZ);
	if (fd)
		move_pending(*which, f);
	*which = f;
}

/* ---- dprintf(3): a write inside libc ---- */

static int print(int fd, const char *format, va_list ap)
{
	char *text, *at;
	int n = vasprintf(&text, format, ap), left;
	ssize_t r = 0;

	for (at = text, left = n; left > 0; at += r, left -= (int)r) {
		r = write(fd, at, (size_t)left);
		if (r < 0)
			break;
	}
	if (n >= 0)
		free(text);
	return r < 0 ? -1 : n;
}

static bool is_lanes(int fd)
{
	struct shim_local *l = shim_get_sock(fd);

	if (l)
		shim_put(l);
	return l != NULL;
}

LANE_EXPORT int vdprintf(int fd, const char *format, va_list ap)
{
	return is_lanes(fd) ? print(fd, format, ap) : shim_libc()->vdprintf(fd, format, ap);
}

LANE_EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = vdprintf(fd, format, ap);
	va_end(ap);
	return r;
}

int __vdprintf_chk(int fd, int flag, const char *format, va_list ap);
LANE_EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
	return is_lanes(fd) ? print(fd, format, ap)
			    : shim_libc()->__vdprintf_chk(fd, flag, format, ap);
}

int __dprintf_chk(int fd, int flag, const char *format, ...);
LANE_EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = __vdprintf_chk(fd, flag, format, ap);
	va_end(ap);
	return r;
}

LANE_EXPORT int fclose(FILE *f)
{
	int fd = f ? fileno_unlocked(f) : -1, r;
	struct shim_local *l = fd >= 0 ? shim_get(fd) : NULL, *now;

	if (!l)
		return f && shim_pclose(f, &r) ? r : shim_libc()->fclose(f);
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
