/*
 * listeners.c - posix.md 40, 41, 44, 70-73, 69: listening and accepting
 */
#include "t.h"

static char buf[4096];

static void names(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = t_listen(5), c = t_connect(t_port(l)), s;

	s = (int)MUST(accept(l, (struct sockaddr *)&a, &len));
	t_say("%u %d %s port %d", len, a.sin_family, inet_ntoa(a.sin_addr),
	      ntohs(a.sin_port) == t_port(c));
	SHOW(getsockname(s, (struct sockaddr *)&a, &len));
	t_say("%s port %d", inet_ntoa(a.sin_addr), ntohs(a.sin_port) == t_port(l));
	SHOW(getpeername(c, (struct sockaddr *)&a, &len));
	t_say("%s port %d", inet_ntoa(a.sin_addr), ntohs(a.sin_port) == t_port(l));
	len = 4;
	memset(&a, 0xee, sizeof(a));
	SHOW(getpeername(s, (struct sockaddr *)&a, &len));
	t_say("%u %d %x", len, a.sin_family, a.sin_addr.s_addr);
	len = 0;
	SHOW(getpeername(s, (struct sockaddr *)&a, &len));
	t_say("%u", len);
	len = (socklen_t)-1;
	SHOW(getpeername(s, (struct sockaddr *)&a, &len));
}

static void dual_stack(void)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);
	char text[64];
	int l = t_listen6(5), c = t_connect(t_port(l)), s;

	s = (int)MUST(accept(l, (struct sockaddr *)&a, &len));
	t_say("%u %s", len, inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof(text)));
	getsockname(s, (struct sockaddr *)&a, &len);
	t_say("%u %s", len, inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof(text)));
	SHOW(send(c, "v4", 2, 0));
	SHOW(recv(s, buf, 10, 0));
	struct sockaddr_in6 to = t_addr6(t_port(l));
	int c6 = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	SHOW(connect(c6, (struct sockaddr *)&to, sizeof(to)));
	s = (int)MUST(accept(l, (struct sockaddr *)&a, &len));
	t_say("%s", inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof(text)));
	SHOW(send(s, "v6", 2, 0));
	SHOW(recv(c6, buf, 10, 0));
	int v, one = 1;
	len = sizeof(v);
	SHOW(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &len));
	t_say("%d", v == AF_INET6);
	int l6 = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	SHOW(setsockopt(l6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	SHOW(bind(l6, (struct sockaddr *)&any, sizeof(any)));
	SHOW(listen(l6, 5));
	int c4 = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to4 = t_addr(t_port(l6));
	SHOW(connect(c4, (struct sockaddr *)&to4, sizeof(to4)));
}

static int try_connect(int port, int ms)
{
	struct sockaddr_in a = t_addr(port);
	struct pollfd p = {.events = POLLOUT};
	int err = 0;
	socklen_t len = sizeof(err);

	p.fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if (connect(p.fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return 1;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, ms) == 0)
		return 0;
	getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err ? -err : 1;
}

static void backlog(void)
{
	int l = t_listen(2), n = 0, port = t_port(l);

	for (int i = 0; i < 6; i++)
		n += try_connect(port, 100) == 1;
	t_say("connected %d", n);
	t_nonblock(l, true);
	n = 0;
	for (int i = 0; i < 3; i++)
		n += accept(l, NULL, NULL) >= 0;
	t_say("accepted %d", n);
	for (int i = 0; i < 40 && n < 6; i++) {
		t_sleep_ms(100);
		while (accept(l, NULL, NULL) >= 0)
			n++;
	}
	t_say("accepted in the end %d", n);
	SHOW(listen(l, 10));
	SHOW(listen(l, -1));
	SHOW(listen(l, INT32_MAX));
}

static void refused(void)
{
	int l = t_listen(2), port = t_port(l), c = t_connect(port), q = t_connect(port);

	int s = accept(l, NULL, NULL);
	close(l);
	t_say("queued: poll %s", t_poll(q, POLLIN | POLLRDHUP, 1000));
	SHOW(recv(q, buf, 10, 0));
	SHOW(try_connect(port, 1000) == -ECONNREFUSED);
	SHOW(send(c, "alive", 5, 0));
	SHOW(recv(s, buf, 10, 0));
}

static void again(void)
{
	struct sockaddr_in a = t_addr(0);
	int l = t_listen(2), port = t_port(l), c = t_connect(port), s = accept(l, NULL, NULL), one = 1;

	close(l);
	int l2 = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	a = t_addr(port);
	setsockopt(l2, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	SHOW(bind(l2, (struct sockaddr *)&a, sizeof(a)));
	SHOW(listen(l2, 5));
	int c2 = t_connect(port);
	SHOW(accept(l2, NULL, NULL) >= 0);
	SHOW(send(c, "old", 3, 0));
	SHOW(recv(s, buf, 10, 0));
	int l3 = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(bind(l3, (struct sockaddr *)&a, sizeof(a)));
	close(c2);
	close(l2);
	SHOW(bind(l3, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(l3, (struct sockaddr *)&a, sizeof(a)));
}

static void unbound(void)
{
	int l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	SHOW(listen(l, 3));
	SHOW(t_port(l) > 0);
	int c = t_connect(t_port(l));
	SHOW(accept(l, NULL, NULL) >= 0);
	close(c);
	int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	SHOW(listen(u, 3));
	SHOW(accept(u, NULL, NULL));
	SHOW(accept(999, NULL, NULL));
	SHOW(accept4(l, NULL, NULL, 0x70000));
	SHOW(accept(STDIN_FILENO, NULL, NULL) < 0);
}

static void reset_in_queue(void)
{
	struct linger lg = {1, 0};
	struct sockaddr_in a, own;
	socklen_t len = sizeof(own);
	int l = t_listen(5), c = t_connect(t_port(l)), s, err;

	setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	MUST(getsockname(c, (struct sockaddr *)&own, &len));
	len = sizeof(a);
	t_sleep_ms(20);
	close(c);
	t_sleep_ms(50);
	s = accept(l, (struct sockaddr *)&a, &len);
	SHOW(s >= 0);
	SHOW(len == sizeof(a) && a.sin_port == own.sin_port && a.sin_addr.s_addr == own.sin_addr.s_addr);
	t_say("%s", t_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0));
	SHOW(getpeername(s, (struct sockaddr *)&a, &len));
	len = sizeof(err);
	SHOW(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len));
	t_say("%s", strerrorname_np(err));
	SHOW(recv(s, buf, 10, 0));
}

static void inherit(void)
{
	int l = t_listen(5), one = 1, v = 0;
	struct linger lg = {1, 3};
	socklen_t len = sizeof(v);

	setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(l, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	v = 77;
	setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v));
	t_nonblock(l, true);
	int c = t_connect(t_port(l));
	t_poll(l, POLLIN, 1000);
	int s = (int)MUST(accept(l, NULL, NULL));
	SHOW(fcntl(s, F_GETFL) & O_NONBLOCK ? 1 : 0);
	getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &len);
	t_say("nodelay %d", v);
	getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, &len);
	t_say("keepalive %d", v);
	getsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len);
	t_say("keepidle %d", v);
	len = sizeof(lg);
	getsockopt(s, SOL_SOCKET, SO_LINGER, &lg, &len);
	t_say("linger %d %d", lg.l_onoff, lg.l_linger);
	close(s);
	close(c);
	c = t_connect(t_port(l));
	t_poll(l, POLLIN, 1000);
	s = (int)MUST(accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	SHOW(fcntl(s, F_GETFL) & O_NONBLOCK ? 1 : 0);
	SHOW(fcntl(s, F_GETFD));
}

static void deferred(void)
{
	int l = t_listen(5), v = 5;
	socklen_t len = sizeof(v);

	SHOW(setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &v, sizeof(v)));
	SHOW(getsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &v, &len));
	t_say("%d", v);
	int c = t_connect(t_port(l));
	t_say("%s", t_poll(l, POLLIN, 100));
	send(c, "now", 3, 0);
	t_say("%s", t_poll(l, POLLIN, 1000));
	int s = (int)MUST(accept(l, NULL, NULL));
	SHOW(recv(s, buf, 10, MSG_DONTWAIT));
}

static void shut_listener(void)
{
	int l = t_listen(5), port = t_port(l);

	SHOW(shutdown(l, SHUT_WR));
	SHOW(try_connect(port, 1000));
	SHOW(accept(l, NULL, NULL) >= 0);
	SHOW(shutdown(l, SHUT_RD));
	t_say("%s", t_poll(l, POLLIN | POLLOUT, 0));
	SHOW(accept(l, NULL, NULL));
	SHOW(try_connect(port, 1000) == -ECONNREFUSED);
	SHOW(listen(l, 5));
	SHOW(try_connect(t_port(l), 1000));
}

static void binds(void)
{
	struct sockaddr_in a = t_addr(0);
	struct sockaddr_in6 a6 = t_addr6(0);
	int s = socket(AF_INET, SOCK_STREAM, 0), s6 = socket(AF_INET6, SOCK_STREAM, 0);

	SHOW(socket(AF_INET, 77, 0));
	SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	SHOW(socket(AF_INET, SOCK_STREAM | 0x100000, 0));
	SHOW(socket(99, SOCK_STREAM, 0));
	SHOW(bind(s, (struct sockaddr *)&a, 4));
	SHOW(bind(s, (struct sockaddr *)&a6, sizeof(a6)));
	a.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
	SHOW(bind(s, (struct sockaddr *)&a, sizeof(a)));
	a = t_addr(0);
	SHOW(bind(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(s, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(s6, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(s6, (struct sockaddr *)&a6, sizeof(a6)));
	SHOW(bind(999, (struct sockaddr *)&a, sizeof(a)));
	int l = t_listen(3), u = socket(AF_INET, SOCK_DGRAM, 0);
	a = t_addr(t_port(l));
	SHOW(bind(u, (struct sockaddr *)&a, sizeof(a)));
}

static void *accepter(void *arg)
{
	return (void *)(long)accept(*(int *)arg, NULL, NULL);
}

static void blocked_accept(void)
{
	int l = t_listen(5), port = t_port(l);
	struct timeval tv = {0, 100000};
	pthread_t th;
	void *r;

	pthread_create(&th, NULL, accepter, &l);
	t_sleep_ms(50);
	int c = t_connect(port);
	pthread_join(th, &r);
	SHOW((long)r >= 0);
	pthread_create(&th, NULL, accepter, &l);
	t_sleep_ms(50);
	shutdown(l, SHUT_RD);
	pthread_join(th, &r);
	t_say("accept gave %ld", (long)r);
	close(c);
	l = t_listen(5);
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	int64_t t0 = t_now_ms();
	SHOW(accept(l, NULL, NULL));
	t_say("%s", t_about(t_now_ms() - t0, 100));
}

/* The worker's part: echoes on the first connection, then waits for other things than sockets. */
static void *works(void *arg)
{
	const int *fd = arg; /* the connection, a pipe */
	char c;

	while (read(fd[0], &c, 1) == 1)
		MUST(write(fd[0], &c, 1));
	MUST(read(fd[1], &c, 1));
	return NULL;
}

static void asks(int port)
{
	int s = t_connect(port);
	char c = 'x';

	for (int i = 0; i < 400; i++) {
		MUST(write(s, &c, 1));
		MUST(t_read_all(s, &c, 1));
		usleep(100);
	}
	close(t_connect(port)); /* while the worker waits for more */
	close(s);
	t_sleep_ms(20);
	for (int i = 0; i < 5; i++) {
		close(t_connect(port)); /* and while it does not */
		t_sleep_ms(5);
	}
	_exit(0);
}

/* A thread that only accepts, beside one that all the text is for. */
static void beside_a_worker(void)
{
	int l = t_listen(8), p[2], fd[2];
	pthread_t th;
	pid_t pid;

	MUST(pipe(p));
	pid = (pid_t)MUST(fork());
	if (!pid)
		asks(t_port(l));
	fd[0] = (int)MUST(accept(l, NULL, NULL));
	fd[1] = p[0];
	MUST(-pthread_create(&th, NULL, works, fd));
	for (int i = 0; i < 6; i++)
		close((int)MUST(accept(l, NULL, NULL)));
	SHOW(waitpid(pid, NULL, 0) == pid);
	MUST(write(p[1], "", 1));
	SHOW(pthread_join(th, NULL));
}

static void many(void)
{
	static int c[300], s[300];
	int l = t_listen(512), good = 0;

	for (int i = 0; i < 300; i++)
		c[i] = t_connect(t_port(l));
	for (int i = 0; i < 300; i++)
		s[i] = (int)MUST(accept(l, NULL, NULL));
	for (int i = 0; i < 300; i++)
		MUST(send(c[i], &i, sizeof(i), 0));
	for (int i = 0; i < 300; i++) {
		int v = -1;

		MUST(t_read_all(s[i], &v, sizeof(v)));
		good += v >= 0 && v < 300;
		MUST(send(s[i], &v, sizeof(v), 0));
	}
	for (int i = 0; i < 300; i++) {
		int v = -1;

		MUST(t_read_all(c[i], &v, sizeof(v)));
		good += v == i;
	}
	t_say("%d", good);
}

/* One port, a listener for each address, no SO_REUSEADDR. */
static void same_port_elsewhere(void)
{
	struct sockaddr_in a = t_addr(0);
	int l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), other;

	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(l, 3));
	a.sin_port = htons((uint16_t)t_port(l));
	for (int i = 1; i < 4; i++) {
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)i);
		other = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		SHOW(bind(other, (struct sockaddr *)&a, sizeof(a)));
		close(other);
	}
	a.sin_addr.s_addr = htonl(INADDR_ANY);
	SHOW(bind((int)MUST(socket(AF_INET, SOCK_STREAM, 0)), (struct sockaddr *)&a, sizeof(a)));
}

static void bind_again(const char *what, int port, bool reuse)
{
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), on = reuse;
	struct sockaddr_in a = t_addr(port);
	int r;

	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	r = bind(fd, (struct sockaddr *)&a, sizeof(a));
	t_say("%s, with%s: %s", what, reuse ? "" : "out", r < 0 ? strerror(errno) : "bound");
	if (r == 0)
		SHOW(listen(fd, 1));
	close(fd);
}

/* SO_REUSEADDR has to be set at both: the one who binds, and the connections that have the port. */
static void reuse_of_both(void)
{
	int off = 0, l, port, c, s;

	for (int i = 0; i < 3; i++) {
		l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &i, sizeof(i)));
		MUST(listen(l, 3));
		port = t_port(l);
		c = t_connect(port);
		s = (int)MUST(accept(l, NULL, NULL));
		if (i == 2)
			MUST(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off)));
		bind_again("beside the listener", port, true);
		close(l);
		bind_again("beside the connection", port, true);
		bind_again("beside the connection", port, false);
		bind_again("beside the client", t_port(c), true);
		bind_again("beside the client", t_port(c), false);
		MUST(setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &port, sizeof(port)));
		bind_again("beside the client that has it", t_port(c), true);
		/* No TIME_WAIT is left. */
		MUST(setsockopt(c, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
		close(c);
		t_say("%s", t_poll(s, POLLIN, 5000));
		close(s);
		bind_again("alone", port, false);
	}
}

T_MAIN(T_CASE(names), T_CASE(dual_stack), T_CASE(backlog), T_CASE(refused), T_CASE(again),
       T_CASE(unbound), T_CASE(reset_in_queue), T_CASE(inherit), T_CASE(deferred),
       T_CASE(shut_listener), T_CASE(binds), T_CASE(blocked_accept), T_CASE(beside_a_worker), T_CASE(many),
       T_CASE(same_port_elsewhere),
       T_CASE(reuse_of_both))
