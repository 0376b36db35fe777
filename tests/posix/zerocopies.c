/*
 * zerocopies.c - MSG_ZEROCOPY, and what it tells by the error queue
 *
 * When a completion comes, and with how many others, is the kernel's to choose: they are added up.
 */
#include "t.h"

#include <linux/errqueue.h>

static char buf[300000];

static void set(int fd, int level, int name, int val)
{
	MUST(setsockopt(fd, level, name, &val, sizeof(val)));
}

static void show_set(int fd, int val)
{
	int now = 9;
	socklen_t len = sizeof(now);
	int r = setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &val, sizeof(val));

	t_show("setsockopt", r);
	MUST(getsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &now, &len));
	t_say("%d: %d", val, now);
}

/* One message of the error queue: the range that it tells, false: none. */
static bool told(int fd, uint32_t *lo, uint32_t *hi, bool verbose)
{
	char control[128], name[64];
	struct iovec v = {buf, 10};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
			   .msg_name = name, .msg_namelen = sizeof(name)};
	struct sock_extended_err e;
	struct cmsghdr *c;
	ssize_t r = recvmsg(fd, &m, MSG_ERRQUEUE);

	if (r < 0) {
		if (verbose)
			t_show("recvmsg", r);
		return false;
	}
	c = CMSG_FIRSTHDR(&m);
	memcpy(&e, CMSG_DATA(c), sizeof(e));
	*lo = e.ee_info;
	*hi = e.ee_data;
	if (verbose)
		t_say("%zd bytes, name of %u, flags %x, level %d type %d length %zu, control %zu: errno %u origin %u type %u code %u",
		      r, m.msg_namelen, m.msg_flags, c->cmsg_level, c->cmsg_type, c->cmsg_len, m.msg_controllen, e.ee_errno,
		      e.ee_origin, e.ee_type, e.ee_code);
	return true;
}

/* Reads completions until 'last' was told. */
static void complete(int fd, uint32_t first, uint32_t last)
{
	uint32_t lo, hi, next = first;

	for (int i = 0; i < 500 && next != last + 1; i++) {
		t_poll(fd, 0, 100);
		while (next != last + 1 && told(fd, &lo, &hi, false)) {
			if (lo != next || hi < lo)
				t_say("a gap: %u to %u, not from %u", lo, hi, next);
			next = hi + 1;
		}
	}
	t_say("told to %u", next - 1);
}

static void options_of_each(void)
{
	int fd[2], u[2], s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), l = t_listen(3), c;

	show_set(s, 1);
	show_set(s, 2);
	show_set(s, -1);
	show_set(s, 0);
	t_pair(fd);
	show_set(fd[0], 1);
	show_set(fd[0], 0);
	show_set(fd[1], 2);
	show_set(fd[1], 1);
	t_udp_pair(u);
	show_set(u[0], 1);
	show_set(u[0], 2);
	show_set(l, 1);
	t_connect(t_port(l));
	c = (int)MUST(accept(l, NULL, NULL));
	show_set(c, 7);
}

/* Each send has its number; one that sends nothing has none. */
static void one_by_one(int c, int s)
{
	uint32_t lo, hi;

	t_say("before: %s", t_poll(c, POLLIN | POLLOUT, 0));
	told(c, &lo, &hi, true);
	SHOW(send(c, "hello", 5, MSG_ZEROCOPY));
	SHOW(t_read_all(s, buf, 5));
	t_say("%s", t_poll(c, POLLOUT, 2000));
	for (int i = 0; i < 200 && !strstr(t_poll(c, POLLOUT, 0), "ERR"); i++)
		t_sleep_ms(10);
	t_say("%s", t_poll(c, POLLIN | POLLOUT, 0));
	SHOW(told(c, &lo, &hi, true));
	t_say("%u to %u", lo, hi);
	told(c, &lo, &hi, true);
	t_say("%s", t_poll(c, POLLOUT, 0));
	SHOW(send(c, "", 0, MSG_ZEROCOPY));
	SHOW(send(c, "hello", 5, 0));
	for (int i = 0; i < 5; i++)
		MUST(send(c, "hello", 5, MSG_ZEROCOPY));
	SHOW(t_read_all(s, buf, 30));
	complete(c, 1, 5);
	SHOW(recv(c, buf, 10, MSG_ERRQUEUE));
}

static void numbers_of_sends(void)
{
	int fd[2];

	t_pair(fd);
	set(fd[0], SOL_SOCKET, SO_ZEROCOPY, 1);
	one_by_one(fd[0], fd[1]);
	set(fd[1], SOL_SOCKET, SO_ZEROCOPY, 1);
	one_by_one(fd[1], fd[0]);
	set(fd[0], SOL_SOCKET, SO_ZEROCOPY, 0);
	SHOW(send(fd[0], "hello", 5, MSG_ZEROCOPY));
	SHOW(t_read_all(fd[1], buf, 5));
	t_sleep_ms(100);
	SHOW(recv(fd[0], buf, 10, MSG_ERRQUEUE));
}

/* Asked for before the socket is connected or listens; over IPv6. */
static void asked_early(void)
{
	struct sockaddr_in6 a = t_addr6(0);
	int l = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)), c, s;

	set(l, SOL_SOCKET, SO_ZEROCOPY, 1);
	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(l, 3));
	a = t_addr6(t_port(l));
	c = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	set(c, SOL_SOCKET, SO_ZEROCOPY, 1);
	MUST(connect(c, (struct sockaddr *)&a, sizeof(a)));
	s = (int)MUST(accept(l, NULL, NULL));
	one_by_one(c, s);
	one_by_one(s, c);
}

/* Large sends, in pieces; what is not sent has no number. */
static void large_sends(void)
{
	int fd[2], n = 0;
	size_t sent = 0;
	ssize_t r;

	t_pair(fd);
	set(fd[0], SOL_SOCKET, SO_ZEROCOPY, 1);
	t_nonblock(fd[0], true);
	while ((r = send(fd[0], buf, sizeof(buf), MSG_ZEROCOPY)) > 0) {
		sent += (size_t)r;
		n++;
	}
	t_say("%d", r == -1 && errno == EAGAIN);
	while (sent)
		sent -= (size_t)MUST(read(fd[1], buf, sent < sizeof(buf) ? sent : sizeof(buf)));
	t_say("one is %d", MUST(send(fd[0], "x", 1, MSG_ZEROCOPY)));
	SHOW(read(fd[1], buf, 1));
	uint32_t lo, hi, next = 0;
	for (int i = 0; i < 300 && next <= (uint32_t)n; i++) {
		t_poll(fd[0], 0, 100);
		while (told(fd[0], &lo, &hi, false))
			next = hi + 1;
	}
	SHOW(next == (uint32_t)n + 1);
}

static void told_by_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLET};
	int fd[2], ep = (int)MUST(epoll_create1(0));

	t_pair(fd);
	set(fd[0], SOL_SOCKET, SO_ZEROCOPY, 1);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &ev));
	SHOW(epoll_wait(ep, &ev, 1, 0));
	for (int i = 0; i < 3; i++) {
		MUST(send(fd[0], "hello", 5, MSG_ZEROCOPY));
		MUST(t_read_all(fd[1], buf, 5));
		SHOW(epoll_wait(ep, &ev, 1, 2000));
		t_say("%s", t_events(ev.events));
		SHOW(epoll_wait(ep, &ev, 1, 0));
		complete(fd[0], (uint32_t)i, (uint32_t)i);
	}
	SHOW(epoll_wait(ep, &ev, 1, 0));
}

static void datagrams_of_each(void)
{
	uint32_t lo, hi;
	int u[2];

	t_udp_pair(u);
	set(u[0], SOL_SOCKET, SO_ZEROCOPY, 1);
	SHOW(send(u[0], "hello", 5, MSG_ZEROCOPY));
	SHOW(recv(u[1], buf, 9, 0));
	SHOW(send(u[0], "", 0, MSG_ZEROCOPY));
	SHOW(recv(u[1], buf, 9, 0));
	SHOW(send(u[0], "world", 5, MSG_ZEROCOPY));
	SHOW(send(u[0], "world", 5, 0));
	SHOW(recv(u[1], buf, 9, 0));
	SHOW(recv(u[1], buf, 9, 0));
	t_say("%s", t_poll(u[0], POLLIN, 1000));
	complete(u[0], 0, 2);
	SHOW(send(u[0], "world", 5, MSG_ZEROCOPY));
	SHOW(recv(u[1], buf, 9, 0));
	t_poll(u[0], 0, 1000);
	SHOW(told(u[0], &lo, &hi, true));
	t_say("%u to %u", lo, hi);
}

T_MAIN(T_CASE(options_of_each), T_CASE(numbers_of_sends), T_CASE(asked_early), T_CASE(large_sends),
       T_CASE(told_by_epoll), T_CASE(datagrams_of_each))
