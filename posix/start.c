/*
 * start.c - from nothing to joined: settings, the keeper, the anchor
 *
 * The settings are read once, in the constructor or in the first call that comes before it; the
 * program may clear its environment afterwards. The keeper is asked at the first socket that the
 * lane could serve, or before privileges are dropped (priv.c): a process that uses no socket
 * touches no device. Nothing is ever printed; `lane stat` tells what went wrong.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "posix/sock.h"

enum { COLD, READY, JOINED, NO_LANE, OFF };
#define JOIN_WAIT_MS 10000
#define JOIN_WAIT_EAL_MS 25000 /* EAL's start, and 20 s for its keeper */

struct shim shim = {.anchor = -1, .scratch = -1};

/* Reasons counted while there was no arena to count them in. */
static _Atomic uint32_t early[SHIM_NR_FB];
static _Atomic int joiner; /* pid of the process that is at it, 0: none */
static __thread bool joining;

/* CPUs that this process may use: its affinity mask, cut by the quota of its cgroup. */
static int usable_cpus(void)
{
	long quota, period;
	cpu_set_t set;
	char line[64];
	int fd, n = 1;
	ssize_t r;
	char *end;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	fd = open("/sys/fs/cgroup/cpu.max", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return n;
	r = shim_libc()->read(fd, line, sizeof(line) - 1);
	shim_libc()->close(fd);
	if (r <= 0)
		return n;
	line[r] = 0;
	quota = strtol(line, &end, 10); /* "max 100000" gives 0 */
	period = strtol(end, NULL, 10);
	if (quota > 0 && period > 0 && quota / period < n)
		n = quota / period > 0 ? (int)(quota / period) : 1;
	return n;
}

bool shim_started(void)
{
	int state = atomic_load_explicit(&shim.state, memory_order_acquire);
	int saved = errno;
	char err[256];

	if (shim_likely(state != COLD))
		return state != OFF;
	if (joining)
		return false;
	joining = true;
	shim.pid = getpid();
	if (getenv("LANE_OFF") || lane_settings_load(&shim.settings, err) < 0)
		shim.state = OFF;
	else
		shim.state = READY;
	joining = false;
	errno = saved;
	return shim.state != OFF;
}

/* A pair of sockets that never connect: one under accepted numbers, one to ask about options. */
static int spare_socket(void)
{
	return shim_fd_hide(shim_libc()->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static void settle(int state)
{
	int i;

	for (i = 0; state == JOINED && i < SHIM_NR_FB; i++)
		atomic_fetch_add(&shim.view.a->fallbacks[i], early[i]);
	atomic_store_explicit(&shim.state, state, memory_order_release);
}

/* New sockets are the kernel's; those of the lane fail with EBADF. */
static void lock_lost(struct shim_view *v)
{
	(void)v;
	shim.why = SHIM_FB_NO_LANE;
	atomic_store(&shim.state, NO_LANE);
}

static void join(void)
{
	enum shim_fallback why = SHIM_FB_NO_LANE;
	int saved = errno, r;
	char err[256];

	if (shim.state != READY)
		return;
	shim_uring_look();
	shim.nr_cpus = usable_cpus();
	keeper_hide_fd = shim_fd_hide;
	keeper_unhide_fd = shim_fd_unhide;
	shim_lock_lost = lock_lost;
	if (shim.settings.driver == LANE_DEV_DPDK)
		r = shim_eal_join(&shim.settings, &shim.view, &why);
	else
		r = keeper_join(&shim.settings, &shim.view, &why, err);
	if (r < 0) {
		shim.why = why;
		settle(NO_LANE);
		errno = saved;
		return;
	}
	shim.anchor = spare_socket();
	shim.scratch = spare_socket();
	if (shim.anchor < 0 || shim.scratch < 0) {
		shim.why = SHIM_FB_NO_LANE;
		settle(NO_LANE);
	} else {
		shim_sig_init();
		shim_fork_init();
		settle(JOINED);
		shim_eal_joined();
		shim_look(); /* a first turn fills the driver's rings: the first frame finds room */
	}
	errno = saved;
}

bool shim_join(void)
{
	int cancel, i, most, none = 0, state = atomic_load_explicit(&shim.state, memory_order_acquire);
	struct timespec ms = {.tv_nsec = 1000000};

	if (shim_likely(state == JOINED))
		return true;
	if (!shim_started() || state > JOINED || joining)
		return false;
	cancel = shim_cancel_off();
	most = shim.settings.driver == LANE_DEV_DPDK ? JOIN_WAIT_EAL_MS : JOIN_WAIT_MS;
	for (i = 0; i < most; i++, none = 0) {
		if (atomic_compare_exchange_strong(&joiner, &none, getpid())) {
			joining = true;
			join();
			joining = false;
			atomic_store(&joiner, 0);
			break;
		}
		/* A forked child of a process whose other thread was at it starts anew. */
		if (none != getpid())
			atomic_compare_exchange_strong(&joiner, &none, 0);
		else
			nanosleep(&ms, NULL);
	}
	shim_cancel_restore(cancel);
	return shim.state == JOINED;
}

bool shim_is_joining(void)
{
	return joining;
}

void shim_count_fallback(enum shim_fallback why)
{
	if (shim.state == JOINED)
		atomic_fetch_add_explicit(&shim.view.a->fallbacks[why], 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&early[why], 1, memory_order_relaxed);
}

/* EAL, which is started in a join, would put its name on what the program writes to the system's log. */
LANE_EXPORT void openlog(const char *ident, int option, int facility)
{
	if (!joining)
		shim_libc()->openlog(ident, option, facility);
}

/* All members and the keeper have one clock. Beside libfaketime this program's would be another: the
 * vDSO's is the kernel's. */
static void find_clock(void)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD), *f = NULL;

	if (vdso)
		f = dlsym(vdso, "__vdso_clock_gettime");
	if (f)
		memcpy(&shim_clock, &f, sizeof(f));
}

__attribute__((constructor)) static void shim_constructor(void)
{
	shim_libc();
	find_clock();
	shim_uring_init();
	shim_started();
}
