/*
 * eal.c - a DPDK port under a program: EAL in this process, its keeper forked from it
 *
 * Theory of operation. In place of a join to a keeper that has the device, the first process of a family that uses a
 * socket opens the port itself, by DPDK's plugin (keeper/family.h), and forks the keeper, which then does what every
 * keeper does. Processes forked from this one are members by inheritance; others, programs that it executes
 * included, stay with the kernel. What EAL opened is hidden from the program as our own descriptors are, under the
 * numbers that it has. EAL's is what the joining thread made while EAL was started, as the calls that make numbers
 * tell, and what was made without them: epoll sets of EAL's threads, BPF programs. What other threads of the program
 * opened meanwhile stays theirs.
 *
 * Who asked for a DPDK port is told by one line when there is none: no keeper is there to be asked. With --strict
 * the program ends.
 *
 * A port without a descriptor to sleep on, or which only this process may use, is looked after by a thread.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drivers/dpdk/dpdk.h"
#include "posix/keeper/family.h"
#include "posix/keeper/sys.h"
#include "posix/sock.h"

enum { JOINED = 2, OFF = 4 };

#define RUN_FAILED    125   /* lane run's exit code */
#define READY_US      20000000
#define READY_TURN_MS 2
#define ALIVE_S	      2
#define TRIES	      5 /* to fork a keeper */
#define LOOK_US	      100   /* the thread's naps: while packets come */
#define LOOK_IDLE_US  1000  /* and when none came for */
#define LOOK_IDLE     100   /* so many looks */

static struct keeper_fdset made;   /* by the joining thread, last */
static struct keeper_fdset silent; /* made without a call of ours, before EAL was started */
static struct keeper_fdset eals;   /* what EAL, its PMDs and we opened */

static bool in(const struct keeper_fdset *s, int fd)
{
	return __atomic_load_n(&s->bit[fd / 8], __ATOMIC_RELAXED) >> fd % 8 & 1;
}

static void put(struct keeper_fdset *s, int fd, bool is_in)
{
	uint8_t bit = (uint8_t)(1 << fd % 8);

	if (is_in)
		__atomic_or_fetch(&s->bit[fd / 8], bit, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&s->bit[fd / 8], (uint8_t)~bit, __ATOMIC_RELAXED);
}

static void note_made(int fd)
{
	if (fd < 0 || fd >= KEEPER_FDS)
		return;
	put(&made, fd, shim_is_joining());
	if (!shim_is_joining())
		put(&eals, fd, false); /* it was, and was closed when the keeper had been forked */
}

/* Of a kind that EAL's threads and libbpf make by calls that are not ours to see. */
static bool is_silent(int fd)
{
	char path[32], name[32];
	long n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = sys_call(SYS_readlinkat, AT_FDCWD, (long)path, (long)name, sizeof(name) - 1, 0);
	name[n > 0 ? n : 0] = 0;
	return strncmp(name, "anon_inode:bpf", 14) == 0 || strcmp(name, "anon_inode:[eventpoll]") == 0;
}

/* Calls fn for each open descriptor. */
static void each_fd(void (*fn)(int fd, void *arg), void *arg)
{
	struct rlimit rl = {KEEPER_FDS, KEEPER_FDS};
	int fd;

	shim_libc()->getrlimit(RLIMIT_NOFILE, &rl);
	for (fd = 0; fd < KEEPER_FDS && (rlim_t)fd < rl.rlim_cur; fd++)
		if (sys_call(SYS_fcntl, fd, F_GETFD, 0, 0, 0) >= 0)
			fn(fd, arg);
}

static void note_silent(int fd, void *arg)
{
	(void)arg;
	put(&silent, fd, is_silent(fd));
}

static void note_eals(int fd, void *arg)
{
	(void)arg;
	put(&eals, fd, fd > 2 && (in(&made, fd) || (!in(&silent, fd) && is_silent(fd))));
}

/* No program that is executed gets them, and this one cannot close them. */
static void hide(int fd, void *arg)
{
	(void)arg;
	if (!in(&eals, fd) || shim_fd_is_hidden(fd))
		return;
	sys_call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC, 0, 0);
	shim_fd_mark(fd);
}

/* Numbers 0 to 2 are not for EAL, though the program may have closed them: 'closed' has a bit for each such. */
static int fill_stdio(unsigned int *closed)
{
	int fd;

	for (*closed = 0, fd = 0; fd <= 2; fd++)
		if (sys_call(SYS_fcntl, fd, F_GETFD, 0, 0, 0) < 0)
			*closed |= 1u << fd;
	do {
		fd = (int)sys_call(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_CLOEXEC, 0, 0);
	} while (fd >= 0 && fd <= 2);
	return fd;
}

static void empty_stdio(int fd, unsigned int closed)
{
	int i;

	if (fd >= 0)
		sys_close(fd);
	for (i = 0; i <= 2; i++)
		if (closed >> i & 1)
			sys_close(i);
}

/* ---- the keeper ---- */

static void note_other(int fd, void *arg)
{
	put(arg, fd, !in(&eals, fd));
}

/* In the child. What is not EAL's it need not hold, beside its end of the pipe. */
static void __attribute__((noreturn)) be_keeper(const struct keeper_family *f, int ready_fd)
{
	static struct keeper_fdset others;

	atomic_store(&shim.state, OFF);
	each_fd(note_other, &others);
	put(&others, ready_fd, false);
	f->keep(&others, ready_fd);
}

/* In a grandchild that no wait of the program's sees. Only _Fork gives it a thread number of its own, which the
 * lane's lock needs, and it runs no fork handler. 0 or -errno. */
static int fork_keeper(const struct keeper_family *f, int ready_fd)
{
	sigset_t all, old;
	long pid, r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = sys_call(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0) {
		pid = shim_libc()->_Fork();
		if (pid == 0)
			be_keeper(f, ready_fd);
		for (;;)
			sys_call(SYS_exit_group, pid < 0, 0, 0, 0, 0);
	}
	do {
		r = pid < 0 ? 0 : sys_call(SYS_wait4, pid, 0, __WALL, 0, 0);
	} while (r == -EINTR);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? (int)pid : 0;
}

/* The keeper asks for the address meanwhile; where only this process may use the port, its frames go by here. */
static void turn_once(struct shim_view *v)
{
	shim_lock(v);
	shim_turn(v);
	v->kick_mask |= lane_flush(v->ln);
	shim_unlock(v);
}

/* Waits for the keeper's line. 0, -EIO with what it said in err[256], or -ETIMEDOUT. */
static int read_ready(struct shim_view *v, int fd, char *err)
{
	uint64_t end = shim_now_us() + READY_US;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec ts;
	size_t len = 0;
	char line[256];
	long n = 1;

	while (n > 0 && len < sizeof(line) - 1 && shim_now_us() < end && !memchr(line, '\n', len)) {
		ts = (struct timespec){.tv_nsec = READY_TURN_MS * 1000000};
		turn_once(v);
		if (sys_call(SYS_ppoll, (long)&p, 1, (long)&ts, 0, 0) <= 0)
			continue;
		n = sys_read(fd, line + len, sizeof(line) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	line[len] = 0;
	line[strcspn(line, "\n")] = 0;
	if (strncmp(line, "ok ", 3) == 0)
		return 0;
	snprintf(err, sizeof(line), "%s", *line ? line : n > 0 ? "the keeper does not answer" : "the keeper ended without a word");
	return n > 0 && !*line ? -ETIMEDOUT : -EIO;
}

/* Reads 'len' bytes within two seconds. */
static bool read_soon(int fd, void *to, size_t len)
{
	struct timespec ts = {.tv_sec = ALIVE_S};
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return sys_call(SYS_ppoll, (long)&p, 1, (long)&ts, 0, 0) == 1 && sys_read(fd, to, len) == (long)len;
}

static void end_keeper(int32_t pid)
{
	if (pid > 0)
		sys_call(SYS_kill, pid, SIGKILL, 0, 0, 0);
}

/* One attempt: a keeper whose malloc works. 0 or -errno; -EAGAIN: another one is worth it. */
static int try_keeper(const struct keeper_family *f, int32_t *pid, int *ready_fd)
{
	int ends[2], r;
	char dot;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	r = fork_keeper(f, ends[1]);
	sys_close(ends[1]);
	*pid = 0;
	if (!r && !(read_soon(ends[0], pid, sizeof(*pid)) && read_soon(ends[0], &dot, 1))) {
		end_keeper(*pid);
		r = -EAGAIN;
	}
	if (r)
		sys_close(ends[0]);
	else
		*ready_fd = ends[0];
	return r;
}

static int start_keeper(const struct keeper_family *f, struct shim_view *v, char *err)
{
	int fd = -1, i, r = -EAGAIN;
	int32_t pid;

	for (i = 0; i < TRIES && r == -EAGAIN; i++)
		r = try_keeper(f, &pid, &fd);
	f->leave();
	if (r) {
		snprintf(err, 256, "the keeper cannot be forked: %s", strerror(-r));
		return r;
	}
	r = read_ready(v, fd, err);
	if (r == -ETIMEDOUT)
		end_keeper(pid);
	sys_close(fd);
	return r;
}

/* ---- the thread ---- */

static void *look_after(void *arg)
{
	struct shim_view *v = &shim.view;
	unsigned int idle = 0, n;
	struct timespec ts;

	(void)arg;
	while (atomic_load(&shim.state) == JOINED) {
		shim_enter(v);
		n = shim_turn(v);
		shim_leave(v);
		idle = n ? 0 : idle + 1;
		ts = (struct timespec){.tv_nsec = (idle > LOOK_IDLE ? LOOK_IDLE_US : LOOK_US) * 1000};
		sys_call(SYS_nanosleep, (long)&ts, 0, 0, 0, 0);
	}
	return NULL;
}

void shim_eal_joined(void)
{
	const struct lane_queue *q = shim.view.a->driver == LANE_DEV_DPDK ? lane_queue(shim.view.ln, 0) : NULL;
	sigset_t all, old;
	pthread_t t;

	if (!q || q->drv->arm((struct lane_queue *)(uintptr_t)q) >= 0)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&t, NULL, look_after, NULL) == 0)
		pthread_detach(t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- joining ---- */

static const struct keeper_family *load(char *err)
{
	const struct keeper_family *f = NULL;
	char text[LANE_DPDK_ERR] = "";
	const void *family = NULL;

	if (lane_dpdk_load(&family, text))
		f = family;
	if (f && f->version == SHIM_ARENA_VERSION && f->view_size == sizeof(struct shim_view))
		return f;
	snprintf(err, 256, "%.255s", f ? "liblane-dpdk.so is of another version of lane" : text);
	return NULL;
}

/* One line, and the end if it was to be this or nothing. */
static void complain(const char *err)
{
	bool strict = getenv("LANE_STRICT") != NULL;
	char line[400];
	int n;

	n = snprintf(line, sizeof(line), "lane: %.300s; the program %s\n", err,
		     strict ? "ends here" : "runs on the kernel");
	sys_write(2, line, (size_t)n);
	if (strict)
		_exit(RUN_FAILED);
}

/* EAL stands still until it comes. */
static void say_waits(const struct lane_settings *s)
{
	char line[64];
	int n;

	if (!strstr(s->eal, "net_virtio_user") || !strstr(s->eal, "server=1"))
		return;
	n = snprintf(line, sizeof(line), "lane: waits for the peer of %.15s\n", s->ifname);
	sys_write(2, line, (size_t)n);
}

static int open_port(const struct lane_settings *s, struct shim_view *v, char *err)
{
	const struct keeper_family *f = load(err);
	unsigned int closed;
	int r, null;

	if (!f)
		return -ENOENT;
	say_waits(s);
	each_fd(note_silent, NULL);
	null = fill_stdio(&closed);
	atomic_store(&shim_fd_made, note_made);
	r = f->open(s, v, err);
	empty_stdio(null, closed);
	each_fd(note_eals, NULL);
	if (!r) {
		shim_lock_allow();
		r = start_keeper(f, v, err);
	}
	if (r) {
		f->close();
		shim_view_init(v);
	}
	each_fd(hide, NULL);
	atomic_store(&shim_fd_made, NULL);
	return r;
}

int shim_eal_join(const struct lane_settings *s, struct shim_view *v, enum shim_fallback *why)
{
	struct lane_settings own = *s;
	char err[256] = "";
	int r = lane_settings_ifname(&own, err);

	*why = SHIM_FB_NO_LANE;
	if (!r && keeper_make_room(own.ifname)) {
		*why = SHIM_FB_EAL;
		r = keeper_join(&own, v, why, err); /* counted there, and told why not */
	} else if (!r) {
		r = open_port(&own, v, err);
	}
	if (r < 0)
		complain(err[0] ? err : strerror(-r));
	return r;
}
