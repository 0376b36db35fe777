/*
 * keeper_ifs_test.c - posix/keeper: one keeper for two interfaces
 *
 * In a network namespace of its own, which goes with the process. Needs root and LANE_TOOL, as
 * keeper_test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lane-int/ifs.h"
#include "posix/keeper/proto.h"

/* Waits until nobody serves the interface. */
static bool is_gone(const char *ifname)
{
	struct timespec ts = {.tv_nsec = 10000000};

	for (int i = 0; i < 500; i++) {
		if (!keeper_pid(ifname))
			return true;
		nanosleep(&ts, NULL);
	}
	return false;
}

static void test_join__two_interfaces(void **state)
{
	struct lane_settings settings, s;
	char err[KEEPER_ERR];
	const char *tool = getenv("LANE_TOOL");
	enum shim_fallback why;
	struct shim_view v;

	(void)state;
	if (!tool || access(tool, X_OK) || geteuid() != 0 || unshare(CLONE_NEWNET))
		skip();
	if (system("ip link set lo up && ip link add lanet0 type veth peer name lanet1 && ip link "
		   "set lanet0 up && "
		   "ip link set lanet1 up") != 0)
		skip();
	lane_settings_default(&settings);
	lane_settings_set(&settings, LANE_SET_MEMORY, "16M", LANE_FROM_OPTION, err);
	lane_settings_set(&settings, LANE_SET_IF, "lanet0,lo", LANE_FROM_OPTION, err);
	assert_int_equal(keeper_join(&settings, &v, &why, err), 0);
	assert_int_equal(lane_nr_ifs(v.ln), 2);
	assert_string_equal(lane_nettab_at(v.ln, 1)->ifname, "lo");
	assert_true(lane_nettab_at(v.ln, 1)->loopback);
	assert_true(v.xdp[1].claims >= 0 && v.xdp[1].link >= 0 && v.xdp[1].xsk[0] >= 0);
	assert_int_equal(lane_queue(v.ln, v.a->xdp[0].nr_queues)->ifi, 1);
	assert_true(v.a->xdp[0].bound && v.a->xdp[1].bound);
	assert_int_equal(keeper_pid("lo"), v.a->keeper_pid);
	assert_int_equal(keeper_pid("lanet0"), v.a->keeper_pid);
	/* Found by any of its names; what it lacks is said. */
	s = settings;
	lane_settings_set(&s, LANE_SET_IF, "lanet1,lo", LANE_FROM_OPTION, err);
	assert_int_equal(keeper_start(&s, err), 0);
	assert_string_equal(s.ifname, "lo");
	assert_string_equal(s.without_ifs, "lanet1");
	shim_arena_unmap(&v);
	assert_true(is_gone("lanet0"));
	assert_true(is_gone("lo"));
	assert_int_equal(system("ip link del lanet0"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join__two_interfaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
