/*
 * rss_test.c - tests of drivers/dpdk/rss.c
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "drivers/dpdk/rss.h"

/* The key and the flows by which Microsoft's specification of RSS lets implementations be verified. */
static const uint8_t ms_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static struct lane_ep ep(const char *ip, uint16_t port)
{
	uint8_t b[16];

	if (inet_pton(AF_INET6, ip, b) == 1)
		return (struct lane_ep){lane_ip6(b), port};
	assert_int_equal(inet_pton(AF_INET, ip, b), 1);
	return (struct lane_ep){lane_ip4(*(uint32_t *)b), port};
}

static unsigned int put(uint8_t *in, const struct lane_ep *e, unsigned int skip)
{
	memcpy(in, e->ip.b + skip, 16 - skip);
	return 16 - skip;
}

static uint32_t hash(const char *from, uint16_t from_port, const char *to, uint16_t to_port, bool ports)
{
	struct lane_ep a = ep(from, from_port), b = ep(to, to_port);
	unsigned int skip = lane_ip_is4(&a.ip) ? 12 : 0, n;
	uint8_t in[36];

	n = put(in, &a, skip);
	n += put(in + n, &b, skip);
	if (ports) {
		in[n++] = (uint8_t)(from_port >> 8);
		in[n++] = (uint8_t)from_port;
		in[n++] = (uint8_t)(to_port >> 8);
		in[n++] = (uint8_t)to_port;
	}
	return lane_rss_toeplitz(ms_key, in, n);
}

static void test_toeplitz__as_the_specification(void **state)
{
	assert_int_equal(hash("66.9.149.187", 2794, "161.142.100.80", 1766, false), 0x323e8fc2);
	assert_int_equal(hash("66.9.149.187", 2794, "161.142.100.80", 1766, true), 0x51ccc178);
	assert_int_equal(hash("199.92.111.2", 14230, "65.69.140.83", 4739, true), 0xc626b0ea);
	assert_int_equal(hash("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, true), 0x40207d3d);
	assert_int_equal(hash("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, false), 0x2cc18cd5);
}

static struct lane_rss even(unsigned int queues)
{
	struct lane_rss r = {.reta_size = 128, .tcp4 = true, .tcp6 = true};

	lane_rss_set_key(&r, 40);
	for (unsigned int i = 0; i < 128; i++)
		r.reta[i] = (uint8_t)(i % queues);
	return r;
}

static void test_queue__is_one_for_both_directions(void **state)
{
	struct lane_rss r = even(8);

	for (uint16_t port = 1024; port < 2024; port++) {
		struct lane_ep a = ep("10.0.0.1", 80), b = ep("10.0.0.2", port);

		assert_int_equal(lane_rss_queue(&r, &a, &b), lane_rss_queue(&r, &b, &a));
	}
}

static void test_queue__ports_choose_among_all(void **state)
{
	struct lane_rss r = even(4);
	unsigned int nr[4] = {0};

	for (uint16_t port = 32768; port < 33792; port++) {
		struct lane_ep l = ep("2001:db8::1", port), p = ep("2001:db8::2", 443);

		nr[lane_rss_queue(&r, &l, &p)]++;
	}
	for (unsigned int i = 0; i < 4; i++)
		assert_in_range(nr[i], 128, 512);
}

static void test_queue__without_ports_one_for_a_peer(void **state)
{
	struct lane_rss r = even(4);
	struct lane_ep l = ep("10.0.0.1", 1), p = ep("10.0.0.2", 80);
	unsigned int first;

	r.tcp4 = false;
	first = lane_rss_queue(&r, &l, &p);
	for (l.port = 1; l.port < 1000; l.port++)
		assert_int_equal(lane_rss_queue(&r, &l, &p), first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_toeplitz__as_the_specification),
		cmocka_unit_test(test_queue__is_one_for_both_directions),
		cmocka_unit_test(test_queue__ports_choose_among_all),
		cmocka_unit_test(test_queue__without_ports_one_for_a_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
