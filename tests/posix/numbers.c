/*
 * numbers.c - programs that treat descriptors roughly: close them all, run out of them, go above 1024
 */
#include "t.h"

#include <sys/resource.h>

static void closing_all(void)
{
	int fd[2];

	t_pair(fd);
	MUST(write(fd[0], "lost", 4));
	for (int i = 3; i < 5000; i++)
		close(i);
	t_pair(fd);
	t_say("numbers %d and %d", fd[0] < 10, fd[1] < 10);
	MUST(write(fd[0], "abc", 3));
	t_say("%s", t_poll(fd[1], POLLIN, 2000));
	closefrom(3);
	t_pair(fd);
	MUST(write(fd[0], "abc", 3));
	t_say("%s", t_poll(fd[1], POLLIN, 2000));
	MUST(close_range(3, ~0u, 0));
	t_pair(fd);
	for (int i = 5; i < 2000; i++)
		dup2(0, i);
	MUST(write(fd[0], "abc", 3));
	t_say("%s", t_poll(fd[1], POLLIN, 2000));
	for (int i = 5; i < 2000; i++)
		close(i);
	t_pair(fd);
	MUST(write(fd[0], "abc", 3));
	t_say("%s", t_poll(fd[1], POLLIN, 2000));
}

/* accept(2) in a process that has no number left: EMFILE, and all is there afterwards. */
static void accept_full(void)
{
	struct rlimit rl = {40, 40};
	int l = t_listen(50), c[20], n = 0, fd, held[64], nr = 0;
	pid_t pid;

	pid = (pid_t)MUST(fork());
	if (pid == 0) {
		for (int i = 0; i < 20; i++)
			c[i] = t_connect(t_port(l));
		t_sleep_ms(1000);
		(void)c;
		_exit(0);
	}
	MUST(setrlimit(RLIMIT_NOFILE, &rl));
	while (nr < 64 && (fd = dup(0)) >= 0)
		held[nr++] = fd;
	t_say("%d held, %s", nr, strerrorname_np(errno));
	t_say("%s", t_poll(l, POLLIN, 2000));
	for (int i = 0; i < 3; i++)
		SHOW(accept(l, NULL, NULL));
	while (nr > 0)
		close(held[--nr]);
	t_nonblock(l, false);
	while (n < 20 && (fd = accept(l, NULL, NULL)) >= 0) {
		close(fd);
		n++;
	}
	t_say("%d accepted", n);
	waitpid(pid, NULL, 0);
}

static void high_numbers(void)
{
	struct rlimit rl;
	int fd[2], high, e;
	struct epoll_event ev = {.events = EPOLLIN};
	char buf[8];

	MUST(getrlimit(RLIMIT_NOFILE, &rl));
	if (rl.rlim_max >= 3000)
		rl.rlim_cur = 3000;
	MUST(setrlimit(RLIMIT_NOFILE, &rl));
	t_pair(fd);
	high = (int)MUST(dup2(fd[1], 2500));
	close(fd[1]);
	e = (int)MUST(epoll_create1(0));
	MUST(epoll_ctl(e, EPOLL_CTL_ADD, high, &ev));
	MUST(write(fd[0], "abc", 3));
	SHOW(epoll_wait(e, &ev, 1, 2000));
	SHOW(read(high, buf, sizeof(buf)));
	SHOW(close(high));
	SHOW(read(fd[0], buf, sizeof(buf)));
}

T_MAIN(T_CASE(closing_all), T_CASE(accept_full), T_CASE(high_numbers))
