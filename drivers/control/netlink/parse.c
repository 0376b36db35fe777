/*
 * parse.c - rtnetlink messages (links, addresses, routes, neighbours) to the mirror's records
 *
 * What the nettab does not need is left out here: routes of other tables than main and local,
 * cached, dead, broadcast and multicast routes, addresses that are still tentative, proxies.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "mirror.h"

#define ATTRS 64 /* highest attribute looked at */

/* From <linux/if.h>, which does not go with <net/if.h>. */
#define LINK_LOWER_UP (1 << 16)

struct attrs {
	const struct nlattr *at[ATTRS];
};

static int note(const struct nlattr *a, void *data)
{
	struct attrs *t = data;

	if (mnl_attr_get_type(a) < ATTRS)
		t->at[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static struct attrs attrs_of(const struct nlmsghdr *h, size_t header)
{
	struct attrs t = {0};

	mnl_attr_parse(h, (unsigned int)header, note, &t);
	return t;
}

/* The header of a message, of 'size' bytes, or NULL: it is cut short. */
static const void *header_of(const struct nlmsghdr *h, size_t size)
{
	return mnl_nlmsg_get_payload_len(h) >= size ? mnl_nlmsg_get_payload(h) : NULL;
}

static uint32_t u32_or(const struct nlattr *a, uint32_t otherwise)
{
	return a && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : otherwise;
}

static bool get_ip(const struct nlattr *a, int family, struct lane_ip *ip)
{
	uint32_t be;

	if (!a)
		return false;
	if (family == AF_INET && mnl_attr_get_payload_len(a) >= 4) {
		memcpy(&be, mnl_attr_get_payload(a), 4);
		*ip = lane_ip4(be);
		return true;
	}
	if (family == AF_INET6 && mnl_attr_get_payload_len(a) >= 16) {
		struct lane_ip v6 = lane_ip6(mnl_attr_get_payload(a));

		/* To us a mapped address is IPv4's; IPv6 routes to ::ffff:0:0/96 say nothing of that. */
		if (lane_ip_is4(&v6))
			return false;
		*ip = v6;
		return true;
	}
	return false;
}

int lane_mirror_link(const struct nlmsghdr *h, void *data)
{
	const struct ifinfomsg *i = header_of(h, sizeof(*i));
	struct mirror *m = data;
	struct attrs t = attrs_of(h, sizeof(*i));
	const struct nlattr *mac = t.at[IFLA_ADDRESS];

	if (!i || (uint32_t)i->ifi_index != m->ifindex)
		return MNL_CB_OK;
	m->up = i->ifi_flags & IFF_UP && i->ifi_flags & LINK_LOWER_UP;
	m->loopback = i->ifi_flags & IFF_LOOPBACK;
	m->mtu = u32_or(t.at[IFLA_MTU], 1500);
	if (mac && mnl_attr_get_payload_len(mac) == sizeof(m->mac.b))
		memcpy(m->mac.b, mnl_attr_get_payload(mac), sizeof(m->mac.b));
	return MNL_CB_OK;
}

int lane_mirror_addr(const struct nlmsghdr *h, void *data)
{
	const struct ifaddrmsg *i = header_of(h, sizeof(*i));
	struct mirror *m = data;
	struct attrs t = attrs_of(h, sizeof(*i));
	struct lane_net_addr a = {.used = 1};
	uint32_t flags;

	if (!i || i->ifa_index != m->ifindex)
		return MNL_CB_OK;
	flags = u32_or(t.at[IFA_FLAGS], i->ifa_flags);
	if (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
		return MNL_CB_OK;
	a.plen = i->ifa_prefixlen;
	/* On a point-to-point link IFA_ADDRESS is the peer's. */
	if (!get_ip(t.at[IFA_LOCAL], i->ifa_family, &a.ip) &&
	    !get_ip(t.at[IFA_ADDRESS], i->ifa_family, &a.ip))
		return MNL_CB_OK;
	if (m->nr_addrs == LANE_NET_ADDRS) {
		m->nr_lost++;
		return MNL_CB_OK;
	}
	a.deprecated = i->ifa_family == AF_INET6 && flags & IFA_F_DEPRECATED;
	/* The kernel makes the whole prefix of an address on lo local. */
	a.whole_prefix = m->loopback && i->ifa_family == AF_INET;
	get_ip(t.at[IFA_BROADCAST], i->ifa_family, &a.bcast);
	m->addr[m->nr_addrs++] = a;
	return MNL_CB_OK;
}

/* A gateway, of the route or of a next hop; IPv4 may go by an IPv6 neighbour (RTA_VIA). */
static void get_gateway(const struct attrs *t, int family, struct lane_ip *gw)
{
	const struct nlattr *via = t->at[RTA_VIA];
	const struct rtvia *v;
	uint32_t be;

	if (get_ip(t->at[RTA_GATEWAY], family, gw) || !via ||
	    mnl_attr_get_payload_len(via) < sizeof(*v))
		return;
	v = mnl_attr_get_payload(via);
	if (v->rtvia_family == AF_INET6 && mnl_attr_get_payload_len(via) >= sizeof(*v) + 16)
		*gw = lane_ip6(v->rtvia_addr);
	if (v->rtvia_family == AF_INET && mnl_attr_get_payload_len(via) >= sizeof(*v) + 4) {
		memcpy(&be, v->rtvia_addr, sizeof(be));
		*gw = lane_ip4(be);
	}
}

/* Of several next hops the first by our interface, if there is one; else any (*ifindex is its). */
static void get_multipath(const struct nlattr *mp, int family, uint32_t ours, uint32_t *ifindex,
			  struct lane_ip *gw)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(mp);
	size_t left = mnl_attr_get_payload_len(mp);

	while (left >= sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) && nh->rtnh_len <= left) {
		struct attrs t = {0};

		*ifindex = (uint32_t)nh->rtnh_ifindex;
		if (*ifindex == ours && !(nh->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN))) {
			mnl_attr_parse_payload(nh + 1, nh->rtnh_len - sizeof(*nh), note, &t);
			get_gateway(&t, family, gw);
			return;
		}
		left -= NLMSG_ALIGN(nh->rtnh_len) <= left ? NLMSG_ALIGN(nh->rtnh_len) : left;
		nh = (const void *)((const char *)nh + NLMSG_ALIGN(nh->rtnh_len));
	}
}

static uint32_t get_mtu(const struct nlattr *metrics)
{
	struct attrs t = {0};

	if (metrics)
		mnl_attr_parse_nested(metrics, note, &t);
	return u32_or(t.at[RTAX_MTU], 0);
}

/* True when the nettab wants routes of this kind; *kind is filled but for whose interface it is. */
static bool wanted_route(const struct rtmsg *r, const struct attrs *t, uint8_t *kind)
{
	uint32_t table = u32_or(t->at[RTA_TABLE], r->rtm_table);

	if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL)
		return false;
	if (r->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD | RTNH_F_LINKDOWN) ||
	    (r->rtm_family != AF_INET && r->rtm_family != AF_INET6))
		return false;
	switch (r->rtm_type) {
	case RTN_UNICAST:
		*kind = LANE_ROUTE_UNICAST;
		return true;
	case RTN_LOCAL: /* our own are in the address table, which is asked first */
		*kind = LANE_ROUTE_ELSEWHERE;
		return true;
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
	case RTN_BLACKHOLE:
		*kind = LANE_ROUTE_UNREACHABLE;
		return true;
	default:
		return false;
	}
}

int lane_mirror_route(const struct nlmsghdr *h, void *data)
{
	const struct rtmsg *i = header_of(h, sizeof(*i));
	struct mirror *m = data;
	struct attrs t = attrs_of(h, sizeof(*i));
	struct lane_net_route r = {.metric = u32_or(t.at[RTA_PRIORITY], 0)};
	uint32_t ifindex = u32_or(t.at[RTA_OIF], 0);

	if (!i || !wanted_route(i, &t, &r.kind))
		return MNL_CB_OK;
	r.plen = i->rtm_dst_len;
	if (i->rtm_family == AF_INET)
		r.dst = lane_ip4(0);
	if (t.at[RTA_DST] && !get_ip(t.at[RTA_DST], i->rtm_family, &r.dst))
		return MNL_CB_OK;
	get_gateway(&t, i->rtm_family, &r.gw);
	if (t.at[RTA_MULTIPATH])
		get_multipath(t.at[RTA_MULTIPATH], i->rtm_family, m->ifindex, &ifindex, &r.gw);
	get_ip(t.at[RTA_PREFSRC], i->rtm_family, &r.src);
	r.mtu = get_mtu(t.at[RTA_METRICS]);
	if (ifindex != m->ifindex && r.kind == LANE_ROUTE_UNICAST)
		r.kind = LANE_ROUTE_ELSEWHERE;
	/* Link-local destinations belong to a link: others' do not matter to this one. */
	if (r.kind == LANE_ROUTE_ELSEWHERE && r.dst.b[0] == 0xfe && (r.dst.b[1] & 0xc0) == 0x80)
		return MNL_CB_OK;
	if (m->nr_routes == LANE_NET_ROUTES)
		m->nr_lost++;
	else
		m->route[m->nr_routes++] = r;
	return MNL_CB_OK;
}

int lane_mirror_neigh(const struct nlmsghdr *h, void *data)
{
	const struct ndmsg *i = header_of(h, sizeof(*i));
	struct mirror *m = data;
	struct attrs t = attrs_of(h, sizeof(*i));
	const struct nlattr *mac = t.at[NDA_LLADDR];
	struct mirror_neigh n = {.failed = false};
	const uint16_t good =
		NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;

	if (!i || (uint32_t)i->ndm_ifindex != m->ifindex || i->ndm_flags & NTF_PROXY ||
	    i->ndm_type == RTN_MULTICAST || i->ndm_type == RTN_BROADCAST ||
	    !get_ip(t.at[NDA_DST], i->ndm_family, &n.ip))
		return MNL_CB_OK;
	if (h->nlmsg_type == RTM_NEWNEIGH) {
		n.failed = i->ndm_state & NUD_FAILED;
		n.known = i->ndm_state & good && mac &&
			  mnl_attr_get_payload_len(mac) == sizeof(n.mac.b);
	}
	if (n.known)
		memcpy(n.mac.b, mnl_attr_get_payload(mac), sizeof(n.mac.b));
	if (m->nr_neighs == LANE_NET_NEIGHS)
		m->nr_lost++;
	else
		m->neigh[m->nr_neighs++] = n;
	return MNL_CB_OK;
}

bool lane_mirror_default_route(const struct nlmsghdr *h, uint32_t *ifindex, uint32_t *metric)
{
	const struct rtmsg *i = header_of(h, sizeof(*i));
	struct attrs t = attrs_of(h, sizeof(*i));
	struct lane_ip gw;
	uint8_t kind;

	if (!i || i->rtm_dst_len != 0 || u32_or(t.at[RTA_TABLE], i->rtm_table) != RT_TABLE_MAIN ||
	    !wanted_route(i, &t, &kind) || kind != LANE_ROUTE_UNICAST)
		return false;
	*ifindex = u32_or(t.at[RTA_OIF], 0);
	if (t.at[RTA_MULTIPATH])
		get_multipath(t.at[RTA_MULTIPATH], i->rtm_family, 0, ifindex, &gw);
	*metric = u32_or(t.at[RTA_PRIORITY], 0);
	return *ifindex != 0;
}
