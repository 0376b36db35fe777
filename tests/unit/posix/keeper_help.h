/*
 * keeper_help.h - a real keeper for a test
 *
 * On the loopback interface of a network namespace of its own, which goes with the process. Needs root
 * and LANE_TOOL, the lane tool's path; else the tests are skipped.
 */
#ifndef KEEPER_HELP_H
#define KEEPER_HELP_H

#include "posix/keeper/proto.h"

extern struct lane_settings settings;

void pause_ms(long ms);
/* The group's setup: a fresh namespace with lo up. */
int setup(void **state);
/* Skips the test where there can be no keeper. */
void need_keeper(void);
void join(struct shim_view *v);
/* Waits until nobody has the keeper's name. */
bool keeper_is_gone(void);
/* Waits until the live rows are these. */
bool rows_become(const struct shim_view *v, uint64_t rows);
void kill_and_wait(pid_t pid);
/* Leaves the keeper as a process does that ends. */
void leave(struct shim_view *v);

#endif
