/*
 * ioctl.c - ioctl(2), isfdtype(3), sockatmark(3)
 *
 * What concerns queues and flags is answered here; questions about interfaces, terminals and the
 * like go to the kernel, whose answers for the anchor are right (ENOTTY for TCGETS).
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "posix/sock.h"

#define SHIM_SIOCOUTQNSD 0x894B /* <linux/sockios.h> of newer headers */

static int put_int(void *arg, uint32_t val)
{
	int n = (int)val;

	return shim_copy_out(arg, &n, sizeof(n));
}

/* A FIN that is not acknowledged counts, as in the kernel. */
static bool has_fin_out(uint8_t state)
{
	return state == LANE_TCP_FIN_WAIT_1 || state == LANE_TCP_CLOSING || state == LANE_TCP_LAST_ACK;
}

/* FIONREAD of a stream: nothing is known of a listener. */
static int tcp_queue(struct shim_local *l, unsigned long req, void *arg)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_status st = {0};
	struct lane_tcp *pcb;
	struct shim_sock *s;
	bool listener;

	shim_enter(v);
	shim_turn(v);
	pcb = shim_tcp_of(l, &s);
	listener = pcb && s->kind == SHIM_SOCK_LISTENER;
	if (pcb)
		lane_tcp_get_status(v->ln, pcb, &st);
	shim_leave(v);
	if (!pcb || (listener && req != SIOCATMARK))
		return -EINVAL;
	switch (req) {
	case FIONREAD:
		return put_int(arg, st.rcv_inq);
	case SIOCOUTQ:
		return put_int(arg, st.snd_queued + has_fin_out(st.state));
	case SHIM_SIOCOUTQNSD:
		return put_int(arg, st.snd_unsent);
	default:
		return put_int(arg, st.at_mark);
	}
}

static int udp_queue(int fd, struct shim_local *l, unsigned long req, void *arg)
{
	struct shim_view *v = &shim.view;
	uint32_t queued = 0, len = 0;
	struct lane_udp *pcb;
	struct shim_sock *s;

	if (req == FIONREAD) {
		shim_enter(v);
		shim_turn(v);
		pcb = shim_udp_of(l, &s);
		queued = pcb ? lane_udp_nr_queued(pcb) : 0;
		len = queued ? lane_udp_first_len(v->ln, pcb) : 0;
		shim_leave(v);
		if (queued)
			return put_int(arg, len);
	}
	return shim_libc()->ioctl(fd, req, arg) < 0 ? -errno : 0;
}

static int set_from(struct shim_local *l, unsigned int flag, const void *arg)
{
	int on;

	if (shim_copy_in(&on, arg, sizeof(on)) < 0)
		return -EFAULT;
	shim_sock_set_flag(l, flag, on);
	return 0;
}

int shim_ioctl(int fd, struct shim_local *l, unsigned long req, void *arg)
{
	int r, n;

	switch (req) {
	case FIONBIO:
		r = set_from(l, SHIM_SOCK_NONBLOCK, arg);
		if (r < 0 || !l->dgram)
			return r;
		break; /* a UDP socket's shadow has the same flags */
	case FIOASYNC:
		r = set_from(l, SHIM_SOCK_ASYNC, arg);
		shim_sigio_update(l);
		if (r < 0 || !l->dgram)
			return r;
		break;
	case FIONREAD:
	case SIOCOUTQ:
	case SHIM_SIOCOUTQNSD:
	case SIOCATMARK:
		return l->dgram ? udp_queue(fd, l, req, arg) : tcp_queue(l, req, arg);
	case FIOSETOWN:
	case SIOCSPGRP:
		if (shim_copy_in(&n, arg, sizeof(n)) < 0)
			return -EFAULT;
		return shim_sigio_set(fd, l, F_SETOWN, n);
	case FIOGETOWN:
	case SIOCGPGRP:
		if (shim_sock_flags(l) & SHIM_SOCK_SHADOW)
			break;
		r = shim_sigio_get(l, F_GETOWN, NULL, &n);
		return r < 0 ? r : put_int(arg, (uint32_t)n);
	default:
		break;
	}
	r = shim_libc()->ioctl(fd, req, arg);
	return r < 0 ? -errno : r;
}

static bool is_for_signals(unsigned long req)
{
	return req == FIOASYNC || req == FIOSETOWN || req == SIOCSPGRP;
}

/* A socket that is to raise signals before it is decided who serves it: the kernel. */
static void note_signals(int fd)
{
	struct shim_local *l = shim_get(fd);

	if (l && l->kind == SHIM_FRESH)
		l->opts_set |= SHIM_OPTS_KERNEL;
	if (l)
		shim_put(l);
}

LANE_EXPORT int ioctl(int fd, unsigned long req, ...)
{
	struct shim_local *l;
	va_list ap;
	void *arg;
	int r;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (is_for_signals((unsigned int)req))
		note_signals(fd);
	l = shim_get_sock(fd);
	if (!l)
		return shim_libc()->ioctl(fd, req, arg);
	r = shim_ioctl(fd, l, (unsigned int)req, arg);
	shim_put(l);
	return (int)shim_ret(r);
}

LANE_EXPORT int sockatmark(int fd)
{
	int at = 0;

	return ioctl(fd, SIOCATMARK, &at) < 0 ? -1 : at;
}
