/*
 * dlopen.c - libraries that are opened with RTLD_DEEPBIND
 *
 * Such a library finds libc's socket functions before ours, while the rest of its program uses ours: PHP opens its
 * extensions so, and ext/sockets looked at lane numbers past the lane. They are opened without it, as the sanitizers do.
 *
 * libc's dlopen() looks at its caller's RUNPATH: the call is the last thing here, a jump with optimization, and the
 * caller stays who it was.
 */
#include <dlfcn.h>

#include "posix/libc.h"
#include "posix/shim.h"

LANE_EXPORT void *dlopen(const char *file, int mode)
{
	return shim_libc()->dlopen(file, mode & ~RTLD_DEEPBIND);
}
