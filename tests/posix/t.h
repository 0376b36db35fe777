/*
 * t.h - the frame of the POSIX programs: each prints what the socket calls did, nothing else
 *
 * The same program runs on the kernel and on lane, and both must print the same; so nothing
 * printed may depend on time, pids or chosen ports. A case is a function; main() runs the cases
 * named on the command line, or all, each in a child of its own with a time limit.
 */
#ifndef T_H
#define T_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct t_case {
	const char *name;
	void (*run)(void);
};

/* Ends a program's list of cases and defines its main(). */
#define T_MAIN(...)                                                                                \
	static const struct t_case t_cases[] = {__VA_ARGS__, {NULL, NULL}};                        \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return t_main(argc, argv, t_cases);                                                \
	}
#define T_CASE(f)                                                                                  \
	{                                                                                          \
		#f, f                                                                              \
	}

int t_main(int argc, char **argv, const struct t_case *cases);

/* Prints "text = value" and, for a negative value, the name of errno. Returns the value. */
long t_show(const char *text, long value);
#define SHOW(expr) t_show(#expr, (long)(expr))
/* Prints a line. */
void t_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Ends the case: the test itself could not go on (printed with errno). */
void t_die(const char *what) __attribute__((noreturn));
#define MUST(expr)                                                                                 \
	({                                                                                         \
		long v_ = (long)(expr);                                                            \
		if (v_ < 0)                                                                        \
			t_die(#expr);                                                              \
		v_;                                                                                \
	})

/* Names of the poll/epoll bits in 'ev', "IN|OUT". Static buffer, four in turn. */
const char *t_events(unsigned int ev);
/* poll(fd, events, ms) -> revents by name. */
const char *t_poll(int fd, short events, int ms);

/* 127.0.0.1:port (or the address in $T_ADDR). */
struct sockaddr_in t_addr(int port);
struct sockaddr_in6 t_addr6(int port);
int t_port(int fd); /* the local port */
/* A listening TCP socket on a free port of 127.0.0.1. */
int t_listen(int backlog);
int t_listen6(int backlog);
/* A blocking socket connected to 'port'. */
int t_connect(int port);
/* A connected pair over TCP: [0] connected, [1] accepted. */
void t_pair(int fd[2]);
/* A pair of connected UDP sockets. */
void t_udp_pair(int fd[2]);
void t_nonblock(int fd, bool on);
void t_sleep_ms(int ms);
int64_t t_now_ms(void);
/* Reads exactly n bytes; returns how many came before the end. */
ssize_t t_read_all(int fd, void *buf, size_t n);
ssize_t t_write_all(int fd, const void *buf, size_t n);
/* "0-50ms", "about 200ms": a duration made coarse. */
const char *t_about(int64_t ms, int64_t expected);

#endif
