/*
 * pass.h - lane sockets that go to another process
 */
#ifndef SHIM_PASS_H
#define SHIM_PASS_H

#include "posix/shim.h"

/* The sock behind 'fd' crosses an exec (or, 'for_exec' false, does not: the exec has failed).
 * True: the successor finds it. */
bool shim_pass_exec(int fd, struct shim_local *l, bool for_exec);
/* A program's message goes to a unix socket: before (way 1), and when that has failed (way -1).
 * True: with lane sockets. */
bool shim_pass_rights(const struct msghdr *user, int way);
/* 'fd' came from elsewhere: if it stands for a sock of the lane, it is one now. */
bool shim_pass_adopt(int fd);

#endif
