/*
 * polls.c - posix.md 29: poll and select
 */
#include "t.h"

#include <sys/resource.h>

static char buf[4096];

static void mixed(void)
{
	int fd[2], p[2];

	t_pair(fd);
	MUST(pipe(p));
	struct pollfd f[6] = {{fd[0], POLLIN, 99},	      {fd[1], POLLIN | POLLOUT, 99},
			      {p[0], POLLIN, 99},	      {-1, POLLIN, 99},
			      {999, POLLIN | POLLOUT, 99}, {p[1], POLLOUT, 99}};
	SHOW(poll(f, 6, 0));
	for (int i = 0; i < 6; i++)
		t_say("%d %s", i, t_events((unsigned short)f[i].revents));
	send(fd[0], "x", 1, 0);
	MUST(write(p[1], "y", 1));
	t_sleep_ms(20);
	SHOW(poll(f, 6, 100));
	for (int i = 0; i < 6; i++)
		t_say("%d %s", i, t_events((unsigned short)f[i].revents));
	f[0].fd = f[1].fd = f[4].fd = -5;
	SHOW(read(p[0], buf, 10));
	int64_t t0 = t_now_ms();
	SHOW(poll(f, 4, 60));
	t_say("%s", t_about(t_now_ms() - t0, 60));
	SHOW(poll(NULL, 0, 20));
	SHOW(poll((void *)8, 1, 0));
	SHOW(poll(f, 6, -1));
}

static void *poke(void *arg)
{
	t_sleep_ms(50);
	send(*(int *)arg, "z", 1, 0);
	return NULL;
}

static void *poke_pipe(void *arg)
{
	t_sleep_ms(50);
	MUST(write(*(int *)arg, "z", 1));
	return NULL;
}

static void wakes(void)
{
	pthread_t th;
	int fd[2], p[2];

	t_pair(fd);
	MUST(pipe(p));
	struct pollfd f[2] = {{fd[1], POLLIN, 0}, {p[0], POLLIN, 0}};

	pthread_create(&th, NULL, poke, &fd[0]);
	SHOW(poll(f, 2, 2000));
	t_say("%s %s", t_events((unsigned short)f[0].revents), t_events((unsigned short)f[1].revents));
	pthread_join(th, NULL);
	SHOW(read(fd[1], buf, 10));
	pthread_create(&th, NULL, poke_pipe, &p[1]);
	SHOW(poll(f, 2, 2000));
	t_say("%s %s", t_events((unsigned short)f[0].revents), t_events((unsigned short)f[1].revents));
	pthread_join(th, NULL);
	struct timespec ts = {0, 50000000};
	f[1].fd = -1;
	SHOW(ppoll(f, 2, &ts, NULL));
	t_say("%ld", ts.tv_nsec);
}

static void selects(void)
{
	struct timeval tv = {0, 0};
	fd_set r, w, e;
	int fd[2], p[2], n;

	t_pair(fd);
	MUST(pipe(p));
	n = p[1] + 1;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(fd[1], &r);
	FD_SET(p[0], &r);
	FD_SET(fd[0], &w);
	FD_SET(p[1], &w);
	FD_SET(fd[1], &e);
	SHOW(select(n, &r, &w, &e, &tv));
	t_say("%d %d %d %d %d", FD_ISSET(fd[1], &r), FD_ISSET(p[0], &r), FD_ISSET(fd[0], &w),
	      FD_ISSET(p[1], &w), FD_ISSET(fd[1], &e));
	send(fd[0], "x", 1, 0);
	t_sleep_ms(20);
	FD_SET(fd[1], &r);
	FD_SET(p[0], &r);
	tv.tv_sec = 5;
	SHOW(select(n, &r, NULL, NULL, &tv));
	t_say("%d %d left %d", FD_ISSET(fd[1], &r), FD_ISSET(p[0], &r), (int)tv.tv_sec);
	SHOW(read(fd[1], buf, 10));
	FD_ZERO(&r);
	FD_SET(fd[1], &r);
	tv = (struct timeval){0, 50000};
	SHOW(select(n, &r, NULL, NULL, &tv));
	t_say("%d left %ld", FD_ISSET(fd[1], &r), (long)tv.tv_usec);
	pthread_t th;
	FD_SET(fd[1], &r);
	FD_SET(p[0], &r);
	pthread_create(&th, NULL, poke, &fd[0]);
	SHOW(select(n, &r, NULL, NULL, NULL));
	t_say("%d %d", FD_ISSET(fd[1], &r), FD_ISSET(p[0], &r));
	pthread_join(th, NULL);
	close(p[0]);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	FD_SET(fd[1], &r);
	SHOW(select(n, &r, NULL, NULL, &tv));
	SHOW(select(-1, &r, NULL, NULL, &tv));
	tv = (struct timeval){0, 20000};
	SHOW(select(0, NULL, NULL, NULL, &tv));
	struct timespec ts = {0, 20000000};
	FD_ZERO(&r);
	FD_SET(fd[1], &r);
	SHOW(read(fd[1], buf, 10));
	SHOW(pselect(n, &r, NULL, NULL, &ts, NULL));
}

static void high_numbers(void)
{
	unsigned char big[2048 / 8] = {0};
	struct timeval tv = {0, 0};
	int fd[2], hi;

	t_pair(fd);
	hi = fcntl(fd[1], F_DUPFD, 1500);
	SHOW(hi);
	if (hi < 0)
		return;
	send(fd[0], "x", 1, 0);
	t_poll(hi, POLLIN, 1000);
	big[hi / 8] |= (unsigned char)(1 << (hi % 8));
	SHOW(select(hi + 1, (fd_set *)big, NULL, NULL, &tv));
	t_say("%d", big[hi / 8] != 0);
}

static void priority(void)
{
	fd_set e;
	struct timeval tv = {1, 0};
	struct linger reset = {1, 0};
	int fd[2];

	t_pair(fd);
	send(fd[0], "u", 1, MSG_OOB);
	FD_ZERO(&e);
	FD_SET(fd[1], &e);
	SHOW(select(fd[1] + 1, NULL, NULL, &e, &tv));
	t_say("poll %s", t_poll(fd[1], POLLIN | POLLPRI, 0));
	setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd[0]);
	t_say("reset %s", t_poll(fd[1], POLLIN, 1000));
	t_say("poll %s", t_poll(fd[1], POLLIN | POLLPRI, 0));
	SHOW(recv(fd[1], &e, 1, MSG_OOB));
}

static void closed_peer(void)
{
	int fd[2];

	t_pair(fd);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP | POLLOUT | POLLRDNORM | POLLWRNORM, 0));
	close(fd[1]);
	t_say("%s", t_poll(fd[0], POLLIN | POLLRDHUP, 1000));
	t_say("%s", t_poll(fd[0], 0, 0));
	t_say("%s", t_poll(fd[0], POLLRDNORM, 0));
}

/* Sets and arrays that are no memory. */
static void bad_memory(void)
{
	fd_set *volatile no_set = (fd_set *)8;
	struct pollfd *volatile no_array = (struct pollfd *)8;
	struct timeval tv = {0};
	int fd[2];

	t_pair(fd);
	SHOW(select(fd[0] + 1, no_set, NULL, NULL, &tv));
	SHOW(select(fd[0] + 1, NULL, NULL, no_set, &tv));
	SHOW(poll(no_array, 1, 0));
}

static struct pollfd two[2];
static int set;

static void *waits(void *arg)
{
	struct epoll_event ev;

	(void)arg;
	SHOW(poll(two, 2, 5000));
	t_say("%s %s", t_events((unsigned short)two[0].revents), t_events((unsigned short)two[1].revents));
	SHOW(epoll_wait(set, &ev, 1, 5000));
	t_say("%s %d", t_events(ev.events), ev.data.fd == two[1].fd);
	return NULL;
}

/* A thread that gets no descriptor to sleep on hears of lane and kernel sockets all the same. */
static void no_descriptors(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct rlimit none = {2, 2};
	int fd[2], p[2];
	pthread_t t;

	if (!getenv("LANE_SPIN_US")) {
		setenv("LANE_SPIN_US", "0", 1);
		execl("/proc/self/exe", "polls", "no_descriptors", NULL);
		t_die("execl");
	}
	t_pair(fd);
	MUST(pipe(p));
	two[0] = (struct pollfd){.fd = fd[0], .events = POLLIN};
	two[1] = (struct pollfd){.fd = p[0], .events = POLLIN};
	set = MUST(epoll_create1(0));
	for (int i = 0; i < 2; i++) {
		ev.data.fd = two[i].fd;
		MUST(epoll_ctl(set, EPOLL_CTL_ADD, two[i].fd, &ev));
	}
	MUST(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &none, NULL));
	MUST(-pthread_create(&t, NULL, waits, NULL));
	t_sleep_ms(100);
	MUST(write(p[1], "x", 1));
	pthread_join(t, NULL);
}

T_MAIN(T_CASE(mixed), T_CASE(wakes), T_CASE(selects), T_CASE(high_numbers), T_CASE(priority),
       T_CASE(closed_peer), T_CASE(bad_memory), T_CASE(no_descriptors))
