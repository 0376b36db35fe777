/*
 * group.c - memberships of multicast groups, where the interface's address is the lane's own
 *
 * The kernel has no part in that interface, so it can neither join a group on it nor hear one: the lane's UDP socket joins,
 * and the keeper tells the network (IGMP, MLD). Other interfaces, memberships by source, and all that is not such an
 * interface's are the kernel's. What a socket joins before it is bound waits for its pcb (IPv4 only).
 */
#include <netinet/in.h>

#include "lane-int/ifs.h"
#include "posix/sock.h"

struct membership {
	struct lane_ip group, on; /* on the interface with this address; any: no matter, if it is not said by number */
	unsigned int ifindex;	  /* or with this number; 0 */
	bool join;
};

static int take(void *out, size_t size, const void *val, socklen_t len)
{
	return len < size ? -EINVAL : shim_copy_in(out, val, size);
}

static int parse4(int name, const void *val, socklen_t len, struct membership *m)
{
	struct ip_mreqn mreq = {0};
	int r = take(&mreq, len < sizeof(mreq) ? sizeof(struct ip_mreq) : sizeof(mreq), val, len);

	m->group = lane_ip4(mreq.imr_multiaddr.s_addr);
	m->on = lane_ip4(mreq.imr_address.s_addr);
	m->ifindex = (unsigned int)mreq.imr_ifindex;
	m->join = name == IP_ADD_MEMBERSHIP;
	return r;
}

static int parse6(int name, const void *val, socklen_t len, struct membership *m)
{
	struct ipv6_mreq mreq = {.ipv6mr_interface = 0};
	int r = take(&mreq, sizeof(mreq), val, len);

	m->group = lane_ip6((const uint8_t *)&mreq.ipv6mr_multiaddr);
	m->ifindex = mreq.ipv6mr_interface;
	m->join = name == IPV6_JOIN_GROUP;
	return r;
}

static int parse_any(int name, const void *val, socklen_t len, struct membership *m)
{
	struct group_req g = {.gr_interface = 0};
	struct shim_addr a = {.family = 0};
	int r = take(&g, sizeof(g), val, len);

	if (r == 0)
		r = shim_addr_get(&a, (struct sockaddr *)&g.gr_group, sizeof(g.gr_group));
	m->group = a.ep.ip;
	m->ifindex = g.gr_interface;
	m->join = name == MCAST_JOIN_GROUP;
	return r;
}

/* 0, -ENOPROTOOPT: no membership of either family, or -errno. */
static int parse(int level, int name, const void *val, socklen_t len, struct membership *m)
{
	if ((level == IPPROTO_IP || level == IPPROTO_IPV6) && (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP))
		return parse_any(name, val, len, m);
	if (level == IPPROTO_IP && (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP))
		return parse4(name, val, len, m);
	if (level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP))
		return parse6(name, val, len, m);
	return -ENOPROTOOPT;
}

static bool is_lanes(const struct membership *m)
{
	const struct lane_nettab *t = lane_nettab(shim.view.ln);

	if (!lane_net_is_group(t, &m->group))
		return false;
	if (m->ifindex)
		return m->ifindex == t->ifindex;
	return lane_ip_is_any(&m->on) || lane_net_addr(t, &m->on) >= 0;
}

static int change(struct shim_local *l, const struct membership *m)
{
	struct shim_view *v = &shim.view;
	struct lane_udp *pcb;
	struct shim_sock *s;
	int r = -EBADF;

	shim_enter(v);
	pcb = shim_udp_of(l, &s);
	if (pcb)
		r = m->join ? lane_udp_join(v->ln, pcb, 0, &m->group, NULL) : lane_udp_leave(v->ln, pcb, 0, &m->group, NULL);
	shim_leave(v);
	/* The keeper tells the network. */
	if (r == 0)
		shim_ring(v->keeper_bell);
	return r;
}

static bool is_group(const struct shim_kept *k)
{
	return k->level == IPPROTO_UDP && k->name == IP_ADD_MEMBERSHIP;
}

static struct shim_kept *joined(struct shim_local *fresh, int val)
{
	for (unsigned int i = 0; i < SHIM_KEPT; i++) {
		if (is_group(&fresh->kept[i]) && fresh->kept[i].val == val)
			return &fresh->kept[i];
	}
	return NULL;
}

/* Until the socket is bound. */
static int change_fresh(struct shim_local *fresh, const struct membership *m)
{
	int val = (int)m->group.w[3];
	struct shim_kept *k = joined(fresh, val);

	if (!lane_ip_is4(&m->group))
		return -ENOBUFS;
	if (m->join && k)
		return -EADDRINUSE;
	if (!m->join && !k)
		return -EADDRNOTAVAIL;
	if (!m->join) {
		*k = (struct shim_kept){.level = 0};
		return 0;
	}
	k = shim_kept_find(fresh, 0, 0);
	if (!k)
		return -ENOBUFS;
	*k = (struct shim_kept){.level = IPPROTO_UDP, .name = IP_ADD_MEMBERSHIP, .val = val};
	return 0;
}

int shim_group_set(int fd, struct shim_local *l, int level, int name, const void *val, socklen_t len)
{
	struct membership m = {.ifindex = 0};
	int r = -ENOPROTOOPT;

	if (l->dgram && lane_settings_own(&shim.settings) && (level == IPPROTO_IP || level == IPPROTO_IPV6))
		r = parse(level, name, val, len, &m);
	if (r == 0 && shim_join() && shim_own_mode() && is_lanes(&m))
		return l->kind == SHIM_SOCK ? change(l, &m) : change_fresh(l, &m);
	return shim_libc()->setsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
}

int shim_group_adopt(const struct shim_local *fresh, struct lane_udp *pcb)
{
	struct lane_ip group;
	int r = 0;

	for (unsigned int i = 0; i < SHIM_KEPT && r == 0; i++) {
		if (!is_group(&fresh->kept[i]))
			continue;
		group = lane_ip4((uint32_t)fresh->kept[i].val);
		r = lane_udp_join(shim.view.ln, pcb, 0, &group, NULL);
	}
	return r;
}
