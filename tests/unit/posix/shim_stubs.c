/*
 * shim_stubs.c - what single files of the shim need around them: nothing joined, no lane, no lock
 *
 * Weak, so that a test links the file it is about and replaces what it looks at.
 */
#include "posix/sock.h"
#include "posix/wake.h"

#define WEAK __attribute__((weak))

WEAK struct shim shim = {.anchor = -1, .scratch = -1};
_Thread_local struct shim_sig_self shim_sig;
_Thread_local struct shim_waiter shim_self;

WEAK void shim_sig_run_pending(void)
{
}

WEAK void shim_lock(struct shim_view *v)
{
}

WEAK void shim_leave(struct shim_view *v)
{
	shim_sig_leave();
}

WEAK void shim_leave_quiet(struct shim_view *v)
{
	shim_sig_leave();
}

WEAK bool shim_lock_allowed(void)
{
	return true;
}

WEAK void shim_fork_wait(void)
{
}

WEAK void shim_not_inherited(int fd)
{
}

WEAK unsigned int shim_turn(struct shim_view *v)
{
	return 0;
}

WEAK void shim_kick_deferred(void)
{
}

WEAK unsigned int shim_sock_flags(struct shim_local *l)
{
	return 0;
}

WEAK uint32_t shim_sock_mask(struct shim_view *v, const struct shim_sock *s, uint32_t asked)
{
	return 0;
}

WEAK void shim_sock_notify(struct shim_view *v, uint32_t sock, uint32_t events)
{
}

WEAK void shim_sock_release(struct shim_view *v, uint32_t sock, int row)
{
}

WEAK void shim_epoll_forget(struct shim_local *l)
{
}

WEAK void shim_put(struct shim_local *l)
{
}

WEAK int shim_wait(struct shim_wait *w)
{
	return 0;
}

WEAK int shim_copy_in(void *dst, const void *user, size_t len)
{
	memcpy(dst, user, len);
	return 0;
}

WEAK int shim_copy_out(void *user, const void *src, size_t len)
{
	memcpy(user, src, len);
	return 0;
}
