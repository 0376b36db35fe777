/*
 * join.c - a program comes to the keeper: join, register, observe, stop
 *
 * A keeper that is about to end refuses the connection or hangs up; then a new one is started, or
 * asked again, for one second, so that generations of servers may follow each other at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lane-int/state.h"
#include "proto.h"

/* Errors after which it is worth to try again: a keeper was just leaving. */
static bool is_passing(int r)
{
	return r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE || r == -EAGAIN;
}

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_nsec = ms * 1000000};

	nanosleep(&ts, NULL);
}

/* Sends 'm' and waits for the answer, which replaces it. The number of descriptors or -errno. */
static int converse(int fd, struct keeper_msg *m, int fds[KEEPER_FDS_MAX], char *err)
{
	int r = keeper_send(fd, m, NULL, 0);

	if (!r)
		r = keeper_recv(fd, m, fds);
	if (r < 0) {
		snprintf(err, KEEPER_ERR, "the keeper does not answer: %s", strerror(-r));
		return r;
	}
	if (m->op != KEEPER_REFUSED)
		return r;
	snprintf(err, KEEPER_ERR, "%.255s", m->error);
	keeper_close_fds(fds, r);
	return -EACCES;
}

/* Connects and converses without starting a keeper; for a question with a plain answer. */
static int ask(const char *ifname, enum keeper_op op, char *err)
{
	uint64_t end = shim_now_us() + KEEPER_RETRY_US;
	int fds[KEEPER_FDS_MAX], fd, r;
	struct keeper_msg m;

	do {
		r = fd = keeper_connect(ifname, err);
		if (fd >= 0) {
			keeper_msg_init(&m, op, ifname);
			r = converse(fd, &m, fds, err);
			close(fd);
		}
		if (r >= 0) {
			keeper_close_fds(fds, r);
			return 0;
		}
		pause_ms(5);
	} while (is_passing(r) && r != -ECONNREFUSED && shim_now_us() < end);
	return r;
}

int keeper_register(const char *ifname, int32_t pid, char *err)
{
	/* The keeper takes the pid from SO_PEERCRED: a process can only register itself. */
	if (pid != getpid()) {
		snprintf(err, KEEPER_ERR, "only the own pid can be registered");
		return -EINVAL;
	}
	return ask(ifname, KEEPER_REGISTER, err);
}

int keeper_stop(const char *ifname, char *err)
{
	return ask(ifname, KEEPER_STOP, err);
}

/* Whether the keeper of 'ifname' has members, or something of theirs to send still. */
static bool is_busy(const char *ifname, bool patient)
{
	char err[KEEPER_ERR];
	struct shim_view v;
	bool busy;

	if (keeper_observe(ifname, &v, err))
		return false;
	busy = v.a->driver != LANE_DEV_DPDK || shim_any_live(v.a) || (patient && v.ln->st->tcp_pool.nr_used);
	shim_arena_unmap(&v);
	return busy;
}

int32_t keeper_make_room(const char *ifname)
{
	uint64_t start = shim_now_us(), now = start;
	char err[KEEPER_ERR];
	int32_t pid;

	while ((pid = keeper_pid(ifname)) && now < start + 3 * KEEPER_RETRY_US) {
		if (!is_busy(ifname, now < start + KEEPER_RETRY_US))
			keeper_stop(ifname, err);
		else if (now >= start + KEEPER_RETRY_US)
			break;
		pause_ms(10);
		now = shim_now_us();
	}
	return pid;
}

static void hide(int *fd, void *arg)
{
	(void)arg;
	if (*fd >= 0 && keeper_hide_fd)
		*fd = keeper_hide_fd(*fd);
}

/* How many descriptors of a WELCOME are the interfaces' own; -1: it makes no sense. */
static int nr_device_fds(const struct keeper_msg *m)
{
	unsigned int i;
	int n = 0;

	if (m->nr_ifs == 0 || m->nr_ifs > LANE_IFS_MAX)
		return -1;
	for (i = 0; i < m->nr_ifs; i++) {
		if (m->nr_queues[i] > LANE_QUEUES_MAX)
			return -1;
		n += 2 + (int)m->nr_queues[i];
	}
	return n;
}

/* Returns what is behind them. */
static int *take_devices(struct shim_view *v, const struct keeper_msg *m, int *fds)
{
	unsigned int i, q;

	for (i = 0; i < m->nr_ifs; i++) {
		v->xdp[i].claims = *fds++;
		v->xdp[i].packet = *fds++;
		for (q = 0; q < m->nr_queues[i]; q++)
			v->xdp[i].xsk[q] = *fds++;
	}
	return fds;
}

/* Distributes the descriptors of a WELCOME, in the order that the keeper sends them (serve.c). */
static int take_welcome(struct shim_view *v, const struct keeper_msg *m, int *fds, int n)
{
	int devices = nr_device_fds(m);
	unsigned int i;

	if (devices < 0 || !m->has_link || m->row < 0 || m->row >= SHIM_ROWS ||
	    n != 2 + devices + SHIM_ROWS + (int)m->nr_ifs) {
		keeper_close_fds(fds, n);
		return -EBADMSG;
	}
	v->row = m->row;
	v->memfd = *fds++;
	v->keeper_bell = *fds++;
	fds = take_devices(v, m, fds);
	for (i = 0; i < SHIM_ROWS; i++)
		v->doorbell[i] = *fds++;
	for (i = 0; i < m->nr_ifs; i++)
		v->xdp[i].link = *fds++;
	return 0;
}

/* Maps what came and tells the keeper, who binds. The bind may retry for a second by itself. */
static int map_and_ready(struct shim_view *v, struct keeper_msg *m, char *err)
{
	struct timeval patience = {.tv_sec = 4};
	int fds[KEEPER_FDS_MAX] = {0}, r = shim_arena_map(v);
	unsigned int i, nr = m->nr_ifs;

	if (r) {
		snprintf(err, KEEPER_ERR, "the arena cannot be mapped: %s", strerror(-r));
		return r;
	}
	for (i = 0; !r && i < nr; i++)
		r = shim_device_map(v, i);
	if (r) {
		snprintf(err, KEEPER_ERR, "the rings cannot be mapped: %s%s", strerror(-r),
			 r == -EBUSY ? " (this kernel maps them only for the first program)" : "");
		return r;
	}
	keeper_msg_init(m, KEEPER_MAPPED, v->a->ifname);
	m->row = v->row;
	setsockopt(v->conn, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r = converse(v->conn, m, fds, err);
	if (r > 0)
		keeper_close_fds(fds, r);
	return r < 0 ? r : 0;
}

/* One attempt. */
static int try_join(const char *ifname, struct shim_view *v, enum shim_fallback *why, char *err)
{
	int fds[KEEPER_FDS_MAX] = {0}, r;
	struct keeper_msg m = {.why = SHIM_FB_NO_LANE};

	shim_view_init(v);
	v->conn = r = keeper_connect(ifname, err);
	if (r < 0)
		return r;
	keeper_msg_init(&m, KEEPER_JOIN, ifname);
	r = converse(v->conn, &m, fds, err);
	if (r >= 0)
		r = take_welcome(v, &m, fds, r);
	/* Before the driver remembers the numbers. */
	shim_view_each_fd(v, hide, NULL);
	if (!r)
		r = map_and_ready(v, &m, err);
	if (r) {
		*why = m.op == KEEPER_REFUSED && m.why < SHIM_NR_FB ? (enum shim_fallback)m.why
								    : SHIM_FB_NO_LANE;
		shim_arena_unmap(v);
	}
	return r;
}

int keeper_join(const struct lane_settings *s, struct shim_view *v, enum shim_fallback *why,
		char *err)
{
	uint64_t end = shim_now_us() + KEEPER_RETRY_US;
	struct lane_settings own = *s;
	int r;

	*why = SHIM_FB_NO_LANE;
	shim_view_init(v);
	r = own.ifname[0] ? 0 : keeper_start(&own, err);
	if (r)
		return r;
	do {
		r = try_join(own.ifname, v, why, err);
		if (!r || !is_passing(r))
			return r;
		if (r == -ECONNREFUSED) {
			r = keeper_start(&own, err);
			if (r)
				return r;
			r = -EAGAIN;
			end = shim_now_us() + KEEPER_RETRY_US;
		} else {
			pause_ms(5);
		}
	} while (shim_now_us() < end);
	return r;
}

int keeper_observe(const char *ifname, struct shim_view *v, char *err)
{
	int fds[KEEPER_FDS_MAX] = {0}, fd, n, r;
	struct keeper_msg m;

	shim_view_init(v);
	fd = keeper_connect(ifname, err);
	if (fd < 0)
		return fd;
	keeper_msg_init(&m, KEEPER_OBSERVE, ifname);
	n = converse(fd, &m, fds, err);
	close(fd);
	if (n < 0)
		return n;
	if (nr_device_fds(&m) < 0 || n != 1 + nr_device_fds(&m)) {
		keeper_close_fds(fds, n);
		snprintf(err, KEEPER_ERR, "the keeper is of another version");
		return -EBADMSG;
	}
	v->memfd = fds[0];
	take_devices(v, &m, fds + 1);
	v->readonly = true;
	r = shim_arena_map(v);
	if (r) {
		snprintf(err, KEEPER_ERR, "the arena cannot be mapped: %s", strerror(-r));
		shim_arena_unmap(v);
	}
	return r;
}
