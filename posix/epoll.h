/*
 * epoll.h - the program's epoll sets, between epoll.c, epoll_wait.c, poll.c and wake.c
 */
#ifndef SHIM_EPOLL_H
#define SHIM_EPOLL_H

#include "posix/shim.h"

/* The data word of our own eventfd inside a kernel set. */
extern const char shim_nest_tag __attribute__((visibility("hidden")));
#define SHIM_NEST_DATA ((uint64_t)(uintptr_t)&shim_nest_tag)

/* The kernel set of 'e' shall be readable while its ready list is not empty. 0 or -errno. */
int shim_epoll_nest(struct shim_local *e);
/* Sets and clears the eventfds of nested sets by what is ready now. One load when there are none.
 */
void shim_epoll_nest_sync(void);
/* The same for one that was seen readable: it may have been rung besides, or read by another thread since. */
void shim_epoll_nest_seen(struct shim_local *e);

#endif
