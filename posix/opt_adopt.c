/*
 * opt_adopt.c - options set before the lane served a socket
 *
 * Until the decision a socket is the kernel's, and so are its options: values, limits and errors.
 * When the lane takes over it reads them back, but only at the levels where the program has set
 * something (shim_local.opts_set): a plain connect() costs one fcntl(2).
 */
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include "lane-int/state.h"
#include "lane-int/tcp_info.h"
#include "posix/sock.h"

static const struct {
	uint16_t level, name;
	uint8_t group; /* SHIM_OPTS_* */
} ints[] = {
	{SOL_SOCKET, SO_KEEPALIVE, SHIM_OPTS_SO},
	{SOL_SOCKET, SO_OOBINLINE, SHIM_OPTS_SO},
	{SOL_SOCKET, SO_MAX_PACING_RATE, SHIM_OPTS_SO},
	{SOL_SOCKET, SO_RCVBUF, SHIM_OPTS_SO},
	{SOL_SOCKET, SO_SNDBUF, SHIM_OPTS_SO},
	{SOL_SOCKET, SO_RCVLOWAT, SHIM_OPTS_SO},
	{IPPROTO_TCP, TCP_NODELAY, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_CORK, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_MAXSEG, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_KEEPIDLE, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_KEEPINTVL, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_KEEPCNT, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_SYNCNT, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_LINGER2, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, SHIM_OPTS_TCP},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, SHIM_OPTS_TCP},
	{IPPROTO_IP, IP_TOS, SHIM_OPTS_IP},
	{IPPROTO_IP, IP_TTL, SHIM_OPTS_IP},
	{IPPROTO_IPV6, IPV6_TCLASS, SHIM_OPTS_IP},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, SHIM_OPTS_IP},
};
#define NR_INTS (sizeof(ints) / sizeof(ints[0]))
_Static_assert(NR_INTS <= SHIM_KOPTS_INTS, "room for each");

static const int switches[] = {SO_REUSEADDR, SO_REUSEPORT, SO_DONTROUTE, SO_BROADCAST, SO_TIMESTAMP,
			       SO_TIMESTAMPNS, SO_ZEROCOPY};

uint32_t shim_opt_bit(int name)
{
	unsigned int i;

	for (i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (switches[i] == name)
			return 1u << i;
	}
	return 0;
}

static const struct {
	uint16_t level, name;
	uint32_t bit;
} cmsgs[] = {
	{IPPROTO_IP, IP_PKTINFO, SHIM_CMSG_PKTINFO},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO, SHIM_CMSG_PKTINFO},
	{IPPROTO_IP, IP_RECVTTL, SHIM_CMSG_TTL},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT, SHIM_CMSG_TTL},
	{IPPROTO_IP, IP_RECVTOS, SHIM_CMSG_TOS},
	{IPPROTO_IPV6, IPV6_RECVTCLASS, SHIM_CMSG_TOS},
	{SOL_SOCKET, SO_TIMESTAMP, SHIM_CMSG_TIMESTAMP},
	{SOL_SOCKET, SO_TIMESTAMPNS, SHIM_CMSG_TIMESTAMPNS},
	{SOL_SOCKET, SO_RXQ_OVFL, SHIM_CMSG_OVFL},
	{IPPROTO_UDP, SHIM_UDP_GRO, SHIM_CMSG_GRO},
	{IPPROTO_IP, IP_RECVERR, SHIM_CMSG_RECVERR4},
	{IPPROTO_IPV6, IPV6_RECVERR, SHIM_CMSG_RECVERR6},
	{IPPROTO_TCP, TCP_INQ, SHIM_CMSG_INQ},
};

uint32_t shim_opt_cmsg(int level, int name)
{
	unsigned int i;

	for (i = 0; i < sizeof(cmsgs) / sizeof(cmsgs[0]); i++) {
		if (cmsgs[i].level == level && cmsgs[i].name == name)
			return cmsgs[i].bit;
	}
	return 0;
}

bool shim_opt_is_kernels(int level, int name)
{
	static const struct {
		uint16_t level, name;
	} list[] = {
		{SOL_SOCKET, SO_TXTIME},	 {SOL_SOCKET, SO_ATTACH_BPF},
		{SOL_SOCKET, SO_ATTACH_FILTER},
		{SOL_SOCKET, SO_TIMESTAMPING},	 {IPPROTO_TCP, TCP_MD5SIG},
		{SOL_SOCKET, SO_PEEK_OFF},	 {IPPROTO_IP, IP_RECVORIGDSTADDR},
		{IPPROTO_IP, IP_CHECKSUM},	 {IPPROTO_IPV6, IPV6_RECVORIGDSTADDR},
		{IPPROTO_TCP, TCP_MD5SIG_EXT},	 {IPPROTO_TCP, TCP_REPAIR},
		{IPPROTO_TCP, TCP_ULP},		 {IPPROTO_UDP, 100 /* UDP_ENCAP */},
		{IPPROTO_IP, IP_TRANSPARENT},	 {IPPROTO_IP, IP_OPTIONS},
		{IPPROTO_IP, IP_HDRINCL},	 {IPPROTO_IPV6, IPV6_TRANSPARENT},
		{IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */},
		{IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */},
		{IPPROTO_IPV6, 33 /* IPV6_FLOWINFO_SEND */},
	};
	unsigned int i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (list[i].level == level && list[i].name == name)
			return true;
	}
	return false;
}

/* A kernel socket's integer, or 0 where there is none. */
static int ask(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int val = 0;

	return shim_libc()->getsockopt(fd, level, name, &val, &len) == 0 ? val : 0;
}

static uint32_t ask_timeo(int fd, int name)
{
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	if (shim_libc()->getsockopt(fd, SOL_SOCKET, name, &tv, &len) < 0)
		return 0;
	return (uint32_t)(tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000);
}

/* A value that the kernel gives every socket is none that the program set. */
static int value_of(int fd, unsigned int i, int unset)
{
	int val = ask(fd, ints[i].level, ints[i].name);

	return val == unset ? INT_MIN : val;
}

static void read_ints(int fd, const struct shim_local *fresh, struct shim_kopts *k)
{
	unsigned int i;
	int unset;

	for (i = 0; i < NR_INTS; i++) {
		k->value[i] = INT_MIN;
		if (!(fresh->opts_set & ints[i].group))
			continue;
		if (ints[i].level == IPPROTO_IPV6 && !fresh->v6)
			continue;
		/* The scratch socket is a stream socket: a UDP socket's buffers differ from its. */
		unset = fresh->dgram && ints[i].level == IPPROTO_TCP
				? 0
				: ask(shim.scratch, ints[i].level, ints[i].name);
		k->value[i] = value_of(fd, i, unset);
	}
}

static void read_so(int fd, struct shim_kopts *k)
{
	struct linger lg = {0};
	socklen_t len = sizeof(lg);
	unsigned int i;

	if (shim_libc()->getsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, &len) == 0 && lg.l_onoff) {
		k->flags |= SHIM_SOCK_LINGER;
		k->linger_s = (uint32_t)lg.l_linger;
	}
	k->rcvtimeo_ms = ask_timeo(fd, SO_RCVTIMEO);
	k->sndtimeo_ms = ask_timeo(fd, SO_SNDTIMEO);
	for (i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (ask(fd, SOL_SOCKET, switches[i]))
			k->so_bits |= 1u << i;
	}
}

/* The congestion control that the program chose by name; -1: none, or the lane lacks it. */
static int read_cc(int fd)
{
	char name[16] = "", unset[16] = "";
	socklen_t len = sizeof(name), unset_len = sizeof(unset);

	if (shim_libc()->getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) < 0 ||
	    shim_libc()->getsockopt(shim.scratch, IPPROTO_TCP, TCP_CONGESTION, unset, &unset_len) < 0)
		return -1;
	name[sizeof(name) - 1] = 0;
	return strncmp(name, unset, sizeof(name)) == 0 ? -1 : lane_cc_find(name);
}

static void read_ip(int fd, bool v6, struct shim_kopts *k)
{
	k->has_ip = true;
	k->ip[0].tos = (uint8_t)ask(fd, IPPROTO_IP, IP_TOS);
	k->ip[0].ttl = (uint8_t)ask(fd, IPPROTO_IP, IP_TTL);
	k->ip[0].pmtudisc = (uint8_t)ask(fd, IPPROTO_IP, IP_MTU_DISCOVER);
	if (!v6)
		return;
	k->ip[1].tos = (uint8_t)ask(fd, IPPROTO_IPV6, IPV6_TCLASS);
	k->ip[1].ttl = (uint8_t)ask(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS);
	k->ip[1].pmtudisc = (uint8_t)ask(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER);
}

void shim_kopts_read(int fd, const struct shim_local *fresh, struct shim_kopts *k)
{
	unsigned int i;
	int flags;

	memset(k, 0, sizeof(*k));
	flags = shim_libc()->fcntl(fd, F_GETFL);
	k->flags = (flags & O_NONBLOCK ? SHIM_SOCK_NONBLOCK : 0) | (flags & O_APPEND ? SHIM_SOCK_APPEND : 0) |
		   (flags & O_NOATIME ? SHIM_SOCK_NOATIME : 0);
	if (fresh->v6) {
		k->flags |= SHIM_SOCK_V6;
		if (ask(fd, IPPROTO_IPV6, IPV6_V6ONLY))
			k->flags |= SHIM_SOCK_V6ONLY;
	}
	read_ints(fd, fresh, k);
	k->cc = !fresh->dgram && (fresh->opts_set & SHIM_OPTS_TCP) ? read_cc(fd) : -1;
	if (fresh->opts_set & SHIM_OPTS_SO)
		read_so(fd, k);
	if (!fresh->dgram && (fresh->opts_set & SHIM_OPTS_TCP) && ask(fd, IPPROTO_TCP, TCP_INQ))
		k->cmsg = SHIM_CMSG_INQ;
	if (!fresh->dgram || !fresh->opts_set)
		return;
	k->udp_segment = (uint16_t)ask(fd, IPPROTO_UDP, SHIM_UDP_SEGMENT);
	read_ip(fd, fresh->v6, k);
	for (i = 0; i < sizeof(cmsgs) / sizeof(cmsgs[0]); i++) {
		if ((cmsgs[i].level != IPPROTO_IPV6 || fresh->v6) &&
		    ask(fd, cmsgs[i].level, cmsgs[i].name))
			k->cmsg |= cmsgs[i].bit;
	}
}

static void apply_udp(struct shim_sock *s, const struct shim_kopts *k,
		      const struct lane_tcp_opts_set *o, bool rcvbuf)
{
	struct lane_udp *pcb = lane_udp_at(shim.view.ln, s->pcb);

	if (!pcb)
		return;
	if (rcvbuf)
		lane_udp_set_rcvbuf(pcb, o->rcvbuf);
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		lane_udp_set_ttl(pcb, v6, k->has_ip ? k->ip[v6].ttl : o->ttl);
		if (!k->has_ip)
			continue;
		lane_udp_set_tos(pcb, v6, k->ip[v6].tos); /* its ECN bits are the program's too */
		lane_udp_set_pmtudisc(pcb, v6, k->ip[v6].pmtudisc);
	}
	lane_udp_set_recverr(pcb, s->cmsg & SHIM_CMSG_RECVERR4, s->cmsg & SHIM_CMSG_RECVERR6);
}

static bool is_lowat(unsigned int i)
{
	return ints[i].level == SOL_SOCKET && ints[i].name == SO_RCVLOWAT;
}

/* Buffers read doubled, and the setter doubles; the kernel has limited them already. */
static void store_one(struct lane_tcp_opts_set *o, const struct lane_config *cfg, unsigned int i,
		      int val)
{
	int level = ints[i].level, name = ints[i].name;

	if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF)) {
		name = name == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;
		val /= 2;
	}
	shim_tcp_opt_store(o, cfg, LANE_TCP_CLOSED, level, name, val);
}

void shim_kopts_apply(struct shim_sock *s, const struct shim_kopts *k)
{
	const struct lane_config *cfg = &shim.view.ln->st->cfg;
	struct lane_tcp_opts_set o = {.ttl = cfg->ttl};
	struct lane_tcp *pcb = NULL;
	bool any = false, rcvbuf = false;
	unsigned int i;
	int val;

	s->linger_s = k->linger_s;
	s->rcvtimeo_ms = k->rcvtimeo_ms;
	s->sndtimeo_ms = k->sndtimeo_ms;
	s->cmsg = k->cmsg;
	s->so_bits = k->so_bits;
	s->udp_segment = k->udp_segment;
	if (s->kind != SHIM_SOCK_UDP) {
		pcb = lane_tcp_at(shim.view.ln, s->pcb);
		if (!pcb)
			return;
		lane_tcp_get_opts(shim.view.ln, pcb, &o);
	}
	for (i = 0; i < NR_INTS; i++) {
		val = k->value[i];
		if (val == INT_MIN)
			continue;
		if (is_lowat(i)) {
			s->so_rcvlowat = (uint32_t)val;
			continue;
		}
		store_one(&o, cfg, i, val);
		any = true;
		rcvbuf = rcvbuf || (ints[i].level == SOL_SOCKET && ints[i].name == SO_RCVBUF);
	}
	if (k->cc >= 0 && s->kind != SHIM_SOCK_UDP) {
		o.cc = (uint8_t)k->cc;
		any = true;
	}
	if (s->kind == SHIM_SOCK_UDP)
		apply_udp(s, k, &o, rcvbuf);
	else if (any)
		lane_tcp_set_opts(shim.view.ln, pcb, &o);
}
