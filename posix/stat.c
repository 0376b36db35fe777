/*
 * stat.c - fstat(2), fstatat(2), statx(2): a connection's inode
 *
 * Under accepted numbers lies the anchor, one for all of them, and another once they are passed on. Who
 * tells sockets apart by st_ino, or asks whether what came is what was sent (dovecot), sees a number
 * of the connection's own. All other sockets have a kernel socket, and its inode.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "posix/sock.h"

#define OWN_INODES ((ino_t)1 << 62) /* the kernel's have 32 bits */

int fstat64(int fd, struct stat64 *st);
int __fxstat(int version, int fd, struct stat *st);
int __fxstat64(int version, int fd, struct stat64 *st);
int fstatat64(int fd, const char *path, struct stat64 *st, int flags);
int __fxstatat(int version, int fd, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int fd, const char *path, struct stat64 *st, int flags);
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one and the same");

/* The inode of the connection under 'fd'; 0: the kernel's is the one. */
static ino_t own_inode(int fd)
{
	struct shim_local *l = shim_get_sock(fd);
	ino_t ino = 0;

	if (!l)
		return 0;
	if (!l->dgram && !(shim_sock_flags(l) & SHIM_SOCK_SHADOW))
		ino = OWN_INODES | (ino_t)shim_sock_cookie(l->index, l->generation);
	shim_put(l);
	return ino;
}

static int told(int fd, struct stat *st, int r)
{
	ino_t ino = r == 0 && S_ISSOCK(st->st_mode) ? own_inode(fd) : 0;

	if (ino)
		st->st_ino = ino;
	return r;
}

/* Whether a path says 'fd' itself: an empty one, or none. The kernel has read it. */
static bool is_itself(int fd, const char *path, int flags)
{
	char c;

	return (flags & AT_EMPTY_PATH) && own_inode(fd) && (shim_copy_in(&c, path, 1) < 0 || !c);
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

/* ---- with a path ---- */

LANE_EXPORT int fstatat(int fd, const char *path, struct stat *st, int flags)
{
	int r = shim_libc()->fstatat(fd, path, st, flags);

	return is_itself(fd, path, flags) ? told(fd, st, r) : r;
}

LANE_EXPORT int fstatat64(int fd, const char *path, struct stat64 *st, int flags)
{
	return fstatat(fd, path, (struct stat *)st, flags);
}

LANE_EXPORT int __fxstatat(int version, int fd, const char *path, struct stat *st, int flags)
{
	int r = shim_libc()->__fxstatat(version, fd, path, st, flags);

	return is_itself(fd, path, flags) ? told(fd, st, r) : r;
}

LANE_EXPORT int __fxstatat64(int version, int fd, const char *path, struct stat64 *st, int flags)
{
	return __fxstatat(version, fd, path, (struct stat *)st, flags);
}

LANE_EXPORT int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	int r = shim_libc()->statx(fd, path, flags, mask, st);

	if (r == 0 && is_itself(fd, path, flags))
		st->stx_ino = own_inode(fd);
	return r;
}
