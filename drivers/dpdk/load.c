/*
 * load.c - finds and opens liblane-dpdk.so
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dpdk.h"

/* From where the program or the preloaded library is: the build tree (its top, posix, apps/x, bench/x, tests/x/y),
 * beside it, installed. */
static const char *const places[] = {
	"posix/keeper/", "keeper/", "../../posix/keeper/", "../../../posix/keeper/", "", "../lib/lane/", "../lib/",
};

/* The directory of the library that this is in, or of the program, with the slash. */
static bool own_dir(char *dir, size_t size)
{
	ssize_t n;
	Dl_info info;

	if (dladdr((void *)(uintptr_t)lane_dpdk_load, &info) && info.dli_fname && strstr(info.dli_fname, ".so") &&
	    info.dli_fname[0] == '/')
		n = snprintf(dir, size, "%s", info.dli_fname);
	else
		n = readlink("/proc/self/exe", dir, size - 1);
	if (n <= 0 || n >= (ssize_t)size)
		return false;
	dir[n] = 0;
	strrchr(dir, '/')[1] = 0;
	return true;
}

static void find(char *path, size_t size)
{
	const char *given = getenv("LANE_DPDK");
	char dir[PATH_MAX];

	if (given && *given) {
		snprintf(path, size, "%s", given);
		return;
	}
	for (size_t i = 0; own_dir(dir, sizeof(dir)) && i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, size, "%s%sliblane-dpdk.so", dir, places[i]) < (int)size && access(path, R_OK) == 0)
			return;
	snprintf(path, size, "liblane-dpdk.so");
}

const struct lane_dpdk_plugin *lane_dpdk_load(const void **family, char *err)
{
	const struct lane_dpdk_plugin *p;
	char path[PATH_MAX + 64];
	void *so;

	find(path, sizeof(path));
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		snprintf(err, LANE_DPDK_ERR, "%s (lane is built with DPDK where libdpdk-dev is installed)", dlerror());
		return NULL;
	}
	p = dlsym(so, "lane_dpdk_plugin");
	if (p && p->version == LANE_DPDK_VERSION) {
		if (family)
			*family = dlsym(so, "lane_dpdk_family");
		return p;
	}
	snprintf(err, LANE_DPDK_ERR, "%.400s is of another version of lane", path);
	dlclose(so);
	return NULL;
}
