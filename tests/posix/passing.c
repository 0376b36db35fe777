/*
 * passing.c - posix.md 10, 88, 89: sockets that go to other programs, by exec and in messages
 */
#include "t.h"

#include <fcntl.h>
#include <spawn.h>

extern char **environ;
static char buf[200000];
static const char *self;

static void reap(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	if (status)
		t_say("child status %x", status);
}

static int give(int unix_fd, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = "x", .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(unix_fd, &m, 0);
}

static int get(int unix_fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char x;
	struct iovec iov = {.iov_base = &x, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(unix_fd, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* A child that was forked before the sockets were made: it has them only by message. */
static pid_t receiver(int *to, void (*fn)(int fd))
{
	int pair[2];
	pid_t pid;

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		fn(get(pair[1]));
		_exit(0);
	}
	close(pair[1]);
	*to = pair[0];
	return pid;
}

static void answer(int fd)
{
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	send(fd, buf, (size_t)n, 0);
	close(fd);
}

static void connection_in_message(void)
{
	int to, l, c, s;
	pid_t pid = receiver(&to, answer);

	l = t_listen(5);
	c = t_connect(t_port(l));
	s = accept(l, NULL, NULL);
	SHOW(give(to, s));
	close(s); /* at once: the message holds it */
	SHOW(send(c, "to whom", 7, 0));
	SHOW(t_read_all(c, buf, 7));
	SHOW(recv(c, buf, 10, 0));
	reap(pid);
}

static void connected_in_message(void)
{
	int to, l, c, s;
	pid_t pid = receiver(&to, answer);

	l = t_listen(5);
	c = t_connect(t_port(l));
	s = accept(l, NULL, NULL);
	SHOW(give(to, c));
	SHOW(send(s, "other way", 9, 0));
	close(c);
	SHOW(t_read_all(s, buf, 9));
	SHOW(recv(s, buf, 10, 0));
	reap(pid);
}

static void accept_one(int fd)
{
	int s = accept(fd, NULL, NULL);

	close(fd);
	answer(s);
}

static void listener_in_message(void)
{
	int to, l, c, port;
	pid_t pid = receiver(&to, accept_one);

	l = t_listen(5);
	port = t_port(l);
	SHOW(give(to, l));
	close(l);
	c = t_connect(port);
	SHOW(send(c, "hello", 5, 0));
	SHOW(t_read_all(c, buf, 5));
	SHOW(recv(c, buf, 10, 0));
	reap(pid);
}

static void answer_datagrams(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	ssize_t n;
	int i;

	for (i = 0; i < 3; i++) {
		n = recvfrom(fd, buf, 100, 0, (void *)&a, &len);
		sendto(fd, buf, (size_t)n, 0, (void *)&a, len);
	}
}

static void udp_in_message(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int to, u, c, i;
	pid_t pid = receiver(&to, answer_datagrams);

	u = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(bind(u, (void *)&a, len));
	getsockname(u, (void *)&a, &len);
	SHOW(give(to, u));
	close(u);
	c = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(connect(c, (void *)&a, len));
	for (i = 0; i < 3; i++) {
		SHOW(send(c, "abc", 3, 0));
		SHOW(recv(c, buf, 100, 0));
	}
	reap(pid);
}

/* Several descriptors in several messages, by sendmmsg and recvmmsg. */
static void many_messages(void)
{
	_Alignas(struct cmsghdr) char control[2][CMSG_SPACE(sizeof(int))];
	int pair[2], a[2], b[2], fd[2] = {-1, -1}, i;
	struct iovec iov[2] = {{"x", 1}, {"y", 1}};
	struct mmsghdr m[2] = {0};
	pid_t pid;

	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	pid = fork();
	for (i = 0; i < 2; i++) {
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_control = control[i];
		m[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	if (pid == 0) {
		iov[0].iov_base = buf;
		iov[1].iov_base = buf + 1;
		for (i = 0; i < 2; i += recvmmsg(pair[1], m + i, 2 - i, MSG_WAITFORONE, NULL))
			;
		for (i = 0; i < 2; i++)
			memcpy(&fd[i], CMSG_DATA(CMSG_FIRSTHDR(&m[i].msg_hdr)), sizeof(int));
		answer(fd[1]);
		answer(fd[0]);
		_exit(0);
	}
	t_pair(a);
	t_pair(b);
	for (i = 0; i < 2; i++) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&m[i].msg_hdr);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), i ? &b[1] : &a[1], sizeof(int));
	}
	SHOW(sendmmsg(pair[0], m, 2, 0));
	close(a[1]);
	close(b[1]);
	SHOW(send(b[0], "second", 6, 0));
	SHOW(t_read_all(b[0], buf, 10));
	SHOW(send(a[0], "first", 5, 0));
	SHOW(t_read_all(a[0], buf, 10));
	reap(pid);
}

/* Two processes pass the same connection before either receiver looks. */
static void passed_by_two(void)
{
	int one[2], two[2], go[2], fd[2], i;
	pid_t pid[3];

	socketpair(AF_UNIX, SOCK_STREAM, 0, one);
	socketpair(AF_UNIX, SOCK_STREAM, 0, two);
	pipe(go);
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			close(go[1]);
			read(go[0], buf, 1);
			i = get(i ? two[1] : one[1]);
			_exit(write(i, "here", 4) != 4);
		}
	}
	t_pair(fd);
	pid[2] = fork();
	if (pid[2] == 0)
		_exit(give(two[0], fd[1]) != 1);
	reap(pid[2]);
	SHOW(give(one[0], fd[1]));
	close(fd[1]);
	close(go[0]);
	close(go[1]);
	SHOW(t_read_all(fd[0], buf, 8));
	reap(pid[0]);
	reap(pid[1]);
	SHOW(t_read_all(fd[0], buf, 1));
}

/* To itself, and back: two numbers for one socket. */
static void to_itself(void)
{
	int pair[2], fd[2], again;

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	t_pair(fd);
	SHOW(give(pair[0], fd[0]));
	again = get(pair[1]);
	close(fd[0]);
	SHOW(send(again, "one", 3, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	SHOW(give(pair[0], again));
	close(again);
	again = get(pair[1]);
	SHOW(send(fd[1], "two", 3, 0));
	SHOW(recv(again, buf, 10, 0));
	SHOW(close(again));
	SHOW(recv(fd[1], buf, 10, 0));
}

/* ---- exec ---- */

static void exec_self(const char *what, int fd)
{
	char number[12];

	snprintf(number, sizeof(number), "%d", fd);
	execl(self, self, "-x", what, number, NULL);
	_exit(99);
}

/* What an executed program does with the socket that it finds. */
static void successor(const char *what, int fd)
{
	ssize_t n;

	alarm(10);
	if (strcmp(what, "echo") == 0)
		answer(fd);
	if (strcmp(what, "sleep") == 0)
		usleep(300000);
	if (strcmp(what, "again") == 0)
		exec_self("echo", fd);
	if (strcmp(what, "stdio") == 0) {
		if (fgets(buf, sizeof(buf), stdin))
			printf("got %s", buf);
		fflush(stdout);
	}
	exit(0);
}

static void exec_child(const char *what, bool vforked)
{
	int l = t_listen(5), c = t_connect(t_port(l)), s = accept(l, NULL, NULL);
	pid_t pid = vforked ? vfork() : fork();

	if (pid == 0) {
		if (strcmp(what, "stdio") == 0) {
			dup2(s, 0);
			dup2(s, 1);
		}
		exec_self(what, s);
	}
	close(s);
	SHOW(send(c, "line\n", 5, 0));
	shutdown(c, SHUT_WR);
	t_say("%zd", t_read_all(c, buf, 9));
	buf[5] = 0;
	t_say("%s", buf);
	SHOW(recv(c, buf, 10, 0));
	reap(pid);
}

static void exec_connection(void)
{
	exec_child("echo", false);
}

static void exec_vfork(void)
{
	exec_child("echo", true);
}

static void exec_twice(void)
{
	exec_child("again", false);
}

static void exec_stdio(void)
{
	exec_child("stdio", false);
}

/* It lives as long as the process that has it, and no longer. */
static void exec_unused(void)
{
	exec_child("sleep", false);
}

static void exec_fails(void)
{
	int fd[2];

	t_pair(fd);
	SHOW(execl("/nonexistent", "x", NULL));
	SHOW(send(fd[0], "still", 5, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	close(fd[0]);
	SHOW(recv(fd[1], buf, 10, 0));
}

/* ---- posix_spawn, system, popen ---- */

/* What the client at 'c' hears, up to the end. */
static void hear(int c)
{
	ssize_t n = t_read_all(c, buf, sizeof(buf) - 1);

	buf[n < 0 ? 0 : n] = 0;
	t_say("%zd [%s]", n, buf);
}

static void ask(int c, const char *what)
{
	MUST(send(c, what, strlen(what), 0));
	shutdown(c, SHUT_WR);
}

/* A connection: *c the client's end, and the server's. */
static int accepted(int *c, int flags)
{
	int l = t_listen(5), s;

	*c = t_connect(t_port(l));
	s = (int)MUST(accept4(l, NULL, NULL, flags));
	close(l);
	return s;
}

static pid_t spawn_on(int s, char *const argv[])
{
	posix_spawn_file_actions_t fa;
	pid_t pid = 0;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, s, 0);
	posix_spawn_file_actions_adddup2(&fa, s, 1);
	SHOW(posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ));
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

static void spawn_stdio(void)
{
	int c, s = accepted(&c, SOCK_CLOEXEC);
	pid_t pid = spawn_on(s, (char *[]){"/proc/self/exe", "-x", "stdio", "0", NULL});

	close(s);
	ask(c, "line\n");
	hear(c);
	reap(pid);
}

static void spawn_shell(void)
{
	int c, s = accepted(&c, SOCK_CLOEXEC);
	pid_t pid = spawn_on(s, (char *[]){"sh", "-c", "read a; echo first $a; cat | tr a-z A-Z", NULL});

	close(s);
	ask(c, "line\nand more\n");
	hear(c);
	reap(pid);
}

static void spawn_inherits(void)
{
	int c, s = accepted(&c, 0);
	char number[12];
	pid_t pid;

	snprintf(number, sizeof(number), "%d", s);
	SHOW(posix_spawn(&pid, self, NULL, NULL, (char *[]){"x", "-x", "echo", number, NULL}, environ));
	close(s);
	ask(c, "echo me");
	hear(c);
	reap(pid);
}

/* The socket lives as long as the program that has it, used or not. */
static void spawn_unused(void)
{
	int c, s = accepted(&c, 0), status;
	pid_t pid;

	SHOW(posix_spawnp(&pid, "sleep", NULL, NULL, (char *[]){"sleep", "30", NULL}, environ));
	close(s);
	t_say("%s", t_poll(c, POLLIN | POLLRDHUP, 100));
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	t_say("%s", t_poll(c, POLLIN | POLLRDHUP, 2000));
}

static void spawn_fails(void)
{
	int c, s = accepted(&c, 0);
	pid_t pid;

	SHOW(posix_spawn(&pid, "/nonexistent", NULL, NULL, (char *[]){"x", NULL}, environ));
	SHOW(send(s, "still", 5, 0));
	close(s);
	hear(c);
}

/* A child whose standard streams are the connection, as inetd's: it uses system() and popen(). */
static pid_t on_stdio(int *c, void (*fn)(void))
{
	int s = accepted(c, 0);
	pid_t pid = fork();

	if (pid == 0) {
		dup2(s, 0);
		dup2(s, 1);
		close(s);
		fn();
		_exit(0);
	}
	close(s);
	return pid;
}

static void runs_system(void)
{
	int r = system("read a; echo heard $a; exit 7");

	dprintf(1, "status %x\n", r);
	dprintf(1, "status %x\n", system("kill -9 $$"));
	dprintf(1, "status %x\n", system("nosuchcommand 2>/dev/null"));
	r = system("sh -c 'echo nested; cat' | tr a-z A-Z");
	dprintf(1, "status %x\n", r);
}

static void system_stdio(void)
{
	int c;
	pid_t pid = on_stdio(&c, runs_system);

	ask(c, "one\ntwo\n");
	hear(c);
	reap(pid);
}

static void runs_popen(void)
{
	FILE *f = popen("read a; echo to pipe $a", "r"), *g;
	char line[100] = "";

	(void)!fgets(line, sizeof(line), f);
	dprintf(1, "got %s", line);
	dprintf(1, "status %x\n", pclose(f));
	g = popen("sed s/^/sed:/", "w");
	f = popen("cat >/dev/null; exit 3", "w");
	fprintf(g, "through a pipe\n");
	dprintf(1, "status %x\n", pclose(g)); /* f's shell does not have its end */
	dprintf(1, "status %x\n", pclose(f));
	f = popen("exit 5", "re");
	dprintf(1, "closed %d\n", fclose(f) & 0xff);
	dprintf(1, "%d\n", popen("true", "x") == NULL && errno == EINVAL);
}

static void popen_stdio(void)
{
	int c;
	pid_t pid = on_stdio(&c, runs_popen);

	ask(c, "word\n");
	hear(c);
	reap(pid);
}

static void runs_cat(void)
{
	execlp("cat", "cat", NULL);
}

/* Streams that were there before: what is written to them goes to the socket, and not when it is gone. */
static void uses_stdio(void)
{
	int saved = dup(2);
	char line[100];

	printf("prompt ");
	if (fgets(line, sizeof(line), stdin))
		printf("heard %s", line);
	puts("more");
	dprintf(1, "at once\n");
	fflush(stdout);
	dup2(1, 2);
	fprintf(stderr, "an error\n");
	dup2(saved, 2);
	dup2(open("/dev/null", O_WRONLY), 1);
	puts("to nobody");
	fflush(stdout);
}

static void standard_streams(void)
{
	int c;
	pid_t pid = on_stdio(&c, uses_stdio);

	ask(c, "word\n");
	hear(c);
	reap(pid);
}

static void inetd_cat(void)
{
	int c;
	pid_t pid = on_stdio(&c, runs_cat);

	ask(c, "to cat and back");
	hear(c);
	reap(pid);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(connection_in_message), T_CASE(connected_in_message),
		T_CASE(listener_in_message),   T_CASE(udp_in_message),
		T_CASE(many_messages),	       T_CASE(passed_by_two),
		T_CASE(to_itself),	       T_CASE(exec_connection),
		T_CASE(exec_vfork),	       T_CASE(exec_twice),
		T_CASE(exec_stdio),	       T_CASE(exec_unused),
		T_CASE(exec_fails),	       T_CASE(spawn_stdio),
		T_CASE(spawn_shell),	       T_CASE(spawn_inherits),
		T_CASE(spawn_unused),	       T_CASE(spawn_fails),
		T_CASE(system_stdio),	       T_CASE(popen_stdio),
		T_CASE(inetd_cat),	       T_CASE(standard_streams),
		{NULL, NULL}};

	self = "/proc/self/exe";
	if (argc == 4 && strcmp(argv[1], "-x") == 0)
		successor(argv[2], atoi(argv[3]));
	return t_main(argc, argv, cases);
}
