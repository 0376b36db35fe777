/*
 * fixed_test.c - tests of drivers/control/fixed/fixed.c
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "drivers/control/fixed/fixed.h"
#include "lane-int/nettab.h"

static struct lane_ip ip(const char *text)
{
	struct lane_ip a;

	assert_int_equal(lane_fixed_parse_ip(text, &a), 0);
	return a;
}

static void test_parse__what_is_no_address(void **state)
{
	static const char *const addrs[] = {"", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0/8", "fd00::1/129",
					    "fd00::1/x", "/8", "10.0.0.1/8 "};
	static const char *const neighs[] = {"", "10.0.0.1", "10.0.0.1=", "10.0.0.1=02:00:00:00:00",
					     "10.0.0.1=02:00:00:00:00:01:02", "x=02:00:00:00:00:01"};
	struct lane_fixed f = {.nr_addrs = 0};

	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++)
		assert_int_equal(lane_fixed_add_addr(&f, addrs[i]), -EINVAL);
	for (size_t i = 0; i < sizeof(neighs) / sizeof(neighs[0]); i++)
		assert_int_equal(lane_fixed_add_neigh(&f, neighs[i]), -EINVAL);
	assert_int_equal(lane_fixed_set_gateway(&f, "10.0.0"), -EINVAL);
	assert_int_equal(f.nr_addrs + f.nr_neighs, 0);
}

static void test_add__no_more_than_there_is_room(void **state)
{
	struct lane_fixed f = {.nr_addrs = 0};

	for (unsigned int i = 0; i < LANE_FIXED_ADDRS; i++)
		assert_int_equal(lane_fixed_add_addr(&f, "10.0.0.1/24"), 0);
	assert_int_equal(lane_fixed_add_addr(&f, "10.0.0.1/24"), -ENOSPC);
	for (unsigned int i = 0; i < LANE_FIXED_NEIGHS; i++)
		assert_int_equal(lane_fixed_add_neigh(&f, "10.0.0.2=02:00:00:00:00:01"), 0);
	assert_int_equal(lane_fixed_add_neigh(&f, "10.0.0.2=02:00:00:00:00:01"), -ENOSPC);
}

static struct lane_nettab net;

static void publish(void)
{
	struct lane_fixed f = {.ifname = "port", .mtu = 1400, .mac = {{2, 0, 0, 0, 0, 9}}};

	assert_int_equal(lane_fixed_add_addr(&f, "10.0.1.2/23"), 0);
	assert_int_equal(lane_fixed_add_addr(&f, "fd00:0:0:1::2/64"), 0);
	assert_int_equal(lane_fixed_add_neigh(&f, "10.0.0.1=02:00:00:00:00:01"), 0);
	assert_int_equal(lane_fixed_add_neigh(&f, "fd00:0:0:1::1=02:00:00:00:00:03"), 0);
	assert_int_equal(lane_fixed_set_gateway(&f, "10.0.0.1"), 0);
	assert_int_equal(lane_fixed_set_gateway(&f, "fd00:0:0:1::1"), 0);
	lane_net_init(&net);
	lane_fixed_publish(&f, &net);
}

static void expect_hop(const char *dst, const char *next, const char *src, uint8_t mac)
{
	struct lane_ip d = ip(dst), n = ip(next), s = ip(src), any = {.d = {0, 0}};
	struct lane_net_hop hop;
	struct lane_mac m;

	assert_int_equal(lane_net_route(&net, &d, &any, &hop), 0);
	assert_true(lane_ip_equal(&hop.next, &n));
	assert_true(lane_ip_equal(&hop.src, &s));
	assert_int_equal(hop.mtu, 1400);
	assert_int_equal(lane_net_neigh(&net, &hop.next, &m), mac ? 0 : -EAGAIN);
	if (mac)
		assert_int_equal(m.b[5], mac);
}

static void test_publish__ways(void **state)
{
	publish();
	expect_hop("10.0.0.77", "10.0.0.77", "10.0.1.2", 0);
	expect_hop("10.0.0.1", "10.0.0.1", "10.0.1.2", 1);
	expect_hop("192.0.2.1", "10.0.0.1", "10.0.1.2", 1);
	expect_hop("fd00:0:0:1::5", "fd00:0:0:1::5", "fd00:0:0:1::2", 0);
	expect_hop("2001:db8::1", "fd00:0:0:1::1", "fd00:0:0:1::2", 3);
}

static void test_publish__addresses(void **state)
{
	struct lane_ip ours = ip("10.0.1.2"), bcast = ip("10.0.1.255"), not = ip("10.0.0.255");

	publish();
	assert_true(net.up);
	assert_string_equal(net.ifname, "port");
	assert_int_equal(net.mac.b[5], 9);
	assert_true(lane_net_addr(&net, &ours) >= 0);
	assert_int_equal(lane_net_addr(&net, &not), -1);
	assert_true(lane_net_is_group(&net, &bcast));
	assert_false(lane_net_is_group(&net, &not));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__what_is_no_address),
		cmocka_unit_test(test_add__no_more_than_there_is_room),
		cmocka_unit_test(test_publish__ways),
		cmocka_unit_test(test_publish__addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
