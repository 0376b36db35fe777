/*
 * sendfile.c - sendfile(2) to a lane's socket, and splice(2)
 *
 * The file is read straight into frames, with no lock held: at an offset, so that nothing is lost
 * when the socket takes less. A pipe is read into frames too, and written from a copy that is
 * consumed only as far as the pipe took it.
 */
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "posix/keeper/sys.h"
#include "posix/sock.h"

/* A read from no seekable file is what sendfile(2) calls invalid. */
static ssize_t read_error(void)
{
	return errno == ESPIPE ? -EINVAL : -errno;
}

/* Fills frames from the file: bytes read, 0 at its end. */
static ssize_t read_into(int in, off_t at, struct shim_frames *f, size_t want)
{
	struct lane_bufs *bs = lane_bufs(shim.view.ln);
	struct iovec iov[SHIM_FRAMES];
	unsigned int i;
	ssize_t r;

	for (i = 0; i < f->n; i++) {
		iov[i].iov_base = lane_buf_data(bs, f->buf[i]);
		iov[i].iov_len = want < shim_frame_room(f, i) ? want : shim_frame_room(f, i);
		want -= iov[i].iov_len;
	}
	r = shim_libc()->preadv64(in, iov, (int)f->n, at);
	return r < 0 ? read_error() : r;
}

/* One bracket: bytes sent, 0 at the end of the file. */
static ssize_t send_piece(struct shim_local *l, int in, off_t at, size_t want, bool more)
{
	struct shim_frames f;
	ssize_t r, n = shim_frames_get(l, &f, want);

	if (n < 0)
		return n;
	r = read_into(in, at, &f, (size_t)n);
	more = more || (f.n == SHIM_FRAMES && r == n && (size_t)n < want);
	n = shim_frames_send(l, &f, r > 0 ? (size_t)r : 0, more);
	return r > 0 ? n : r;
}

static ssize_t send_range(struct shim_local *l, int in, off_t *at, size_t count)
{
	int64_t timeo = shim_sndtimeo_us(l), left;
	struct shim_sig_mark mark = shim_sig_mark();
	uint64_t start = 0;
	size_t sent = 0;
	ssize_t r;

	while (sent < count) {
		r = send_piece(l, in, *at, count - sent, false);
		if (r > 0) {
			sent += (size_t)r;
			*at += r;
			continue;
		}
		if (r == 0)
			break;
		if (r != -EAGAIN || !shim_may_block(l, 0))
			return sent ? (ssize_t)sent : shim_pipe_signal(r, 0);
		left = shim_time_left(timeo, &start);
		if (shim_sig_ends(&mark, timeo < 0 && !sent))
			r = -EINTR;
		else
			r = left ? shim_io_wait(l, POLLOUT, left, timeo < 0 && !sent, 0) : -EAGAIN;
		if (r > 0 && lane_bufs(shim.view.ln)->pool->nr_free <= SHIM_FRAMES)
			r = shim_pause(l, 1000) < 0 ? -EINTR : 1;
		if (r <= 0)
			return sent ? (ssize_t)sent : r < 0 ? r : -EAGAIN;
	}
	return (ssize_t)sent;
}

/* What a bracket copies: by way of the stack, as any small write. */
static ssize_t send_short(struct shim_local *l, int in, off_t *at, size_t count)
{
	uint8_t text[SHIM_COPY_LOCKED];
	struct iovec iov = {.iov_base = text};
	ssize_t r = shim_libc()->pread64(in, text, count, *at);

	if (r <= 0)
		return r ? read_error() : 0;
	iov.iov_len = (size_t)r;
	r = shim_sock_send(l, &iov, 1, 0);
	if (r > 0)
		*at += r;
	return r;
}

static ssize_t send_file(struct shim_local *l, int in, off_t *offset, size_t count)
{
	ssize_t r;
	off_t at;

	if (l->dgram)
		return -EINVAL;
	if (offset) {
		if (shim_copy_in(&at, offset, sizeof(at)) < 0)
			return -EFAULT;
		if (at < 0)
			return -EINVAL;
	} else {
		at = lseek(in, 0, SEEK_CUR);
		if (at < 0)
			return read_error();
	}
	if (count <= SHIM_COPY_LOCKED)
		r = send_short(l, in, &at, count);
	else
		r = send_range(l, in, &at, count < SHIM_RW_MAX ? count : SHIM_RW_MAX);
	if (!offset)
		lseek(in, at, SEEK_SET);
	else if (shim_copy_out(offset, &at, sizeof(at)) < 0)
		return -EFAULT;
	return r;
}

ssize_t sendfile64(int out, int in, off_t *offset, size_t count);

static bool is_sock(int fd)
{
	struct shim_local *l = shim_get_sock(fd);

	if (l)
		shim_put(l);
	return l;
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

LANE_EXPORT ssize_t sendfile64(int out, int in, off_t *offset, size_t count)
{
	struct shim_local *l = shim_get_sock(out);
	int state;
	ssize_t r;

	if (!l && is_sock(in) && !offset && is_pipe(out))
		return splice(in, NULL, out, NULL, count, 0);
	if (!l)
		return shim_libc()->sendfile64(out, in, offset, count);
	state = shim_cancel_off(); /* sendfile(2) is no cancellation point */
	r = send_file(l, in, offset, count);
	shim_cancel_restore(state);
	shim_put(l);
	return shim_ret(r);
}

LANE_EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
	return sendfile64(out, in, offset, count);
}

#define SPLICE_MAX 65536
#define PIPE_PIECE 4096 /* what a pipe that polls writable takes without blocking */

static void splice_abandon(void *arg)
{
	shim_put(arg);
}

/* Waits for the pipe unless that is not wanted (SPLICE_F_NONBLOCK says nothing of the socket): 1: ready, or -errno. 'l' is what the caller holds. */
static int pipe_ready(struct shim_local *l, int fd, short events, unsigned int flags)
{
	int r, has = shim_libc()->fcntl(fd, F_GETFL);
	struct pollfd p = {.fd = fd, .events = events};

	/* The other end of it never gets ready. */
	if ((has & O_ACCMODE) == (events & POLLOUT ? O_RDONLY : O_WRONLY))
		return -EBADF;
	if ((flags & SPLICE_F_NONBLOCK) || (has & O_NONBLOCK)) {
		r = (int)sys_poll_now(&p, 1);
		return !r ? -EAGAIN : r > 0 && (events & POLLOUT) && (p.revents & POLLERR) ? -EPIPE : r;
	}
	pthread_cleanup_push(splice_abandon, l);
	r = shim_libc()->poll(&p, 1, -1);
	pthread_cleanup_pop(0);
	if (r < 0)
		return -errno;
	return (events & POLLOUT) && (p.revents & POLLERR) ? -EPIPE : 1; /* nobody reads */
}

/* pipe -> socket: what the pipe has now, as much as the socket takes. */
static ssize_t splice_out(struct shim_local *l, int in, size_t len, unsigned int flags)
{
	int msg = flags & SPLICE_F_MORE ? MSG_MORE : 0;
	struct lane_bufs *bs = lane_bufs(shim.view.ln);
	struct iovec iov[SHIM_FRAMES];
	struct shim_frames f;
	unsigned int i;
	ssize_t r, n;
	size_t left;

	r = pipe_ready(l, in, POLLIN, flags);
	if (r < 0)
		return r;
	while ((n = shim_frames_get(l, &f, len)) == -EAGAIN && shim_may_block(l, msg)) {
		r = shim_io_wait(l, POLLOUT, -1, true, 0);
		if (r < 0)
			return r;
	}
	if (n < 0)
		return shim_pipe_signal(n, 0);
	for (i = 0, left = (size_t)n; i < f.n; i++) {
		iov[i].iov_base = lane_buf_data(bs, f.buf[i]);
		iov[i].iov_len = left < shim_frame_room(&f, i) ? left : shim_frame_room(&f, i);
		left -= iov[i].iov_len;
	}
	r = sys_call(SYS_readv, in, (long)iov, f.n, 0, 0);
	n = shim_frames_send(l, &f, r > 0 ? (size_t)r : 0, msg);
	return r > 0 ? n : r;
}

/* socket -> pipe: what the socket has now, as much as the pipe takes. */
static ssize_t splice_in(struct shim_local *l, int out, size_t len, unsigned int flags)
{
	struct iovec iov = {.iov_len = len < PIPE_PIECE ? len : PIPE_PIECE};
	uint8_t piece[PIPE_PIECE];
	ssize_t r, n;

	iov.iov_base = piece;
	n = pipe_ready(l, out, POLLOUT, flags);
	if (n < 0)
		return shim_pipe_signal(n, 0);
	r = shim_sock_recv(l, &iov, 1, MSG_PEEK);
	if (r <= 0)
		return r;
	n = sys_write(out, piece, (size_t)r);
	if (n > 0) {
		iov.iov_len = (size_t)n;
		shim_sock_recv(l, &iov, 1, MSG_DONTWAIT | MSG_TRUNC);
	}
	return n;
}

static ssize_t splice_sock(int in, int out, size_t len, unsigned int flags)
{
	struct shim_local *from, *to;
	ssize_t r = -EINVAL;

	if (flags & ~(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
		return -EINVAL;
	from = shim_get_sock(in);
	to = shim_get_sock(out);
	if (len > SPLICE_MAX)
		len = SPLICE_MAX;
	if (to && !to->dgram && is_pipe(in))
		r = len ? splice_out(to, in, len, flags) : 0;
	else if (from && !from->dgram && is_pipe(out))
		r = len ? splice_in(from, out, len, flags) : 0;
	if (from)
		shim_put(from);
	if (to)
		shim_put(to);
	return r;
}

LANE_EXPORT ssize_t splice(int in, off_t *in_off, int out, off_t *out_off, size_t len,
			   unsigned int flags)
{
	bool from, to;

	shim_cancel_point();
	from = is_sock(in);
	to = is_sock(out);
	if ((from && out_off) || (to && in_off))
		return shim_ret(-ESPIPE); /* of the pipe */
	if (from || to)
		return shim_ret(in_off || out_off ? -EINVAL : splice_sock(in, out, len, flags));
	return shim_libc()->splice(in, in_off, out, out_off, len, flags);
}
