/*
 * arena.c - making and mapping the memory that members and keeper share
 *
 * Layout: struct shim_arena, the socks, the epoll sets, the watches, the lane; each at a multiple
 * of a page. Whoever maps it checks magic, version and sizes first, and keeps the checked numbers
 * of entries in its own view: a hostile member may write anything into the arena later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/robust.h"
#include "keeper.h"
#include "lane-int/state.h"
#include "sys.h"

int (*keeper_hide_fd)(int fd);
void (*keeper_unhide_fd)(int fd);

#define ARENA_MEMORY_DEFAULT ((size_t)64 << 20)
#define ARENA_PAGE           4096u

/* Bytes of memory for each entry of a table: 64 MB give 32,768 socks, 1,024 sets, 32,768 watches. */
#define ARENA_PER_SOCK  2048u
#define ARENA_PER_EP    65536u
#define ARENA_PER_WATCH 2048u

/* Another build whose structs differ in size does not fit, though nobody counted the version up. */
#define ARENA_LAYOUT                                                                               \
	((uint32_t)(sizeof(struct shim_arena) + (sizeof(struct shim_sock) << 14) +                 \
		    (sizeof(struct shim_ep) << 20) + (sizeof(struct shim_watch) << 25)))

static uint64_t page_round(uint64_t n)
{
	return (n + ARENA_PAGE - 1) & ~(uint64_t)(ARENA_PAGE - 1);
}

/* Fills in the numbers and offsets of the tables; returns the offset behind them. */
static uint64_t arena_layout(struct shim_arena *a, size_t memory)
{
	a->nr_socks = (uint32_t)(memory / ARENA_PER_SOCK);
	a->nr_eps = (uint32_t)(memory / ARENA_PER_EP);
	a->nr_watches = (uint32_t)(memory / ARENA_PER_WATCH);
	a->sock_off = page_round(sizeof(*a));
	a->ep_off = a->sock_off + page_round((uint64_t)a->nr_socks * sizeof(struct shim_sock));
	a->watch_off = a->ep_off + page_round((uint64_t)a->nr_eps * sizeof(struct shim_ep));
	return a->watch_off + page_round((uint64_t)a->nr_watches * sizeof(struct shim_watch));
}

/* A memfd of 'size' bytes that nobody can shrink under the others. */
static int arena_memfd(uint64_t size)
{
	int fd = memfd_create("lane-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void view_set_tables(struct shim_view *v)
{
	uint8_t *base = (uint8_t *)v->a;

	v->socks = (struct shim_sock *)(base + v->a->sock_off);
	v->eps = (struct shim_ep *)(base + v->a->ep_off);
	v->watches = (struct shim_watch *)(base + v->a->watch_off);
	v->nr_socks = v->a->nr_socks;
	v->nr_eps = v->a->nr_eps;
	v->nr_watches = v->a->nr_watches;
}

/* Puts all entries of the tables on their free lists, the lowest first. */
static void tables_init(struct shim_view *v)
{
	struct shim_arena *a = v->a;
	uint32_t i;

	a->sock_free = a->ep_free = a->watch_free = LANE_NIL;
	for (i = v->nr_socks; i-- > 0; a->sock_free = i)
		v->socks[i].free_link = a->sock_free;
	for (i = v->nr_eps; i-- > 0; a->ep_free = i)
		v->eps[i].free_link = a->ep_free;
	for (i = v->nr_watches; i-- > 0; a->watch_free = i)
		v->watches[i].free_link = a->watch_free;
}

void shim_view_init(struct shim_view *v)
{
	unsigned int i;

	memset(v, 0, sizeof(*v));
	v->row = v->memfd = v->keeper_bell = v->conn = -1;
	for (i = 0; i < LANE_IFS_MAX; i++) {
		v->xdp[i].claims = v->xdp[i].link = v->xdp[i].packet = -1;
		memset(v->xdp[i].xsk, 0xff, sizeof(v->xdp[i].xsk)); /* all -1 */
	}
	for (i = 0; i < SHIM_ROWS; i++)
		v->doorbell[i] = -1;
}

void shim_view_each_fd(struct shim_view *v, void (*fn)(int *fd, void *arg), void *arg)
{
	unsigned int i, q;

	fn(&v->memfd, arg);
	fn(&v->keeper_bell, arg);
	fn(&v->conn, arg);
	for (i = 0; i < LANE_IFS_MAX; i++) {
		fn(&v->xdp[i].claims, arg);
		fn(&v->xdp[i].link, arg);
		fn(&v->xdp[i].packet, arg);
		for (q = 0; q < LANE_QUEUES_MAX; q++)
			fn(&v->xdp[i].xsk[q], arg);
	}
	for (i = 0; i < SHIM_ROWS; i++)
		fn(&v->doorbell[i], arg);
}

/* The header and the sizes, before anything is shared. */
static void arena_header(struct shim_arena *a, const struct shim_arena *plan,
			 const struct shim_arena_config *cfg)
{
	a->sock_off = plan->sock_off;
	a->ep_off = plan->ep_off;
	a->watch_off = plan->watch_off;
	a->lane_off = plan->lane_off;
	a->lane_size = plan->lane_size;
	a->nr_socks = plan->nr_socks;
	a->nr_eps = plan->nr_eps;
	a->nr_watches = plan->nr_watches;
	a->size = plan->size;
	a->version = SHIM_ARENA_VERSION;
	a->header_size = ARENA_LAYOUT;
	memcpy(a->ifname, cfg->ifname, sizeof(a->ifname));
	a->keeper_until_us = UINT64_MAX;
	a->magic = SHIM_ARENA_MAGIC;
}

int shim_arena_create(const struct shim_arena_config *cfg, struct shim_view *v)
{
	size_t memory = cfg->memory ? cfg->memory : ARENA_MEMORY_DEFAULT;
	struct lane_config lc = cfg->lane;
	struct shim_arena *plan;
	void *mem;
	int r;

	shim_view_init(v);
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	plan->lane_off = arena_layout(plan, memory);
	r = plan->lane_off < memory ? lane_config_memory(&lc, memory - plan->lane_off) : -EINVAL;
	if (r)
		goto out_plan;
	/* A connection without a sock could not be accepted; one without a pcb is the kernel's. */
	if (lc.nr_tcp > plan->nr_socks - plan->nr_socks / 8)
		lc.nr_tcp = plan->nr_socks - plan->nr_socks / 8;
	plan->lane_size = lane_size(&lc);
	plan->size = plan->lane_off + plan->lane_size;
	v->memfd = r = arena_memfd(plan->size);
	if (r < 0)
		goto out_plan;
	mem = mmap(NULL, plan->size, PROT_READ | PROT_WRITE, MAP_SHARED, v->memfd, 0);
	r = mem == MAP_FAILED ? -errno : 0;
	if (r)
		goto out_memfd;
	v->a = mem;
	v->size = plan->size;
	arena_header(v->a, plan, cfg);
	view_set_tables(v);
	tables_init(v);
	v->ln = lane_create(&lc, (uint8_t *)mem + plan->lane_off, shim_now_us());
	r = v->ln ? lane_robust_init(&v->a->lock) : -ENOMEM;
	if (r)
		goto out_memfd;
	shim_lock_allow();
	free(plan);
	return 0;
out_memfd:
	shim_arena_unmap(v);
out_plan:
	free(plan);
	return r;
}

int shim_arena_leave(struct shim_view *v)
{
	uint64_t now_us = shim_now_us(), sock_off = (uint64_t)((uint8_t *)v->socks - (uint8_t *)v->a);
	uint64_t ep_off = (uint64_t)((uint8_t *)v->eps - (uint8_t *)v->a);
	uint64_t watch_off = (uint64_t)((uint8_t *)v->watches - (uint8_t *)v->a);
	struct lane_state *st = v->ln->st;
	struct lane_config cfg = st->cfg;
	struct lane *ln;

	/* What another member may have written over is not to lead out of the mapping. */
	if (lane_size(&cfg) > v->size - (size_t)((uint8_t *)st - (uint8_t *)v->a) ||
	    mmap(v->a, v->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -ENOMEM;
	v->a->sock_off = sock_off;
	v->a->ep_off = ep_off;
	v->a->watch_off = watch_off;
	v->a->nr_socks = v->nr_socks;
	v->a->nr_eps = v->nr_eps;
	v->a->nr_watches = v->nr_watches;
	v->a->keeper_state = SHIM_KEEPER_GONE;
	v->a->keeper_until_us = 0;
	tables_init(v);
	v->wakes = 0;
	v->kick_mask = 0;
	ln = lane_create(&cfg, st, now_us);
	if (!ln)
		return -ENOMEM;
	/* Callers hold the handle; it has no queues any more. */
	*v->ln = *ln;
	lane_detach(ln);
	return lane_robust_init(&v->a->lock);
}

/* True if [off, off + size) lies in the arena, on a page, behind the header. */
static bool range_ok(const struct shim_arena *a, uint64_t size, uint64_t off, uint64_t len)
{
	return off >= page_round(sizeof(*a)) && off % ARENA_PAGE == 0 && off <= size &&
	       len <= size - off;
}

/* 0, -EPROTO or -EBADMSG: what a joiner believes before it uses an offset. */
static int arena_check(const struct shim_arena *a, uint64_t size)
{
	if (a->magic != SHIM_ARENA_MAGIC || a->version != SHIM_ARENA_VERSION ||
	    a->header_size != ARENA_LAYOUT)
		return -EPROTO;
	if (a->size != size ||
	    !range_ok(a, size, a->sock_off, (uint64_t)a->nr_socks * sizeof(struct shim_sock)) ||
	    !range_ok(a, size, a->ep_off, (uint64_t)a->nr_eps * sizeof(struct shim_ep)) ||
	    !range_ok(a, size, a->watch_off, (uint64_t)a->nr_watches * sizeof(struct shim_watch)) ||
	    !range_ok(a, size, a->lane_off, a->lane_size))
		return -EBADMSG;
	return 0;
}

int shim_arena_map(struct shim_view *v)
{
	int prot = v->readonly ? PROT_READ : PROT_READ | PROT_WRITE;
	struct stat st;
	void *mem;
	int r;

	if (fstat(v->memfd, &st))
		return -errno;
	if ((uint64_t)st.st_size < page_round(sizeof(struct shim_arena)))
		return -EBADMSG;
	mem = mmap(NULL, (size_t)st.st_size, prot, MAP_SHARED, v->memfd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	v->a = mem;
	v->size = (size_t)st.st_size;
	r = arena_check(v->a, v->size);
	if (r)
		goto out_map;
	view_set_tables(v);
	v->ln = lane_attach((uint8_t *)mem + v->a->lane_off, v->a->lane_size);
	if (!v->ln) {
		r = -errno;
		goto out_map;
	}
	if (!v->readonly)
		shim_lock_allow();
	return 0;
out_map:
	munmap(mem, v->size);
	v->a = NULL;
	return r;
}

static void fd_close(int *fd, void *arg)
{
	(void)arg;
	if (*fd < 0)
		return;
	if (keeper_unhide_fd)
		keeper_unhide_fd(*fd);
	sys_close(*fd);
	*fd = -1;
}

void shim_arena_unmap(struct shim_view *v)
{
	struct lane_queue *q;
	unsigned int i;

	/* This process' mappings of the rings: as long as there is one, the device is in use. */
	for (i = 0; v->ln && (q = lane_queue(v->ln, i)); i++) {
		if (q->drv->close)
			q->drv->close(q);
	}
	if (v->ln)
		lane_detach(v->ln);
	if (v->a)
		munmap(v->a, v->size);
	shim_view_each_fd(v, fd_close, NULL);
	shim_view_init(v);
}
