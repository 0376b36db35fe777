/*
 * priv.c - dropping privileges, and the limit of descriptors
 *
 * A program that is about to give up its user is a server: it joins the lane while it may
 * (memcached, nginx' workers). Joining prints nothing and changes nothing if it fails.
 *
 * Descriptors of ours do not count in RLIMIT_NOFILE as the program sees it: the kernel's limit is
 * NOFILE_ROOM or more higher, where the hard limit or the privileges allow that, and getrlimit
 * shows the program's own. Numbers in that room are refused to the program by the calls that make
 * them.
 */
#include <grp.h>
#include <unistd.h>

#include "posix/priv.h"
#include "posix/shim.h"

#define NOFILE_ROOM 256
#define NOFILE_MOST 4096

/* What the program set; 'known' once it did. */
static struct rlimit visible;
static bool known;

static void join_first(void)
{
	int saved = errno;

	if (shim_libc()->syscall && geteuid() == 0 && shim_started())
		shim_join();
	errno = saved;
}

#define DROP(name, params, args)                                                                   \
	LANE_EXPORT int name params                                                                \
	{                                                                                          \
		join_first();                                                                      \
		return shim_libc()->name args;                                                     \
	}

DROP(setuid, (uid_t uid), (uid))
DROP(setgid, (gid_t gid), (gid))
DROP(seteuid, (uid_t uid), (uid))
DROP(setegid, (gid_t gid), (gid))
DROP(setreuid, (uid_t r, uid_t e), (r, e))
DROP(setregid, (gid_t r, gid_t e), (r, e))
DROP(setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s))
DROP(setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s))
DROP(setgroups, (size_t n, const gid_t *list), (n, list))
DROP(initgroups, (const char *user, gid_t group), (user, group))
DROP(chroot, (const char *path), (path))

/* ---- RLIMIT_NOFILE ---- */

static int set_nofile(const struct rlimit *want)
{
	rlim_t room = want->rlim_cur > RLIM_INFINITY - NOFILE_MOST ? 0 : NOFILE_ROOM;
	struct rlimit rl = *want;
	int saved = errno;

	if (want->rlim_cur > want->rlim_max || !shim_started())
		return shim_libc()->setrlimit(RLIMIT_NOFILE, want);
	/* A hard limit above has more room; one at the soft limit is lifted a little. */
	if (room && want->rlim_max - want->rlim_cur > room)
		room = want->rlim_max - want->rlim_cur < NOFILE_MOST
			       ? want->rlim_max - want->rlim_cur
			       : NOFILE_MOST;
	rl.rlim_cur += room;
	if (rl.rlim_max < rl.rlim_cur)
		rl.rlim_max = rl.rlim_cur;
	if (shim_libc()->setrlimit(RLIMIT_NOFILE, &rl) < 0) {
		errno = saved;
		room = 0;
		if (shim_libc()->setrlimit(RLIMIT_NOFILE, want) < 0)
			return -1;
	}
	visible = *want;
	known = true;
	shim_nofile_limit = (int)(want->rlim_cur < 1U << 30 ? want->rlim_cur : 1U << 30);
	shim_nofile_extra = (int)room;
	return 0;
}

static int get_nofile(struct rlimit *rl)
{
	int r = shim_libc()->getrlimit(RLIMIT_NOFILE, rl);

	if (r == 0 && known)
		*rl = visible;
	else if (r == 0 && shim_nofile_extra)
		rl->rlim_cur = (rlim_t)shim_nofile_limit;
	return r;
}

void shim_nofile_exec(bool for_exec)
{
	struct rlimit rl;
	int saved = errno;

	if (!shim_nofile_extra || shim_libc()->getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return;
	/* A hard limit that is lowered here could not be raised again if the exec fails. */
	rl.rlim_cur = (rlim_t)shim_nofile_limit + (for_exec ? 0 : (rlim_t)shim_nofile_extra);
	shim_libc()->setrlimit(RLIMIT_NOFILE, &rl);
	errno = saved;
}

LANE_EXPORT int setrlimit(__rlimit_resource_t what, const struct rlimit *rl)
{
	struct rlimit copy;

	if (what != RLIMIT_NOFILE || shim_copy_in(&copy, rl, sizeof(copy)) < 0)
		return shim_libc()->setrlimit((int)what, rl);
	return set_nofile(&copy);
}

LANE_EXPORT int getrlimit(__rlimit_resource_t what, struct rlimit *rl)
{
	struct rlimit copy;
	int r;

	if (what != RLIMIT_NOFILE)
		return shim_libc()->getrlimit((int)what, rl);
	r = get_nofile(&copy);
	if (r == 0 && shim_copy_out(rl, &copy, sizeof(copy)) < 0)
		return (int)shim_ret(-EFAULT);
	return r;
}

LANE_EXPORT int prlimit(pid_t pid, enum __rlimit_resource what, const struct rlimit *new,
			struct rlimit *old)
{
	struct rlimit was;

	if (what != RLIMIT_NOFILE || (pid != 0 && pid != getpid()))
		return shim_libc()->prlimit(pid, what, new, old);
	if (get_nofile(&was) < 0)
		return -1;
	if (new != NULL && setrlimit(what, new) < 0)
		return -1;
	if (old && shim_copy_out(old, &was, sizeof(was)) < 0)
		return (int)shim_ret(-EFAULT);
	return 0;
}

/* The same on machines where rlim_t has 64 bits anyhow. */
_Static_assert(sizeof(struct rlimit64) == sizeof(struct rlimit), "the 64-bit names are aliases");

LANE_EXPORT int setrlimit64(__rlimit_resource_t what, const struct rlimit64 *rl)
{
	return setrlimit(what, (const struct rlimit *)rl);
}

LANE_EXPORT int getrlimit64(__rlimit_resource_t what, struct rlimit64 *rl)
{
	return getrlimit(what, (struct rlimit *)rl);
}

LANE_EXPORT int prlimit64(pid_t pid, enum __rlimit_resource what, const struct rlimit64 *new,
			  struct rlimit64 *old)
{
	return prlimit(pid, what, (const struct rlimit *)new, (struct rlimit *)old);
}
