/*
 * datagrams.c - posix.md 52, 53, 82: segmentation and joining, errors, groups, drops
 */
#include "t.h"

#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <net/if.h>

#define UDP_SEGMENT 103
#define UDP_GRO 104

static char buf[70000];

static int bound(const char *ip, int port)
{
	struct sockaddr_in a = t_addr(port);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ip)
		a.sin_addr.s_addr = inet_addr(ip);
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void set(int fd, int level, int name, int v)
{
	if (setsockopt(fd, level, name, &v, sizeof(v)) < 0)
		t_say("set %d %d: %s", level, name, strerrorname_np(errno));
}

static int get(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	if (getsockopt(fd, level, name, &v, &len) < 0)
		t_say("get %d %d: %s", level, name, strerrorname_np(errno));
	return v;
}

/* Receives one, and prints its length and its control messages. */
static void show(int fd, int flags)
{
	char control[512];
	struct sockaddr_in from = {0};
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			   .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t r = recvmsg(fd, &m, flags);

	if (r < 0) {
		t_say("%s", strerrorname_np(errno));
		return;
	}
	t_say("%zd flags %x", r, m.msg_flags & ~MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			t_say("gro %d len %zu", *(int *)CMSG_DATA(c), (size_t)c->cmsg_len);
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
			struct sock_extended_err *e = (struct sock_extended_err *)CMSG_DATA(c);
			struct sockaddr_in *o = (struct sockaddr_in *)SO_EE_OFFENDER(e);

			t_say("error %s origin %d type %d code %d info %u to %s from %d %s len %zu",
			      strerrorname_np((int)e->ee_errno), e->ee_origin, e->ee_type, e->ee_code,
			      e->ee_info, inet_ntoa(from.sin_addr), o->sin_family,
			      inet_ntoa(o->sin_addr), (size_t)c->cmsg_len);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR) {
			struct sock_extended_err *e = (struct sock_extended_err *)CMSG_DATA(c);

			t_say("error6 %s origin %d type %d code %d len %zu",
			      strerrorname_np((int)e->ee_errno), e->ee_origin, e->ee_type, e->ee_code,
			      (size_t)c->cmsg_len);
		} else if (c->cmsg_type == SO_RXQ_OVFL)
			t_say("dropped %d", *(int *)CMSG_DATA(c) > 0);
		else
			t_say("level %d type %d len %zu", c->cmsg_level, c->cmsg_type,
			      (size_t)c->cmsg_len);
	}
}

static void fill(size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(i * 7 + i / 256);
}

static int is_filled(size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] != (char)((from + i) * 7 + (from + i) / 256))
			return 0;
	return 1;
}

static void segments(void)
{
	int fd[2];
	ssize_t r, at = 0;

	t_udp_pair(fd);
	t_say("%d", get(fd[0], IPPROTO_UDP, UDP_SEGMENT));
	set(fd[0], IPPROTO_UDP, UDP_SEGMENT, 1000);
	t_say("%d", get(fd[0], IPPROTO_UDP, UDP_SEGMENT));
	fill(4500);
	SHOW(send(fd[0], buf, 4500, 0));
	t_sleep_ms(30);
	while ((r = recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		t_say("%zd %d", r, is_filled((size_t)at, (size_t)r));
		at += r;
	}
	SHOW(send(fd[0], buf, 1000, 0));
	SHOW(send(fd[0], buf, 0, 0));
	t_sleep_ms(30);
	SHOW(recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT));
	SHOW(recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT));
	set(fd[0], IPPROTO_UDP, UDP_SEGMENT, 0);
	SHOW(send(fd[0], buf, 3000, 0));
	t_sleep_ms(30);
	SHOW(recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT));
	set(fd[0], IPPROTO_UDP, UDP_SEGMENT, 70000);
	set(fd[0], IPPROTO_UDP, UDP_SEGMENT, 10);
	SHOW(send(fd[0], buf, 1400, 0));
	set(fd[0], IPPROTO_UDP, UDP_SEGMENT, 1000);
	SHOW(send(fd[0], buf, 65508, 0));
}

/* By control message, before and after the socket is the lane's. */
static void segments_by_message(void)
{
	char control[CMSG_SPACE(2)] = "";
	struct iovec iov = {buf, 700};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	uint16_t size = 300;
	int fd[2];

	t_udp_pair(fd);
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(2);
	memcpy(CMSG_DATA(c), &size, 2);
	SHOW(sendmsg(fd[0], &m, 0));
	t_sleep_ms(30);
	for (int i = 0; i < 4; i++)
		SHOW(recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT));
}

static void joined(void)
{
	int a = bound(NULL, 0), b = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = t_addr(t_port(a));

	set(a, IPPROTO_UDP, UDP_GRO, 1);
	t_say("%d", get(a, IPPROTO_UDP, UDP_GRO));
	set(b, IPPROTO_UDP, UDP_SEGMENT, 500);
	MUST(connect(b, (struct sockaddr *)&to, sizeof(to)));
	fill(2200);
	SHOW(send(b, buf, 2200, 0));
	t_sleep_ms(50);
	show(a, MSG_DONTWAIT);
	SHOW(is_filled(0, 2200));
	show(a, MSG_DONTWAIT);
	set(b, IPPROTO_UDP, UDP_SEGMENT, 0);
	SHOW(send(b, buf, 77, 0));
	t_sleep_ms(50);
	show(a, MSG_DONTWAIT);
}

static void overflow(void)
{
	int fd[2];

	t_udp_pair(fd);
	set(fd[1], SOL_SOCKET, SO_RXQ_OVFL, 1);
	t_say("%d", get(fd[1], SOL_SOCKET, SO_RXQ_OVFL));
	send(fd[0], buf, 5, 0);
	t_sleep_ms(20);
	show(fd[1], MSG_DONTWAIT);
	set(fd[1], SOL_SOCKET, SO_RCVBUF, 4096);
	for (int i = 0; i < 100; i++)
		send(fd[0], buf, 500, 0);
	t_sleep_ms(50);
	show(fd[1], MSG_DONTWAIT);
	while (recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	send(fd[0], buf, 7, 0);
	t_sleep_ms(20);
	show(fd[1], MSG_DONTWAIT);
}

/* A port of 127.0.0.1 that nobody has. */
static struct sockaddr_in nobody(void)
{
	int fd = bound(NULL, 0);
	struct sockaddr_in a = t_addr(t_port(fd));

	close(fd);
	return a;
}

static void error_queue(void)
{
	int a = bound(NULL, 0);
	struct sockaddr_in to = nobody(), two = nobody();

	SHOW(sendto(a, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)));
	t_sleep_ms(30);
	t_say("%s", t_poll(a, POLLIN | POLLOUT, 0));
	set(a, IPPROTO_IP, IP_RECVERR, 1);
	SHOW(sendto(a, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)));
	t_sleep_ms(30);
	t_say("%s", t_poll(a, POLLIN | POLLOUT, 0));
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
	t_say("%s", t_poll(a, POLLIN | POLLOUT, 0));
	show(a, MSG_ERRQUEUE);
	t_say("%.5s", buf);
	t_say("%s", t_poll(a, POLLIN | POLLOUT, 0));
	show(a, MSG_ERRQUEUE);
	SHOW(sendto(a, "one", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	t_sleep_ms(30);
	SHOW(sendto(a, "two", 3, 0, (struct sockaddr *)&two, sizeof(two)));
	SHOW(sendto(a, "two", 3, 0, (struct sockaddr *)&two, sizeof(two)));
	t_sleep_ms(30);
	show(a, MSG_ERRQUEUE);
	t_say("error %d", get(a, SOL_SOCKET, SO_ERROR));
	show(a, MSG_ERRQUEUE);
	show(a, MSG_ERRQUEUE);
	t_say("error %d", get(a, SOL_SOCKET, SO_ERROR));
	MUST(connect(a, (struct sockaddr *)&to, sizeof(to)));
	SHOW(send(a, "three", 5, 0));
	t_sleep_ms(30);
	SHOW(send(a, "four", 4, 0));
	show(a, MSG_ERRQUEUE);
	set(a, IPPROTO_IP, IP_RECVERR, 0);
	t_say("%d", get(a, IPPROTO_IP, IP_RECVERR));
	show(a, MSG_ERRQUEUE);
}

static void error_queue6(void)
{
	struct sockaddr_in6 to = t_addr6(9);
	int a = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));

	set(a, IPPROTO_IPV6, IPV6_RECVERR, 1);
	MUST(connect(a, (struct sockaddr *)&to, sizeof(to)));
	SHOW(send(a, "hello", 5, 0));
	t_sleep_ms(30);
	show(a, MSG_ERRQUEUE | MSG_DONTWAIT);
	t_say("%.5s", buf);
	SHOW(send(a, "again", 5, 0));
	t_sleep_ms(30);
	SHOW(recv(a, buf, 10, MSG_DONTWAIT));
}

static void discover(void)
{
	int fd[2], u = bound(NULL, 0);

	t_udp_pair(fd);
	t_say("%d", get(fd[0], IPPROTO_IP, IP_MTU_DISCOVER));
	t_say("mtu %d", get(fd[0], IPPROTO_IP, IP_MTU) >= 1500);
	t_say("unconnected %d", get(u, IPPROTO_IP, IP_MTU));
	for (int how = 0; how <= 5; how++) {
		set(fd[0], IPPROTO_IP, IP_MTU_DISCOVER, how);
		t_say("%d", get(fd[0], IPPROTO_IP, IP_MTU_DISCOVER));
		SHOW(send(fd[0], buf, 1000, 0));
		SHOW(recv(fd[1], buf, sizeof(buf), 0));
		SHOW(send(fd[0], buf, 60000, 0));
		SHOW(recv(fd[1], buf, sizeof(buf), 0));
	}
	set(fd[0], IPPROTO_IP, IP_MTU_DISCOVER, 6);
}

/* ---- groups: the kernel's part of the socket ---- */

static void to_group(const char *group, int port, const char *text)
{
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};

	a.sin_addr.s_addr = inet_addr(group);
	MUST(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	SHOW(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	t_sleep_ms(30);
}

static void groups(void)
{
	struct ip_mreq mr = {{inet_addr("239.1.2.3")}, {htonl(INADDR_LOOPBACK)}};
	struct ip_mreq_source ms = {{inet_addr("232.1.2.3")}, {htonl(INADDR_LOOPBACK)},
				    {htonl(INADDR_LOOPBACK)}};
	int a = bound("0.0.0.0", 0), port = t_port(a), b = bound("239.1.2.3", port);
	struct sockaddr_in self = t_addr(port);

	to_group("239.1.2.3", port, "nobody yet");
	SHOW(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)));
	SHOW(setsockopt(b, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)));
	SHOW(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)));
	to_group("239.1.2.3", port, "for both");
	t_say("%s %s", t_poll(a, POLLIN, 500), t_poll(b, POLLIN, 500));
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
	SHOW(recv(b, buf, 100, MSG_DONTWAIT));
	SHOW(setsockopt(a, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &ms, sizeof(ms)));
	to_group("232.1.2.3", port, "by source");
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
	SHOW(setsockopt(a, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &ms, sizeof(ms)));
	SHOW(setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mr, sizeof(mr)));
	set(a, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	to_group("239.1.2.3", port, "for b");
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
	SHOW(recv(b, buf, 100, MSG_DONTWAIT));
	SHOW(sendto(a, "unicast", 7, 0, (struct sockaddr *)&self, sizeof(self)));
	t_sleep_ms(30);
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
	SHOW(recv(b, buf, 100, MSG_DONTWAIT));
}

static void groups6(void)
{
	struct ipv6_mreq mr = {.ipv6mr_interface = if_nametoindex("lo")};
	struct sockaddr_in6 any = {.sin6_family = AF_INET6}, to = t_addr6(0);
	int a = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), b;

	inet_pton(AF_INET6, "ff02::1234", &mr.ipv6mr_multiaddr);
	MUST(bind(a, (struct sockaddr *)&any, sizeof(any)));
	SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mr, sizeof(mr)));
	to.sin6_port = htons((uint16_t)t_port(a));
	to.sin6_addr = mr.ipv6mr_multiaddr;
	to.sin6_scope_id = mr.ipv6mr_interface;
	b = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	SHOW(sendto(b, "six", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	t_sleep_ms(30);
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
	SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &mr, sizeof(mr)));
	SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &mr, sizeof(mr)));
}

static void broadcast(void)
{
	int a = bound("0.0.0.0", 0), b = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = t_addr(t_port(a));

	to.sin_addr.s_addr = inet_addr("127.255.255.255");
	SHOW(sendto(b, "all", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	set(b, SOL_SOCKET, SO_BROADCAST, 1);
	SHOW(sendto(b, "all", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	t_say("%s", t_poll(a, POLLIN, 500));
	SHOW(recv(a, buf, 100, MSG_DONTWAIT));
}

/* The connected one comes before the one that is not, whoever was first. */
static void lookup(void)
{
	int any = bound("0.0.0.0", 0), port = t_port(any), mine = bound("127.0.0.1", port), peer;
	int conn = bound("127.0.0.1", port);
	struct sockaddr_in to = t_addr(port), from;

	peer = bound(NULL, 0);
	from = t_addr(t_port(peer));
	MUST(connect(conn, (struct sockaddr *)&from, sizeof(from)));
	sendto(peer, "peer", 4, 0, (struct sockaddr *)&to, sizeof(to));
	t_sleep_ms(30);
	SHOW(recv(conn, buf, 100, MSG_DONTWAIT));
	SHOW(recv(mine, buf, 100, MSG_DONTWAIT));
	to.sin_addr.s_addr = inet_addr("127.0.0.2");
	sendto(peer, "elsewhere", 9, 0, (struct sockaddr *)&to, sizeof(to));
	t_sleep_ms(30);
	SHOW(recv(any, buf, 100, MSG_DONTWAIT));
	SHOW(recv(mine, buf, 100, MSG_DONTWAIT));
}

static void stamps(void)
{
	char control[256];
	struct iovec iov = {buf, 100};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct timeval tv, now;
	int fd[2];

	t_udp_pair(fd);
	set(fd[1], SOL_SOCKET, SO_TIMESTAMP, 1);
	t_sleep_ms(50); /* the kernel begins to stamp frames a little later */
	send(fd[0], "x", 1, 0);
	t_poll(fd[1], POLLIN, 500);
	t_sleep_ms(100);
	SHOW(recvmsg(fd[1], &m, 0));
	gettimeofday(&now, NULL);
	memcpy(&tv, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(tv));
	long ago = (now.tv_sec - tv.tv_sec) * 1000 + (now.tv_usec - tv.tv_usec) / 1000;
	t_say("%s", ago >= 90 && ago < 5000 ? "when it came" : "not when it came");
}

/* From a socket that stays with the kernel. */
static void joined_by_kernel(void)
{
	int to = bound("127.0.0.1", 7340), from = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	static const struct {
		int size, total;
	} tries[] = {{1400, 1401}, {1400, 5000}, {100, 1000}};
	struct sockaddr_in a = t_addr(7340);

	set(from, SOL_SOCKET, SO_PEEK_OFF, 0);
	fill(5000);
	for (unsigned int i = 0; i < 3; i++) {
		set(from, IPPROTO_UDP, UDP_SEGMENT, tries[i].size);
		SHOW(sendto(from, buf, (size_t)tries[i].total, 0, (struct sockaddr *)&a, sizeof(a)));
		while (strcmp(t_poll(to, POLLIN, 300), "IN") == 0)
			SHOW(recv(to, buf, sizeof(buf), 0));
	}
}

static int bound6(const char *ip, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));

	inet_pton(AF_INET6, ip, &a.sin6_addr);
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void show_class(int from, const char *ip, int to)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(7342)};
	struct iovec iov = {buf, 100};
	char control[128] = "";
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};

	inet_pton(AF_INET6, ip, &a.sin6_addr);
	MUST(sendto(from, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	t_poll(to, POLLIN, 500);
	SHOW(recvmsg(to, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		t_say("level %d type %d: %d", c->cmsg_level, c->cmsg_type, *CMSG_DATA(c));
}

/* Of a socket for IPv4 and IPv6 each family has its own TOS and TTL, set before bind() and behind it (Erlang). */
static void classes(void)
{
	int to = bound6("::", 7342), from = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};

	set(to, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set(to, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(from, IPPROTO_IPV6, IPV6_TCLASS, 96);
	set(from, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
	set(from, IPPROTO_IP, IP_TOS, 32);
	MUST(bind(from, (struct sockaddr *)&any, sizeof(any)));
	show_class(from, "::1", to);
	set(from, IPPROTO_IPV6, IPV6_TCLASS, 64);
	set(from, IPPROTO_IP, IP_TOS, 0);
	set(from, IPPROTO_IP, IP_TTL, 7);
	show_class(from, "::1", to);
}

/* A datagram over IPv4 goes to the socket of IPv4, if :: shares its port (kernel selftests: reuseport_dualstack). */
static void own_family_first(void)
{
	struct sockaddr_in a = t_addr(7344);
	int v6 = bound6("::", 7344), v4 = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), from;

	set(v4, SOL_SOCKET, SO_REUSEPORT, 1);
	a.sin_addr.s_addr = 0;
	MUST(bind(v4, (struct sockaddr *)&a, sizeof(a)));
	from = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	a = t_addr(7344);
	for (int i = 0; i < 3; i++) {
		MUST(sendto(from, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
		t_say("v4 %s", t_poll(v4, POLLIN, 500));
		SHOW(recv(v4, buf, 100, MSG_DONTWAIT));
		SHOW(recv(v6, buf, 100, MSG_DONTWAIT));
	}
	bound6("::", 7344);
	MUST(sendto(from, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	t_say("v4 %s", t_poll(v4, POLLIN, 500));
}

/* Sockets of one port (kernel selftests: reuseport_bpf): which of them 6 datagrams, or connections, come to. */
static void show_group(int type, int port, int when)
{
	struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, 2}};
	struct sock_fprog prog = {1, code};
	struct sockaddr_in a = t_addr(port);
	int fd[3], n[3] = {0}, from;

	for (int i = 0; i < 3; i++) {
		fd[i] = (int)MUST(socket(AF_INET, type | SOCK_NONBLOCK, 0));
		set(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
		if (i == when)
			SHOW(setsockopt(fd[i], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)));
		MUST(bind(fd[i], (struct sockaddr *)&a, sizeof(a)));
		if (type == SOCK_STREAM)
			MUST(listen(fd[i], 10));
	}
	if (when == 3)
		SHOW(setsockopt(fd[1], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)));
	for (int k = 0; k < 6; k++) {
		from = (int)MUST(socket(AF_INET, type, 0));
		MUST(connect(from, (struct sockaddr *)&a, sizeof(a)));
		if (type == SOCK_DGRAM)
			MUST(send(from, "x", 1, 0));
	}
	t_sleep_ms(100);
	for (int i = 0; i < 3; i++) {
		while ((type == SOCK_DGRAM ? recv(fd[i], buf, 10, 0) : accept(fd[i], NULL, NULL)) >= 0)
			n[i]++;
	}
	t_say("%d %d %d", n[0], n[1], n[2]);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

static void groups_by_program(void)
{
	show_group(SOCK_DGRAM, 7350, 0);
	show_group(SOCK_DGRAM, 7351, 3);
	show_group(SOCK_STREAM, 7352, 0);
	show_group(SOCK_STREAM, 7353, 3);
}

/* Options that only the kernel knows come behind bind(), and sends in between (kernel selftests: rxtimestamp). */
static void late_options(void)
{
	struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, 0}};
	struct sock_fprog none = {1, code};
	char control[256];
	struct iovec iov = {buf, 100};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd[2];

	t_udp_pair(fd);
	set(fd[1], SOL_SOCKET, SO_TIMESTAMPING, 0);
	send(fd[0], "early", 5, 0);
	t_poll(fd[1], POLLIN, 500);
	set(fd[1], SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
	SHOW(recv(fd[1], buf, 100, 0));
	t_sleep_ms(50);
	send(fd[0], "x", 1, 0);
	t_say("%s", t_poll(fd[1], POLLIN, 500));
	SHOW(recvmsg(fd[1], &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		t_say("level %d type %d len %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
	SHOW(send(fd[1], "back", 4, 0));
	t_say("%s", t_poll(fd[0], POLLIN, 500));
	SHOW(recv(fd[0], buf, 100, MSG_DONTWAIT));
	SHOW(setsockopt(fd[1], SOL_SOCKET, SO_ATTACH_FILTER, &none, sizeof(none)));
	SHOW(send(fd[0], "x", 1, 0));
	t_say("%s", t_poll(fd[1], POLLIN, 100));
	SHOW(setsockopt(fd[1], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)));
	SHOW(send(fd[0], "x", 1, 0));
	t_say("%s", t_poll(fd[1], POLLIN, 500));
}

T_MAIN(T_CASE(segments), T_CASE(segments_by_message), T_CASE(joined), T_CASE(overflow),
       T_CASE(error_queue), T_CASE(error_queue6), T_CASE(discover), T_CASE(groups), T_CASE(groups6),
       T_CASE(broadcast), T_CASE(lookup), T_CASE(stamps), T_CASE(joined_by_kernel),
       T_CASE(classes), T_CASE(own_family_first), T_CASE(groups_by_program), T_CASE(late_options))
