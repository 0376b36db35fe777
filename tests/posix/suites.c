/*
 * suites.c - behaviour that the test suites of other programs asked for and lane lacked
 *
 * Each case names the suite whose test failed on lane first (docs/compat.md).
 */
#include "t.h"

#include <dlfcn.h>

static char buf[1 << 16], text[1000];

/* libuv, tcp_try_write_error: a loop that only writes learns that its peer has closed. */
static void write_learns_of_reset(void)
{
	int fd[2], n = 0;
	ssize_t r;

	t_pair(fd);
	MUST(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	close(fd[1]);
	do
		r = send(fd[0], "meow", 4, MSG_NOSIGNAL);
	while (r > 0 && n++ < 10000000);
	t_say("%s", r < 0 && (errno == EPIPE || errno == ECONNRESET) ? "told" : strerror(errno));
	close(fd[0]);
}

/* The same of room: it comes while the loop writes, as the reader is another thread. */
static void *reader(void *arg)
{
	size_t total = 0;
	ssize_t r;

	while ((r = read(*(int *)arg, buf, sizeof(buf))) > 0)
		total += (size_t)r;
	return (void *)total;
}

static void write_finds_room(void)
{
	size_t sent = 0;
	void *got;
	pthread_t th;
	int fd[2];

	t_pair(fd);
	MUST(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	pthread_create(&th, NULL, reader, &fd[1]);
	while (sent < (16 << 20)) {
		ssize_t r = write(fd[0], text, 1000);

		if (r > 0)
			sent += (size_t)r;
		else if (errno != EAGAIN)
			t_die("write");
	}
	close(fd[0]);
	pthread_join(th, &got);
	t_say("%s", (size_t)got == sent ? "all" : "not all");
	close(fd[1]);
}

static void *connector(void *arg)
{
	t_sleep_ms(300);
	return (void *)(intptr_t)t_connect(*(int *)arg);
}

/* haproxy, balance-rr: a child that was exec'd with a listener does not make others' accept() hang. */
static void accept_beside_exec(void)
{
	int l = t_listen(5), port = t_port(l);
	pid_t pid = fork();
	pthread_t th;
	void *fd;

	if (pid == 0) {
		execlp("sleep", "sleep", "100", NULL);
		_exit(1);
	}
	t_sleep_ms(300);
	t_say("blocking %d", !(fcntl(l, F_GETFL) & O_NONBLOCK));
	pthread_create(&th, NULL, connector, &port);
	alarm(5);
	t_say("%s", accept(l, NULL, NULL) >= 0 ? "accepted" : strerror(errno));
	pthread_join(th, &fd);
	t_say("%s", (intptr_t)fd >= 0 ? "connected" : "not connected");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Tcl, socket-12.2: who ends at once after a fork ends its connections, though the child execs. */
static void exit_beside_exec(void)
{
	int l = t_listen(5), port = t_port(l), fd;
	struct timeval tv = {.tv_sec = 3};
	ssize_t r;
	pid_t pid;

	if (fork() == 0) {
		fd = t_connect(port);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		pid = fork();
		if (pid == 0) {
			close(l);
			execlp("sleep", "sleep", "4", NULL);
		}
		_exit(write(fd, "hello", 5) != 5);
	}
	fd = MUST(accept(l, NULL, NULL));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	while ((r = read(fd, buf, sizeof(buf))) > 0)
		;
	t_say("%s", r == 0 ? "end" : strerror(errno));
}

/* apr, testpoll: what fits is told at once, also beside a quiet socket. */
static void epoll_tells_all(void)
{
	int ep = MUST(epoll_create1(0)), fd[2], pipes[4][2];
	struct epoll_event ev = {.events = EPOLLIN}, got[5];

	t_pair(fd);
	ev.data.fd = fd[0];
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &ev));
	SHOW(epoll_wait(ep, got, 5, 0));
	for (int i = 0; i < 4; i++) {
		MUST(pipe(pipes[i]));
		ev.data.fd = pipes[i][0];
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[i][0], &ev));
		MUST(write(pipes[i][1], "x", 1));
	}
	SHOW(epoll_wait(ep, got, 5, 1000));
	MUST(write(fd[1], "x", 1));
	t_sleep_ms(50);
	SHOW(epoll_wait(ep, got, 5, 1000));
}

/* A matrix of calls and states: vectors of nothing, lengths that are negative. */
static void nothing_written(void)
{
	struct iovec none[2] = {{text, 0}, {NULL, 0}};
	int fd[2], udp[2];

	signal(SIGPIPE, SIG_IGN);
	t_pair(fd);
	SHOW(write(fd[0], text, (size_t)-1));
	SHOW(read(fd[0], text, (size_t)-1));
	MUST(shutdown(fd[0], SHUT_WR));
	SHOW(writev(fd[0], none, 2));
	SHOW(writev(fd[0], NULL, 0));
	SHOW(write(fd[0], text, 0));
	t_udp_pair(udp);
	SHOW(writev(udp[0], none, 2));
	SHOW(recv(udp[1], buf, 9, MSG_DONTWAIT));
	SHOW(write(udp[0], text, 0));
	SHOW(recv(udp[1], buf, 9, 0));
}

/* The same: datagrams know nothing urgent. */
static void urgent_datagram(void)
{
	int fd[2];

	t_udp_pair(fd);
	SHOW(send(fd[0], "hello", 5, 0));
	t_sleep_ms(20);
	SHOW(recv(fd[1], buf, sizeof(buf), MSG_OOB));
	SHOW(recv(t_listen(1), buf, sizeof(buf), MSG_OOB));
}

/* Calls with bad pointers: NULL is one of them, and takes nothing. */
static void null_takes_nothing(void)
{
	int fd[2];

	t_pair(fd);
	SHOW(send(fd[0], "hello", 5, 0));
	t_poll(fd[1], POLLIN, 1000);
	SHOW(recv(fd[1], NULL, 5, 0));
	SHOW(recv(fd[1], NULL, 5, MSG_PEEK));
	SHOW(read(fd[1], NULL, 5));
	SHOW(recv(fd[1], NULL, 1, MSG_TRUNC));
	SHOW(recv(fd[1], buf, 5, MSG_DONTWAIT));
}

static volatile sig_atomic_t raised;

static void on_signal(int sig)
{
	raised = sig;
}

static void show_signal(const char *what)
{
	for (int i = 0; i < 500 && !raised; i++)
		t_sleep_ms(10);
	t_say("%s: %s", what, raised ? strsignal(raised) : "no signal");
	raised = 0;
}

/* The matrix: sockets that asked for signals raise them. */
static void signals_asked_for(void)
{
	int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), c, d;
	struct sockaddr_in a = t_addr(0), b = t_addr(0);

	signal(SIGIO, on_signal);
	signal(SIGURG, on_signal);
	MUST(fcntl(u, F_SETOWN, getpid()));
	MUST(fcntl(u, F_SETFL, O_ASYNC));
	MUST(bind(u, (struct sockaddr *)&a, sizeof(a)));
	a.sin_port = htons((uint16_t)t_port(u));
	raised = 0;
	MUST(sendto(u, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	show_signal("datagram");
	MUST(fcntl(l, F_SETOWN, getpid()));
	MUST(fcntl(l, F_SETFL, O_ASYNC));
	MUST(bind(l, (struct sockaddr *)&b, sizeof(b)));
	MUST(listen(l, 3));
	b.sin_port = htons((uint16_t)t_port(l));
	c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(fcntl(c, F_SETOWN, getpid()));
	raised = 0;
	MUST(connect(c, (struct sockaddr *)&b, sizeof(b)));
	show_signal("connection");
	d = (int)MUST(accept(l, NULL, NULL));
	MUST(send(d, "u", 1, MSG_OOB));
	show_signal("urgent");
}

/* redis' suite, by Tcl, whose clients bind to port 0: no port is given that cannot connect. */
static void bound_to_any_port(void)
{
	int l = t_listen(100), on = 1, good = 0, c, s;
	struct sockaddr_in any = t_addr(0), to = t_addr(t_port(l));

	for (int i = 0; i < 1500; i++) {
		c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
		MUST(bind(c, (struct sockaddr *)&any, sizeof(any)));
		if (connect(c, (struct sockaddr *)&to, sizeof(to)) < 0) {
			SHOW(-1);
			continue;
		}
		good++;
		s = (int)MUST(accept(l, NULL, NULL));
		close(c); /* first: TIME_WAIT is its */
		MUST(read(s, buf, 1));
		close(s);
	}
	SHOW(good);
}

/* Own matrix: what splice() and sendfile() say of sockets and pipes. */
static void splice_edges(void)
{
	struct timespec soon = {.tv_nsec = 100000000};
	int fd[2], p[2];
	off_t at = 0;

	signal(SIGPIPE, SIG_IGN);
	t_pair(fd);
	MUST(pipe(p));
	SHOW(splice(fd[1], &at, p[1], NULL, 10, 0));
	SHOW(splice(fd[1], NULL, p[1], &at, 10, 0));
	SHOW(splice(p[0], NULL, fd[0], &at, 10, 0));
	SHOW(splice(p[0], &at, fd[0], NULL, 10, 0));
	SHOW(splice(fd[1], NULL, p[1], NULL, 10, 0x100));
	SHOW(splice(p[1], NULL, fd[0], NULL, 10, 0));
	SHOW(splice(p[1], NULL, fd[0], NULL, 10, SPLICE_F_NONBLOCK));
	SHOW(splice(p[1], NULL, fd[0], NULL, 0, 0));
	SHOW(splice(fd[1], NULL, p[0], NULL, 10, 0));
	SHOW(splice(fd[1], NULL, p[0], NULL, 10, SPLICE_F_NONBLOCK));
	SHOW(sendfile(p[0], fd[1], NULL, 3));
	MUST(write(fd[0], "hello", 5));
	SHOW(sendfile(p[1], fd[1], NULL, 3));
	SHOW(sendfile(p[1], fd[1], &at, 3));
	SHOW(read(p[0], buf, 10));
	SHOW(read(fd[1], buf, 10));
	if (fork() == 0) {
		nanosleep(&soon, NULL);
		_exit(write(fd[0], "later", 5) != 5);
	}
	/* The flag is the pipe's: a socket that may block does. */
	SHOW(splice(fd[1], NULL, p[1], NULL, 10, SPLICE_F_NONBLOCK));
	wait(NULL);
	MUST(shutdown(fd[0], SHUT_WR));
	close(p[0]);
	SHOW(splice(fd[1], NULL, p[1], NULL, 10, 0));
}

/* Sockets have it from Linux 6.5 on. */
static bool knows_nowait(void)
{
	struct iovec v = {buf, 1};
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	return preadv2(pair[0], &v, 1, -1, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP;
}

static void vectors_with_flags(void)
{
	struct iovec v[2] = {{buf, 10}, {(void *)1, 0x7fffffffffffffff}};
	int fd[2];

	t_pair(fd);
	SHOW(pwritev2(fd[0], v, 1, -1, RWF_APPEND));
	SHOW(pwritev2(fd[0], v, 1, -1, 0x4000));
	SHOW(t_read_all(fd[1], buf, 10));
	if (knows_nowait()) {
		SHOW(preadv2(fd[1], v, 1, -1, RWF_NOWAIT));
		SHOW(pwritev2(fd[0], v, 1, -1, RWF_NOWAIT));
		SHOW(t_read_all(fd[1], buf, 10));
	}
	SHOW(preadv2(fd[1], v, 1, 0, RWF_NOWAIT));
	/* Nothing is sent of a vector that ends where no memory is. */
	SHOW(writev(fd[0], v, 2));
	SHOW(recv(fd[1], buf, 20, MSG_DONTWAIT));
}

static void streams_do_not_seek(void)
{
	int fd[2], at = 7;
	FILE *f;

	t_pair(fd);
	f = fdopen(fd[0], "r+");
	SHOW(fseek(f, 0, SEEK_SET));
	MUST(write(fd[1], "two words", 9));
	SHOW(fgetc(f));
	SHOW(fflush(f));
	SHOW(fclose(f));
	SHOW(ioctl(t_listen(1), SIOCATMARK, &at));
	SHOW(at);
}

#define INQ 36 /* TCP_INQ, TCP_CM_INQ: missing in older headers */

static void show_inq(int fd, size_t len)
{
	char control[64];
	struct iovec v = {buf, len};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	SHOW(recvmsg(fd, &m, 0));
	c = CMSG_FIRSTHDR(&m);
	if (c)
		t_say("%d %d: %d", c->cmsg_level, c->cmsg_type, *(int *)CMSG_DATA(c));
}

/* Where control messages do not fit or cannot be written, the bytes come all the same. */
static void left_to_read_nowhere(void)
{
	static const size_t rooms[] = {0, 8, 15, 16, 18, 20, 21, 23, 24};
	_Alignas(struct cmsghdr) char control[64];
	struct iovec v = {buf, 2};
	struct msghdr m;
	int fd[2], on = 1;
	size_t i;

	t_pair(fd);
	MUST(setsockopt(fd[1], IPPROTO_TCP, INQ, &on, sizeof(on)));
	MUST(write(fd[0], "0123456789abcdefghijklmnopqrstuvwxyz", 36));
	t_poll(fd[1], POLLIN, 1000);
	for (i = 0; i < sizeof(rooms) / sizeof(*rooms) + 2; i++) {
		size_t room = i < sizeof(rooms) / sizeof(*rooms) ? rooms[i] : sizeof(control);

		memset(control, 0xee, sizeof(control));
		m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
		if (room == sizeof(control))
			m.msg_control = i & 1 ? NULL : (void *)8;
		SHOW(recvmsg(fd[1], &m, 0));
		t_say("room %zu: %.2s, length %zu, %s%s", room, buf, m.msg_controllen,
		      m.msg_flags & MSG_CTRUNC ? "cut" : "whole", m.msg_flags & ~MSG_CTRUNC ? ", more" : "");
		for (size_t k = 0; m.msg_control == control && k < room && k < CMSG_LEN(sizeof(int)); k++)
			t_say("%02x", (uint8_t)control[k]);
	}
	SHOW(recv(fd[1], buf, 20, 0));
}

static void left_to_read(void)
{
	int fd[2], on = 1, two = 2, l;
	socklen_t len = sizeof(on);

	t_pair(fd);
	SHOW(setsockopt(fd[1], IPPROTO_TCP, INQ, &two, sizeof(two)));
	SHOW(setsockopt(fd[1], IPPROTO_TCP, INQ, &on, sizeof(on)));
	on = 0;
	SHOW(getsockopt(fd[1], IPPROTO_TCP, INQ, &on, &len));
	SHOW(on);
	MUST(write(fd[0], "hello world", 11));
	t_poll(fd[1], POLLIN, 1000);
	show_inq(fd[1], 5);
	show_inq(fd[1], 6);
	MUST(shutdown(fd[0], SHUT_WR));
	show_inq(fd[1], 6);
	l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(setsockopt(l, IPPROTO_TCP, INQ, &on, sizeof(on)));
	MUST(listen(l, 3));
	fd[0] = t_connect(t_port(l));
	fd[1] = (int)MUST(accept(l, NULL, NULL));
	MUST(write(fd[0], "hello", 5));
	t_poll(fd[1], POLLIN, 1000);
	show_inq(fd[1], 4);
}

static void fast_open_late(void)
{
	int fd[2], c, l = t_listen(3);
	struct sockaddr_in a = t_addr(t_port(l));

	t_pair(fd);
	SHOW(send(fd[0], "hello", 5, MSG_FASTOPEN));
	SHOW(send(fd[1], "hello", 5, MSG_FASTOPEN));
	c = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	connect(c, (struct sockaddr *)&a, sizeof(a));
	t_poll(c, POLLOUT, 1000);
	SHOW(sendto(c, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a)));
}

/* A socket whose connect failed, or was undone, may serve. */
static void serves_after_connect(void)
{
	int l = t_listen(1), c, fd[2];
	struct sockaddr_in dead = t_addr(t_port(l)), any = t_addr(0);
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	close(l);
	for (int i = 0; i < 2; i++) {
		c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		SHOW(connect(c, (struct sockaddr *)&dead, sizeof(dead)));
		if (i)
			SHOW(bind(c, (struct sockaddr *)&any, sizeof(any)));
		SHOW(listen(c, 3));
		fd[0] = t_connect(t_port(c));
		fd[1] = (int)MUST(accept(c, NULL, NULL));
		MUST(write(fd[0], "hello", 5));
		SHOW(read(fd[1], buf, 9));
	}
	t_nonblock(fd[0], true);
	SHOW(connect(fd[0], &none, sizeof(none)));
	SHOW(bind(fd[0], (struct sockaddr *)&any, sizeof(any)));
	SHOW(listen(fd[0], 4));
	SHOW(accept(fd[0], NULL, NULL));
	MUST(t_connect(t_port(fd[0])));
	t_poll(fd[0], POLLIN, 1000);
	SHOW(accept(fd[0], NULL, NULL) >= 0);
}

/* TCP_LINGER2 below 0: no FIN_WAIT_2 for who has closed. */
static void no_fin_wait_2(void)
{
	int fd[2], off = -1;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		t_pair(fd);
		SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_LINGER2, &off, sizeof(off)));
		if (i) {
			MUST(shutdown(fd[0], SHUT_WR));
			SHOW(read(fd[1], buf, 9));
			t_sleep_ms(200);
		}
		close(fd[0]);
		t_sleep_ms(200);
		t_say("%s", t_poll(fd[1], POLLIN, 2000));
		SHOW(write(fd[1], "x", 1));
	}
}

/* libfaketime: a program's clock may stand still; its sockets' do not. */
static bool stands_still;

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *t)
{
	long r = syscall(SYS_clock_gettime, id, t);

	if (stands_still)
		*t = (struct timespec){.tv_sec = 1577836800};
	return (int)r;
}

static void clock_that_stands(void)
{
	struct timeval tv = {.tv_usec = 300000};
	int fd[2], ep = (int)MUST(epoll_create1(0));
	struct epoll_event ev = {.events = EPOLLIN};

	stands_still = true;
	t_pair(fd);
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(read(fd[1], buf, 5));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev));
	SHOW(epoll_wait(ep, &ev, 1, 300));
	SHOW(poll(&(struct pollfd){.fd = fd[1], .events = POLLIN}, 1, 300));
	for (int i = 0; i < 100; i++) {
		MUST(write(fd[0], buf, 10000));
		MUST(t_read_all(fd[1], buf, 10000));
	}
	close(fd[0]);
	SHOW(read(fd[1], buf, 5));
}

/* As PHP opens its extensions (ext/standard/tests/streams). */
static void deep_binding(void)
{
	char path[4096] = "";
	int fd[2], (*nodelay)(int), one = 1;
	char *slash;
	void *lib;

	MUST(readlink("/proc/self/exe", path, sizeof(path) - 20));
	slash = strrchr(path, '/');
	strcpy(slash, "/deep.so");
	lib = dlopen(path, RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND);
	nodelay = lib ? dlsym(lib, "deep_nodelay") : NULL;
	if (!nodelay)
		t_die("dlopen");
	t_pair(fd);
	MUST(setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	SHOW(nodelay(fd[0]));
}

T_MAIN(T_CASE(write_learns_of_reset), T_CASE(write_finds_room),
       T_CASE(accept_beside_exec), T_CASE(exit_beside_exec),
       T_CASE(epoll_tells_all), T_CASE(nothing_written), T_CASE(urgent_datagram),
       T_CASE(signals_asked_for), T_CASE(null_takes_nothing), T_CASE(bound_to_any_port),
       T_CASE(splice_edges), T_CASE(vectors_with_flags), T_CASE(streams_do_not_seek), T_CASE(left_to_read), T_CASE(left_to_read_nowhere),
       T_CASE(fast_open_late), T_CASE(serves_after_connect), T_CASE(no_fin_wait_2),
       T_CASE(clock_that_stands), T_CASE(deep_binding))
