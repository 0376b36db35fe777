/*
 * msg.c - messages between the keeper and everybody else
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto.h"
#include "sys.h"

socklen_t keeper_address(struct sockaddr_un *sun, const char *ifname)
{
	int n;

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	n = snprintf(sun->sun_path + 1, sizeof(sun->sun_path) - 1, "lane/%.15s", ifname);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

void keeper_msg_init(struct keeper_msg *m, enum keeper_op op, const char *ifname)
{
	memset(m, 0, sizeof(*m));
	m->op = op;
	m->version = SHIM_ARENA_VERSION;
	m->pid = getpid();
	m->row = -1;
	snprintf(m->ifname, sizeof(m->ifname), "%.15s", ifname);
}

int keeper_send(int fd, struct keeper_msg *m, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(KEEPER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (n > KEEPER_FDS_MAX)
		return -EINVAL;
	m->nr_fds = n;
	if (n) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int keeper_send_self(int fd, struct keeper_msg *m)
{
	struct ucred self = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(self))] = {0};
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(self));
	memcpy(CMSG_DATA(c), &self, sizeof(self));
	return sendmsg(fd, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void keeper_close_fds(int *fds, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* Lifts the soft limit of descriptors by what a message may hold; *old is to be restored. */
static bool limit_lift(struct rlimit *old)
{
	struct rlimit more;

	if (sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)old, 0) < 0)
		return false;
	more = *old;
	if (more.rlim_cur + KEEPER_FDS_MAX > more.rlim_max)
		more.rlim_cur = more.rlim_max;
	else
		more.rlim_cur += KEEPER_FDS_MAX;
	return sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&more, 0, 0) == 0;
}

static int32_t take_pid(struct msghdr *mh)
{
	struct ucred cred = {0};
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
	return cred.pid;
}

/* The descriptors of a received message; returns how many. The room for credentials, where none came, holds
 * more than fit. */
static int take_fds(struct msghdr *mh, int fds[KEEPER_FDS_MAX])
{
	struct cmsghdr *c;
	size_t n;
	int fd;

	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (; n > KEEPER_FDS_MAX; n--) {
			memcpy(&fd, CMSG_DATA(c) + (n - 1) * sizeof(int), sizeof(fd));
			close(fd);
		}
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		return (int)n;
	}
	return 0;
}

int keeper_recv(int fd, struct keeper_msg *m, int fds[KEEPER_FDS_MAX])
{
	int32_t pid;

	return keeper_recv_from(fd, m, fds, &pid);
}

int keeper_recv_from(int fd, struct keeper_msg *m, int fds[KEEPER_FDS_MAX], int32_t *pid)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(KEEPER_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control)};
	struct rlimit old = {0};
	bool lifted = limit_lift(&old);
	ssize_t r = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	int n = r < 0 ? -errno : take_fds(&mh, fds);

	*pid = r < 0 ? 0 : take_pid(&mh);
	if (lifted)
		sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&old, 0, 0);
	if (r == 0)
		return -EPIPE;
	if (r < 0)
		return n;
	m->error[sizeof(m->error) - 1] = 0;
	m->ifname[sizeof(m->ifname) - 1] = 0;
	if (r != (ssize_t)sizeof(*m) || (uint32_t)n != m->nr_fds || (mh.msg_flags & MSG_CTRUNC)) {
		keeper_close_fds(fds, n);
		return -EBADMSG;
	}
	return n;
}

bool keeper_peer_ok(int fd, struct ucred *cred)
{
	socklen_t len = sizeof(*cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len))
		return false;
	return cred->uid == 0 || cred->uid == geteuid();
}

int32_t keeper_pid(const char *ifname)
{
	struct ucred cred = {0};
	char err[KEEPER_ERR];
	int fd = keeper_connect(ifname, err);

	if (fd < 0)
		return 0;
	keeper_peer_ok(fd, &cred);
	close(fd);
	return cred.pid;
}

int keeper_connect(const char *ifname, char *err)
{
	struct timeval patience = {.tv_sec = 1};
	struct sockaddr_un sun;
	socklen_t len = keeper_address(&sun, ifname);
	struct ucred cred;
	int r, fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		r = -errno;
		snprintf(err, KEEPER_ERR, "unix socket: %s", strerror(-r));
		return r;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&sun, len)) {
		r = -errno;
		snprintf(err, KEEPER_ERR, "no keeper serves %.15s: %s", ifname, strerror(-r));
	} else if (!keeper_peer_ok(fd, &cred)) {
		r = -EPERM;
		snprintf(err, KEEPER_ERR, "uid %u (pid %d) holds the keeper's name for %.15s",
			 cred.uid, cred.pid, ifname);
	} else {
		return fd;
	}
	close(fd);
	return r;
}
