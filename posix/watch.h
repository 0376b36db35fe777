/*
 * watch.h - registrations of lane sockets in epoll sets, and the sets' ready lists
 *
 * All of it under the arena's lock. Indices of socks, eps and watches as in arena.h.
 */
#ifndef SHIM_WATCH_H
#define SHIM_WATCH_H

#include <sys/epoll.h>

#include "posix/keeper/arena.h"

/* The bits of epoll_event.events that are conditions, and those that are reported unasked. */
#define SHIM_POLL_BITS   0x0000ffffu
#define SHIM_POLL_ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))

/* The watch of 'sock' in 'ep' that was registered by number 'fd', or LANE_NIL. */
uint32_t shim_watch_find(struct shim_view *v, uint32_t sock, uint32_t ep, int fd);
/* Adds one; ready at once if the sock is. -EEXIST, -ENOSPC (table full). */
int shim_watch_add(struct shim_view *v, uint32_t sock, uint32_t ep, int fd,
		   const struct epoll_event *ev);
/* Sets events and data anew, arms a fired ONESHOT, and evaluates readiness. */
void shim_watch_mod(struct shim_view *v, uint32_t watch, const struct epoll_event *ev);
/* Takes it out of all lists and frees it. */
void shim_watch_del(struct shim_view *v, uint32_t watch);
/* Puts it on its ep's ready list unless it is there or OFF. */
void shim_watch_ready(struct shim_view *v, uint32_t watch);
/* Takes at most 'max' events off the ready list, as epoll_wait(2) reports them. */
int shim_ep_collect(struct shim_view *v, uint32_t ep, struct epoll_event *out, int max);
/* Drops what is not ready any more from the head of the list. True: something is ready. */
bool shim_ep_is_ready(struct shim_view *v, uint32_t ep);
/* Wakes who waits for 'ep': adds to v->wakes. True if somebody was asleep on it. */
bool shim_ep_wake(struct shim_view *v, struct shim_ep *ep);

#endif
