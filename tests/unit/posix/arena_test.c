/*
 * arena_test.c - posix/keeper/{arena,table,lock,repair}.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lane-int/state.h"
#include "posix/keeper/arena.h"
#include "posix/watch.h"

#define MEMORY ((size_t)16 << 20)

static void make(struct shim_view *v)
{
	struct shim_arena_config cfg = {.memory = MEMORY, .ifname = "lane0"};

	lane_config_default(&cfg.lane);
	assert_int_equal(shim_arena_create(&cfg, v), 0);
}

/* A second mapping of 'v', as another process has it. */
static int map_again(const struct shim_view *v, struct shim_view *w)
{
	shim_view_init(w);
	w->memfd = fcntl(v->memfd, F_DUPFD_CLOEXEC, 3);
	return shim_arena_map(w);
}

static void test_create__fits_the_memory(void **state)
{
	struct shim_view v;

	(void)state;
	make(&v);
	assert_true(v.a->size <= MEMORY + ((size_t)1 << 20));
	assert_true(lane_bufs(v.ln)->nr > 1000);
	assert_int_equal(v.nr_socks, MEMORY / 2048);
	/* What the engine takes in can be accepted. */
	assert_true(v.nr_socks > v.ln->st->cfg.nr_tcp);
	shim_arena_unmap(&v);
	assert_null(v.a);
}

static void test_create__too_little_memory(void **state)
{
	struct shim_arena_config cfg = {.memory = 4096};
	struct shim_view v;

	(void)state;
	lane_config_default(&cfg.lane);
	assert_int_equal(shim_arena_create(&cfg, &v), -EINVAL);
	assert_int_equal(v.memfd, -1);
}

static void test_create__cannot_be_shrunk(void **state)
{
	struct shim_view v;

	(void)state;
	make(&v);
	assert_int_equal(ftruncate(v.memfd, 4096), -1);
	assert_int_equal(errno, EPERM);
	shim_arena_unmap(&v);
}

static void test_map__sees_the_same(void **state)
{
	struct shim_view v, w;
	uint32_t i;

	(void)state;
	make(&v);
	assert_int_equal(map_again(&v, &w), 0);
	assert_ptr_not_equal(v.a, w.a);
	i = shim_sock_alloc(&v);
	assert_non_null(shim_sock_at(&w, i));
	shim_sock_free(&w, i);
	assert_null(shim_sock_at(&v, i));
	shim_arena_unmap(&w);
	shim_arena_unmap(&v);
}

static void test_map__another_version(void **state)
{
	struct shim_view v, w;

	(void)state;
	make(&v);
	v.a->version++;
	assert_int_equal(map_again(&v, &w), -EPROTO);
	v.a->version--;
	v.a->header_size += 8;
	assert_int_equal(map_again(&v, &w), -EPROTO);
	shim_arena_unmap(&v);
}

static void test_map__damaged_offsets(void **state)
{
	struct shim_view v, w;

	(void)state;
	make(&v);
	v.a->lane_off += v.a->size;
	assert_int_equal(map_again(&v, &w), -EBADMSG);
	v.a->lane_off -= v.a->size;
	v.a->nr_watches = UINT32_MAX;
	assert_int_equal(map_again(&v, &w), -EBADMSG);
	v.a->nr_watches = v.nr_watches;
	v.a->sock_off = 64;
	assert_int_equal(map_again(&v, &w), -EBADMSG);
	shim_arena_unmap(&v);
}

/* Frames that overlap, or whose headroom leads out of them, fit the layout all the same. */
static void test_map__damaged_frames(void **state)
{
	struct shim_view v, w;
	struct lane_config *cfg;

	(void)state;
	make(&v);
	cfg = &v.ln->st->cfg;
	cfg->buf_size = cfg->buf_stride + 1;
	assert_int_equal(map_again(&v, &w), -EPROTO);
	cfg->buf_size = LANE_HEADROOM;
	assert_int_equal(map_again(&v, &w), -EPROTO);
	cfg->buf_size = cfg->buf_stride;
	assert_int_equal(map_again(&v, &w), 0);
	shim_arena_unmap(&w);
	shim_arena_unmap(&v);
}

static void test_map__an_empty_file(void **state)
{
	struct shim_view v;

	(void)state;
	shim_view_init(&v);
	v.memfd = memfd_create("lane-test", MFD_CLOEXEC);
	assert_int_equal(shim_arena_map(&v), -EBADMSG);
	close(v.memfd);
}

static void test_sock_alloc__until_full(void **state)
{
	struct shim_view v;
	uint32_t i;

	(void)state;
	make(&v);
	for (i = 0; i < v.nr_socks; i++)
		assert_int_equal(shim_sock_alloc(&v), i);
	assert_int_equal(shim_sock_alloc(&v), LANE_NIL);
	assert_int_equal(v.a->nr_socks_used, v.nr_socks);
	shim_sock_free(&v, 7);
	shim_sock_free(&v, 7); /* once more does nothing */
	assert_int_equal(v.a->nr_socks_used, v.nr_socks - 1);
	assert_int_equal(shim_sock_alloc(&v), 7);
	assert_int_equal(shim_sock_at(&v, 7)->generation, 2);
	shim_arena_unmap(&v);
}

static void test_alloc__a_damaged_list_ends(void **state)
{
	struct shim_view v;

	(void)state;
	make(&v);
	v.a->sock_free = 0x7fffffff;
	assert_int_equal(shim_sock_alloc(&v), LANE_NIL);
	v.a->watch_free = shim_watch_alloc(&v); /* points to one in use */
	assert_int_equal(shim_watch_alloc(&v), LANE_NIL);
	shim_arena_unmap(&v);
}

static void test_at__checks_the_index(void **state)
{
	struct shim_view v;

	(void)state;
	make(&v);
	assert_null(shim_sock_at(&v, 0));
	assert_null(shim_sock_at(&v, LANE_NIL));
	assert_null(shim_ep_at(&v, v.nr_eps));
	assert_null(shim_watch_at(&v, v.nr_watches));
	/* What the arena says later is not believed. */
	v.a->nr_socks = UINT32_MAX;
	assert_null(shim_sock_at(&v, v.nr_socks + 1));
	shim_arena_unmap(&v);
}

/* Runs fn in a child that dies inside the lock. */
static void die_inside(struct shim_view *v, void (*fn)(struct shim_view *v))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		shim_lock_allow();
		shim_lock(v);
		fn(v);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
}

static void half_a_socket(struct shim_view *v)
{
	shim_sock_alloc(v);
	shim_ep_alloc(v);
	shim_watch_alloc(v);
	v->a->sock_free = 12345678;
}

static void count_up(struct shim_view *v)
{
	for (int i = 0; i < 50000; i++) {
		shim_lock(v);
		v->a->nr_exec_held++; /* no atomic one */
		shim_unlock(v);
	}
}

static void test_lock__one_at_a_time(void **state)
{
	struct shim_view v;
	int status;
	pid_t pid;

	(void)state;
	make(&v);
	count_up(&v); /* this thread knows itself, which its child must not believe */
	pid = fork();
	if (pid == 0) {
		shim_lock_allow();
		count_up(&v);
		_exit(0);
	}
	count_up(&v);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(v.a->nr_exec_held, 150000);
	assert_int_equal(v.a->owner_died, 0);
	shim_arena_unmap(&v);
}

static void test_lock__a_death_inside_frees_what_was_being_made(void **state)
{
	struct shim_view v;
	uint32_t i;

	(void)state;
	make(&v);
	die_inside(&v, half_a_socket);
	shim_lock(&v);
	assert_int_equal(v.a->owner_died, 1);
	assert_int_equal(v.a->nr_socks_used, 0);
	assert_int_equal(v.a->nr_eps_used, 0);
	assert_int_equal(v.a->nr_watches_used, 0);
	for (i = 0; i < v.nr_socks; i++)
		assert_int_equal(shim_sock_alloc(&v), i);
	shim_unlock(&v);
	/* It is consistent again. */
	shim_lock(&v);
	assert_int_equal(v.a->owner_died, 1);
	shim_unlock(&v);
	shim_arena_unmap(&v);
}

static void break_lists(struct shim_view *v)
{
	uint32_t i;

	for (i = 0; i < 4; i++) {
		v->watches[i].sock_next = 77777;
		v->watches[i].ep_next = i; /* a loop */
		v->watches[i].ready_next = i;
	}
	v->socks[0].watches = 99;
	v->eps[0].watches = v->eps[0].ready_head = 3;
	v->eps[0].nr_ready = 1000;
}

static void test_lock__a_death_inside_mends_watches(void **state)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 5}, out[8];
	uint32_t sock, ep, i;
	struct shim_view v;

	(void)state;
	make(&v);
	shim_lock(&v);
	ep = shim_ep_alloc(&v);
	shim_ep_at(&v, ep)->rows = 1;
	for (i = 0; i < 4; i++) {
		sock = shim_sock_alloc(&v);
		shim_sock_at(&v, sock)->kind = SHIM_SOCK_TCP;
		shim_sock_at(&v, sock)->rows = 1;
		assert_int_equal(shim_watch_add(&v, sock, ep, (int)(10 + i), &ev), 0);
	}
	shim_unlock(&v);
	die_inside(&v, break_lists);
	shim_lock(&v);
	assert_int_equal(v.a->owner_died, 1);
	assert_int_equal(v.a->nr_watches_used, 4);
	for (i = 0; i < 4; i++)
		assert_true(shim_watch_find(&v, i, ep, (int)(10 + i)) != LANE_NIL);
	/* No pcb behind them: all are ready, each once. */
	assert_int_equal(shim_ep_collect(&v, ep, out, 8), 4);
	shim_ep_unwatch(&v, ep);
	assert_int_equal(v.a->nr_watches_used, 0);
	shim_unlock(&v);
	shim_arena_unmap(&v);
}

static unsigned int nr_lost;

static void count_lost(struct shim_view *v)
{
	(void)v;
	nr_lost++;
}

static void test_lock__unusable_leaves_the_arena(void **state)
{
	struct shim_view v;
	uint32_t i;

	(void)state;
	make(&v);
	shim_lock(&v);
	i = shim_sock_alloc(&v);
	shim_unlock(&v);
	/* As a member that writes where it must not may leave it. */
	memset(&v.a->lock, 0xff, sizeof(v.a->lock));
	shim_lock_lost = count_lost;
	shim_lock(&v);
	assert_int_equal(nr_lost, 1);
	assert_null(shim_sock_at(&v, i));
	assert_int_equal(shim_sock_alloc(&v), 0);
	lane_flush(v.ln);
	shim_unlock(&v);
	shim_lock(&v);
	shim_turn(&v);
	shim_unlock(&v);
	assert_int_equal(nr_lost, 1);
	shim_lock_lost = NULL;
	shim_arena_unmap(&v);
}

/* A sock of 'rows' of which 'crosses' execute another program with it. */
static uint32_t make_crossing(struct shim_view *v, shim_rows rows, shim_rows crosses)
{
	uint32_t i = shim_sock_alloc(v);

	shim_sock_at(v, i)->kind = SHIM_SOCK_TCP;
	shim_sock_at(v, i)->pcb = LANE_NIL;
	shim_sock_at(v, i)->rows = rows;
	shim_sock_at(v, i)->exec_rows = crosses;
	return i;
}

static void test_row_exec__keeps_what_crosses(void **state)
{
	uint32_t own, shared, crossing;
	struct shim_view v;

	(void)state;
	make(&v);
	shim_lock(&v);
	own = make_crossing(&v, shim_row_bit(5), 0);
	shared = make_crossing(&v, shim_row_bit(5) | shim_row_bit(6), shim_row_bit(6));
	crossing = make_crossing(&v, shim_row_bit(5), shim_row_bit(5));
	assert_true(shim_row_exec(&v, 5));
	assert_null(shim_sock_at(&v, own));
	assert_true(shim_sock_at(&v, shared)->rows == shim_row_bit(6));
	assert_true(shim_sock_at(&v, crossing)->rows == shim_row_bit(5));
	/* The successor has taken it over, or the process has ended. */
	shim_sock_release(&v, crossing, 5);
	assert_null(shim_sock_at(&v, crossing));
	assert_false(shim_row_exec(&v, 5));
	shim_unlock(&v);
	shim_arena_unmap(&v);
}

static void test_sock_release__a_message_under_way_holds(void **state)
{
	struct shim_view v;
	uint32_t i;

	(void)state;
	make(&v);
	shim_lock(&v);
	i = make_crossing(&v, shim_row_bit(5), 0);
	shim_sock_at(&v, i)->exec_until_us = shim_now_us() + 1000000;
	shim_sock_release(&v, i, 5);
	assert_non_null(shim_sock_at(&v, i));
	assert_int_equal(v.a->nr_exec_held, 1);
	shim_sock_at(&v, i)->exec_until_us = 1;
	shim_exec_expire(&v);
	assert_null(shim_sock_at(&v, i));
	assert_int_equal(v.a->nr_exec_held, 0);
	shim_unlock(&v);
	shim_arena_unmap(&v);
}

static void test_lock_allowed__not_in_a_raw_child(void **state)
{
	struct shim_view v;
	int status;
	long pid;

	(void)state;
	make(&v);
	assert_true(shim_lock_allowed());
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(shim_lock_allowed());
	assert_int_equal(waitpid((pid_t)pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(shim_lock_allowed());
	shim_arena_unmap(&v);
}

static void test_unlock__returns_and_clears_wakes(void **state)
{
	struct shim_view v;

	(void)state;
	make(&v);
	shim_lock(&v);
	v.wakes = 6;
	assert_int_equal(shim_unlock(&v), 6);
	assert_int_equal(v.wakes, 0);
	shim_arena_unmap(&v);
}

static void test_fallback__each_has_name_and_text(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < SHIM_NR_FB; i++) {
		assert_non_null(shim_fallback_name((enum shim_fallback)i));
		assert_non_null(shim_fallback_text((enum shim_fallback)i));
	}
	assert_null(shim_fallback_name(SHIM_NR_FB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create__fits_the_memory),
		cmocka_unit_test(test_create__too_little_memory),
		cmocka_unit_test(test_create__cannot_be_shrunk),
		cmocka_unit_test(test_map__sees_the_same),
		cmocka_unit_test(test_map__another_version),
		cmocka_unit_test(test_map__damaged_offsets),
		cmocka_unit_test(test_map__damaged_frames),
		cmocka_unit_test(test_map__an_empty_file),
		cmocka_unit_test(test_sock_alloc__until_full),
		cmocka_unit_test(test_alloc__a_damaged_list_ends),
		cmocka_unit_test(test_at__checks_the_index),
		cmocka_unit_test(test_lock__one_at_a_time),
		cmocka_unit_test(test_lock__a_death_inside_frees_what_was_being_made),
		cmocka_unit_test(test_lock__a_death_inside_mends_watches),
		cmocka_unit_test(test_lock__unusable_leaves_the_arena),
		cmocka_unit_test(test_row_exec__keeps_what_crosses),
		cmocka_unit_test(test_sock_release__a_message_under_way_holds),
		cmocka_unit_test(test_lock_allowed__not_in_a_raw_child),
		cmocka_unit_test(test_unlock__returns_and_clears_wakes),
		cmocka_unit_test(test_fallback__each_has_name_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
