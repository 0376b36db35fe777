/*
 * stat.c - fstat(2): a connection's inode
 *
 * Under accepted numbers lies the anchor, one for all of them, and another once they are passed on. Who
 * tells sockets apart by st_ino, or asks whether what came is what was sent (dovecot), sees a number
 * of the connection's own. All other sockets have a kernel socket, and its inode.
 */
#include <sys/stat.h>

#include "posix/sock.h"

#define OWN_INODES ((ino_t)1 << 62) /* the kernel's have 32 bits */

int fstat64(int fd, struct stat64 *st);
int __fxstat(int version, int fd, struct stat *st);
int __fxstat64(int version, int fd, struct stat64 *st);
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one and the same");

static int told(int fd, struct stat *st, int r)
{
	struct shim_local *l = r == 0 && S_ISSOCK(st->st_mode) ? shim_get_sock(fd) : NULL;

	if (!l)
		return r;
	if (!l->dgram && !(shim_sock_flags(l) & SHIM_SOCK_SHADOW))
		st->st_ino = OWN_INODES | (ino_t)shim_sock_cookie(l->index, l->generation);
	shim_put(l);
	return r;
}

LANE_EXPORT int fstat(int fd, struct stat *st)
{
	return told(fd, st, shim_libc()->fstat(fd, st));
}

LANE_EXPORT int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

/* The same in programs that were built with older libraries. */
LANE_EXPORT int __fxstat(int version, int fd, struct stat *st)
{
	return told(fd, st, shim_libc()->__fxstat(version, fd, st));
}

LANE_EXPORT int __fxstat64(int version, int fd, struct stat64 *st)
{
	return __fxstat(version, fd, (struct stat *)st);
}
