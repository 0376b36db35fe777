/*
 * seccomp.c - a program takes system calls from itself
 *
 * Theory of operation. A filter that a program installs knows nothing of us: it allows what the program's
 * own socket calls need, and kills at the first other one (sshd's child that talks to strangers). So the
 * filter is run here first, over the calls that a lane call may make, and what it would refuse is not made
 * any more: frames are kicked by write(2), a thread sleeps in poll(2) on an epoll set that was made before.
 * What no lane call can do without is futex(2), for the lane's lock: a program that gives that up too
 * (SECCOMP_MODE_STRICT) leaves the lane, and its lane sockets fail with ENOTCONN, loudly.
 *
 * Filters only ever take away. One of a single thread is taken for the whole process'.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include "posix/keeper/sys.h"
#include "posix/sandbox.h"
#include "posix/wake.h"

enum { JOINED = 2, NO_LANE = 3 };

#define FILTER_MAX 4096 /* the kernel's BPF_MAXINSNS */
#define POLL_MAX   64   /* kernel descriptors in one sleep; those beyond are looked at every POLL_LONG_US */
#define POLL_LONG_US 1000
#define NAP_US	   50

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* ---- classic BPF, as far as the kernel lets filters use it ---- */

struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
	const uint32_t *data; /* struct seccomp_data */
};

static uint32_t load(const struct machine *m, const struct sock_filter *f)
{
	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		return f->k / 4 < sizeof(struct seccomp_data) / 4 ? m->data[f->k / 4] : 0;
	case BPF_MEM:
		return f->k < BPF_MEMWORDS ? m->mem[f->k] : 0;
	case BPF_LEN:
		return sizeof(struct seccomp_data);
	default:
		return f->k;
	}
}

static uint32_t calculate(uint32_t a, uint16_t op, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	case BPF_RSH:
		return b < 32 ? a >> b : 0;
	default:
		return -a; /* BPF_NEG */
	}
}

/* How far a jump goes. */
static uint32_t jump(const struct sock_filter *f, uint32_t a, uint32_t b)
{
	bool yes;

	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return f->k;
	case BPF_JEQ:
		yes = a == b;
		break;
	case BPF_JGT:
		yes = a > b;
		break;
	case BPF_JGE:
		yes = a >= b;
		break;
	default:
		yes = a & b; /* BPF_JSET */
		break;
	}
	return yes ? f->jt : f->jf;
}

uint32_t shim_filter_run(const struct sock_filter *prog, size_t n, const struct seccomp_data *sd)
{
	struct machine m = {.data = (const void *)sd};
	size_t i;

	for (i = 0; i < n; i++) {
		const struct sock_filter *f = &prog[i];
		uint32_t operand = BPF_SRC(f->code) == BPF_X ? m.x : f->k;

		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
			m.a = load(&m, f);
			break;
		case BPF_LDX:
			m.x = load(&m, f);
			break;
		case BPF_ST:
		case BPF_STX:
			if (f->k < BPF_MEMWORDS)
				m.mem[f->k] = BPF_CLASS(f->code) == BPF_ST ? m.a : m.x;
			break;
		case BPF_ALU:
			m.a = calculate(m.a, BPF_OP(f->code), operand);
			break;
		case BPF_JMP:
			i += jump(f, m.a, operand);
			break;
		case BPF_RET:
			return BPF_RVAL(f->code) == BPF_A ? m.a : f->k;
		default:
			if (BPF_MISCOP(f->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

/* ---- what lane calls would make ---- */

/* The calls behind each bit: all of them, or none is made. */
static const struct {
	uint32_t bit;
	int nr;
	uint32_t arg; /* the one that filters look at, args[at] */
	uint8_t at;
} needs[] = {
	{SHIM_NO_SENDTO, SYS_sendto, MSG_DONTWAIT, 3},
	{SHIM_NO_SENDTO, SYS_recvfrom, MSG_DONTWAIT, 3},
	{SHIM_NO_EPOLL, SYS_epoll_pwait, 0, 3},
	{SHIM_NO_EPOLL, SYS_epoll_ctl, 1, 1},
	{SHIM_NO_EPOLL, SYS_epoll_create1, 0, 0},
	{SHIM_NO_EPOLL, SYS_eventfd2, 0, 0},
	{SHIM_NO_PPOLL, SYS_ppoll, 1, 1},
#ifdef SYS_poll
	{SHIM_NO_POLL, SYS_poll, 1, 1},
#else
	{SHIM_NO_POLL, SYS_ppoll, 1, 1},
#endif
	{SHIM_NO_YIELD, SYS_sched_yield, 0, 0},
	{SHIM_NO_NAP, SYS_nanosleep, 0, 2},
	{SHIM_NO_LOCK, SYS_futex, FUTEX_WAIT, 1},
	{SHIM_NO_LOCK, SYS_futex, FUTEX_WAKE, 1},
	{SHIM_NO_LOCK, SYS_read, 8, 2},
	{SHIM_NO_LOCK, SYS_write, 8, 2},
};

/* What 'prog' (the program's, or NULL: read and write only) takes away. */
static uint32_t denied_by(const struct sock_filter *prog, size_t n)
{
	uint32_t denied = 0, action;
	unsigned int i;

	for (i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		struct seccomp_data sd = {.nr = needs[i].nr, .arch = ARCH};

		sd.args[needs[i].at] = needs[i].arg;
		action = prog ? shim_filter_run(prog, n, &sd) & SECCOMP_RET_ACTION_FULL
			      : SECCOMP_RET_KILL_PROCESS;
		if (action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG)
			denied |= needs[i].bit;
	}
	return denied;
}

static void forget_number(int fd, struct shim_local *l, void *arg)
{
	if (l->kind == SHIM_SOCK)
		shim_fd_set(fd, NULL);
}

static void leave_lane(void)
{
	shim_fd_each(forget_number, NULL);
	shim_count_fallback(SHIM_FB_SECCOMP);
	shim.why = SHIM_FB_SECCOMP;
	atomic_store(&shim.state, NO_LANE);
}

static void prepare(uint32_t denied)
{
	struct lane_queue *q;
	unsigned int i;

	if (!denied || atomic_load(&shim.state) != JOINED)
		return;
	shim_kick_deferred();
	if (denied & SHIM_NO_LOCK) {
		leave_lane();
		return;
	}
	shim_self.stands_by = false;
	if (shim_waiter_open()) /* while it can be made */
		shim_waiter_sleeps();
	atomic_fetch_or(&shim.denied, denied);
	for (i = 0; (denied & SHIM_NO_SENDTO) && (q = lane_queue(shim.view.ln, i)); i++)
		q->plain = 1;
}

void shim_seccomp_filter(const void *user)
{
	struct sock_filter prog[FILTER_MAX];
	struct sock_fprog fp;

	if (shim_copy_in(&fp, user, sizeof(fp)) == 0 && fp.len <= FILTER_MAX &&
	    shim_copy_in(prog, fp.filter, fp.len * sizeof(*prog)) == 0)
		prepare(denied_by(prog, fp.len));
}

void shim_seccomp_strict(void)
{
	prepare(denied_by(NULL, 0));
}

LANE_EXPORT int prctl(int what, ...)
{
	unsigned long a[4];
	va_list ap;
	int i;

	va_start(ap, what);
	for (i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (what == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_FILTER)
		shim_seccomp_filter((const void *)a[1]);
	else if (what == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_STRICT)
		shim_seccomp_strict();
	return shim_libc()->prctl(what, a[0], a[1], a[2], a[3]);
}

/* ---- doing without ---- */

static long poll_by_what_is_left(struct pollfd *fds, unsigned int n, int64_t us, const sigset_t *mask)
{
	uint32_t denied = atomic_load(&shim.denied);
	struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	struct timespec nap = {.tv_nsec = NAP_US * 1000};

	if (!(denied & SHIM_NO_PPOLL))
		return sys_call(SYS_ppoll, (long)fds, n, us < 0 ? 0 : (long)&ts, (long)mask,
				_NSIG / 8);
#ifdef SYS_poll
	if (!(denied & SHIM_NO_POLL))
		return sys_call(SYS_poll, (long)fds, n, us < 0 ? -1 : (long)((us + 999) / 1000), 0, 0);
#endif
	if (!(denied & SHIM_NO_NAP))
		sys_call(SYS_nanosleep, (long)&nap, 0, 0, 0, 0);
	return 0;
}

int shim_sandbox_sleep(const struct shim_wait *w, int64_t us, bool *kernel)
{
	struct shim_waiter *me = &shim_self;
	struct pollfd fds[POLL_MAX];
	unsigned int i, n = 0;
	uint64_t count;
	long r;

	*kernel = false;
	if (me->epfd >= 0)
		fds[n++] = (struct pollfd){.fd = me->epfd, .events = POLLIN};
	if (w->kernel_epfd >= 0)
		fds[n++] = (struct pollfd){.fd = w->kernel_epfd, .events = POLLIN};
	for (i = 0; i < w->nr_kernel_fds && n < POLL_MAX; i++)
		if (w->kernel_fds[i].fd >= 0)
			fds[n++] = w->kernel_fds[i];
	/* A set that could not be made, or a long array: looked at by turns. */
	if (me->epfd < 0 || i < w->nr_kernel_fds)
		us = us < 0 || us > POLL_LONG_US ? POLL_LONG_US : us;
	r = poll_by_what_is_left(fds, n, us, w->sigmask);
	for (i = me->epfd >= 0; r > 0 && i < n; i++)
		*kernel |= fds[i].revents != 0;
	if (r > 0 && me->epfd >= 0 && fds[0].revents) {
		sys_read(shim.view.doorbell[shim.view.row], &count, sizeof(count));
		sys_read(me->evfd, &count, sizeof(count));
		shim_wake_local();
	}
	return (int)r;
}

void shim_breathe(unsigned int tries)
{
	struct timespec nap = {.tv_nsec = NAP_US * 1000};
	uint32_t denied = atomic_load_explicit(&shim.denied, memory_order_relaxed);

	if (tries < SHIM_BREATHS && !(denied & SHIM_NO_YIELD))
		sys_call(SYS_sched_yield, 0, 0, 0, 0, 0);
	else if (!(denied & SHIM_NO_NAP))
		sys_call(SYS_nanosleep, (long)&nap, 0, 0, 0, 0);
}
