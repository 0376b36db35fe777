/*
 * open.c - the keeper begins: a session of its own, the name, the arena, the device
 *
 * Order: the name first, so that of two starters one waits for the other; then the arena, the
 * device and the mirror, with the privileges that are there; then all privileges go but those that
 * binding, neighbours and BPF maps need; then it listens.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "k.h"
#include "lane-int/nettab.h"
#include "lane-int/tcp_info.h"
#include "sys.h"

#define OPEN_CAP_BPF 39 /* missing in older headers */
#define OPEN_FILES   2048 /* descriptors: a doorbell, a connection and a pidfd for each member, and more */

/* Nothing of the starter's: no terminal, no pipe, no signal, no priority, no CPU mask. */
void keeper_be_alone(void)
{
	struct sched_param sp = {0};
	cpu_set_t all;
	sigset_t set;
	int fd;

	setsid();
	fd = open("/dev/null", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		if (fd > 2)
			close(fd);
	}
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sched_setscheduler(0, SCHED_OTHER, &sp);
	setpriority(PRIO_PROCESS, 0, 0);
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	prctl(PR_SET_NAME, "lane-keeper");
	umask(077);
	if (chdir("/"))
		return;
}

/* Keeps only what binding, neighbour resolution and BPF maps need. */
static int drop_caps(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	const uint32_t low = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW;
	const uint32_t high = 1u << (OPEN_CAP_BPF - 32);

	if (sys_call(SYS_capget, (long)&head, (long)data, 0, 0, 0) < 0)
		return -EPERM;
	data[0].permitted &= low;
	data[1].permitted &= high;
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	data[0].inheritable = data[1].inheritable = 0;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)sys_call(SYS_capset, (long)&head, (long)data, 0, 0, 0);
}

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_nsec = ms * 1000000};

	nanosleep(&ts, NULL);
}

/* Takes the name of interface 'i'. -EALREADY: a keeper that we may believe serves it. */
static int take_name(struct keeper *k, unsigned int i, char *err)
{
	/* With addresses of its own another starter answers only when it has them. */
	uint64_t end = shim_now_us() + (k->own_mode ? 12ULL : 3ULL) * KEEPER_RETRY_US;
	const char *ifname = k->s.ifs[i];
	struct sockaddr_un sun;
	socklen_t len = keeper_address(&sun, ifname);
	int fd, r;

	k->listen_fd[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->listen_fd[i] < 0)
		return -errno;
	do {
		if (!bind(k->listen_fd[i], (struct sockaddr *)&sun, len))
			return 0;
		r = -errno;
		if (r != -EADDRINUSE)
			break;
		fd = keeper_connect(ifname, err);
		if (fd >= 0) {
			close(fd);
			return -EALREADY;
		}
		if (fd == -EPERM)
			return fd;
		/* It is being opened, or being closed. */
		pause_ms(10);
	} while (shim_now_us() < end);
	snprintf(err, KEEPER_ERR, "the keeper's name for %.15s cannot be had: %s", ifname,
		 strerror(-r));
	return r;
}

/* In the order of the alphabet: two keepers that want the same names do not wait for each other. */
static int take_names(struct keeper *k, char *err)
{
	unsigned int i, n, next, taken = 0;
	int r = 0;

	for (n = 0; !r && n < k->s.nr_ifs; n++) {
		next = LANE_IFS_MAX;
		for (i = 0; i < k->s.nr_ifs; i++) {
			if (!(taken >> i & 1) &&
			    (next == LANE_IFS_MAX || strcmp(k->s.ifs[i], k->s.ifs[next]) < 0))
				next = i;
		}
		taken |= 1u << next;
		r = take_name(k, next, err);
	}
	return r;
}

static int open_arena(struct keeper *k, char *err)
{
	struct shim_arena_config cfg = {.memory = k->s.memory};
	uint64_t secrets[3], knobs;
	int r;

	if (getrandom(secrets, sizeof(secrets), 0) != sizeof(secrets)) {
		snprintf(err, KEEPER_ERR, "getrandom: %s", strerror(errno));
		return -EIO;
	}
	memcpy(cfg.ifname, k->s.ifname, sizeof(cfg.ifname));
	lane_config_default(&cfg.lane);
	knobs = lane_knobs_read(&cfg.lane);
	if (k->s.congestion[0])
		cfg.lane.cc = (uint8_t)lane_cc_find(k->s.congestion);
	cfg.lane.listen_spill = !k->own_mode; /* the kernel's listeners do not hear there */
	cfg.lane.nr_ifs = (uint8_t)k->s.nr_ifs;
	cfg.lane.seed = secrets[0];
	cfg.lane.hash_key[0] = secrets[1];
	cfg.lane.hash_key[1] = secrets[2];
	cfg.lane.buf_stride = lane_xdp_stride(&k->s.xdp);
	if (k->s.driver == LANE_DEV_DPDK) {
		cfg.lane.buf_stride = LANE_DPDK_STRIDE;
		cfg.lane.buf_size = LANE_DPDK_FRAME;
	}
	r = shim_arena_create(&cfg, &k->v);
	if (r) {
		snprintf(err, KEEPER_ERR, "an arena of %zu bytes cannot be made: %s", k->s.memory,
			 strerror(-r));
		return r;
	}
	k->v.a->keeper_pid = getpid();
	lane_settings_own_text(&k->s, k->v.a->own);
	k->v.a->knobs = knobs;
	k->v.a->knobs_us = k->started_us;
	return 0;
}

static int open_bells(struct keeper *k, char *err)
{
	int i, fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	k->v.keeper_bell = fd;
	for (i = 0; i < SHIM_ROWS && fd >= 0; i++)
		k->v.doorbell[i] = fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd >= 0)
		return 0;
	snprintf(err, KEEPER_ERR, "eventfd: %s", strerror(errno));
	return -errno;
}

static int open_device(struct keeper *k, unsigned int i, char *err)
{
	int r;

	if (k->own_mode) {
		k->link_net = calloc(1, sizeof(*k->link_net));
		if (!k->link_net)
			return -ENOMEM;
		lane_net_init(k->link_net);
	}
	r = keeper_device_open(k, i, err);
	if (r)
		return r;
	if (k->own_mode)
		return keeper_own_open(k, err);
	r = lane_netlink_open(k->s.ifs[i], lane_nettab_at(k->v.ln, i), &k->nl[i], err);
	if (r)
		return r;
	keeper_device_set_addrs(k, i);
	if (!strcmp(k->s.ifs[i], "lo"))
		lane_xdp_loopback_settings(k->v.a->warning);
	return 0;
}

static int open_devices(struct keeper *k, char *err)
{
	unsigned int i;
	int r = 0;

	for (i = 0; !r && i < k->s.nr_ifs; i++)
		r = open_device(k, i, err);
	return r;
}

int keeper_watch(struct keeper *k, int fd, uint32_t events, enum keeper_tag tag, unsigned int index)
{
	struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)tag << 32 | index};

	return epoll_ctl(k->epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int open_loop(struct keeper *k, char *err)
{
	unsigned int i;
	int r = 0;

	k->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (k->epfd < 0)
		r = -errno;
	k->spare_fd = fcntl(k->epfd, F_DUPFD_CLOEXEC, 0);
	for (i = 0; !r && i < k->s.nr_ifs; i++) {
		if (listen(k->listen_fd[i], 128))
			r = -errno;
		if (!r)
			r = keeper_watch(k, k->listen_fd[i], EPOLLIN, K_LISTEN, i);
		if (!r && k->nl[i])
			r = keeper_watch(k, lane_netlink_fd(k->nl[i]), EPOLLIN, K_NETLINK, i);
	}
	if (!r)
		r = keeper_watch(k, k->v.keeper_bell, EPOLLIN, K_BELL, 0);
	if (r)
		snprintf(err, KEEPER_ERR, "the keeper's epoll: %s", strerror(-r));
	return r;
}

/* Limits of its own, or as far as the caller's go. */
void keeper_raise_limits(void)
{
	struct rlimit files = {OPEN_FILES, OPEN_FILES}, lock = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_MEMLOCK, &lock);
}

/* Without the lock no promise can be kept: the interface is the kernel's again. */
static void lock_lost(struct shim_view *v)
{
	struct keeper *k = (struct keeper *)((uint8_t *)v - offsetof(struct keeper, v));

	v->a->keeper_state = SHIM_KEEPER_GONE;
	keeper_device_close_all(k);
	_exit(1);
}

void keeper_init(struct keeper *k)
{
	int i;

	shim_view_init(&k->v);
	for (i = 0; i < LANE_IFS_MAX; i++)
		k->listen_fd[i] = -1;
	for (i = 0; i < K_CONNS; i++)
		k->conn[i].fd = -1;
	for (i = 0; i < SHIM_ROWS; i++)
		k->row[i].pidfd = k->row[i].conn = -1;
	for (i = 0; i < K_REGISTERED; i++)
		k->reg[i].pidfd = -1;
	k->uid = getuid();
	k->started_us = shim_now_us();
	shim_lock_lost = lock_lost;
}

int keeper_open_shared(struct keeper *k, char *err)
{
	int r = lane_settings_ifname(&k->s, err);

	k->own_mode = lane_settings_own(&k->s);
	if (!r && k->own_mode && k->s.nr_ifs > 1) {
		snprintf(err, KEEPER_ERR, "own-address mode serves one interface, not %u", k->s.nr_ifs);
		r = -EINVAL;
	}
	if (!r)
		r = take_names(k, err);
	if (!r)
		r = open_arena(k, err);
	if (!r)
		r = open_bells(k, err);
	return r ? r : open_devices(k, err);
}

int keeper_open_own(struct keeper *k, char *err)
{
	int r = k->own_mode ? keeper_own_start(k, err) : 0;

	if (!r && drop_caps() < 0) {
		snprintf(err, KEEPER_ERR, "privileges cannot be dropped");
		r = -EPERM;
	}
	return r ? r : open_loop(k, err);
}

int keeper_open(struct keeper *k, char *err)
{
	int r;

	keeper_init(k);
	keeper_raise_limits();
	r = keeper_open_shared(k, err);
	return r ? r : keeper_open_own(k, err);
}

void keeper_run(struct keeper *k, int r, const char *err, int ready_fd)
{
	char ifs[KEEPER_ERR];

	if (r && r != -EALREADY) {
		dprintf(ready_fd, "%s\n", err[0] ? err : strerror(-r));
		keeper_device_close_all(k);
		_exit(1);
	}
	lane_settings_get(&k->s, LANE_SET_IF, ifs, sizeof(ifs));
	dprintf(ready_fd, "ok %s\n", ifs);
	close(ready_fd);
	if (r)
		_exit(0);
	keeper_loop(k);
}

void keeper_main(const struct lane_settings *s, int ready_fd)
{
	static struct keeper k;
	char err[KEEPER_ERR] = "";
	int r;

	if (ready_fd < 3)
		ready_fd = fcntl(ready_fd, F_DUPFD, 3);
	if (ready_fd > 3)
		close_range(3, (unsigned int)ready_fd - 1, 0);
	close_range((unsigned int)ready_fd + 1, ~0u, 0);
	fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
	keeper_be_alone();
	k.s = *s;
	r = keeper_open(&k, err);
	keeper_run(&k, r, err, ready_fd);
}
