/*
 * fcntl.c - fcntl(2)
 *
 * FD_CLOEXEC is the number's and the kernel keeps it. O_NONBLOCK and O_ASYNC are the
 * description's and the arena keeps them: under a number may be a dup of the anchor, which all
 * connections share, or a listener's shadow, which is always O_NONBLOCK.
 */
#include <fcntl.h>
#include <stdarg.h>

#include "posix/sock.h"

static const struct {
	int flag;
	unsigned int bit;
} status_flags[] = {
	{O_NONBLOCK, SHIM_SOCK_NONBLOCK},
	{O_ASYNC, SHIM_SOCK_ASYNC},
	{O_APPEND, SHIM_SOCK_APPEND},
	{O_NOATIME, SHIM_SOCK_NOATIME},
};
#define NR_STATUS (sizeof(status_flags) / sizeof(status_flags[0]))

static int get_flags(struct shim_local *l)
{
	unsigned int i, f = shim_sock_flags(l);
	int flags = O_RDWR;

	for (i = 0; i < NR_STATUS; i++)
		flags |= f & status_flags[i].bit ? status_flags[i].flag : 0;
	return flags;
}

static int set_flags(int fd, struct shim_local *l, int flags)
{
	unsigned int i;

	if (flags & O_DIRECT)
		return -EINVAL;
	if (l->dgram)
		shim_libc()->fcntl(fd, F_SETFL, flags);
	for (i = 0; i < NR_STATUS; i++)
		shim_sock_set_flag(l, status_flags[i].bit, flags & status_flags[i].flag);
	if (flags & O_ASYNC)
		shim_sigio_update(l);
	return 0;
}

static long kernel_fcntl(int fd, int cmd, long arg)
{
	int r = shim_libc()->fcntl(fd, cmd, arg);

	return r < 0 ? -errno : r;
}

static long sock_fcntl(int fd, struct shim_local *l, int cmd, long arg)
{
	int r, out;

	switch (cmd) {
	case F_GETFL:
		return get_flags(l);
	case F_SETFL:
		return set_flags(fd, l, (int)arg);
	case F_SETOWN:
	case F_SETSIG:
	case F_SETOWN_EX:
		return shim_sigio_set(fd, l, cmd, arg);
	case F_GETSIG:
	case F_GETOWN_EX:
		if (shim_sock_flags(l) & SHIM_SOCK_SHADOW)
			return kernel_fcntl(fd, cmd, arg);
		r = shim_sigio_get(l, cmd, (void *)arg, &out);
		return r < 0 ? r : out;
	default:
		return kernel_fcntl(fd, cmd, arg);
	}
}

/* A socket that is to raise SIGIO or SIGURG: the kernel serves it, if it says so before it is bound or
 * connected. */
static void note_signals(struct shim_local *l, int cmd, long arg)
{
	if (cmd == F_SETOWN || cmd == F_SETOWN_EX || cmd == F_SETSIG ||
	    (cmd == F_SETFL && (arg & O_ASYNC)))
		l->opts_set |= SHIM_OPTS_KERNEL;
}

long shim_fcntl(int fd, struct shim_local *l, int cmd, long arg)
{
	if (l && l->kind == SHIM_FRESH)
		note_signals(l, cmd, arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return shim_dup_done(l, shim_fd_within(shim_libc()->fcntl(fd, cmd, arg)));
	return l && l->kind == SHIM_SOCK ? sock_fcntl(fd, l, cmd, arg) : kernel_fcntl(fd, cmd, arg);
}

/* F_GETOWN: a group's number is negative, and no error. */
static int get_owner(int fd, struct shim_local *l, int *owner)
{
	struct f_owner_ex ex;

	if (l && l->kind == SHIM_SOCK && !(shim_sock_flags(l) & SHIM_SOCK_SHADOW))
		return shim_sigio_get(l, F_GETOWN, NULL, owner);
	if (shim_libc()->fcntl(fd, F_GETOWN_EX, &ex) < 0)
		return -errno;
	*owner = ex.type == F_OWNER_PGRP ? -ex.pid : ex.pid;
	return 0;
}

static int any_fcntl(int fd, int cmd, long arg)
{
	struct shim_local *l;
	int owner = 0;
	long r;

	if (shim_unlikely(shim_fd_is_hidden(fd)))
		return (int)shim_ret(-EBADF);
	l = shim_get(fd);
	r = cmd == F_GETOWN ? get_owner(fd, l, &owner) : shim_fcntl(fd, l, cmd, arg);
	if (l)
		shim_put(l);
	return r || cmd != F_GETOWN ? (int)shim_ret(r) : owner;
}

/* The third argument is an int or a pointer: as a long it holds either. */
#define FCNTL(name)                                                                                \
	int name(int fd, int cmd, ...);                                                            \
	LANE_EXPORT int name(int fd, int cmd, ...)                                                 \
	{                                                                                          \
		va_list ap;                                                                        \
		long arg;                                                                          \
                                                                                                   \
		va_start(ap, cmd);                                                                 \
		arg = va_arg(ap, long);                                                            \
		va_end(ap);                                                                        \
		return any_fcntl(fd, cmd, arg);                                                    \
	}

FCNTL(fcntl)
FCNTL(fcntl64)
FCNTL(__fcntl)
