/*
 * signals.c - posix.md 33, 34, 36, 92: handlers, restarts, threads that end
 */
#include "t.h"

#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static char buf[4096];
static volatile sig_atomic_t hits;
static sigjmp_buf jump;
static pthread_t main_thread;

static void on_alarm(int sig)
{
	(void)sig;
	hits++;
}

static void on_jump(int sig)
{
	(void)sig;
	siglongjmp(jump, 1);
}

static void arm(void (*fn)(int), int flags, int ms)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
	struct itimerval it = {.it_value = {0, ms * 1000}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void interrupted(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd[2], l = t_listen(2), ep = epoll_create1(0);

	t_pair(fd);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev);
	arm(on_alarm, 0, 50);
	SHOW(read(fd[1], buf, 10));
	arm(on_alarm, 0, 50);
	SHOW(accept(l, NULL, NULL));
	arm(on_alarm, 0, 50);
	SHOW(epoll_wait(ep, &ev, 1, 2000));
	arm(on_alarm, SA_RESTART, 50);
	SHOW(epoll_wait(ep, &ev, 1, 2000));
	arm(on_alarm, SA_RESTART, 50);
	struct pollfd p = {fd[1], POLLIN, 0};
	SHOW(poll(&p, 1, 2000));
	fd_set r;
	FD_ZERO(&r);
	FD_SET(fd[1], &r);
	struct timeval tv = {2, 0};
	arm(on_alarm, SA_RESTART, 50);
	SHOW(select(fd[1] + 1, &r, NULL, NULL, &tv));
	SHOW(hits);
}

static char big[32 << 20];

static void *reads_on_alarm(void *arg)
{
	int fd = (int)(intptr_t)arg;
	size_t n = 0;
	ssize_t r;

	while (n < sizeof(big) && (r = recv(fd, big, 1000, 0)) > 0) {
		n += (size_t)r;
		if (n % 100000 < 1000)
			pthread_kill(main_thread, SIGUSR1);
	}
	return NULL;
}

/* Bytes were taken: even a handler that restarts calls ends them, and they are told. */
static void part_way(void)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	pthread_t t;
	ssize_t n;
	int fd[2];

	t_pair(fd);
	arm(on_alarm, SA_RESTART, 50);
	n = send(fd[0], big, sizeof(big), 0);
	t_say("send %s", n > 0 && n < (ssize_t)sizeof(big) ? "in part" : n < 0 ? "fails" : "all");
	close(fd[0]);
	close(fd[1]);
	t_pair(fd);
	send(fd[0], "some", 4, 0);
	arm(on_alarm, SA_RESTART, 50);
	SHOW(recv(fd[1], buf, 100, MSG_WAITALL));
	/* Signals at any moment of the call: it ends early each time. */
	sigaction(SIGUSR1, &sa, NULL);
	main_thread = pthread_self();
	pthread_create(&t, NULL, reads_on_alarm, (void *)(intptr_t)fd[1]);
	n = send(fd[0], big, sizeof(big), 0);
	t_say("send %s", n > 0 && n < (ssize_t)sizeof(big) ? "in part" : n < 0 ? "fails" : "all");
	shutdown(fd[0], SHUT_RDWR);
	pthread_join(t, NULL);
}

static void *poke(void *arg)
{
	t_sleep_ms(150);
	send(*(int *)arg, "z", 1, 0);
	return NULL;
}

static void restarted(void)
{
	sigset_t set;
	pthread_t th;
	int fd[2];

	t_pair(fd);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&th, NULL, poke, &fd[0]);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	arm(on_alarm, SA_RESTART, 50);
	SHOW(read(fd[1], buf, 10));
	SHOW(hits);
	pthread_join(th, NULL);
	struct timeval tv = {0, 300000};
	setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	arm(on_alarm, SA_RESTART, 50);
	SHOW(read(fd[1], buf, 10));
	SHOW(hits);
}

static void jumped(void)
{
	int fd[2];

	t_pair(fd);
	for (int i = 0; i < 5; i++) {
		if (sigsetjmp(jump, 1) == 0) {
			arm(on_jump, 0, 30);
			SHOW(read(fd[1], buf, 10));
		} else {
			t_say("jumped");
		}
	}
	SHOW(send(fd[0], "x", 1, 0));
	SHOW(read(fd[1], buf, 10));
}

static int handler_fd[2];

static void on_send(int sig)
{
	(void)sig;
	if (send(handler_fd[0], "from handler", 12, 0) != 12)
		_exit(9);
}

static void handler_sends(void)
{
	t_pair(handler_fd);
	arm(on_send, SA_RESTART, 50);
	SHOW(read(handler_fd[1], buf, 100));
}

static void on_send_and_look(int sig)
{
	struct pollfd p = {handler_fd[1], POLLIN, 0};

	(void)sig;
	if (send(handler_fd[0], "h", 1, 0) != 1)
		_exit(9);
	poll(&p, 1, 0);
}

/* A handler at any moment of a call that is about to sleep makes ready what it would sleep on, and sees that
 * itself. */
static void handler_wakes(void)
{
	struct sigaction sa = {.sa_handler = on_send_and_look, .sa_flags = SA_RESTART};
	unsigned int got = 0;
	int one = 1;

	t_pair(handler_fd);
	setsockopt(handler_fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	sigaction(SIGALRM, &sa, NULL);
	for (unsigned int i = 0; i < 4000; i++) {
		struct itimerval it = {.it_value = {0, 1 + i * 7 % 90}};

		setitimer(ITIMER_REAL, &it, NULL);
		got += read(handler_fd[1], buf, 1) == 1;
	}
	alarm(0);
	SHOW(got);
}

/* The same by a signal that is a fault when it is not sent. */
static void fault_sent(void)
{
	struct sigaction sa = {.sa_handler = on_send_and_look, .sa_flags = SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGABRT};
	struct itimerspec it = {0};
	unsigned int got = 0;
	timer_t timer;

	t_pair(handler_fd);
	sigaction(SIGABRT, &sa, NULL);
	timer_create(CLOCK_MONOTONIC, &ev, &timer);
	for (unsigned int i = 0; i < 2000; i++) {
		it.it_value.tv_nsec = 1000 + i * 7 % 90 * 1000;
		timer_settime(timer, 0, &it, NULL);
		got += read(handler_fd[1], buf, 1) == 1;
	}
	timer_delete(timer);
	SHOW(got);
}

static void masked(void)
{
	sigset_t all, none;
	struct epoll_event ev = {.events = EPOLLIN};
	int fd[2], ep = epoll_create1(0);

	t_pair(fd);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev);
	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_BLOCK, &all, NULL);
	hits = 0;
	struct sigaction sa = {.sa_handler = on_alarm};
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	SHOW(hits);
	SHOW(epoll_wait(ep, &ev, 1, 20));
	SHOW(hits);
	SHOW(epoll_pwait(ep, &ev, 1, 1000, &none));
	SHOW(hits);
	raise(SIGUSR1);
	struct pollfd p = {fd[1], POLLIN, 0};
	struct timespec ts = {1, 0};
	SHOW(ppoll(&p, 1, &ts, &none));
	SHOW(hits);
}

static void *blocked(void *arg)
{
	char c;

	(void)!read(*(int *)arg, &c, 1);
	return NULL;
}

static void cancelled(void)
{
	pthread_t th;
	void *r;
	int fd[2];

	t_pair(fd);
	pthread_create(&th, NULL, blocked, &fd[1]);
	t_sleep_ms(50);
	SHOW(pthread_cancel(th));
	pthread_join(th, &r);
	SHOW(r == PTHREAD_CANCELED);
	SHOW(send(fd[0], "y", 1, 0));
	SHOW(recv(fd[1], buf, 10, 0));
}

/* ---- a cancellation that is due when a call is entered ---- */

static struct {
	int stream[2], udp[2], listener, epfd, fresh;
} due;

static void due_read(void)
{
	(void)!read(due.stream[1], buf, 1);
}

static void due_recv(void)
{
	recv(due.stream[1], buf, 1, 0);
}

static void due_recvmsg(void)
{
	struct iovec iov = {buf, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	recvmsg(due.stream[1], &m, 0);
}

static void due_readv(void)
{
	(void)!readv(due.stream[1], &(struct iovec){buf, 1}, 1);
}

static void due_write(void)
{
	(void)!write(due.stream[1], "x", 1);
}

static void due_send(void)
{
	send(due.stream[1], "x", 1, 0);
}

static void due_large_send(void)
{
	send(due.stream[1], big, 50000, 0);
}

static void due_accept(void)
{
	accept(due.listener, NULL, NULL);
}

static void due_connect(void)
{
	struct sockaddr_in a = t_addr(t_port(due.listener));

	connect(due.fresh, (void *)&a, sizeof(a));
}

static void due_poll(void)
{
	poll(&(struct pollfd){.fd = due.stream[1], .events = POLLIN}, 1, 0);
}

static void due_long_poll(void)
{
	struct pollfd p[100];

	for (int i = 0; i < 100; i++)
		p[i] = (struct pollfd){.fd = due.stream[1], .events = POLLIN};
	poll(p, 100, 0);
}

static void due_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(due.stream[1], &set);
	select(due.stream[1] + 1, &set, NULL, NULL, NULL);
}

static void due_epoll(void)
{
	struct epoll_event ev;

	epoll_wait(due.epfd, &ev, 1, 0);
}

static void due_recvfrom(void)
{
	recvfrom(due.udp[1], buf, 1, 0, NULL, NULL);
}

static void due_sendto(void)
{
	struct sockaddr_in a = t_addr(t_port(due.udp[0]));

	sendto(due.udp[1], "x", 1, 0, (void *)&a, sizeof(a));
}

static void due_close(void)
{
	close(due.stream[1]);
}

static void *cancelled_on_entry(void *fn)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	((void (*)(void))fn)();
	return NULL;
}

/* The call does nothing, and holds nothing afterwards: whoever closes the socket ends it. */
static void cancel_due(void)
{
	static void (*const calls[])(void) = {
		due_read,   due_recv,	 due_recvmsg, due_readv,     due_write,  due_send,
		due_large_send, due_accept, due_connect, due_poll, due_long_poll, due_select,
		due_epoll, due_recvfrom, due_sendto,  due_close};
	struct epoll_event ev = {.events = EPOLLIN};
	pthread_t th;
	void *r;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		t_pair(due.stream);
		t_udp_pair(due.udp);
		due.listener = t_listen(2);
		due.fresh = socket(AF_INET, SOCK_STREAM, 0);
		due.epfd = epoll_create1(0);
		epoll_ctl(due.epfd, EPOLL_CTL_ADD, due.stream[1], &ev);
		int c = t_connect(t_port(due.listener));
		send(due.stream[0], "y", 1, 0);
		send(due.udp[0], "z", 1, 0);
		pthread_create(&th, NULL, cancelled_on_entry, (void *)calls[i]);
		pthread_join(th, &r);
		t_say("%zu %s %s", i, r == PTHREAD_CANCELED ? "cancelled" : "went on",
		      t_poll(due.stream[0], POLLIN, 0));
		SHOW(recv(due.stream[1], buf, 10, 0));
		SHOW(recv(due.udp[1], buf, 10, 0));
		SHOW(close(due.stream[1]));
		t_say("%s", t_poll(due.stream[0], POLLIN | POLLRDHUP, 2000));
		close(due.listener);
		t_say("%s", t_poll(c, POLLIN | POLLRDHUP, 2000));
		close(c);
		close(due.stream[0]);
		close(due.udp[0]);
		close(due.udp[1]);
		close(due.fresh);
		close(due.epfd);
	}
}

static void *busy_both_ways(void *arg)
{
	int *fd = arg;

	for (;;) {
		if (send(fd[0], "x", 1, 0) != 1 || recv(fd[1], buf, 1, 0) != 1)
			return NULL;
	}
}

/* Calls that never sleep are cancellation points too. */
static void cancel_busy(void)
{
	pthread_t th;
	void *r;
	int fd[2];

	t_pair(fd);
	pthread_create(&th, NULL, busy_both_ways, fd);
	t_sleep_ms(50);
	pthread_cancel(th);
	pthread_join(th, &r);
	SHOW(r == PTHREAD_CANCELED);
	recv(fd[1], buf, 10, MSG_DONTWAIT); /* the byte, if the thread ended in recv() */
	close(fd[1]);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 2000));
}

static void exit_with_readers(void)
{
	pthread_t th;
	int fd[2];

	t_pair(fd);
	pthread_create(&th, NULL, blocked, &fd[1]);
	t_sleep_ms(50);
	exit(0);
}

static char sleeping_state(pid_t pid)
{
	char path[64], line[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f) {
		(void)!fgets(line, sizeof(line), f);
		fclose(f);
	}
	char *p = strrchr(line, ')');
	return p ? p[2] : '?';
}

/* ---- a signal while a send copies, which a page that comes late makes last ---- */

#define ROOM 700 /* bytes left in the send buffer, of TRIES */
#define TRIES 2000

struct late_page {
	char *at;
	int uffd;
};

/* Makes the page come 50 ms late, with a signal before; the second signal is for who has missed the first. */
static void *serve_late(void *arg)
{
	const struct late_page *page = arg;
	struct uffdio_copy c = {.dst = (uintptr_t)page->at, .src = (uintptr_t)buf, .len = sizeof(buf)};
	struct pollfd p = {page->uffd, POLLIN, 0};
	struct uffd_msg m;

	if (poll(&p, 1, 5000) == 1 && syscall(SYS_read, page->uffd, &m, sizeof(m)) == sizeof(m)) {
		pthread_kill(main_thread, SIGALRM);
		usleep(50000);
		ioctl(page->uffd, UFFDIO_COPY, &c);
	}
	sleep(2);
	pthread_kill(main_thread, SIGALRM);
	return NULL;
}

static bool make_late(struct late_page *page)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register r = {.range.len = sizeof(buf), .mode = UFFDIO_REGISTER_MODE_MISSING};

	page->at = mmap(NULL, sizeof(buf), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.range.start = (uintptr_t)page->at;
	page->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return page->uffd >= 0 && ioctl(page->uffd, UFFDIO_API, &api) == 0 && ioctl(page->uffd, UFFDIO_REGISTER, &r) == 0;
}

/* Writes up to 'max' bytes in pieces, until there is no room for some time. */
static long fill_up(int fd, long max)
{
	long n = 0;

	for (int idle = 0; n < max && idle < 20;) {
		ssize_t r = send(fd, buf, max - n < 500 ? (size_t)(max - n) : 500, MSG_DONTWAIT);

		n += r > 0 ? r : 0;
		idle = r > 0 ? 0 : idle + 1;
		if (r <= 0)
			usleep(20000);
	}
	return n;
}

/* To a peer that does not read; both buffers are small, and stay so. */
static int small_writer(void)
{
	int l = t_listen(1), fd = socket(AF_INET, SOCK_STREAM, 0), rcvbuf = 8192, sndbuf = 32768;
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	setsockopt(l, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	getsockname(l, (struct sockaddr *)&sin, &len);
	if (connect(fd, (struct sockaddr *)&sin, len) < 0 || accept(l, NULL, NULL) < 0)
		t_say("no connection");
	return fd;
}

/* The handler runs when the lock is free again; the sleep that would follow must know of it. */
static void during_the_copy(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct late_page page;
	pthread_t t;
	long room;
	int fd;
	ssize_t r;

	if (!make_late(&page)) {
		t_say("no userfaultfd");
		return;
	}
	sigaction(SIGALRM, &sa, NULL);
	main_thread = pthread_self();
	room = fill_up(small_writer(), 10000000);
	fd = small_writer();
	fill_up(fd, room - ROOM);
	usleep(300000);
	pthread_create(&t, NULL, serve_late, &page);
	usleep(10000);
	r = send(fd, page.at, TRIES, 0);
	SHOW(r > 0 && r < TRIES);
	SHOW(hits);
	pthread_join(t, NULL);
}

static void sleeps(void)
{
	int fd[2];
	pid_t pid;

	t_pair(fd);
	pid = fork();
	if (pid == 0) {
		(void)!read(fd[1], buf, 1);
		_exit(0);
	}
	t_sleep_ms(200);
	t_say("state %c", sleeping_state(pid));
	send(fd[0], "x", 1, 0);
	waitpid(pid, NULL, 0);
}

T_MAIN(T_CASE(interrupted), T_CASE(restarted), T_CASE(jumped), T_CASE(handler_sends), T_CASE(handler_wakes), T_CASE(fault_sent),
       T_CASE(masked), T_CASE(cancelled), T_CASE(cancel_due), T_CASE(cancel_busy), T_CASE(exit_with_readers), T_CASE(sleeps),
       T_CASE(part_way), T_CASE(during_the_copy))
