/*
 * retire.c - options that only the kernel knows, for sockets that are the lane's already
 *
 * A listener and a UDP socket have a kernel's half under their number. When such an option comes (a filter, SO_TIMESTAMPING,
 * TCP_MD5SIG, a program that chooses among a SO_REUSEPORT group), that half takes over: the lane claims the address no more, for
 * all sockets that share it, and of a UDP socket the kernel's half sends. What the lane's half has is still read. Before a
 * socket is the lane's, the option keeps it from it; but a group has one program for all, so that each has to be
 * bound as others are. Where the address is the lane's own, nothing stands beside it.
 */
#include <netinet/in.h>

#include "posix/sock.h"

bool shim_opt_is_groups(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_ATTACH_REUSEPORT_CBPF || name == SO_ATTACH_REUSEPORT_EBPF);
}

/* Programs set many options to 0, which they are. */
static bool is_off(const void *val, socklen_t len)
{
	int n;

	return len == sizeof(n) && shim_copy_in(&n, val, sizeof(n)) == 0 && n == 0;
}

void shim_retire(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct lane_udp *udp;
	struct lane_tcp *tcp;
	struct shim_sock *s;

	if (shim_own_mode())
		return;
	shim_enter(v);
	udp = shim_udp_of(l, &s);
	tcp = udp ? NULL : shim_tcp_of(l, &s);
	if (udp)
		lane_udp_retire(v->ln, udp);
	else if (tcp)
		lane_tcp_retire(v->ln, tcp);
	if (udp)
		shim_sock_set_flag(l, SHIM_SOCK_RETIRED, true);
	shim_leave(v);
	shim_count_fallback(SHIM_FB_OPTION);
}

void shim_retire_for(struct shim_local *l, int level, int name, const void *val, socklen_t len)
{
	bool groups = shim_opt_is_groups(level, name);

	if (groups || (shim_opt_is_kernels(level, name) && !is_off(val, len)))
		shim_retire(l);
}
