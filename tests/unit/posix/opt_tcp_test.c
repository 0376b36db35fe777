/*
 * opt_tcp_test.c - limits and roundings of options, as Linux has them (posix.md 83)
 */
#include <limits.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "posix/sock.h"

static struct lane_config cfg = {.rmem_max = 212992, .wmem_max = 212992, .ttl = 64,
				 .fin_timeout_us = 60000000};
static struct lane_tcp_opts_set o;

static int set(int level, int name, int val)
{
	return shim_tcp_opt_store(&o, &cfg, LANE_TCP_ESTABLISHED, level, name, val);
}

static void test_store__buffers_double_within_limits(void **state)
{
	assert_int_equal(set(SOL_SOCKET, SO_RCVBUF, 10000), 0);
	assert_int_equal(o.rcvbuf, 20000);
	set(SOL_SOCKET, SO_RCVBUF, 1);
	assert_int_equal(o.rcvbuf, 2304);
	set(SOL_SOCKET, SO_SNDBUF, 1);
	assert_int_equal(o.sndbuf, 4608);
	set(SOL_SOCKET, SO_SNDBUF, INT_MAX);
	assert_int_equal(o.sndbuf, 2 * 212992);
	set(SOL_SOCKET, SO_SNDBUF, -1); /* unsigned, as Linux */
	assert_int_equal(o.sndbuf, 2 * 212992);
}

static void test_store__limits(void **state)
{
	static const struct {
		int name, min, max;
	} limit[] = {{TCP_KEEPIDLE, 1, 32767}, {TCP_KEEPINTVL, 1, 32767}, {TCP_KEEPCNT, 1, 127},
		     {TCP_SYNCNT, 1, 127}, {TCP_MAXSEG, 88, 32767}, {TCP_USER_TIMEOUT, 0, INT_MAX}};

	for (unsigned int i = 0; i < sizeof(limit) / sizeof(limit[0]); i++) {
		assert_int_equal(set(IPPROTO_TCP, limit[i].name, limit[i].min), 0);
		assert_int_equal(set(IPPROTO_TCP, limit[i].name, limit[i].max), 0);
		assert_int_equal(set(IPPROTO_TCP, limit[i].name, -1), -EINVAL);
		if (limit[i].min > 1)
			assert_int_equal(set(IPPROTO_TCP, limit[i].name, limit[i].min - 1), -EINVAL);
		if (limit[i].max < INT_MAX)
			assert_int_equal(set(IPPROTO_TCP, limit[i].name, limit[i].max + 1), -EINVAL);
	}
	assert_int_equal(o.keepidle_us, 32767000000ULL);
	assert_int_equal(o.user_timeout_us, UINT32_MAX);
}

static void test_store__defer_accept_rounds_to_retransmissions(void **state)
{
	static const int in[] = {0, 1, 2, 5, 7, 8}, out[] = {0, 1, 3, 7, 7, 15};

	for (int i = 0; i < 6; i++) {
		assert_int_equal(set(IPPROTO_TCP, TCP_DEFER_ACCEPT, in[i]), 0);
		assert_int_equal(o.defer_accept_us, (unsigned int)out[i] * 1000000);
	}
}

static void test_store__linger2_and_window_clamp(void **state)
{
	set(IPPROTO_TCP, TCP_LINGER2, 500);
	assert_int_equal(o.linger2_us, 120000000);
	set(IPPROTO_TCP, TCP_LINGER2, 0);
	assert_int_equal(o.linger2_us, cfg.fin_timeout_us);
	assert_int_equal(set(IPPROTO_TCP, TCP_WINDOW_CLAMP, 1), 0);
	assert_int_equal(o.window_clamp, 1152);
	assert_int_equal(set(IPPROTO_TCP, TCP_WINDOW_CLAMP, 0), -EINVAL);
	assert_int_equal(shim_tcp_opt_store(&o, &cfg, LANE_TCP_CLOSED, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0),
			 0);
	assert_int_equal(o.window_clamp, 0);
}

static void test_store__ip_level(void **state)
{
	assert_int_equal(set(IPPROTO_IP, IP_TOS, 0xff), 0);
	assert_int_equal(o.tos, 0xfc); /* the ECN bits are TCP's */
	assert_int_equal(set(IPPROTO_IP, IP_TTL, 0), -EINVAL);
	assert_int_equal(set(IPPROTO_IP, IP_TTL, 256), -EINVAL);
	assert_int_equal(set(IPPROTO_IP, IP_TTL, 9), 0);
	assert_int_equal(o.ttl, 9);
	assert_int_equal(set(IPPROTO_IP, IP_TTL, -1), 0);
	assert_int_equal(o.ttl, 64);
	assert_int_equal(set(IPPROTO_IPV6, IPV6_TCLASS, 256), -EINVAL);
}

static void test_store__unknown_is_not_ours(void **state)
{
	assert_int_equal(set(SOL_SOCKET, SO_LINGER, 1), -ENOPROTOOPT);
	assert_int_equal(set(IPPROTO_TCP, 9999, 1), -ENOPROTOOPT);
	assert_int_equal(set(IPPROTO_IP, IP_RECVERR, 1), -ENOPROTOOPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store__buffers_double_within_limits),
		cmocka_unit_test(test_store__limits),
		cmocka_unit_test(test_store__defer_accept_rounds_to_retransmissions),
		cmocka_unit_test(test_store__linger2_and_window_clamp),
		cmocka_unit_test(test_store__ip_level),
		cmocka_unit_test(test_store__unknown_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
