/*
 * pass.c - lane sockets that go to another process: by exec, and in messages (SCM_RIGHTS)
 *
 * Theory of operation. The kernel passes what lies under a number. Under a listener's, a UDP
 * socket's and mostly a connecting socket's number lies a socket of its own; under an accepted
 * one's lies the anchor, which says nothing, so a fresh unconnected socket is put there first. The
 * SO_COOKIE of that socket is kept in the arena (sock.exec_cookies), and whoever gets the
 * descriptor finds the sock by it. A receiver without the preload has an unconnected socket.
 *
 * - Exec: sock.exec_rows marks what crosses. The keeper then leaves these socks to the old row
 *   until the process ends (shim_row_exec), so they live exactly as long as in the kernel. Their
 *   numbers stand in the environment (LANE_FDS): the successor takes them over before main(),
 *   standard streams included.
 * - A message: sock.nr_passing counts those under way. Its sock outlives the sender's close for
 *   PASS_HOLD_US; a message that is never read delays the end by no more than that.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "posix/cmsg.h"
#include "posix/keeper/sys.h"
#include "posix/pass.h"
#include "posix/sock.h"

enum { JOINED = 2 };

#define PASS_HOLD_US 10000000
#define CONTROL_MAX  4096
#define FDS	     "LANE_FDS="

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return shim_libc()->getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return shim_libc()->getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

/* ---- the one who passes ---- */

struct mark {
	struct shim_local *l;
	int fd;
};

/* Puts the socket m->fd under one more number of m->l; FD_CLOEXEC stays as it is. */
static void mark_number(int fd, struct shim_local *l, void *arg)
{
	const struct mark *m = arg;

	if (l == m->l)
		shim_libc()->dup3(m->fd, fd,
				  shim_libc()->fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0);
}

/* The cookie by which the receiver of 'fd' finds the sock; 0: it cannot be passed. */
static uint64_t mark(int fd, struct shim_local *l)
{
	uint64_t cookie = cookie_of(fd);
	struct mark m = {.l = l};

	if (cookie != cookie_of(shim.anchor))
		return cookie;
	m.fd = shim_libc()->socket(l->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (m.fd < 0)
		return 0;
	cookie = cookie_of(m.fd);
	shim_fd_each(mark_number, &m);
	sys_close(m.fd);
	return cookie;
}

bool shim_cookie_has(const struct shim_sock *s, uint64_t cookie)
{
	unsigned int i;

	for (i = 0; i < SHIM_COOKIES && s->exec_cookies[i] != cookie; i++)
		;
	return i < SHIM_COOKIES;
}

void shim_cookie_add(struct shim_sock *s, uint64_t cookie)
{
	if (shim_cookie_has(s, cookie))
		return;
	memmove(&s->exec_cookies[1], s->exec_cookies, sizeof(s->exec_cookies) - sizeof(cookie));
	s->exec_cookies[0] = cookie;
}

bool shim_pass_exec(int fd, struct shim_local *l, int row)
{
	struct shim_view *v = &shim.view;
	uint64_t cookie = row >= 0 ? mark(fd, l) : 0;
	struct shim_sock *s;

	shim_enter(v);
	s = shim_sock_of(l);
	if (s && cookie) {
		shim_cookie_add(s, cookie);
		s->rows |= shim_row_bit(row);
		s->exec_rows |= shim_row_bit(row);
	} else if (s) {
		s->exec_rows &= ~shim_row_bit(v->row);
	}
	shim_leave_quiet(v);
	return s && cookie;
}

/* One descriptor of a message goes out (way 1), or the message could not be sent (way -1). True: a lane's. */
static bool pass(int fd, int way)
{
	struct shim_local *l = shim_get_sock(fd);
	struct shim_view *v = &shim.view;
	struct shim_sock *s;
	uint64_t cookie;

	if (!l)
		return false;
	cookie = way > 0 ? mark(fd, l) : 0;
	shim_enter(v);
	s = shim_sock_of(l);
	if (s && cookie) {
		shim_cookie_add(s, cookie);
		s->exec_until_us = shim_now_us() + PASS_HOLD_US;
		s->nr_passing++;
	} else if (s && way < 0 && s->nr_passing && --s->nr_passing == 0) {
		s->exec_until_us = 0;
	}
	shim_leave_quiet(v);
	shim_put(l);
	return true;
}

/* Calls fn for each descriptor in the message; whether one call was true. */
static bool each_right(const struct msghdr *m, bool (*fn)(int fd, int arg), int arg)
{
	const struct cmsghdr *c;
	bool any = false;
	const int *fd;
	size_t n;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)m, (struct cmsghdr *)c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    c->cmsg_len < CMSG_LEN(0))
			continue;
		fd = (const void *)CMSG_DATA(c);
		for (n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(*fd); n; n--, fd++)
			any |= fn(*fd, arg);
	}
	return any;
}

bool shim_pass_rights(const struct msghdr *user, int way)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_MAX];
	struct msghdr m;
	int saved = errno;
	bool any;

	if (atomic_load(&shim.state) != JOINED || shim_copy_in(&m, user, sizeof(m)) < 0 ||
	    !m.msg_control || !m.msg_controllen || m.msg_controllen > sizeof(control) ||
	    shim_copy_in(control, m.msg_control, m.msg_controllen) < 0)
		return false;
	m.msg_control = control;
	any = each_right(&m, pass, way);
	errno = saved;
	return any;
}

/* ---- the one who receives ---- */

struct find {
	uint32_t index, generation;
	struct shim_local *found;
};

static void find_local(int fd, struct shim_local *l, void *arg)
{
	struct find *f = arg;

	(void)fd;
	if (l->kind != SHIM_SOCK || l->index != f->index || l->generation != f->generation ||
	    f->found)
		return;
	f->found = l;
	atomic_fetch_add(&l->refs, 1);
}

/* This process has executed another program: what it left to its former rows is its own again. */
static void take_from_former(struct shim_view *v, struct shim_sock *s)
{
	int i, pid = v->a->row[v->row].pid;

	for (i = 0; s->exec_rows && i < SHIM_ROWS; i++) {
		if (i == v->row || !(s->exec_rows & shim_row_bit(i)) || v->a->row[i].pid != pid)
			continue;
		s->exec_rows &= ~shim_row_bit(i);
		s->rows &= ~shim_row_bit(i);
	}
}

/* Finds a sock by cookie and makes this process one that has it. Fills *l's part of it. */
static bool take(uint64_t cookie, struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct shim_sock *s = NULL;
	uint32_t i, left;

	shim_enter(v);
	for (i = 0, left = v->a->nr_socks_used; i < v->nr_socks && left; i++) {
		s = shim_sock_at(v, i);
		if (s && shim_cookie_has(s, cookie))
			break;
		left -= s != NULL;
	}
	if (i < v->nr_socks && left) {
		if (!s->rows && v->a->nr_exec_held)
			v->a->nr_exec_held--;
		s->rows |= shim_row_bit(v->row);
		take_from_former(v, s);
		if (s->nr_passing && --s->nr_passing == 0)
			s->exec_until_us = 0;
		l->index = i;
		l->generation = s->generation;
		l->v6 = (s->flags & SHIM_SOCK_V6) != 0;
		l->dgram = s->kind == SHIM_SOCK_UDP;
		l->shadow = s->kind != SHIM_SOCK_TCP ? 0 : -1;
	}
	shim_leave_quiet(v);
	return l->index != LANE_NIL;
}

/* A kernel socket that may stand for one of the lane: listening, without a peer, or UDP. */
static bool may_stand_for(int fd)
{
	int domain = option(fd, SOL_SOCKET, SO_DOMAIN), protocol;
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (domain != AF_INET && domain != AF_INET6)
		return false;
	protocol = option(fd, SOL_SOCKET, SO_PROTOCOL);
	if (protocol != IPPROTO_TCP)
		return protocol == IPPROTO_UDP;
	return shim_libc()->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       (info.tcpi_state == TCP_LISTEN || info.tcpi_state == TCP_CLOSE);
}

bool shim_pass_adopt(int fd)
{
	struct find f = {0};
	struct shim_local *l;
	uint64_t cookie;

	if (!shim_started() || !may_stand_for(fd) || !shim_join())
		return false;
	l = shim_local_alloc(SHIM_SOCK);
	if (!l)
		return false;
	cookie = cookie_of(fd);
	if (!cookie || !take(cookie, l)) {
		shim_put(l);
		return false;
	}
	f.index = l->index;
	f.generation = l->generation;
	shim_fd_each(find_local, &f);
	if (f.found) {
		/* It came back to where it has numbers already: one object for all. */
		l->index = LANE_NIL;
		shim_put(l);
		l = f.found;
	} else if (l->shadow == 0) {
		l->shadow = fd;
		shim_libc()->fcntl(fd, F_SETFL, shim_libc()->fcntl(fd, F_GETFL) | O_NONBLOCK);
	}
	shim_fd_set(fd, l);
	return true;
}

static bool received(int fd, int arg)
{
	(void)arg;
	shim_fd_new(fd);
	return shim_pass_adopt(fd);
}

void shim_cmsg_rights(const struct msghdr *m)
{
	int saved = errno;

	each_right(m, received, 0);
	errno = saved;
}

/* ---- the successor of an exec ---- */

/* Takes over the numbers in LANE_FDS, which the program does not get to see. */
__attribute__((constructor)) static void pass_constructor(void)
{
	const char *at = getenv("LANE_FDS");
	char *end;
	long fd;

	for (; at && *at; at = *end ? end + 1 : end) {
		fd = strtol(at, &end, 10);
		if (end == at)
			break;
		if (fd >= 0 && shim_pass_adopt((int)fd))
			shim_std_stream((int)fd);
	}
	if (at)
		unsetenv("LANE_FDS");
}
