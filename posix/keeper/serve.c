/*
 * serve.c - the keeper answers: who may join, and what they are handed
 *
 * Whoever has the keeper's uid, is the superuser, or is known by pid (a member or announced by
 * `lane run`, though its uid may have changed since) may join. Nobody else's message is believed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "k.h"

#define SERVE_ADDRESS_US 3000000 /* who joins waits for an address of the lane's own, at most */
#define SERVE_IDLE_US 2000000 /* a connection that is no member's is closed after it */

void keeper_conn_close(struct keeper *k, unsigned int i)
{
	struct keeper_conn *c = &k->conn[i];
	int row = c->row;

	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	c->row = -1;
	if (row < 0)
		return;
	/* Its process is gone or has executed another program. */
	k->row[row].conn = -1;
	if (k->v.a->row[row].state == SHIM_ROW_LIVE)
		keeper_row_exec(k, row);
}

/* A free place; the one of somebody who said nothing for long, if need be. */
static int conn_place(struct keeper *k)
{
	uint64_t now = shim_now_us();
	unsigned int i;

	for (i = 0; i < K_CONNS; i++) {
		if (k->conn[i].fd < 0)
			return (int)i;
	}
	for (i = 0; i < K_CONNS; i++) {
		if (k->conn[i].row < 0 && now - k->conn[i].since_us > SERVE_IDLE_US) {
			keeper_conn_close(k, i);
			return (int)i;
		}
	}
	return -1;
}

/* No descriptor is left: who waits is hung up on, or its connection would be readable for ever. */
static void hang_up(struct keeper *k, unsigned int ifi)
{
	if (k->spare_fd < 0)
		return;
	close(k->spare_fd);
	k->spare_fd = accept4(k->listen_fd[ifi], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (k->spare_fd >= 0)
		close(k->spare_fd);
	k->spare_fd = fcntl(k->epfd, F_DUPFD_CLOEXEC, 0);
}

void keeper_accept(struct keeper *k, unsigned int ifi)
{
	struct ucred cred = {.pid = -1, .uid = (uid_t)-1};
	int fd, i, one = 1;

	while ((fd = accept4(k->listen_fd[ifi], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		i = conn_place(k);
		keeper_peer_ok(fd, &cred);
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)); /* KEEPER_BORN */
		if (i < 0 || keeper_watch(k, fd, EPOLLIN, K_CONN, (unsigned int)i)) {
			close(fd);
			continue;
		}
		k->conn[i] = (struct keeper_conn){.fd = fd,
						  .pid = cred.pid,
						  .uid = cred.uid,
						  .row = -1,
						  .since_us = shim_now_us()};
	}
	if (errno == EMFILE || errno == ENFILE)
		hang_up(k, ifi);
}

/* Says no, and why. The connection stays until the other end has read it. */
/* A program that may not join is counted here, once: its sockets cannot be. */
static void refuse(struct keeper *k, struct keeper_conn *c, enum shim_fallback why, const char *fmt,
		   ...) __attribute__((format(printf, 4, 5)));
static void refuse(struct keeper *k, struct keeper_conn *c, enum shim_fallback why, const char *fmt,
		   ...)
{
	struct keeper_msg m;
	va_list ap;

	keeper_msg_init(&m, KEEPER_REFUSED, k->s.ifname);
	m.why = why;
	va_start(ap, fmt);
	vsnprintf(m.error, sizeof(m.error), fmt, ap);
	va_end(ap);
	if (c->op == KEEPER_JOIN || c->op == KEEPER_MAPPED)
		atomic_fetch_add(&k->v.a->fallbacks[why], 1);
	keeper_send(c->fd, &m, NULL, 0);
}

/* What may be told to this peer; false: it was refused. */
static bool may(struct keeper *k, struct keeper_conn *c, const struct keeper_msg *m)
{
	if (m->version != SHIM_ARENA_VERSION)
		refuse(k, c, SHIM_FB_NO_LANE,
		       "the keeper of %.15s (pid %d) is of another version of lane", k->s.ifname,
		       getpid());
	else if (m->pid != c->pid && m->op != KEEPER_FORKED) /* a member's, which knows its own number */
		refuse(k, c, SHIM_FB_PID_NAMESPACE,
		       "the program is in another pid namespace than the keeper of %.15s (pid %d)",
		       k->s.ifname, getpid());
	else if (c->uid && c->uid != k->uid && keeper_row_of(k, c->pid) < 0 &&
		 !keeper_reg_has(k, c->pid))
		refuse(k, c, SHIM_FB_OTHER_UID, "uid %u holds the lane of %.15s (keeper pid %d)",
		       k->uid, k->s.ifname, getpid());
	else
		return true;
	return false;
}

/* The claims and the XSKs of each interface, and how many, for a welcome. Returns how many now. */
static unsigned int put_devices(const struct keeper *k, struct keeper_msg *m, int *fds,
				unsigned int n)
{
	const struct lane_xdp_fds *x;
	unsigned int i, q;

	m->nr_ifs = k->s.nr_ifs;
	for (i = 0; i < m->nr_ifs; i++) {
		x = &k->v.xdp[i];
		fds[n++] = x->claims;
		/* Where there is no packet socket something must stand in its place; nobody uses it. */
		fds[n++] = x->packet >= 0 ? x->packet : x->claims;
		for (q = 0; q < LANE_QUEUES_MAX && x->xsk[q] >= 0; q++)
			fds[n++] = x->xsk[q];
		m->nr_queues[i] = q;
	}
	return n;
}

/* Hands everything over, in the order that join.c takes it. */
static int send_welcome(struct keeper *k, struct keeper_conn *c, int row)
{
	int fds[KEEPER_FDS_MAX];
	struct keeper_msg m;
	unsigned int i, n = 0;

	keeper_msg_init(&m, KEEPER_WELCOME, k->s.ifname);
	m.row = row;
	m.has_link = true;
	fds[n++] = k->v.memfd;
	fds[n++] = k->v.keeper_bell;
	n = put_devices(k, &m, fds, n);
	for (i = 0; i < SHIM_ROWS; i++)
		fds[n++] = k->v.doorbell[i];
	for (i = 0; i < m.nr_ifs; i++)
		fds[n++] = k->v.xdp[i].link;
	return keeper_send(c->fd, &m, fds, n);
}

static void join(struct keeper *k, unsigned int index)
{
	struct keeper_conn *c = &k->conn[index];
	int row;

	if (k->s.driver == LANE_DEV_DPDK) {
		refuse(k, c, SHIM_FB_EAL,
		       "%.15s is a DPDK port of another program (keeper pid %d): only that one and its forks can use it",
		       k->s.ifname, getpid());
		return;
	}
	keeper_knobs(k);
	/* It was a member and has executed another program since. */
	for (row = 0; row < SHIM_ROWS; row++)
		if (k->v.a->row[row].state == SHIM_ROW_LIVE && k->v.a->row[row].pid == c->pid)
			keeper_row_exec(k, row);
	row = keeper_row_take(k, c->pid, c->uid);
	if (row < 0) {
		refuse(k, c, SHIM_FB_MEMBERS, "%s",
		       row == -EAGAIN ? "128 processes share the lane already" : strerror(-row));
		return;
	}
	c->row = row;
	k->row[row].conn = (int)index;
	if (send_welcome(k, c, row))
		keeper_conn_close(k, index);
}

/* The first member has mapped: frames may come now. */
static void mapped(struct keeper *k, struct keeper_conn *c)
{
	char err[KEEPER_ERR] = "";
	struct keeper_msg m;
	unsigned int i;
	int r = 0;

	if (c->row < 0) {
		refuse(k, c, SHIM_FB_NO_LANE, "join first");
		return;
	}
	for (i = 0; !k->bound && !r && i < k->s.nr_ifs; i++)
		r = keeper_device_bind(k, i, err);
	if (!k->bound && !r && k->lw) {
		k->bound = true;
		r = keeper_own_wait(k, SERVE_ADDRESS_US, err);
	}
	if (r) {
		k->bound = false; /* the next member hears of it too */
		snprintf(k->v.a->keeper_error, sizeof(k->v.a->keeper_error), "%.255s", err);
		refuse(k, c, SHIM_FB_NO_LANE, "%.255s", err);
		keeper_row_gone(k, c->row);
		return;
	}
	k->bound = true;
	keeper_xsk_last(k);
	keeper_msg_init(&m, KEEPER_READY, k->s.ifname);
	m.row = c->row;
	keeper_send(c->fd, &m, NULL, 0);
}

static void observe(struct keeper *k, struct keeper_conn *c)
{
	int fds[KEEPER_FDS_MAX];
	struct keeper_msg m;
	unsigned int n = 0;

	keeper_device_stats(k);
	keeper_msg_init(&m, KEEPER_WELCOME, k->s.ifname);
	fds[n++] = k->v.memfd;
	n = put_devices(k, &m, fds, n);
	keeper_send(c->fd, &m, fds, n);
}

static void ready(struct keeper *k, struct keeper_conn *c)
{
	struct keeper_msg m;

	keeper_msg_init(&m, KEEPER_READY, k->s.ifname);
	keeper_send(c->fd, &m, NULL, 0);
}

/* By a member, or by one that was it: a parent may have ended before its message is read. */
static bool of_member(struct keeper *k, const struct keeper_conn *c, int row)
{
	return keeper_row_of(k, c->pid) >= 0 || k->v.a->row[row].uid == c->uid;
}

/* A member is about to fork: this connection will be the child's. A child that has come and gone
 * before this is read must not bind it to the row's next user, whom its end would end too: hence
 * the generation. */
static void forked(struct keeper *k, unsigned int index, int row, uint32_t generation)
{
	struct keeper_conn *c = &k->conn[index];

	if (row < 0 || row >= SHIM_ROWS || !of_member(k, c, row) || k->row[row].conn >= 0 ||
	    k->v.a->row[row].state == SHIM_ROW_FREE ||
	    k->v.a->row[row].generation != generation) {
		keeper_conn_close(k, index);
		return;
	}
	c->row = row;
	k->row[row].conn = (int)index;
}

static void answer(struct keeper *k, unsigned int index, const struct keeper_msg *m)
{
	struct keeper_conn *c = &k->conn[index];
	int r;

	switch (m->op) {
	case KEEPER_JOIN:
		join(k, index);
		break;
	case KEEPER_MAPPED:
		mapped(k, c);
		break;
	case KEEPER_FORKED:
		forked(k, index, m->row, m->generation);
		break;
	case KEEPER_OBSERVE:
		observe(k, c);
		break;
	case KEEPER_REGISTER:
		r = keeper_reg_add(k, c->pid);
		if (r)
			refuse(k, c, SHIM_FB_MEMBERS, "cannot be registered: %s", strerror(-r));
		else
			ready(k, c);
		break;
	case KEEPER_STOP:
		k->stop = true;
		ready(k, c);
		break;
	default:
		refuse(k, c, SHIM_FB_NO_LANE, "unknown request %u", m->op);
		break;
	}
}

void keeper_conn_readable(struct keeper *k, unsigned int index)
{
	struct keeper_conn *c = &k->conn[index];
	int fds[KEEPER_FDS_MAX], n;
	struct keeper_msg m;
	int32_t pid;

	if (c->fd < 0)
		return;
	n = keeper_recv_from(c->fd, &m, fds, &pid);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n < 0) {
		keeper_conn_close(k, index);
		return;
	}
	c->op = m.op;
	/* Nobody needs to hand us anything. */
	keeper_close_fds(fds, n);
	if (m.op == KEEPER_BORN && m.version == SHIM_ARENA_VERSION) {
		if (c->row >= 0 && c->row == m.row && pid > 0)
			keeper_row_born(k, c->row, m.generation, pid);
		return;
	}
	if (may(k, c, &m))
		answer(k, index, &m);
}
