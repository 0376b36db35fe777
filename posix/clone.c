/*
 * clone.c - clone(2) and what is like it: children that no fork handler sees; other namespaces
 *
 * Theory of operation. A child with memory of its own is a fork, whatever made it, and is registered as
 * one (fork.c). Made by the kernel's call alone it has the thread's number of its parent in libc's memory,
 * and no list of robust locks: both are put right, as the lane's lock needs them. Children that share our
 * memory are threads, or like vfork's, and libc's business.
 *
 * - Another pid namespace: the child does not know the number that the keeper knows it by, and tells the
 *   keeper through its connection, which says who speaks (keeper/inherit.c).
 * - Another network namespace: the sockets that it has serve on; those that it makes are of that namespace,
 *   which the lane knows nothing of: the kernel's.
 */
#include <linux/sched.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "posix/fork.h"
#include "posix/keeper/sys.h"
#include "posix/shim.h"

enum { JOINED = 2 };

/* What libc keeps for the kernel in this thread's memory. */
struct self {
	int *tid;
	void *robust;
	size_t robust_len;
};

static void self_get(struct self *s)
{
	*s = (struct self){0};
	sys_call(SYS_prctl, PR_GET_TID_ADDRESS, (long)&s->tid, 0, 0, 0);
	sys_call(SYS_get_robust_list, 0, (long)&s->robust, (long)&s->robust_len, 0, 0);
}

/* In the child. False: it cannot have the lane's lock. */
static bool self_put(const struct self *s)
{
	if (!s->tid || !s->robust)
		return false;
	*s->tid = (int)sys_call(SYS_gettid, 0, 0, 0, 0, 0);
	sys_call(SYS_set_tid_address, (long)s->tid, 0, 0, 0, 0);
	return sys_call(SYS_set_robust_list, (long)s->robust, (long)s->robust_len, 0, 0, 0) == 0;
}

static void in_child(const struct self *s, uint64_t flags)
{
	if (flags & CLONE_NEWPID)
		shim.view.other_pidns = true;
	if (flags & CLONE_NEWNET)
		shim.other_netns = true;
	shim_fork_child(self_put(s));
}

/* A fork by the system call 'nr'. As the call: -errno. */
static long fork_by(long nr, const long a[6], uint64_t flags)
{
	struct self self;
	long pid;

	self_get(&self);
	shim_fork_begin();
	pid = sys_call(nr, a[0], a[1], a[2], a[3], a[4]);
	if (pid == 0)
		in_child(&self, flags);
	else
		shim_fork_over((int)pid);
	return pid;
}

/* The caller of vfork sleeps while its child has the memory. */
static void note_shared(uint64_t flags)
{
	if ((flags & CLONE_VM) && !(flags & CLONE_VFORK))
		shim.memory_shared = true;
}

bool shim_raw_fork(long nr, const long a[6], long *r)
{
	const struct clone_args *ca = (const void *)a[0];
	bool is_clone3 = nr == SYS_clone3 && (size_t)a[1] >= CLONE_ARGS_SIZE_VER0;
	uint64_t flags = 0;

	if (nr == SYS_clone || is_clone3)
		note_shared(is_clone3 ? ca->flags : (uint64_t)a[0]);
	if (nr == SYS_clone && !a[1])
		flags = (uint64_t)a[0];
	else if (is_clone3 && !ca->stack)
		flags = ca->flags;
#ifdef SYS_fork
	else if (nr == SYS_fork)
		flags = 0;
#endif
	else
		return false;
	if (flags & (CLONE_VM | CLONE_FILES))
		return false;
	*r = shim_ret(fork_by(nr, a, flags));
	return true;
}

LANE_EXPORT pid_t _Fork(void)
{
	pid_t pid;
	int saved;

	shim_fork_begin();
	pid = shim_libc()->_Fork();
	saved = errno;
	if (pid == 0)
		shim_fork_child(true);
	else
		shim_fork_over(pid);
	errno = saved;
	return pid;
}

/* ---- clone(3) with a stack and a function ---- */

struct start {
	int (*fn)(void *arg);
	void *arg;
	struct self self;
	uint64_t flags;
};

/* On the new stack; what 'arg' points to was copied with the parent's memory. */
static int started(void *arg)
{
	const struct start *s = arg;

	in_child(&s->self, s->flags);
	return s->fn(s->arg);
}

LANE_EXPORT int clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...)
{
	struct start s = {.fn = fn, .arg = arg, .flags = (uint32_t)flags};
	void *more[3];
	va_list ap;
	int i, r, saved;

	va_start(ap, arg);
	for (i = 0; i < 3; i++)
		more[i] = va_arg(ap, void *);
	va_end(ap);
	note_shared(s.flags);
	if (!fn || !stack || (flags & (CLONE_VM | CLONE_FILES)))
		return shim_libc()->clone(fn, stack, flags, arg, more[0], more[1], more[2]);
	self_get(&s.self);
	shim_fork_begin();
	r = shim_libc()->clone(started, stack, flags, &s, more[0], more[1], more[2]);
	saved = errno;
	shim_fork_over(r);
	errno = saved;
	return r;
}

/* ---- network namespaces ---- */

static bool netns_now(struct stat *st)
{
	return stat("/proc/thread-self/ns/net", st) == 0;
}

/* The namespace that this process was in before it went to another one. */
static struct stat home;
static bool home_known;

static void remember_home(void)
{
	if (!home_known && !shim.other_netns)
		home_known = netns_now(&home);
}

/* Taken for another one where that cannot be told. */
static void look_around(void)
{
	struct stat st;

	shim.other_netns = !home_known || !netns_now(&st) || st.st_ino != home.st_ino ||
			   st.st_dev != home.st_dev;
}

LANE_EXPORT int unshare(int flags)
{
	bool leaves = (flags & CLONE_NEWNET) && atomic_load(&shim.state) == JOINED;
	int r;

	if (leaves)
		remember_home();
	r = shim_libc()->unshare(flags);
	if (r == 0 && leaves)
		look_around();
	if (r == 0 && (flags & CLONE_NEWPID))
		shim_fork_other_pidns();
	return r;
}

LANE_EXPORT int setns(int fd, int type)
{
	bool joined = atomic_load(&shim.state) == JOINED;
	int r;

	if (joined)
		remember_home();
	r = shim_libc()->setns(fd, type);
	if (r == 0 && joined && (!type || (type & CLONE_NEWNET)))
		look_around();
	if (r == 0 && (!type || (type & CLONE_NEWPID)))
		shim_fork_other_pidns();
	return r;
}
