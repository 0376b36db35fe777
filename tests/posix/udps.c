/*
 * udps.c - posix.md 52, 81: datagrams
 */
#include "t.h"

static char buf[70000];

static int bound(int port)
{
	struct sockaddr_in a = t_addr(port);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));

	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void basics(void)
{
	int a = bound(0), b = bound(0);
	struct sockaddr_in to = t_addr(t_port(b)), from;
	socklen_t len = sizeof(from);

	SHOW(sendto(a, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)));
	SHOW(recvfrom(b, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len));
	t_say("%u %s %d", len, inet_ntoa(from.sin_addr), ntohs(from.sin_port) == t_port(a));
	SHOW(sendto(b, "back", 4, 0, (struct sockaddr *)&from, len));
	SHOW(recv(a, buf, 2, 0));
	SHOW(recv(a, buf, 10, MSG_DONTWAIT));
	SHOW(send(a, "x", 1, 0));
	SHOW(sendto(a, buf, 65508, 0, (struct sockaddr *)&to, sizeof(to)));
	to.sin_port = 0;
	SHOW(sendto(a, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	to.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	to.sin_port = htons(9);
	SHOW(sendto(a, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0);
	SHOW(shutdown(a, SHUT_RDWR));
	SHOW(recvfrom(a, buf, 10, MSG_DONTWAIT, (struct sockaddr *)&from, &len));
}

static void empty(void)
{
	int a = bound(0), b = bound(0), n = -1;
	struct sockaddr_in to = t_addr(t_port(b));

	SHOW(sendto(a, "", 0, 0, (struct sockaddr *)&to, sizeof(to)));
	t_say("%s", t_poll(b, POLLIN, 1000));
	SHOW(ioctl(b, FIONREAD, &n));
	t_say("%d", n);
	SHOW(recv(b, buf, 10, 0));
	t_say("%s", t_poll(b, POLLIN, 0));
	SHOW(sendto(a, "abcdef", 6, 0, (struct sockaddr *)&to, sizeof(to)));
	t_poll(b, POLLIN, 1000);
	SHOW(ioctl(b, FIONREAD, &n));
	t_say("%d", n);
	SHOW(recv(b, buf, 3, MSG_PEEK | MSG_TRUNC));
	SHOW(recv(b, buf, 3, MSG_TRUNC));
	t_say("%s", t_poll(b, POLLIN | POLLOUT, 0));
}

static void connected(void)
{
	int fd[2], c = bound(0);
	struct sockaddr_in to, un = {.sin_family = AF_UNSPEC};
	socklen_t len = sizeof(to);

	t_udp_pair(fd);
	SHOW(send(fd[0], "one", 3, 0));
	SHOW(recv(fd[1], buf, 100, 0));
	to = t_addr(t_port(fd[1]));
	SHOW(sendto(c, "stranger", 8, 0, (struct sockaddr *)&to, sizeof(to)));
	t_sleep_ms(30);
	SHOW(recv(fd[1], buf, 100, MSG_DONTWAIT));
	SHOW(getpeername(fd[0], (struct sockaddr *)&to, &len));
	SHOW(write(fd[0], "w", 1));
	SHOW(read(fd[1], buf, 100));
	SHOW(connect(fd[0], (struct sockaddr *)&un, sizeof(un)));
	SHOW(getpeername(fd[0], (struct sockaddr *)&to, &len));
	SHOW(send(fd[0], "x", 1, 0));
	SHOW(shutdown(fd[1], SHUT_RD));
	SHOW(recv(fd[1], buf, 100, 0));
}

static void refused(void)
{
	int fd[2], err;
	socklen_t len = sizeof(err);

	t_udp_pair(fd);
	close(fd[1]);
	SHOW(send(fd[0], "x", 1, 0));
	t_sleep_ms(30);
	t_say("%s", t_poll(fd[0], POLLIN | POLLOUT, 100));
	SHOW(recv(fd[0], buf, 10, MSG_DONTWAIT));
	SHOW(recv(fd[0], buf, 10, MSG_DONTWAIT));
	SHOW(send(fd[0], "x", 1, 0));
	t_sleep_ms(30);
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_ERROR, &err, &len));
	t_say("%s", strerrorname_np(err));
	SHOW(send(fd[0], "x", 1, 0));
}

static void queued_before_connect(void)
{
	int a = bound(0), b = bound(0), c = bound(0);
	struct sockaddr_in to = t_addr(t_port(b)), peer = t_addr(t_port(a));

	sendto(c, "before", 6, 0, (struct sockaddr *)&to, sizeof(to));
	t_poll(b, POLLIN, 1000);
	SHOW(connect(b, (struct sockaddr *)&peer, sizeof(peer)));
	SHOW(recv(b, buf, 100, 0));
	sendto(c, "after", 5, 0, (struct sockaddr *)&to, sizeof(to));
	sendto(a, "peer", 4, 0, (struct sockaddr *)&to, sizeof(to));
	SHOW(recv(b, buf, 100, 0));
	SHOW(recv(b, buf, 100, MSG_DONTWAIT));
}

static void batches(void)
{
	char data[8][16];
	struct iovec iov[8];
	struct mmsghdr m[8];
	struct sockaddr_in from[8];
	int fd[2], a = bound(0);
	struct timespec ts = {0, 100000000};

	t_udp_pair(fd);
	(void)a;
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 8; i++) {
		iov[i] = (struct iovec){data[i], (size_t)i + 1};
		memset(data[i], 'a' + i, sizeof(data[i]));
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	SHOW(sendmmsg(fd[0], m, 8, 0));
	t_sleep_ms(30);
	for (int i = 0; i < 8; i++) {
		iov[i].iov_len = 16;
		m[i].msg_hdr.msg_name = &from[i];
		m[i].msg_hdr.msg_namelen = sizeof(from[i]);
	}
	SHOW(recvmmsg(fd[1], m, 5, 0, NULL));
	for (int i = 0; i < 5; i++)
		t_say("%u %c %u", m[i].msg_len, data[i][0], m[i].msg_hdr.msg_namelen);
	SHOW(recvmmsg(fd[1], m, 8, MSG_DONTWAIT, NULL));
	SHOW(recvmmsg(fd[1], m, 8, MSG_DONTWAIT, NULL));
	send(fd[0], "x", 1, 0);
	SHOW(recvmmsg(fd[1], m, 2, MSG_WAITFORONE, &ts));
}

static void packet_info(void)
{
	char control[256];
	struct iovec iov = {buf, 100};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int a = bound(0), one = 1;
	struct sockaddr_in any = {.sin_family = AF_INET}, to;
	int b = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));

	MUST(bind(b, (struct sockaddr *)&any, sizeof(any)));
	SHOW(setsockopt(b, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
	SHOW(setsockopt(b, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)));
	to = t_addr(t_port(b));
	SHOW(sendto(a, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	SHOW(recvmsg(b, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct in_pktinfo *pi = (struct in_pktinfo *)CMSG_DATA(c);

		t_say("level %d type %d", c->cmsg_level, c->cmsg_type);
		if (c->cmsg_type == IP_PKTINFO)
			t_say("%s", inet_ntoa(pi->ipi_addr));
		else
			t_say("%d", *(int *)CMSG_DATA(c));
	}
}

/* Sends from 'a' to 'b' and tells which TOS and TTL arrived. */
static void show_marks(int a, int b)
{
	char control[256];
	struct iovec iov = {buf, 100};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};

	MUST(send(a, "x", 1, 0));
	MUST(recvmsg(b, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		t_say("type %d: %d", c->cmsg_type,
		      c->cmsg_type == IP_TOS ? *CMSG_DATA(c) : *(int *)CMSG_DATA(c));
}

/* TOS, with ECN bits, and TTL are set in any order, before and after the socket is bound. */
static void marks(void)
{
	static const int names[] = {IP_TOS, IP_TTL, IP_TOS}, values[] = {0x29, 33, 0x2a};
	int b = bound(0), one = 1, a, i;
	struct sockaddr_in to = t_addr(t_port(b));

	MUST(setsockopt(b, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)));
	MUST(setsockopt(b, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)));
	a = bound(0);
	MUST(connect(a, (struct sockaddr *)&to, sizeof(to)));
	for (i = 0; i < 3; i++) {
		MUST(setsockopt(a, IPPROTO_IP, names[i], &values[i], sizeof(int)));
		show_marks(a, b);
	}
	a = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	for (i = 0; i < 2; i++)
		MUST(setsockopt(a, IPPROTO_IP, names[i], &values[i], sizeof(int)));
	MUST(connect(a, (struct sockaddr *)&to, sizeof(to)));
	show_marks(a, b);
}

/* Looking begins where the last look ended. */
static void peek_offset(void)
{
	int fd = bound(0), b = bound(0), at = 2, r;
	struct sockaddr_in to = t_addr(t_port(b));

	close(b);
	b = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	SHOW(setsockopt(b, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at)));
	MUST(bind(b, (struct sockaddr *)&to, sizeof(to)));
	MUST(sendto(fd, "abcdef", 6, 0, (struct sockaddr *)&to, sizeof(to)));
	for (int i = 0; i < 2; i++) {
		r = (int)MUST(recv(b, buf, 2, MSG_PEEK));
		t_say("%.*s", r, buf);
	}
}

static void big(void)
{
	int fd[2];

	t_udp_pair(fd);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 13);
	for (size_t n = 1000; n < 60000; n = n * 3) {
		SHOW(send(fd[0], buf, n, 0));
		memset(buf, 0, sizeof(buf));
		SHOW(recv(fd[1], buf, sizeof(buf), 0));
		int bad = 0;
		for (size_t i = 0; i < n; i++)
			bad += buf[i] != (char)(i * 13);
		SHOW(bad);
		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = (char)(i * 13);
	}
}

static void six(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6}, from;
	struct sockaddr_in to;
	socklen_t len = sizeof(from);
	char text[64];
	int s = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), a = bound(0);

	MUST(bind(s, (struct sockaddr *)&any, sizeof(any)));
	to = t_addr(t_port(s));
	SHOW(sendto(a, "v4", 2, 0, (struct sockaddr *)&to, sizeof(to)));
	SHOW(recvfrom(s, buf, 100, 0, (struct sockaddr *)&from, &len));
	t_say("%u %s", len, inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
	SHOW(sendto(s, "back", 4, 0, (struct sockaddr *)&from, len));
	SHOW(recv(a, buf, 100, 0));
	struct sockaddr_in6 to6 = t_addr6(t_port(s));
	int c = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	SHOW(sendto(c, "v6", 2, 0, (struct sockaddr *)&to6, sizeof(to6)));
	SHOW(recvfrom(s, buf, 100, 0, (struct sockaddr *)&from, &len));
	t_say("%s", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
}

static void in_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5};
	int fd[2], ep = epoll_create1(0);

	t_udp_pair(fd);
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev));
	SHOW(epoll_wait(ep, &ev, 1, 0));
	send(fd[0], "x", 1, 0);
	SHOW(epoll_wait(ep, &ev, 1, 1000));
	t_say("%s %u", t_events(ev.events), ev.data.u32);
	SHOW(recv(fd[1], buf, 10, 0));
	SHOW(epoll_wait(ep, &ev, 1, 0));
}

static void full(void)
{
	int fd[2], small = 4096, n = 0;

	t_udp_pair(fd);
	setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 500; i++)
		send(fd[0], buf, 500, 0);
	t_sleep_ms(30);
	while (recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT) == 500)
		n++;
	t_say("%s", n > 2 && n < 400 ? "some were dropped" : "no limit");
	SHOW(send(fd[0], "y", 1, 0));
	SHOW(recv(fd[1], buf, 10, 0));
}

T_MAIN(T_CASE(basics), T_CASE(empty), T_CASE(connected), T_CASE(refused),
       T_CASE(queued_before_connect), T_CASE(batches), T_CASE(packet_info), T_CASE(marks), T_CASE(peek_offset), T_CASE(big), T_CASE(six),
       T_CASE(in_epoll), T_CASE(full))
