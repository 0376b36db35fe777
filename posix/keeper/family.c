/*
 * family.c - a keeper that is forked from the program whose DPDK port it keeps (see family.h)
 *
 * Part of DPDK's plugin, with code of its own of all that the preloaded library has too: the two share the arena,
 * not the code. The keeper polls and sends as any member does, by queues that it has inherited.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "family.h"
#include "k.h"
#include "sys.h"

#define TRY_MOST (1 << 20) /* bytes: arenas and mappings of their own */

extern const struct lane_dpdk_plugin lane_dpdk_plugin;
extern const struct keeper_family lane_dpdk_family;

/* The keeper's state, made in the program. */
static struct keeper k;
static int conn[2] = {-1, -1}; /* the first member's connection: its end, ours */
static pid_t first;

/* Whether memory at 'p' is the same in forked processes. False: a copy is made of it. */
static bool is_shared(const void *p)
{
	unsigned long from, to, at = (unsigned long)p;
	FILE *f = fopen("/proc/self/maps", "re");
	bool shared = false;
	char line[512], perms[5];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3 && at >= from && at < to)
			shared = perms[3] == 's';
	if (f)
		fclose(f);
	return shared;
}

static int open_family(const struct lane_settings *s, struct shim_view *v, char *err)
{
	int r;

	first = getpid();
	keeper_init(&k);
	k.s = *s;
	k.dpdk = &lane_dpdk_plugin;
	r = keeper_open_shared(&k, err);
	if (r == -EALREADY)
		snprintf(err, KEEPER_ERR, "%.15s is a DPDK port of another program (keeper pid %d): only that one and its "
			 "forks can use it", k.s.ifname, keeper_pid(k.s.ifname));
	if (!r && !is_shared(lane_bufs(k.v.ln)->frames)) {
		snprintf(err, KEEPER_ERR, "EAL's memory is not shared with forked processes: leave --in-memory out");
		r = -EINVAL;
	}
	if (!r && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, conn) < 0) {
		r = -errno;
		snprintf(err, KEEPER_ERR, "socketpair: %s", strerror(-r));
	}
	if (r)
		return r;
	*v = k.v;
	v->row = 0;
	v->conn = conn[0];
	v->xdp[0].claims = v->xdp[0].link = v->xdp[0].packet = v->xdp[0].xsk[0] = -1;
	return 0;
}

/* Handlers are the program's. Not by sigaction(2), which the preloaded library has a view of its own of. */
static void default_signals(void)
{
	const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} dfl = {0};
	int i;

	for (i = 1; i < NSIG; i++)
		sys_call(SYS_rt_sigaction, i, (long)&dfl, 0, sizeof(dfl.mask), 0);
}

static void drop_fds(const struct keeper_fdset *theirs)
{
	int fd;

	for (fd = 3; fd < KEEPER_FDS; fd++)
		if (theirs->bit[fd / 8] >> fd % 8 & 1)
			sys_close(fd);
	sys_close(conn[0]);
}

/* The process that we were forked from is the first member. */
static int add_first(char *err)
{
	int row = keeper_row_take(&k, first, k.uid);

	if (row != 0) {
		snprintf(err, KEEPER_ERR, "the program (pid %d) is gone", first);
		return row < 0 ? row : -ESRCH;
	}
	k.conn[0] = (struct keeper_conn){.fd = conn[1], .pid = first, .uid = k.uid, .row = 0};
	k.row[0].conn = 0;
	return keeper_watch(&k, conn[1], EPOLLIN, K_CONN, 0);
}

/* Another thread of the program's may have been in malloc(3) when we were forked: then this does not return, and we
 * are killed. */
static void try_malloc(int ready_fd)
{
	int32_t pid = (int32_t)sys_call(SYS_getpid, 0, 0, 0, 0, 0);
	void *volatile p;
	size_t size;

	sys_write(ready_fd, &pid, sizeof(pid));
	for (size = 16; size <= TRY_MOST; size *= 4) {
		p = malloc(size);
		free(p);
	}
	sys_write(ready_fd, ".", 1);
}

static void __attribute__((noreturn)) keep(const struct keeper_fdset *theirs, int ready_fd)
{
	char err[KEEPER_ERR] = "";
	int r;

	default_signals();
	try_malloc(ready_fd);
	drop_fds(theirs);
	keeper_be_alone();
	shim_lock_allow();
	keeper_raise_limits();
	k.v.a->keeper_pid = getpid();
	r = keeper_open_own(&k, err);
	if (!r)
		r = add_first(err);
	if (r) {
		/* The program, which uses the port, closes it. */
		dprintf(ready_fd, "%s\n", err[0] ? err : strerror(-r));
		_exit(1);
	}
	keeper_xsk_last(&k); /* no member asks for it: the first has the port already */
	keeper_run(&k, 0, err, ready_fd);
}

static void drop(int *fd)
{
	if (*fd >= 0)
		sys_close(*fd);
	*fd = -1;
}

static void leave(void)
{
	drop(&conn[1]);
	drop(&k.listen_fd[0]);
	drop(&k.v.xdp[0].claims);
	drop(&k.v.xdp[0].link);
}

static void close_family(void)
{
	leave();
	drop(&conn[0]);
	k.v.xdp[0].xsk[0] = -1; /* the PMD's */
	shim_arena_unmap(&k.v);
	lane_dpdk_plugin.stop();
}

__attribute__((visibility("default"))) const struct keeper_family lane_dpdk_family = {
	.version = SHIM_ARENA_VERSION,
	.view_size = sizeof(struct shim_view),
	.open = open_family,
	.keep = keep,
	.leave = leave,
	.close = close_family,
};
