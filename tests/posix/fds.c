/*
 * fds.c - posix.md 1-9, 76: numbers, duplicates, closing
 */
#include "t.h"

#include <dirent.h>
#include <sys/resource.h>

static char buf[4096];

static void lowest(void)
{
	int l = t_listen(5), c = t_connect(t_port(l)), s = accept(l, NULL, NULL), base = l;

	t_say("%d %d %d", l - base, c - base, s - base);
	close(c);
	int x = open("/dev/null", O_RDONLY);
	t_say("%d", x - base);
	SHOW(read(x, buf, 10));
	close(s);
	int y = socket(AF_INET, SOCK_STREAM, 0);
	t_say("%d", y - base);
	close(x);
	c = t_connect(t_port(l));
	s = accept(l, NULL, NULL);
	t_say("%d %d", c - base, s - base);
	SHOW(dup(s) - base);
	SHOW(fcntl(s, F_DUPFD, 50));
	SHOW(fcntl(s, F_DUPFD_CLOEXEC, 50));
	SHOW(fcntl(51, F_GETFD));
	SHOW(fcntl(50, F_GETFD));
	SHOW(fcntl(s, F_DUPFD, -1));
}

static void duplicates_share(void)
{
	int fd[2], d;

	t_pair(fd);
	d = dup(fd[1]);
	t_nonblock(d, true);
	SHOW(fcntl(fd[1], F_GETFL) & O_NONBLOCK ? 1 : 0);
	SHOW(fcntl(d, F_SETFD, FD_CLOEXEC));
	SHOW(fcntl(fd[1], F_GETFD));
	SHOW(fcntl(d, F_GETFD));
	send(fd[0], "abcd", 4, 0);
	t_poll(d, POLLIN, 1000);
	SHOW(read(fd[1], buf, 2));
	SHOW(read(d, buf, 10));
	SHOW(close(fd[1]));
	SHOW(send(fd[0], "ef", 2, 0));
	t_poll(d, POLLIN, 1000);
	SHOW(read(d, buf, 10));
	t_say("peer %s", t_poll(fd[0], POLLIN, 20));
	SHOW(close(d));
	t_say("peer %s", t_poll(fd[0], POLLIN, 1000));
}

static void dup2_over(void)
{
	int a[2], b[2];

	t_pair(a);
	t_pair(b);
	SHOW(dup2(a[0], b[0]) == b[0]);
	t_say("peer of the overwritten %s", t_poll(b[1], POLLIN | POLLRDHUP, 1000));
	SHOW(send(b[0], "via", 3, 0));
	SHOW(recv(a[1], buf, 10, 0));
	SHOW(dup2(a[0], a[0]) == a[0]);
	SHOW(dup3(a[0], a[0], 0));
	SHOW(dup3(a[0], 60, O_CLOEXEC));
	SHOW(fcntl(60, F_GETFD));
	SHOW(dup2(a[0], -1));
	SHOW(dup2(999, 3));
	int f = open("/dev/null", O_RDWR);
	SHOW(dup2(f, a[1]) == a[1]);
	SHOW(write(a[1], "gone", 4));
	t_say("peer %s", t_poll(a[0], POLLIN | POLLRDHUP, 1000));
	close(f);
	close(a[1]);
	SHOW(write(a[1], "gone", 4));
}

static void *reader(void *arg)
{
	char c;

	return (void *)(long)read(*(int *)arg, &c, 1);
}

static void shutdown_wakes(void)
{
	pthread_t th;
	void *r;
	int fd[2];

	t_pair(fd);
	pthread_create(&th, NULL, reader, &fd[0]);
	t_sleep_ms(50);
	shutdown(fd[0], SHUT_RDWR);
	pthread_join(th, &r);
	t_say("reader got %ld", (long)r);
	t_pair(fd);
	pthread_create(&th, NULL, reader, &fd[0]);
	t_sleep_ms(50);
	int n = fd[0];
	close(n);
	send(fd[1], "x", 1, 0);
	pthread_join(th, &r);
	t_say("reader got %ld", (long)r);
}

static void ranges(void)
{
	int fd[2];

	t_pair(fd);
	SHOW(close_range((unsigned int)fd[0], (unsigned int)fd[0], 4 /* CLOEXEC */));
	SHOW(fcntl(fd[0], F_GETFD));
	SHOW(send(fd[0], "a", 1, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	SHOW(close_range(3, ~0U, 0));
	SHOW(send(fd[0], "a", 1, 0));
	SHOW(close(fd[1]));
	t_pair(fd);
	SHOW(send(fd[0], "again", 5, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	for (int i = 3; i < 1024; i++)
		close(i);
	t_pair(fd);
	t_say("%d %d", fd[0], fd[1]);
	SHOW(send(fd[0], "again", 5, 0));
	SHOW(recv(fd[1], buf, 10, 0));
}

static void numbers_reused(void)
{
	int fd[2], p[2];

	t_pair(fd);
	close(fd[0]);
	close(fd[1]);
	MUST(pipe(p));
	SHOW(write(p[1], "pipe", 4));
	SHOW(read(p[0], buf, 10));
	close(p[0]);
	close(p[1]);
	int f = open("/etc/hostname", O_RDONLY);
	struct stat st;
	SHOW(fstat(f, &st));
	SHOW(S_ISREG(st.st_mode));
	SHOW(lseek(f, 0, SEEK_SET));
}

static void stats(void)
{
	struct stat st;
	int fd[2];

	t_pair(fd);
	SHOW(fstat(fd[0], &st));
	SHOW(S_ISSOCK(st.st_mode));
	SHOW(fstat(fd[1], &st));
	SHOW(S_ISSOCK(st.st_mode));
	SHOW(isatty(fd[1]));
}

static void too_few(void)
{
	struct rlimit rl, old;
	int l = t_listen(5), c[3], s;

	for (int i = 0; i < 3; i++)
		c[i] = t_connect(t_port(l));
	getrlimit(RLIMIT_NOFILE, &old);
	rl = old;
	rl.rlim_cur = (rlim_t)c[2] + 1;
	SHOW(setrlimit(RLIMIT_NOFILE, &rl));
	SHOW(getrlimit(RLIMIT_NOFILE, &rl));
	t_say("%d", (int)rl.rlim_cur == c[2] + 1);
	SHOW(accept(l, NULL, NULL));
	t_say("poll %s", t_poll(l, POLLIN, 0));
	SHOW(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(dup(l));
	close(c[2]);
	s = accept(l, NULL, NULL);
	t_say("%d", s == c[2]);
	setrlimit(RLIMIT_NOFILE, &old);
	SHOW(accept(l, NULL, NULL) > 0);
	SHOW(accept(l, NULL, NULL) > 0);
}

static void stdio(void)
{
	char line[64] = "";
	int fd[2];

	t_pair(fd);
	FILE *in = fdopen(fd[1], "r"), *out = fdopen(fd[0], "w");

	fprintf(out, "a line\nnext\n");
	SHOW(fflush(out));
	t_say("%s", fgets(line, sizeof(line), in));
	SHOW(fileno(in) == fd[1]);
	SHOW(fclose(out));
	t_say("%s", fgets(line, sizeof(line), in));
	t_say("%d", fgets(line, sizeof(line), in) == NULL);
	SHOW(feof(in) != 0);
	SHOW(fclose(in));
	SHOW(close(fd[1]));
	FILE *f = fopen("/etc/hostname", "r");
	SHOW(fileno(f) <= fd[1]);
	SHOW(fgets(line, sizeof(line), f) != NULL);
}

static void standard_numbers(void)
{
	int out = dup(1), fd[2];

	close(0);
	int l = t_listen(3);
	SHOW(l);
	fd[0] = t_connect(t_port(l));
	dup2(out, 50);
	close(l);
	t_sleep_ms(20);
	dup2(fd[0], 0);
	SHOW(fd[0] > 0);
	SHOW(getpeername(0, (struct sockaddr *)buf, &(socklen_t){sizeof(buf)}));
}

/* A thread in a call, while another does something to its number. */
struct blocked {
	int fd, call; /* 0: read, 1: poll, 2: accept */
};

static void *block(void *arg)
{
	struct blocked *b = arg;
	struct pollfd p = {.fd = b->fd, .events = POLLIN};
	char c[8];

	if (b->call == 0)
		return (void *)(long)read(b->fd, c, sizeof(c));
	if (b->call == 1)
		return (void *)(long)poll(&p, 1, 10000);
	return (void *)(long)(accept(b->fd, NULL, NULL) >= 0 ? 1 : -1);
}

static bool ends(pthread_t th, int ms, void **r)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return pthread_timedjoin_np(th, r, &t) == 0;
}

static void act_on(int fd, int act)
{
	int null = open("/dev/null", O_RDWR);

	if (act == 0)
		MUST(close(fd));
	else if (act == 1)
		MUST(dup2(null, fd));
	else
		MUST(shutdown(fd, SHUT_RDWR));
	close(null);
}

static void while_blocked(void)
{
	static const char *const calls[] = {"read", "poll", "accept"},
				 *const acts[] = {"close", "dup2", "shutdown"};

	for (int i = 0; i < 9; i++) {
		struct blocked b = {.call = i / 3};
		int fd[2] = {-1, -1}, port;
		pthread_t th;
		void *r;

		if (b.call == 2)
			fd[0] = t_listen(3);
		else
			t_pair(fd);
		b.fd = fd[0];
		port = t_port(b.fd);
		pthread_create(&th, NULL, block, &b);
		t_sleep_ms(200);
		act_on(b.fd, i % 3);
		if (ends(th, i % 3 == 2 ? 5000 : 200, &r)) {
			t_say("%s wakes by %s: %ld", calls[b.call], acts[i % 3], (long)r);
			continue;
		}
		/* The call goes on with what it began with. */
		if (b.call == 2)
			t_connect(port);
		else
			MUST(send(fd[1], "text", 4, 0));
		t_say("%s sleeps through %s, %s", calls[b.call], acts[i % 3],
		      ends(th, 5000, &r) ? "ends with text" : "does not end");
		t_say("%ld", (long)r);
	}
}

/* libuv, emfile: the limit holds for all that makes numbers, also where the lane has no part in it. */
static void limit_for_all(void)
{
	int l = t_listen(3), u = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c, two[2];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct rlimit rl = {.rlim_cur = 40, .rlim_max = 40};
	socklen_t len = sizeof(a);

	MUST(bind(u, (struct sockaddr *)&a, sizeof(sa_family_t)));
	MUST(getsockname(u, (struct sockaddr *)&a, &len));
	MUST(listen(u, 3));
	c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(connect(c, (struct sockaddr *)&a, len));
	MUST(setrlimit(RLIMIT_NOFILE, &rl));
	while ((c = dup(0)) >= 0)
		;
	SHOW(c);
	SHOW(accept(u, NULL, NULL));
	SHOW(pipe(two));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, two));
	SHOW(epoll_create1(0));
	t_say("%s", fopen("/dev/null", "r") ? "opened" : strerror(errno));
	t_say("%s", opendir("/") ? "opened" : strerror(errno));
	MUST(close(39));
	SHOW(pipe(two));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, two));
	t_say("%s", opendir("/") ? "opened" : strerror(errno));
}

/* One descriptor over a UNIX socket: 'fd' goes, or, with -1, what came is returned. */
static int message(int unix_fd, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {buf, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (fd < 0) {
		MUST(recvmsg(unix_fd, &m, 0));
	} else {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		MUST(sendmsg(unix_fd, &m, 0));
	}
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static ino_t inode(int fd)
{
	struct stat st;

	MUST(fstat(fd, &st));
	return st.st_ino;
}

/* All calls tell the same inode of a number; a path that is not empty is another file. */
static void inode_by_other_calls(void)
{
	struct stat st;
	struct statx x;
	int l = t_listen(5), fd[4];
	ino_t is;

	fd[0] = t_connect(t_port(l));
	fd[1] = (int)MUST(accept(l, NULL, NULL));
	fd[2] = l;
	fd[3] = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	for (int i = 0; i < 4; i++) {
		is = inode(fd[i]);
		SHOW(fstatat(fd[i], "", &st, AT_EMPTY_PATH));
		t_say("%s %d", st.st_ino == is ? "the same" : "another", S_ISSOCK(st.st_mode));
		SHOW(statx(fd[i], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x));
		t_say("%s %d", x.stx_ino == is ? "the same" : "another", S_ISSOCK(x.stx_mode));
		SHOW(fstatat(fd[i], "", &st, 0));
		SHOW(fstatat(fd[i], "x", &st, AT_EMPTY_PATH));
		SHOW(fstatat(fd[i], (void *)8, &st, AT_EMPTY_PATH));
		SHOW(fstatat(fd[i], "/dev/null", &st, AT_EMPTY_PATH));
		t_say("%s %d", st.st_ino == is ? "the same" : "another", S_ISCHR(st.st_mode));
		SHOW(statx(fd[i], "/dev/null", AT_EMPTY_PATH, STATX_BASIC_STATS, &x));
		t_say("%s", x.stx_ino == is ? "the same" : "another");
	}
	SHOW(fstatat(999, "", &st, AT_EMPTY_PATH));
}

/* dovecot: the receiver compares the inode with what the sender saw before. */
static void inode_goes_along(void)
{
	int pair[2], l = t_listen(5), c = t_connect(t_port(l)), fd[2];
	ino_t was[2];

	fd[0] = (int)MUST(accept(l, NULL, NULL));
	MUST(t_connect(t_port(l)));
	fd[1] = (int)MUST(accept(l, NULL, NULL));
	t_say("%s", inode(fd[0]) == inode(fd[1]) ? "one inode" : "two inodes");
	t_say("%s", inode(fd[0]) == inode(dup(fd[0])) ? "one inode" : "two inodes");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	fd[1] = c;
	for (int i = 0; i < 2; i++)
		was[i] = inode(fd[i]);
	if (fork() == 0) {
		for (int i = 0; i < 2; i++)
			t_say("%s", inode(message(pair[1], -1)) == was[i] ? "the same" : "another");
		_exit(0);
	}
	for (int i = 0; i < 2; i++)
		message(pair[0], fd[i]);
	wait(NULL);
	for (int i = 0; i < 2; i++)
		t_say("%s", inode(fd[i]) == was[i] ? "the same" : "another");
}

#define SENT_OVER 50

/* The program that was executed: it answers on the connection that comes by message. */
static void answer_by_message(void)
{
	int u = (int)MUST(accept(SENT_OVER, NULL, NULL)), fd = message(u, -1);

	SHOW(read(fd, buf, 5));
	SHOW(write(fd, "answer", 6));
	_exit(0);
}

/* dovecot: who has a UNIX listener, and no environment, may be sent a connection later. */
static void message_after_exec(void)
{
	char *argv[] = {"fds", "message_after_exec", NULL}, *env[] = {NULL};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int u = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), l, c, fd;
	socklen_t len = sizeof(a);

	if (fcntl(SENT_OVER, F_GETFD) >= 0)
		answer_by_message();
	l = t_listen(3);
	fcntl(l, F_SETFD, FD_CLOEXEC);
	MUST(bind(u, (struct sockaddr *)&a, sizeof(sa_family_t)));
	MUST(getsockname(u, (struct sockaddr *)&a, &len));
	MUST(listen(u, 3));
	if (fork() == 0) {
		MUST(dup2(u, SENT_OVER));
		execve("/proc/self/exe", argv, env);
		t_die("execve");
	}
	c = t_connect(t_port(l));
	fd = (int)MUST(accept(l, NULL, NULL));
	close(u);
	u = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(connect(u, (struct sockaddr *)&a, len));
	message(u, fd);
	close(fd);
	MUST(write(c, "hello", 5));
	wait(NULL);
	SHOW(t_read_all(c, buf, 10));
}

/* accept(2) takes a number first: without one it neither waits nor says what else is wrong. */
static void accept_without_numbers(void)
{
	struct rlimit rl = {40, 40};
	int l = t_listen(3), u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), fd[2], c, last = -1, f;
	struct sockaddr_in a = t_addr(0);

	t_pair(fd);
	MUST(bind(u, (struct sockaddr *)&a, sizeof(a)));
	c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = 40;
	MUST(setrlimit(RLIMIT_NOFILE, &rl));
	while ((f = open("/dev/null", O_RDONLY)) >= 0)
		last = f;
	SHOW(accept(l, NULL, NULL));
	SHOW(accept4(l, NULL, NULL, 0x7));
	SHOW(accept(fd[0], NULL, NULL));
	SHOW(accept(u, NULL, NULL));
	SHOW(accept(c, NULL, NULL));
	SHOW(accept(5000, NULL, NULL));
	t_nonblock(l, true);
	SHOW(accept(l, NULL, NULL));
	close(last - 3);
	SHOW(accept(l, NULL, NULL));
	SHOW(accept(fd[0], NULL, NULL));
	SHOW(accept(u, NULL, NULL));
	SHOW(fcntl(u, F_DUPFD, 0) == last - 3);
	SHOW(accept(l, NULL, NULL));
}

/* F_GETFL tells what was set, of what F_SETFL may set. */
static void flags_are_told(void)
{
	static const int flags[] = {O_APPEND, O_NOATIME, O_DIRECT, O_ASYNC, O_NONBLOCK, O_APPEND | O_NONBLOCK, O_SYNC, O_CREAT, 0};
	int fd[2], u[2], l = t_listen(1), s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), all[6];

	t_pair(fd);
	t_udp_pair(u);
	memcpy(all, (int[]){fd[0], fd[1], u[0], l, s, -1}, sizeof(all));
	signal(SIGIO, SIG_IGN);
	for (int i = 0; all[i] >= 0; i++) {
		for (size_t k = 0; k < sizeof(flags) / sizeof(*flags); k++) {
			int r = fcntl(all[i], F_SETFL, flags[k]);

			t_say("%d: %o set %d (%s), now %o", i, flags[k], r, r < 0 ? strerror(errno) : "", fcntl(all[i], F_GETFL));
		}
	}
	MUST(fcntl(fd[0], F_SETFL, O_APPEND | O_NONBLOCK));
	s = dup(fd[0]);
	t_say("%o", fcntl(s, F_GETFL));
	if (fork() == 0) {
		t_say("child: %o", fcntl(s, F_GETFL));
		MUST(fcntl(s, F_SETFL, O_NOATIME));
		_exit(0);
	}
	wait(NULL);
	t_say("%o", fcntl(fd[0], F_GETFL));
	MUST(ioctl(fd[0], FIONBIO, &(int){1}));
	t_say("%o", fcntl(s, F_GETFL));
}

T_MAIN(T_CASE(lowest), T_CASE(duplicates_share), T_CASE(dup2_over), T_CASE(shutdown_wakes),
       T_CASE(ranges), T_CASE(numbers_reused), T_CASE(stats), T_CASE(too_few), T_CASE(stdio),
       T_CASE(standard_numbers), T_CASE(while_blocked), T_CASE(limit_for_all), T_CASE(inode_goes_along),
       T_CASE(inode_by_other_calls), T_CASE(message_after_exec), T_CASE(accept_without_numbers), T_CASE(flags_are_told))
