/*
 * pass.h - lane sockets that go to another process
 */
#ifndef SHIM_PASS_H
#define SHIM_PASS_H

#include "posix/shim.h"

/* The sock behind 'fd' goes to a program that is executed: member 'row' holds it until that one takes over
 * (-1: the own exec has failed, it does not go). True: the successor finds it. */
bool shim_pass_exec(int fd, struct shim_local *l, int row);
/* A program's message goes to a unix socket: before (way 1), and when that has failed (way -1).
 * True: with lane sockets. */
bool shim_pass_rights(const struct msghdr *user, int way);
/* The kernel socket with this cookie stands for the sock too. Under the lock, as the next. */
void shim_cookie_add(struct shim_sock *s, uint64_t cookie);
bool shim_cookie_has(const struct shim_sock *s, uint64_t cookie);
/* 'fd' came from elsewhere: if it stands for a sock of the lane, it is one now. */
bool shim_pass_adopt(int fd);

#endif
