/*
 * sigio.c - SIGIO and SIGURG of a lane's sockets (F_SETOWN, F_SETSIG, O_ASYNC and their kin)
 *
 * Theory of operation. A socket that asks before it is bound or connected stays with the kernel (fcntl.c). One that
 * asks later has its owner in the arena, beside the member that asked last: whoever takes the lane's events notes
 * those of such sockets and wakes that member (shim_drain()), where a thread of ours, made at the first question,
 * sends the signals. To sigqueueinfo(2) the kernel's own si_codes are forbidden: the thread sends SI_SIGIO, and the
 * wrapper of handlers puts the right one in its place; signalfd(2) and sigwaitinfo(2) see SI_SIGIO.
 *
 * What raises a signal: text, connections, an end, room after a write that found none, errors. Not served: signals
 * after the member that asked has closed the socket, executed another program, or ended, while another one has it.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "posix/keeper/sys.h"
#include "posix/sandbox.h"
#include "posix/sock.h"
#include "posix/wake.h"

#define STACK (256 << 10) /* the program's thread-local variables lie in it, too */
#define PLAIN (-1) /* si_fd of a signal that says nothing of its cause */

static _Atomic int helper_pid; /* the process whose thread it is: a child has none */

/* ---- the signals ---- */

static const struct {
	int code;
	long band;
} bands[] = {
	{POLL_IN, EPOLLIN | EPOLLRDNORM},
	{POLL_OUT, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND},
	{POLL_ERR, EPOLLERR},
	{POLL_PRI, EPOLLPRI | EPOLLRDBAND},
	{POLL_HUP, EPOLLHUP | EPOLLERR},
};
#define NR_BANDS (sizeof(bands) / sizeof(bands[0]))

static long band_of(int code)
{
	unsigned int i;

	for (i = 0; i < NR_BANDS; i++)
		if (bands[i].code == code)
			return bands[i].band;
	return 0;
}

void shim_sigio_info(siginfo_t *info)
{
	unsigned int i;

	if (info->si_fd == PLAIN) {
		*info = (siginfo_t){.si_signo = info->si_signo, .si_code = SI_KERNEL};
		return;
	}
	for (i = 0; i < NR_BANDS; i++)
		if (bands[i].band == info->si_band)
			info->si_code = bands[i].code;
}

static void queue(const struct shim_owner *o, int sig, int code, int fd)
{
	siginfo_t info = {.si_signo = sig, .si_code = SI_SIGIO};
	long r;

	info.si_band = band_of(code);
	info.si_fd = fd;
	if (o->type == F_OWNER_PGRP) {
		sys_call(SYS_kill, -o->pid, sig, 0, 0, 0);
		return;
	}
	r = o->type == F_OWNER_TID ? sys_call(SYS_rt_tgsigqueueinfo, getpid(), o->pid, sig, (long)&info, 0)
				   : sys_call(SYS_rt_sigqueueinfo, o->pid, sig, (long)&info, 0, 0);
	if (r == -ESRCH && o->type == F_OWNER_TID)
		sys_call(SYS_tkill, o->pid, sig, 0, 0, 0);
	else if (r == -EAGAIN && sig != SIGIO) /* its queue is full */
		queue(o, SIGIO, 0, PLAIN);
}

/* What has happened (LANE_EV_*) to a socket whose state is 'mask' now. */
static void raise_for(const struct shim_owner *o, int fd, uint32_t events, uint32_t mask, bool async)
{
	unsigned int i, n = 0;
	int codes[4];

	if (events & LANE_EV_URGENT)
		queue(o, SIGURG, 0, PLAIN);
	if (!async)
		return;
	if ((events & LANE_EV_URGENT) && o->sig)
		codes[n++] = POLL_PRI;
	if (events & LANE_EV_ERROR)
		codes[n++] = POLL_ERR;
	else if ((events & LANE_EV_EOF) && (mask & EPOLLHUP))
		codes[n++] = POLL_HUP;
	else if (events & (LANE_EV_READABLE | LANE_EV_ACCEPT | LANE_EV_EOF))
		codes[n++] = POLL_IN;
	if (events & (LANE_EV_WRITABLE | LANE_EV_CONNECTED))
		codes[n++] = POLL_OUT;
	if (n && !o->sig)
		queue(o, SIGIO, 0, PLAIN);
	for (i = 0; o->sig && i < n; i++)
		queue(o, o->sig, codes[i], fd);
}

/* One number of this process: what its socket has to tell. */
static void tell(int fd, struct shim_local *l, void *arg)
{
	struct shim_view *v = &shim.view;
	struct shim_sock *s = l->kind == SHIM_SOCK ? shim_sock_of(l) : NULL;
	struct shim_owner o = {0};
	uint32_t events = 0, mask = 0;
	bool async = false;

	(void)arg;
	if (!s || !s->async_events)
		return;
	shim_enter(v);
	s = shim_sock_of(l);
	if (s) {
		events = s->async_events;
		s->async_events = 0;
		mask = shim_sock_mask(v, s, 0);
		async = s->flags & SHIM_SOCK_ASYNC;
		o = s->owner;
	}
	shim_leave_quiet(v);
	if (events && o.pid)
		raise_for(&o, fd, events, mask, async);
}

/* ---- the thread ---- */

static int has_events(struct shim_view *v, void *arg)
{
	(void)arg;
	if (v->row < 0 || !v->a->row[v->row].async)
		return 0;
	v->a->row[v->row].async = 0;
	return 1;
}

static void *helper(void *arg)
{
	uint32_t any[SHIM_WAITER_SOCKS + 1]; /* so many that each event of this process wakes it */
	struct shim_wait w = {.ready = has_events, .socks = any, .nr_socks = SHIM_WAITER_SOCKS + 1,
			      .ep = LANE_NIL, .kernel_epfd = -1, .timeout_us = -1};

	(void)arg;
	memset(any, 0xff, sizeof(any)); /* LANE_NIL */
	shim_self.never_spins = true;
	for (;;) {
		if (shim_wait(&w) > 0)
			shim_fd_each(tell, NULL);
	}
	return NULL;
}

static void start_helper(void)
{
	int pid = getpid();
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;

	/* A child of vfork is its parent's to tell. */
	if (pid != atomic_load(&shim.pid) || shim_sandboxed() || atomic_exchange(&helper_pid, pid) == pid)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &attr, helper, NULL))
		atomic_store(&helper_pid, 0);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- what the program asks for ---- */

void shim_sigio_update(struct shim_local *l)
{
	struct shim_view *v = &shim.view;
	struct shim_sock *s;
	bool wanted = false;

	shim_enter(v);
	s = shim_sock_of(l);
	if (s && v->row >= 0) {
		wanted = s->owner.pid != 0;
		s->async_row = wanted ? (uint8_t)(v->row + 1) : 0;
	}
	shim_leave_quiet(v);
	if (wanted)
		start_helper();
}

static int kernel(int fd, int cmd, long arg)
{
	int r = shim_libc()->fcntl(fd, cmd, arg);

	return r < 0 ? -errno : 0;
}

/* 'fd' is the kernel's, and has taken it: the arena follows. */
static void follow(struct shim_local *l, int fd, int cmd)
{
	struct f_owner_ex ex = {0};
	struct shim_sock *s;

	shim_libc()->fcntl(fd, F_GETOWN_EX, &ex);
	shim_enter(&shim.view);
	s = shim_sock_of(l);
	if (s && cmd == F_SETSIG) {
		s->owner.sig = (uint8_t)shim_libc()->fcntl(fd, F_GETSIG);
	} else if (s) {
		s->owner.type = (uint8_t)ex.type;
		s->owner.pid = ex.pid;
	}
	shim_leave_quiet(&shim.view);
	shim_sigio_update(l);
}

int shim_sigio_set(int fd, struct shim_local *l, int cmd, long arg)
{
	bool own = shim_sock_flags(l) & SHIM_SOCK_SHADOW;
	int r, k = own ? fd : shim_libc()->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (k < 0)
		return -errno;
	r = kernel(k, cmd, arg);
	if (r == 0)
		follow(l, k, cmd);
	if (!own)
		sys_close(k);
	return r;
}

int shim_sigio_get(struct shim_local *l, int cmd, void *arg, int *out)
{
	const struct shim_sock *s = shim_sock_of(l);
	struct f_owner_ex ex;

	if (!s)
		return -EBADF;
	*out = 0;
	if (cmd == F_GETSIG)
		*out = s->owner.sig;
	else if (cmd == F_GETOWN)
		*out = s->owner.type == F_OWNER_PGRP ? -s->owner.pid : s->owner.pid;
	ex = (struct f_owner_ex){.type = s->owner.type, .pid = s->owner.pid};
	return cmd == F_GETOWN_EX ? shim_copy_out(arg, &ex, sizeof(ex)) : 0;
}
