/*
 * keeper_test.c - posix/keeper: starting, joining, dying, ending
 *
 * Each test runs against a real keeper (keeper_help.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lane-int/state.h"
#include "keeper_help.h"

/* A member in a child process: joins, says so, and sleeps until it is killed. */
static pid_t member(int *row)
{
	struct shim_view v;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		join(&v);
		if (write(fds[1], &v.row, sizeof(v.row)) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], row, sizeof(*row)), sizeof(*row));
	close(fds[0]);
	return pid;
}

static void test_start__no_such_interface(void **state)
{
	struct lane_settings s = settings;
	char err[KEEPER_ERR] = "";

	(void)state;
	need_keeper();
	lane_settings_set(&s, LANE_SET_IF, "nosuch0", LANE_FROM_OPTION, err);
	assert_true(keeper_start(&s, err) < 0);
	assert_non_null(strstr(err, "nosuch0"));
}

static void test_join__starts_a_keeper_and_ends_it(void **state)
{
	struct shim_view v;
	pid_t keeper;

	(void)state;
	need_keeper();
	join(&v);
	assert_int_equal(v.row, 0);
	assert_int_equal(v.a->live_rows[0], 1);
	assert_int_equal(v.a->row[0].pid, getpid());
	assert_string_equal(v.a->ifname, "lo");
	assert_non_null(lane_queue(v.ln, 0));
	keeper = v.a->keeper_pid;
	assert_int_equal(kill(keeper, 0), 0);
	/* It is no child of ours. */
	assert_int_equal(waitpid(keeper, NULL, WNOHANG), -1);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_join__two_processes_share_the_arena(void **state)
{
	struct shim_view v;
	int row = -1;
	pid_t pid;

	(void)state;
	need_keeper();
	join(&v);
	pid = member(&row);
	assert_int_equal(row, 1);
	assert_int_equal(v.a->live_rows[0], 3);
	kill_and_wait(pid);
	assert_true(rows_become(&v, 1));
	assert_int_equal(v.a->row[1].state, SHIM_ROW_FREE);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_join__two_at_once_find_one_keeper(void **state)
{
	pid_t pid[4];
	int i, status, ok = 0;

	(void)state;
	need_keeper();
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct shim_view v;
			enum shim_fallback why;
			char err[KEEPER_ERR];

			_exit(keeper_join(&settings, &v, &why, err) ? 1 : 0);
		}
	}
	for (i = 0; i < 4; i++) {
		waitpid(pid[i], &status, 0);
		ok += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	assert_int_equal(ok, 4);
	assert_true(keeper_is_gone());
}

static void test_join__generations_follow_each_other(void **state)
{
	struct shim_view v;
	int i, row;

	(void)state;
	need_keeper();
	for (i = 0; i < 10; i++)
		kill_and_wait(member(&row));
	join(&v);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_death__releases_what_it_held(void **state)
{
	struct shim_view v;
	uint32_t both, mine, ep;
	int row = -1;
	pid_t pid;

	(void)state;
	need_keeper();
	join(&v);
	pid = member(&row);
	shim_lock(&v);
	both = shim_sock_alloc(&v);
	mine = shim_sock_alloc(&v);
	ep = shim_ep_alloc(&v);
	shim_sock_at(&v, both)->kind = shim_sock_at(&v, mine)->kind = SHIM_SOCK_TCP;
	shim_sock_at(&v, both)->rows = 3;
	shim_sock_at(&v, mine)->rows = 2;
	shim_ep_at(&v, ep)->rows = 2;
	shim_unlock(&v);
	kill_and_wait(pid);
	assert_true(rows_become(&v, 1));
	shim_lock(&v);
	assert_int_equal(shim_sock_at(&v, both)->rows, 1);
	assert_null(shim_sock_at(&v, mine));
	assert_null(shim_ep_at(&v, ep));
	shim_unlock(&v);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_register__keeps_the_keeper(void **state)
{
	struct lane_settings s = settings;
	char err[KEEPER_ERR] = "";
	struct shim_view v;
	int fds[2];
	char byte;
	pid_t pid;

	(void)state;
	need_keeper();
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = keeper_start(&s, err) == 0 && keeper_register("lo", getpid(), err) == 0;
		if (write(fds[1], &byte, 1) < 0)
			_exit(1);
		pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	/* A member comes and goes: the registered one may still want it. */
	join(&v);
	leave(&v);
	pause_ms(100);
	assert_true(keeper_connect("lo", err) >= 0);
	kill_and_wait(pid);
	assert_true(keeper_is_gone());
	close(fds[0]);
	close(fds[1]);
}

static void test_register__another_pid(void **state)
{
	char err[KEEPER_ERR];

	(void)state;
	need_keeper();
	assert_int_equal(keeper_register("lo", getpid() + 1, err), -EINVAL);
}

static void test_observe__reads_and_cannot_write(void **state)
{
	struct shim_view v, w;
	char err[KEEPER_ERR];

	(void)state;
	need_keeper();
	join(&v);
	assert_int_equal(keeper_observe("lo", &w, err), 0);
	assert_int_equal(w.row, -1);
	assert_string_equal(w.a->ifname, "lo");
	assert_int_equal(w.a->live_rows[0], 1);
	shim_arena_unmap(&w);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_observe__nobody_there(void **state)
{
	struct shim_view w;
	char err[KEEPER_ERR];

	(void)state;
	need_keeper();
	assert_int_equal(keeper_observe("lo", &w, err), -ECONNREFUSED);
}

/* What a peer that is not us may send: answered with a reason, or hung up on. */
static void test_refuse__another_version_and_another_pid(void **state)
{
	int fds[KEEPER_FDS_MAX], fd;
	char err[KEEPER_ERR];
	struct keeper_msg m;
	struct shim_view v;

	(void)state;
	need_keeper();
	join(&v);
	fd = keeper_connect("lo", err);
	keeper_msg_init(&m, KEEPER_JOIN, "lo");
	m.version++;
	assert_int_equal(keeper_send(fd, &m, NULL, 0), 0);
	assert_int_equal(keeper_recv(fd, &m, fds), 0);
	assert_int_equal(m.op, KEEPER_REFUSED);
	assert_int_equal(m.why, SHIM_FB_NO_LANE);
	keeper_msg_init(&m, KEEPER_JOIN, "lo");
	m.pid++;
	assert_int_equal(keeper_send(fd, &m, NULL, 0), 0);
	assert_int_equal(keeper_recv(fd, &m, fds), 0);
	assert_int_equal(m.why, SHIM_FB_PID_NAMESPACE);
	assert_int_equal(send(fd, "short", 5, 0), 5);
	assert_int_equal(keeper_recv(fd, &m, fds), -EPIPE);
	close(fd);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_refuse__another_user(void **state)
{
	enum shim_fallback why = SHIM_FB_NO_LANE;
	char err[KEEPER_ERR];
	struct shim_view v, w;
	int status;
	pid_t pid;

	(void)state;
	need_keeper();
	join(&v);
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) || setuid(65534))
			_exit(1);
		_exit(keeper_join(&settings, &w, &why, err) < 0 && why == SHIM_FB_OTHER_UID ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(v.a->fallbacks[SHIM_FB_OTHER_UID], 1);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_exec__ends_membership(void **state)
{
	struct shim_view v, w;
	pid_t pid;

	(void)state;
	need_keeper();
	join(&v);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		join(&w);
		execlp("sleep", "sleep", "60", NULL);
		_exit(1);
	}
	assert_true(rows_become(&v, 3) || v.a->live_rows[0] == 1);
	assert_true(rows_become(&v, 1));
	assert_int_equal(kill(pid, 0), 0); /* it lives, but holds nothing */
	kill_and_wait(pid);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_lock__a_death_inside_is_mended(void **state)
{
	struct shim_view v, w;
	pid_t pid;

	(void)state;
	need_keeper();
	join(&v);
	pid = fork();
	if (pid == 0) {
		join(&w);
		shim_lock(&w);
		shim_sock_alloc(&w);
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
	assert_true(rows_become(&v, 1));
	shim_lock(&v);
	assert_int_equal(v.a->owner_died, 1);
	assert_int_equal(v.a->nr_socks_used, 0);
	shim_unlock(&v);
	leave(&v);
	assert_true(keeper_is_gone());
}

static void test_keeper__dies_and_members_go_on(void **state)
{
	struct shim_view v;

	(void)state;
	need_keeper();
	join(&v);
	kill(v.a->keeper_pid, SIGKILL);
	assert_true(keeper_is_gone());
	shim_lock(&v);
	assert_int_equal(shim_sock_alloc(&v), 0);
	shim_unlock(&v);
	/* A fork works too; nobody will notice the child's death. */
	assert_int_equal(keeper_fork_prepare(&v, false), 1);
	keeper_fork_parent(&v, 1, -1);
	leave(&v);
	/* The device is free again. */
	join(&v);
	leave(&v);
	assert_true(keeper_is_gone());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start__no_such_interface),
		cmocka_unit_test(test_join__starts_a_keeper_and_ends_it),
		cmocka_unit_test(test_join__two_processes_share_the_arena),
		cmocka_unit_test(test_join__two_at_once_find_one_keeper),
		cmocka_unit_test(test_join__generations_follow_each_other),
		cmocka_unit_test(test_death__releases_what_it_held),
		cmocka_unit_test(test_register__keeps_the_keeper),
		cmocka_unit_test(test_register__another_pid),
		cmocka_unit_test(test_observe__reads_and_cannot_write),
		cmocka_unit_test(test_observe__nobody_there),
		cmocka_unit_test(test_refuse__another_version_and_another_pid),
		cmocka_unit_test(test_refuse__another_user),
		cmocka_unit_test(test_exec__ends_membership),
		cmocka_unit_test(test_lock__a_death_inside_is_mended),
		cmocka_unit_test(test_keeper__dies_and_members_go_on),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
