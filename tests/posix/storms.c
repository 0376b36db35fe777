/*
 * storms.c - many threads, signals and forks at once; every byte is checked
 *
 * A case ends with sums that do not depend on timing. A hang is ended by the frame's alarm.
 */
#include "t.h"

#include <sched.h>
#include <setjmp.h>

/* A stream whose byte at offset i is known. */
static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(i * 131 + (i >> 8) * 7 + (i >> 16));
}

static void fill_at(unsigned char *p, size_t n, uint64_t off)
{
	for (size_t i = 0; i < n; i++)
		p[i] = byte_at(off + i);
}

static bool is_right(const unsigned char *p, size_t n, uint64_t off)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != byte_at(off + i))
			return false;
	}
	return true;
}

struct flow {
	int fd;
	uint64_t bytes, done;
	bool wrong;
};

/* Sends flow.bytes known bytes in pieces of odd sizes; a signal may cut any of them. */
static void *sends(void *arg)
{
	struct flow *f = arg;
	unsigned char buf[20000];
	unsigned int turn = 0;

	while (f->done < f->bytes) {
		size_t n = 1 + turn++ * 7919 % sizeof(buf);
		ssize_t r;

		if (n > f->bytes - f->done)
			n = f->bytes - f->done;
		fill_at(buf, n, f->done);
		r = send(f->fd, buf, n, MSG_NOSIGNAL);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		f->done += (uint64_t)r;
	}
	shutdown(f->fd, SHUT_WR);
	return NULL;
}

static void *receives(void *arg)
{
	struct flow *f = arg;
	unsigned char buf[30000];
	unsigned int turn = 0;

	for (;;) {
		ssize_t r = recv(f->fd, buf, 1 + turn++ * 6007 % sizeof(buf), 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		f->wrong |= !is_right(buf, (size_t)r, f->done);
		f->done += (uint64_t)r;
	}
	return NULL;
}

/* Four flows both ways under a signal each millisecond. */
static volatile sig_atomic_t nr_alarms;

static void on_alarm(int sig)
{
	int e = errno;

	(void)sig;
	nr_alarms++;
	sched_yield();
	errno = e;
}

static void tick(void (*fn)(int), int flags, long us)
{
	struct sigaction act = {.sa_handler = fn, .sa_flags = flags};
	struct itimerval it = {{0, us}, {0, us}};

	MUST(sigaction(SIGALRM, &act, NULL));
	MUST(setitimer(ITIMER_REAL, &it, NULL));
}

static void transfers(uint64_t bytes)
{
	struct flow f[8] = {{0}};
	pthread_t th[8];
	int fd[2];

	for (int i = 0; i < 8; i += 4) {
		t_pair(fd);
		for (int k = 0; k < 4; k++)
			f[i + k] = (struct flow){.fd = fd[k / 2 ^ (k & 1)], .bytes = bytes};
	}
	for (int i = 0; i < 8; i++)
		MUST(-pthread_create(&th[i], NULL, i & 1 ? receives : sends, &f[i]));
	for (int i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
	for (int i = 0; i < 8; i++)
		t_say("flow %d: %lu bytes%s", i, (unsigned long)f[i].done, f[i].wrong ? " WRONG" : "");
}

static void signal_storm(void)
{
	tick(on_alarm, SA_RESTART, 1000);
	transfers(3000000);
	tick(on_alarm, 0, 1000);
	transfers(3000000);
	t_say("signals came: %s", nr_alarms > 3 ? "yes" : "no");
}

/* A handler leaves waits by siglongjmp; what is transferred meanwhile stays right. */
static sigjmp_buf back;
static volatile sig_atomic_t jumping;

static void on_jump(int sig)
{
	(void)sig;
	if (jumping) {
		jumping = 0;
		siglongjmp(back, 1);
	}
}

static void wait_somehow(int fd, int epfd, int how)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event ev;
	fd_set set;
	char c;

	switch (how) {
	case 0:
		poll(&p, 1, -1);
		break;
	case 1:
		epoll_wait(epfd, &ev, 1, -1);
		break;
	case 2:
		FD_ZERO(&set);
		FD_SET(fd, &set);
		select(fd + 1, &set, NULL, NULL, NULL);
		break;
	default:
		recv(fd, &c, 1, MSG_PEEK);
		break;
	}
}

static void jump_storm(void)
{
	static volatile int turn, nr_jumps;
	static int fd[2];
	struct epoll_event ev = {.events = EPOLLIN};
	static struct flow tx, rx;
	pthread_t a, b;
	sigset_t set;
	static int idle[2], epfd;

	t_pair(fd);
	t_pair(idle);
	epfd = (int)MUST(epoll_create1(0));
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, idle[0], &ev));
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	tx = (struct flow){.fd = fd[0], .bytes = 5000000};
	rx = (struct flow){.fd = fd[1]};
	pthread_create(&a, NULL, sends, &tx);
	pthread_create(&b, NULL, receives, &rx);
	tick(on_jump, 0, 1500);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	for (turn = 0; turn < 400; turn++) {
		if (sigsetjmp(back, 1) == 0) {
			jumping = 1;
			wait_somehow(idle[0], epfd, turn % 4);
			t_say("a wait ended by itself");
		} else {
			nr_jumps++;
		}
	}
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	t_say("%d jumps, %lu bytes%s", nr_jumps, (unsigned long)rx.done, rx.wrong ? " WRONG" : "");
	MUST(write(idle[1], "x", 1));
	SHOW(epoll_wait(epfd, &ev, 1, 2000));
	t_say("%s", t_poll(idle[0], POLLIN, 2000));
}

/* ---- threads ---- */

#define NR_CLIENTS 200

static int storm_port;

static void *echo_thread(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[3000];
	ssize_t r;

	while ((r = read(fd, buf, sizeof(buf))) > 0) {
		if (t_write_all(fd, buf, (size_t)r) < 0)
			break;
	}
	close(fd);
	return NULL;
}

static void *acceptor(void *arg)
{
	int l = (int)(intptr_t)arg, fd;
	pthread_attr_t attr;
	pthread_t th;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 128 << 10);
	while ((fd = accept(l, NULL, NULL)) >= 0) {
		if (pthread_create(&th, &attr, echo_thread, (void *)(intptr_t)fd))
			close(fd);
	}
	return NULL;
}

static void *client_thread(void *arg)
{
	int n = (int)(intptr_t)arg, fd = t_connect(storm_port);
	unsigned char out[2500], in[2500];
	long good = 0;

	for (int i = 0; i < 5; i++) {
		fill_at(out, sizeof(out), (uint64_t)n * 77 + (uint64_t)i);
		if (t_write_all(fd, out, sizeof(out)) < 0 ||
		    t_read_all(fd, in, sizeof(in)) != (ssize_t)sizeof(in))
			break;
		good += !memcmp(in, out, sizeof(in));
	}
	close(fd);
	return (void *)good;
}

static void thread_each(void)
{
	pthread_t th, cl[NR_CLIENTS];
	pthread_attr_t attr;
	int l = t_listen(512);
	long sum = 0;
	void *r;

	storm_port = t_port(l);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	MUST(-pthread_create(&th, NULL, acceptor, (void *)(intptr_t)l));
	for (intptr_t i = 0; i < NR_CLIENTS; i++)
		MUST(-pthread_create(&cl[i], &attr, client_thread, (void *)i));
	for (int i = 0; i < NR_CLIENTS; i++) {
		pthread_join(cl[i], &r);
		sum += (long)r;
	}
	t_say("%ld answers of %d", sum, NR_CLIENTS * 5);
}

/* Several readers and writers of one connection: no byte twice, none lost. */
static _Atomic uint64_t total_in, total_out, sum_in, sum_out;

static void *many_write(void *arg)
{
	unsigned char buf[3000];

	for (int i = 0; i < 300; i++) {
		size_t n = 1 + (size_t)i * 37 % sizeof(buf);

		memset(buf, i, n);
		if (t_write_all((int)(intptr_t)arg, buf, n) < 0)
			break;
		total_out += n;
		sum_out += (uint64_t)(i & 255) * n;
	}
	return NULL;
}

static void *many_read(void *arg)
{
	unsigned char buf[5000];
	ssize_t r;

	while ((r = read((int)(intptr_t)arg, buf, sizeof(buf))) > 0) {
		total_in += (uint64_t)r;
		for (ssize_t i = 0; i < r; i++)
			sum_in += buf[i];
	}
	return NULL;
}

static void many_on_one(void)
{
	pthread_t w[8], r[24];
	int fd[2];

	t_pair(fd);
	for (int i = 0; i < 24; i++)
		MUST(-pthread_create(&r[i], NULL, many_read, (void *)(intptr_t)fd[1]));
	for (int i = 0; i < 8; i++)
		MUST(-pthread_create(&w[i], NULL, many_write, (void *)(intptr_t)fd[0]));
	for (int i = 0; i < 8; i++)
		pthread_join(w[i], NULL);
	shutdown(fd[0], SHUT_WR);
	for (int i = 0; i < 24; i++)
		pthread_join(r[i], NULL);
	t_say("sent %lu, received %lu, sums %s", (unsigned long)total_out, (unsigned long)total_in,
	      sum_in == sum_out ? "equal" : "DIFFER");
}

/* Threads close, duplicate, register and use the same few numbers at once: nothing but errors. */
static int few[6];
static _Atomic bool few_stop;

static void *meddler(void *arg)
{
	unsigned int seed = (unsigned int)(intptr_t)arg;
	int epfd = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET}, evs[8];
	char buf[64];

	while (!few_stop) {
		int fd = few[rand_r(&seed) % 6], to = few[rand_r(&seed) % 6];

		switch (rand_r(&seed) % 9) {
		case 0:
			dup2(fd, to);
			break;
		case 1:
			epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
			break;
		case 2:
			epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
			break;
		case 3:
			epoll_wait(epfd, evs, 8, 0);
			break;
		case 4:
			recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
			break;
		case 5:
			send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case 6:
			close(dup(fd));
			break;
		case 7:
			poll(&(struct pollfd){.fd = fd, .events = POLLIN | POLLOUT}, 1, 0);
			break;
		default:
			close(epfd);
			epfd = epoll_create1(0);
			break;
		}
	}
	close(epfd);
	return NULL;
}

static void meddling(void)
{
	pthread_t th[8];
	int fd[2];

	for (int i = 0; i < 6; i += 2)
		t_pair(&few[i]);
	for (intptr_t i = 0; i < 8; i++)
		MUST(-pthread_create(&th[i], NULL, meddler, (void *)(i + 1)));
	t_sleep_ms(1500);
	few_stop = true;
	for (int i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
	for (int i = 0; i < 6; i++)
		close(few[i]);
	t_pair(fd);
	SHOW(write(fd[0], "after", 5));
	t_say("%s", t_poll(fd[1], POLLIN, 2000));
}

/* Threads are cancelled in every kind of wait; the sockets serve on. */
static int cancel_fd[2], cancel_listener;

static void *waits_for_ever(void *arg)
{
	struct epoll_event ev = {.events = EPOLLIN};
	intptr_t how = (intptr_t)arg;
	char c;
	int epfd;

	if (how % 4 == 0)
		read(cancel_fd[0], &c, 1);
	else if (how % 4 == 1)
		poll(&(struct pollfd){.fd = cancel_fd[0], .events = POLLIN}, 1, -1);
	else if (how % 4 == 2)
		accept(cancel_listener, NULL, NULL);
	else {
		epfd = epoll_create1(0);
		epoll_ctl(epfd, EPOLL_CTL_ADD, cancel_fd[0], &ev);
		epoll_wait(epfd, &ev, 1, -1);
	}
	return NULL;
}

static void cancel_storm(void)
{
	pthread_t th[32];
	int ok = 0, c;
	void *r;
	char x;

	t_pair(cancel_fd);
	cancel_listener = t_listen(5);
	for (int round = 0; round < 6; round++) {
		for (intptr_t i = 0; i < 32; i++)
			MUST(-pthread_create(&th[i], NULL, waits_for_ever, (void *)i));
		t_sleep_ms(round * 3);
		for (int i = 0; i < 32; i++)
			pthread_cancel(th[i]);
		for (int i = 0; i < 32; i++) {
			pthread_join(th[i], &r);
			ok += r == PTHREAD_CANCELED;
		}
	}
	t_say("%d cancelled", ok);
	MUST(write(cancel_fd[1], "y", 1));
	SHOW(read(cancel_fd[0], &x, 1));
	c = t_connect(t_port(cancel_listener));
	SHOW(accept(cancel_listener, NULL, NULL) >= 0);
	close(c);
}

/* ---- forks ---- */

static void serve_child(int fd)
{
	char buf[4096];
	ssize_t r;

	while ((r = read(fd, buf, sizeof(buf))) > 0)
		t_write_all(fd, buf, (size_t)r);
	_exit(0);
}

/* A child for each of 100 connections that all live at once, as a database server has them. */
static void fork_each(void)
{
	enum { N = 100 };
	int l = t_listen(N), c[N], good = 0, ended = 0, status;
	unsigned char out[3000], in[3000];

	for (int i = 0; i < N; i++) {
		int fd;

		c[i] = t_connect(t_port(l));
		fd = (int)MUST(accept(l, NULL, NULL));
		if (MUST(fork()) == 0) {
			close(l);
			for (int k = 0; k <= i; k++)
				close(c[k]);
			serve_child(fd);
		}
		close(fd);
	}
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < N; i++) {
			fill_at(out, sizeof(out), (uint64_t)(i + turn));
			t_write_all(c[i], out, sizeof(out));
		}
		for (int i = 0; i < N; i++) {
			fill_at(out, sizeof(out), (uint64_t)(i + turn));
			good += t_read_all(c[i], in, sizeof(in)) == (ssize_t)sizeof(in) &&
				!memcmp(in, out, sizeof(in));
		}
	}
	t_say("%d good answers", good);
	for (int i = 0; i < N; i++)
		close(c[i]);
	while (wait(&status) > 0)
		ended += status == 0;
	t_say("%d children ended well", ended);
}

/* Children come and go in the middle of other threads' transfers. */
static void fork_among_threads(void)
{
	struct flow tx = {.bytes = 4000000}, rx = {0};
	int fd[2], ended = 0, status;
	pthread_t a, b;

	t_pair(fd);
	tx.fd = fd[0];
	rx.fd = fd[1];
	MUST(-pthread_create(&a, NULL, sends, &tx));
	MUST(-pthread_create(&b, NULL, receives, &rx));
	for (int i = 0; i < 40; i++) {
		pid_t pid = (pid_t)MUST(fork());

		if (pid == 0) {
			if (i % 2)
				t_pair(fd);
			_exit(0);
		}
		if (i % 4 == 0)
			kill(pid, SIGKILL);
	}
	while (wait(&status) > 0)
		ended++;
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	t_say("%d children, %lu bytes%s", ended, (unsigned long)rx.done, rx.wrong ? " WRONG" : "");
}

/* Clients that read nothing of an endless answer, and after them one that is served all the same. */
static void blast(int l)
{
	static char chunk[65536];
	int n = 0;

	t_nonblock(l, true);
	for (;;) {
		int c = accept(l, NULL, NULL);

		if (c < 0) {
			t_sleep_ms(1);
			continue;
		}
		if (n == 400)
			break;
		t_nonblock(c, true);
		while (write(c, chunk, sizeof(chunk)) > 0)
			;
		n++;
	}
	t_nonblock(l, false);
	for (int i = 0; i < 3; i++) {
		int c = (int)MUST(accept(l, NULL, NULL));
		ssize_t r = read(c, chunk, 100);

		t_write_all(c, chunk, (size_t)r);
		close(c);
	}
	_exit(0);
}

static void slow_readers(void)
{
	int l = t_listen(512), port = t_port(l), status;
	pid_t pid = (pid_t)MUST(fork());
	char buf[100] = "hello";

	if (pid == 0)
		blast(l);
	for (int i = 0; i < 401; i++)
		t_connect(port);
	t_sleep_ms(300);
	for (int i = 0; i < 3; i++) {
		int fd = t_connect(port);

		MUST(write(fd, buf, sizeof(buf)));
		SHOW(t_read_all(fd, buf, sizeof(buf)));
		close(fd);
	}
	waitpid(pid, &status, 0);
	t_say("the server ended with %d", status);
}

T_MAIN(T_CASE(signal_storm), T_CASE(jump_storm), T_CASE(thread_each), T_CASE(many_on_one),
       T_CASE(meddling), T_CASE(cancel_storm), T_CASE(fork_each), T_CASE(fork_among_threads), T_CASE(slow_readers))
