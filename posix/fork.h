/*
 * fork.h - a process is made by other means than fork(3): for clone.c
 */
#ifndef SHIM_FORK_H
#define SHIM_FORK_H

#include <stdbool.h>

/* Before it; in the parent after it (pid < 0: it failed); in the child ('may_lock' false: it stays out
 * of the lane). */
void shim_fork_begin(void);
void shim_fork_over(int pid);
void shim_fork_child(bool may_lock);
/* Children from now on are in another pid namespace than this process. */
void shim_fork_other_pidns(void);

#endif
