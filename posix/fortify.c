/*
 * fortify.c - the calls that -D_FORTIFY_SOURCE makes of the usual ones
 *
 * They get the size of the buffer besides, and abort where the kernel might write beyond it.
 */
#include <unistd.h>

#include "posix/sock.h"

extern void __chk_fail(void) __attribute__((noreturn));

static void check(size_t len, size_t room)
{
	if (shim_unlikely(len > room))
		__chk_fail();
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, struct sockaddr *addr,
		       socklen_t *addr_len);

LANE_EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	check(len, room);
	return read(fd, buf, len);
}

LANE_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
	check(len, room);
	return recv(fd, buf, len, flags);
}

LANE_EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags,
				   struct sockaddr *addr, socklen_t *addr_len)
{
	check(len, room);
	return recvfrom(fd, buf, len, flags, addr, addr_len);
}
