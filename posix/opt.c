/*
 * opt.c - getsockopt(2) and setsockopt(2) of a lane's sockets
 *
 * Theory of operation. Listeners and UDP sockets have a kernel socket of their own: it is asked
 * first, so limits, errors and values are the kernel's, and what matters to the lane is passed
 * on. A connection has the anchor under its number, which must not be touched: what its pcb
 * has is opt_tcp.c's, some switches are stored in the arena, and what we do not know is tried on
 * a fresh kernel socket, so that errors are the kernel's, and read from one that nobody changes.
 */
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <unistd.h>

#include "lane-int/state.h"
#include "lane-int/tcp_info.h"
#include "posix/keeper/sys.h"
#include "posix/sock.h"

#define CC_NAME_MAX 16

/* ---- values in and out ---- */

/* Writes at most *user_len bytes and how many they are. */
static int put_bytes(void *user, socklen_t *user_len, const void *val, socklen_t len)
{
	socklen_t room;

	if (shim_copy_in(&room, user_len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	if (room < len)
		len = room;
	if (shim_copy_out(user, val, len) < 0 || shim_copy_out(user_len, &len, sizeof(len)) < 0)
		return -EFAULT;
	return 0;
}

static int put_int(void *user, socklen_t *user_len, int val)
{
	return put_bytes(user, user_len, &val, sizeof(val));
}

/* IP level options may be one byte long, or none: 0. */
static int get_int(int level, const void *user, socklen_t len, int *val)
{
	uint8_t byte = 0;

	if (len >= sizeof(*val))
		return shim_copy_in(val, user, sizeof(*val));
	if (level != IPPROTO_IP)
		return -EINVAL;
	if (shim_copy_in(&byte, user, len > 0) < 0)
		return -EFAULT;
	*val = byte;
	return 0;
}

/* SO_MAX_PACING_RATE: an unsigned int or an unsigned long; what an int cannot hold is no limit here. */
static int get_rate(const void *user, socklen_t len, int *val)
{
	unsigned long rate;

	if (len < sizeof(rate))
		return get_int(SOL_SOCKET, user, len, val);
	if (shim_copy_in(&rate, user, sizeof(rate)) < 0)
		return -EFAULT;
	*val = rate < UINT32_MAX ? (int)(uint32_t)rate : -1;
	return 0;
}

static int put_rate(void *user, socklen_t *len, int val)
{
	unsigned long rate = val == -1 ? ~0UL : (uint32_t)val;
	socklen_t room;

	if (shim_copy_in(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	return room >= sizeof(rate) ? put_bytes(user, len, &rate, sizeof(rate)) : put_int(user, len, val);
}

static int put_timeo(void *user, socklen_t *len, uint32_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	return put_bytes(user, len, &tv, sizeof(tv));
}

static int get_timeo(const void *user, socklen_t len, uint32_t *ms)
{
	struct timeval tv;
	int64_t n;

	if (len < sizeof(tv))
		return -EINVAL;
	if (shim_copy_in(&tv, user, sizeof(tv)) < 0)
		return -EFAULT;
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	n = tv.tv_sec > INT_MAX / 1000 ? INT_MAX : tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000;
	*ms = tv.tv_sec < 0 ? 1 : (uint32_t)n;
	return 0;
}

/* ---- the kernel's sockets ---- */

static int kernel_get(int fd, int level, int name, void *val, socklen_t *len)
{
	return shim_libc()->getsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
}

static int kernel_set(int fd, int level, int name, const void *val, socklen_t len)
{
	return shim_libc()->setsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
}

/* ---- options of connections that the lane does not know ---- */

struct shim_kept *shim_kept_find(struct shim_local *l, int level, int name)
{
	unsigned int i;

	for (i = 0; i < SHIM_KEPT; i++) {
		if (l->kept[i].level == level && l->kept[i].name == name)
			return &l->kept[i];
	}
	return NULL;
}

/* Keeps what kernel socket 'fd' made of it; with no room left it reads as the default later. */
static void keep(struct shim_local *l, int fd, int level, int name)
{
	struct shim_kept *k = shim_kept_find(l, level, name);
	socklen_t len = sizeof(int);
	int val;

	if (shim_libc()->getsockopt(fd, level, name, &val, &len) < 0 || len != sizeof(val))
		return;
	if (!k)
		k = shim_kept_find(l, 0, 0);
	if (!k)
		return;
	k->val = val;
	k->level = (uint16_t)level;
	k->name = (uint16_t)name;
}

/* Tries it on a socket of the same family, for its errors, and keeps it. */
static int try_set(struct shim_local *l, int level, int name, const void *val, socklen_t len)
{
	int r, fd = shim_libc()->socket(l->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	r = kernel_set(fd, level, name, val, len);
	if (r == 0)
		keep(l, fd, level, name);
	sys_close(fd);
	return r;
}

/* ---- what the arena keeps of a description ---- */

static int set_linger(struct shim_local *l, const void *val, socklen_t len)
{
	struct shim_sock *s = shim_sock_of(l);
	struct linger lg;

	if (len < sizeof(lg))
		return -EINVAL;
	if (shim_copy_in(&lg, val, sizeof(lg)) < 0)
		return -EFAULT;
	if (s && lg.l_onoff)
		s->linger_s = (uint32_t)lg.l_linger;
	shim_sock_set_flag(l, SHIM_SOCK_LINGER, lg.l_onoff);
	return 0;
}

static int set_timeo(struct shim_local *l, int name, const void *val, socklen_t len)
{
	struct shim_sock *s = shim_sock_of(l);
	uint32_t ms;
	int r = get_timeo(val, len, &ms);

	if (r == 0 && s)
		*(name == SO_RCVTIMEO ? &s->rcvtimeo_ms : &s->sndtimeo_ms) = ms;
	return r;
}

static int set_bit(struct shim_local *l, uint32_t bit, const void *val, socklen_t len)
{
	struct shim_sock *s = shim_sock_of(l);
	int on, r = get_int(SOL_SOCKET, val, len, &on);

	if (r == 0 && bit == shim_opt_bit(SO_ZEROCOPY) && on != 0 && on != 1)
		r = -EINVAL;
	if (r < 0 || !s)
		return r;
	shim_enter(&shim.view);
	s->so_bits = on ? s->so_bits | bit : s->so_bits & ~bit;
	shim_leave_quiet(&shim.view);
	return 0;
}

static int set_stored_int(struct shim_local *l, int name, const void *val, socklen_t len)
{
	struct shim_sock *s = shim_sock_of(l);
	int n, r = get_int(SOL_SOCKET, val, len, &n);

	if (r < 0 || !s)
		return r;
	if (name == SO_PRIORITY)
		s->so_priority = n;
	else if (name == SO_MARK)
		s->so_mark = n;
	else
		s->so_incoming_cpu = n;
	return 0;
}

/* SOL_SOCKET options that are ours whatever lies under the number. -ENOPROTOOPT: not one of them. */
static int set_own(struct shim_local *l, int name, const void *val, socklen_t len)
{
	switch (name) {
	case SO_LINGER:
		return set_linger(l, val, len);
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
		return set_timeo(l, name, val, len);
	default:
		return -ENOPROTOOPT;
	}
}

static int set_congestion(struct shim_local *l, const void *val, socklen_t len)
{
	struct shim_view *v = &shim.view;
	char name[CC_NAME_MAX] = "";
	struct lane_tcp_opts_set o;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	int cc;

	if (len < 1)
		return -EINVAL;
	if (shim_copy_in(name, val, len < sizeof(name) - 1 ? len : sizeof(name) - 1) < 0)
		return -EFAULT;
	cc = lane_cc_find(name);
	if (cc < 0)
		return cc;
	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb) {
		lane_tcp_get_opts(v->ln, pcb, &o);
		o.cc = (uint8_t)cc;
		cc = lane_tcp_set_opts(v->ln, pcb, &o);
	}
	shim_leave(v);
	return pcb ? cc : -EBADF;
}

/* SO_RCVLOWAT: who polls hears of it at once if there is as much already. */
static int set_rcvlowat(struct shim_local *l, const void *val, socklen_t len)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	int n, r = get_int(SOL_SOCKET, val, len, &n);

	if (r < 0)
		return r;
	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb) {
		s->so_rcvlowat = lane_tcp_rcv_lowat(v->ln, pcb, n < 0 ? INT_MAX : (uint32_t)n);
		if (shim_sock_mask(v, s, 0) & EPOLLIN)
			shim_sock_notify(v, l->index, EPOLLIN | EPOLLRDNORM);
	}
	shim_leave(v);
	return pcb ? 0 : -EBADF;
}

/* ---- set: connections ---- */

/* What TCP Fast Open has to set comes before the connection. */
static bool is_for_opening(int name)
{
	return name == TCP_FASTOPEN || name == TCP_FASTOPEN_CONNECT || name == TCP_FASTOPEN_NO_COOKIE;
}

static int set_connection(int fd, struct shim_local *l, int level, int name, const void *val,
			  socklen_t len)
{
	int r = (int)len < 0		? -EINVAL
		: level == SOL_SOCKET ? set_own(l, name, val, len)
				      : -ENOPROTOOPT,
	    n;

	if (r != -ENOPROTOOPT)
		return r;
	if (level == IPPROTO_IPV6 && !l->v6)
		return -ENOPROTOOPT;
	if (level == IPPROTO_TCP && is_for_opening(name))
		return -EINVAL;
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(l, val, len);
	if (level == SOL_SOCKET && shim_opt_bit(name))
		return set_bit(l, shim_opt_bit(name), val, len);
	if (level == SOL_SOCKET &&
	    (name == SO_PRIORITY || name == SO_INCOMING_CPU)) {
		r = try_set(l, level, name, val, len);
		return r < 0 ? r : set_stored_int(l, name, val, len);
	}
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		return set_rcvlowat(l, val, len);
	/* Who may go beyond the limits, the kernel says. */
	if (level == SOL_SOCKET && (name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE)) {
		r = try_set(l, level, name, val, len);
		if (r < 0)
			return r;
	}
	r = level == SOL_SOCKET && name == SO_MAX_PACING_RATE ? get_rate(val, len, &n)
							      : get_int(level, val, len, &n);
	if (r == 0) {
		r = shim_tcp_setopt(l, level, name, n);
		if (r != -ENOPROTOOPT)
			return r;
	}
	r = shim_sock_flags(l) & SHIM_SOCK_SHADOW ? kernel_set(fd, level, name, val, len)
						  : try_set(l, level, name, val, len);
	if (r == 0 && level == SOL_SOCKET && name == SO_MARK)
		return set_stored_int(l, name, val, len);
	return r;
}

/* ---- set: listeners and UDP, after the kernel took it ---- */

static int set_shadowed(int fd, struct shim_local *l, int level, int name, const void *val,
			socklen_t len)
{
	int n, r = shim_group_set(fd, l, level, name, val, len);

	if (r < 0)
		return r;
	shim_retire_for(l, level, name, val, len);
	if (level == SOL_SOCKET && set_own(l, name, val, len) == 0)
		return 0;
	if (l->dgram) {
		shim_udp_mirror_opt(fd, l, level, name);
		return 0;
	}
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		set_congestion(l, val, len);
	else if (level == SOL_SOCKET && shim_opt_bit(name))
		set_bit(l, shim_opt_bit(name), val, len);
	else if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		set_rcvlowat(l, val, len);
	else if (level == SOL_SOCKET && (name == SO_PRIORITY || name == SO_MARK))
		set_stored_int(l, name, val, len);
	else if (get_int(level, val, len, &n) == 0 &&
		 shim_tcp_setopt(l, level, name, n) == -ENOPROTOOPT)
		keep(l, fd, level, name);
	return 0;
}

static bool is_connection(struct shim_local *l)
{
	const struct shim_sock *s = shim_sock_of(l);

	return s && s->kind == SHIM_SOCK_TCP;
}

int shim_setsockopt(int fd, struct shim_local *l, int level, int name, const void *val, socklen_t len)
{
	if (level == SOL_SOCKET && name == SO_PEEK_OFF && (!l->dgram || shim_own_mode()))
		return -EOPNOTSUPP;
	return is_connection(l) ? set_connection(fd, l, level, name, val, len)
				: set_shadowed(fd, l, level, name, val, len);
}

/* ---- get ---- */

int shim_take_error(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *tcp;
	struct lane_udp *udp;
	struct shim_sock *s;
	int err = 0;

	shim_enter(v);
	shim_turn(v);
	tcp = shim_tcp_of(l, &s);
	udp = tcp ? NULL : shim_udp_of(l, &s);
	if (tcp)
		err = lane_tcp_take_error(v->ln, tcp);
	else if (udp)
		err = lane_udp_take_error(udp);
	shim_leave(v);
	return err;
}

static int get_linger(struct shim_local *l, void *val, socklen_t *len)
{
	const struct shim_sock *s = shim_sock_of(l);
	struct linger lg = {0};

	if (s) {
		lg.l_onoff = (s->flags & SHIM_SOCK_LINGER) != 0;
		lg.l_linger = (int)s->linger_s;
	}
	return put_bytes(val, len, &lg, sizeof(lg));
}

/* SO_PEERNAME, unlike getpeername(2), fills no more room than it needs: EINVAL. */
static int get_peername(int fd, struct shim_local *l, void *val, socklen_t *len)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a), room;

	if (shim_copy_in(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	if (shim_getpeername(fd, l, (struct sockaddr *)&a, &n) < 0)
		return -ENOTCONN;
	return n < room ? -EINVAL : put_bytes(val, len, &a, n);
}

/* SOL_SOCKET of a connection. -ENOPROTOOPT: ask elsewhere. */
static int get_so(int fd, struct shim_local *l, int name, void *val, socklen_t *len)
{
	const struct shim_sock *s = shim_sock_of(l);

	if (!s)
		return -EBADF;
	switch (name) {
	case SO_ERROR:
		return put_int(val, len, shim_take_error(l));
	case SO_TYPE:
		return put_int(val, len, SOCK_STREAM);
	case SO_DOMAIN:
		return put_int(val, len, l->v6 ? AF_INET6 : AF_INET);
	case SO_PROTOCOL:
		return put_int(val, len, IPPROTO_TCP);
	case SO_ACCEPTCONN:
		return put_int(val, len, 0);
	case SO_LINGER:
		return get_linger(l, val, len);
	case SO_PEERNAME:
		return get_peername(fd, l, val, len);
	case SO_RCVTIMEO:
		return put_timeo(val, len, s->rcvtimeo_ms);
	case SO_SNDTIMEO:
		return put_timeo(val, len, s->sndtimeo_ms);
	case SO_PRIORITY:
		return put_int(val, len, s->so_priority);
	case SO_MARK:
		return put_int(val, len, s->so_mark);
	case SO_INCOMING_CPU:
		return put_int(val, len, s->so_incoming_cpu);
	case SO_RCVLOWAT:
		return put_int(val, len, s->so_rcvlowat ? (int)s->so_rcvlowat : 1);
	default:
		break;
	}
	if (!shim_opt_bit(name))
		return -ENOPROTOOPT;
	return put_int(val, len, (s->so_bits & shim_opt_bit(name)) != 0);
}

static int get_congestion(struct shim_local *l, void *val, socklen_t *len)
{
	struct lane_tcp_info_out o;
	char name[CC_NAME_MAX] = "";

	if (!shim_tcp_info(l, &o))
		return -EBADF;
	if (o.cc_name)
		strncpy(name, o.cc_name, sizeof(name) - 1);
	return put_bytes(val, len, name, sizeof(name));
}

static int get_info(struct shim_local *l, void *val, socklen_t *len)
{
	socklen_t room;
	int r;

	if (shim_copy_in(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	r = shim_tcp_getinfo(l, val, &room);
	return r < 0 ? r : shim_copy_out(len, &room, sizeof(room));
}

static int get_pmtu(struct shim_local *l, void *val, socklen_t *len)
{
	struct lane_tcp_info_out o;

	if (!shim_tcp_info(l, &o) || !o.pmtu)
		return -ENOTCONN;
	return put_int(val, len, !l->v6 && o.pmtu > UINT16_MAX ? UINT16_MAX : (int)o.pmtu);
}

static int get_connection(int fd, struct shim_local *l, int level, int name, void *val, socklen_t *len)
{
	const struct shim_kept *k;
	int n, r = level == SOL_SOCKET ? get_so(fd, l, name, val, len) : -ENOPROTOOPT;

	if (r != -ENOPROTOOPT)
		return r;
	if (level == IPPROTO_IPV6 && !l->v6)
		return -EOPNOTSUPP;
	/* Nothing can be mapped; nor is "nothing there" the answer, which programs ask again. */
	if (level == IPPROTO_TCP && name == 35 /* TCP_ZEROCOPY_RECEIVE */)
		return -EOPNOTSUPP;
	if (level == IPPROTO_TCP && name == TCP_INFO)
		return get_info(l, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return get_congestion(l, val, len);
	if ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU))
		return get_pmtu(l, val, len);
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && l->v6)
		return put_int(val, len, (shim_sock_flags(l) & SHIM_SOCK_V6ONLY) != 0);
	r = shim_tcp_getopt(l, level, name, &n);
	if (r == 0 && level == SOL_SOCKET && name == SO_MAX_PACING_RATE)
		return put_rate(val, len, n);
	if (r != -ENOPROTOOPT)
		return r < 0 ? r : put_int(val, len, n);
	k = level || name ? shim_kept_find(l, level, name) : NULL; /* 0, 0 is an empty place */
	if (k)
		return put_int(val, len, k->val);
	return kernel_get(shim_sock_flags(l) & SHIM_SOCK_SHADOW ? fd : shim.scratch, level, name, val,
			  len);
}

int shim_getsockopt(int fd, struct shim_local *l, int level, int name, void *val, socklen_t *len)
{
	int err;

	if (is_connection(l))
		return get_connection(fd, l, level, name, val, len);
	if (level == SOL_SOCKET && name == SO_ERROR) {
		err = shim_take_error(l);
		if (err)
			return put_int(val, len, err);
	}
	return kernel_get(fd, level, name, val, len);
}

/* ---- the calls ---- */

LANE_EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct shim_local *l = shim_get(fd);
	int r;

	if (!l)
		return shim_libc()->setsockopt(fd, level, name, val, len);
	if (l->kind == SHIM_SOCK) {
		r = shim_setsockopt(fd, l, level, name, val, len);
	} else {
		l->opts_set |= level == SOL_SOCKET    ? SHIM_OPTS_SO
			       : level == IPPROTO_TCP ? SHIM_OPTS_TCP
						      : SHIM_OPTS_IP;
		r = shim_group_set(fd, l, level, name, val, len);
		if (r == 0 && shim_opt_is_kernels(level, name))
			l->opts_set |= SHIM_OPTS_KERNEL;
		if (r == 0 && shim_opt_is_groups(level, name))
			l->opts_set |= SHIM_OPTS_GROUP;
	}
	shim_put(l);
	return (int)shim_ret(r);
}

LANE_EXPORT int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct shim_local *l = shim_get_sock(fd);
	int r;

	if (!l && shim_adopt_inherited(fd))
		l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->getsockopt(fd, level, name, val, len);
	r = shim_getsockopt(fd, l, level, name, val, len);
	shim_put(l);
	return (int)shim_ret(r);
}
