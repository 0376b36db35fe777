/*
 * create.c - calls that make a new number
 *
 * If the table still has something under it (the number was closed where we do not see it), that
 * is stale: it must not speak for the new file (posix.md 8).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "posix/keeper/sys.h"
#include "posix/sock.h"

static int made(int fd)
{
	return (int)shim_ret(shim_fd_new(shim_fd_within(fd)));
}

#define CREATOR(name, params, args)                                                                \
	int name params;                                                                           \
	LANE_EXPORT int name params                                                                \
	{                                                                                          \
		return made(shim_libc()->name args);                                               \
	}

/* The mode argument is there only with O_CREAT or O_TMPFILE; reading it otherwise is harmless. */
#define OPENER(name, params, last, args)                                                           \
	int name params;                                                                           \
	LANE_EXPORT int name params                                                                \
	{                                                                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(ap, last);                                                                \
		mode = va_arg(ap, mode_t);                                                         \
		va_end(ap);                                                                        \
		return made(shim_libc()->name args);                                               \
	}

OPENER(open, (const char *path, int flags, ...), flags, (path, flags, mode))
OPENER(open64, (const char *path, int flags, ...), flags, (path, flags, mode))
OPENER(openat, (int dir, const char *path, int flags, ...), flags, (dir, path, flags, mode))
OPENER(openat64, (int dir, const char *path, int flags, ...), flags, (dir, path, flags, mode))
CREATOR(creat, (const char *path, mode_t mode), (path, mode))
CREATOR(creat64, (const char *path, mode_t mode), (path, mode))
CREATOR(eventfd, (unsigned int count, int flags), (count, flags))
CREATOR(timerfd_create, (clockid_t clock, int flags), (clock, flags))
CREATOR(signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
CREATOR(inotify_init, (void), ())
CREATOR(inotify_init1, (int flags), (flags))
CREATOR(memfd_create, (const char *name, unsigned int flags), (name, flags))

static int made_pair(int r, int fds[2])
{
	int i, bad = 0;

	for (i = 0; r == 0 && i < 2; i++)
		bad |= shim_fd_new(shim_fd_within(fds[i]));
	if (bad >= 0)
		return r;
	for (i = 0; i < 2; i++) {
		if (fds[i] < shim_nofile_limit)
			sys_close(fds[i]);
	}
	return (int)shim_ret(-EMFILE);
}

LANE_EXPORT int pipe(int fds[2])
{
	return made_pair(shim_libc()->pipe(fds), fds);
}

LANE_EXPORT int pipe2(int fds[2], int flags)
{
	return made_pair(shim_libc()->pipe2(fds, flags), fds);
}

LANE_EXPORT int socketpair(int domain, int type, int protocol, int fds[2])
{
	return made_pair(shim_libc()->socketpair(domain, type, protocol, fds), fds);
}

/* libc has the number: who has it closes it. */
static bool beyond(int fd)
{
	return shim_nofile_extra && fd >= shim_nofile_limit;
}

static FILE *made_stream(FILE *f)
{
	if (f && beyond(fileno_unlocked(f))) {
		fclose(f);
		errno = EMFILE;
		return NULL;
	}
	if (f)
		shim_fd_new(fileno_unlocked(f));
	return f;
}

LANE_EXPORT FILE *fopen(const char *path, const char *mode)
{
	return made_stream(shim_libc()->fopen(path, mode));
}

FILE *fopen64(const char *path, const char *mode);

LANE_EXPORT FILE *fopen64(const char *path, const char *mode)
{
	return made_stream(shim_libc()->fopen64(path, mode));
}

LANE_EXPORT DIR *opendir(const char *path)
{
	DIR *d = shim_libc()->opendir(path);

	if (d && beyond(dirfd(d))) {
		closedir(d);
		errno = EMFILE;
		return NULL;
	}
	if (d)
		shim_fd_new(dirfd(d));
	return d;
}
