/*
 * poll.h - poll over lane and kernel descriptors, for poll.c and select.c
 */
#ifndef SHIM_POLL_H
#define SHIM_POLL_H

#include "posix/shim.h"

/* True if the lane has a part in polling 'fd': a lane socket, or a set with some in it. */
bool shim_poll_is_ours(int fd);
/* As ppoll(2) on our own memory: revents are set; returns how many are not 0, 0: timed out, -errno.
 */
int shim_poll(struct pollfd *fds, unsigned int nr, int64_t timeout_us, const sigset_t *mask);
/* The same for an array of shim_poll_alloc(), which goes if the thread is cancelled. */
int shim_poll_long(struct pollfd *fds, unsigned int nr, int64_t timeout_us, const sigset_t *mask,
		   size_t size);
/* Memory for 'size' bytes that a signal handler may ask for too; NULL: none. */
void *shim_poll_alloc(size_t size);
void shim_poll_free(void *p, size_t size);
/* A cleanup handler: the array goes. */
struct shim_poll_array {
	void *at;
	size_t size;
};
void shim_poll_drop(void *array);

#endif
