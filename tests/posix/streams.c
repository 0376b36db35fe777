/*
 * streams.c - posix.md 30, 54-56, 65-68, 77, 78: what streams do
 */
#include "t.h"

#include <sys/mman.h>

static char buf[1 << 20];

static void echo_bytes(void)
{
	int fd[2];

	t_pair(fd);
	SHOW(send(fd[0], "hello", 5, 0));
	SHOW(recv(fd[1], buf, sizeof(buf), 0));
	t_say("%.5s", buf);
	SHOW(write(fd[1], "world!", 6));
	SHOW(read(fd[0], buf, 3));
	SHOW(read(fd[0], buf, 100));
	SHOW(close(fd[0]));
	SHOW(read(fd[1], buf, 100));
	SHOW(close(fd[1]));
	SHOW(close(fd[1]));
}

static void *pump(void *arg)
{
	int fd = *(int *)arg;
	static char out[1 << 16];

	for (int i = 0; i < 160; i++) {
		for (size_t k = 0; k < sizeof(out); k++)
			out[k] = (char)(k * 7 + (size_t)i);
		if (t_write_all(fd, out, sizeof(out)) < 0)
			t_die("pump");
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

/* 10 MB through a pair, in pieces of odd sizes. */
static void bulk(void)
{
	uint32_t sum = 0, want = 0;
	size_t total = 0;
	pthread_t th;
	int fd[2];

	t_pair(fd);
	pthread_create(&th, NULL, pump, &fd[0]);
	for (size_t n = 1;; n = n * 5 % 99991 + 1) {
		ssize_t r = read(fd[1], buf, n);

		if (r <= 0) {
			SHOW(r);
			break;
		}
		for (ssize_t k = 0; k < r; k++)
			sum = sum * 31 + (uint8_t)buf[k];
		total += (size_t)r;
	}
	pthread_join(th, NULL);
	for (int i = 0; i < 160; i++)
		for (size_t k = 0; k < 1 << 16; k++)
			want = want * 31 + (uint8_t)(k * 7 + (size_t)i);
	t_say("total %zu, sum %s", total, sum == want ? "right" : "wrong");
}

static void peek(void)
{
	int fd[2];

	t_pair(fd);
	send(fd[0], "abcdef", 6, 0);
	t_poll(fd[1], POLLIN, 1000);
	SHOW(recv(fd[1], buf, 3, MSG_PEEK));
	SHOW(recv(fd[1], buf, 100, MSG_PEEK));
	SHOW(recv(fd[1], buf, 100, MSG_PEEK | MSG_TRUNC));
	SHOW(recv(fd[1], NULL, 2, MSG_TRUNC));
	SHOW(recv(fd[1], buf, 100, MSG_DONTWAIT));
	t_say("%.4s", buf);
	SHOW(recv(fd[1], buf, 100, MSG_DONTWAIT));
	SHOW(recv(fd[1], buf, 100, MSG_PEEK | MSG_DONTWAIT));
}

static void *late(void *arg)
{
	int fd = *(int *)arg;

	t_sleep_ms(50);
	send(fd, "1234", 4, 0);
	t_sleep_ms(50);
	send(fd, "56789", 5, 0);
	return NULL;
}

static void waitall(void)
{
	pthread_t th;
	int fd[2];

	t_pair(fd);
	pthread_create(&th, NULL, late, &fd[0]);
	SHOW(recv(fd[1], buf, 9, MSG_WAITALL));
	pthread_join(th, NULL);
	pthread_create(&th, NULL, late, &fd[0]);
	SHOW(recv(fd[1], buf, 9, MSG_WAITALL | MSG_PEEK));
	SHOW(recv(fd[1], buf, 9, MSG_WAITALL));
	pthread_join(th, NULL);
	send(fd[0], "xy", 2, 0);
	close(fd[0]);
	SHOW(recv(fd[1], buf, 9, MSG_WAITALL));
	SHOW(recv(fd[1], buf, 9, MSG_WAITALL));
}

static void timeouts(void)
{
	struct timeval tv = {0, 100000}, got;
	socklen_t len = sizeof(got);
	int64_t t0;
	int fd[2];

	t_pair(fd);
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	t_say("%ld.%06ld len %u", (long)got.tv_sec, (long)got.tv_usec, len);
	t0 = t_now_ms();
	SHOW(recv(fd[0], buf, 10, 0));
	t_say("%s", t_about(t_now_ms() - t0, 100));
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	t0 = t_now_ms();
	for (int i = 0; i < 200; i++) {
		ssize_t r = send(fd[0], buf, sizeof(buf), 0);

		if (r > 0)
			continue;
		SHOW(r);
		break;
	}
}

static void nonblocking(void)
{
	long total = 0;
	int fd[2];

	t_pair(fd);
	t_nonblock(fd[0], true);
	SHOW(read(fd[0], buf, 10));
	SHOW(fcntl(fd[0], F_GETFL) & O_NONBLOCK ? 1 : 0);
	SHOW(fcntl(fd[1], F_GETFL) & O_NONBLOCK ? 1 : 0);
	for (;;) {
		ssize_t r = write(fd[0], buf, sizeof(buf));

		if (r < 0) {
			SHOW(r);
			break;
		}
		total += r;
	}
	t_say("poll %s", t_poll(fd[0], POLLOUT, 0));
	for (long n = 0; n < total;) {
		ssize_t r = read(fd[1], buf, sizeof(buf));

		if (r <= 0)
			t_die("read");
		n += r;
	}
	t_say("poll %s", t_poll(fd[0], POLLOUT, 1000));
	t_nonblock(fd[0], false);
	SHOW(fcntl(fd[0], F_GETFL) & O_NONBLOCK ? 1 : 0);
	int on = 1;
	SHOW(ioctl(fd[0], FIONBIO, &on));
	SHOW(fcntl(fd[0], F_GETFL) & O_NONBLOCK ? 1 : 0);
	SHOW(fcntl(fd[0], F_GETFL) & O_ACCMODE);
}

static void vectors(void)
{
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
	struct iovec in[2] = {{buf, 2}, {buf + 10, 90}};
	struct iovec many[1100];
	int fd[2];

	t_pair(fd);
	SHOW(writev(fd[0], out, 3));
	t_poll(fd[1], POLLIN, 1000);
	SHOW(readv(fd[1], in, 2));
	t_say("%.2s %.3s", buf, buf + 10);
	SHOW(writev(fd[0], out, 0));
	SHOW(writev(fd[0], out, -1));
	SHOW(readv(fd[0], in, -1));
	for (int i = 0; i < 1100; i++)
		many[i] = (struct iovec){"z", 1};
	SHOW(writev(fd[0], many, 1024));
	SHOW(writev(fd[0], many, 1025));
	SHOW(t_read_all(fd[1], buf, 1024));
	SHOW(write(fd[0], buf, 0));
	SHOW(send(fd[0], buf, 0, 0));
	SHOW(recv(fd[1], buf, 0, MSG_DONTWAIT));
	SHOW(read(fd[1], buf, 0));
	SHOW(pread(fd[1], buf, 1, 0));
	SHOW(pwrite(fd[1], buf, 1, 0));
	SHOW(lseek(fd[1], 0, SEEK_CUR));
	SHOW(ftruncate(fd[1], 0));
	SHOW(fsync(fd[1]));
}

static void bad_memory(void)
{
	char *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[2] = {{"ok", 2}, {(void *)8, 5}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
	socklen_t len = 16;
	int fd[2];

	t_pair(fd);
	munmap(hole + 4096, 4096);
	SHOW(send(fd[0], (void *)8, 10, 0));
	SHOW(write(fd[0], hole + 4090, 20));
	SHOW(recv(fd[1], buf, 100, MSG_DONTWAIT));
	SHOW(send(fd[0], "0123456789", 10, 0));
	t_poll(fd[1], POLLIN, 1000);
	SHOW(recv(fd[1], (void *)8, 10, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	t_say("%.10s", buf);
	SHOW(sendmsg(fd[0], (void *)8, 0));
	SHOW(recvmsg(fd[0], (void *)8, MSG_DONTWAIT));
	m.msg_iov = (void *)8;
	SHOW(sendmsg(fd[0], &m, 0));
	SHOW(getpeername(fd[0], (void *)8, &len));
	SHOW(getsockname(fd[0], (void *)8, &len));
	SHOW(getsockname(fd[0], (struct sockaddr *)buf, (void *)8));
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_ERROR, (void *)8, &len));
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, (void *)8, 4));
	SHOW(readv(fd[0], (void *)8, 1));
	SHOW(writev(fd[0], (void *)8, 1));
	SHOW(ioctl(fd[0], FIONREAD, (void *)8));
}

static void half_close(void)
{
	int fd[2];

	t_pair(fd);
	SHOW(send(fd[0], "request", 7, 0));
	SHOW(shutdown(fd[0], SHUT_WR));
	SHOW(send(fd[0], "x", 1, MSG_NOSIGNAL));
	SHOW(t_read_all(fd[1], buf, 100));
	t_say("poll %s", t_poll(fd[1], POLLIN | POLLOUT | POLLRDHUP, 1000));
	SHOW(send(fd[1], "answer", 6, 0));
	SHOW(t_read_all(fd[0], buf, 6));
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 0));
	SHOW(shutdown(fd[1], SHUT_WR));
	t_sleep_ms(50);
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 1000));
	t_say("poll %s", t_poll(fd[1], POLLIN | POLLOUT | POLLRDHUP, 1000));
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(shutdown(fd[0], SHUT_WR));
	SHOW(shutdown(fd[0], 7));
}

static void shut_read(void)
{
	int fd[2];

	t_pair(fd);
	SHOW(shutdown(fd[0], SHUT_RD));
	SHOW(recv(fd[0], buf, 10, 0));
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 0));
	SHOW(send(fd[1], "late", 4, 0));
	t_sleep_ms(50);
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(send(fd[0], "still", 5, 0));
	SHOW(recv(fd[1], buf, 10, 0));
	SHOW(shutdown(fd[0], SHUT_RDWR));
	t_sleep_ms(20);
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 0));
}

static void close_unread(void)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	t_pair(fd);
	send(fd[0], "unread", 6, 0);
	t_poll(fd[1], POLLIN, 1000);
	close(fd[1]);
	t_sleep_ms(50);
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 1000));
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(send(fd[0], "x", 1, 0));
	t_pair(fd);
	send(fd[0], "unread", 6, 0);
	t_poll(fd[1], POLLIN, 1000);
	shutdown(fd[1], SHUT_WR);
	SHOW(recv(fd[0], buf, 10, 0));
}

/* RST behind queued data: the data, the error, then end of file. */
static void reset_behind_data(void)
{
	struct linger lg = {1, 0};
	int err;
	socklen_t len = sizeof(err);
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	t_pair(fd);
	send(fd[1], "data", 4, 0);
	t_sleep_ms(20);
	setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd[1]);
	t_sleep_ms(50);
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 1000));
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(recv(fd[0], buf, 10, 0));
	t_pair(fd);
	setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd[1]);
	t_sleep_ms(50);
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_ERROR, &err, &len));
	t_say("SO_ERROR %s", err ? strerrorname_np(err) : "0");
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_ERROR, &err, &len));
	t_say("SO_ERROR %s", err ? strerrorname_np(err) : "0");
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(send(fd[0], "x", 1, 0));
	SHOW(getpeername(fd[0], (struct sockaddr *)buf, &len));
}

static void peer_closed_then_send(void)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	t_pair(fd);
	close(fd[1]);
	t_sleep_ms(20);
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 1000));
	SHOW(send(fd[0], "first", 5, 0));
	t_sleep_ms(50);
	t_say("poll %s", t_poll(fd[0], POLLIN | POLLOUT | POLLRDHUP, 1000));
	SHOW(recv(fd[0], buf, 10, 0));
	SHOW(send(fd[0], "second", 6, 0));
	SHOW(send(fd[0], "third", 5, 0));
	SHOW(recv(fd[0], buf, 10, 0));
}

static volatile sig_atomic_t nr_pipe;

static void on_pipe(int sig)
{
	(void)sig;
	nr_pipe++;
}

static void sigpipe(void)
{
	int fd[2];

	signal(SIGPIPE, on_pipe);
	t_pair(fd);
	shutdown(fd[0], SHUT_WR);
	SHOW(send(fd[0], "x", 1, MSG_NOSIGNAL));
	SHOW(nr_pipe);
	SHOW(send(fd[0], "x", 1, 0));
	SHOW(nr_pipe);
	SHOW(write(fd[0], "x", 1));
	SHOW(nr_pipe);
	signal(SIGPIPE, SIG_DFL);
	write(fd[0], "x", 1);
	t_say("not reached");
}

static void unconnected(void)
{
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t len = sizeof(struct sockaddr_in);

	signal(SIGPIPE, SIG_IGN);
	SHOW(recv(fd, buf, 10, 0));
	SHOW(recv(fd, buf, 0, 0));
	SHOW(send(fd, "x", 1, 0));
	SHOW(shutdown(fd, SHUT_RDWR));
	SHOW(accept(fd, NULL, NULL));
	SHOW(getpeername(fd, (struct sockaddr *)buf, &len));
	t_say("poll %s", t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
	t_say("poll %s", t_poll(fd, 0, 0));
	int l = t_listen(1);
	SHOW(recv(l, buf, 10, 0));
	SHOW(send(l, "x", 1, 0));
	struct sockaddr_in a = t_addr(t_port(l));
	SHOW(connect(l, (struct sockaddr *)&a, sizeof(a)));
	t_say("poll %s", t_poll(l, POLLIN | POLLOUT, 0));
	int p[2];
	t_pair(p);
	a = t_addr(0);
	SHOW(bind(p[0], (struct sockaddr *)&a, sizeof(a)));
	SHOW(listen(p[0], 1));
	SHOW(accept(p[0], NULL, NULL));
	SHOW(accept(p[1], NULL, NULL));
	a = t_addr(t_port(l));
	SHOW(connect(p[0], (struct sockaddr *)&a, sizeof(a)));
}

static void linger(void)
{
	struct linger lg = {1, 0}, got;
	socklen_t len = sizeof(got);
	int fd[2], d;

	t_pair(fd);
	SHOW(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
	SHOW(getsockopt(fd[0], SOL_SOCKET, SO_LINGER, &got, &len));
	t_say("%d %d", got.l_onoff, got.l_linger);
	d = dup(fd[0]);
	close(fd[0]);
	t_say("poll %s", t_poll(fd[1], POLLIN | POLLRDHUP, 50));
	close(d);
	t_say("poll %s", t_poll(fd[1], POLLIN | POLLRDHUP, 1000));
	SHOW(recv(fd[1], buf, 10, 0));
	t_pair(fd);
	lg.l_linger = 2;
	setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	send(fd[0], "bye", 3, 0);
	int64_t t0 = t_now_ms();
	SHOW(close(fd[0]));
	t_say("%s", t_about(t_now_ms() - t0, 0));
	SHOW(t_read_all(fd[1], buf, 10));
}

static void cork(void)
{
	int on = 1, off = 0, fd[2];
	int64_t t0;

	t_pair(fd);
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	send(fd[0], "ab", 2, 0);
	t_say("poll %s", t_poll(fd[1], POLLIN, 50));
	send(fd[0], "cd", 2, 0);
	SHOW(setsockopt(fd[0], IPPROTO_TCP, TCP_CORK, &off, sizeof(off)));
	t_say("poll %s", t_poll(fd[1], POLLIN, 1000));
	SHOW(recv(fd[1], buf, 100, 0));
	setsockopt(fd[0], IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	t0 = t_now_ms();
	send(fd[0], "efg", 3, 0);
	SHOW(recv(fd[1], buf, 100, 0));
	t_say("%s", t_about(t_now_ms() - t0, 200));
	setsockopt(fd[0], IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	send(fd[0], "hi", 2, MSG_MORE);
	t_say("poll %s", t_poll(fd[1], POLLIN, 50));
	send(fd[0], "jk", 2, 0);
	SHOW(recv(fd[1], buf, 100, 0));
}

static void oob(void)
{
	int fd[2], mark;

	t_pair(fd);
	SHOW(send(fd[0], "abc", 3, 0));
	SHOW(send(fd[0], "X", 1, MSG_OOB));
	SHOW(send(fd[0], "def", 3, 0));
	SHOW(send(fd[0], buf + 1000, 4000, 0));
	t_sleep_ms(50);
	t_say("poll %s", t_poll(fd[1], POLLIN | POLLPRI, 1000));
	SHOW(recv(fd[1], buf, 1, MSG_OOB));
	t_say("%c", buf[0]);
	SHOW(recv(fd[1], buf, 1, MSG_OOB));
	SHOW(ioctl(fd[1], SIOCATMARK, &mark));
	t_say("mark %d", mark);
	SHOW(recv(fd[1], buf, sizeof(buf), MSG_PEEK)); /* in several steps, none beyond the mark */
	SHOW(recv(fd[1], buf, 100, 0));
	SHOW(ioctl(fd[1], SIOCATMARK, &mark));
	t_say("mark %d", mark);
	SHOW(recv(fd[1], buf, 100, 0));
	t_say("%.3s", buf);
	SHOW(recv(fd[1], buf, 1, MSG_OOB));
}

static void queues(void)
{
	int fd[2], n = -1;

	t_pair(fd);
	SHOW(ioctl(fd[1], FIONREAD, &n));
	t_say("%d", n);
	send(fd[0], "12345", 5, 0);
	t_poll(fd[1], POLLIN, 1000);
	SHOW(ioctl(fd[1], FIONREAD, &n));
	t_say("%d", n);
	t_sleep_ms(50);
	SHOW(ioctl(fd[0], TIOCOUTQ, &n));
	t_say("%d", n);
	SHOW(ioctl(fd[0], 0x5401 /* TCGETS */, buf));
	SHOW(isatty(fd[0]));
	int l = t_listen(1);
	SHOW(ioctl(l, FIONREAD, &n));
}

static void sendfiles(void)
{
	char path[] = "/tmp/lane-posix-XXXXXX";
	int f = (int)MUST(mkstemp(path)), fd[2], p[2];
	off_t off = 3;

	unlink(path);
	MUST(write(f, "0123456789abcdef", 16));
	t_pair(fd);
	SHOW(sendfile(fd[0], f, &off, 5));
	t_say("off %ld pos %ld", (long)off, (long)lseek(f, 0, SEEK_CUR));
	SHOW(t_read_all(fd[1], buf, 5));
	t_say("%.5s", buf);
	lseek(f, 10, SEEK_SET);
	SHOW(sendfile(fd[0], f, NULL, 100));
	t_say("pos %ld", (long)lseek(f, 0, SEEK_CUR));
	SHOW(t_read_all(fd[1], buf, 6));
	t_say("%.6s", buf);
	SHOW(sendfile(fd[0], f, NULL, 100));
	SHOW(sendfile(fd[0], f, &off, 0));
	SHOW(sendfile(fd[0], -1, NULL, 5));
	SHOW(sendfile(fd[0], fd[1], NULL, 5));
	off = -1;
	SHOW(sendfile(fd[0], f, &off, 5));
	MUST(pipe(p));
	MUST(write(p[1], "piped", 5));
	SHOW(splice(p[0], NULL, fd[0], NULL, 5, 0));
	SHOW(t_read_all(fd[1], buf, 5));
	MUST(write(fd[0], "back", 4));
	t_poll(fd[1], POLLIN, 1000);
	SHOW(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	SHOW(read(p[0], buf, 100));
	t_nonblock(fd[1], true);
	SHOW(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
}

static void messages(void)
{
	char control[256];
	struct sockaddr_in from = {0};
	struct iovec iov = {buf, 100};
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			   .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct sockaddr_in to = t_addr(9);
	socklen_t len = sizeof(from);
	int fd[2];

	t_pair(fd);
	SHOW(sendto(fd[0], "abc", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	t_poll(fd[1], POLLIN, 1000);
	SHOW(recvmsg(fd[1], &m, 0));
	t_say("namelen %u controllen %zu flags %x family %d", m.msg_namelen, m.msg_controllen,
	      (unsigned int)m.msg_flags, from.sin_family);
	send(fd[0], "de", 2, 0);
	t_poll(fd[1], POLLIN, 1000);
	SHOW(recvfrom(fd[1], buf, 100, 0, (struct sockaddr *)&from, &len));
	t_say("len %u family %d", len, from.sin_family);
	SHOW(recv(fd[1], buf, 10, MSG_ERRQUEUE));
	struct mmsghdr mm[3] = {{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}},
				{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}},
				{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}}};
	iov.iov_len = 3;
	SHOW(sendmmsg(fd[0], mm, 3, 0));
	SHOW(t_read_all(fd[1], buf, 9));
	send(fd[0], "wxyz", 4, 0);
	t_poll(fd[1], POLLIN, 1000);
	SHOW(recvmmsg(fd[1], mm, 3, MSG_DONTWAIT, NULL));
	t_say("%u %u", mm[0].msg_len, mm[1].msg_len);
}

T_MAIN(T_CASE(echo_bytes), T_CASE(bulk), T_CASE(peek), T_CASE(waitall), T_CASE(timeouts),
       T_CASE(nonblocking), T_CASE(vectors), T_CASE(bad_memory), T_CASE(half_close),
       T_CASE(shut_read), T_CASE(close_unread), T_CASE(reset_behind_data),
       T_CASE(peer_closed_then_send), T_CASE(sigpipe), T_CASE(unconnected), T_CASE(linger),
       T_CASE(cork), T_CASE(oob), T_CASE(queues), T_CASE(sendfiles), T_CASE(messages))
