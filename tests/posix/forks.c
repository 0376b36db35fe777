/*
 * forks.c - posix.md 3, 11-14, 16, 21, 42: processes that share sockets
 */
#include "t.h"

#include <spawn.h>
#include <sys/mman.h>

extern char **environ;
static char buf[4096];

static void reap(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	if (status)
		t_say("child status %x", status);
}

static void child_exits(void)
{
	int fd[2];
	pid_t pid;

	t_pair(fd);
	pid = fork();
	if (pid == 0)
		_exit(0);
	reap(pid);
	SHOW(send(fd[0], "after", 5, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	pid = fork();
	if (pid == 0)
		exit(0);
	reap(pid);
	SHOW(send(fd[1], "still", 5, 0));
	SHOW(recv(fd[0], buf, 10, 0));
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 20));
}

static void child_serves(void)
{
	int l = t_listen(5), c = t_connect(t_port(l)), s = accept(l, NULL, NULL);
	pid_t pid = fork();

	if (pid == 0) {
		ssize_t n = recv(s, buf, 100, 0);

		send(s, buf, (size_t)n, 0);
		_exit(0);
	}
	close(s);
	SHOW(send(c, "to the child", 12, 0));
	SHOW(t_read_all(c, buf, 12));
	SHOW(recv(c, buf, 10, 0));
	reap(pid);
}

static void both_use(void)
{
	int fd[2];
	pid_t pid;

	t_pair(fd);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 60; i++)
			MUST(send(fd[0], "c", 1, 0));
		_exit(0);
	}
	for (int i = 0; i < 60; i++)
		MUST(send(fd[0], "p", 1, 0));
	SHOW(t_read_all(fd[1], buf, 200));
	int c = 0;
	for (int i = 0; i < 200; i++)
		c += buf[i] == 'c';
	SHOW(c);
	reap(pid);
	close(fd[0]);
	SHOW(recv(fd[1], buf, 10, 0));
}

static void last_close(void)
{
	int fd[2], p[2];
	pid_t pid;
	char x;

	t_pair(fd);
	MUST(pipe(p));
	pid = fork();
	if (pid == 0) {
		close(p[1]);
		if (read(p[0], &x, 1) != 0)
			_exit(1);
		_exit(0);
	}
	close(p[0]);
	close(fd[0]);
	t_say("%s", t_poll(fd[1], POLLIN | POLLRDHUP, 50));
	close(p[1]);
	reap(pid);
	t_say("%s", t_poll(fd[1], POLLIN | POLLRDHUP, 1000));
	SHOW(recv(fd[1], buf, 10, 0));
}

static void killed(void)
{
	int fd[2];
	pid_t pid;

	t_pair(fd);
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		pause();
	}
	close(fd[1]);
	t_sleep_ms(50);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 50));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 1000));
	SHOW(recv(fd[0], buf, 10, 0));
}

/* Two workers on one listener, each with its own epoll set. */
static void workers(void)
{
	int l = t_listen(64), port = t_port(l), got = 0;
	pid_t pid[2];

	t_nonblock(l, true);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};
		int ep = epoll_create1(0);

		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
		for (;;) {
			if (epoll_wait(ep, &ev, 1, 5000) < 1)
				_exit(1);
			int s = accept4(l, NULL, NULL, 0);

			if (s < 0)
				continue;
			ssize_t n = recv(s, buf, 100, 0);

			send(s, buf, (size_t)n, 0);
			close(s);
		}
	}
	for (int i = 0; i < 40; i++) {
		int c = t_connect(port);

		MUST(send(c, "work", 4, 0));
		got += t_read_all(c, buf, 10) == 4;
		close(c);
	}
	SHOW(got);
	for (int i = 0; i < 2; i++) {
		kill(pid[i], SIGTERM);
		waitpid(pid[i], NULL, 0);
	}
}

static void accept_then_fork(void)
{
	int l = t_listen(64), port = t_port(l), got = 0;
	pid_t server = fork();

	if (server == 0) {
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			int s = accept(l, NULL, NULL);

			if (fork() == 0) {
				close(l);
				ssize_t n;
				while ((n = recv(s, buf, 100, 0)) > 0)
					send(s, buf, (size_t)n, 0);
				_exit(0);
			}
			close(s);
		}
	}
	close(l);
	for (int i = 0; i < 10; i++) {
		int c = t_connect(port);

		for (int k = 0; k < 3; k++) {
			MUST(send(c, "ping", 4, 0));
			got += t_read_all(c, buf, 4) == 4;
		}
		close(c);
	}
	SHOW(got);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
}

static void daemonised(void)
{
	int l = t_listen(5), port = t_port(l);
	pid_t pid = fork();

	if (pid == 0) {
		if (daemon(1, 1) < 0)
			_exit(1);
		int s = accept(l, NULL, NULL);
		ssize_t n = recv(s, buf, 100, 0);

		send(s, buf, (size_t)n, 0);
		_exit(0);
	}
	reap(pid);
	close(l);
	int c = t_connect(port);
	SHOW(send(c, "daemon", 6, 0));
	SHOW(t_read_all(c, buf, 6));
	SHOW(recv(c, buf, 1, 0));
}

static void spawns(void)
{
	char *argv[] = {"sh", "-c", "exit 7", NULL};
	int fd[2], status;
	pid_t pid;

	t_pair(fd);
	SHOW(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ));
	waitpid(pid, &status, 0);
	SHOW(WEXITSTATUS(status));
	SHOW(WEXITSTATUS(system("exit 3")));
	FILE *p = popen("echo out", "r");
	t_say("%.3s", fgets(buf, sizeof(buf), p));
	SHOW(pclose(p));
	pid = vfork();
	if (pid == 0) {
		execv("/bin/true", (char *[]){"true", NULL});
		_exit(1);
	}
	reap(pid);
	SHOW(send(fd[0], "after", 5, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 0", NULL);
		_exit(1);
	}
	reap(pid);
	SHOW(send(fd[1], "more", 4, 0));
	SHOW(recv(fd[0], buf, 10, 0));
}

/* A child of vfork makes one of its own, which lives on: that is no child that its parent waits for. Any that
 * another thread makes at the same time is the same. */
static void vfork_forks(void)
{
	pid_t pid;
	int p[2];

	MUST(pipe2(p, O_CLOEXEC));
	pid = vfork();
	if (pid == 0) {
		if (syscall(SYS_fork) == 0) {
			close(p[1]);
			_exit(read(p[0], buf, 1) != 0);
		}
		execv("/bin/true", (char *[]){"true", NULL});
		_exit(1);
	}
	t_say("goes on");
	reap(pid);
	close(p[1]);
}

static void inherited_listener(void)
{
	char num[16];
	int l = t_listen(5), port = t_port(l);
	pid_t pid = fork();

	if (pid == 0) {
		snprintf(num, sizeof(num), "%d", l);
		setenv("T_LISTENER", num, 1);
		execl("/proc/self/exe", "forks", "as_successor", NULL);
		_exit(1);
	}
	close(l);
	int c = t_connect(port);
	MUST(send(c, "exec", 4, 0));
	SHOW(t_read_all(c, buf, 4));
	close(c);
	reap(pid);
}

static void as_successor(void)
{
	const char *num = getenv("T_LISTENER");
	int v;
	socklen_t len = sizeof(v);

	if (!num)
		return;
	int l = atoi(num);
	SHOW(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	SHOW(v);
	int s = (int)MUST(accept(l, NULL, NULL));
	ssize_t n = recv(s, buf, 100, 0);
	send(s, buf, (size_t)n, 0);
}

/* Busy or stopped, the peer's view goes on (38, 39). */
static void stopped(void)
{
	int l = t_listen(5), port = t_port(l);
	pid_t pid = fork();

	if (pid == 0) {
		for (;;) {
			int s = accept(l, NULL, NULL);
			ssize_t n = recv(s, buf, 100, 0);

			send(s, buf, (size_t)n, 0);
			close(s);
		}
	}
	close(l);
	kill(pid, SIGSTOP);
	t_sleep_ms(20);
	int64_t t0 = t_now_ms();
	int c = t_connect(port);
	t_say("connected %s", t_about(t_now_ms() - t0, 0));
	SHOW(send(c, "while stopped", 13, 0));
	int n = 1;
	for (int i = 0; i < 100 && n; i++) {
		t_sleep_ms(10);
		ioctl(c, TIOCOUTQ, &n);
	}
	t_say("unacknowledged %d", n);
	kill(pid, SIGCONT);
	SHOW(t_read_all(c, buf, 13));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void *recv_one(void *fd)
{
	char byte;

	SHOW(recv(*(int *)fd, &byte, 1, 0));
	return NULL;
}

/* A child that was forked while a thread of its parent slept in recv closes what it has for good. */
static void blocked_thread(void)
{
	int fd[2], done[2], go[2];
	pthread_t t;
	pid_t pid;

	t_pair(fd);
	MUST(pipe(done));
	MUST(pipe(go));
	pthread_create(&t, NULL, recv_one, &fd[1]);
	t_sleep_ms(30);
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		close(fd[1]);
		close(go[1]);
		MUST(write(done[1], "", 1));
		MUST(read(go[0], buf, 1));
		_exit(0);
	}
	MUST(read(done[0], buf, 1));
	MUST(send(fd[0], "x", 1, 0));
	pthread_join(t, NULL);
	close(fd[1]);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 2000));
	close(go[1]);
	reap(pid);
}

/* What the threads and children of among_openers() found. */
struct openers {
	_Atomic bool done;
	_Atomic unsigned int nr_pairs, late, lost;
};

static void *open_and_close(void *arg)
{
	int l = t_listen(5), port = t_port(l);
	struct openers *o = arg;

	while (!o->done) {
		int c = t_connect(port), s = (int)MUST(accept(l, NULL, NULL));
		struct pollfd p = {.fd = s, .events = POLLIN | POLLRDHUP};

		close(c);
		o->late += poll(&p, 1, 2000) != 1;
		o->nr_pairs++;
		close(s);
	}
	close(l);
	return NULL;
}

/* A number that the child has is a socket that it has. */
static void count_lost(struct openers *o)
{
	struct sockaddr_in a;
	socklen_t len;

	for (int fd = 3; fd < 64; fd++) {
		len = sizeof(a);
		if (fcntl(fd, F_GETFD) >= 0 && getpeername(fd, (void *)&a, &len) < 0 &&
		    errno == EBADF)
			o->lost++;
	}
}

/* Children come while threads make and end connections: each has what the parent had at that moment, and
 * nothing that was closed before or made later. */
static void among_openers(void)
{
	enum { FORKS = 250, EVERY = 5, STAY = FORKS / EVERY };
	struct openers *o = mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t stay[STAY], pid;
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		MUST(-pthread_create(&t[i], NULL, open_and_close, o));
	for (int i = 0; i < 1000 && o->nr_pairs < 20; i++)
		t_sleep_ms(5);
	for (int i = 0; i < FORKS; i++) {
		pid = (pid_t)MUST(fork());
		if (pid == 0) {
			count_lost(o);
			close_range(3, ~0U, 0);
			if (i % EVERY == 0)
				pause();
			_exit(0);
		}
		if (i % EVERY == 0)
			stay[i / EVERY] = pid;
		else
			waitpid(pid, NULL, 0);
	}
	t_sleep_ms(50);
	o->done = true;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	t_say("%s, %u late, %u lost", o->nr_pairs > 20 ? "many" : "few", o->late, o->lost);
	for (int i = 0; i < STAY; i++) {
		kill(stay[i], SIGKILL);
		waitpid(stay[i], NULL, 0);
	}
}

/* A parent that accepts in the lane is not kept in the kernel by what its child's program needs. */
static void exec_listener_blocking(void)
{
	int l = t_listen(5), port = t_port(l), c;
	pid_t pid = fork();

	if (pid == 0) {
		execlp("sleep", "sleep", "30", NULL);
		_exit(99);
	}
	t_sleep_ms(100);
	alarm(5);
	if (fork() == 0) {
		t_sleep_ms(100);
		c = t_connect(port);
		SHOW(recv(c, buf, 10, 0));
		_exit(0);
	}
	c = accept(l, NULL, NULL);
	send(c, "hello", 5, 0);
	t_sleep_ms(100);
	kill(pid, SIGTERM);
	wait(NULL);
}

static void *echoes(void *arg)
{
	int *fd = arg;
	char c = 'x';

	for (;;) {
		send(fd[0], &c, 1, 0);
		recv(fd[1], &c, 1, 0);
	}
	return NULL;
}

/* Threads are in calls when their process forks, and the child has robust mutexes of its own. */
static void robust_children(void)
{
	static int pair[8][2];
	pthread_mutexattr_t attr;
	pthread_t t;
	int status, nr_ok = 0;
	char c;

	for (unsigned int i = 0; i < 8; i++) {
		t_pair(pair[i]);
		pthread_create(&t, NULL, echoes, pair[i]);
	}
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	for (unsigned int i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			alarm(10);
			pthread_mutex_init(m, &attr);
			for (unsigned int k = 0; k < 500; k++) {
				recv(pair[k % 8][0], &c, 1, MSG_DONTWAIT);
				pthread_mutex_lock(m);
				pthread_mutex_unlock(m);
			}
			_exit(0);
		}
		nr_ok += waitpid(pid, &status, 0) == pid && status == 0;
	}
	SHOW(nr_ok);
	fflush(stdout);
	_exit(0);
}

T_MAIN(T_CASE(child_exits), T_CASE(child_serves), T_CASE(both_use), T_CASE(last_close),
       T_CASE(killed), T_CASE(workers), T_CASE(accept_then_fork), T_CASE(daemonised),
       T_CASE(spawns), T_CASE(inherited_listener), T_CASE(as_successor), T_CASE(stopped),
       T_CASE(blocked_thread), T_CASE(among_openers), T_CASE(exec_listener_blocking),
       T_CASE(vfork_forks), T_CASE(robust_children))
