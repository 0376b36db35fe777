/*
 * shim.h - the inside of liblane-preload.so
 *
 * Theory of operation. A descriptor number is one of three things to us, kept in a flat table:
 * nothing (all calls go to libc at once), FRESH: an IPv4 or IPv6 stream or datagram socket of the
 * kernel for which it is not decided yet who serves it (so all errors and options of that phase
 * are the kernel's own), SOCK: served by the lane (a shim_sock of the arena), or EPOLL: an
 * epoll descriptor. The kernel descriptor under a SOCK's number is its shadow: the real listening
 * or bound socket, or a dup of the anchor (an unconnected socket) for accepted connections.
 * The decision falls at listen(), connect(), and for UDP at bind(), connect() or the first send.
 *
 * An object behind numbers (struct shim_local) counts this process' numbers and calls under way;
 * the last one to go releases this member's share (shim_sock_release).
 *
 * Calls: shim_get(fd) finds and holds, shim_put() lets go. Under the arena's lock only lane calls run.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <lane/tcp.h>
#include <lane/udp.h>

#include "posix/keeper/keeper.h"
#include "posix/libc.h"
#include "posix/signal.h"

#define LANE_EXPORT __attribute__((visibility("default")))
#define shim_likely(x) __builtin_expect(!!(x), 1)
#define shim_unlikely(x) __builtin_expect(!!(x), 0)

enum shim_kind { SHIM_NONE, SHIM_FRESH, SHIM_SOCK, SHIM_EPOLL };

#define SHIM_OPTS_SO 1
#define SHIM_OPTS_TCP 2
#define SHIM_OPTS_IP 4
#define SHIM_OPTS_KERNEL 8 /* one that the lane cannot do */
#define SHIM_OPTS_GROUP 16 /* a program for its SO_REUSEPORT group: retired when it is bound */

/* An epoll registration of a FRESH socket, made in the kernel: moved to the lane with the socket. */
struct shim_reg {
	struct shim_reg *next;
	struct shim_local *ep;
	uint32_t ep_generation; /* of 'ep' then: another one now means that the set was closed */
	int epfd, fd;
	uint32_t events;
	uint64_t data;
};

/* An option of a connection that the lane does not know: kept, to be told again. */
#define SHIM_KEPT 6
struct shim_kept {
	uint16_t level, name; /* 0: free */
	int val;
};

/* What one or more numbers of this process stand for. */
struct shim_local {
	_Atomic uint32_t refs; /* numbers + calls under way */
	uint8_t kind;	       /* enum shim_kind */
	uint8_t v6, dgram;     /* FRESH, SOCK: AF_INET6; SOCK_DGRAM */
	uint8_t nr_threads_in; /* hint */
	uint32_t index;	       /* SOCK: of the arena's sock; EPOLL: of the arena's ep or LANE_NIL */
	uint32_t generation;
	int shadow;	       /* SOCK with a shadow of its own: one number of it that is open, else -1 */
	struct shim_reg *regs; /* FRESH */
	_Atomic uint32_t nr_kernel; /* EPOLL: registrations in the kernel set (listeners' shadows included) */
	_Atomic uint32_t nr_in_libc; /* EPOLL: threads that sleep in libc's epoll_wait on it */
	uint64_t kernel_us;	     /* EPOLL: when the kernel set was last looked at */
	struct shim_local *nest_next; /* EPOLL: list of those with nest_evfd */
	uint8_t nest_set;	      /* EPOLL: nest_evfd is readable */
	uint8_t holds_sets;	      /* EPOLL: another epoll set was added */
	uint8_t kernel_turn;	      /* EPOLL: with room for one event, whose turn it is */
	int nest_evfd;	       /* EPOLL: eventfd of ours inside the kernel set when it is nested, -1 */
	int epfd;	       /* EPOLL: one number of it that is open */
	uint32_t nr, next_free; /* fd.c: its own number, 1 + the next free object's */
	uint8_t opts_set;	/* FRESH: SHIM_OPTS_*, levels at which the program has set options */
	uint8_t any_port;	/* FRESH: bind() left the port to the kernel */
	struct shim_kept kept[SHIM_KEPT]; /* SOCK */
	uint8_t accept_turn;	/* listener: connections taken from the lane since the kernel was asked */
};

struct shim {
	_Atomic int state; /* 0: not started, 1: ready (not joined), 2: joined, 3: no lane, 4: off */
	struct shim_view view;
	struct lane_settings settings;
	enum shim_fallback why; /* state 3 */
	int anchor;		/* unconnected socket: dup'ed for accepted numbers */
	int scratch;		/* unconnected socket: asked about options that we do not know */
	int nr_cpus;		/* usable: affinity mask and cgroup quota */
	_Atomic bool uses_uring; /* io_uring: its sockets stay with the kernel */
	_Atomic int pid;	/* to tell a child of a raw fork */
	_Atomic bool memory_shared; /* there is, or was, a thread that libc may not know */
	_Atomic bool other_netns; /* it went to another network namespace: new sockets are the kernel's */
	_Atomic uint32_t denied; /* SHIM_NO_*: by a filter of system calls (seccomp.c) */
};
extern struct shim shim __attribute__((visibility("hidden")));

/* ---- start.c: settings, join ---- */
/* Lazy start; cheap once done. False: the shim is off. */
bool shim_started(void);
/* Joins the keeper if that was not tried yet. True: shim.view is good. Else count shim.why. */
bool shim_join(void);
/* Is this the thread that is at it now? */
bool shim_is_joining(void);
/* uring.c: is the program linked with liburing? Once, from the constructor. */
void shim_uring_init(void);
/* Has it a ring by now? */
void shim_uring_look(void);
/* Counts a socket that stays with the kernel. */
void shim_count_fallback(enum shim_fallback why);

/* ---- eal.c: a DPDK port, in this process ---- */
/* As keeper_join(). Says on descriptor 2 why not. */
int shim_eal_join(const struct lane_settings *s, struct shim_view *v, enum shim_fallback *why);
/* The process has joined: a port that cannot be slept on is looked after. */
void shim_eal_joined(void);

/* ---- fd.c: the table ---- */
/* Holds what 'fd' stands for, or NULL: not ours. Lock-free. */
struct shim_local *shim_get(int fd);
/* The same, but only if it is a SOCK (one predictable branch in read and write). */
struct shim_local *shim_get_sock(int fd);
void shim_put(struct shim_local *l);
/* 'fd' now stands for 'l' (consumes a hold that the caller owns; drops a stale entry). NULL clears. */
void shim_fd_set(int fd, struct shim_local *l);
/* Clears 'fd' before close(2), so that the number cannot be reused under us. Returns what it was, held. */
struct shim_local *shim_fd_take(int fd);
struct shim_local *shim_local_alloc(enum shim_kind kind);
/* Calls fn for each number in use; for fork and close_range. */
void shim_fd_each(void (*fn)(int fd, struct shim_local *l, void *arg), void *arg);
/* In the child of a fork: only numbers hold, the calls under way are the parent's other threads'. */
void shim_fd_recount(void);
/* A descriptor of ours, moved to a high number with CLOEXEC; the program never sees or closes it.
 * Returns the new number; 'fd' itself where there is no room above. */
int shim_fd_hide(int fd);
/* The same, under the number that it has. */
void shim_fd_mark(int fd);
/* No longer ours: before libc's close. */
void shim_fd_unhide(int fd);
/* 'fd' is known to be a new number for 'l': takes one more hold for it. */
void shim_fd_add(int fd, struct shim_local *l);
/* How many numbers stand for 'l' besides 'fd'; *other (may be NULL) is one of them or -1. */
unsigned int shim_fd_others(struct shim_local *l, int fd, int *other);
/* All numbers of 'from' now stand for 'to' (NULL: for nothing). The caller holds both. */
void shim_fd_replace(struct shim_local *from, struct shim_local *to);
bool shim_fd_is_hidden(int fd);
/* 1 + the highest number ever hidden. */
unsigned int shim_fd_hidden_top(void);
/* By how much the soft limit of descriptors was raised for ours: getrlimit and setrlimit hide it. */
extern int shim_nofile_extra __attribute__((visibility("hidden")));
extern int shim_nofile_limit __attribute__((visibility("hidden"))); /* while extra: the program's own */
/* libc's result for a new descriptor: drops a stale entry of that number. Returns fd. */
int shim_fd_new(int fd);
/* Hears of each such number, where it is not NULL. */
extern void (*_Atomic shim_fd_made)(int fd) __attribute__((visibility("hidden")));

/* ---- ret.c ---- */
/* The one place where -errno becomes -1 and errno. */
static inline ssize_t shim_ret(ssize_t r)
{
	if (shim_unlikely(r < 0)) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

/* ---- cancellation: a call that is a cancellation point acts on one at its entry and while it sleeps
 * (shim_wait), where all that it holds is let go. Between, nothing that it calls is one (sys.h). ---- */
static inline void shim_cancel_point(void)
{
	pthread_testcancel();
}

/* For what must not be cancelled at all. Returns the state for shim_cancel_restore(). */
static inline int shim_cancel_off(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

static inline void shim_cancel_restore(int state)
{
	pthread_setcancelstate(state, NULL);
}

/* ---- copy.c: copies to and from program memory that may be unmapped (posix.md 65) ---- */
/* 0 or -EFAULT. Nothing else faults in the shim. */
int shim_copy_in(void *dst, const void *user, size_t len);
int shim_copy_out(void *user, const void *src, size_t len);
/* For the SIGSEGV and SIGBUS handler of signal.c: true if the fault was in one of those copies, and
 * then the context goes on behind it. Async-signal-safe. */
bool shim_copy_fixup(void *ucontext);

/* ---- wait.c: spinning and sleeping (H7) ---- */
/* What a thread waits for. 'ready' is asked with the lock held, after a turn; nonzero ends the wait
 * and is returned. It may keep state through 'arg'. */
struct shim_wait {
	int (*ready)(struct shim_view *v, void *arg);
	void *arg;
	/* where it announces itself, so that others wake this member: */
	const uint32_t *socks; /* indices */
	uint32_t nr_socks;
	uint32_t ep;		     /* LANE_NIL */
	/* kernel descriptors that end the wait too: either an epoll fd or a poll array */
	int kernel_epfd;	     /* -1: none; readable ends the wait with SHIM_WAIT_KERNEL */
	struct pollfd *kernel_fds;   /* NULL: none */
	unsigned int nr_kernel_fds;
	const sigset_t *sigmask;     /* as epoll_pwait, NULL: unchanged */
	int64_t timeout_us;	     /* < 0: for ever, 0: only look */
	void (*abandon)(void *arg);  /* the thread is cancelled in its sleep: lets go of the caller's holds */
	bool restart;		     /* restart after a handler with SA_RESTART (blocking I/O, not epoll) */
	bool keep_lock;		     /* what 'ready' returned is given with the lock held: for shim_leave() */
};
#define SHIM_WAIT_KERNEL 0x40000000
/* > 0: what 'ready' returned, or SHIM_WAIT_KERNEL; 0: timed out; -EINTR. Flushes deferred kicks first. */
int shim_wait(struct shim_wait *w);
/* Wakes this process' threads that wait for what became ready (after shim_unlock). */
void shim_wake_local(void);
/* Kicks what was deferred; before anything that may block. Cheap if there is nothing. */
void shim_kick_deferred(void);
/* The usual bracket of a lane call from a program's thread: lock; ...; unlock, wake, kick or defer. */
static inline void shim_enter(struct shim_view *v)
{
	shim_sig_enter();
	shim_lock(v);
}
/* Kicks now, or leaves it to the end of the event loop's turn while the keeper watches
 * (docs/architecture.md "When frames leave"). */
void shim_leave(struct shim_view *v);
/* The same without a kick, for calls that queue no output. */
void shim_leave_quiet(struct shim_view *v);

/* ---- epoll.c (H7) ---- */
/* A FRESH socket became a SOCK: its kernel registrations move to watches (a listener's, and a bound
 * UDP socket's, stay in the kernel too, as the shadow is served as well). Without the lock. */
void shim_epoll_adopt(struct shim_local *fresh, struct shim_local *sock, bool keep_kernel);
/* The last number of a description goes. */
void shim_epoll_forget(struct shim_local *l);
/* A number 'fd' of a FRESH socket is closed: its registrations by that number go. */
void shim_epoll_closed_fd(struct shim_local *l, int fd);

/* ---- sock.c, io.c, opt.c (H6): what the interposed symbols call, -errno as results ---- */
/* Under the lock; without it, to read a word that may change. */
static inline struct shim_sock *shim_sock_of(const struct shim_local *l)
{
	struct shim_sock *s = shim_sock_at(&shim.view, l->index);

	return s && s->generation == l->generation ? s : NULL;
}

ssize_t shim_sock_recv(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags);
ssize_t shim_sock_send(struct shim_local *l, const struct iovec *iov, int iovcnt, int flags);
/* The kernel half of a listener or UDP socket has something (poll(2) on the shadow, 0). */
short shim_shadow_poll(struct shim_local *l, short events);

/* ---- fork.c, exec.c, priv.c (H7) ---- */
enum shim_fork_step { SHIM_FORK_PREPARE, SHIM_FORK_PARENT, SHIM_FORK_CHILD };
void shim_fork_init(void); /* pthread_atfork; once, from start.c */
/* Before a sock or set is released: not while another thread forks, whose child may have it. */
void shim_fork_wait(void);
/* syscall(2) with a number that makes a process with memory of its own: made, and registered. */
bool shim_raw_fork(long nr, const long a[6], long *r);
void shim_epoll_fork(enum shim_fork_step step);
/* stdio.c: 'fd' is a lane socket now: stdin, stdout or stderr, if it is theirs, uses it by our calls. */
void shim_std_stream(int fd);
/* spawn.c: ends a stream of its popen(), with the shell's status. False: it is none. */
bool shim_pclose(FILE *f, int *status);
void shim_spawn_fork_child(void);
/* Keeps the preload and LANE_* of the environment for exec'd programs; once, from start.c. */
void shim_exec_init(char *const envp[]);
/* A number that we never saw made: an inherited listener becomes known (posix.md 16). True: it is now. */
bool shim_adopt_inherited(int fd);
/* 'fd' was made before our eyes. */
void shim_not_inherited(int fd);
/* ---- signal.c ---- */
/* Once joined: takes SIGSEGV and SIGBUS for shim_copy_fixup(). start.c calls it. */
void shim_sig_init(void);
/* True if the handler of a signal that just interrupted us restarts calls. */
bool shim_sig_restarts(void);

#endif
