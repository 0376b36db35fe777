/*
 * admin.c - the small commands: config, stop, keeper
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const struct option help_only[] = {
	{"interface", required_argument, NULL, 'i'},
	{"ready-fd", required_argument, NULL, 'r'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void print_from(const struct lane_settings *s, int i)
{
	switch ((enum lane_setting_from)s->from[i]) {
	case LANE_FROM_DEFAULT:
		puts("default");
		break;
	case LANE_FROM_FILE:
		printf("%s:%u\n", lane_settings_path(), s->line[i]);
		break;
	case LANE_FROM_ENV:
		printf("environment (%s)\n", lane_setting_env((enum lane_setting)i));
		break;
	case LANE_FROM_OPTION:
		puts("option");
		break;
	}
}

/* What a lane opened here and now would take from the kernel. */
static void print_knobs(void)
{
	struct lane_config cfg;
	char value[TOOL_ERR], name[64];
	uint64_t read;
	unsigned int i;

	lane_config_default(&cfg);
	read = lane_knobs_read(&cfg);
	for (i = 0; lane_knob_name(i); i++) {
		lane_knob_get(&cfg, i, value, sizeof(value));
		snprintf(name, sizeof(name), "net/%s", lane_knob_name(i));
		printf("%-34s %-24s %s\n", name, value, read >> i & 1 ? "sysctl" : "default");
	}
}

int cmd_config(int argc, char **argv)
{
	struct lane_settings s;
	char text[TOOL_ERR];
	int c, i;

	while ((c = getopt_long(argc, argv, "h", help_only, NULL)) != -1) {
		puts("usage: lane config\n\n"
		     "Prints the effective settings and where each came from: lane.conf (LANE_CONF "
		     "or\n"
		     "/etc/lane.conf; lines 'key = value'), the environment, or the default. "
		     "Options\n"
		     "of 'lane run' override all of them. Then the kernel's sysctls of this network\n"
		     "namespace, which are the defaults and limits of a lane's sockets.");
		return c == 'h' ? 0 : 2;
	}
	if (lane_settings_load(&s, text)) {
		complain("%s", text);
		return 1;
	}
	for (i = 0; i < LANE_NR_SETTINGS; i++) {
		lane_settings_get(&s, (enum lane_setting)i, text, sizeof(text));
		printf("%-10s %-24s ", lane_setting_name((enum lane_setting)i), *text ? text : "-");
		print_from(&s, i);
	}
	print_knobs();
	return 0;
}

int cmd_stop(int argc, char **argv)
{
	char ifname[16], err[TOOL_ERR];
	const char *given = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "i:h", help_only, NULL)) != -1) {
		if (c == 'i') {
			given = optarg;
			continue;
		}
		puts("usage: lane stop [-i IF]\n\n"
		     "Tells the keeper of IF to end as soon as no program uses the lane, without "
		     "the\n"
		     "60 seconds in which it would send what is left and keep TIME_WAIT.");
		return c == 'h' ? 0 : 2;
	}
	if (find_interface(given, ifname))
		return 1;
	if (keeper_stop(ifname, err)) {
		complain("%s", err);
		return 1;
	}
	return 0;
}

/* Not for people: what keeper_start() executes. Never returns when all is well. */
int cmd_keeper(int argc, char **argv)
{
	struct lane_settings s;
	char err[TOOL_ERR];
	int c, ready_fd = -1;

	while ((c = getopt_long(argc, argv, "h", help_only, NULL)) != -1) {
		if (c == 'r')
			ready_fd = atoi(optarg);
		else
			break;
	}
	if (c != -1 || ready_fd < 0) {
		puts("'lane keeper' is started by 'lane run' and by the preloaded library; its "
		     "settings are\n"
		     "in the environment, and it says \"ok\" or an error on --ready-fd.");
		return c == 'h' ? 0 : 2;
	}
	if (lane_settings_load(&s, err)) {
		dprintf(ready_fd, "%s\n", err);
		return 1;
	}
	keeper_main(&s, ready_fd);
}
