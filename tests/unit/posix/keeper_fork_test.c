/*
 * keeper_fork_test.c - posix/keeper/inherit.c: members that fork
 *
 * Each test runs against a real keeper (keeper_help.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper_help.h"

/* A connection's sock that this process alone holds. */
static uint32_t make_sock(struct shim_view *v)
{
	uint32_t sock;

	shim_lock(v);
	sock = shim_sock_alloc(v);
	shim_sock_at(v, sock)->kind = SHIM_SOCK_TCP;
	shim_sock_at(v, sock)->rows = 1;
	shim_unlock(v);
	return sock;
}

static void test_fork__the_child_is_a_member_with_all_references(void **state)
{
	struct shim_view v;
	uint32_t sock;
	pid_t pid;
	int row;

	(void)state;
	need_keeper();
	join(&v);
	sock = make_sock(&v);
	row = keeper_fork_prepare(&v, false);
	assert_int_equal(row, 1);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keeper_fork_child(&v, row);
		pause();
	}
	keeper_fork_parent(&v, row, pid);
	assert_true(rows_become(&v, 3));
	shim_lock(&v);
	assert_int_equal(shim_sock_at(&v, sock)->rows, 3);
	shim_sock_release(&v, sock, v.row);
	/* The child has it still. */
	assert_int_equal(shim_sock_at(&v, sock)->rows, 2);
	shim_unlock(&v);
	kill_and_wait(pid);
	assert_true(rows_become(&v, 1));
	assert_null(shim_sock_at(&v, sock));
	leave(&v);
	assert_true(keeper_is_gone());
}

/* How many descriptors the process may have from now on: as many as it has. */
static void no_more_files(pid_t pid, struct rlimit *old)
{
	struct rlimit none;
	char path[32];
	DIR *d;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	assert_non_null(d);
	for (n = -2; readdir(d); n++)
		;
	closedir(d);
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, old), 0);
	none = (struct rlimit){(rlim_t)n, old->rlim_max};
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &none, NULL), 0);
}

static void test_fork__the_keeper_has_no_descriptor_left(void **state)
{
	struct shim_view v;
	struct rlimit old;
	char err[KEEPER_ERR];
	int row, fd;
	pid_t pid;

	(void)state;
	need_keeper();
	join(&v);
	no_more_files(v.a->keeper_pid, &old);
	row = keeper_fork_prepare(&v, false);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keeper_fork_child(&v, row);
		pause();
	}
	keeper_fork_parent(&v, row, pid);
	assert_true(rows_become(&v, 3));
	pause_ms(300);
	/* It cannot be watched, and is no less alive for it. */
	assert_int_equal(v.a->live_rows[0], 3);
	/* Who connects hears of it, and does not wait. */
	fd = keeper_connect(settings.ifname, err);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, err, 1), 0);
	close(fd);
	kill_and_wait(pid);
	assert_true(rows_become(&v, 1));
	assert_int_equal(prlimit(v.a->keeper_pid, RLIMIT_NOFILE, &old, NULL), 0);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_fork__a_parent_that_ends_at_once(void **state)
{
	struct shim_view v, w;
	pid_t pid, grandchild;
	int row, fds[2];

	(void)state;
	need_keeper();
	join(&v);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		join(&w);
		row = keeper_fork_prepare(&w, false);
		pid = fork();
		if (pid == 0) {
			pause_ms(200);
			keeper_fork_child(&w, row);
			pid = getpid();
			if (write(fds[1], &pid, sizeof(pid)) < 0)
				_exit(1);
			pause();
		}
		_exit(0); /* as daemon(3) does, before it could say the child's pid */
	}
	waitpid(pid, NULL, 0);
	assert_int_equal(read(fds[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	assert_true(rows_become(&v, 5));
	assert_int_equal(v.a->row[2].pid, grandchild);
	kill(grandchild, SIGKILL);
	assert_true(rows_become(&v, 1));
	close(fds[0]);
	close(fds[1]);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_fork__that_fails(void **state)
{
	struct shim_view v;
	uint32_t sock, closed;
	int row;

	(void)state;
	need_keeper();
	join(&v);
	sock = make_sock(&v);
	closed = make_sock(&v);
	row = keeper_fork_prepare(&v, false);
	/* By another thread; the child would have had it. */
	shim_lock(&v);
	shim_sock_release(&v, closed, v.row);
	shim_unlock(&v);
	assert_non_null(shim_sock_at(&v, closed));
	keeper_fork_parent(&v, row, -1);
	assert_null(shim_sock_at(&v, closed));
	assert_int_equal(shim_sock_at(&v, sock)->rows, 1);
	assert_int_equal(v.a->row[row].state, SHIM_ROW_FREE);
	leave(&v);
	assert_true(keeper_is_gone());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork__the_child_is_a_member_with_all_references),
		cmocka_unit_test(test_fork__the_keeper_has_no_descriptor_left),
		cmocka_unit_test(test_fork__a_parent_that_ends_at_once),
		cmocka_unit_test(test_fork__that_fails),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
