/*
 * signal.c - sigaction(2), signal(3) and friends
 *
 * Theory of operation. The kernel is given on_signal() for every handler; the program's own action
 * lies in a table and is what queries return. A signal that arrives inside a lane call
 * (shim_sig_enter) is kept until the call is left, with all others blocked meanwhile: there is
 * never more than one. Faults are delivered at once. Those in a copy from or to the program's
 * memory end that copy with EFAULT (copy.c) and are not seen by the program.
 *
 * A child of vfork shares our memory but not our handlers: it goes to libc directly.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "posix/shim.h"
#include "posix/signal.h"
#include "posix/wake.h"

_Thread_local struct shim_sig_self shim_sig;

/* The action of a signal; two slots, so that a handler never reads a half-written one. */
static struct {
	_Atomic uint8_t current;
	struct sigaction act[2];
} table[_NSIG];

/* The signal that was put off in this thread. */
static _Thread_local struct {
	int sig;
	siginfo_t info;
	sigset_t mask; /* before all were blocked */
} put_off __attribute__((tls_model("initial-exec")));

static sigset_t no_restart; /* siginterrupt(3) */
static bool faults_taken;

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
	       sig == SIGTRAP || sig == SIGSYS || sig == SIGABRT;
}

static bool is_handler(const struct sigaction *act)
{
	return (act->sa_flags & SA_SIGINFO) ||
	       (act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN);
}

static struct sigaction action_of(int sig)
{
	return table[sig].act[atomic_load_explicit(&table[sig].current, memory_order_acquire)];
}

static void set_action(int sig, const struct sigaction *act)
{
	uint8_t other = !atomic_load_explicit(&table[sig].current, memory_order_relaxed);

	table[sig].act[other] = *act;
	atomic_store_explicit(&table[sig].current, other, memory_order_release);
}

static void run(int sig, siginfo_t *info, void *uc)
{
	struct sigaction act = action_of(sig), dfl = {.sa_handler = SIG_DFL};
	bool restarts = act.sa_flags & SA_RESTART, sleeping = shim_sig.sleeping;

	if (!is_handler(&act))
		return;
	if (act.sa_flags & SA_RESETHAND)
		set_action(sig, &dfl);
	shim_sig.nr_run++;
	shim_sig.nr_break += !restarts;
	shim_sig.last_restarts = restarts;
	shim_sig.nr_open++;
	if (act.sa_flags & SA_SIGINFO)
		act.sa_sigaction(sig, info, uc);
	else
		act.sa_handler(sig);
	shim_sig.nr_open--;
	/* What it did may be what the thread is about to sleep on, or end its call. */
	shim_sig.sleeping = sleeping;
	if (sleeping)
		shim_ring(shim_self.evfd);
}

/* A fault that nobody handles: the kernel's default action, with the state that led to it. */
static void fault_default(int sig, const siginfo_t *info)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	shim_libc()->sigaction(sig, &dfl, NULL);
	if (info->si_code <= 0) /* sent by kill(2): it does not come again by itself */
		shim_libc()->syscall(SYS_tgkill, getpid(), gettid(), sig);
}

static void put_off_signal(int sig, const siginfo_t *info, ucontext_t *uc)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	unsigned int i;

	put_off.sig = sig;
	put_off.info = *info;
	put_off.mask = uc->uc_sigmask;
	sigfillset(&uc->uc_sigmask);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&uc->uc_sigmask, faults[i]);
	shim_sig.pending = true;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	struct sigaction act;

	if ((sig == SIGSEGV || sig == SIGBUS) && shim_copy_fixup(context)) {
		errno = saved;
		return;
	}
	if (info->si_code == SI_SIGIO)
		shim_sigio_info(info);
	act = action_of(sig);
	if (is_fault(sig) && act.sa_handler == SIG_DFL)
		fault_default(sig, info);
	else if (shim_sig.depth && (!is_fault(sig) || info->si_code <= 0)) /* sent, by kill(2) and its like */
		put_off_signal(sig, info, context);
	else
		run(sig, info, context);
	/* The handler may have set errno on purpose no more than with the kernel: that is its own.
	 */
}

void shim_sig_run_pending(void)
{
	int sig = put_off.sig, saved = errno;
	siginfo_t info = put_off.info;
	sigset_t mask = put_off.mask, during = mask;
	struct sigaction act = action_of(sig);
	ucontext_t uc;

	shim_sig.pending = false;
	sigorset(&during, &mask, &act.sa_mask);
	if (!(act.sa_flags & SA_NODEFER))
		sigaddset(&during, sig);
	memset(&uc, 0, sizeof(uc));
	uc.uc_sigmask = mask;
	pthread_sigmask(SIG_SETMASK, &during, NULL);
	run(sig, &info, &uc);
	pthread_sigmask(SIG_SETMASK, &uc.uc_sigmask, NULL);
	errno = saved;
}

bool shim_sig_restarts(void)
{
	return shim_sig.last_restarts;
}

/* The kernel's action for 'sig' that makes 'act' happen. */
static void wrap(int sig, const struct sigaction *act, struct sigaction *out)
{
	*out = *act;
	if (is_handler(act)) {
		out->sa_sigaction = on_signal;
		out->sa_flags |= SA_SIGINFO;
	} else if (faults_taken && (sig == SIGSEGV || sig == SIGBUS)) {
		memset(out, 0, sizeof(*out));
		out->sa_sigaction = on_signal;
		out->sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	}
}

static bool in_vfork_child(void)
{
	int pid = atomic_load_explicit(&shim.pid, memory_order_relaxed);

	return pid && getpid() != pid;
}

static int set_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction mine, was, kernel;
	int r;

	if (sig <= 0 || sig >= _NSIG || in_vfork_child())
		return shim_libc()->sigaction(sig, act, old);
	was = action_of(sig);
	if (act) {
		wrap(sig, act, &mine);
		set_action(sig, act);
	}
	r = shim_libc()->sigaction(sig, act ? &mine : NULL, &kernel);
	if (r < 0 && act)
		set_action(sig, &was);
	if (r == 0 && old)
		*old = kernel.sa_sigaction == on_signal ? was : kernel;
	return r;
}

void shim_sig_init(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS};
	struct sigaction mine, kernel;
	unsigned int i;

	if (faults_taken)
		return;
	faults_taken = true;
	for (i = 0; i < 2; i++) {
		if (shim_libc()->sigaction(sigs[i], NULL, &kernel) < 0)
			continue;
		if (kernel.sa_sigaction != on_signal)
			set_action(sigs[i], &kernel);
		else
			kernel = action_of(sigs[i]);
		wrap(sigs[i], &kernel, &mine);
		/* Our own must not be blocked by another fault's handler, nor lack a stack. */
		mine.sa_flags |= SA_ONSTACK | SA_NODEFER;
		shim_libc()->sigaction(sigs[i], &mine, NULL);
	}
}

/* ---- the interposed symbols ---- */

LANE_EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return set_sigaction(sig, act, old);
}

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);
LANE_EXPORT int __sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return set_sigaction(sig, act, old);
}

static sighandler_t set_handler(int sig, sighandler_t handler, int flags)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags}, old;

	if (handler == SIG_ERR || sig <= 0 || sig >= _NSIG) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	return set_sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

LANE_EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	return set_handler(sig, handler, sigismember(&no_restart, sig) == 1 ? 0 : SA_RESTART);
}

sighandler_t bsd_signal(int sig, sighandler_t handler);
LANE_EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

LANE_EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return set_handler(sig, handler, (int)SA_RESETHAND | SA_NODEFER);
}

LANE_EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return sysv_signal(sig, handler);
}

LANE_EXPORT int siginterrupt(int sig, int interrupt)
{
	struct sigaction act;

	if (set_sigaction(sig, NULL, &act) < 0)
		return -1;
	if (interrupt) {
		sigaddset(&no_restart, sig);
		act.sa_flags &= ~SA_RESTART;
	} else {
		sigdelset(&no_restart, sig);
		act.sa_flags |= SA_RESTART;
	}
	return set_sigaction(sig, &act, NULL);
}

/* sigset(3): SIG_HOLD blocks; else the handler is set and the signal let through. */
LANE_EXPORT sighandler_t sigset(int sig, sighandler_t disp)
{
	struct sigaction act = {.sa_handler = disp}, old;
	sigset_t set, was;

	sigemptyset(&set);
	if (disp == SIG_ERR || sigaddset(&set, sig) < 0) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (disp == SIG_HOLD ? set_sigaction(sig, NULL, &old) < 0
			     : set_sigaction(sig, &act, &old) < 0)
		return SIG_ERR;
	pthread_sigmask(disp == SIG_HOLD ? SIG_BLOCK : SIG_UNBLOCK, &set, &was);
	return sigismember(&was, sig) ? SIG_HOLD : old.sa_handler;
}
