/*
 * inherit.c - a member forks: its child becomes a member with all that the parent holds
 *
 * The row is reserved and the references are copied before the fork, so that a parent that closes
 * a socket at once does not end it under the child. The child's connection to the keeper is made
 * before too; both processes then close what is the other's. While a row is reserved its pid is
 * the negative one of the parent: the keeper frees the row if that parent dies before the fork.
 *
 * Other threads of the parent close and accept meanwhile. Until the fork is over they release
 * nothing (shim_fork_wait), then the references are copied once more, and the child, which knows
 * its descriptors, gives back what it did not get and claims what came in between. Whichever of the
 * two is first: once the child has counted, the parent copies no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "proto.h"
#include "sys.h"

#define BORN_WAIT_MS 500

/* The child's connection and its row's generation, between prepare and the end of the fork. */
static __thread int child_conn = -1;
static __thread uint32_t child_generation;

static int row_reserve(struct shim_arena *a)
{
	uint32_t want;
	int row;

	for (row = 0; row < SHIM_ROWS; row++) {
		want = SHIM_ROW_FREE;
		if (atomic_compare_exchange_strong(&a->row[row].state, &want, SHIM_ROW_RESERVED)) {
			a->row[row].pid = -getpid();
			a->row[row].generation++;
			return row;
		}
	}
	return -EAGAIN;
}

/* Gives 'to' (a mask) the descriptors of 'from'. */
static void references_copy(struct shim_view *v, shim_rows from, shim_rows to)
{
	uint32_t i, left;

	for (i = 0, left = v->a->nr_socks_used; i < v->nr_socks && left; i++) {
		struct shim_sock *s = shim_sock_at(v, i);

		if (!s)
			continue;
		left--;
		if (s->rows & from)
			s->rows |= to;
	}
	for (i = 0, left = v->a->nr_eps_used; i < v->nr_eps && left; i++) {
		struct shim_ep *ep = shim_ep_at(v, i);

		if (!ep)
			continue;
		left--;
		if (ep->rows & from)
			ep->rows |= to;
	}
}

int keeper_fork_prepare(struct shim_view *v, bool threads)
{
	struct keeper_msg m;
	char err[KEEPER_ERR];
	int row;

	shim_lock(v);
	row = row_reserve(v->a);
	if (row >= 0) {
		v->a->row[row].uid = v->a->row[v->row].uid;
		v->a->row[row].uncounted = threads;
		child_generation = v->a->row[row].generation;
		references_copy(v, shim_row_bit(v->row), shim_row_bit(row));
	}
	shim_unlock(v);
	if (row < 0)
		return row;
	/* Without a keeper the child is a member all the same: nobody will notice its death. */
	child_conn = keeper_connect(v->a->ifname, err);
	if (child_conn >= 0) {
		keeper_msg_init(&m, KEEPER_FORKED, v->a->ifname);
		m.row = row;
		m.generation = v->a->row[row].generation;
		keeper_send(child_conn, &m, NULL, 0);
	}
	return row;
}

void keeper_fork_again(struct shim_view *v, int row)
{
	const struct shim_row *r = &v->a->row[row];

	shim_lock(v);
	if (r->uncounted && r->generation == child_generation)
		references_copy(v, shim_row_bit(v->row), shim_row_bit(row));
	shim_unlock(v);
}

static bool has(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

void keeper_fork_count(struct shim_view *v, const uint8_t *socks, const uint8_t *eps)
{
	shim_rows bit = shim_row_bit(v->row);
	uint32_t i;

	for (i = 0; i < v->nr_socks; i++) {
		struct shim_sock *s = shim_sock_at(v, i);

		if (s && has(socks, i))
			s->rows |= bit;
		else if (s && (s->rows & bit))
			shim_sock_release(v, i, v->row);
	}
	for (i = 0; i < v->nr_eps; i++) {
		struct shim_ep *ep = shim_ep_at(v, i);

		if (ep && has(eps, i))
			ep->rows |= bit;
		else if (ep && (ep->rows & bit))
			shim_ep_release(v, i, v->row);
	}
	v->a->row[v->row].uncounted = 0;
}

int keeper_spawn_prepare(struct shim_view *v)
{
	const struct shim_row *own = &v->a->row[v->row];
	int row;

	shim_lock(v);
	row = row_reserve(v->a);
	if (row >= 0) {
		v->a->row[row].uid = own->uid;
		v->a->row[row].uncounted = 0;
		memcpy(v->a->row[row].comm, own->comm, sizeof(own->comm));
	}
	shim_unlock(v);
	return row;
}

/* 'pid' is the child's: said by parent and child, whoever is first, so that neither waits. A child
 * that has come and gone meanwhile left another pid than the reservation's: then nothing is said.
 */
static void row_go_live(struct shim_view *v, int row, int32_t reserved_by, int32_t pid)
{
	uint32_t want = SHIM_ROW_RESERVED;
	struct shim_row *r = &v->a->row[row];

	if (!atomic_compare_exchange_strong(&r->pid, &reserved_by, pid))
		return;
	shim_row_set_live(v->a, (unsigned int)row, true);
	if (atomic_compare_exchange_strong(&r->state, &want, SHIM_ROW_LIVE))
		shim_ring(v->keeper_bell);
}

/* There is no child. */
static void row_give_back(struct shim_view *v, int row)
{
	uint64_t mask;

	/* What was closed since is held by the row alone. */
	shim_lock(v);
	shim_row_release(v, row);
	mask = shim_kick_take(v);
	shim_unlock(v);
	lane_kick(v->ln, (uint32_t)mask);
}

void keeper_spawn_done(struct shim_view *v, int row, int32_t pid)
{
	if (pid > 0)
		row_go_live(v, row, -getpid(), pid);
	else
		row_give_back(v, row);
}

/* The child is in a pid namespace that the keeper does not see: it is told by whom it is told. Until
 * it knows, whose children this one's are cannot be told either. */
static void say_born(struct shim_view *v, int row)
{
	const struct shim_row *r = &v->a->row[row];
	struct timespec ms = {.tv_nsec = 1000000};
	struct keeper_msg m;
	int i;

	keeper_msg_init(&m, KEEPER_BORN, v->a->ifname);
	m.row = row;
	m.generation = r->generation;
	if (v->conn < 0 || keeper_send_self(v->conn, &m))
		return;
	for (i = 0; i < BORN_WAIT_MS && r->state == SHIM_ROW_RESERVED; i++)
		sys_call(SYS_nanosleep, (long)&ms, 0, 0, 0, 0);
}

void keeper_fork_parent(struct shim_view *v, int row, int32_t pid)
{
	if (child_conn >= 0)
		sys_close(child_conn);
	child_conn = -1;
	if (pid == 0)
		return; /* a fork inside libc: the child says it */
	if (pid > 0 && v->other_pidns)
		return; /* not the number that the keeper knows */
	keeper_spawn_done(v, row, pid);
}

void keeper_fork_child(struct shim_view *v, int row)
{
	int32_t reserved_by;

	/* The new connection takes the old one's number, which the shim hides from the program. */
	if (v->conn >= 0 && child_conn >= 0) {
		sys_call(SYS_dup3, child_conn, v->conn, O_CLOEXEC, 0, 0);
		sys_close(child_conn);
	} else if (v->conn >= 0) {
		sys_close(v->conn);
		v->conn = -1;
	} else {
		v->conn = child_conn;
	}
	child_conn = -1;
	v->row = row;
	v->wakes = 0;
	v->kick_mask = 0;
	shim_lock_allow();
	prctl(PR_GET_NAME, v->a->row[row].comm);
	v->a->row[row].last_poll_us = 0;
	if (v->other_pidns) {
		say_born(v, row);
		return;
	}
	/* Not getppid(): the parent may be gone already. */
	reserved_by = v->a->row[row].pid;
	if (reserved_by < 0)
		row_go_live(v, row, reserved_by, getpid());
}
