/*
 * opt_udp.c - options of UDP sockets that the lane has a part in
 *
 * The kernel's socket under the number took each one first: what it reads as there is passed on.
 */
#include <limits.h>
#include <netinet/tcp.h>

#include "lane-int/state.h"
#include "posix/sock.h"

/* Options of datagrams that are no TCP pcb's. False: not one of them. */
static bool mirror_datagram(struct shim_sock *s, struct lane_udp *pcb, int level, int name, int val)
{
	uint32_t bit = shim_opt_cmsg(level, name);

	if (bit) {
		s->cmsg = val ? s->cmsg | bit : s->cmsg & ~bit;
		lane_udp_set_recverr(pcb, s->cmsg & SHIM_CMSG_RECVERR4,
				     s->cmsg & SHIM_CMSG_RECVERR6);
	} else if (level == SOL_SOCKET && name == SO_ZEROCOPY) {
		bit = shim_opt_bit(SO_ZEROCOPY);
		s->so_bits = val ? s->so_bits | bit : s->so_bits & ~bit;
	} else if (level == IPPROTO_UDP && name == SHIM_UDP_SEGMENT) {
		s->udp_segment = (uint16_t)val;
	} else if ((level == IPPROTO_IP && name == IP_MTU_DISCOVER) ||
		   (level == IPPROTO_IPV6 && name == IPV6_MTU_DISCOVER)) {
		lane_udp_set_pmtudisc(pcb, val);
	} else {
		return false;
	}
	return true;
}

static bool is_tos(int level, int name)
{
	return (level == IPPROTO_IP && name == IP_TOS) ||
	       (level == IPPROTO_IPV6 && name == IPV6_TCLASS);
}

void shim_udp_mirror_opt(int fd, struct shim_local *l, int level, int name)
{
	struct lane_tcp_opts_set o = {.tos = 0};
	struct shim_view *v = &shim.view;
	socklen_t len = sizeof(int);
	struct lane_udp *pcb;
	struct shim_sock *s;
	int val = 0, r = -1;

	if (level == SOL_SOCKET && name == SO_RCVBUFFORCE)
		name = SO_RCVBUF;
	if (shim_libc()->getsockopt(fd, level, name, &val, &len) < 0)
		return;
	shim_enter(v);
	pcb = shim_udp_of(l, &s);
	o.ttl = v->ln->st->cfg.ttl;
	if (pcb && !mirror_datagram(s, pcb, level, name, val))
		r = shim_tcp_opt_store(&o, &v->ln->st->cfg, LANE_TCP_CLOSED, level, name, val);
	if (r == 0 && level == SOL_SOCKET && name == SO_RCVBUF)
		lane_udp_set_rcvbuf(pcb, (uint32_t)val);
	else if (r == 0 && is_tos(level, name))
		lane_udp_set_tos(pcb, (uint8_t)val); /* its ECN bits are the program's too */
	else if (r == 0 && level != SOL_SOCKET && level != IPPROTO_TCP)
		lane_udp_set_ttl(pcb, o.ttl);
	shim_leave(v);
}
