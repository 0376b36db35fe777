/*
 * exec.h - what goes along when a program is executed: for exec.c and spawn.c
 */
#ifndef SHIM_EXEC_H
#define SHIM_EXEC_H

#include "posix/shim.h"

#define SHIM_EXEC_SAVED 24 /* variables of ours in an environment, at most */

/* Numbers that cross, as LANE_FDS=3,5 for the successor. */
struct shim_crossing {
	char text[4096];
	size_t len;
	bool any; /* lane sockets, listeners too */
	int row; /* of the member that will be the successor's: the own one before an exec; -1: it failed */
};

/* None yet. */
void shim_crossing_init(struct shim_crossing *c, int row);
/* What 'fd' stands for, 'l', will be under the number 'as' in the successor. */
void shim_crossing_add(struct shim_crossing *c, int fd, struct shim_local *l, int as);
/* How many pointers an environment needs that holds 'envp' and ours. */
size_t shim_exec_env_room(char *const envp[]);
/* 'envp', with the preload, its settings and LANE_FDS if lane sockets cross, in out[]. */
char *const *shim_exec_env(char *const envp[], char *out[], struct shim_crossing *c);

#endif
