/*
 * sandboxes.c - posix.md 90: programs that give up system calls, or the namespace of their network
 */
#include "t.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>

static char buf[300000];

/* ---- filters ---- */

/* What any program needs, and blocking reads and writes. */
#define BASE                                                                                       \
	SYS_read, SYS_write, SYS_futex, SYS_close, SYS_exit, SYS_exit_group, SYS_rt_sigreturn,     \
		SYS_rt_sigprocmask, SYS_brk, SYS_mmap, SYS_munmap, SYS_madvise, SYS_mprotect,      \
		SYS_clock_gettime, SYS_getpid

static const int like_sshd[] = {BASE, SYS_poll, SYS_ppoll, SYS_nanosleep, SYS_clock_nanosleep, -1};
static const int only_poll[] = {BASE, SYS_poll, -1};
static const int only_nap[] = {BASE, SYS_nanosleep, -1};
static const int no_sleep[] = {BASE, -1};

/* Kills the process at any other call. */
static void install(const int *allowed, bool by_syscall)
{
	struct sock_filter f[64];
	struct sock_fprog prog = {.filter = f};
	unsigned short n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (; *allowed >= 0; allowed++) {
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*allowed, 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	prog.len = n;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (by_syscall)
		MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog));
	else
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static void echo(int fd)
{
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (t_write_all(fd, buf, (size_t)n) != n)
			_exit(7);
	close(fd);
	_exit(n ? 8 : 0);
}

static void reap(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	t_say("child status %x", status);
}

/* A client of an echo server in a sandbox: small, large, after pauses. */
static void talk(int c)
{
	static char big[200000], back[200000];
	pid_t writer;
	ssize_t n;

	for (int i = 0; i < 5; i++) {
		MUST(write(c, "small", 5));
		n = t_read_all(c, back, 5);
		t_say("%zd %.5s", n, back);
		t_sleep_ms(i * 20);
	}
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 % 251);
	writer = fork();
	if (writer == 0) {
		t_write_all(c, big, sizeof(big));
		shutdown(c, SHUT_WR);
		_exit(0);
	}
	n = t_read_all(c, back, sizeof(back));
	t_say("%zd %s", n, memcmp(big, back, sizeof(big)) ? "WRONG" : "right");
	waitpid(writer, NULL, 0);
	SHOW(read(c, back, 1));
}

static void filtered(const int *allowed, bool by_syscall)
{
	int fd[2];
	pid_t pid;

	t_pair(fd);
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		install(allowed, by_syscall);
		echo(fd[1]);
	}
	close(fd[1]);
	talk(fd[0]);
	reap(pid);
}

static void filter_like_sshd(void)
{
	filtered(like_sshd, false);
}

static void filter_by_syscall(void)
{
	filtered(like_sshd, true);
}

static void filter_only_poll(void)
{
	filtered(only_poll, false);
}

static void filter_only_nap(void)
{
	filtered(only_nap, false);
}

static void filter_no_sleep(void)
{
	filtered(no_sleep, false);
}

/* Many waits that end before they sleep. */
static void filter_busy(void)
{
	int fd[2], got = 0;
	char byte;
	pid_t pid;

	t_pair(fd);
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		while (read(fd[1], &byte, 1) == 1 && byte != 's')
			if (write(fd[1], &byte, 1) != 1)
				_exit(9);
		install(only_nap, false);
		echo(fd[1]);
	}
	close(fd[1]);
	for (int i = 0; i < 2000; i++) {
		byte = i == 20 ? 's' : 'x';
		MUST(write(fd[0], &byte, 1));
		got += i == 20 || read(fd[0], &byte, 1) == 1;
	}
	SHOW(got);
	SHOW(shutdown(fd[0], SHUT_WR));
	SHOW(read(fd[0], &byte, 1));
	reap(pid);
}

/* poll() in the sandbox, on a connection and a pipe, with a limit of descriptors as sshd sets it. */
static void filter_polls(void)
{
	int fd[2], p[2];
	pid_t pid;

	t_pair(fd);
	MUST(pipe(p));
	pid = fork();
	if (pid == 0) {
		struct pollfd both[2] = {{.fd = fd[1], .events = POLLIN}, {.fd = p[0], .events = POLLIN}};

		install(like_sshd, false);
		SHOW(poll(both, 1, 20));
		SHOW(poll(both, 2, 5000));
		t_say("%s %s", t_events(both[0].revents), t_events(both[1].revents));
		SHOW(read(fd[1], buf, 10));
		SHOW(poll(both, 2, 5000));
		t_say("%s %s", t_events(both[0].revents), t_events(both[1].revents));
		SHOW(write(fd[1], "end", 3));
		_exit(0);
	}
	t_sleep_ms(100);
	MUST(write(fd[0], "x", 1));
	t_sleep_ms(100);
	MUST(write(p[1], "y", 1));
	t_read_all(fd[0], buf, 3);
	reap(pid);
}

static void *echo_thread(void *arg)
{
	char byte;

	while (read((int)(intptr_t)arg, &byte, 1) == 1)
		if (write((int)(intptr_t)arg, &byte, 1) != 1)
			break;
	return NULL;
}

/* Threads of which one waits for the first time in the sandbox. */
static void filter_threads(void)
{
	int a[2], b[2], got = 0;
	pthread_t t;
	pid_t pid;
	char byte;

	t_pair(a);
	t_pair(b);
	pid = fork();
	if (pid == 0) {
		close(a[0]);
		close(b[0]);
		MUST(-pthread_create(&t, NULL, echo_thread, (void *)(intptr_t)a[1]));
		t_sleep_ms(20);
		install(like_sshd, true);
		echo_thread((void *)(intptr_t)b[1]);
		_exit(0);
	}
	close(a[1]);
	close(b[1]);
	for (int i = 0; i < 50; i++) {
		MUST(write(a[0], "a", 1));
		MUST(write(b[0], "b", 1));
		got += read(a[0], &byte, 1) == 1 && byte == 'a';
		got += read(b[0], &byte, 1) == 1 && byte == 'b';
	}
	SHOW(got);
	close(a[0]);
	close(b[0]);
	reap(pid);
}

/* ---- children by other calls, in other namespaces ---- */

/* One exchange with a child that has the other end, and its end; 'made' is what the call returned. */
static void serve(int fd[2], long made)
{
	if (made < 0)
		t_die("no child");
	if (made == 0) {
		close(fd[0]);
		echo(fd[1]);
	}
	close(fd[1]);
	talk(fd[0]);
	reap((pid_t)made);
}

static void clone_plain(void)
{
	int fd[2];

	t_pair(fd);
	serve(fd, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static void clone_three(void)
{
	uint64_t args[8] = {[4] = SIGCHLD};
	int fd[2];

	t_pair(fd);
	serve(fd, syscall(SYS_clone3, args, sizeof(args)));
}

static void fork_inside(void)
{
	int fd[2];

	t_pair(fd);
	serve(fd, _Fork());
}

static void clone_newnet(void)
{
	int fd[2];

	t_pair(fd);
	serve(fd, syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
}

/* Children of the first process of a pid namespace, which knows other numbers than everybody else. */
static void clone_newpid(void)
{
	int a[2], b[2], status;
	pid_t pid, outer;

	t_pair(a);
	t_pair(b);
	outer = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
	if (outer == 0) {
		t_say("I am %d", getpid());
		close(b[0]);
		pid = fork();
		if (pid == 0) {
			close(b[1]);
			serve(a, fork());
			_exit(0);
		}
		close(a[0]);
		close(a[1]);
		waitpid(pid, &status, 0);
		t_say("%x", status);
		echo(b[1]);
	}
	close(a[0]);
	close(a[1]);
	close(b[1]);
	talk(b[0]);
	reap(outer);
}

static int echo_fd[2];

static int echo_started(void *arg)
{
	close(echo_fd[0]);
	echo(*(int *)arg);
	return 0;
}

static void clone_function(void)
{
	static char stack[65536] __attribute__((aligned(64)));
	pid_t pid;

	t_pair(echo_fd);
	pid = (pid_t)MUST(clone(echo_started, stack + sizeof(stack), CLONE_NEWNET | SIGCHLD, &echo_fd[1]));
	close(echo_fd[1]);
	talk(echo_fd[0]);
	reap(pid);
}

/* What it makes in its new namespace is of that: there, lo is down. */
static void unshare_net(void)
{
	int fd[2], l = t_listen(5), home, s;
	struct sockaddr_in a = t_addr(t_port(l));
	pid_t pid;

	t_pair(fd);
	pid = fork();
	if (pid == 0) {
		home = open("/proc/self/ns/net", O_RDONLY);
		SHOW(unshare(CLONE_NEWNET));
		s = socket(AF_INET, SOCK_STREAM, 0);
		SHOW(connect(s, (void *)&a, sizeof(a)));
		close(s);
		SHOW(setns(home, CLONE_NEWNET));
		s = socket(AF_INET, SOCK_STREAM, 0);
		SHOW(connect(s, (void *)&a, sizeof(a)));
		close(s);
		echo(fd[1]);
	}
	close(fd[1]);
	talk(fd[0]);
	reap(pid);
	SHOW(accept(l, NULL, NULL) >= 0);
}

/* The child holds what it has, and nothing after its end. */
static void clone_holds(void)
{
	int fd[2];
	pid_t pid;

	t_pair(fd);
	pid = (pid_t)MUST(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	if (pid == 0)
		for (;;)
			pause();
	close(fd[1]);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 100));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 2000));
}

T_MAIN(T_CASE(clone_plain), T_CASE(clone_three), T_CASE(fork_inside), T_CASE(clone_newnet), T_CASE(clone_newpid),
       T_CASE(clone_function), T_CASE(unshare_net), T_CASE(clone_holds), T_CASE(filter_like_sshd), T_CASE(filter_by_syscall), T_CASE(filter_only_poll), T_CASE(filter_only_nap),
       T_CASE(filter_no_sleep), T_CASE(filter_polls), T_CASE(filter_busy), T_CASE(filter_threads))
