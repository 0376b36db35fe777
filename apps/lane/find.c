/*
 * find.c - what is where: the interface that is meant, the preloaded library
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define FIND_MAX 16

/* Names of interfaces that keepers of this network namespace listen for; returns how many. */
static int served(char names[FIND_MAX][16])
{
	FILE *f = fopen("/proc/net/unix", "re");
	unsigned int flags;
	char line[512];
	int nr = 0;

	if (!f)
		return 0;
	while (nr < FIND_MAX && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, " @lane/");

		/* Num RefCount Protocol Flags: __SO_ACCEPTCON marks the listener. */
		if (at && sscanf(line, "%*s %*s %*s %x", &flags) == 1 && (flags & 0x10000) &&
		    sscanf(at, " @lane/%15s", names[nr]) == 1)
			nr++;
	}
	fclose(f);
	return nr;
}

/* One keeper may serve several interfaces. */
static bool one_keeper(char names[FIND_MAX][16], int nr)
{
	int32_t pid = keeper_pid(names[0]);
	int i;

	for (i = 1; i < nr && keeper_pid(names[i]) == pid; i++)
		;
	return i == nr;
}

static void complain_many(char names[FIND_MAX][16], int nr)
{
	char list[FIND_MAX * 17 + 1] = "";
	size_t len = 0;
	int i;

	for (i = 0; i < nr; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, " %s", names[i]);
	complain("several interfaces are served, name one with -i:%s", list);
}

int find_interface(const char *given, char ifname[16])
{
	char names[FIND_MAX][16];
	int nr;

	if (!given)
		given = getenv("LANE_IF");
	if (given && *given) {
		/* Of a list, all of which one keeper serves, the first. */
		snprintf(ifname, 16, "%.*s", (int)strcspn(given, ", "), given);
		return 0;
	}
	nr = served(names);
	if (nr > 0 && one_keeper(names, nr)) {
		memcpy(ifname, names[0], 16);
		return 0;
	}
	if (nr == 0)
		complain("no interface of this network namespace is served by a keeper");
	else
		complain_many(names, nr);
	return -1;
}

int find_report(int argc, char **argv, const char *usage, bool *json, struct shim_view *v)
{
	static const struct option options[] = {
		{"interface", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	char ifname[16], err[TOOL_ERR];
	const char *given = NULL;
	int c;

	*json = false;
	while ((c = getopt_long(argc, argv, "i:h", options, NULL)) != -1) {
		if (c == 'i') {
			given = optarg;
		} else if (c == 'j') {
			*json = true;
		} else {
			puts(usage);
			return c == 'h' ? 0 : 2;
		}
	}
	if (find_interface(given, ifname))
		return 1;
	if (keeper_observe(ifname, v, err)) {
		complain("%s", err);
		return 1;
	}
	return -1;
}

/* Where the library is from where the tool is: the build tree, beside it, installed. */
static const char *const preload_places[] = {
	"posix/liblane-preload.so",
	"liblane-preload.so",
	"../lib/lane/liblane-preload.so",
	"../lib/liblane-preload.so",
};

int find_preload(char *path, size_t size, char *err)
{
	const char *given = getenv("LANE_PRELOAD");
	char exe[PATH_MAX];
	ssize_t n;
	size_t i;

	if (given && *given) {
		snprintf(path, size, "%s", given);
		if (access(path, R_OK) == 0)
			return 0;
		snprintf(err, TOOL_ERR, "LANE_PRELOAD names %.200s: %s", given, strerror(errno));
		return -ENOENT;
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0) {
		snprintf(err, TOOL_ERR, "/proc/self/exe: %s", strerror(errno));
		return -ENOENT;
	}
	exe[n] = 0;
	*strrchr(exe, '/') = 0;
	for (i = 0; i < sizeof(preload_places) / sizeof(preload_places[0]); i++) {
		if (snprintf(path, size, "%s/%s", exe, preload_places[i]) < (int)size &&
		    access(path, R_OK) == 0)
			return 0;
	}
	snprintf(err, TOOL_ERR, "no liblane-preload.so beside %.200s", exe);
	return -ENOENT;
}
