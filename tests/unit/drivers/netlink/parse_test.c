/*
 * parse_test.c - drivers/control/netlink/parse.c on messages made here
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "drivers/control/netlink/mirror.h"

#define OURS     4
#define OTHER    9
#define LOWER_UP (1 << 16)

static char buf[4096];
static struct mirror *m;

static int setup(void **state)
{
	m = calloc(1, sizeof(*m));
	m->ifindex = OURS;
	return 0;
}

static int teardown(void **state)
{
	free(m);
	return 0;
}

static struct nlmsghdr *begin(uint16_t type, const void *header, size_t len)
{
	struct nlmsghdr *h;

	memset(buf, 0, sizeof(buf));
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(h, len), header, len);
	return h;
}

static struct lane_ip ip(const char *s)
{
	struct in6_addr a6;
	struct in_addr a4;

	if (inet_pton(AF_INET, s, &a4) == 1)
		return lane_ip4(a4.s_addr);
	assert_int_equal(inet_pton(AF_INET6, s, &a6), 1);
	return lane_ip6(&a6);
}

static void put_ip(struct nlmsghdr *h, uint16_t type, const char *s)
{
	struct lane_ip a = ip(s);

	if (lane_ip_is4(&a))
		mnl_attr_put(h, type, 4, a.b + 12);
	else
		mnl_attr_put(h, type, 16, a.b);
}

static void assert_ip(const struct lane_ip *got, const char *want)
{
	struct lane_ip w = ip(want);

	assert_memory_equal(got, &w, sizeof(w));
}

/* ---- links ---- */

static void test_link__figures(void **state)
{
	static const uint8_t mac[6] = {2, 3, 4, 5, 6, 7};
	struct ifinfomsg i = {.ifi_index = OURS, .ifi_flags = IFF_UP | LOWER_UP};
	struct nlmsghdr *h = begin(RTM_NEWLINK, &i, sizeof(i));

	mnl_attr_put_u32(h, IFLA_MTU, 9000);
	mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	lane_mirror_link(h, m);
	assert_true(m->up);
	assert_false(m->loopback);
	assert_int_equal(m->mtu, 9000);
	assert_memory_equal(m->mac.b, mac, 6);
	i.ifi_flags = IFF_UP; /* no carrier */
	lane_mirror_link(begin(RTM_NEWLINK, &i, sizeof(i)), m);
	assert_false(m->up);
	i.ifi_index = OTHER;
	i.ifi_flags = IFF_UP | LOWER_UP;
	lane_mirror_link(begin(RTM_NEWLINK, &i, sizeof(i)), m);
	assert_false(m->up);
}

/* What lies behind the end of a message is not of it. */
static void test_link__cut_short(void **state)
{
	struct ifinfomsg i = {.ifi_index = OURS, .ifi_flags = IFF_UP | LOWER_UP};
	struct nlmsghdr *h = begin(RTM_NEWLINK, &i, sizeof(i));

	h->nlmsg_len -= 4;
	lane_mirror_link(h, m);
	assert_false(m->up);
}

/* ---- addresses ---- */

static void addr(uint32_t ifindex, unsigned char family, unsigned char plen, uint32_t flags,
		 const char *local, const char *address)
{
	struct ifaddrmsg i = {.ifa_family = family, .ifa_prefixlen = plen, .ifa_index = ifindex};
	struct nlmsghdr *h = begin(RTM_NEWADDR, &i, sizeof(i));

	mnl_attr_put_u32(h, IFA_FLAGS, flags);
	if (local)
		put_ip(h, IFA_LOCAL, local);
	put_ip(h, IFA_ADDRESS, address);
	lane_mirror_addr(h, m);
}

static void test_addr__local_not_the_peers(void **state)
{
	addr(OURS, AF_INET, 24, 0, "10.0.0.1", "10.0.0.2");
	addr(OURS, AF_INET6, 64, 0, NULL, "fd00::1");
	addr(OTHER, AF_INET, 24, 0, "10.0.1.1", "10.0.1.1");
	assert_int_equal(m->nr_addrs, 2);
	assert_ip(&m->addr[0].ip, "10.0.0.1");
	assert_int_equal(m->addr[0].plen, 24);
	assert_false(m->addr[0].whole_prefix);
	assert_ip(&m->addr[1].ip, "fd00::1");
}

static void test_addr__tentative_and_deprecated(void **state)
{
	addr(OURS, AF_INET6, 64, IFA_F_TENTATIVE, NULL, "fd00::1");
	addr(OURS, AF_INET6, 64, IFA_F_DADFAILED, NULL, "fd00::2");
	addr(OURS, AF_INET6, 64, IFA_F_DEPRECATED, NULL, "fd00::3");
	assert_int_equal(m->nr_addrs, 1);
	assert_true(m->addr[0].deprecated);
}

static void test_addr__loopback_has_the_whole_prefix(void **state)
{
	m->loopback = true;
	addr(OURS, AF_INET, 8, 0, "127.0.0.1", "127.0.0.1");
	addr(OURS, AF_INET6, 128, 0, NULL, "::1");
	assert_true(m->addr[0].whole_prefix);
	assert_false(m->addr[1].whole_prefix);
}

static void test_addr__too_many_are_counted(void **state)
{
	for (int i = 0; i < LANE_NET_ADDRS + 3; i++)
		addr(OURS, AF_INET, 24, 0, "10.0.0.1", "10.0.0.1");
	assert_int_equal(m->nr_addrs, LANE_NET_ADDRS);
	assert_int_equal(m->nr_lost, 3);
}

/* ---- routes ---- */

static struct nlmsghdr *route(unsigned char family, unsigned char table, unsigned char type,
			      unsigned char plen)
{
	struct rtmsg i = {
		.rtm_family = family,
		.rtm_table = table,
		.rtm_type = type,
		.rtm_dst_len = plen,
	};

	return begin(RTM_NEWROUTE, &i, sizeof(i));
}

static const struct lane_net_route *parsed(const struct nlmsghdr *h)
{
	uint32_t before = m->nr_routes;

	lane_mirror_route(h, m);
	return m->nr_routes > before ? &m->route[before] : NULL;
}

static void test_route__by_us_and_by_others(void **state)
{
	struct nlmsghdr *h = route(AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 0);
	const struct lane_net_route *r;
	struct nlattr *metrics;

	put_ip(h, RTA_GATEWAY, "10.0.0.2");
	put_ip(h, RTA_PREFSRC, "10.0.0.1");
	mnl_attr_put_u32(h, RTA_OIF, OURS);
	mnl_attr_put_u32(h, RTA_PRIORITY, 100);
	metrics = mnl_attr_nest_start(h, RTA_METRICS);
	mnl_attr_put_u32(h, RTAX_MTU, 1400);
	mnl_attr_nest_end(h, metrics);
	r = parsed(h);
	assert_int_equal(r->kind, LANE_ROUTE_UNICAST);
	assert_ip(&r->dst, "0.0.0.0");
	assert_ip(&r->gw, "10.0.0.2");
	assert_ip(&r->src, "10.0.0.1");
	assert_int_equal(r->metric, 100);
	assert_int_equal(r->mtu, 1400);
	h = route(AF_INET6, RT_TABLE_MAIN, RTN_UNICAST, 64);
	put_ip(h, RTA_DST, "fd01::");
	mnl_attr_put_u32(h, RTA_OIF, OTHER);
	r = parsed(h);
	assert_int_equal(r->kind, LANE_ROUTE_ELSEWHERE);
	assert_ip(&r->dst, "fd01::");
	assert_int_equal(r->plen, 64);
}

static void test_route__kinds(void **state)
{
	assert_int_equal(parsed(route(AF_INET, RT_TABLE_MAIN, RTN_UNREACHABLE, 8))->kind,
			 LANE_ROUTE_UNREACHABLE);
	assert_int_equal(parsed(route(AF_INET, RT_TABLE_MAIN, RTN_BLACKHOLE, 8))->kind,
			 LANE_ROUTE_UNREACHABLE);
	assert_int_equal(parsed(route(AF_INET, RT_TABLE_LOCAL, RTN_LOCAL, 32))->kind,
			 LANE_ROUTE_ELSEWHERE);
	assert_null(parsed(route(AF_INET, RT_TABLE_LOCAL, RTN_BROADCAST, 32)));
	assert_null(parsed(route(AF_INET6, RT_TABLE_LOCAL, RTN_MULTICAST, 8)));
	assert_null(parsed(route(AF_INET, 77, RTN_UNICAST, 8)));
}

static void test_route__link_local_of_others_is_left_out(void **state)
{
	struct nlmsghdr *h = route(AF_INET6, RT_TABLE_MAIN, RTN_UNICAST, 64);

	put_ip(h, RTA_DST, "fe80::");
	mnl_attr_put_u32(h, RTA_OIF, OTHER);
	assert_null(parsed(h));
	h = route(AF_INET6, RT_TABLE_MAIN, RTN_UNICAST, 64);
	put_ip(h, RTA_DST, "fe80::");
	mnl_attr_put_u32(h, RTA_OIF, OURS);
	assert_int_equal(parsed(h)->kind, LANE_ROUTE_UNICAST);
}

/* "unreachable ::ffff:0:0/96", which some systems have, says nothing of IPv4; nor would a source like that. */
static void test_route__ip6_to_mapped_addresses(void **state)
{
	struct nlmsghdr *h = route(AF_INET6, RT_TABLE_MAIN, RTN_UNREACHABLE, 96);
	struct lane_ip mapped = ip("0.0.0.0");

	mnl_attr_put(h, RTA_DST, 16, mapped.b);
	assert_null(parsed(h));
	h = route(AF_INET6, RT_TABLE_MAIN, RTN_UNICAST, 64);
	put_ip(h, RTA_DST, "fd01::");
	mapped = ip("10.0.0.1");
	mnl_attr_put(h, RTA_PREFSRC, 16, mapped.b);
	mnl_attr_put_u32(h, RTA_OIF, OURS);
	assert_ip(&parsed(h)->src, "::");
}

static void put_hop(struct nlmsghdr *h, uint32_t ifindex, const char *gw)
{
	struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(h);
	uint16_t start = (uint16_t)h->nlmsg_len;

	memset(nh, 0, sizeof(*nh));
	h->nlmsg_len += sizeof(*nh);
	put_ip(h, RTA_GATEWAY, gw);
	nh->rtnh_ifindex = (int)ifindex;
	nh->rtnh_len = (unsigned short)(h->nlmsg_len - start);
}

static void test_route__multipath_prefers_us(void **state)
{
	struct nlmsghdr *h = route(AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 8);
	struct nlattr *mp;
	const struct lane_net_route *r;

	put_ip(h, RTA_DST, "11.0.0.0");
	mp = mnl_attr_nest_start(h, RTA_MULTIPATH);
	put_hop(h, OTHER, "10.0.1.2");
	put_hop(h, OURS, "10.0.0.2");
	mnl_attr_nest_end(h, mp);
	r = parsed(h);
	assert_int_equal(r->kind, LANE_ROUTE_UNICAST);
	assert_ip(&r->gw, "10.0.0.2");
}

static void test_route__ip4_by_an_ip6_gateway(void **state)
{
	struct nlmsghdr *h = route(AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 8);
	struct lane_ip gw = ip("fe80::2");
	uint8_t via[18] = {0};
	uint16_t family = AF_INET6;

	memcpy(via, &family, 2);
	memcpy(via + 2, gw.b, 16);
	mnl_attr_put(h, RTA_VIA, sizeof(via), via);
	mnl_attr_put_u32(h, RTA_OIF, OURS);
	assert_ip(&parsed(h)->gw, "fe80::2");
}

static void test_default_route(void **state)
{
	struct nlmsghdr *h = route(AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 0);
	uint32_t ifindex, metric;

	mnl_attr_put_u32(h, RTA_OIF, OTHER);
	mnl_attr_put_u32(h, RTA_PRIORITY, 5);
	assert_true(lane_mirror_default_route(h, &ifindex, &metric));
	assert_int_equal(ifindex, OTHER);
	assert_int_equal(metric, 5);
	assert_false(lane_mirror_default_route(route(AF_INET, RT_TABLE_MAIN, RTN_UNREACHABLE, 0),
					       &ifindex, &metric));
	assert_false(lane_mirror_default_route(route(AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 8),
					       &ifindex, &metric));
}

/* ---- neighbours ---- */

static const struct mirror_neigh *neigh(uint16_t type, uint32_t ifindex, uint16_t nud,
					uint8_t flags, bool with_mac)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct ndmsg i = {
		.ndm_family = AF_INET,
		.ndm_ifindex = (int)ifindex,
		.ndm_state = nud,
		.ndm_flags = flags,
	};
	struct nlmsghdr *h = begin(type, &i, sizeof(i));
	uint32_t before = m->nr_neighs;

	put_ip(h, NDA_DST, "10.0.0.2");
	if (with_mac)
		mnl_attr_put(h, NDA_LLADDR, 6, mac);
	lane_mirror_neigh(h, m);
	return m->nr_neighs > before ? &m->neigh[before] : NULL;
}

static void test_neigh__states(void **state)
{
	const struct mirror_neigh *n = neigh(RTM_NEWNEIGH, OURS, NUD_STALE, 0, true);

	assert_true(n->known);
	assert_int_equal(n->mac.b[5], 9);
	assert_ip(&n->ip, "10.0.0.2");
	n = neigh(RTM_NEWNEIGH, OURS, NUD_FAILED, 0, false);
	assert_true(n->failed && !n->known);
	n = neigh(RTM_NEWNEIGH, OURS, NUD_INCOMPLETE, 0, false);
	assert_false(n->failed || n->known);
	n = neigh(RTM_DELNEIGH, OURS, NUD_REACHABLE, 0, true);
	assert_false(n->failed || n->known);
	assert_null(neigh(RTM_NEWNEIGH, OTHER, NUD_REACHABLE, 0, true));
	assert_null(neigh(RTM_NEWNEIGH, OURS, NUD_REACHABLE, NTF_PROXY, true));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_link__figures),
		CASE(test_link__cut_short),
		CASE(test_addr__local_not_the_peers),
		CASE(test_addr__tentative_and_deprecated),
		CASE(test_addr__loopback_has_the_whole_prefix),
		CASE(test_addr__too_many_are_counted),
		CASE(test_route__by_us_and_by_others),
		CASE(test_route__kinds),
		CASE(test_route__link_local_of_others_is_left_out),
		CASE(test_route__ip6_to_mapped_addresses),
		CASE(test_route__multipath_prefers_us),
		CASE(test_route__ip4_by_an_ip6_gateway),
		CASE(test_default_route),
		CASE(test_neigh__states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
