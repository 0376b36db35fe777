/*
 * asan_early.c - what libasan calls in the preload before it has its shadow (sanitizer builds only)
 *
 * Its start asks for limits while no instrumented code can run yet. So this file is built without the
 * sanitizers and has the public names; the shim's own functions go by others (posix/meson.build) and serve
 * from the constructors on.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#include "drivers/sys.h"

#define EXPORT __attribute__((visibility("default")))

int shim_early_getrlimit(__rlimit_resource_t what, struct rlimit *rl);
int shim_early_setrlimit(__rlimit_resource_t what, const struct rlimit *rl);
EXPORT const char *__asan_default_options(void);

static bool started;

__attribute__((constructor)) static void start(void)
{
	started = true;
}

/* Nobody reads errno that early. */
static int early(__rlimit_resource_t what, const struct rlimit *new, struct rlimit *old)
{
	return lane_syscall(SYS_prlimit64, 0, (long)what, (long)new, (long)old, 0, 0) ? -1 : 0;
}

EXPORT int getrlimit(__rlimit_resource_t what, struct rlimit *rl)
{
	return started ? shim_early_getrlimit(what, rl) : early(what, NULL, rl);
}

EXPORT int setrlimit(__rlimit_resource_t what, const struct rlimit *rl)
{
	return started ? shim_early_setrlimit(what, rl) : early(what, rl, NULL);
}

/* For what is exec'd without an environment; as tests/posix/run's. */
const char *__asan_default_options(void)
{
	return "verify_asan_link_order=0:handle_segv=0:handle_sigbus=0:use_sigaltstack=0:abort_on_error=1:detect_leaks=0";
}
