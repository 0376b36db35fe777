/*
 * connects.c - posix.md 46-48, 68, 80: active opens
 */
#include "t.h"

static char buf[4096];

/* A port of 127.0.0.1 where nobody listens. */
static int dead_port(void)
{
	int l = t_listen(1), port = t_port(l);

	close(l);
	return port;
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

static void refused_blocking(void)
{
	struct sockaddr_in a = t_addr(dead_port());
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	signal(SIGPIPE, SIG_IGN);
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	t_say("%s", t_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0));
	t_say("SO_ERROR %d", so_error(s));
	SHOW(recv(s, buf, 10, 0));
	SHOW(send(s, buf, 10, 0));
	int l = t_listen(3);
	a = t_addr(t_port(l));
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
}

static void refused_nonblocking(void)
{
	struct sockaddr_in a = t_addr(dead_port());
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), r;

	signal(SIGPIPE, SIG_IGN);
	r = connect(s, (struct sockaddr *)&a, sizeof(a));
	SHOW(r < 0 && (errno == EINPROGRESS || errno == ECONNREFUSED));
	t_say("%s", t_poll(s, POLLIN | POLLOUT | POLLRDHUP, 1000));
	t_say("SO_ERROR %s", strerrorname_np(so_error(s)));
	t_say("SO_ERROR %d", so_error(s));
	t_say("%s", t_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0));
	SHOW(recv(s, buf, 10, 0));
	SHOW(send(s, buf, 10, 0));
	close(s);
	s = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	connect(s, (struct sockaddr *)&a, sizeof(a));
	t_poll(s, POLLOUT, 1000);
	SHOW(recv(s, buf, 10, 0));
	SHOW(recv(s, buf, 10, 0));
	int l = t_listen(3);
	a = t_addr(t_port(l));
	r = connect(s, (struct sockaddr *)&a, sizeof(a));
	t_say("next %s", strerrorname_np(errno));
	r = connect(s, (struct sockaddr *)&a, sizeof(a));
	SHOW(r == 0 || errno == EINPROGRESS);
	t_say("%s", t_poll(s, POLLOUT, 1000));
	SHOW(accept(l, NULL, NULL) >= 0);
}

static void progress(void)
{
	struct sockaddr_in a, peer;
	socklen_t len = sizeof(peer);
	int l = t_listen(3), s = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), r;

	a = t_addr(t_port(l));
	r = connect(s, (struct sockaddr *)&a, sizeof(a));
	SHOW(r == 0 || errno == EINPROGRESS);
	t_say("%s", t_poll(s, POLLIN | POLLOUT, 1000));
	t_say("SO_ERROR %d", so_error(s));
	r = connect(s, (struct sockaddr *)&a, sizeof(a));
	if (r < 0)
		t_say("again %s", strerrorname_np(errno));
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(getpeername(s, (struct sockaddr *)&peer, &len));
	SHOW(peer.sin_port == a.sin_port);
	int c = (int)MUST(accept(l, NULL, NULL));
	SHOW(send(s, "x", 1, 0));
	SHOW(recv(c, buf, 10, 0));
}

static void arguments(void)
{
	struct sockaddr_in a = t_addr(9);
	struct sockaddr_in6 a6 = t_addr6(9);
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	SHOW(connect(s, (struct sockaddr *)&a, 4));
	SHOW(connect(s, (struct sockaddr *)&a6, sizeof(a6)));
	SHOW(connect(s, (void *)8, sizeof(a)));
	SHOW(connect(999, (struct sockaddr *)&a, sizeof(a)));
	a.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)) < 0);
	a.sin_family = AF_UNSPEC;
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	int f = open("/dev/null", O_RDWR);
	SHOW(connect(f, (struct sockaddr *)&a, sizeof(a)));
	s = socket(AF_INET6, SOCK_STREAM, 0);
	a = t_addr(9);
	SHOW(connect(s, (struct sockaddr *)&a, 16));
}

static void any_address(void)
{
	int l = t_listen6(3), s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t_port(l))};
	socklen_t len = sizeof(a);

	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(getpeername(s, (struct sockaddr *)&a, &len));
	t_say("%s", inet_ntoa(a.sin_addr));
	SHOW(accept(l, NULL, NULL) >= 0);
}

static void bound(void)
{
	struct sockaddr_in a = t_addr(0);
	socklen_t len = sizeof(a);
	int l = t_listen(3), s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), port;

	SHOW(bind(s, (struct sockaddr *)&a, sizeof(a)));
	port = t_port(s);
	a = t_addr(t_port(l));
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(t_port(s) == port);
	int c = (int)MUST(accept(l, (struct sockaddr *)&a, &len));
	SHOW(ntohs(a.sin_port) == port);
	SHOW(send(c, "x", 1, 0));
	SHOW(recv(s, buf, 10, 0));
}

static void self(void)
{
	struct sockaddr_in a = t_addr(0);
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	SHOW(bind(s, (struct sockaddr *)&a, sizeof(a)));
	a = t_addr(t_port(s));
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(send(s, "me", 2, 0));
	SHOW(recv(s, buf, 10, 0));
}

static void disconnect(void)
{
	struct sockaddr_in a = {.sin_family = AF_UNSPEC};
	int l = t_listen(3), s = t_connect(t_port(l)), c = accept(l, NULL, NULL);

	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	t_say("peer %s", t_poll(c, POLLIN | POLLRDHUP, 1000));
	SHOW(recv(c, buf, 10, 0));
	SHOW(getpeername(s, (struct sockaddr *)&a, &(socklen_t){sizeof(a)}));
	a = t_addr(t_port(l));
	SHOW(connect(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(accept(l, NULL, NULL) >= 0);
}

static void other_families(void)
{
	char b2[10];
	int sp[2], u = socket(AF_UNIX, SOCK_STREAM, 0), n = socket(AF_NETLINK, SOCK_RAW, 0);

	SHOW(u >= 0);
	SHOW(n >= 0);
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, sp));
	SHOW(send(sp[0], "u", 1, 0));
	SHOW(recv(sp[1], b2, 10, 0));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, sp));
}

static void twenty_at_once(void)
{
	int l = t_listen(64), s[20], good = 0;
	struct sockaddr_in a = t_addr(t_port(l));

	for (int i = 0; i < 20; i++) {
		s[i] = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		connect(s[i], (struct sockaddr *)&a, sizeof(a));
	}
	for (int i = 0; i < 20; i++) {
		struct pollfd p = {s[i], POLLOUT, 0};

		good += poll(&p, 1, 2000) == 1 && so_error(s[i]) == 0;
	}
	t_say("%d", good);
	for (int i = 0; i < 20; i++)
		good += accept(l, NULL, NULL) >= 0;
	t_say("%d", good);
}

/* After an attempt that nobody waited for has failed the socket has no port, and may be bound; but it is no
 * socket that never tried. */
static void bound_after_failure(void)
{
	struct sockaddr_in a = t_addr(dead_port()), any = t_addr(0), own;
	socklen_t len = sizeof(own);

	for (int asked = 0; asked < 2; asked++) {
		int l = t_listen(3), s = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), c, port, r;

		connect(s, (struct sockaddr *)&a, sizeof(a));
		t_say("%s", t_poll(s, POLLIN | POLLOUT | POLLRDHUP, 1000));
		if (asked)
			t_say("SO_ERROR %s", strerrorname_np(so_error(s)));
		SHOW(bind(s, (struct sockaddr *)&any, sizeof(any)));
		SHOW(bind(s, (struct sockaddr *)&any, sizeof(any)));
		port = t_port(s);
		SHOW(port > 0);
		SHOW(listen(s, 3));
		t_say("%s", t_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0));
		any.sin_port = htons((uint16_t)t_port(l));
		SHOW(connect(s, (struct sockaddr *)&any, sizeof(any)));
		r = connect(s, (struct sockaddr *)&any, sizeof(any));
		SHOW(r == 0 || errno == EINPROGRESS);
		t_say("%s", t_poll(s, POLLOUT, 1000));
		c = (int)MUST(accept(l, (struct sockaddr *)&own, &len));
		SHOW(ntohs(own.sin_port) == port);
		SHOW(write(s, "abc", 3));
		SHOW(t_read_all(c, buf, 3));
		any.sin_port = 0;
	}
}

/* One that was bound to a port before keeps it. */
static void bound_before_failure(void)
{
	struct sockaddr_in a = t_addr(dead_port()), any = t_addr(0), own = t_addr(20123);
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	MUST(bind(s, (struct sockaddr *)&own, sizeof(own)));
	connect(s, (struct sockaddr *)&a, sizeof(a));
	t_poll(s, POLLOUT, 1000);
	SHOW(bind(s, (struct sockaddr *)&any, sizeof(any)));
	SHOW(listen(s, 3));
}

/* SO_SNDTIMEO bounds a blocking connect; the next one waits for the same handshake. */
static void patience(void)
{
	struct sockaddr_in a = t_addr(t_port(t_listen(0)));
	struct timeval tv = {.tv_usec = 200000};

	for (int i = 0; i < 5; i++) {
		int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

		MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			continue;
		t_say("%s", strerrorname_np(errno));
		SHOW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
		break;
	}
}

/* Back to an unconnected socket, with an error. */
static void shut_while_opening(void)
{
	struct sockaddr_in a = t_addr(t_port(t_listen(0)));

	for (int i = 0; i < 5; i++) {
		int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || poll(&p, 1, 200) > 0)
			continue;
		SHOW(shutdown(fd, SHUT_RD));
		t_say("poll %s", t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
		SHOW(recv(fd, &p, 1, 0));
		SHOW(recv(fd, &p, 1, 0));
		SHOW(shutdown(fd, SHUT_RD));
		break;
	}
}

T_MAIN(T_CASE(refused_blocking), T_CASE(refused_nonblocking), T_CASE(progress), T_CASE(arguments),
       T_CASE(any_address), T_CASE(bound), T_CASE(self), T_CASE(disconnect),
       T_CASE(other_families), T_CASE(twenty_at_once), T_CASE(patience),
       T_CASE(bound_after_failure), T_CASE(bound_before_failure), T_CASE(shut_while_opening))
