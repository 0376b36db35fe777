/*
 * sendfile.c - sendfile(2) to a lane's socket, and splice(2)
 *
 * The file is read straight into frames, with no lock held: at an offset, so that nothing is lost
 * when the socket takes less. splice() gives EINVAL, as for a file system that does not support
 * it: its users fall back to read and write.
 */
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "posix/sock.h"

/* Fills frames from the file: bytes read, 0 at its end. */
static ssize_t read_into(int in, off_t at, struct shim_frames *f, size_t want)
{
	struct lane_bufs *bs = lane_bufs(shim.view.ln);
	struct iovec iov[SHIM_FRAMES];
	unsigned int i;
	ssize_t r;

	for (i = 0; i < f->n; i++) {
		iov[i].iov_base = lane_buf_data(bs, f->buf[i]);
		iov[i].iov_len = want < f->room ? want : f->room;
		want -= iov[i].iov_len;
	}
	r = shim_libc()->preadv64(in, iov, (int)f->n, at);
	return r < 0 ? -errno : r;
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
		r = left ? shim_io_wait(l, POLLOUT, left, timeo < 0, 0) : -EAGAIN;
		if (r > 0 && lane_bufs(shim.view.ln)->pool->nr_free <= SHIM_FRAMES)
			r = shim_pause(l, 1000) < 0 ? -EINTR : 1;
		if (r <= 0)
			return sent ? (ssize_t)sent : r < 0 ? r : -EAGAIN;
	}
	return (ssize_t)sent;
}

static ssize_t send_file(struct shim_local *l, int in, off_t *offset, size_t count)
{
	struct stat st;
	ssize_t r;
	off_t at;

	if (fstat(in, &st) < 0)
		return -errno;
	if (l->dgram || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return -EINVAL;
	if ((shim_libc()->fcntl(in, F_GETFL) & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (offset) {
		if (shim_copy_in(&at, offset, sizeof(at)) < 0)
			return -EFAULT;
		if (at < 0)
			return -EINVAL;
	} else {
		at = lseek(in, 0, SEEK_CUR);
		if (at < 0)
			return -errno;
	}
	r = send_range(l, in, &at, count < SHIM_RW_MAX ? count : SHIM_RW_MAX);
	if (!offset)
		lseek(in, at, SEEK_SET);
	else if (shim_copy_out(offset, &at, sizeof(at)) < 0)
		return -EFAULT;
	return r;
}

ssize_t sendfile64(int out, int in, off_t *offset, size_t count);

LANE_EXPORT ssize_t sendfile64(int out, int in, off_t *offset, size_t count)
{
	struct shim_local *l = shim_get_sock(out);
	ssize_t r;

	if (!l)
		return shim_libc()->sendfile64(out, in, offset, count);
	r = send_file(l, in, offset, count);
	shim_put(l);
	return shim_ret(r);
}

LANE_EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
	return sendfile64(out, in, offset, count);
}

static bool is_sock(int fd)
{
	struct shim_local *l = shim_get_sock(fd);

	if (l)
		shim_put(l);
	return l;
}

LANE_EXPORT ssize_t splice(int in, off_t *in_off, int out, off_t *out_off, size_t len,
			   unsigned int flags)
{
	if (is_sock(in) || is_sock(out))
		return shim_ret(-EINVAL);
	return shim_libc()->splice(in, in_off, out, out_off, len, flags);
}
