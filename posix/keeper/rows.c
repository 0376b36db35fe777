/*
 * rows.c - who is a member, who may become one, and what is done when one dies
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "k.h"
#include "sys.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define ROWS_GRACE_US 1000000 /* for a child that was forked by a parent that died */

static int pidfd_of(pid_t pid)
{
	return (int)sys_call(SYS_pidfd_open, pid, 0, 0, 0, 0);
}

/* The process' name, as ps shows it. */
static void read_comm(pid_t pid, char comm[16])
{
	char path[32];
	ssize_t n;
	int fd;

	memset(comm, 0, 16);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, comm, 15);
	if (n > 0 && comm[n - 1] == '\n')
		comm[n - 1] = 0;
	close(fd);
}

int keeper_row_of(const struct keeper *k, pid_t pid)
{
	const struct shim_arena *a = k->v.a;
	int i;

	for (i = 0; i < SHIM_ROWS; i++) {
		if (a->row[i].state == SHIM_ROW_LIVE && a->row[i].pid == pid)
			return i;
	}
	return -1;
}

/* Watches the process of a row. 0, -ESRCH: it is gone, or another -errno. */
static int row_watch(struct keeper *k, int row, pid_t pid)
{
	int r, fd = pidfd_of(pid);

	if (fd < 0)
		return fd;
	r = keeper_watch(k, fd, EPOLLIN, K_ROW, (unsigned int)row);
	if (r) {
		close(fd);
		return r;
	}
	k->row[row].pidfd = fd;
	k->somebody_seen = true;
	return 0;
}

/* What the row's former user left in its doorbell must not wake the next one. */
static void doorbell_drain(struct keeper *k, int row)
{
	uint64_t n;

	while (read(k->v.doorbell[row], &n, sizeof(n)) > 0)
		;
}

int keeper_row_take(struct keeper *k, pid_t pid, uid_t uid)
{
	struct shim_row *r;
	uint32_t want;
	int err, row;

	for (row = 0; row < SHIM_ROWS; row++) {
		want = SHIM_ROW_FREE;
		if (atomic_compare_exchange_strong(&k->v.a->row[row].state, &want,
						   SHIM_ROW_RESERVED))
			break;
	}
	if (row == SHIM_ROWS)
		return -EAGAIN;
	r = &k->v.a->row[row];
	err = row_watch(k, row, pid);
	if (err) {
		r->state = SHIM_ROW_FREE;
		return err;
	}
	doorbell_drain(k, row);
	r->pid = pid;
	r->uid = uid;
	r->generation++;
	r->last_poll_us = r->in_call_us = r->nr_contended = 0;
	read_comm(pid, r->comm);
	shim_row_set_live(k->v.a, (unsigned int)row, true);
	r->state = SHIM_ROW_LIVE;
	return row;
}

void keeper_row_born(struct keeper *k, int row, uint32_t generation, pid_t pid)
{
	struct shim_row *r = &k->v.a->row[row];
	int32_t reserved_by = r->pid;
	uint32_t want = SHIM_ROW_RESERVED;

	if (r->generation != generation || reserved_by >= 0 ||
	    !atomic_compare_exchange_strong(&r->pid, &reserved_by, pid))
		return; /* its parent has said it */
	shim_row_set_live(k->v.a, (unsigned int)row, true);
	if (atomic_compare_exchange_strong(&r->state, &want, SHIM_ROW_LIVE))
		keeper_rows_scan(k);
}

void keeper_row_gone(struct keeper *k, int row)
{
	struct keeper_row *kr = &k->row[row];

	if (kr->pidfd >= 0)
		close(kr->pidfd);
	kr->pidfd = -1;
	kr->reserved_us = 0;
	kr->left = false;
	if (kr->conn >= 0) {
		k->conn[kr->conn].row = -1;
		kr->conn = -1;
	}
	if (k->v.a->row[row].state == SHIM_ROW_FREE)
		return;
	keeper_device_gone(k, row);
	shim_lock(&k->v);
	/* Inside the lock: the row's next user may be rung as soon as it is free. */
	doorbell_drain(k, row);
	shim_row_release(&k->v, row);
	shim_unlock(&k->v);
	shim_kick(&k->v);
}

void keeper_row_exec(struct keeper *k, int row)
{
	struct keeper_row *kr = &k->row[row];
	struct pollfd p = {.fd = kr->pidfd, .events = POLLIN};
	bool crossed;

	/* A child that was just born is not watched yet. */
	if (p.fd < 0 && row_watch(k, row, k->v.a->row[row].pid) == 0)
		p.fd = kr->pidfd;
	if (p.fd < 0 || poll(&p, 1, 0) != 0) {
		keeper_row_gone(k, row);
		return;
	}
	keeper_device_gone(k, row); /* its threads */
	shim_lock(&k->v);
	crossed = shim_row_exec(&k->v, row);
	shim_unlock(&k->v);
	shim_kick(&k->v);
	if (!crossed) {
		keeper_row_gone(k, row);
		return;
	}
	kr->left = true;
	if (kr->conn >= 0) {
		k->conn[kr->conn].row = -1;
		kr->conn = -1;
	}
}

/* An event of the same batch may have freed the row already (its connection ended), and a member may
 * have reserved it for a child since. */
void keeper_row_readable(struct keeper *k, int row)
{
	struct pollfd p = {.fd = k->row[row].pidfd, .events = POLLIN};

	if (p.fd >= 0 && poll(&p, 1, 0) > 0)
		keeper_row_gone(k, row);
}

bool keeper_rows_reserved(const struct keeper *k)
{
	int i;

	for (i = 0; i < SHIM_ROWS; i++) {
		if (k->v.a->row[i].state == SHIM_ROW_RESERVED)
			return true;
	}
	return false;
}

/* A reserved row with a living parent and a connection is about to be born; else, and where the
 * fork failed, the child has a second to come. */
static void reserved_look(struct keeper *k, int row)
{
	struct keeper_row *kr = &k->row[row];
	uint64_t now = shim_now_us();
	int32_t pid = k->v.a->row[row].pid;

	if (pid < 0 && kr->conn >= 0 && keeper_row_of(k, -pid) >= 0)
		kr->reserved_us = 0;
	else if (!kr->reserved_us || kr->reserved_generation != k->v.a->row[row].generation) {
		/* A fork that failed has freed its row without a word, and the next one took it. */
		kr->reserved_us = now;
		kr->reserved_generation = k->v.a->row[row].generation;
	} else if (now - kr->reserved_us > ROWS_GRACE_US)
		keeper_row_gone(k, row);
}

/* A live row whose process is not watched: now it is, or it is gone, or is asked after again soon. */
static void watch_again(struct keeper *k, int row)
{
	pid_t pid = k->v.a->row[row].pid;
	int r = row_watch(k, row, pid);

	/* Without a descriptor a dead child that nobody has waited for counts as alive. */
	if (r == -ESRCH || (r < 0 && kill(pid, 0) < 0 && errno == ESRCH))
		keeper_row_gone(k, row);
	else if (r < 0)
		k->nr_unwatched++;
}

void keeper_rows_scan(struct keeper *k)
{
	struct shim_row *r;
	int i;

	if (k->v.a->nr_exec_held) {
		shim_lock(&k->v);
		shim_exec_expire(&k->v);
		shim_unlock(&k->v);
		shim_kick(&k->v);
	}
	k->nr_unwatched = 0;
	for (i = 0; i < SHIM_ROWS; i++) {
		r = &k->v.a->row[i];
		if (r->state == SHIM_ROW_RESERVED)
			reserved_look(k, i);
		else if (r->state == SHIM_ROW_LIVE && k->row[i].pidfd < 0)
			watch_again(k, i);
		else if (r->state == SHIM_ROW_LIVE && k->row[i].left)
			keeper_row_exec(k, i); /* until all is taken over */
	}
}

bool keeper_reg_has(const struct keeper *k, pid_t pid)
{
	int i;

	for (i = 0; i < K_REGISTERED; i++) {
		if (k->reg[i].pidfd >= 0 && k->reg[i].pid == pid)
			return true;
	}
	return false;
}

int keeper_reg_add(struct keeper *k, pid_t pid)
{
	unsigned int i;
	int fd, r;

	if (keeper_reg_has(k, pid))
		return 0;
	for (i = 0; i < K_REGISTERED && k->reg[i].pidfd >= 0; i++)
		;
	if (i == K_REGISTERED)
		return -ENOSPC;
	fd = pidfd_of(pid);
	if (fd < 0)
		return fd;
	r = keeper_watch(k, fd, EPOLLIN, K_REG, i);
	if (r) {
		close(fd);
		return r;
	}
	k->reg[i].pid = pid;
	k->reg[i].pidfd = fd;
	k->somebody_seen = true;
	return 0;
}

void keeper_reg_remove(struct keeper *k, unsigned int i)
{
	if (k->reg[i].pidfd >= 0)
		close(k->reg[i].pidfd);
	k->reg[i].pidfd = -1;
}

bool keeper_anybody(const struct keeper *k)
{
	int i;

	if (shim_any_live(k->v.a) || keeper_rows_reserved(k))
		return true;
	for (i = 0; i < K_REGISTERED; i++) {
		if (k->reg[i].pidfd >= 0)
			return true;
	}
	return false;
}
