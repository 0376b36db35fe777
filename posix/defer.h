/*
 * defer.h - when queued frames leave
 */
#ifndef SHIM_DEFER_H
#define SHIM_DEFER_H

#include "posix/shim.h"

/* Under the lock: what the lane has queued to its drivers' rings is this thread's to kick. */
void shim_defer_take(struct shim_view *v);
/* This thread's wait returned 'n' events: with two or more, answers may be gathered. */
void shim_defer_note(int n);
/* One of these queues' rings holds frames that no kick has handed over. No lock. */
bool shim_kick_left_frames(struct lane *ln, uint32_t mask);

#endif
