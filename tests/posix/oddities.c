/*
 * oddities.c - what random mixes of calls have found (a program that is not kept here), one case each
 */
#include "t.h"

static char buf[5000];

static void later(void)
{
	t_sleep_ms(10);
}

static void limit(int fd)
{
	struct timeval tv = {.tv_usec = 400000};

	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
}

static void *send_soon(void *arg)
{
	t_sleep_ms(50);
	MUST(send(*(int *)arg, "later", 5, 0));
	return NULL;
}

/* A read of nothing waits once, and is content with what ends that. */
static void reads_of_nothing(void)
{
	struct msghdr none = {0};
	pthread_t t;
	int fd[2];

	t_pair(fd);
	SHOW(recv(fd[1], buf, 0, MSG_DONTWAIT));
	SHOW(read(fd[1], buf, 0));
	limit(fd[1]);
	SHOW(recv(fd[1], buf, 0, 0));
	SHOW(recv(fd[1], buf, 0, MSG_PEEK | MSG_WAITALL));
	SHOW(recvmsg(fd[1], &none, 0));
	SHOW(recv(fd[1], buf, 1, 0));
	MUST(pthread_create(&t, NULL, send_soon, &fd[0]));
	SHOW(recv(fd[1], buf, 0, MSG_PEEK));
	pthread_join(t, NULL);
	SHOW(recv(fd[1], buf, 0, 0));
	SHOW(recv(fd[1], buf, 10, 0));
}

/* Less than SO_RCVLOWAT wakes nobody, and is taken when the time is out. */
static void low_water_in_time(void)
{
	struct timeval tv = {.tv_usec = 700000};
	int fd[2], low = 20;
	pthread_t t;

	t_pair(fd);
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(recv(fd[1], buf, 100, 0));
	MUST(send(fd[0], "now", 3, 0));
	later();
	MUST(pthread_create(&t, NULL, send_soon, &fd[0]));
	SHOW(recv(fd[1], buf, 100, 0));
	pthread_join(t, NULL);
	SHOW(recv(fd[1], buf, 100, MSG_DONTWAIT));
}

/* A length without a name is left as it was. */
static void names_of_nobody(void)
{
	struct iovec v = {buf, 3};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_namelen = 50};
	struct sockaddr_in from;
	int fd[2], u[2];

	t_pair(fd);
	t_udp_pair(u);
	MUST(send(fd[0], "hello!", 6, 0));
	MUST(send(u[0], "hello!", 6, 0));
	SHOW(recvmsg(fd[1], &m, 0));
	SHOW(m.msg_namelen);
	SHOW(recvmsg(u[1], &m, 0));
	SHOW(m.msg_namelen);
	m.msg_name = &from;
	m.msg_namelen = sizeof(from);
	SHOW(recvmsg(fd[1], &m, 0));
	SHOW(m.msg_namelen);
}

/* A piece that is no memory: nothing is read, or lost; nor sent by who cannot send. */
static void vectors_that_lead_nowhere(void)
{
	struct iovec v[3] = {{buf, 3}, {buf + 100, 4}, {(void *)8, 24}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
	int fd[2];

	t_pair(fd);
	MUST(send(fd[0], buf, 100, 0));
	later();
	SHOW(recvmsg(fd[1], &m, MSG_WAITALL | MSG_DONTWAIT));
	SHOW(recvmsg(fd[1], &m, MSG_PEEK));
	SHOW(readv(fd[1], v, 3));
	v[2].iov_base = buf + 200;
	SHOW(readv(fd[1], v, 3));
	v[2].iov_base = NULL;
	SHOW(readv(fd[1], v, 3));
	MUST(send(fd[0], buf, 10, MSG_OOB));
	later();
	SHOW(readv(fd[1], v, 3));
	SHOW(recv(fd[1], buf, 200, 0));
	MUST(shutdown(fd[0], SHUT_WR));
	signal(SIGPIPE, SIG_IGN);
	v[1].iov_base = (void *)8;
	SHOW(writev(fd[0], v, 3));
	SHOW(writev(fd[1], v, 3));
}

static void show_urgent(int fd)
{
	t_say("%s", t_poll(fd, POLLPRI | POLLIN, 0));
}

/* A read that comes to the urgent byte takes it away, also when nothing follows. */
static void urgent_byte_passed(void)
{
	struct iovec v[3] = {{buf, 3}, {buf + 3, 4}, {buf + 7, 50}}, none = {buf, 0};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
	int fd[2];

	t_pair(fd);
	limit(fd[1]);
	for (int i = 0; i < 3; i++) {
		MUST(send(fd[0], "abcde", 5, MSG_OOB));
		later();
		SHOW(recv(fd[1], buf, 4, 0));
		show_urgent(fd[1]);
		SHOW(i == 2 ? recv(fd[1], buf, 4, MSG_PEEK) : recv(fd[1], buf, 4, i ? MSG_DONTWAIT : 0));
		show_urgent(fd[1]);
		SHOW(recv(fd[1], buf, 10, MSG_OOB));
	}
	MUST(send(fd[0], "abcde", 5, MSG_OOB));
	MUST(send(fd[0], "0123456789", 10, 0));
	later();
	m.msg_iov = &none;
	m.msg_iovlen = 1;
	SHOW(recvmsg(fd[1], &m, MSG_OOB | MSG_PEEK));
	t_say("%x", m.msg_flags);
	SHOW(recv(fd[1], buf, 20, 0));
	m.msg_iov = v;
	m.msg_iovlen = 3;
	SHOW(recvmsg(fd[1], &m, MSG_PEEK));
	t_say("%.10s", buf);
	SHOW(recvmsg(fd[1], &m, 0));
	t_say("%.10s", buf);
}

/* recvmmsg: an error that waits comes first, one behind messages is the next call's. */
static void errors_of_many(void)
{
	struct linger now = {1, 0};
	struct iovec v = {buf, 3}, nowhere = {(void *)8, 3};
	struct mmsghdr m[3] = {{{.msg_iov = &v, .msg_iovlen = 1}}, {{.msg_iov = &v, .msg_iovlen = 1}},
			       {{.msg_iov = &nowhere, .msg_iovlen = 1}}};
	int fd[2], u[2], err = 0;
	socklen_t len = sizeof(err);

	t_pair(fd);
	MUST(send(fd[0], "hello world", 11, 0));
	later();
	SHOW(recvmmsg(fd[1], m, 3, MSG_DONTWAIT, NULL));
	MUST(getsockopt(fd[1], SOL_SOCKET, SO_ERROR, &err, &len));
	t_say("%s", strerror(err));
	SHOW(recvmmsg(fd[1], m, 1, MSG_DONTWAIT, NULL));
	MUST(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	close(fd[0]);
	later();
	SHOW(recvmmsg(fd[1], m, 1, MSG_DONTWAIT, NULL));
	SHOW(recvmmsg(fd[1], m, 1, MSG_DONTWAIT, NULL));
	t_udp_pair(u);
	MUST(send(u[0], "hello", 5, 0));
	close(u[1]);
	u[1] = u[0];
	MUST(send(u[0], "nobody", 6, 0));
	later();
	SHOW(recvmmsg(u[0], m, 2, MSG_DONTWAIT, NULL));
	SHOW(recvmmsg(u[0], m, 2, MSG_DONTWAIT, NULL));
}

/* recvmmsg tells what is left of its time-out, where messages came. */
static void time_left_of_many(void)
{
	struct timespec ts = {.tv_sec = 100};
	struct iovec v = {buf, 3};
	struct mmsghdr m[2] = {{{.msg_iov = &v, .msg_iovlen = 1}}, {{.msg_iov = &v, .msg_iovlen = 1}}};
	int u[2];

	t_udp_pair(u);
	for (int i = 0; i < 3; i++) {
		if (i < 2)
			MUST(send(u[0], "hello", 5, 0));
		if (i == 1)
			ts = (struct timespec){0, 1000};
		t_sleep_ms(10);
		SHOW(recvmmsg(u[1], m, 2, i == 1 ? 0 : MSG_DONTWAIT, &ts));
		t_say("%s", ts.tv_sec == 99 ? "less than 100 s" : ts.tv_sec || ts.tv_nsec ? "as it was" : "nothing");
		ts = (struct timespec){.tv_sec = 100};
	}
}

/* Less text than SO_RCVLOWAT asks for is no event. */
static void mark_without_text(void)
{
	struct epoll_event ev = {.events = EPOLLET | EPOLLIN | EPOLLOUT};
	int fd[2], ep = (int)MUST(epoll_create1(0)), low = 12;

	t_pair(fd);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev));
	SHOW(epoll_wait(ep, &ev, 1, 0));
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	SHOW(epoll_wait(ep, &ev, 1, 0));
	MUST(send(fd[0], "hello", 5, 0));
	later();
	SHOW(epoll_wait(ep, &ev, 1, 0));
	low = 4;
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	SHOW(epoll_wait(ep, &ev, 1, 0));
}

/* Who waits by EPOLLET hears of a shutdown that has nothing left to shut. */
static void shutdown_of_the_dead(void)
{
	struct epoll_event ev = {.events = EPOLLET | EPOLLIN | EPOLLOUT | EPOLLRDHUP};
	struct linger now = {1, 0};
	int fd[2], ep = (int)MUST(epoll_create1(0));

	t_pair(fd);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev));
	MUST(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	close(fd[0]);
	later();
	for (int how = 0; how < 3; how++) {
		SHOW(epoll_wait(ep, &ev, 1, 0));
		t_say("%s", t_events(ev.events));
		SHOW(epoll_wait(ep, &ev, 1, 0));
		SHOW(shutdown(fd[1], how));
	}
}

T_MAIN(T_CASE(reads_of_nothing), T_CASE(names_of_nobody), T_CASE(vectors_that_lead_nowhere),
       T_CASE(urgent_byte_passed), T_CASE(errors_of_many), T_CASE(time_left_of_many), T_CASE(mark_without_text),
       T_CASE(shutdown_of_the_dead), T_CASE(low_water_in_time))
