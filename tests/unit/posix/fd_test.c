/*
 * fd_test.c - the table of numbers: holds, replacements, many threads at once, hidden numbers
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "posix/sock.h"

#define ROUNDS 20000

static _Atomic unsigned int nr_forgotten;

void shim_epoll_forget(struct shim_local *l)
{
	nr_forgotten++;
}

static void test_get__holds_until_put(void **state)
{
	struct shim_local *l = shim_local_alloc(SHIM_FRESH);

	nr_forgotten = 0;
	assert_null(shim_get(700));
	shim_fd_set(700, l);
	assert_ptr_equal(shim_get(700), l);
	assert_ptr_equal(shim_fd_take(700), l);
	assert_null(shim_get(700));
	shim_put(l);
	assert_int_equal(nr_forgotten, 0); /* the get's hold is left */
	shim_put(l);
	assert_int_equal(nr_forgotten, 1);
}

static void test_get__numbers_beyond_the_table_are_the_kernels(void **state)
{
	nr_forgotten = 0;
	assert_null(shim_get(-1));
	assert_null(shim_get(1 << 20));
	assert_null(shim_fd_take(1 << 20));
	shim_fd_set(1 << 20, shim_local_alloc(SHIM_FRESH));
	assert_null(shim_get(1 << 20));
	assert_int_equal(nr_forgotten, 1);
	assert_int_equal(shim_fd_new(1 << 20), 1 << 20);
	assert_int_equal(shim_fd_new(-1), -1);
}

static void test_get_sock__only_socks(void **state)
{
	struct shim_local *l = shim_local_alloc(SHIM_FRESH);

	shim_fd_set(5, l);
	assert_null(shim_get_sock(5));
	shim_fd_set(5, shim_local_alloc(SHIM_SOCK));
	l = shim_get_sock(5);
	assert_non_null(l);
	shim_put(l);
	shim_fd_set(5, NULL);
}

static void test_new__drops_what_is_stale(void **state)
{
	nr_forgotten = 0;
	shim_fd_set(9, shim_local_alloc(SHIM_FRESH));
	assert_int_equal(shim_fd_new(9), 9);
	assert_null(shim_get(9));
	assert_int_equal(nr_forgotten, 1);
}

static void test_replace__all_numbers_of_one(void **state)
{
	struct shim_local *from = shim_local_alloc(SHIM_FRESH), *to = shim_local_alloc(SHIM_SOCK), *l;
	static const int fds[] = {3, 1500, 70000};
	int other = -1;

	nr_forgotten = 0;
	for (int i = 0; i < 3; i++)
		shim_fd_add(fds[i], from);
	shim_fd_set(4, shim_local_alloc(SHIM_FRESH));
	assert_int_equal(shim_fd_others(from, 3, &other), 2);
	assert_int_equal(other, 70000);
	shim_fd_replace(from, to);
	assert_int_equal(shim_fd_others(from, -1, NULL), 0);
	shim_put(from);
	assert_int_equal(nr_forgotten, 1);
	for (int i = 0; i < 3; i++) {
		l = shim_get(fds[i]);
		assert_ptr_equal(l, to);
		shim_put(l);
	}
	shim_fd_replace(to, NULL);
	shim_put(to);
	assert_int_equal(nr_forgotten, 2);
	assert_null(shim_get(3));
	shim_fd_set(4, NULL);
}

/* One thread puts new objects under a number, others hold them: none is freed while it is held. */
static _Atomic bool over;

static void *holder(void *arg)
{
	while (!over) {
		struct shim_local *l = shim_get(33);

		if (!l)
			continue;
		if (l->kind != SHIM_FRESH || !atomic_load(&l->refs))
			return (void *)1;
		shim_put(l);
	}
	return NULL;
}

static void test_get__while_another_thread_replaces(void **state)
{
	pthread_t th[3];
	void *bad;

	over = false;
	nr_forgotten = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&th[i], NULL, holder, NULL), 0);
	for (int i = 0; i < ROUNDS; i++)
		shim_fd_set(33, i % 7 ? shim_local_alloc(SHIM_FRESH) : NULL);
	over = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(th[i], &bad);
		assert_null(bad);
	}
	shim_fd_set(33, NULL);
	assert_int_equal(nr_forgotten, ROUNDS - (ROUNDS + 6) / 7);
}

static void test_hide__high_and_invisible(void **state)
{
	int fd = shim_libc()->dup(0), high = shim_fd_hide(fd);

	assert_true(high > fd);
	assert_true(shim_libc()->fcntl(high, F_GETFD) & FD_CLOEXEC);
	assert_true(shim_libc()->fcntl(fd, F_GETFD) < 0);
	assert_true(shim_fd_is_hidden(high));
	assert_null(shim_get(high));
	assert_null(shim_fd_take(high));
	assert_true((unsigned int)high < shim_fd_hidden_top());
	shim_fd_unhide(high);
	assert_false(shim_fd_is_hidden(high));
	shim_libc()->close(high);
	assert_int_equal(shim_fd_hide(-1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get__holds_until_put),
		cmocka_unit_test(test_get__numbers_beyond_the_table_are_the_kernels),
		cmocka_unit_test(test_get_sock__only_socks),
		cmocka_unit_test(test_new__drops_what_is_stale),
		cmocka_unit_test(test_replace__all_numbers_of_one),
		cmocka_unit_test(test_get__while_another_thread_replaces),
		cmocka_unit_test(test_hide__high_and_invisible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
