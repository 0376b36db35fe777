/*
 * libc.c - finds the real functions behind the interposed ones
 *
 * All of them at once, at the first call that needs one: later look-ups could meet the dynamic
 * linker's lock held by a thread that a forked child does not have. Two threads that race here
 * write the same values. A function that this glibc lacks stays NULL.
 */
#include <dlfcn.h>
#include <string.h>

#include "posix/libc.h"

struct shim_libc_table shim_libc_table;
int shim_libc_ready;

static void *find(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

void shim_libc_resolve(void)
{
	void *p;

#define X(type, name, args)                                                                        \
	p = find(#name);                                                                           \
	memcpy(&shim_libc_table.name, &p, sizeof(p));
	SHIM_LIBC_CALLS(X)
#undef X
	__atomic_store_n(&shim_libc_ready, 1, __ATOMIC_RELEASE);
}
