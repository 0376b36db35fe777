/*
 * signal.h - what the shim knows of signal handlers
 *
 * Every handler of the program runs from one of ours, so that a wait can tell whether one ran, and
 * whether it restarts calls; and so that none runs while this thread is inside a lane call, whose
 * lock it might want, or leave by longjmp.
 */
#ifndef SHIM_SIGNAL_H
#define SHIM_SIGNAL_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Our handlers for SIGSEGV and SIGBUS (copy.c); once, before the first lane call. */
void shim_sig_init(void);

/* A thread's own view of signals. */
struct shim_sig_self {
	volatile unsigned int depth; /* inside lane calls: handlers are put off */
	volatile bool pending;       /* one was put off; the others are blocked meanwhile */
	volatile uint32_t nr_run;    /* handlers that ran */
	volatile uint32_t nr_break;  /* of these: without SA_RESTART */
	volatile bool last_restarts;
	volatile bool sleeping;      /* about to sleep, or asleep: a handler must wake this thread */
	volatile uint32_t nr_open;   /* handlers that have not returned, or were left by longjmp */
};
extern _Thread_local struct shim_sig_self shim_sig
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* sigio.c: a signal of its making (SI_SIGIO) says what the kernel's would. */
void shim_sigio_info(siginfo_t *info);

/* Runs the handler that was put off. */
void shim_sig_run_pending(void);

/* From here to shim_sig_leave() no handler of the program runs in this thread. Nests. */
static inline void shim_sig_enter(void)
{
	shim_sig.depth++;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void shim_sig_leave(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (--shim_sig.depth == 0 && __builtin_expect(shim_sig.pending, 0))
		shim_sig_run_pending();
}

/* When a call that may sleep began. */
struct shim_sig_mark {
	uint32_t nr_run, nr_break;
};

static inline struct shim_sig_mark shim_sig_mark(void)
{
	return (struct shim_sig_mark){shim_sig.nr_run, shim_sig.nr_break};
}

/* The call is about to sleep: a handler that ran since ends it, as a pending signal would in the
 * kernel; with 'restart' only one without SA_RESTART. */
static inline bool shim_sig_ends(const struct shim_sig_mark *m, bool restart)
{
	return restart ? shim_sig.nr_break != m->nr_break : shim_sig.nr_run != m->nr_run;
}

#endif
