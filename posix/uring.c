/*
 * uring.c - programs that use io_uring
 *
 * What is submitted to a ring never passes us, and the kernel knows nothing of the lane's connections: on
 * their numbers it says ENOTCONN, and an accept waits for ever. So all sockets of a program that has a
 * ring stay with the kernel. syscall(2) tells of one (rawcall.c); liburing does not, its calls are instructions
 * of its own. A program that is linked with it is taken to use it, for many make their ring only behind
 * listen(); where it is a part of the program itself, the ring is found by its descriptor.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "posix/sock.h"

#define LOOK_AT 64 /* numbers: rings are made early */

static bool is_ring(int fd)
{
	static const char ring[] = "anon_inode:[io_uring]";
	char path[32], name[sizeof(ring) + 1];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name));
	return n == (ssize_t)sizeof(ring) - 1 && memcmp(name, ring, sizeof(ring) - 1) == 0;
}

void shim_uring_init(void)
{
	shim.uses_uring = dlsym(RTLD_DEFAULT, "io_uring_queue_init") != NULL;
}

void shim_uring_look(void)
{
	int fd, saved = errno;

	for (fd = 0; fd < LOOK_AT && !shim.uses_uring; fd++)
		shim.uses_uring = is_ring(fd);
	errno = saved;
}
