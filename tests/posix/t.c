/*
 * t.c - the frame of the POSIX programs (t.h)
 */
#include "t.h"

#include <stdarg.h>

#define CASE_SECONDS 20

void t_say(const char *fmt, ...)
{
	va_list ap;
	char line[512];
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(99);
}

long t_show(const char *text, long value)
{
	int e = errno;

	if (value < 0)
		t_say("%s = %ld %s", text, value, strerrorname_np(e) ? strerrorname_np(e) : "?");
	else
		t_say("%s = %ld", text, value);
	errno = e;
	return value;
}

void t_die(const char *what)
{
	int e = errno;

	t_say("STOPPED: %s: %s", what, strerrorname_np(e) ? strerrorname_np(e) : "?");
	_exit(98);
}

const char *t_events(unsigned int ev)
{
	static const struct {
		unsigned int bit;
		const char *name;
	} names[] = {{EPOLLIN, "IN"},     {EPOLLPRI, "PRI"},     {EPOLLOUT, "OUT"},
		     {EPOLLERR, "ERR"},   {EPOLLHUP, "HUP"},     {POLLNVAL, "NVAL"},
		     {EPOLLRDNORM, "RDNORM"}, {EPOLLWRNORM, "WRNORM"}, {EPOLLRDHUP, "RDHUP"}};
	static __thread char buf[4][96];
	static __thread unsigned int turn;
	char *p = buf[turn++ % 4];

	*p = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(ev & names[i].bit))
			continue;
		if (*p)
			strcat(p, "|");
		strcat(p, names[i].name);
	}
	if (!*p)
		strcpy(p, "0");
	return p;
}

const char *t_poll(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	if (poll(&p, 1, ms) < 0)
		return "error";
	return t_events((unsigned short)p.revents);
}

struct sockaddr_in t_addr(int port)
{
	const char *text = getenv("T_ADDR");
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, text ? text : "127.0.0.1", &a.sin_addr);
	return a;
}

struct sockaddr_in6 t_addr6(int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	a.sin6_addr = in6addr_loopback;
	return a;
}

int t_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	MUST(getsockname(fd, (struct sockaddr *)&a, &len));
	return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
					    : ((struct sockaddr_in6 *)&a)->sin6_port);
}

int t_listen(int backlog)
{
	struct sockaddr_in a = t_addr(0);
	int one = 1, fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(fd, backlog));
	return fd;
}

int t_listen6(int backlog)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));

	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(fd, backlog));
	return fd;
}

int t_connect(int port)
{
	struct sockaddr_in a = t_addr(port);
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	MUST(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

void t_pair(int fd[2])
{
	int l = t_listen(5);

	fd[0] = t_connect(t_port(l));
	fd[1] = (int)MUST(accept(l, NULL, NULL));
	close(l);
}

void t_udp_pair(int fd[2])
{
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in a = t_addr(0);

		fd[i] = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
		MUST(bind(fd[i], (struct sockaddr *)&a, sizeof(a)));
	}
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in a = t_addr(t_port(fd[1 - i]));

		MUST(connect(fd[i], (struct sockaddr *)&a, sizeof(a)));
	}
}

void t_nonblock(int fd, bool on)
{
	int fl = (int)MUST(fcntl(fd, F_GETFL));

	MUST(fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK));
}

void t_sleep_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

int64_t t_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

ssize_t t_read_all(int fd, void *buf, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, (char *)buf + got, n - got);

		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

ssize_t t_write_all(int fd, const void *buf, size_t n)
{
	size_t put = 0;

	while (put < n) {
		ssize_t r = write(fd, (const char *)buf + put, n - put);

		if (r < 0)
			return -1;
		put += (size_t)r;
	}
	return (ssize_t)put;
}

const char *t_about(int64_t ms, int64_t expected)
{
	static char buf[64];

	if (ms < expected - expected / 10 - 5)
		snprintf(buf, sizeof(buf), "too early: %ld ms", (long)ms);
	else if (ms > expected + 500)
		snprintf(buf, sizeof(buf), "too late: %ld ms", (long)ms);
	else
		snprintf(buf, sizeof(buf), "about %ld ms", (long)expected);
	return buf;
}

static void run_case(const struct t_case *c)
{
	int status;
	pid_t pid;

	t_say("== %s", c->name);
	pid = fork();
	if (pid == 0) {
		alarm(CASE_SECONDS);
		c->run();
		exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		t_say("-- killed by signal %s", sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		t_say("-- exit status %d", WEXITSTATUS(status));
}

int t_main(int argc, char **argv, const struct t_case *cases)
{
	for (const struct t_case *c = cases; c->name; c++) {
		bool wanted = argc < 2;

		for (int i = 1; i < argc; i++)
			wanted |= !strcmp(argv[i], c->name);
		if (argc == 2 && !strcmp(argv[1], "--list"))
			printf("%s\n", c->name);
		else if (wanted)
			run_case(c);
	}
	return 0;
}
