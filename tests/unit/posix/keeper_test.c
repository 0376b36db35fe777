/*
 * keeper_test.c - posix/keeper: starting, joining, forking, dying, ending
 *
 * Each test runs against a real keeper on the loopback interface of a network namespace of its own,
 * which goes with the process. Needs root and LANE_TOOL, the lane tool's path; else it is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lane-int/state.h"
#include "posix/keeper/proto.h"

static struct lane_settings settings;

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* A fresh namespace with lo up. */
static int setup(void **state)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	const char *tool = getenv("LANE_TOOL");
	char err[KEEPER_ERR];
	int fd;

	(void)state;
	if (!tool || access(tool, X_OK) || geteuid() != 0 || unshare(CLONE_NEWNET))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		return -1;
	close(fd);
	lane_settings_default(&settings);
	lane_settings_set(&settings, LANE_SET_IF, "lo", LANE_FROM_OPTION, err);
	lane_settings_set(&settings, LANE_SET_MEMORY, "16M", LANE_FROM_OPTION, err);
	return 0;
}

static void need_keeper(void)
{
	if (!settings.ifname[0])
		skip();
}

static void join(struct shim_view *v)
{
	char err[KEEPER_ERR] = "";
	enum shim_fallback why;
	int r = keeper_join(&settings, v, &why, err);

	if (r)
		print_error("join: %d %s\n", r, err);
	assert_int_equal(r, 0);
}

/* Waits until nobody has the keeper's name. */
static bool keeper_is_gone(void)
{
	char err[KEEPER_ERR];
	int fd, i;

	for (i = 0; i < 500; i++) {
		fd = keeper_connect(settings.ifname, err);
		if (fd == -ECONNREFUSED)
			return true;
		if (fd >= 0)
			close(fd);
		pause_ms(10);
	}
	return false;
}

/* Waits until the rows that are in use are 'rows'. */
static bool rows_become(const struct shim_view *v, uint64_t rows)
{
	int i;

	for (i = 0; i < 500; i++) {
		if (v->a->live_rows[0] == rows)
			return true;
		pause_ms(10);
	}
	return false;
}

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

static void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Leaves the keeper as a process does that ends. */
static void leave(struct shim_view *v)
{
	shim_arena_unmap(v);
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
	leave(&v);
	assert_true(keeper_is_gone());
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
	shim_lock(&v);
	sock = shim_sock_alloc(&v);
	shim_sock_at(&v, sock)->kind = SHIM_SOCK_TCP;
	shim_sock_at(&v, sock)->rows = 1;
	shim_unlock(&v);
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
	shim_lock(&v);
	sock = shim_sock_alloc(&v);
	shim_sock_at(&v, sock)->kind = SHIM_SOCK_TCP;
	shim_sock_at(&v, sock)->rows = 1;
	shim_unlock(&v);
	shim_lock(&v);
	closed = shim_sock_alloc(&v);
	shim_sock_at(&v, closed)->kind = SHIM_SOCK_TCP;
	shim_sock_at(&v, closed)->rows = 1;
	shim_unlock(&v);
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
		cmocka_unit_test(test_fork__the_child_is_a_member_with_all_references),
		cmocka_unit_test(test_fork__the_keeper_has_no_descriptor_left),
		cmocka_unit_test(test_fork__a_parent_that_ends_at_once),
		cmocka_unit_test(test_fork__that_fails),
		cmocka_unit_test(test_exec__ends_membership),
		cmocka_unit_test(test_lock__a_death_inside_is_mended),
		cmocka_unit_test(test_keeper__dies_and_members_go_on),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
