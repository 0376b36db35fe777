/*
 * epolls.c - posix.md 19-27, 67, 68, 85: epoll on sockets and on mixtures
 */
#include "t.h"

static char buf[1 << 18];

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = 0x1234567800000000ULL | (uint32_t)fd};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int mod(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = 0x1234567800000000ULL | (uint32_t)fd};

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

/* Waits once and prints what came, in the order of 'fds'. */
static int show(int ep, int ms, const int *fds, int nr_fds)
{
	struct epoll_event ev[16];
	int n = epoll_wait(ep, ev, 16, ms);

	t_say("wait = %d", n);
	for (int k = 0; k < nr_fds; k++) {
		for (int i = 0; i < n; i++) {
			if ((uint32_t)ev[i].data.u64 == (uint32_t)fds[k])
				t_say("  fd#%d %s data %s", k, t_events(ev[i].events),
				      ev[i].data.u64 >> 32 == 0x12345678 ? "right" : "wrong");
		}
	}
	return n;
}

static void level(void)
{
	int fd[2], ep = epoll_create1(0);

	t_pair(fd);
	SHOW(add(ep, fd[1], EPOLLIN));
	show(ep, 0, &fd[1], 1);
	send(fd[0], "abc", 3, 0);
	show(ep, 1000, &fd[1], 1);
	show(ep, 0, &fd[1], 1);
	SHOW(read(fd[1], buf, 2));
	show(ep, 0, &fd[1], 1);
	SHOW(read(fd[1], buf, 2));
	show(ep, 0, &fd[1], 1);
	SHOW(mod(ep, fd[1], EPOLLIN | EPOLLOUT));
	show(ep, 0, &fd[1], 1);
	show(ep, 0, &fd[1], 1);
	SHOW(mod(ep, fd[1], 0));
	show(ep, 0, &fd[1], 1);
	SHOW(mod(ep, fd[1], EPOLLIN | EPOLLRDHUP));
	close(fd[0]);
	show(ep, 1000, &fd[1], 1);
	show(ep, 0, &fd[1], 1);
}

static void edge(void)
{
	int fd[2], ep = epoll_create1(0);

	t_pair(fd);
	SHOW(add(ep, fd[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
	show(ep, 0, &fd[1], 1);
	show(ep, 0, &fd[1], 1);
	send(fd[0], "abc", 3, 0);
	show(ep, 1000, &fd[1], 1);
	show(ep, 0, &fd[1], 1);
	send(fd[0], "def", 3, 0);
	show(ep, 1000, &fd[1], 1);
	SHOW(read(fd[1], buf, 1));
	show(ep, 0, &fd[1], 1);
	SHOW(mod(ep, fd[1], EPOLLIN | EPOLLET));
	show(ep, 0, &fd[1], 1);
	show(ep, 0, &fd[1], 1);
	SHOW(mod(ep, fd[1], EPOLLIN | EPOLLRDHUP | EPOLLET));
	show(ep, 0, &fd[1], 1);
	shutdown(fd[0], SHUT_WR);
	show(ep, 1000, &fd[1], 1);
	show(ep, 50, &fd[1], 1);
}

static void edge_out(void)
{
	int fd[2], ep = epoll_create1(0);
	long total = 0, n = 0;

	t_pair(fd);
	t_nonblock(fd[0], true);
	SHOW(add(ep, fd[0], EPOLLOUT | EPOLLET));
	show(ep, 0, &fd[0], 1);
	for (ssize_t r; (r = write(fd[0], buf, sizeof(buf))) > 0;)
		total += r;
	SHOW(errno == EAGAIN);
	while (n < total) {
		ssize_t r = read(fd[1], buf, sizeof(buf));

		if (r <= 0)
			t_die("read");
		n += r;
	}
	show(ep, 1000, &fd[0], 1);
	show(ep, 50, &fd[0], 1);
}

static void oneshot(void)
{
	int fd[2], ep = epoll_create1(0);

	t_pair(fd);
	SHOW(add(ep, fd[1], EPOLLIN | EPOLLONESHOT));
	send(fd[0], "a", 1, 0);
	show(ep, 1000, &fd[1], 1);
	send(fd[0], "b", 1, 0);
	show(ep, 50, &fd[1], 1);
	SHOW(mod(ep, fd[1], EPOLLIN | EPOLLONESHOT));
	show(ep, 1000, &fd[1], 1);
	close(fd[0]);
	show(ep, 50, &fd[1], 1);
}

static void errors(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd[2], ep = epoll_create1(0), ep2 = epoll_create1(EPOLL_CLOEXEC);
	int f = open("/etc/passwd", O_RDONLY);

	t_pair(fd);
	SHOW(epoll_create(0));
	SHOW(epoll_create1(7));
	SHOW(add(ep, fd[1], EPOLLIN));
	SHOW(add(ep, fd[1], EPOLLIN));
	SHOW(mod(ep, fd[0], EPOLLIN));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd[1], NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd[1], &ev));
	SHOW(add(ep, 999, EPOLLIN));
	SHOW(add(999, fd[1], EPOLLIN));
	SHOW(add(f, fd[1], EPOLLIN));
	SHOW(add(ep, f, EPOLLIN));
	SHOW(add(ep, ep, EPOLLIN));
	SHOW(epoll_ctl(ep, 77, fd[1], &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], NULL));
	SHOW(add(ep, fd[1], EPOLLIN | EPOLLEXCLUSIVE));
	SHOW(mod(ep, fd[1], EPOLLIN | EPOLLEXCLUSIVE));
	SHOW(mod(ep, fd[1], EPOLLIN));
	SHOW(add(ep, fd[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
	SHOW(add(ep, ep2, EPOLLIN));
	SHOW(add(ep2, ep, EPOLLIN));
	SHOW(epoll_wait(ep, &ev, 0, 0));
	SHOW(epoll_wait(ep, &ev, -1, 0));
	SHOW(epoll_wait(fd[0], &ev, 1, 0));
	SHOW(epoll_wait(999, &ev, 1, 0));
	send(fd[0], "x", 1, 0);
	t_poll(fd[1], POLLIN, 1000);
	SHOW(mod(ep, fd[1], EPOLLIN | EPOLLWAKEUP));
}

static void hup(void)
{
	int fd[2], s = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
	struct linger lg = {1, 0};

	SHOW(add(ep, s, 0));
	show(ep, 0, &s, 1);
	SHOW(mod(ep, s, EPOLLIN | EPOLLOUT));
	show(ep, 0, &s, 1);
	close(s);
	t_pair(fd);
	SHOW(add(ep, fd[0], 0));
	show(ep, 0, fd, 1);
	setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd[1]);
	show(ep, 1000, fd, 1);
	SHOW(mod(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP));
	show(ep, 1000, fd, 1);
	SHOW(read(fd[0], buf, 1));
	show(ep, 0, fd, 1);
}

static void mixed(void)
{
	struct itimerspec its = {.it_value = {0, 20000000}};
	uint64_t one = 1;
	int fd[2], p[2], e = eventfd(0, 0), t = timerfd_create(CLOCK_MONOTONIC, 0);
	int ep = epoll_create1(0);

	t_pair(fd);
	MUST(pipe(p));
	int all[4] = {fd[1], p[0], e, t};

	for (int i = 0; i < 4; i++)
		SHOW(add(ep, all[i], EPOLLIN));
	show(ep, 0, all, 4);
	MUST(write(p[1], "x", 1));
	show(ep, 1000, all, 4);
	MUST(write(e, &one, 8));
	send(fd[0], "y", 1, 0);
	t_sleep_ms(30);
	show(ep, 1000, all, 4);
	MUST(read(p[0], buf, 1));
	MUST(read(e, buf, 8));
	MUST(read(fd[1], buf, 1));
	timerfd_settime(t, 0, &its, NULL);
	show(ep, 1000, all, 4);
	struct epoll_event ev[4];
	MUST(write(p[1], "x", 1));
	MUST(write(e, &one, 8));
	send(fd[0], "y", 1, 0);
	t_sleep_ms(30);
	SHOW(epoll_wait(ep, ev, 2, 1000));
	SHOW(epoll_wait(ep, ev, 2, 1000));
}

static void *poke(void *arg)
{
	int *fd = arg;

	t_sleep_ms(50);
	if (send(fd[0], "late", 4, 0) != 4)
		t_die("send");
	return NULL;
}

static void blocking(void)
{
	int fd[2], ep = epoll_create1(0);
	int64_t t0;
	pthread_t th;

	t_pair(fd);
	SHOW(add(ep, fd[1], EPOLLIN));
	t0 = t_now_ms();
	show(ep, 100, &fd[1], 1);
	t_say("%s", t_about(t_now_ms() - t0, 100));
	pthread_create(&th, NULL, poke, fd);
	t0 = t_now_ms();
	show(ep, -1, &fd[1], 1);
	t_say("%s", t_about(t_now_ms() - t0, 50));
	pthread_join(th, NULL);
	struct timespec ts = {0, 500000};
	struct epoll_event ev;
	SHOW(read(fd[1], buf, 10));
	SHOW(epoll_pwait2(ep, &ev, 1, &ts, NULL));
	SHOW(epoll_pwait(ep, &ev, 1, 1, NULL));
}

/* Registering while another thread waits takes effect. */
static void *adder(void *arg)
{
	int *a = arg;

	t_sleep_ms(50);
	add(a[0], a[1], EPOLLIN);
	return NULL;
}

static void ctl_while_waiting(void)
{
	int fd[2], ep = epoll_create1(0), a[2];
	pthread_t th;

	t_pair(fd);
	send(fd[0], "x", 1, 0);
	t_poll(fd[1], POLLIN, 1000);
	a[0] = ep;
	a[1] = fd[1];
	pthread_create(&th, NULL, adder, a);
	show(ep, 2000, &fd[1], 1);
	pthread_join(th, NULL);
}

/* Two threads register at once while a third waits, and first of all. */
struct meeting {
	pthread_barrier_t all;
	int ep;
};

static void *meet(void *arg)
{
	struct meeting *m = arg;
	int fd[2];

	t_pair(fd);
	pthread_barrier_wait(&m->all);
	add(m->ep, fd[1], EPOLLIN);
	pthread_barrier_wait(&m->all);
	send(fd[0], "x", 1, 0);
	pthread_barrier_wait(&m->all);
	close(fd[0]);
	close(fd[1]);
	return NULL;
}

static void *first_event(void *arg)
{
	struct epoll_event ev;

	return (void *)(long)epoll_wait(((struct meeting *)arg)->ep, &ev, 1, 5000);
}

static void adders_meet(void)
{
	struct meeting m;
	pthread_t th[3];
	int woken = 0;
	void *got;

	pthread_barrier_init(&m.all, NULL, 3);
	for (int i = 0; i < 300; i++) {
		m.ep = epoll_create1(0);
		pthread_create(&th[2], NULL, first_event, &m);
		for (int k = 0; k < 2; k++)
			pthread_create(&th[k], NULL, meet, &m);
		t_sleep_ms(1);
		pthread_barrier_wait(&m.all);
		pthread_barrier_wait(&m.all);
		pthread_join(th[2], &got);
		woken += got == (void *)1;
		pthread_barrier_wait(&m.all);
		pthread_join(th[0], NULL);
		pthread_join(th[1], NULL);
		close(m.ep);
	}
	t_show("woken", woken);
}

static void nested(void)
{
	int fd[2], in = epoll_create1(0), out = epoll_create1(0);
	pthread_t th;

	t_pair(fd);
	SHOW(add(in, fd[1], EPOLLIN));
	SHOW(add(out, in, EPOLLIN));
	show(out, 0, &in, 1);
	t_say("poll %s", t_poll(in, POLLIN, 0));
	send(fd[0], "x", 1, 0);
	t_poll(fd[1], POLLIN, 1000);
	show(out, 1000, &in, 1);
	t_say("poll %s", t_poll(in, POLLIN, 0));
	SHOW(read(fd[1], buf, 1));
	show(in, 0, &fd[1], 1);
	show(out, 0, &in, 1);
	pthread_create(&th, NULL, poke, fd);
	show(out, 2000, &in, 1);
	pthread_join(th, NULL);
	SHOW(read(fd[1], buf, 10));
	pthread_create(&th, NULL, poke, fd);
	t_say("poll %s", t_poll(in, POLLIN, 2000));
	pthread_join(th, NULL);
}

static void two_sets(void)
{
	int fd[2], a = epoll_create1(0), b = epoll_create1(0);

	t_pair(fd);
	SHOW(add(a, fd[1], EPOLLIN));
	SHOW(add(b, fd[1], EPOLLIN | EPOLLET));
	send(fd[0], "x", 1, 0);
	show(a, 1000, &fd[1], 1);
	show(b, 1000, &fd[1], 1);
	show(a, 0, &fd[1], 1);
	show(b, 0, &fd[1], 1);
}

static void dup_close(void)
{
	int fd[2], d, ep = epoll_create1(0);

	t_pair(fd);
	SHOW(add(ep, fd[1], EPOLLIN));
	d = dup(fd[1]);
	close(fd[1]);
	send(fd[0], "x", 1, 0);
	t_poll(d, POLLIN, 1000);
	show(ep, 1000, &fd[1], 1);
	SHOW(add(ep, d, EPOLLIN));
	show(ep, 0, &d, 1);
	close(d);
	show(ep, 0, &d, 1);
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, d, NULL));
}

static void reuse(void)
{
	int fd[2], again[2], ep = epoll_create1(0);

	t_pair(fd);
	SHOW(add(ep, fd[1], EPOLLIN));
	send(fd[0], "x", 1, 0);
	t_poll(fd[1], POLLIN, 1000);
	close(fd[1]);
	close(fd[0]);
	t_pair(again);
	show(ep, 0, again, 2);
	SHOW(add(ep, again[1], EPOLLIN));
	show(ep, 0, again, 2);
	send(again[0], "y", 1, 0);
	show(ep, 1000, again, 2);
}

static void listener(void)
{
	int l = t_listen(5), ep = epoll_create1(0), c, s;

	SHOW(add(ep, l, EPOLLIN));
	show(ep, 0, &l, 1);
	c = t_connect(t_port(l));
	show(ep, 1000, &l, 1);
	show(ep, 0, &l, 1);
	s = SHOW(accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0;
	show(ep, 0, &l, 1);
	t_nonblock(l, true);
	SHOW(accept(l, NULL, NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, l, NULL));
	SHOW(add(ep, l, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE));
	close(c);
	c = t_connect(t_port(l));
	show(ep, 1000, &l, 1);
	show(ep, 0, &l, 1);
	(void)s;
	close(t_connect(t_port(l)));
	show(ep, 1000, &l, 1);
}

static void connecting(void)
{
	struct sockaddr_in a;
	int l = t_listen(5), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int ep = epoll_create1(0), err, r;
	socklen_t len = sizeof(err);

	SHOW(add(ep, s, EPOLLOUT | EPOLLIN | EPOLLET));
	a = t_addr(t_port(l));
	r = connect(s, (struct sockaddr *)&a, sizeof(a));
	t_say("connect %s", r < 0 && errno != EINPROGRESS ? strerrorname_np(errno) : "started");
	t_sleep_ms(50);
	show(ep, 1000, &s, 1);
	SHOW(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len));
	t_say("%d", err);
	show(ep, 20, &s, 1);
	close(l);
	close(s);
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(add(ep, s, EPOLLOUT | EPOLLIN | EPOLLRDHUP));
	r = connect(s, (struct sockaddr *)&a, sizeof(a));
	t_say("connect %s",
	      r < 0 && errno != EINPROGRESS && errno != ECONNREFUSED ? strerrorname_np(errno) : "started");
	show(ep, 1000, &s, 1);
	SHOW(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len));
	show(ep, 0, &s, 1);
}

static void *waiter(void *arg)
{
	struct epoll_event ev;

	return (void *)(long)epoll_wait(*(int *)arg, &ev, 1, 300);
}

/* One set, four threads: an edge wakes one. */
static void threads(void)
{
	int fd[2], ep = epoll_create1(0), woken = 0;
	pthread_t th[4];
	void *r;

	t_pair(fd);
	SHOW(add(ep, fd[1], EPOLLIN | EPOLLET));
	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, waiter, &ep);
	t_sleep_ms(50);
	send(fd[0], "x", 1, 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(th[i], &r);
		woken += (long)r > 0;
	}
	t_say("woken %d", woken);
}

static void raw_calls(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd[2], ep = (int)syscall(SYS_epoll_create1, 0);

	t_pair(fd);
	SHOW(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd[1], &ev));
	SHOW(syscall(SYS_write, fd[0], "abc", 3));
	SHOW(syscall(SYS_epoll_wait, ep, &ev, 1, 1000));
	SHOW(syscall(SYS_read, fd[1], buf, 100));
	SHOW(syscall(SYS_epoll_pwait, ep, &ev, 1, 0, NULL, 8));
	SHOW(syscall(SYS_sendto, fd[0], "abc", 3, 0, NULL, 0));
	SHOW(syscall(SYS_recvfrom, fd[1], buf, 100, 0, NULL, NULL));
	SHOW(syscall(SYS_close, fd[1]));
	SHOW(recv(fd[0], buf, 10, 0));
}

T_MAIN(T_CASE(level), T_CASE(edge), T_CASE(edge_out), T_CASE(oneshot), T_CASE(errors), T_CASE(hup),
       T_CASE(mixed), T_CASE(blocking), T_CASE(ctl_while_waiting), T_CASE(adders_meet), T_CASE(nested), T_CASE(two_sets),
       T_CASE(dup_close), T_CASE(reuse), T_CASE(listener), T_CASE(connecting), T_CASE(threads),
       T_CASE(raw_calls))
