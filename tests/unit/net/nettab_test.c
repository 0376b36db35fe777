/*
 * nettab_test.c - tests of stack/net/nettab.c
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "lane-int/nettab.h"

static struct lane_ip ip(const char *text)
{
	uint8_t b[16];
	uint32_t be;

	if (inet_pton(AF_INET, text, &be) == 1)
		return lane_ip4(be);
	assert_int_equal(inet_pton(AF_INET6, text, b), 1);
	return lane_ip6(b);
}

static void add_addr(struct lane_nettab *t, unsigned int i, const char *text, uint8_t plen)
{
	t->addr[i] = (struct lane_net_addr){.ip = ip(text), .plen = plen, .used = 1};
}

static void add_route(struct lane_nettab *t, const char *dst, uint8_t plen, const char *gw,
		      uint8_t kind, uint32_t metric)
{
	struct lane_net_route r = {.dst = ip(dst), .plen = plen, .kind = kind, .metric = metric};

	if (gw)
		r.gw = ip(gw);
	assert_int_equal(lane_net_route_add(t, &r), 0);
}

static int setup(void **state)
{
	struct lane_nettab *t = malloc(sizeof(*t));

	lane_net_init(t);
	lane_net_write_begin(t);
	add_addr(t, 0, "192.0.2.1", 24);
	t->addr[0].bcast = ip("192.0.2.255");
	add_addr(t, 1, "fe80::1", 64);
	add_addr(t, 2, "2001:db8::1", 64);
	add_addr(t, 3, "10.1.0.1", 16);
	add_addr(t, 4, "2001:db8::2", 64);
	t->addr[4].deprecated = 1;
	add_route(t, "0.0.0.0", 0, "192.0.2.254", LANE_ROUTE_UNICAST, 100);
	add_route(t, "192.0.2.0", 24, NULL, LANE_ROUTE_UNICAST, 0);
	add_route(t, "10.1.0.0", 16, NULL, LANE_ROUTE_UNICAST, 0);
	add_route(t, "10.2.0.0", 16, NULL, LANE_ROUTE_ELSEWHERE, 0);
	add_route(t, "10.2.3.0", 24, NULL, LANE_ROUTE_UNREACHABLE, 0);
	add_route(t, "2001:db8::", 64, NULL, LANE_ROUTE_UNICAST, 0);
	add_route(t, "fe80::", 64, NULL, LANE_ROUTE_UNICAST, 0);
	lane_net_write_end(t, true);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void test_addr__own_and_foreign(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_ip a = ip("10.1.0.1"), b = ip("10.1.0.2"), c = ip("2001:db8::1");

	assert_int_equal(lane_net_addr(t, &a), 3);
	assert_int_equal(lane_net_addr(t, &b), -1);
	assert_int_equal(lane_net_addr(t, &c), 2);
}

static void test_addr__whole_prefix_of_loopback(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_ip a = ip("127.1.2.3"), b = ip("128.0.0.1");

	lane_net_write_begin(t);
	add_addr(t, 5, "127.0.0.1", 8);
	t->addr[5].whole_prefix = 1;
	lane_net_write_end(t, true);
	assert_int_equal(lane_net_addr(t, &a), 5);
	assert_int_equal(lane_net_addr(t, &b), -1);
}

static void test_addr_mask__families(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_ip any6 = ip("::"), any4 = ip("0.0.0.0"), one = ip("fe80::1"),
		       none = ip("1.2.3.4");

	assert_int_equal(lane_net_addr_mask(t, &any6, false), 0x1f);
	assert_int_equal(lane_net_addr_mask(t, &any6, true), 0x16);
	assert_int_equal(lane_net_addr_mask(t, &any4, false), 0x09);
	assert_int_equal(lane_net_addr_mask(t, &one, false), 0x02);
	assert_int_equal(lane_net_addr_mask(t, &none, false), 0);
}

static void test_is_group__kinds(void **state)
{
	static const char *const groups[] = {"224.0.0.1", "255.255.255.255", "192.0.2.255",
					     "ff02::1"};
	static const char *const others[] = {"192.0.2.1", "240.0.0.1", "192.0.3.255", "fe80::1"};

	for (unsigned int i = 0; i < 4; i++) {
		struct lane_ip g = ip(groups[i]), o = ip(others[i]);

		assert_true(lane_net_is_group(*state, &g));
		assert_false(lane_net_is_group(*state, &o));
	}
}

static int route(void **state, const char *dst, struct lane_net_hop *hop)
{
	struct lane_ip d = ip(dst), src = {.d = {0, 0}};

	return lane_net_route(*state, &d, &src, hop);
}

static void assert_hop(void **state, const char *dst, const char *next, const char *src)
{
	struct lane_ip n = ip(next), s = ip(src);
	struct lane_net_hop hop;

	assert_int_equal(route(state, dst, &hop), 0);
	assert_true(lane_ip_equal(&hop.next, &n));
	assert_true(lane_ip_equal(&hop.src, &s));
	assert_int_equal(hop.mtu, 1500);
}

static void test_route__longest_prefix_and_source(void **state)
{
	assert_hop(state, "192.0.2.7", "192.0.2.7", "192.0.2.1");
	assert_hop(state, "8.8.8.8", "192.0.2.254", "192.0.2.1");
	assert_hop(state, "10.1.9.9", "10.1.9.9", "10.1.0.1");
	assert_hop(state, "2001:db8::9", "2001:db8::9", "2001:db8::1");
	assert_hop(state, "fe80::9", "fe80::9", "fe80::1");
}

static void test_route__not_ours(void **state)
{
	struct lane_net_hop hop;

	assert_int_equal(route(state, "10.2.0.1", &hop), -EXDEV);
	assert_int_equal(route(state, "10.2.3.4", &hop), -ENETUNREACH);
	assert_int_equal(route(state, "2001:db9::1", &hop), -ENETUNREACH);
	assert_int_equal(route(state, "10.1.0.1", &hop), -EXDEV);
	assert_int_equal(route(state, "224.0.0.1", &hop), -EXDEV);
}

/* A source of IPv6 has no way to a mapped address: its packets would be of no family. */
static void test_route__source_of_the_other_family(void **state)
{
	struct lane_ip src = ip("2001:db8::1"), dst = ip("192.0.2.7");
	struct lane_net_hop hop;

	assert_int_equal(lane_net_route(*state, &dst, &src, &hop), -EXDEV);
	assert_int_equal(lane_net_route(*state, &src, &dst, &hop), -EXDEV);
}

static void test_route__metric_decides_between_equals(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_net_hop hop;
	struct lane_ip gw = ip("192.0.2.253");

	lane_net_write_begin(t);
	add_route(t, "0.0.0.0", 0, "192.0.2.253", LANE_ROUTE_UNICAST, 50);
	lane_net_write_end(t, true);
	assert_int_equal(route(state, "8.8.8.8", &hop), 0);
	assert_true(lane_ip_equal(&hop.next, &gw));
}

static void test_route__loopback_is_on_link(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_net_hop hop;
	struct lane_ip home = ip("127.0.0.1");

	lane_net_write_begin(t);
	t->loopback = 1;
	add_addr(t, 5, "127.0.0.1", 8);
	t->addr[5].whole_prefix = 1;
	lane_net_write_end(t, true);
	assert_int_equal(route(state, "127.0.0.9", &hop), 0);
	assert_true(lane_ip_equal(&hop.src, &home));
	assert_int_equal(route(state, "192.0.2.1", &hop), 0);
	assert_int_equal(route(state, "8.8.8.8", &hop), -EXDEV);
}

static void test_route_add__full(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_net_route r = {.dst = ip("1.2.3.4"), .plen = 32};

	t->nr_routes = 0;
	for (unsigned int i = 0; i < LANE_NET_ROUTES; i++)
		assert_int_equal(lane_net_route_add(t, &r), 0);
	assert_int_equal(lane_net_route_add(t, &r), -ENOSPC);
}

static struct lane_ip nth(unsigned int i)
{
	return lane_ip4(htonl(0x0a010000 + i));
}

static void test_neigh__unknown_leaves_one_request(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_ip a = nth(1), got;
	struct lane_mac mac;

	assert_int_equal(lane_net_neigh(t, &a, &mac), -EAGAIN);
	assert_int_equal(lane_net_neigh(t, &a, &mac), -EAGAIN);
	assert_true(lane_net_wanted_pop(t, &got));
	assert_true(lane_ip_equal(&a, &got));
	assert_false(lane_net_wanted_pop(t, &got));
}

static void test_neigh__ring_of_requests_overflows_counted(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_mac mac;
	struct lane_ip got;
	unsigned int nr = 0;

	for (unsigned int i = 0; i < LANE_NET_WANTED + 3; i++) {
		struct lane_ip a = nth(i);

		assert_int_equal(lane_net_neigh(t, &a, &mac), -EAGAIN);
	}
	assert_int_equal(t->nr_wanted_lost, 3);
	while (lane_net_wanted_pop(t, &got))
		nr++;
	assert_int_equal(nr, LANE_NET_WANTED);
}

static void test_neigh__failed_is_unreachable(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_ip a = nth(1);
	struct lane_mac mac;

	assert_int_equal(lane_net_neigh_set(t, &a, NULL, true), 0);
	assert_int_equal(lane_net_neigh(t, &a, &mac), -EHOSTUNREACH);
}

static struct lane_mac mac_of(unsigned int i)
{
	return (struct lane_mac){{2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}};
}

/* Fills the table to the last entry, removes every third, and finds exactly the rest. */
static void test_neigh_set__full_and_removal(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_ip more = nth(LANE_NET_NEIGHS);
	struct lane_mac mac = mac_of(0);

	for (unsigned int i = 0; i < LANE_NET_NEIGHS; i++) {
		struct lane_ip a = nth(i);

		mac = mac_of(i);
		assert_int_equal(lane_net_neigh_set(t, &a, &mac, false), 0);
	}
	assert_int_equal(lane_net_neigh_set(t, &more, &mac, false), -ENOSPC);
	for (unsigned int i = 0; i < LANE_NET_NEIGHS; i += 3) {
		struct lane_ip a = nth(i);

		assert_int_equal(lane_net_neigh_set(t, &a, NULL, false), 0);
	}
	for (unsigned int i = 0; i < LANE_NET_NEIGHS; i++) {
		struct lane_ip a = nth(i);
		struct lane_mac want = mac_of(i);
		int r = lane_net_neigh(t, &a, &mac);

		assert_int_equal(r, i % 3 == 0 ? -EAGAIN : 0);
		if (r == 0)
			assert_memory_equal(&mac, &want, sizeof(mac));
	}
}

static void test_write__versions(void **state)
{
	struct lane_nettab *t = *state;
	uint32_t version = t->version, neigh_version = t->neigh_version;

	lane_net_write_begin(t);
	assert_true(t->seq & 1);
	lane_net_write_end(t, false);
	assert_false(t->seq & 1);
	assert_int_equal(t->version, version);
	assert_int_equal(t->neigh_version, neigh_version + 1);
}

/* A writer that died inside leaves readers alive, and its successor in order. */
static void test_write__after_a_dead_writer(void **state)
{
	struct lane_nettab *t = *state;
	struct lane_ip a = ip("192.0.2.1");

	lane_net_write_begin(t);
	assert_int_equal(lane_net_addr(t, &a), 0);
	lane_net_write_begin(t);
	lane_net_write_end(t, true);
	assert_false(t->seq & 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_addr__own_and_foreign),
		T(test_addr__whole_prefix_of_loopback),
		T(test_addr_mask__families),
		T(test_is_group__kinds),
		T(test_route__longest_prefix_and_source),
		T(test_route__not_ours),
		T(test_route__source_of_the_other_family),
		T(test_route__metric_decides_between_equals),
		T(test_route__loopback_is_on_link),
		T(test_route_add__full),
		T(test_neigh__unknown_leaves_one_request),
		T(test_neigh__ring_of_requests_overflows_counted),
		T(test_neigh__failed_is_unreachable),
		T(test_neigh_set__full_and_removal),
		T(test_write__versions),
		T(test_write__after_a_dead_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
