/*
 * fork.c - fork(2) and what is like it
 *
 * Theory of operation. What the shim holds is made ready by pthread_atfork, so that it works in
 * fork, forkpty and daemon alike: before, the child's row and references are reserved, and our
 * mutexes taken; after, each side lets go, and the child is a member with a row of its own and
 * one thread. fork() itself is wrapped to tell the keeper the child's pid.
 *
 * vfork would run the child on our memory, where its close() calls would empty the parent's
 * table. It becomes a plain _Fork. Its child is a member only where there are lane sockets that it
 * may hand to what it executes. The parent waits until it has, as with vfork. posix_spawn, system
 * and popen do not come by here (spawn.c): their children call nothing of ours.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "posix/fork.h"
#include "posix/keeper/sys.h"
#include "posix/wake.h"

enum { JOINED = 2, NO_LANE = 3 };

#define ASK_EVERY_MS   50
#define FORKED_NO_EXEC 0x40 /* PF_FORKNOEXEC of /proc/PID/stat */

/* Between prepare and the end of the fork, in the thread that forks. */
static _Thread_local struct {
	bool member;  /* the process had joined */
	bool threads; /* and has others, which make and close sockets meanwhile (keeper/inherit.c) */
	bool wrapped; /* fork() will tell the keeper */
	int cancel;   /* fork(2) is no cancellation point, what we do for it is full of them */
	int row;      /* the child's; < 0: none was free */
} forking __attribute__((tls_model("initial-exec")));

/* Forks of threaded members under way. Nothing that a child may have is released meanwhile. */
static _Atomic uint32_t nr_forks;

void shim_fork_wait(void)
{
	uint32_t n;

	while (shim_unlikely((n = atomic_load(&nr_forks))))
		sys_call(SYS_futex, (long)&nr_forks, FUTEX_WAIT_PRIVATE, (long)n, 0, 0);
}

static void forks_end(void)
{
	if (atomic_fetch_sub(&nr_forks, 1) == 1)
		sys_call(SYS_futex, (long)&nr_forks, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0);
}

/* Until the fork is over no handler runs here: its close() would wait for us. */
static void before(void)
{
	forking.cancel = shim_cancel_off();
	shim_kick_deferred();
	shim_sig_enter();
	forking.member = atomic_load(&shim.state) == JOINED;
	forking.threads = forking.member && (!__libc_single_threaded || shim.memory_shared);
	forking.row = -1;
	if (forking.threads)
		atomic_fetch_add(&nr_forks, 1);
	if (forking.member)
		forking.row = keeper_fork_prepare(&shim.view, forking.threads);
	shim_wake_fork_prepare();
	shim_epoll_fork(SHIM_FORK_PREPARE);
}

/* pid 0: not known here, the child says it; < 0: there is no child. */
static void tell_keeper(int pid)
{
	if (!forking.member || forking.row < 0)
		return;
	shim_sig_enter();
	keeper_fork_parent(&shim.view, forking.row, pid);
	shim_sig_leave();
}

static void in_parent(void)
{
	shim_epoll_fork(SHIM_FORK_PARENT);
	shim_wake_fork_parent();
	if (forking.threads) {
		if (forking.row >= 0)
			keeper_fork_again(&shim.view, forking.row);
		forks_end();
	}
	if (!forking.wrapped)
		tell_keeper(0);
	shim_sig_leave();
	shim_cancel_restore(forking.cancel);
}

static void forget_number(int fd, struct shim_local *l, void *arg)
{
	if (l->kind == SHIM_SOCK)
		shim_fd_set(fd, NULL);
}

/* A child that is no member: its lane sockets fail with ENOTCONN, loudly; new ones are the
 * kernel's. */
static void leave_lane(enum shim_fallback why)
{
	shim.view.row = -1;
	shim.why = why;
	shim_fd_each(forget_number, NULL); /* which releases nothing: the row is not there */
	atomic_store(&shim.state, NO_LANE);
	shim_count_fallback(why);
}

/* ---- what a child of a threaded process has ---- */

struct had {
	uint8_t *socks, *eps; /* bits */
};

/* The numbers were copied before the memory: another thread may have made this one in between. */
static void drop_unborn(int fd, struct shim_local *l, void *arg)
{
	(void)arg;
	if (l->kind != SHIM_NONE && shim_libc()->fcntl(fd, F_GETFD) < 0)
		shim_fd_set(fd, NULL);
}

static void note_number(int fd, struct shim_local *l, void *arg)
{
	const struct shim_view *v = &shim.view;
	const struct had *had = arg;

	(void)fd;
	if (l->kind == SHIM_SOCK && shim_sock_of(l))
		had->socks[l->index / 8] |= (uint8_t)(1 << l->index % 8);
	else if (l->kind == SHIM_EPOLL && l->index < v->nr_eps)
		had->eps[l->index / 8] |= (uint8_t)(1 << l->index % 8);
}

static void count_own(void)
{
	struct shim_view *v = &shim.view;
	size_t socks = v->nr_socks / 8 + 1, eps = v->nr_eps / 8 + 1;
	struct had had;
	uint8_t *bits = mmap(NULL, socks + eps, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bits == MAP_FAILED)
		return;
	had = (struct had){bits, bits + socks};
	shim_fd_each(drop_unborn, NULL);
	shim_fd_each(note_number, &had);
	shim_enter(v);
	keeper_fork_count(v, had.socks, had.eps);
	shim_leave(v);
	munmap(bits, socks + eps);
}

static bool children_elsewhere; /* in another pid namespace than this process */

void shim_fork_other_pidns(void)
{
	children_elsewhere = true;
}

static void in_child(void)
{
	if (children_elsewhere)
		shim.view.other_pidns = true;
	/* In a signal's handler the call that it interrupted holds too, and lets go. */
	if (!shim_sig.nr_open)
		shim_fd_recount();
	shim_epoll_fork(SHIM_FORK_CHILD);
	shim_wake_fork_child();
	shim_wait_fork_child();
	shim_spawn_fork_child();
	atomic_store(&shim.pid, getpid());
	atomic_store(&nr_forks, 0);
	forking.wrapped = false;
	if (forking.member && forking.row >= 0) {
		keeper_fork_child(&shim.view, forking.row);
		if (forking.threads)
			count_own();
	} else if (forking.member) {
		leave_lane(SHIM_FB_MEMBERS);
	}
	shim_sig_leave();
	shim_cancel_restore(forking.cancel);
}

void shim_fork_begin(void)
{
	forking.wrapped = true;
	before();
}

void shim_fork_over(int pid)
{
	in_parent();
	forking.wrapped = false;
	tell_keeper(pid);
}

void shim_fork_child(bool may_lock)
{
	if (!may_lock) {
		/* Its row ends with the process; the lock is not allowed, so nothing is released before. */
		forking.row = -1;
		shim_fd_each(forget_number, NULL);
	}
	in_child();
}

void shim_fork_init(void)
{
	static _Atomic bool done;

	if (!atomic_exchange(&done, true))
		pthread_atfork(before, in_parent, in_child);
}

/* Early: a child of a process that has not joined must know its pid. */
__attribute__((constructor)) static void fork_constructor(void)
{
	shim_fork_init();
}

LANE_EXPORT pid_t fork(void)
{
	pid_t pid;
	int saved;

	forking.wrapped = true;
	pid = shim_libc()->fork();
	if (pid == 0)
		return 0;
	saved = errno;
	forking.wrapped = false;
	tell_keeper(pid);
	errno = saved;
	return pid;
}

pid_t __fork(void);
LANE_EXPORT pid_t __fork(void)
{
	return fork();
}

/* The process lives, and is the program that it was forked from, as /proc tells. */
static bool is_still_fork(pid_t pid)
{
	char text[512], state, *at;
	unsigned int flags;
	long fd, n;

	snprintf(text, sizeof(text), "/proc/%d/stat", pid);
	fd = sys_call(SYS_openat, AT_FDCWD, (long)text, O_RDONLY | O_CLOEXEC, 0, 0);
	if (fd < 0)
		return sys_call(SYS_kill, pid, 0, 0, 0, 0) == 0;
	n = sys_read((int)fd, text, sizeof(text) - 1);
	sys_close((int)fd);
	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')'); /* behind the name */
	if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return true;
	return state != 'Z' && state != 'X' && (flags & FORKED_NO_EXEC);
}

/* The end of a pipe that only the child holds, until it execs or ends. Or a child that was made beside or by
 * it has that too, and for long: so it is asked after now and then. */
static void wait_for_exec(const int ends[2], pid_t pid)
{
	struct pollfd p = {.fd = ends[0], .events = POLLIN};
	struct timespec ts; /* the system call leaves in it what was left */
	long r;

	sys_close(ends[1]);
	do {
		ts = (struct timespec){.tv_nsec = ASK_EVERY_MS * 1000000};
		r = sys_call(SYS_ppoll, (long)&p, 1, (long)&ts, 0, 0);
	} while (r == -EINTR || (r == 0 && is_still_fork(pid)));
	sys_close(ends[0]);
}

static void count_sock(int fd, struct shim_local *l, void *arg)
{
	(void)fd;
	*(int *)arg += l->kind == SHIM_SOCK;
}

static bool has_socks(void)
{
	int n = 0;

	if (atomic_load(&shim.state) == JOINED)
		shim_fd_each(count_sock, &n);
	return n != 0;
}

/* In the child of a vfork: it will exec. */
static void in_vfork_child(bool member)
{
	if (member) {
		in_child();
		return;
	}
	atomic_store(&shim.pid, getpid());
	if (atomic_load(&shim.state) == JOINED) {
		shim.view.row = -1;
		shim_lock_allow();
		atomic_store(&shim.state, NO_LANE);
	}
}

LANE_EXPORT pid_t vfork(void)
{
	int ends[2] = {-1, -1}, saved;
	bool member = has_socks();
	pid_t pid;

	if (!shim_libc()->_Fork || pipe2(ends, O_CLOEXEC) < 0)
		return fork();
	if (member) {
		forking.wrapped = true;
		before();
	}
	pid = shim_libc()->_Fork();
	if (pid == 0) {
		in_vfork_child(member);
		return 0;
	}
	saved = errno;
	if (member) {
		in_parent();
		forking.wrapped = false;
		tell_keeper(pid);
	}
	if (pid < 0) {
		sys_close(ends[0]);
		sys_close(ends[1]);
	} else {
		wait_for_exec(ends, pid);
	}
	errno = saved;
	return pid;
}

pid_t __vfork(void);
LANE_EXPORT pid_t __vfork(void)
{
	return vfork();
}
