/*
 * buffers.c - posix.md 57, 79, 83: SO_RCVLOWAT, buffers' sizes, and what they hold
 */
#include "t.h"

static char buf[1 << 20];

static void set(int fd, int level, int opt, int v, const char *name)
{
	socklen_t len = sizeof(v);
	int r = setsockopt(fd, level, opt, &v, sizeof(v));

	if (r < 0)
		t_say("%s <- %d: %s", name, v, strerrorname_np(errno));
	v = -1;
	getsockopt(fd, level, opt, &v, &len);
	t_say("%s: %d", name, v);
}

#define SET(fd, opt, v) set(fd, SOL_SOCKET, opt, v, #opt)

static void put(int fd, int n)
{
	MUST(send(fd, buf, (size_t)n, 0));
	t_sleep_ms(30);
}

static void lowat_poll(void)
{
	int fd[2], n;

	t_pair(fd);
	SET(fd[1], SO_RCVLOWAT, 100);
	put(fd[0], 60);
	t_say("60: %s", t_poll(fd[1], POLLIN, 0));
	SHOW(ioctl(fd[1], FIONREAD, &n));
	t_say("%d", n);
	put(fd[0], 40);
	t_say("100: %s", t_poll(fd[1], POLLIN, 500));
	SHOW(recv(fd[1], buf, 1, 0));
	t_say("99: %s", t_poll(fd[1], POLLIN, 0));
	SHOW(recv(fd[1], buf, 20, MSG_DONTWAIT | MSG_PEEK));
	SHOW(recv(fd[1], buf, 1000, MSG_DONTWAIT));
	SHOW(recv(fd[1], buf, 1000, MSG_DONTWAIT));
	put(fd[0], 10);
	t_say("10: %s", t_poll(fd[1], POLLIN, 0));
	SET(fd[1], SO_RCVLOWAT, 5);
	t_say("now 5: %s", t_poll(fd[1], POLLIN, 0));
	SET(fd[1], SO_RCVLOWAT, 50);
	t_say("now 50: %s", t_poll(fd[1], POLLIN, 0));
	shutdown(fd[0], SHUT_WR);
	t_say("end: %s", t_poll(fd[1], POLLIN | POLLRDHUP, 500));
	SHOW(recv(fd[1], buf, 1000, 0));
	SHOW(recv(fd[1], buf, 1000, 0));
}

static void *put_twice(void *arg)
{
	int fd = *(int *)arg;

	t_sleep_ms(40);
	put(fd, 30);
	put(fd, 30);
	put(fd, 60);
	return NULL;
}

static void lowat_blocking(void)
{
	pthread_t th;
	int fd[2];

	t_pair(fd);
	SET(fd[1], SO_RCVLOWAT, 100);
	pthread_create(&th, NULL, put_twice, &fd[0]);
	SHOW(recv(fd[1], buf, 1000, 0) >= 100);
	pthread_join(th, NULL);
	recv(fd[1], buf, 1000, MSG_DONTWAIT);
	pthread_create(&th, NULL, put_twice, &fd[0]);
	SHOW(recv(fd[1], buf, 10, 0));
	pthread_join(th, NULL);
	SHOW(recv(fd[1], buf, 1000, MSG_DONTWAIT));
	struct timeval tv = {0, 50000};
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	put(fd[0], 7);
	SHOW(recv(fd[1], buf, 1000, 0));
	SHOW(recv(fd[1], buf, 1000, 0));
}

static void lowat_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int fd[2], ep = (int)MUST(epoll_create1(0));

	t_pair(fd);
	SET(fd[1], SO_RCVLOWAT, 100);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev));
	put(fd[0], 60);
	SHOW(epoll_wait(ep, &ev, 1, 20));
	put(fd[0], 60);
	SHOW(epoll_wait(ep, &ev, 1, 500));
	SHOW(epoll_wait(ep, &ev, 1, 20));
	put(fd[0], 1);
	SHOW(epoll_wait(ep, &ev, 1, 500));
	SHOW(recv(fd[1], buf, 1000, 0));
	put(fd[0], 1);
	SHOW(epoll_wait(ep, &ev, 1, 20));
	shutdown(fd[0], SHUT_WR);
	SHOW(epoll_wait(ep, &ev, 1, 500));
}

static void lowat_values(void)
{
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), l, c, fd[2], v;
	struct sockaddr_in a;
	socklen_t len = sizeof(v);

	SET(s, SO_RCVLOWAT, 0);
	SET(s, SO_RCVLOWAT, 300);
	l = t_listen(2);
	SET(l, SO_RCVLOWAT, 200);
	a = t_addr(t_port(l));
	MUST(connect(s, (struct sockaddr *)&a, sizeof(a)));
	c = (int)MUST(accept(l, NULL, NULL));
	MUST(getsockopt(c, SOL_SOCKET, SO_RCVLOWAT, &v, &len));
	t_say("accepted %d", v);
	MUST(getsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &v, &len));
	t_say("connected %d", v);
	SET(c, SO_RCVLOWAT, 0);
	SET(c, SO_RCVBUF, 4000);
	SET(c, SO_RCVLOWAT, 100000);
	SET(c, SO_RCVLOWAT, -1);
	SET(c, SO_SNDLOWAT, 5);
	t_pair(fd);
	put(fd[0], 3);
	SET(fd[1], SO_RCVLOWAT, 4);
	t_say("%s", t_poll(fd[1], POLLIN, 0));
	put(fd[0], 1);
	t_say("%s", t_poll(fd[1], POLLIN, 500));
}

/* A window that is full is readable, whatever the mark. */
static void lowat_full(void)
{
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), v = 4096, l, c;
	struct sockaddr_in a;

	l = t_listen(2);
	MUST(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
	a = t_addr(t_port(l));
	MUST(connect(s, (struct sockaddr *)&a, sizeof(a)));
	c = (int)MUST(accept(l, NULL, NULL));
	v = 100000;
	setsockopt(c, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v));
	t_nonblock(s, true);
	for (int i = 0; i < 100 && send(s, buf, sizeof(buf), 0) > 0; i++)
		t_sleep_ms(10);
	t_say("%s", t_poll(c, POLLIN, 2000));
}

static void urgent(void)
{
	int fd[2];

	t_pair(fd);
	send(fd[0], "u", 1, MSG_OOB);
	t_sleep_ms(30);
	t_say("%s", t_poll(fd[1], POLLIN | POLLPRI, 0));
	send(fd[0], "n", 1, 0);
	t_sleep_ms(30);
	t_say("%s", t_poll(fd[1], POLLIN | POLLPRI, 0));
	SHOW(recv(fd[1], buf, 10, MSG_DONTWAIT));
	t_say("%c", buf[0]);
}

static void forced(void)
{
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), fd[2], v = 50000000;
	int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in a = t_addr(0);
	socklen_t len = sizeof(v);

	SHOW(setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &v, sizeof(v)));
	MUST(getsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, &len));
	t_say("%d", v);
	t_pair(fd);
	v = 50000000;
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &v, sizeof(v)));
	MUST(getsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &v, &len));
	t_say("%d", v);
	v = 40000000;
	SHOW(setsockopt(fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &v, sizeof(v)));
	MUST(getsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &v, &len));
	t_say("%d", v);
	MUST(bind(u, (struct sockaddr *)&a, sizeof(a)));
	v = 30000000;
	SHOW(setsockopt(u, SOL_SOCKET, SO_RCVBUFFORCE, &v, sizeof(v)));
	MUST(getsockopt(u, SOL_SOCKET, SO_RCVBUF, &v, &len));
	t_say("%d", v);
	SET(fd[0], SO_RCVBUF, 100000000);
	SET(fd[0], SO_RCVBUF, -1);
	SET(fd[0], SO_SNDBUF, 0);
}

/* OUT waits until less than the mark is unsent. */
static void notsent(void)
{
	int fd[2], v = 4096;
	ssize_t r, n = 0;

	t_pair(fd);
	MUST(setsockopt(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &v, sizeof(v)));
	t_nonblock(fd[0], true);
	t_say("%s", t_poll(fd[0], POLLOUT, 0));
	while ((r = send(fd[0], buf, sizeof(buf), 0)) > 0)
		n += r;
	t_say("%s %d", t_poll(fd[0], POLLOUT, 0), n > 100000);
	for (int i = 0; i < 1000 && !*t_poll(fd[0], POLLOUT, 0); i++)
		if (recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT) < 0)
			t_sleep_ms(5);
	t_say("%s", t_poll(fd[0], POLLOUT, 0));
}

T_MAIN(T_CASE(lowat_poll), T_CASE(lowat_blocking), T_CASE(lowat_epoll), T_CASE(lowat_values),
       T_CASE(lowat_full), T_CASE(urgent), T_CASE(forced), T_CASE(notsent))
