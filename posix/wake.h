/*
 * wake.h - the threads of this process that wait, and what each of them sleeps on
 */
#ifndef SHIM_WAKE_H
#define SHIM_WAKE_H

#include "posix/shim.h"

#define KEEPER_SLEEP_US   100000 /* the keeper's longest while a timer runs, and of a thread without the queues */
#define SHIM_WAITER_SOCKS 16 /* beyond: any event of this process wakes it */

enum shim_waiter_state { SHIM_WAITER_IDLE, SHIM_WAITER_ARMED, SHIM_WAITER_WOKEN };

/* What woke a sleeper: the data words of its internal epoll set. */
enum shim_wake_tag { SHIM_TAG_QUEUE, SHIM_TAG_BELL, SHIM_TAG_OWN, SHIM_TAG_KERNEL };

/* A thread. Others read what lies between arm and disarm, and only copies: a thread may leave its
 * wait by longjmp. */
struct shim_waiter {
	struct shim_waiter *next, *prev; /* registry */
	_Atomic uint32_t state;          /* enum shim_waiter_state */
	bool registered;
	bool met; /* fd.c has counted it */
	/* what it waits for, or waited for last */
	uint32_t ep; /* LANE_NIL; its bit there is set until the next look that finds something */
	uint32_t nr_socks;
	uint32_t socks[SHIM_WAITER_SOCKS], edges[SHIM_WAITER_SOCKS];
	/* its internal epoll set, made at the first sleep: queues, doorbell, own eventfd, and what
	 * of the program's it sleeps on: an epoll set, or a poll array through 'scratch' */
	int epfd, evfd, scratch;
	_Atomic bool has_queues;
	uint32_t nr_awake; /* waits since the last sleep */
	uint32_t nr_for_others; /* times in a row that a queue woke it for other threads */
	const struct shim_waiter *woke; /* whom it woke since its wait began, or it slept; to be compared only */
	_Atomic bool stands_by; /* sleeps without the queues: another thread looks after them */
	bool told; /* its last look told of sockets, its own or others' */
	uint64_t looked_us, other_us; /* when it looked last, and another thread before that */
	uint32_t doubts; /* standing by has ended so often because nobody looked, less often otherwise */
	int program_epfd;
	uint32_t program_generation;
	/* counted in the arena as */
	bool waiting; /* asleep, or about to be */
	bool spinning;
	/* how much spinning was worth lately */
	uint32_t misses, skipped;
	bool never_spins;
	uint64_t crowded_until_us; /* no spinning until then: the CPU is shared */
	/* output that was queued and not kicked (defer.c) */
	uint64_t deferred; /* queues */
	uint64_t deferred_us, rung_us;
	int nr_events; /* that the last wait returned */
};

/* This thread. */
extern _Thread_local struct shim_waiter shim_self
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Makes the internal epoll set unless there is one. False: no descriptors left. */
bool shim_waiter_open(void);
/* The thread is about to sleep: its internal set, which is open, holds the queues. */
void shim_waiter_sleeps(void);
/* Under the lane's lock: this thread has looked at the queues, for all threads. */
void shim_waiter_looks(const struct shim_view *v);
/* A wait ended without a sleep. */
void shim_waiter_awake(void);
/* A sleep is over: what ended it, by tag (0: the time), and whether the thread found what it waits for. */
void shim_waiter_woken(uint32_t tags, bool found);
/* The internal set holds 'epfd' of the program, -1: none. 0 or -errno. */
int shim_waiter_program_epfd(int epfd);
/* The internal set holds these through the scratch set, until shim_waiter_unpoll(). 0 or -errno. */
int shim_waiter_poll(const struct pollfd *fds, unsigned int nr);
void shim_waiter_unpoll(const struct pollfd *fds, unsigned int nr);
/* An epoll descriptor of the program was closed: its number may come to mean another set. */
void shim_waiter_epfd_closed(void);

/* Under the lane's lock: what 'w' names, for shim_waiter_hit(). Nobody else will wake this thread. */
void shim_waiter_note(struct shim_view *v, const struct shim_wait *w);
/* The same, and announces that it is about to sleep on it. */
void shim_waiter_arm(struct shim_view *v, const struct shim_wait *w);
/* Takes it back; with or without the lock ('v' NULL). Also cleans up after a longjmp. */
void shim_waiter_disarm(struct shim_view *v);
/* A thread that a handler took out of a spin for good does not count as one that spins. */
void shim_spin_is_over(void);
/* Something that this thread waits for has happened since it noted it. No lock. */
bool shim_waiter_hit(const struct shim_waiter *me);

/* fork: the registry is held across it; the child has one thread and none of its descriptors. */
void shim_wake_fork_prepare(void);
void shim_wake_fork_parent(void);
void shim_wake_fork_child(void);
void shim_wait_fork_child(void); /* wait.c */

#endif
