/*
 * priv.h - limits and privileges
 */
#ifndef SHIM_PRIV_H
#define SHIM_PRIV_H

#include <stdbool.h>

/* Before an exec: RLIMIT_NOFILE is what the program set; false: the exec failed, our room is back.
 */
void shim_nofile_exec(bool for_exec);

#endif
