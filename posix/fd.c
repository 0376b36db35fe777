/*
 * fd.c - what each descriptor number is to us
 *
 * Theory of operation. A two-level table of atomic pointers: a root of 1,024 leaves in .bss, each
 * leaf (8 KB) mapped when a number in it is first set. A process that has no socket maps none.
 * Objects come from chunks that are never unmapped and lie in a lock-free stack when free, so a
 * reader may touch one that is just being freed: it takes a hold only while refs is not 0, and
 * looks at the table again afterwards. No lock is held anywhere, so a signal handler or a forked
 * child finds the table usable at any moment.
 *
 * A number counts for one hold. Numbers beyond the table belong to the kernel.
 *
 * Descriptors of ours are moved above what the program may use: its soft limit is raised by
 * HIDDEN_ROOM where the hard limit allows it. Their entries are the mark 'hidden'.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "posix/keeper/sys.h"
#include "posix/shim.h"
#include "posix/wake.h"

#define LEAF_BITS 10
#define LEAF_SIZE (1u << LEAF_BITS)
#define NR_LEAVES 1024u
#define CHUNK 256u
#define NR_CHUNKS 4096u
#define HIDDEN_ROOM 256
#define HIDDEN_MOST 4096 /* room where the hard limit has it: each thread that waits needs two or three */
#define HIDDEN_TOP 16384 /* a table of the kernel beyond it makes forks dear */

typedef _Atomic(struct shim_local *) slot;

static _Atomic(slot *) root[NR_LEAVES];
static _Atomic(struct shim_local *) chunks[NR_CHUNKS];
static _Atomic uint64_t free_list; /* tag << 32 | number of the first free object + 1 */
static _Atomic uint32_t nr_chunks;
static struct shim_local hidden;
static _Atomic unsigned int hidden_top;
int shim_nofile_extra, shim_nofile_limit;

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The slot of 'fd', NULL if it has none yet. */
static slot *slot_of(int fd)
{
	slot *leaf;

	if (shim_unlikely((unsigned int)fd >= NR_LEAVES * LEAF_SIZE))
		return NULL;
	leaf = atomic_load_explicit(&root[(unsigned int)fd >> LEAF_BITS], memory_order_acquire);
	return shim_unlikely(!leaf) ? NULL : &leaf[(unsigned int)fd & (LEAF_SIZE - 1)];
}

static slot *slot_make(int fd)
{
	slot *s = slot_of(fd), *leaf, *none = NULL;

	if (s || (unsigned int)fd >= NR_LEAVES * LEAF_SIZE)
		return s;
	leaf = map(LEAF_SIZE * sizeof(*leaf));
	if (!leaf)
		return NULL;
	if (!atomic_compare_exchange_strong(&root[(unsigned int)fd >> LEAF_BITS], &none, leaf))
		munmap(leaf, LEAF_SIZE * sizeof(*leaf));
	return slot_of(fd);
}

/* ---- objects ---- */

static struct shim_local *object(uint32_t nr)
{
	return &chunks[nr / CHUNK][nr % CHUNK];
}

static void push(struct shim_local *l)
{
	uint64_t old = atomic_load(&free_list), new;

	do {
		__atomic_store_n(&l->next_free, (uint32_t)old, __ATOMIC_RELAXED);
		new = ((old >> 32) + 1) << 32 | (l->nr + 1);
	} while (!atomic_compare_exchange_weak(&free_list, &old, new));
}

static struct shim_local *pop(void)
{
	uint64_t old = atomic_load(&free_list), new;

	do {
		if (!(uint32_t)old)
			return NULL;
		/* Of one that another thread has taken meanwhile it is anything: the number has changed then too. */
		new = ((old >> 32) + 1) << 32 |
		      __atomic_load_n(&object((uint32_t)old - 1)->next_free, __ATOMIC_RELAXED);
	} while (!atomic_compare_exchange_weak(&free_list, &old, new));
	return object((uint32_t)old - 1);
}

/* Maps one more chunk. False: out of memory or at the limit. */
static bool grow(void)
{
	struct shim_local *c, *none = NULL;
	uint32_t i, k = atomic_load(&nr_chunks);

	if (k >= NR_CHUNKS)
		return false;
	c = map(CHUNK * sizeof(*c));
	if (!c)
		return false;
	for (i = 0; i < CHUNK; i++)
		c[i].nr = k * CHUNK + i;
	if (!atomic_compare_exchange_strong(&chunks[k], &none, c)) {
		munmap(c, CHUNK * sizeof(*c));
		return true; /* another thread did it: its objects come in a moment */
	}
	atomic_store(&nr_chunks, k + 1);
	for (i = 0; i < CHUNK; i++)
		push(&c[i]);
	return true;
}

struct shim_local *shim_local_alloc(enum shim_kind kind)
{
	struct shim_local *l;
	uint32_t nr;

	while (!(l = pop())) {
		if (!grow())
			return NULL;
	}
	nr = l->nr;
	memset(l, 0, sizeof(*l));
	l->nr = nr;
	l->kind = (uint8_t)kind;
	l->index = LANE_NIL;
	l->shadow = l->nest_evfd = l->epfd = -1;
	atomic_store_explicit(&l->refs, 1, memory_order_release);
	return l;
}

/* ---- holds. A process of one thread, which only its own signal handlers interrupt, needs no locked
 * operation for them: one instruction is enough. ---- */

#ifdef __x86_64__

/* libc knows its own threads; others, that clone(2) or another libc (dlmopen) makes in this memory, are met here. */
static void meet_thread(void)
{
	static atomic_flag met = ATOMIC_FLAG_INIT;

	shim_self.met = true;
	if (atomic_flag_test_and_set(&met))
		shim.memory_shared = true;
}

static inline bool is_alone(void)
{
	if (shim_unlikely(!shim_self.met))
		meet_thread();
	return __libc_single_threaded && !shim.memory_shared;
}

static inline bool refs_inc(_Atomic uint32_t *refs, uint32_t was)
{
	bool done;

	if (!is_alone())
		return atomic_compare_exchange_strong(refs, &was, was + 1);
	__asm__ volatile("cmpxchgl %3, %0"
			 : "+m"(*refs), "+a"(was), "=@ccz"(done)
			 : "r"(was + 1)
			 : "memory");
	return done;
}

/* True: that was the last. */
static inline bool refs_dec(_Atomic uint32_t *refs)
{
	bool last;

	if (!is_alone())
		return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
	__asm__ volatile("decl %0" : "+m"(*refs), "=@ccz"(last) : : "memory");
	return last;
}

#else

static inline bool refs_inc(_Atomic uint32_t *refs, uint32_t was)
{
	return atomic_compare_exchange_strong(refs, &was, was + 1);
}

static inline bool refs_dec(_Atomic uint32_t *refs)
{
	return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

#endif

/* ---- the table ---- */

/* Holds what is in 's'. */
static inline struct shim_local *hold(slot *s)
{
	struct shim_local *l;
	uint32_t refs;

	for (;;) {
		l = atomic_load_explicit(s, memory_order_acquire);
		if (!l || l == &hidden)
			return NULL;
		refs = atomic_load_explicit(&l->refs, memory_order_relaxed);
		if (!refs || !refs_inc(&l->refs, refs))
			continue; /* it changed under us: look again */
		if (shim_likely(atomic_load(s) == l))
			return l;
		shim_put(l);
	}
}

struct shim_local *shim_get(int fd)
{
	slot *s = slot_of(fd);

	return s ? hold(s) : NULL;
}

struct shim_local *shim_get_sock(int fd)
{
	slot *s = slot_of(fd);
	struct shim_local *l;

	if (!s)
		return NULL;
	l = atomic_load_explicit(s, memory_order_relaxed);
	if (!l || l->kind != SHIM_SOCK)
		return NULL;
	l = hold(s);
	if (shim_unlikely(l && l->kind != SHIM_SOCK)) {
		shim_put(l);
		return NULL;
	}
	return l;
}

/* The last hold is gone: this process' share of it ends. */
static void last_put(struct shim_local *l)
{
	struct shim_view *v = &shim.view;

	shim_epoll_forget(l);
	/* The child of a raw fork has no row: what it closes was never its own. */
	if (l->kind == SHIM_SOCK && l->index != LANE_NIL && shim_lock_allowed()) {
		shim_fork_wait();
		shim_enter(v);
		if (shim_sock_of(l))
			shim_sock_release(v, l->index, v->row);
		shim_leave(v);
	}
	push(l);
}

void shim_put(struct shim_local *l)
{
	if (refs_dec(&l->refs))
		last_put(l);
}

void shim_fd_set(int fd, struct shim_local *l)
{
	slot *s = l ? slot_make(fd) : slot_of(fd);
	struct shim_local *old;

	if (!s) {
		if (l)
			shim_put(l); /* beyond the table: the kernel's */
		return;
	}
	if (l)
		shim_not_inherited(fd);
	old = atomic_exchange(s, l);
	if (shim_unlikely(old && old != &hidden))
		shim_put(old);
}

void shim_fd_add(int fd, struct shim_local *l)
{
	atomic_fetch_add(&l->refs, 1);
	shim_fd_set(fd, l);
}

struct shim_local *shim_fd_take(int fd)
{
	slot *s = slot_of(fd);
	struct shim_local *l;

	if (!s)
		return NULL;
	l = atomic_load_explicit(s, memory_order_relaxed);
	if (!l || l == &hidden)
		return NULL;
	l = atomic_exchange(s, NULL);
	return l == &hidden ? NULL : l;
}

void (*_Atomic shim_fd_made)(int fd);

int shim_fd_new(int fd)
{
	void (*heard)(int fd) = atomic_load_explicit(&shim_fd_made, memory_order_relaxed);
	slot *s = fd < 0 ? NULL : slot_of(fd);

	if (shim_unlikely(heard))
		heard(fd);
	if (shim_unlikely(s && atomic_load_explicit(s, memory_order_relaxed)))
		shim_fd_set(fd, NULL);
	return fd;
}

void shim_fd_each(void (*fn)(int fd, struct shim_local *l, void *arg), void *arg)
{
	struct shim_local *l;
	unsigned int i, j;
	slot *leaf;

	for (i = 0; i < NR_LEAVES; i++) {
		leaf = atomic_load(&root[i]);
		for (j = 0; leaf && j < LEAF_SIZE; j++) {
			if (!atomic_load_explicit(&leaf[j], memory_order_relaxed))
				continue;
			l = shim_get((int)(i * LEAF_SIZE + j));
			if (!l)
				continue;
			fn((int)(i * LEAF_SIZE + j), l, arg);
			shim_put(l);
		}
	}
}

/* Twice over the table: marks what has numbers, then counts these. Within fn one hold is shim_fd_each()'s. */
#define RECOUNT_KEEP (1U << 30)

static void recount_begin(int fd, struct shim_local *l, void *arg)
{
	(void)fd;
	(void)arg;
	atomic_store(&l->refs, RECOUNT_KEEP + 1); /* one is shim_fd_each()'s */
}

static void recount_one(int fd, struct shim_local *l, void *arg)
{
	uint32_t refs = atomic_load(&l->refs);

	(void)fd;
	(void)arg;
	atomic_store(&l->refs, refs >= RECOUNT_KEEP ? 2 : refs + 1);
}

void shim_fd_recount(void)
{
	shim_fd_each(recount_begin, NULL);
	shim_fd_each(recount_one, NULL);
}

struct others {
	struct shim_local *l, *to;
	int fd, other;
	unsigned int nr;
};

static void count_other(int fd, struct shim_local *l, void *arg)
{
	struct others *o = arg;

	if (l != o->l || fd == o->fd)
		return;
	o->other = fd;
	o->nr++;
}

unsigned int shim_fd_others(struct shim_local *l, int fd, int *other)
{
	struct others o = {.l = l, .fd = fd, .other = -1};

	shim_fd_each(count_other, &o);
	if (other)
		*other = o.other;
	return o.nr;
}

static void replace_one(int fd, struct shim_local *l, void *arg)
{
	struct others *o = arg;
	struct shim_local *want = o->l;
	slot *s = slot_of(fd);

	if (l != o->l)
		return;
	if (o->to)
		atomic_fetch_add(&o->to->refs, 1);
	if (atomic_compare_exchange_strong(s, &want, o->to))
		shim_put(l);
	else if (o->to)
		shim_put(o->to);
}

void shim_fd_replace(struct shim_local *from, struct shim_local *to)
{
	struct others o = {.l = from, .to = to};

	shim_fd_each(replace_one, &o);
}

/* ---- descriptors of ours ---- */

bool shim_fd_is_hidden(int fd)
{
	slot *s = slot_of(fd);

	return s && atomic_load_explicit(s, memory_order_relaxed) == &hidden;
}

void shim_fd_unhide(int fd)
{
	slot *s = slot_of(fd);
	struct shim_local *want = &hidden;

	if (s)
		atomic_compare_exchange_strong(s, &want, NULL);
}

/* The lowest number for ours: above the program's limit if that can be raised. */
static int hidden_base(void)
{
	static _Atomic int base;
	struct rlimit rl;
	rlim_t cur, room;

	if (base)
		return base;
	if (shim_nofile_extra) { /* set by the program before it joined (priv.c) */
		base = shim_nofile_limit;
		return base;
	}
	if (shim_libc()->getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 512;
	cur = rl.rlim_cur;
	room = rl.rlim_max - cur < HIDDEN_MOST ? rl.rlim_max - cur : HIDDEN_MOST;
	if (cur <= HIDDEN_TOP && room >= HIDDEN_ROOM) {
		rl.rlim_cur = cur + room;
		if (shim_libc()->setrlimit(RLIMIT_NOFILE, &rl) == 0) {
			shim_nofile_limit = (int)cur;
			shim_nofile_extra = (int)room;
			base = (int)cur;
			return base;
		}
	}
	if (cur > HIDDEN_TOP)
		cur = HIDDEN_TOP;
	base = cur > 2 * HIDDEN_ROOM ? (int)cur - HIDDEN_ROOM : (int)cur / 2;
	return base;
}

void shim_fd_mark(int fd)
{
	slot *s = slot_make(fd);

	if (s)
		atomic_store(s, &hidden);
	if ((unsigned int)fd >= atomic_load(&hidden_top))
		atomic_store(&hidden_top, (unsigned int)fd + 1);
}

int shim_fd_hide(int fd)
{
	int high;

	if (fd < 0)
		return fd;
	high = shim_libc()->fcntl(fd, F_DUPFD_CLOEXEC, hidden_base());
	if (high < 0)
		high = fd;
	else
		sys_close(fd);
	shim_fd_mark(high);
	return high;
}

unsigned int shim_fd_hidden_top(void)
{
	return atomic_load(&hidden_top);
}
