/*
 * alias.c - other names under which libc exports the same calls
 *
 * Libraries linked against them would pass us by. (__poll, __select, __fork and their like stand
 * beside what they alias.)
 */
#include <fcntl.h>
#include <unistd.h>

#include "posix/sock.h"

#define ALIAS(type, name, params, call)                                                            \
	type name params;                                                                          \
	LANE_EXPORT type name params                                                               \
	{                                                                                          \
		return call;                                                                       \
	}

ALIAS(ssize_t, __read, (int fd, void *buf, size_t len), read(fd, buf, len))
ALIAS(ssize_t, __write, (int fd, const void *buf, size_t len), write(fd, buf, len))
ALIAS(int, __close, (int fd), close(fd))
ALIAS(int, __connect, (int fd, const struct sockaddr *a, socklen_t len), connect(fd, a, len))
ALIAS(ssize_t, __send, (int fd, const void *buf, size_t len, int flags), send(fd, buf, len, flags))
ALIAS(ssize_t, __recv, (int fd, void *buf, size_t len, int flags), recv(fd, buf, len, flags))
ALIAS(int, __socket, (int domain, int type, int protocol), socket(domain, type, protocol))
ALIAS(int, __dup2, (int fd, int to), dup2(fd, to))
ALIAS(int, __sendmmsg, (int fd, struct mmsghdr *v, unsigned int n, int flags),
      sendmmsg(fd, v, n, flags))
