/*
 * zerocopy.c - MSG_ZEROCOPY: sends are numbered, and the error queue tells which are done
 *
 * The lane copies all that is sent before the call returns, so a send is done, "copied" as over the kernel's lo,
 * when it returns. Those not told yet are one range, as the kernel joins neighbours.
 */
#include "posix/cmsg.h"
#include "posix/sock.h"

void shim_zerocopy_sent(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct shim_sock *s;

	shim_enter(v);
	s = shim_sock_of(l);
	if (s && (s->so_bits & shim_opt_bit(SO_ZEROCOPY))) {
		s->zc_sent++;
		shim_sock_notify(v, l->index, EPOLLERR);
	}
	shim_leave_quiet(v);
}

ssize_t shim_zerocopy_recv(struct shim_local *l, struct msghdr *m)
{
	struct shim_view *v = &shim.view;
	uint32_t first = 0, next = 0;
	struct shim_sock *s;

	shim_enter(v);
	s = shim_sock_of(l);
	if (s) {
		first = s->zc_told;
		next = s->zc_told = s->zc_sent;
	}
	shim_leave_quiet(v);
	if (first == next)
		return -EAGAIN;
	m->msg_namelen = 0;
	m->msg_flags = MSG_ERRQUEUE;
	shim_cmsg_put_zerocopy(m, first, next - 1, l->v6);
	return 0;
}
