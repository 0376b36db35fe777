/*
 * sock.c - descriptions: how a kernel socket becomes the lane's, or stays the kernel's
 *
 * socket(2) itself only marks a number as FRESH (shim.h): it costs one table entry and asks no
 * keeper. What is decided later replaces that entry under all numbers of the description.
 */
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

#include "lane-int/engine.h"
#include "lane-int/ifs.h"
#include "posix/keeper/sys.h"
#include "posix/sock.h"

#define KNOBS_EVERY_US 1000000

/* Sockets are made: has a sysctl changed? For those that follow; at most once a second. */
static void follow_knobs(struct shim_view *v, uint64_t now_us)
{
	if (now_us - v->a->knobs_us < KNOBS_EVERY_US || v->a->knobs_wanted)
		return;
	v->a->knobs_wanted = 1;
	shim_ring(v->keeper_bell);
}

uint32_t shim_sock_make(struct shim_view *v, enum shim_sock_kind kind, unsigned int flags,
			uint64_t *cookie)
{
	uint32_t i = shim_sock_alloc(v);
	struct shim_sock *s = shim_sock_at(v, i);

	if (!s) {
		shim_count_fallback(SHIM_FB_ARENA_FULL);
		return LANE_NIL;
	}
	s->kind = (uint8_t)kind;
	s->flags = (uint16_t)flags;
	s->rows = shim_row_bit(v->row);
	s->created_us = shim_now_us();
	s->so_incoming_cpu = -1;
	*cookie = shim_sock_cookie(i, s->generation);
	follow_knobs(v, s->created_us);
	return i;
}

void shim_rcv_status(struct shim_local *l, struct lane_tcp_status *st)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;

	*st = (struct lane_tcp_status){0};
	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb)
		lane_tcp_get_rcv_status(v->ln, pcb, st);
	shim_leave_quiet(v);
}

struct lane_udp *shim_udp_of(struct shim_local *l, struct shim_sock **s)
{
	*s = shim_sock_of(l);
	return *s && (*s)->kind == SHIM_SOCK_UDP ? lane_udp_at(shim.view.ln, (*s)->pcb) : NULL;
}

unsigned int shim_sock_flags(struct shim_local *l)
{
	const struct shim_sock *s = shim_sock_of(l);

	return s ? s->flags : 0;
}

void shim_sock_set_flag(struct shim_local *l, unsigned int flag, bool on)
{
	struct shim_sock *s = shim_sock_of(l);

	if (!s)
		return;
	if (on)
		atomic_fetch_or(&s->flags, (uint16_t)flag);
	else
		atomic_fetch_and(&s->flags, (uint16_t)~flag);
}

static int64_t timeo_us(uint32_t ms)
{
	return ms ? (int64_t)ms * 1000 : -1;
}

int64_t shim_rcvtimeo_us(struct shim_local *l)
{
	const struct shim_sock *s = shim_sock_of(l);

	return s ? timeo_us(s->rcvtimeo_ms) : -1;
}

int64_t shim_sndtimeo_us(struct shim_local *l)
{
	const struct shim_sock *s = shim_sock_of(l);

	return s ? timeo_us(s->sndtimeo_ms) : -1;
}

int64_t shim_time_left(int64_t limit_us, uint64_t *start)
{
	uint64_t now_us;

	if (limit_us < 0)
		return -1;
	now_us = shim_now_us();
	if (!*start)
		*start = now_us;
	now_us -= *start;
	return now_us < (uint64_t)limit_us ? limit_us - (int64_t)now_us : 0;
}

/* All numbers of 'from' become 'to'; the usual one number is found without a search. */
static void renumber(int fd, struct shim_local *from, struct shim_local *to)
{
	if (fd >= 0 && atomic_load(&from->refs) == 2) {
		if (to)
			shim_fd_add(fd, to);
		else
			shim_fd_set(fd, NULL);
	} else {
		shim_fd_replace(from, to);
	}
}

int shim_fresh_become(int fd, struct shim_local *fresh, uint32_t index, bool keep_kernel)
{
	struct shim_local *l = shim_local_alloc(SHIM_SOCK);

	if (!l)
		return -ENOMEM;
	l->v6 = fresh->v6;
	l->dgram = fresh->dgram;
	l->index = index;
	l->generation = shim.view.socks[index].generation;
	l->shadow = keep_kernel ? fd : -1; /* a connection's says nothing about it */
	shim_epoll_adopt(fresh, l, keep_kernel);
	renumber(fd, fresh, l);
	if (fresh->opts_set & SHIM_OPTS_GROUP)
		shim_retire(l);
	shim_put(l);
	return 0;
}

bool shim_refresh(int fd, struct shim_local *l)
{
	unsigned int flags = shim_sock_flags(l);
	struct shim_local *fresh;
	int has;

	if (l->kind != SHIM_SOCK || !(flags & SHIM_SOCK_UNCONNECTED) || !(flags & SHIM_SOCK_SHADOW))
		return false;
	fresh = shim_local_alloc(SHIM_FRESH);
	if (!fresh)
		return false;
	fresh->v6 = l->v6;
	fresh->opts_set = SHIM_OPTS_SO | SHIM_OPTS_TCP | SHIM_OPTS_IP;
	has = shim_libc()->fcntl(fd, F_GETFL) & ~O_NONBLOCK;
	shim_libc()->fcntl(fd, F_SETFL, has | (flags & SHIM_SOCK_NONBLOCK ? O_NONBLOCK : 0));
	renumber(fd, l, fresh);
	shim_put(fresh);
	return true;
}

void shim_fresh_kernel(struct shim_local *fresh, enum shim_fallback why)
{
	shim_count_fallback(why);
	shim_fd_replace(fresh, NULL);
}

static bool bound_elsewhere(int fd)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	return shim_libc()->getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) == 0 && *name &&
	       (lane_nr_ifs(shim.view.ln) > 1 ||
		strncmp(name, shim.view.a->ifname, sizeof(name)) != 0);
}

enum shim_fallback shim_refuses(int fd, const struct shim_local *l, const struct lane_ep *local)
{
	struct shim_view *v = &shim.view;

	if (!shim_lock_allowed())
		return SHIM_FB_RAW_FORK;
	if (v->a->keeper_state == SHIM_KEEPER_GONE)
		return SHIM_FB_KEEPER_GONE;
	if (local->port && !lane_settings_port_ok(&shim.settings, local->port))
		return SHIM_FB_PORTS;
	if (!lane_ip_is_any(&local->ip)) {
		if (lane_ifs_is_group(v->ln, &local->ip))
			return SHIM_FB_MULTICAST;
		if (lane_ifs_addr(v->ln, &local->ip) < 0)
			return shim_ip_is_loopback(&local->ip) ? SHIM_FB_LOOPBACK : SHIM_FB_OTHER_IF;
	}
	if (shim.uses_uring)
		return SHIM_FB_IO_URING;
	if (shim.other_netns)
		return SHIM_FB_NETNS;
	if (l->opts_set & SHIM_OPTS_KERNEL)
		return SHIM_FB_OPTION;
	if ((l->opts_set & SHIM_OPTS_SO) && bound_elsewhere(fd))
		return SHIM_FB_BOUND_DEVICE;
	return SHIM_NR_FB;
}

int shim_fd_within(int fd)
{
	if (fd < 0)
		return -errno;
	if (shim_unlikely(shim_nofile_extra && fd >= shim_nofile_limit)) {
		sys_close(fd);
		return -EMFILE;
	}
	return fd;
}

int shim_fd_room(int fd)
{
	int probe;

	if (shim_likely(!shim_nofile_extra))
		return 0;
	probe = shim_libc()->fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (probe < 0)
		return -errno;
	sys_close(probe);
	return probe < shim_nofile_limit ? 0 : -EMFILE;
}

/* ---- socket(2) ---- */

static bool may_be_ours(int domain, int type, int protocol)
{
	type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (domain != AF_INET && domain != AF_INET6)
		return false;
	if (type == SOCK_STREAM)
		return protocol == 0 || protocol == IPPROTO_TCP;
	return type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
}

LANE_EXPORT int socket(int domain, int type, int protocol)
{
	int fd = shim_fd_within(shim_libc()->socket(domain, type, protocol));
	struct shim_local *l;

	if (fd < 0)
		return (int)shim_ret(fd);
	shim_fd_new(fd);
	if (!may_be_ours(domain, type, protocol) || !shim_started())
		return fd;
	l = shim_local_alloc(SHIM_FRESH);
	if (!l)
		return fd;
	l->v6 = domain == AF_INET6;
	l->dgram = (type & 0xf) == SOCK_DGRAM;
	shim_fd_set(fd, l);
	return fd;
}

/* A connection whose local port and address are those of 'a', and which lacks SO_REUSEADDR. */
static bool any_without_reuse(const struct lane_ep *a)
{
	uint32_t i, bit = shim_opt_bit(SO_REUSEADDR);
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st;
	const struct lane_tcp *pcb;
	const struct shim_sock *s;
	struct lane_ep local;
	bool found = false;

	shim_enter(v);
	for (i = 0; i < v->nr_socks && !found; i++) {
		s = shim_sock_at(v, i);
		pcb = s && s->kind == SHIM_SOCK_TCP && !(s->so_bits & bit) ? lane_tcp_at(v->ln, s->pcb) : NULL;
		if (!pcb)
			continue;
		lane_tcp_get_rcv_status(v->ln, pcb, &st);
		lane_tcp_get_local(v->ln, pcb, &local);
		found = st.state != LANE_TCP_CLOSED && local.port == a->port &&
			(lane_ip_is_any(&a->ip) || lane_ip_equal(&local.ip, &a->ip));
	}
	shim_leave_quiet(v);
	return found;
}

static bool is_on(int fd, int name)
{
	socklen_t n = sizeof(int);
	int on;

	return shim_libc()->getsockopt(fd, SOL_SOCKET, name, &on, &n) == 0 && on;
}

/* A port that connections of the lane hold is in use, as it would be if the kernel had them. */
static bool port_in_use(int fd, const struct shim_local *l, const struct sockaddr *addr, socklen_t len)
{
	struct shim_addr a;

	if (l->kind != SHIM_FRESH || l->dgram || shim.state != 2 ||
	    shim_addr_get(&a, addr, len) < 0 || !a.ep.port ||
	    !lane_claim_connected(shim.view.ln, a.ep.port))
		return false;
	if (!lane_ip_is_any(&a.ep.ip) && lane_ifs_addr(shim.view.ln, &a.ep.ip) < 0)
		return false;
	if (is_on(fd, SO_REUSEPORT))
		return false;
	return !is_on(fd, SO_REUSEADDR) || any_without_reuse(&a.ep);
}

static bool asked_any_port(const struct sockaddr *addr, socklen_t len)
{
	struct shim_addr a;

	return shim_addr_get(&a, addr, len) == 0 && !a.ep.port;
}

LANE_EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct shim_local *l = shim_get(fd);
	int r;

	if (l && shim_refresh(fd, l)) {
		shim_put(l);
		l = shim_get(fd);
	}
	if (!l)
		return shim_libc()->bind(fd, addr, len);
	/* A lane socket that is no FRESH one any more has a local address: its shadow, or it, says so. Not so after
	 * an attempt to connect that has failed: its kernel socket takes the address for the next one. */
	if (l->kind == SHIM_SOCK && l->shadow < 0 && !shim_connect_failed(l)) {
		shim_put(l);
		return (int)shim_ret(-EINVAL);
	}
	if (port_in_use(fd, l, addr, len)) {
		shim_put(l);
		return (int)shim_ret(-EADDRINUSE);
	}
	r = shim_libc()->bind(fd, addr, len);
	if (r < 0 && errno == EADDRNOTAVAIL && l->kind == SHIM_FRESH)
		r = (int)shim_ret(shim_own_bind(fd, l, addr, len));
	if (r == 0 && l->kind == SHIM_FRESH && l->dgram)
		r = (int)shim_ret(shim_udp_bound(fd, l));
	else if (r == 0 && l->kind == SHIM_FRESH)
		l->any_port = asked_any_port(addr, len);
	shim_put(l);
	return r;
}

LANE_EXPORT int listen(int fd, int backlog)
{
	struct shim_local *l = shim_get(fd);
	int r;

	if (!l && shim_adopt_inherited(fd))
		l = shim_get(fd);
	if (l && shim_refresh(fd, l)) {
		shim_put(l);
		l = shim_get(fd);
	}
	if (!l || l->kind == SHIM_EPOLL || l->dgram)
		r = shim_libc()->listen(fd, backlog);
	else
		r = (int)shim_ret(shim_listen(fd, l, backlog));
	if (l)
		shim_put(l);
	return r;
}

/* On a socket that is none of the lane's. Flags that are wrong are so before there is a number. */
static int accept_other(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int r = flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK) ? 0 : shim_fd_room(fd);

	if (r < 0)
		return r;
	return shim_fd_new(shim_fd_within(shim_libc()->accept4(fd, addr, len, flags)));
}

LANE_EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct shim_local *l;
	int r;

	shim_cancel_point();
	l = shim_get_sock(fd);
	if (!l && shim_adopt_inherited(fd))
		l = shim_get_sock(fd);
	if (!l)
		return (int)shim_ret(accept_other(fd, addr, len, flags));
	r = shim_accept(fd, l, addr, len, flags);
	shim_put(l);
	return (int)shim_ret(r);
}

LANE_EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return accept4(fd, addr, len, 0);
}

LANE_EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct shim_local *l;
	int r;

	shim_cancel_point();
	l = shim_get(fd);
	if (!l)
		return shim_libc()->connect(fd, addr, len);
	if (l->kind == SHIM_EPOLL)
		r = (int)shim_ret(-ENOTSOCK);
	else if (l->dgram)
		r = (int)shim_ret(shim_udp_connect(fd, l, addr, len));
	else
		r = (int)shim_ret(shim_connect(fd, l, addr, len));
	shim_put(l);
	return r;
}

LANE_EXPORT int shutdown(int fd, int how)
{
	struct shim_local *l = shim_get_sock(fd);
	int r;

	if (!l)
		return shim_libc()->shutdown(fd, how);
	r = shim_shutdown(fd, l, how);
	shim_put(l);
	return (int)shim_ret(r);
}
