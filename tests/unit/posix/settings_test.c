/*
 * settings_test.c - posix/keeper/config.c, knobs.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "posix/keeper/config.h"

static char conf[64];

static void clear(void)
{
	int i;

	for (i = 0; i < LANE_NR_SETTINGS; i++)
		unsetenv(lane_setting_env((enum lane_setting)i));
	setenv("LANE_CONF", "/dev/null", 1);
}

static void write_conf(const char *text)
{
	FILE *f;

	snprintf(conf, sizeof(conf), "/tmp/lane-%d.conf", getpid());
	f = fopen(conf, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	setenv("LANE_CONF", conf, 1);
}

static int teardown(void **state)
{
	(void)state;
	if (conf[0])
		unlink(conf);
	clear();
	return 0;
}

static void test_load__defaults(void **state)
{
	struct lane_settings s;
	char err[256];

	(void)state;
	clear();
	assert_int_equal(lane_settings_load(&s, err), 0);
	assert_string_equal(s.ifname, "");
	assert_int_equal(s.memory, 64 << 20);
	assert_int_equal(s.profile, 0);
	assert_int_equal(s.spin_us, 20);
	assert_int_equal(s.xdp.mode, LANE_XDP_AUTO);
	assert_int_equal(s.from[LANE_SET_MEMORY], LANE_FROM_DEFAULT);
}

static void test_load__file_then_environment(void **state)
{
	struct lane_settings s;
	char err[256];

	(void)state;
	clear();
	write_conf("# a comment\n\n  memory = 128M # more\nif=eth7\r\nprofile = latency\nwithout=sg,busy-poll\n");
	setenv("LANE_IF", "eth8", 1);
	assert_int_equal(lane_settings_load(&s, err), 0);
	assert_int_equal(s.memory, 128 << 20);
	assert_int_equal(s.from[LANE_SET_MEMORY], LANE_FROM_FILE);
	assert_int_equal(s.line[LANE_SET_MEMORY], 3);
	assert_string_equal(s.ifname, "eth8");
	assert_string_equal(s.xdp.ifname, "eth8");
	assert_int_equal(s.from[LANE_SET_IF], LANE_FROM_ENV);
	assert_int_equal(s.spin_us, 1000000);
	assert_int_equal(s.xdp.without, LANE_XDP_F_SG | LANE_XDP_F_BUSY_POLL);
}

static void test_if__a_list(void **state)
{
	struct lane_settings s;
	char err[256], text[64];

	(void)state;
	clear();
	write_conf("if = eth0, lo\n");
	assert_int_equal(lane_settings_load(&s, err), 0);
	assert_int_equal(s.nr_ifs, 2);
	assert_string_equal(s.ifname, "eth0");
	assert_string_equal(s.xdp.ifname, "eth0");
	assert_string_equal(s.ifs[1], "lo");
	/* One twice is once. */
	assert_int_equal(lane_settings_set(&s, LANE_SET_IF, ",lo,eth1,lo", LANE_FROM_OPTION, err),
			 0);
	lane_settings_get(&s, LANE_SET_IF, text, sizeof(text));
	assert_string_equal(text, "lo,eth1");
	assert_int_equal(lane_settings_set(&s, LANE_SET_IF, "a,b,c,d", LANE_FROM_OPTION, err), 0);
	assert_int_equal(lane_settings_set(&s, LANE_SET_IF, "a,b,c,d,e", LANE_FROM_OPTION, err),
			 -EINVAL);
	assert_int_equal(lane_settings_set(&s, LANE_SET_IF, "lo,a/b", LANE_FROM_OPTION, err),
			 -EINVAL);
	assert_int_equal(s.nr_ifs, 4);
}

static void test_load__unknown_key_names_file_and_line(void **state)
{
	struct lane_settings s;
	char err[256], want[128];

	(void)state;
	clear();
	write_conf("memory = 64M\nmemroy = 64M\n");
	assert_int_equal(lane_settings_load(&s, err), -EINVAL);
	snprintf(want, sizeof(want), "%s:2: unknown key: 'memroy'", conf);
	assert_string_equal(err, want);
}

static void test_load__no_equals_sign(void **state)
{
	struct lane_settings s;
	char err[256];

	(void)state;
	clear();
	write_conf("memory 64M\n");
	assert_int_equal(lane_settings_load(&s, err), -EINVAL);
	assert_non_null(strstr(err, ":1: not 'key = value'"));
}

static void test_load__a_file_that_is_named_must_exist(void **state)
{
	struct lane_settings s;
	char err[256];

	(void)state;
	clear();
	setenv("LANE_CONF", "/nonexistent/lane.conf", 1);
	assert_int_equal(lane_settings_load(&s, err), -EINVAL);
	assert_non_null(strstr(err, "/nonexistent/lane.conf"));
}

static void test_load__bad_environment_names_the_variable(void **state)
{
	struct lane_settings s;
	char err[256];

	(void)state;
	clear();
	setenv("LANE_MEMORY", "much", 1);
	assert_int_equal(lane_settings_load(&s, err), -EINVAL);
	assert_non_null(strstr(err, "LANE_MEMORY"));
}

static void test_set__bad_values(void **state)
{
	static const struct {
		enum lane_setting which;
		const char *value;
	} bad[] = {
		{LANE_SET_IF, "a-name-that-is-too-long"}, {LANE_SET_IF, "a/b"},
		{LANE_SET_MEMORY, "1M"},		  {LANE_SET_MEMORY, "64MB"},
		{LANE_SET_MEMORY, "-1"},		  {LANE_SET_MEMORY, ""},
		{LANE_SET_SPIN_US, "-5"},		  {LANE_SET_SPIN_US, "20us"},
		{LANE_SET_PROFILE, "fast"},		  {LANE_SET_MODE, "skb"},
		{LANE_SET_ZEROCOPY, "yes"},		  {LANE_SET_WITHOUT, "sg,,busy-poll"},
		{LANE_SET_WITHOUT, "everything"},	  {LANE_SET_PORTS, "80,"},
		{LANE_SET_PORTS, "80-"},		  {LANE_SET_PORTS, "90-80"},
		{LANE_SET_PORTS, "70000"},		  {LANE_SET_CONGESTION, "vegas"},	  {LANE_SET_PORTS, "http"},
		{LANE_SET_DRIVER, "e1000"},		  {LANE_SET_ADDRESS, "10.0.0.2"},
		{LANE_SET_ADDRESS, "10.0.0.2/33"},	  {LANE_SET_ADDRESS, "10.0.0/8"},
		{LANE_SET_ADDRESS, "fd00::2/64x"},	  {LANE_SET_GATEWAY, "10.0.0.1/24"},
		{LANE_SET_DHCP, "yes"},
	};
	struct lane_settings s;
	char err[256];
	size_t i;

	(void)state;
	lane_settings_default(&s);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = 0;
		assert_int_equal(lane_settings_set(&s, bad[i].which, bad[i].value, LANE_FROM_OPTION, err),
				 -EINVAL);
		assert_true(err[0] != 0);
		assert_int_equal(s.from[bad[i].which], LANE_FROM_DEFAULT);
	}
}

static void test_get__gives_what_set_takes(void **state)
{
	static const char *const values[LANE_NR_SETTINGS] = {
		[LANE_SET_IF] = "eth0",	      [LANE_SET_MEMORY] = "67108864",
		[LANE_SET_SPIN_US] = "35",    [LANE_SET_PROFILE] = "throughput",
		[LANE_SET_MODE] = "native",   [LANE_SET_ZEROCOPY] = "off",
		[LANE_SET_WITHOUT] = "sg,zerocopy", [LANE_SET_PORTS] = "80,8000-8100",
		[LANE_SET_CONGESTION] = "dctcp", [LANE_SET_DRIVER] = "tap",
		[LANE_SET_ADDRESS] = "10.0.0.2/24,fd00::2/64", [LANE_SET_GATEWAY] = "10.0.0.1,fd00::1",
		[LANE_SET_DHCP] = "on",	      [LANE_SET_EAL] = "--vdev net_tap0,iface=t0 -m 64",
	};
	struct lane_settings s;
	char err[256], text[256];
	int i;

	(void)state;
	lane_settings_default(&s);
	for (i = 0; i < LANE_NR_SETTINGS; i++) {
		assert_int_equal(lane_settings_set(&s, (enum lane_setting)i, values[i],
						   LANE_FROM_OPTION, err), 0);
		lane_settings_get(&s, (enum lane_setting)i, text, sizeof(text));
		assert_string_equal(text, values[i]);
	}
}

static void test_own__which_settings_make_it(void **state)
{
	struct lane_settings s;
	char err[256];

	(void)state;
	lane_settings_default(&s);
	assert_false(lane_settings_own(&s));
	assert_int_equal(lane_settings_set(&s, LANE_SET_ADDRESS, "10.0.0.2/24, fd00::2/64",
					   LANE_FROM_OPTION, err), 0);
	assert_true(lane_settings_own(&s));
	assert_int_equal(s.own.nr_addrs, 2);
	assert_int_equal(s.own.addr[0].plen, 24);
	assert_int_equal(s.own.addr[1].ip.b[0], 0xfd);
	lane_settings_default(&s);
	assert_int_equal(lane_settings_set(&s, LANE_SET_DHCP, "on", LANE_FROM_OPTION, err), 0);
	assert_true(lane_settings_own(&s));
	lane_settings_default(&s);
	assert_int_equal(lane_settings_set(&s, LANE_SET_DRIVER, "tap", LANE_FROM_OPTION, err), 0);
	assert_true(lane_settings_own(&s));
}

static void test_eal_device__names_it(void **state)
{
	static const char *const of[][2] = {
		{"--vdev net_memif0,role=server,socket=/tmp/m", "net_memif0"},
		{"-m 64 --vdev=net_tap0 --vdev net_tap1", "net_tap0"},
		{"-a 0000:03:00.0", "0000:03:00.0"},
		{"-a0000:03:00.1,x=1 --log-level=7", "0000:03:00.1"},
		{"--allow 0000:04:00.0", "0000:04:00.0"},
		{"--vdev net_virtio_user0,path=/tmp/v", "net_virtio_user"}, /* 15 characters */
		{"--no-pci -m 64", ""},
		{"", ""},
		{"--vdev", ""},
	};
	char name[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		lane_config_eal_device(of[i][0], name);
		assert_string_equal(name, of[i][1]);
	}
}

static void test_port_ok__ranges(void **state)
{
	struct lane_settings s;
	char err[256];

	(void)state;
	lane_settings_default(&s);
	assert_true(lane_settings_port_ok(&s, 22));
	assert_int_equal(lane_settings_set(&s, LANE_SET_PORTS, "80,8000-8100", LANE_FROM_OPTION, err), 0);
	assert_true(lane_settings_port_ok(&s, 80));
	assert_true(lane_settings_port_ok(&s, 8000));
	assert_true(lane_settings_port_ok(&s, 8100));
	assert_false(lane_settings_port_ok(&s, 8101));
	assert_false(lane_settings_port_ok(&s, 22));
}

static void own_text(const char *address, const char *gateway, const char *dhcp, char out[LANE_OWN_TEXT])
{
	struct lane_settings s;
	char err[256];

	lane_settings_default(&s);
	assert_int_equal(lane_settings_set(&s, LANE_SET_ADDRESS, address, LANE_FROM_OPTION, err), 0);
	assert_int_equal(lane_settings_set(&s, LANE_SET_GATEWAY, gateway, LANE_FROM_OPTION, err), 0);
	assert_int_equal(lane_settings_set(&s, LANE_SET_DHCP, dhcp, LANE_FROM_OPTION, err), 0);
	lane_settings_own_text(&s, out);
}

static void test_own_text__is_the_same_for_the_same(void **state)
{
	char text[LANE_OWN_TEXT], again[LANE_OWN_TEXT];

	(void)state;
	own_text("", "", "off", text);
	assert_string_equal(text, "the kernel's");
	own_text("", "", "on", text);
	assert_string_equal(text, "by dhcp");
	own_text("10.0.0.2/24,fd00:0::2/64", "fd00::1,10.0.0.1", "off", text);
	assert_string_equal(text, "10.0.0.2/24,fd00::2/64 gateway 10.0.0.1 gateway fd00::1");
	own_text(" 10.0.0.2/24 fd00::0:2/64", "10.0.0.1 fd00::1", "off", again);
	assert_string_equal(text, again);
	own_text("fd00::2/64", "", "on", text);
	assert_string_equal(text, "fd00::2/64 by dhcp");
}

static void test_export__is_loaded_again(void **state)
{
	struct lane_settings s, t;
	char err[256];

	(void)state;
	clear();
	lane_settings_default(&s);
	lane_settings_set(&s, LANE_SET_IF, "veth3", LANE_FROM_OPTION, err);
	lane_settings_set(&s, LANE_SET_SPIN_US, "7", LANE_FROM_FILE, err);
	lane_settings_export(&s);
	assert_null(getenv("LANE_MEMORY")); /* defaults are not handed on */
	assert_int_equal(lane_settings_load(&t, err), 0);
	assert_string_equal(t.ifname, "veth3");
	assert_int_equal(t.spin_us, 7);
}

/* ---- posix/keeper/knobs.c ---- */

static void test_knobs__every_one_reads_as_its_sysctl(void **state)
{
	char path[80], text[160], value[160];
	struct lane_config cfg;
	uint64_t mask;
	unsigned int i;
	size_t n;
	FILE *f;

	(void)state;
	lane_config_default(&cfg);
	mask = lane_knobs_read(&cfg);
	for (i = 0; lane_knob_name(i); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/%s", lane_knob_name(i));
		f = mask >> i & 1 ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		text[n] = 0;
		text[strcspn(text, "\n")] = 0;
		for (n = 0; text[n]; n++)
			text[n] = text[n] == '\t' ? ' ' : text[n];
		lane_knob_get(&cfg, i, value, sizeof(value));
		assert_string_equal(value, text);
	}
}

static void test_knobs__defaults_are_the_kernels(void **state)
{
	static const char *const expect[][2] = {
		{"ipv4/tcp_rmem", "4096 131072 6291456"},
		{"ipv4/tcp_fin_timeout", "60"},
		{"ipv4/tcp_keepalive_time", "7200"},
		{"ipv4/tcp_notsent_lowat", "4294967295"},
		{"ipv4/tcp_congestion_control", "cubic"},
	};
	struct lane_config cfg;
	char value[160];
	unsigned int i, k;

	(void)state;
	lane_config_default(&cfg);
	for (i = 0; lane_knob_name(i); i++) {
		lane_knob_get(&cfg, i, value, sizeof(value));
		for (k = 0; k < sizeof(expect) / sizeof(expect[0]); k++) {
			if (!strcmp(lane_knob_name(i), expect[k][0]))
				assert_string_equal(value, expect[k][1]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_knobs__every_one_reads_as_its_sysctl),
		cmocka_unit_test(test_knobs__defaults_are_the_kernels),
		cmocka_unit_test_teardown(test_load__defaults, teardown),
		cmocka_unit_test_teardown(test_load__file_then_environment, teardown),
		cmocka_unit_test_teardown(test_if__a_list, teardown),
		cmocka_unit_test_teardown(test_load__unknown_key_names_file_and_line, teardown),
		cmocka_unit_test_teardown(test_load__no_equals_sign, teardown),
		cmocka_unit_test_teardown(test_load__a_file_that_is_named_must_exist, teardown),
		cmocka_unit_test_teardown(test_load__bad_environment_names_the_variable, teardown),
		cmocka_unit_test_teardown(test_set__bad_values, teardown),
		cmocka_unit_test_teardown(test_get__gives_what_set_takes, teardown),
		cmocka_unit_test_teardown(test_eal_device__names_it, teardown),
		cmocka_unit_test_teardown(test_port_ok__ranges, teardown),
		cmocka_unit_test_teardown(test_own__which_settings_make_it, teardown),
		cmocka_unit_test_teardown(test_own_text__is_the_same_for_the_same, teardown),
		cmocka_unit_test_teardown(test_export__is_loaded_again, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
