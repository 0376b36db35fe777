/*
 * opt_udp.c - options of UDP sockets that the lane has a part in
 *
 * The kernel's socket under the number took each one first: what it reads as there is passed on.
 */
#include <netinet/in.h>

#include "lane-int/state.h"
#include "posix/sock.h"

/* Headers of datagrams over one family. False: not one of them. */
static bool mirror_ip(struct lane_udp *pcb, int level, int name, int val)
{
	bool v6 = level == IPPROTO_IPV6;

	if (level != IPPROTO_IP && !v6)
		return false;
	if (name == (v6 ? IPV6_TCLASS : IP_TOS))
		lane_udp_set_tos(pcb, v6, (uint8_t)val); /* its ECN bits are the program's too */
	else if (name == (v6 ? IPV6_UNICAST_HOPS : IP_TTL))
		lane_udp_set_ttl(pcb, v6, (uint8_t)val);
	else if (name == (v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER))
		lane_udp_set_pmtudisc(pcb, v6, val);
	else
		return false;
	return true;
}

static void mirror(struct shim_sock *s, struct lane_udp *pcb, int level, int name, int val)
{
	uint32_t bit = shim_opt_cmsg(level, name);

	if (mirror_ip(pcb, level, name, val))
		return;
	if (bit) {
		s->cmsg = val ? s->cmsg | bit : s->cmsg & ~bit;
		lane_udp_set_recverr(pcb, s->cmsg & SHIM_CMSG_RECVERR4,
				     s->cmsg & SHIM_CMSG_RECVERR6);
	} else if (level == SOL_SOCKET && name == SO_ZEROCOPY) {
		bit = shim_opt_bit(SO_ZEROCOPY);
		s->so_bits = val ? s->so_bits | bit : s->so_bits & ~bit;
	} else if (level == IPPROTO_UDP && name == SHIM_UDP_SEGMENT) {
		s->udp_segment = (uint16_t)val;
	} else if (level == SOL_SOCKET && name == SO_RCVBUF) {
		lane_udp_set_rcvbuf(pcb, (uint32_t)val);
	}
}

void shim_udp_mirror_opt(int fd, struct shim_local *l, int level, int name)
{
	struct shim_view *v = &shim.view;
	socklen_t len = sizeof(int);
	struct lane_udp *pcb;
	struct shim_sock *s;
	int val = 0;

	if (level == SOL_SOCKET && name == SO_RCVBUFFORCE)
		name = SO_RCVBUF;
	if (shim_libc()->getsockopt(fd, level, name, &val, &len) < 0)
		return;
	shim_enter(v);
	pcb = shim_udp_of(l, &s);
	if (pcb)
		mirror(s, pcb, level, name, val);
	shim_leave(v);
}
