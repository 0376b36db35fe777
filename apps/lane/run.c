/*
 * run.c - lane run: starts the keeper, announces this pid, becomes the program
 *
 * It never forks the program (supervisors watch the pid that they started) and prints nothing
 * when all is well. Where something is in the way, one line says what, and the program runs on the
 * kernel; with --strict it does not run.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/dpdk/dpdk.h"
#include "lane-int/nettab.h"
#include "tool.h"

/* As env(1) and nohup(1) end: the tool failed, not executable, not found. */
enum { RUN_FAILED = 125, RUN_CANNOT = 126, RUN_NOT_FOUND = 127 };

enum { OPT_STRICT = 256, OPT_SET };

static const struct option options[] = {
	{"interface", required_argument, NULL, 'i'},
	{"mode", required_argument, NULL, OPT_SET + LANE_SET_MODE},
	{"zerocopy", required_argument, NULL, OPT_SET + LANE_SET_ZEROCOPY},
	{"memory", required_argument, NULL, OPT_SET + LANE_SET_MEMORY},
	{"profile", required_argument, NULL, OPT_SET + LANE_SET_PROFILE},
	{"spin", required_argument, NULL, OPT_SET + LANE_SET_SPIN_US},
	{"without", required_argument, NULL, OPT_SET + LANE_SET_WITHOUT},
	{"ports", required_argument, NULL, OPT_SET + LANE_SET_PORTS},
	{"congestion", required_argument, NULL, OPT_SET + LANE_SET_CONGESTION},
	{"driver", required_argument, NULL, OPT_SET + LANE_SET_DRIVER},
	{"address", required_argument, NULL, OPT_SET + LANE_SET_ADDRESS},
	{"gateway", required_argument, NULL, OPT_SET + LANE_SET_GATEWAY},
	{"dhcp", no_argument, NULL, OPT_SET + LANE_SET_DHCP},
	{"eal", required_argument, NULL, OPT_SET + LANE_SET_EAL},
	{"strict", no_argument, NULL, OPT_STRICT},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void help(void)
{
	puts("usage: lane run [options] [--] PROGRAM [ARGUMENTS]\n\n"
	     "Runs PROGRAM with its TCP and UDP sockets on the lane of an interface, or of up to 4.\n\n"
	     "  -i, --interface IF   the interface, or several: -i eth0 -i lo, or -i eth0,lo; else\n"
	     "                       the one with the default route\n"
	     "      --profile P      default, latency (spin for long) or throughput (never spin)\n"
	     "      --spin US        microseconds to spin before a wait sleeps\n"
	     "      --mode M         auto, generic or native XDP\n"
	     "      --zerocopy Z     auto, on or off\n"
	     "      --memory N       bytes of the arena (K, M, G); 64M\n"
	     "      --ports LIST     serve these local ports only: 80,443,8000-8100\n"
	     "      --congestion C   cubic, reno, dctcp or bbr; else net.ipv4.tcp_congestion_control\n"
	     "  -d, --driver D       xdp, tap or dpdk; these two, --address and --dhcp: the lane has an\n"
	     "                       address of its own, and the interface to itself\n"
	     "                       (docs/own-address.md)\n"
	     "      --eal OPTIONS    dpdk: EAL's: '--vdev net_af_packet0,iface=eth1' (docs/drivers.md)\n"
	     "      --address A      10.0.0.2/24, fd00::2/64 or a list\n"
	     "      --gateway G      10.0.0.1, fd00::1 or both\n"
	     "      --dhcp           IPv4 address and gateway by DHCP\n"
	     "      --without LIST   do not use these kernel features (for tests): sg,\n"
	     "                       tx-metadata, map-late, need-wakeup, sk-lookup, syncookie,\n"
	     "                       unaligned, busy-poll, zerocopy, super-segments\n"
	     "      --strict         fail instead of running on the kernel\n\n"
	     "Each can be set in lane.conf and the environment too: see 'lane config'. The first\n"
	     "program on an interface decides its mode, zerocopy, memory and features.");
}

/* -i once more: one more interface. */
static int set_interface(struct lane_settings *s, char *err)
{
	char list[TOOL_ERR] = "";
	size_t len;

	if (s->from[LANE_SET_IF] == LANE_FROM_OPTION)
		lane_settings_get(s, LANE_SET_IF, list, sizeof(list));
	len = strlen(list);
	snprintf(list + len, sizeof(list) - len, ",%s", optarg);
	return lane_settings_set(s, LANE_SET_IF, list, LANE_FROM_OPTION, err);
}

/* 0 and *s, *strict; or the exit code + 1. */
static int parse(int argc, char **argv, struct lane_settings *s, bool *strict)
{
	char err[TOOL_ERR];
	int c, r;

	if (lane_settings_load(s, err)) {
		complain("%s", err);
		return RUN_FAILED + 1;
	}
	while ((c = getopt_long(argc, argv, "+i:d:h", options, NULL)) != -1) {
		if (c == 'h') {
			help();
			return 1;
		}
		if (c == '?')
			return RUN_FAILED + 1;
		if (c == OPT_STRICT) {
			*strict = true;
			continue;
		}
		r = c == 'i' ? set_interface(s, err)
			     : lane_settings_set(s, c == 'd' ? LANE_SET_DRIVER : (enum lane_setting)(c - OPT_SET),
						 optarg ? optarg : "on", LANE_FROM_OPTION, err);
		if (r) {
			complain("%s", err);
			return RUN_FAILED + 1;
		}
	}
	if (optind < argc)
		return 0;
	complain("no program to run; 'lane run --help' tells more");
	return RUN_FAILED + 1;
}

/* LD_PRELOAD with our library in front of what is there. */
static int set_preload(const char *library, char *err)
{
	const char *old = getenv("LD_PRELOAD");
	char *value;
	int r;

	if (strpbrk(library, " :")) {
		snprintf(err, TOOL_ERR, "the loader takes no path with blanks or colons: %.150s",
			 library);
		return -EINVAL;
	}
	if (old && strstr(old, library))
		return 0;
	if (asprintf(&value, "%s%s%s", library, old && *old ? ":" : "", old ? old : "") < 0)
		return -ENOMEM;
	r = setenv("LD_PRELOAD", value, 1) ? -errno : 0;
	free(value);
	return r;
}

/* gcc's address sanitizer ends a program that has another library in front of it, unless it is told not to
 * look; the order does no harm. Nobody else reads the variable. */
static int set_sanitizer(void)
{
	static const char order[] = "verify_asan_link_order";
	const char *old = getenv("ASAN_OPTIONS");
	char *value;
	int r;

	if (old && strstr(old, order))
		return 0;
	if (asprintf(&value, "%s%s%s=0", old ? old : "", old && *old ? ":" : "", order) < 0)
		return -ENOMEM;
	r = setenv("ASAN_OPTIONS", value, 1) ? -errno : 0;
	free(value);
	return r;
}

/* A keeper that was there before, and perhaps only ends what its last program left, may have been opened otherwise. */
static int check_mode(const struct lane_settings *s, char *err)
{
	char own[LANE_OWN_TEXT], has[LANE_OWN_TEXT];
	struct shim_view v;
	bool other_mode;
	int r = keeper_observe(s->ifname, &v, err);

	if (r)
		return r;
	lane_settings_own_text(s, own);
	memcpy(has, v.a->own, sizeof(has));
	other_mode = lane_settings_own(s) != !!lane_nettab(v.ln)->own || v.a->driver != (uint32_t)s->driver;
	shim_arena_unmap(&v);
	if (!other_mode && !strcmp(own, has))
		return 0;
	if (other_mode)
		snprintf(err, TOOL_ERR,
			 "the keeper of %s (pid %d) was opened %s addresses of its own or by another driver: 'lane stop "
			 "-i %s' ends it",
			 s->ifname, keeper_pid(s->ifname), lane_settings_own(s) ? "without" : "with", s->ifname);
	else
		snprintf(err, TOOL_ERR,
			 "the keeper of %s (pid %d) was opened with other addresses (%.90s): it ends a minute after its "
			 "last program at most, or by 'lane stop -i %s'",
			 s->ifname, keeper_pid(s->ifname), has, s->ifname);
	return -EBUSY;
}

/* A keeper serves as we want it, and knows this pid. */
static int enlist(struct lane_settings *s, char *err)
{
	int r = keeper_start(s, err);

	if (!r)
		r = check_mode(s, err);
	return r ? r : keeper_register(s->ifname, getpid(), err);
}

/* The program opens a DPDK port itself, and has a keeper of its own. */
static int check_dpdk(const struct lane_settings *s, char *err)
{
	int32_t pid = keeper_make_room(s->ifname);
	char text[LANE_DPDK_ERR];

	if (pid) {
		snprintf(err, TOOL_ERR, "%s is served already (keeper pid %d), and a DPDK port is for one program and its forks",
			 s->ifname, pid);
		return -EBUSY;
	}
	if (!lane_dpdk_load(NULL, text)) {
		snprintf(err, TOOL_ERR, "%.200s", text);
		return -ENOENT;
	}
	return 0;
}

/* The same, whatever keeper was there before. */
static int find_keeper(struct lane_settings *s, bool strict, char *err)
{
	int r = enlist(s, err);

	/* The keeper that was there has just ended: the next one. */
	if (r == -EPIPE || r == -ECONNREFUSED || r == -ECONNRESET)
		r = enlist(s, err);
	if (!r && s->without_ifs[0]) {
		snprintf(err, TOOL_ERR,
			 "sockets of %s stay with the kernel: the keeper of %s (pid %d) was opened "
			 "without",
			 s->without_ifs, s->ifname, keeper_pid(s->ifname));
		r = strict ? -EBUSY : 0;
	}
	return r;
}

/* All is ready for the program, and the environment is set. 0, maybe with a word in err[], or -errno with err[]. */
static int prepare(struct lane_settings *s, bool strict, char *err)
{
	char library[PATH_MAX];
	int r = find_preload(library, sizeof(library), err);

	if (!r)
		r = lane_settings_ifname(s, err);
	if (!r)
		r = s->driver == LANE_DEV_DPDK ? check_dpdk(s, err) : find_keeper(s, strict, err);
	if (!r && strict && s->driver == LANE_DEV_DPDK)
		r = setenv("LANE_STRICT", "1", 1) ? -errno : 0; /* what fails, fails in the program */
	if (!r)
		r = set_preload(library, err);
	if (!r)
		r = set_sanitizer();
	if (!r)
		lane_settings_export(s);
	return r;
}

int cmd_run(int argc, char **argv)
{
	char path[PATH_MAX], err[TOOL_ERR] = "";
	bool strict = getenv("LANE_STRICT") != NULL;
	struct lane_settings s;
	const char *obstacle;
	int r = parse(argc, argv, &s, &strict);

	if (r)
		return r - 1;
	argv += optind;
	r = elf_find(argv[0], path, sizeof(path));
	if (r) {
		complain("%s: %s", argv[0], strerror(-r));
		return r == -ENOENT ? RUN_NOT_FOUND : RUN_CANNOT;
	}
	obstacle = elf_obstacle(path);
	if (obstacle)
		complain("%s %s: it %s", argv[0], obstacle,
			 strict ? "is not run" : "runs on the kernel");
	else if (prepare(&s, strict, err))
		complain("%s; the program %s", err, strict ? "is not run" : "runs on the kernel");
	else {
		if (s.without_ifs[0])
			complain("%s", err);
		strict = false;
	}
	if (strict)
		return RUN_FAILED;
	execv(path, argv);
	if (errno == ENOEXEC)
		execvp(argv[0], argv); /* a script without #!: by the shell */
	r = errno;
	complain("%s: %s", argv[0], strerror(r));
	return r == ENOENT ? RUN_NOT_FOUND : RUN_CANNOT;
}
