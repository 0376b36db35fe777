/*
 * arena.c - fuzzes what takes an arena's memory from others: attaching to a lane, and the repair
 *
 * Another member may have written anything into the arena, or died in the middle of a change.
 * Whoever attaches checks the header of the lane before it believes an offset; the repair believes
 * no link between the tables' entries, and leaves lists that are whole. (What a hostile member does
 * to a running engine is not in here: it may hold the lock for ever as well.)
 */
#include <errno.h>

#include <lane/tcp.h>
#include <lane/udp.h>

#include "lane-int/engine.h"
#include "posix/watch.h"
#include "tests/fuzz/fuzz.h"

#define NR_SOCKS   12
#define NR_EPS     4
#define NR_WATCHES 24
#define WRITES_MAX 64

static struct {
	uint8_t *mem; /* a lane's */
	size_t size;
	struct lane_state fresh; /* its header as it was made */
} made;

static struct {
	struct shim_arena a;
	struct shim_sock sock[NR_SOCKS];
	struct shim_ep ep[NR_EPS];
	struct shim_watch watch[NR_WATCHES];
} shared;

uint64_t shim_now_us(void)
{
	return 1;
}

static struct lane *make(void)
{
	struct lane_config cfg;

	lane_config_default(&cfg);
	cfg.nr_bufs = 16;
	cfg.nr_tcp = cfg.nr_syn = cfg.nr_tw = cfg.nr_udp = 4;
	made.size = lane_size(&cfg);
	made.mem = aligned_alloc(4096, made.size);
	FUZZ_CHECK(made.mem);
	memset(made.mem, 0, made.size);
	return lane_create(&cfg, made.mem, 1);
}

/* Writes bytes of the input somewhere into 'size' bytes; wide values, as links and counts are. */
static void scribble(struct fuzz_in *in, void *mem, size_t size)
{
	uint32_t at = fuzz_u16(in), v = fuzz_u8(in);
	uint32_t wide = v < 0xf0 ? v : v < 0xf8 ? LANE_NIL - (v & 7) : fuzz_u32(in);

	at = (uint32_t)(at * 4U % size);
	memcpy((uint8_t *)mem + at, &wide, size - at < 4 ? size - at : 4);
}

/* ---- attaching ---- */

static void check_frames(const struct lane *ln)
{
	const struct lane_bufs *bs = &ln->bufs;
	const uint8_t *end = made.mem + made.size;

	FUZZ_CHECK((const uint8_t *)(bs->meta + bs->nr) <= end);
	FUZZ_CHECK(bs->nr == 0 || bs->size <= bs->stride);
	FUZZ_CHECK(bs->frames + (uint64_t)bs->nr * bs->stride <= end);
	FUZZ_CHECK(bs->nr == 0 || bs->size > LANE_HEADROOM);
}

static void fuzz_attach(struct fuzz_in *in)
{
	struct lane_state *st = (struct lane_state *)made.mem;
	struct lane *ln;

	memcpy(st, &made.fresh, sizeof(*st));
	for (unsigned int i = 0; i < WRITES_MAX && in->left; i++)
		scribble(in, st, offsetof(struct lane_state, now_us));
	/* A layout that fits its configuration is what takes thought to make. */
	if (fuzz_u8(in) == 0)
		st->at = made.fresh.at;
	ln = lane_attach(made.mem, made.size);
	if (ln) {
		check_frames(ln);
		FUZZ_CHECK(ln->nr_ifs >= 1 && ln->nr_ifs <= LANE_IFS_MAX);
		FUZZ_CHECK((uint8_t *)(ln->net + ln->nr_ifs) <= made.mem + made.size);
		lane_detach(ln);
	} else {
		FUZZ_CHECK(errno == EPROTO);
	}
	memcpy(st, &made.fresh, sizeof(*st));
}

/* ---- the tables ---- */

static void fresh_tables(struct shim_view *v)
{
	memset(&shared, 0, sizeof(shared));
	*v = (struct shim_view){.a = &shared.a,
				.ln = v->ln,
				.socks = shared.sock,
				.eps = shared.ep,
				.watches = shared.watch,
				.nr_socks = NR_SOCKS,
				.nr_eps = NR_EPS,
				.nr_watches = NR_WATCHES};
	for (uint32_t i = 0; i < NR_SOCKS; i++)
		shared.sock[i].free_link = i + 1 < NR_SOCKS ? i + 1 : LANE_NIL;
	for (uint32_t i = 0; i < NR_EPS; i++)
		shared.ep[i].free_link = i + 1 < NR_EPS ? i + 1 : LANE_NIL;
	for (uint32_t i = 0; i < NR_WATCHES; i++)
		shared.watch[i].free_link = i + 1 < NR_WATCHES ? i + 1 : LANE_NIL;
}

/* Some sockets and sets, and watches between them. */
static void populate(struct fuzz_in *in, struct shim_view *v)
{
	struct epoll_event ev = {.events = EPOLLIN};
	uint8_t nr_socks = fuzz_u8(in) % NR_SOCKS, nr_eps = fuzz_u8(in) % NR_EPS;
	uint8_t nr_watches = fuzz_u8(in) % NR_WATCHES;

	for (unsigned int i = 0; i < nr_socks; i++) {
		struct shim_sock *s = shim_sock_at(v, shim_sock_alloc(v));

		s->kind = SHIM_SOCK_TCP + (i & 1);
		s->rows = 1;
		s->pcb = LANE_NIL;
	}
	for (unsigned int i = 0; i < nr_eps; i++)
		shim_ep_at(v, shim_ep_alloc(v))->rows = 1;
	for (int i = 0; i < nr_watches; i++) {
		uint8_t which = fuzz_u8(in);

		shim_watch_add(v, which & 15, which >> 4 & 3, i, &ev);
	}
}

static void check_free(const struct shim_view *v)
{
	uint32_t nr = 0;

	for (uint32_t i = v->a->sock_free; i != LANE_NIL; i = v->socks[i].free_link, nr++)
		FUZZ_CHECK(i < NR_SOCKS && nr < NR_SOCKS && v->socks[i].kind == SHIM_SOCK_FREE);
	FUZZ_CHECK(nr + v->a->nr_socks_used == NR_SOCKS);
	nr = 0;
	for (uint32_t i = v->a->ep_free; i != LANE_NIL; i = v->eps[i].free_link, nr++)
		FUZZ_CHECK(i < NR_EPS && nr < NR_EPS);
	FUZZ_CHECK(nr + v->a->nr_eps_used == NR_EPS);
	nr = 0;
	for (uint32_t i = v->a->watch_free; i != LANE_NIL; i = v->watches[i].free_link, nr++)
		FUZZ_CHECK(i < NR_WATCHES && nr < NR_WATCHES);
	FUZZ_CHECK(nr + v->a->nr_watches_used == NR_WATCHES);
}

/* Each watch in use is once in its sock's list, once in its set's, and at most once ready. */
static void check_watches(struct shim_view *v)
{
	uint32_t in_sock = 0, in_ep = 0;

	for (uint32_t s = 0; s < NR_SOCKS; s++) {
		for (uint32_t i = shim_sock_at(v, s) ? v->socks[s].watches : LANE_NIL;
		     i != LANE_NIL; i = v->watches[i].sock_next) {
			FUZZ_CHECK(shim_watch_at(v, i) && v->watches[i].sock == s);
			FUZZ_CHECK(++in_sock <= NR_WATCHES);
		}
	}
	for (uint32_t e = 0; e < NR_EPS; e++) {
		uint32_t prev = LANE_NIL, nr = 0;

		if (!shim_ep_at(v, e))
			continue;
		for (uint32_t i = v->eps[e].watches; i != LANE_NIL; i = v->watches[i].ep_next) {
			FUZZ_CHECK(shim_watch_at(v, i) && v->watches[i].ep == e);
			FUZZ_CHECK(v->watches[i].ep_prev == prev);
			FUZZ_CHECK(++in_ep <= NR_WATCHES);
			prev = i;
		}
		for (uint32_t i = v->eps[e].ready_head; i != LANE_NIL;
		     i = v->watches[i].ready_next, nr++)
			FUZZ_CHECK(shim_watch_at(v, i) && nr < v->eps[e].nr_ready);
		FUZZ_CHECK(nr == v->eps[e].nr_ready);
	}
	FUZZ_CHECK(in_sock == v->a->nr_watches_used && in_ep == in_sock);
}

static void fuzz_repair(struct fuzz_in *in, struct lane *ln)
{
	struct shim_view v = {.ln = ln};
	struct epoll_event out[NR_WATCHES];

	fresh_tables(&v);
	populate(in, &v);
	for (unsigned int i = 0; i < WRITES_MAX && in->left; i++) {
		scribble(in, shared.sock, sizeof(shared) - offsetof(__typeof__(shared), sock));
		/* A member that finds the tables so, before anybody knows. */
		if (in->left % 5 == 0)
			shim_ep_collect(&v, fuzz_u8(in), out, NR_WATCHES);
		if (in->left % 7 == 0)
			shim_sock_free(&v, shim_sock_alloc(&v));
		if (in->left % 11 == 0)
			shim_watch_free(&v, fuzz_u8(in) % NR_WATCHES);
	}
	shim_repair(&v);
	check_free(&v);
	check_watches(&v);
	for (uint32_t e = 0; e < NR_EPS; e++)
		shim_ep_collect(&v, e, out, NR_WATCHES);
	check_watches(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lane *ln;
	struct fuzz_in in = {data, size};

	if (!ln) {
		ln = make();
		FUZZ_CHECK(ln);
		memcpy(&made.fresh, made.mem, sizeof(made.fresh));
	}
	if (fuzz_u8(&in) & 1)
		fuzz_attach(&in);
	else
		fuzz_repair(&in, ln);
	return 0;
}
