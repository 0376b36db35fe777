/*
 * family.h - what DPDK's plugin has for the preloaded library: a port and its keeper in one family of processes
 *
 * EAL can be started in one process, and be used by those forked from it. So the program's first process opens
 * names, arena and port by open(); forks; and the child becomes the keeper by keep(). Each side then drops what is the
 * other's: keep() does, and the program by leave().
 */
#ifndef SHIM_FAMILY_H
#define SHIM_FAMILY_H

#include "keeper.h"

#define KEEPER_FDS 65536 /* numbers of descriptors that are looked at */

/* A set of descriptors, by number. */
struct keeper_fdset {
	uint8_t bit[KEEPER_FDS / 8];
};

struct keeper_family {
	uint32_t version;  /* SHIM_ARENA_VERSION */
	uint32_t view_size; /* sizeof(struct shim_view) */
	/* Opens all; *v is the caller's view afterwards, with row 0. Once in a process. 0 or -errno with err[256]. */
	int (*open)(const struct lane_settings *s, struct shim_view *v, char *err);
	/* In the child, whose descriptors in 'theirs' are closed. Says its pid (int32_t) on 'ready_fd', "." once it has
	 * found malloc in order, and in the end "ok" or why not, on a line. */
	void (*keep)(const struct keeper_fdset *theirs, int ready_fd) __attribute__((noreturn));
	/* In the program, behind the fork. */
	void (*leave)(void);
	/* There is no keeper: the port is closed, and EAL ended. */
	void (*close)(void);
};

#endif
