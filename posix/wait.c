/*
 * wait.c - spinning and sleeping until something is ready
 *
 * Theory of operation. A wait alternates between a look and a pause. The look: the lock, one turn
 * of the lane, the caller's question; if the answer is no, the thread notes what it waits for before
 * the lock goes, and arms itself (wake.c) when a sleep is to follow, so that nothing can become ready
 * unseen; then the kicks for what the turn sent.
 * What the program wrote since its last wait, and was put off, is kicked before all. The pause is a
 * spin, if that is worth it, and then a sleep in the thread's internal epoll set.
 *
 * Spinning looks at the rings, without the lock, and at kernel descriptors every KERNEL_LOOK_US. It
 * ends 'spin_us' after it began; it is not begun when as many threads spin as there are CPUs, nor,
 * but for a try now and then, when it has led to nothing lately, nor for a while after the CPU was
 * taken from a spin: who sleeps gets a shared CPU back sooner. In the latency profile it does not end.
 *
 * One sleeping thread of the process takes the lane's next timer as its time-out. The keeper
 * looks at timers too, so losing that thread to its program delays nothing for long.
 */
#include <limits.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "posix/defer.h"
#include "posix/keeper/sys.h"
#include "posix/sandbox.h"
#include "posix/wake.h"

#define LOOK_TURNS         32 /* bursts of frames in one look */
#define KERNEL_LOOK_US     10
#define RETRY_KICK_US      1000 /* after a kick that the kernel cut short */
#define SPIN_TURN_US       50 /* a spin that does not end looks at timers that often */
#define SPIN_MISSES        8  /* fruitless spins in a row after which */
#define SPIN_RETRY_EVERY   16 /* only each so many-th wait spins */
#define SPIN_CHECKS        8     /* of the rings, for one of the clock */
#define SPIN_CHECKS_LONG   16    /* in the latency profile */
#define SPIN_STOLEN_US     200   /* between two looks: another thread had the CPU */
#define CALM_EVERY_US      1000
#define SPIN_CROWDED_US    20000 /* and then so long nobody spins on it */
#define SLEEP_EVENTS	   8
#define PROFILE_LATENCY    1
#define PROFILE_THROUGHPUT 2

static _Atomic(struct shim_waiter *) timer_duty;

/* One wait under way. */
struct pause {
	struct shim_wait *w;
	uint64_t deadline_us;      /* UINT64_MAX: none */
	uint64_t timer_us;         /* the lane's next */
	uint64_t hit_us;           /* when a spin saw something, else 0 */
	uint32_t nr_run, nr_break; /* handlers, when the wait began */
	uint32_t nr_looked;        /* and when it looked last */
	uint32_t tags;             /* what ended the last sleep: bits by enum shim_wake_tag */
	bool polled;               /* the poll array is in the scratch set */
	bool kernel;               /* a kernel descriptor is ready */
	bool slept;
};

static inline void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

/* Takes the lock and turns until the rings are empty, within reason; others get the lock between.
 */
static void enter_and_turn(struct shim_view *v, uint64_t now_us)
{
	int i;

	shim_sig_enter();
	if (now_us)
		shim_lock_at(v, now_us);
	else
		shim_lock(v);
	for (i = 1; shim_turn(v) >= LANE_BURST && i < LOOK_TURNS; i++) {
		shim_leave_quiet(v);
		shim_enter(v);
	}
}

/* Under the lock, like all who change these numbers: no locked operation in the way of a frame that a spin
 * has seen. An arena that was left in need starts at 0. */
static void count_spinning(struct shim_view *v, bool on)
{
	_Atomic uint32_t *nr[] = {&v->a->nr_spinning, v->row >= 0 ? &v->a->row[v->row].nr_spinning : NULL};

	if (shim_self.spinning == on)
		return;
	shim_self.spinning = on;
	for (int i = 0; i < 2 && nr[i]; i++) {
		uint32_t n = atomic_load_explicit(nr[i], memory_order_relaxed);

		atomic_store_explicit(nr[i], on ? n + 1 : n ? n - 1 : 0, memory_order_relaxed);
	}
}

/* What follows a look that finds nothing. */
enum after { AFTER_END, AFTER_SPIN, AFTER_SLEEP };

/* The lane's part: a turn and the question. Not 0: the answer, and the lock is kept if so wished. */
static int look(struct pause *p, enum after after)
{
	struct shim_view *v = &shim.view;
	struct shim_wait *w = p->w;
	shim_rows wakes;
	int r;

	enter_and_turn(v, p->hit_us);
	p->hit_us = 0;
	p->nr_looked = shim_sig.nr_run; /* none runs inside; one that waits runs behind it */
	count_spinning(v, false);
	shim_waiter_looks(v);
	r = w->ready(v, w->arg);
	if (r && w->keep_lock) {
		shim_waiter_disarm(v);
		return r;
	}
	if (r || after == AFTER_END) {
		shim_waiter_disarm(v);
	} else {
		if (after == AFTER_SPIN) {
			shim_waiter_disarm(v);
			shim_waiter_note(v, w);
			count_spinning(v, true);
		} else {
			shim_waiter_arm(v, w);
		}
		p->timer_us = lane_next_due(v->ln);
	}
	/* 'ready' may have queued output (window updates); the turn's is queued already. */
	v->kick_mask |= lane_flush(v->ln);
	shim_defer_take(v);
	wakes = shim_unlock(v);
	if (shim_unlikely(wakes != 0) && v->row >= 0 && (wakes >> v->row & 1))
		shim_wake_local();
	shim_sig_leave();
	shim_kick_deferred();
	return r;
}

/* A handler ran since the wait began, and the wait is not to go on after it. */
static bool interrupted(const struct pause *p)
{
	if (shim_sig.nr_run == p->nr_run)
		return false;
	return !p->w->restart || shim_sig.nr_break != p->nr_break;
}

static bool has_kernel(const struct shim_wait *w)
{
	return w->kernel_epfd >= 0 || w->nr_kernel_fds;
}

/* True if one of the wait's kernel descriptors is ready now. */
static bool kernel_ready(const struct shim_wait *w)
{
	struct pollfd p = {.fd = w->kernel_epfd, .events = POLLIN};

	if (w->kernel_epfd >= 0)
		return sys_poll_now(&p, 1) > 0;
	return w->nr_kernel_fds && sys_poll_now(w->kernel_fds, w->nr_kernel_fds) > 0;
}

/* ---- spinning ---- */

static bool may_spin(struct shim_waiter *me)
{
	uint32_t others = atomic_load_explicit(&shim.view.a->nr_spinning, memory_order_relaxed) -
			  me->spinning;

	if (!shim.settings.spin_us || me->never_spins || shim.settings.profile == PROFILE_THROUGHPUT)
		return false;
	if (others >= (uint32_t)shim.nr_cpus)
		return false;
	if (shim.settings.profile == PROFILE_LATENCY)
		return true;
	if (me->stands_by)
		return false;
	if (me->crowded_until_us && shim_now_us() < me->crowded_until_us)
		return false;
	if (me->misses < SPIN_MISSES)
		return true;
	return ++me->skipped % SPIN_RETRY_EVERY == 0;
}

/* True if there is something to look at. What it will be read from is on its way then. */
static bool spin_checks(const struct pause *p, struct shim_waiter *me, bool endless)
{
	struct lane_queue *first = lane_queue(shim.view.ln, 0);
	bool one = first && first->rx_filled && !lane_queue(shim.view.ln, 1);

	for (int i = 0; i < (endless ? SPIN_CHECKS_LONG : SPIN_CHECKS); i++) {
		if (one ? lane_queue_filled(first) : shim_rings_pending(shim.view.ln)) {
			for (int k = 0; one && k < LANE_QUEUE_NEXT; k++)
				__builtin_prefetch(first->next[k]);
			return true;
		}
		if (shim_waiter_hit(me) || interrupted(p))
			return true;
		relax();
	}
	return false;
}

/* The time, in a spin that looked at it 'before_us'. */
static uint64_t spin_now_us(struct shim_waiter *me, uint64_t before_us)
{
	uint64_t now_us = shim_now_us();

	if (now_us > before_us + SPIN_STOLEN_US)
		me->crowded_until_us = now_us + SPIN_CROWDED_US;
	return now_us;
}

/* True: look again. False: it led to nothing. */
static bool spin_until(struct pause *p, struct shim_waiter *me)
{
	uint64_t start_us = shim_now_us(), now_us = start_us, kernel_us = start_us;
	bool kernel = has_kernel(p->w), endless = shim.settings.profile == PROFILE_LATENCY;

	for (;;) {
		bool seen = spin_checks(p, me, endless);

		/* In the latency profile the clock was read a moment ago. */
		if (!seen || !endless)
			now_us = spin_now_us(me, now_us);
		if (seen) {
			/* A handler may have run since. */
			p->hit_us = shim_sig.nr_run == p->nr_run ? now_us : 0;
			return true;
		}
		if (now_us >= p->deadline_us || now_us >= p->timer_us)
			return true;
		if (kernel && now_us - kernel_us >= KERNEL_LOOK_US) {
			kernel_us = now_us;
			p->kernel = kernel_ready(p->w);
			if (p->kernel)
				return true;
		}
		if (endless ? now_us - start_us > SPIN_TURN_US
			    : now_us - start_us > shim.settings.spin_us)
			return endless;
	}
}

/* Frames that come while we spin wake a keeper that is asleep, each of them and for nothing: it is
 * to nap instead. */
static void calm_keeper(struct shim_waiter *me)
{
	struct shim_view *v = &shim.view;
	uint64_t now_us;

	if (atomic_load_explicit(&v->a->keeper_state, memory_order_relaxed) != SHIM_KEEPER_ASLEEP)
		return;
	now_us = shim_now_us();
	if (now_us - me->rung_us <= CALM_EVERY_US)
		return;
	me->rung_us = now_us;
	shim_ring(v->keeper_bell);
}

void shim_spin_is_over(void)
{
	struct shim_view *v = &shim.view;

	if (!shim_self.spinning || !shim_lock_allowed())
		return;
	shim_enter(v);
	count_spinning(v, false);
	shim_leave_quiet(v);
}

/* False: it has led to nothing, or what the turn found was for a thread that it woke: that needs the CPU. */
static bool spin(struct pause *p)
{
	struct shim_waiter *me = &shim_self;
	bool worth;

	if (me->woke && shim.settings.profile != PROFILE_LATENCY)
		return false;
	worth = spin_until(p, me);
	me->misses = worth ? 0 : me->misses + 1;
	if (worth)
		calm_keeper(me);
	return worth;
}

/* ---- sleeping ---- */

/* epoll_pwait2(2), or epoll_pwait(2) where there is none. A cancellation point. -errno. */
static int epoll_sleep(int epfd, struct epoll_event *ev, int nr, int64_t us, const sigset_t *mask)
{
	static _Atomic bool no_pwait2;
	struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	int64_t ms = us < 0 ? -1 : (us + 999) / 1000;
	int r;

	if (!no_pwait2 && shim_libc()->epoll_pwait2) {
		r = shim_libc()->epoll_pwait2(epfd, ev, nr, us < 0 ? NULL : &ts, mask);
		if (r >= 0 || (errno != ENOSYS && errno != EPERM))
			return r < 0 ? -errno : r;
		no_pwait2 = true;
	}
	r = shim_libc()->epoll_pwait(epfd, ev, nr, ms > INT_MAX ? INT_MAX : (int)ms, mask);
	return r < 0 ? -errno : r;
}

static void read_counter(int fd)
{
	uint64_t count;

	sys_read(fd, &count, sizeof(count));
}

/* What woke us. The doorbell is one for the whole process: others may be meant. */
static void woken(struct pause *p, const struct epoll_event *ev, int n)
{
	struct shim_view *v = &shim.view;
	int i;

	for (i = 0; i < n; i++) {
		p->tags |= 1U << ev[i].data.u32;
		switch (ev[i].data.u32) {
		case SHIM_TAG_BELL:
			read_counter(v->doorbell[v->row]);
			shim_wake_local();
			break;
		case SHIM_TAG_OWN:
			read_counter(shim_self.evfd);
			break;
		case SHIM_TAG_KERNEL:
			p->kernel = true;
			break;
		default:
			break;
		}
	}
}

/* A far timer is the keeper's, who looks every 100 ms while any is armed: no hrtimer for each
 * sleep. */
static bool timer_is_mine(uint64_t timer_us, uint64_t now_us)
{
	return timer_us < now_us + KEEPER_SLEEP_US ||
	       atomic_load(&shim.view.a->keeper_state) == SHIM_KEEPER_GONE;
}

/* How long to sleep, in us; < 0: until woken. Takes the duty for the lane's timer if nobody has it.
 * Frames that the last kick left in a ring are kicked by the next look. Without the queues
 * in its set, because it stands by, or had none when the sandbox closed, a thread looks now and then.
 */
static int64_t sleep_time(const struct pause *p, bool *duty)
{
	uint64_t most = shim_self.has_queues ? 0 : KEEPER_SLEEP_US;
	struct shim_waiter *none = NULL;
	uint64_t until = p->deadline_us, now_us;

	*duty = false;
	if (shim_kick_left_frames(shim.view.ln, UINT32_MAX))
		most = RETRY_KICK_US;
	if (until == UINT64_MAX && p->timer_us == UINT64_MAX && !most)
		return -1;
	now_us = shim_now_us();
	if (most && until > now_us + most)
		until = now_us + most;
	if (p->timer_us < until && timer_is_mine(p->timer_us, now_us)) {
		*duty = atomic_compare_exchange_strong(&timer_duty, &none, &shim_self) ||
			none == &shim_self;
		if (*duty)
			until = p->timer_us;
	}
	if (until == UINT64_MAX)
		return -1;
	return until > now_us ? (int64_t)(until - now_us) : 0;
}

/* pthread_cancel() found this thread asleep. */
static void cancelled(void *arg)
{
	struct pause *p = arg;
	struct shim_wait *w = p->w;
	struct shim_waiter *me = &shim_self;

	atomic_compare_exchange_strong(&timer_duty, &me, NULL);
	if (p->polled)
		shim_waiter_unpoll(w->kernel_fds, w->nr_kernel_fds);
	shim_waiter_disarm(NULL);
	shim_spin_is_over();
	if (w->abandon)
		w->abandon(w->arg);
}

/* Without descriptors for an internal set: naps. */
static int nap(struct pause *p)
{
	struct timespec ts = {.tv_nsec = 1000000};
	int r;

	pthread_cleanup_push(cancelled, p);
	r = shim_libc()->ppoll(p->w->kernel_fds, p->w->nr_kernel_fds, &ts, p->w->sigmask);
	pthread_cleanup_pop(0);
	if (r < 0)
		return -errno;
	p->kernel = r > 0 || kernel_ready(p->w);
	return r;
}

/* From here on a handler wakes the thread, even before it sleeps. False: one ran since the last look,
 * and may have done in it what the thread would wait for. */
static bool begin_sleep(const struct pause *p)
{
	shim_sig.sleeping = true;
	atomic_signal_fence(memory_order_seq_cst);
	return shim_sig.nr_run == p->nr_looked;
}

/* The same by the calls that a filter has left. */
static int sleep_sandboxed(struct pause *p)
{
	int64_t us;
	bool duty;
	int n = 0;

	if (shim_rings_pending(shim.view.ln))
		return 0;
	us = sleep_time(p, &duty);
	if (begin_sleep(p))
		n = shim_sandbox_sleep(p->w, us, &p->kernel);
	shim_sig.sleeping = false;
	if (duty)
		atomic_store(&timer_duty, NULL);
	return n;
}

static int sleep_on(struct pause *p, struct epoll_event ev[SLEEP_EVENTS], int64_t us)
{
	int n;

	pthread_cleanup_push(cancelled, p);
	n = epoll_sleep(shim_self.epfd, ev, SLEEP_EVENTS, us, p->w->sigmask);
	pthread_cleanup_pop(0);
	return n;
}

static int sleep_in_kernel(struct pause *p)
{
	struct shim_wait *w = p->w;
	struct epoll_event ev[SLEEP_EVENTS];
	int64_t us;
	bool duty;
	int n;

	if (shim_sandboxed())
		return sleep_sandboxed(p);
	if (shim_unlikely(!shim_waiter_open()))
		return nap(p);
	n = shim_waiter_program_epfd(w->kernel_epfd);
	if (n == 0 && w->nr_kernel_fds && !p->polled) {
		n = shim_waiter_poll(w->kernel_fds, w->nr_kernel_fds);
		p->polled = true;
	}
	if (n < 0)
		return nap(p);
	shim_waiter_sleeps();
	p->slept = true;
	/* A look that had enough before the rings were empty: the queues tell of new frames only.
	 */
	if (!shim_self.stands_by && shim_rings_pending(shim.view.ln))
		return 0;
	us = sleep_time(p, &duty);
	atomic_fetch_add_explicit(&shim.view.a->nr_sleeps, 1, memory_order_relaxed);
	n = begin_sleep(p) ? sleep_on(p, ev, us) : 0;
	shim_sig.sleeping = false;
	if (duty)
		atomic_store(&timer_duty, NULL);
	if (n > 0)
		woken(p, ev, n);
	return n;
}

/* A spin has no cancellation point, and in the latency profile no end. */
static void test_cancel(struct pause *p)
{
	pthread_cleanup_push(cancelled, p);
	pthread_testcancel();
	pthread_cleanup_pop(0);
}

/* epoll_wait(2) ends with EINTR also when a stopped thread goes on; poll and reads do not. */
static bool ends_without_handler(const struct shim_wait *w)
{
	return w->ep != LANE_NIL || w->kernel_epfd >= 0;
}

/* gcc's thread sanitizer puts a handler off until the thread's next call of a libc function that it knows. */
static void let_handlers_run(void)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

	if (pthread_mutex_trylock(&m) == 0)
		pthread_mutex_unlock(&m);
}

/* The pauses between looks, until there is a result. The first is 'after'; who sleeps has armed. */
static int wait_on(struct pause *p, enum after after)
{
	bool spun, spins;
	int r = 0, n;

	for (;; after = spins ? AFTER_SPIN : AFTER_SLEEP) {
		p->kernel = false;
		p->tags = 0;
		spun = after == AFTER_SPIN;
		spins = spun && spin(p);
		if (!spun) {
			shim_self.woke = NULL;
			n = sleep_in_kernel(p);
			if (n == -EINTR && shim_sig.nr_run == p->nr_run)
				let_handlers_run();
			if (n == -EINTR && shim_sig.nr_run == p->nr_run &&
			    ends_without_handler(p->w))
				r = -EINTR;
		}
		if (spins || !spun)
			spins = may_spin(&shim_self);
		n = look(p, spins ? AFTER_SPIN : AFTER_SLEEP);
		if (!spun)
			shim_waiter_woken(p->tags, n || p->kernel);
		if (n)
			return n;
		if (spun)
			test_cancel(p);
		if (p->kernel)
			return SHIM_WAIT_KERNEL;
		if (r < 0 || interrupted(p))
			return -EINTR;
		if (shim_now_us() >= p->deadline_us)
			return 0;
	}
}

/* The wait ends without an answer. Its marks in the arena go, under the lock: who is woken in place of
 * others (EPOLLEXCLUSIVE) must be one that waits. At the time-out there is a last look, for what came
 * between the one before and this. */
static int withdraw(struct pause *p, int r)
{
	struct shim_view *v = &shim.view;

	if (r == 0)
		return look(p, AFTER_END);
	shim_enter(v);
	shim_waiter_disarm(v);
	count_spinning(v, false);
	shim_leave_quiet(v);
	return r;
}

int shim_wait(struct shim_wait *w)
{
	struct pause p = {
		.w = w,
		.nr_run = shim_sig.nr_run,
		.nr_break = shim_sig.nr_break,
		.deadline_us = UINT64_MAX,
	};
	enum after after;
	int r;

	shim_sig.sleeping = false; /* a handler may have left an earlier wait by longjmp */
	shim_self.woke = NULL;
	/* First, so that what was sent to an own socket is there when the lane is looked at. */
	shim_kick_deferred();
	if (shim_unlikely(shim_self.waiting))
		shim_waiter_disarm(NULL); /* a handler left an earlier wait by longjmp */
	if (w->timeout_us == 0)
		return look(&p, AFTER_END);
	if (w->timeout_us > 0)
		p.deadline_us = shim_now_us() + (uint64_t)w->timeout_us;
	shim_waiter_open();
	after = may_spin(&shim_self) ? AFTER_SPIN : AFTER_SLEEP;
	r = look(&p, after);
	if (!r) {
		r = wait_on(&p, after);
		if (p.polled)
			shim_waiter_unpoll(w->kernel_fds, w->nr_kernel_fds);
		if (r <= 0 || r == SHIM_WAIT_KERNEL)
			r = withdraw(&p, r);
	}
	if (!p.slept)
		shim_waiter_awake();
	return r;
}

void shim_wait_fork_child(void)
{
	atomic_store(&timer_duty, NULL);
}
