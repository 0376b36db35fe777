/*
 * main.c - lane: run programs on a lane, look at lanes
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *text; /* NULL: not for people */
} commands[] = {
	{"run", cmd_run, "run a program with its sockets on the lane"},
	{"stat", cmd_stat, "packets, drops, sockets, fallbacks, members of a lane"},
	{"conns", cmd_conns, "the connections of a lane"},
	{"stop", cmd_stop, "end an idle lane now, without lingering"},
	{"config", cmd_config, "effective settings and where each came from"},
	{"version", cmd_version, "the version of lane"},
	{"keeper", cmd_keeper, NULL},
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

void complain(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "lane: %s\n", line);
}

static void help(FILE *f)
{
	size_t i;

	fprintf(f, "usage: lane COMMAND [options]\n\n");
	for (i = 0; i < NR_COMMANDS; i++) {
		if (commands[i].text)
			fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].text);
	}
	fprintf(f, "\n'lane COMMAND --help' tells more about each.\n");
}

int cmd_version(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--help"))
		puts("usage: lane version");
	else
		printf("lane %s (arena version %d)\n", LANE_VERSION, SHIM_ARENA_VERSION);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	size_t i;

	if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		help(stdout);
		return 0;
	}
	for (i = 0; i < NR_COMMANDS; i++) {
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	if (*name)
		complain("unknown command '%s'", name);
	help(stderr);
	return 2;
}
