/*
 * asyncs.c - SIGIO and SIGURG of sockets that ask for them when they are bound, listen or are connected
 *
 * How many signals come is the kernel's to choose: that one comes, or none, is shown.
 */
#include "t.h"

static char buf[100000];
static volatile sig_atomic_t raised, code, from_fd;
static volatile long band;

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	code = info->si_code;
	band = info->si_band;
	from_fd = info->si_fd;
	raised = sig;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};

	MUST(sigaction(sig, &sa, NULL));
}

static void show(const char *what, int ms)
{
	for (int i = 0; i < ms / 5 && !raised; i++)
		t_sleep_ms(5);
	t_say("%s: %s", what, raised ? strsignal(raised) : "no signal");
	t_sleep_ms(30);
	raised = 0;
}

static void show_signal(const char *what)
{
	show(what, 5000);
}

static void show_none(const char *what)
{
	show(what, 100);
}

static void ask(int fd)
{
	MUST(fcntl(fd, F_SETOWN, getpid()));
	MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

static void of_connections(void)
{
	int fd[2];

	handle(SIGIO, SA_RESTART);
	t_pair(fd);
	for (int i = 0; i < 2; i++) {
		ask(fd[i]);
		show_none("asked");
		for (int k = 0; k < 3; k++) {
			MUST(write(fd[1 - i], "hello", 5));
			show_signal("text");
		}
		MUST(t_read_all(fd[i], buf, 15));
		MUST(fcntl(fd[i], F_SETFL, 0));
		MUST(write(fd[1 - i], "hello", 5));
		show_none("off");
		MUST(t_read_all(fd[i], buf, 5));
	}
	ask(fd[1]);
	MUST(shutdown(fd[0], SHUT_WR));
	show_signal("end");
	close(fd[0]);
	t_pair(fd);
	ask(fd[0]);
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
	close(fd[1]);
	show_signal("reset");
}

static void urgent_byte(void)
{
	int fd[2];

	handle(SIGURG, 0);
	handle(SIGIO, 0);
	t_pair(fd);
	for (int i = 0; i < 2; i++) {
		MUST(send(fd[1 - i], "u", 1, MSG_OOB));
		show_none("nobody's");
		SHOW(recv(fd[i], buf, 1, MSG_OOB));
		MUST(fcntl(fd[i], F_SETOWN, getpid()));
		MUST(send(fd[1 - i], "hello", 5, 0));
		show_none("text");
		MUST(t_read_all(fd[i], buf, 5));
		MUST(send(fd[1 - i], "u", 1, MSG_OOB));
		show_signal("urgent");
		MUST(send(fd[1 - i], "u", 1, MSG_OOB));
		show_signal("urgent again");
		MUST(fcntl(fd[i], F_SETOWN, 0));
		MUST(send(fd[1 - i], "u", 1, MSG_OOB));
		show_none("nobody's again");
	}
}

static void of_listeners(void)
{
	int l = t_listen(4);

	handle(SIGIO, SA_RESTART);
	ask(l);
	show_none("asked");
	for (int i = 0; i < 2; i++) {
		close(t_connect(t_port(l)));
		show_signal("connection");
	}
	MUST(accept(l, NULL, NULL));
	MUST(fcntl(l, F_SETFL, 0));
	t_connect(t_port(l));
	show_none("off");
}

static void of_datagrams(void)
{
	int u[2];

	handle(SIGIO, SA_RESTART);
	t_udp_pair(u);
	ask(u[0]);
	show_none("asked");
	for (int i = 0; i < 2; i++) {
		MUST(send(u[1], "x", 1, 0));
		show_signal("datagram");
	}
	MUST(ioctl(u[0], FIOASYNC, &(int){0}));
	MUST(send(u[1], "x", 1, 0));
	show_none("off");
}

/* F_SETSIG: the signal, and what it says of the socket. */
static void other_signal(void)
{
	int fd[2], sig = SIGRTMIN + 3, l = t_listen(3), u[2];

	handle(sig, SA_RESTART);
	t_pair(fd);
	t_udp_pair(u);
	for (int i = 0; i < 2; i++) {
		ask(fd[i]);
		SHOW(fcntl(fd[i], F_SETSIG, sig));
		MUST(write(fd[1 - i], "hello", 5));
		for (int k = 0; k < 1000 && !raised; k++)
			t_sleep_ms(5);
		t_say("%d code %d band %lx fd %d", raised == sig, code, band, from_fd == fd[i]);
		raised = 0;
		SHOW(fcntl(fd[i], F_GETSIG) == sig);
	}
	ask(l);
	MUST(fcntl(l, F_SETSIG, sig));
	t_connect(t_port(l));
	for (int k = 0; k < 1000 && !raised; k++)
		t_sleep_ms(5);
	t_say("%d code %d band %lx fd %d", raised == sig, code, band, from_fd == l);
	t_sleep_ms(30);
	raised = 0;
	ask(u[0]);
	MUST(fcntl(u[0], F_SETSIG, sig));
	MUST(write(u[1], "hello", 5));
	for (int k = 0; k < 1000 && !raised; k++)
		t_sleep_ms(5);
	t_say("%d code %d band %lx fd %d", raised == sig, code, band, from_fd == u[0]);
}

static void show_owner(int fd, const char *what)
{
	struct f_owner_ex ex = {9, 9};
	int own, pg = 9, r;

	errno = 0;
	own = fcntl(fd, F_GETOWN);
	r = fcntl(fd, F_GETOWN_EX, &ex);
	MUST(ioctl(fd, SIOCGPGRP, &pg));
	t_say("%s: %s, %d, type %d %s, by ioctl %s, signal %d", what,
	      own == getpid() ? "I" : own == -getpgrp() ? "my group" : own ? "?" : "nobody", r, ex.type,
	      ex.pid == getpid() ? "I" : ex.pid == getpgrp() ? "my group" : ex.pid ? "?" : "nobody",
	      pg == getpid() ? "I" : pg == -getpgrp() ? "my group" : pg ? "?" : "nobody", fcntl(fd, F_GETSIG));
}

static void set_and_told(int fd)
{
	struct f_owner_ex ex = {F_OWNER_TID, gettid()};
	int pid = getpid();

	show_owner(fd, "at first");
	SHOW(fcntl(fd, F_SETOWN, getpid()));
	show_owner(fd, "pid");
	SHOW(fcntl(fd, F_SETOWN, -getpgrp()));
	show_owner(fd, "group");
	SHOW(fcntl(fd, F_SETOWN, -9999999));
	SHOW(fcntl(fd, F_SETOWN, 9999999));
	SHOW(fcntl(fd, F_SETOWN, INT32_MIN));
	show_owner(fd, "wrong");
	SHOW(fcntl(fd, F_SETOWN_EX, &ex));
	show_owner(fd, "thread");
	ex.type = 7;
	SHOW(fcntl(fd, F_SETOWN_EX, &ex));
	SHOW(fcntl(fd, F_SETOWN_EX, NULL));
	SHOW(fcntl(fd, F_GETOWN_EX, NULL));
	SHOW(fcntl(fd, F_SETSIG, 65));
	SHOW(fcntl(fd, F_SETSIG, -1));
	SHOW(fcntl(fd, F_SETSIG, SIGUSR1));
	SHOW(fcntl(fd, F_SETOWN, 0));
	show_owner(fd, "nobody");
	SHOW(ioctl(fd, FIOSETOWN, &pid));
	show_owner(fd, "ioctl");
	pid = 0;
	SHOW(ioctl(fd, SIOCSPGRP, &pid));
	show_owner(fd, "ioctl of nobody");
	SHOW(ioctl(fd, SIOCSPGRP, NULL));
	SHOW(fcntl(fd, F_SETSIG, 0));
	show_owner(fd, "last");
}

static void owners_are_told(void)
{
	int fd[2], u[2];

	MUST(setpgid(0, 0)); /* so that group and process differ by their signs only */
	t_pair(fd);
	t_udp_pair(u);
	set_and_told(fd[0]);
	set_and_told(fd[1]);
	set_and_told(u[0]);
	set_and_told(t_listen(1));
	SHOW(fcntl(0, F_SETOWN, -getpgrp()));
	u[0] = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	set_and_told(u[0]);
}

/* By ioctl(2), before and after there is a connection. */
static void by_ioctl(void)
{
	struct sockaddr_in a = t_addr(0);
	int fd[2], on = 1, pid = getpid(), u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));

	handle(SIGIO, 0);
	t_pair(fd);
	MUST(ioctl(fd[1], FIOSETOWN, &pid));
	MUST(ioctl(fd[1], FIOASYNC, &on));
	SHOW(fcntl(fd[1], F_GETFL) & O_ASYNC);
	MUST(write(fd[0], "hello", 5));
	show_signal("connection");
	MUST(ioctl(u, SIOCSPGRP, &pid));
	MUST(ioctl(u, FIOASYNC, &on));
	MUST(bind(u, (struct sockaddr *)&a, sizeof(a)));
	a.sin_port = htons((uint16_t)t_port(u));
	MUST(sendto(fd[0] = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	show_signal("datagram");
}

/* A program that makes no calls meanwhile, and one that sleeps in each. */
static void in_what_it_does(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd[2], other[2], ep = (int)MUST(epoll_create1(0));
	pid_t pid;

	handle(SIGIO, 0);
	t_pair(fd);
	t_pair(other);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, other[1], &ev));
	ask(fd[1]);
	for (int i = 0; i < 5; i++) {
		pid = fork();
		if (pid == 0) {
			t_sleep_ms(200);
			_exit(write(fd[0], "x", 1) != 1);
		}
		if (i == 0)
			while (!raised)
				;
		else if (i == 1)
			SHOW(epoll_wait(ep, &ev, 1, 5000));
		else if (i == 2)
			SHOW(read(other[1], buf, 1));
		else if (i == 3)
			SHOW(poll(&(struct pollfd){other[0], POLLIN}, 1, 5000));
		else
			SHOW(accept(t_listen(1), NULL, NULL));
		show_signal("it");
		MUST(waitpid(pid, NULL, 0));
	}
}

/* Somebody else's signal. */
static void of_another_process(void)
{
	int fd[2], p[2];
	pid_t pid;

	t_pair(fd);
	MUST(pipe(p));
	handle(SIGIO, 0);
	pid = fork();
	if (pid == 0) {
		MUST(write(p[1], "r", 1));
		show_signal("child");
		_exit(0);
	}
	MUST(read(p[0], buf, 1));
	MUST(fcntl(fd[1], F_SETOWN, pid));
	MUST(fcntl(fd[1], F_SETFL, O_ASYNC));
	MUST(write(fd[0], "x", 1));
	MUST(waitpid(pid, NULL, 0));
	show_none("parent");
	/* A child that asks for its own. */
	if (fork() == 0) {
		ask(fd[1]);
		MUST(write(p[1], "r", 1));
		show_signal("child's own");
		_exit(0);
	}
	MUST(read(p[0], buf, 1));
	MUST(write(fd[0], "x", 1));
	wait(NULL);
	show_none("parent");
}

static void room_to_write(void)
{
	int fd[2];
	ssize_t r, all = 0;

	handle(SIGIO, SA_RESTART);
	t_pair(fd);
	t_nonblock(fd[1], true);
	ask(fd[1]);
	/* Full is what stays so. */
	for (int i = 0; i < 3; t_sleep_ms(100), i++) {
		while ((r = write(fd[1], buf, sizeof(buf))) > 0) {
			all += r;
			i = 0;
		}
	}
	raised = 0;
	show_none("full");
	while (all > 0)
		all -= MUST(read(fd[0], buf, sizeof(buf)));
	show_signal("room");
}

static void *one_thread(void *arg)
{
	*(int *)arg = gettid();
	for (int i = 0; i < 1000 && !raised; i++)
		t_sleep_ms(5);
	return NULL;
}

static pthread_t handled_by;

static void note_thread(int sig)
{
	handled_by = pthread_self();
	raised = sig;
}

static void of_a_thread(void)
{
	struct f_owner_ex ex = {.type = F_OWNER_TID};
	volatile int tid = 0;
	pthread_t t;
	int fd[2];

	signal(SIGIO, note_thread);
	t_pair(fd);
	MUST(pthread_create(&t, NULL, one_thread, (void *)&tid));
	while (!tid)
		t_sleep_ms(1);
	ex.pid = tid;
	MUST(fcntl(fd[1], F_SETOWN_EX, &ex));
	MUST(fcntl(fd[1], F_SETFL, O_ASYNC));
	MUST(write(fd[0], "x", 1));
	pthread_join(t, NULL);
	t_say("%s, %d", raised ? strsignal(raised) : "none", pthread_equal(handled_by, t));
}

/* Sockets that are closed, dup'ed, and many of them. */
static void many_of_them(void)
{
	int fd[100][2], n = 0;

	handle(SIGIO, SA_RESTART);
	for (int i = 0; i < 100; i++) {
		t_pair(fd[i]);
		ask(fd[i][1]);
	}
	for (int i = 0; i < 100; i++) {
		MUST(write(fd[i][0], "x", 1));
		for (int k = 0; k < 1000 && !raised; k++)
			t_sleep_ms(1);
		n += raised == SIGIO;
		t_sleep_ms(2);
		raised = 0;
		close(fd[i][1]);
	}
	SHOW(n);
	t_sleep_ms(50);
	raised = 0;
	t_pair(fd[0]);
	MUST(write(fd[0][0], "x", 1));
	show_none("a new one by the same number");
}

T_MAIN(T_CASE(of_connections), T_CASE(urgent_byte), T_CASE(of_listeners), T_CASE(of_datagrams),
       T_CASE(other_signal), T_CASE(owners_are_told), T_CASE(by_ioctl), T_CASE(in_what_it_does),
       T_CASE(of_another_process), T_CASE(room_to_write), T_CASE(of_a_thread), T_CASE(many_of_them))
