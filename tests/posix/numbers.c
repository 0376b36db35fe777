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

/* A connection that the kernel has, waiting on 'l' while there is no number left: it is still there for the next one. */
static void accept_full_kernel(int l, int c)
{
	struct rlimit rl;
	int fd, held[64], nr = 0;
	char buf[8];

	MUST(getrlimit(RLIMIT_NOFILE, &rl));
	rl.rlim_cur = 40;
	MUST(setrlimit(RLIMIT_NOFILE, &rl));
	while (nr < 64 && (fd = dup(0)) >= 0)
		held[nr++] = fd;
	t_say("%s", strerrorname_np(errno));
	t_say("%s", t_poll(l, POLLIN, 2000));
	for (int i = 0; i < 3; i++)
		SHOW(accept(l, NULL, NULL));
	SHOW(accept4(l, NULL, NULL, 0x70000));
	MUST(write(c, "abc", 3));
	close(held[--nr]);
	fd = (int)MUST(accept(l, NULL, NULL));
	SHOW(fd == held[nr]);
	SHOW(t_read_all(fd, buf, 3));
	SHOW(write(fd, "def", 3));
	SHOW(t_read_all(c, buf, 3));
	while (nr > 0)
		close(held[--nr]);
}

static void accept_full_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int u = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	socklen_t len = sizeof(a);

	t_listen(3); /* a process of the lane */
	MUST(bind(u, (struct sockaddr *)&a, sizeof(sa_family_t)));
	MUST(getsockname(u, (struct sockaddr *)&a, &len));
	MUST(listen(u, 3));
	MUST(connect(c, (struct sockaddr *)&a, len));
	accept_full_kernel(u, c);
}

/* The kernel's half of a listener: the address is another interface's. */
static void accept_full_half(void)
{
	SHOW(system("ip link add lane-half type veth peer name lane-half2; ip link set lane-half up; ip addr add 10.99.0.1/32 dev lane-half"));
	struct sockaddr_in a = {.sin_family = AF_INET};
	int l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(l, 3));
	a.sin_port = htons((uint16_t)t_port(l));
	a.sin_addr.s_addr = htonl(0x0a630001);
	MUST(connect(c, (struct sockaddr *)&a, sizeof(a)));
	accept_full_kernel(l, c);
	SHOW(system("ip link del lane-half"));
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

T_MAIN(T_CASE(closing_all), T_CASE(accept_full), T_CASE(accept_full_unix), T_CASE(accept_full_half),
       T_CASE(high_numbers))
