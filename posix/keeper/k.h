/*
 * k.h - the keeper process' own state
 */
#ifndef SHIM_KEEPER_K_H
#define SHIM_KEEPER_K_H

#include <sys/types.h>

#include "drivers/control/netlink/netlink.h"
#include "drivers/dpdk/dpdk.h"
#include "proto.h"

#define K_CONNS      256
#define K_REGISTERED 256

/* What an epoll event is about: the upper half of its data; the lower is an index. */
enum keeper_tag { K_LISTEN, K_BELL, K_NETLINK, K_XSK, K_CONN, K_ROW, K_REG };

/* Somebody connected. */
struct keeper_conn {
	int fd; /* -1: free */
	pid_t pid;
	uid_t uid;
	int row; /* it is this member's, -1 */
	uint32_t op; /* KEEPER_*: what it asked last */
	uint64_t since_us;
};

/* What the keeper knows of a row beyond the arena. */
struct keeper_row {
	int pidfd;            /* -1 */
	int conn;             /* -1 */
	uint64_t reserved_us; /* when it was first seen reserved without a live parent */
	uint32_t reserved_generation; /* of the row then */
	bool left;            /* its process executes another program, which may take over */
};

/* A pid that `lane run` announced: the keeper stays for it. */
struct keeper_reg {
	pid_t pid;
	int pidfd; /* -1: free */
};

struct keeper {
	struct lane_settings s;
	struct shim_view v;
	/* of each interface, in the order of s.ifs */
	struct lane_xdp_dev *dev[LANE_IFS_MAX];
	struct lane_netlink *nl[LANE_IFS_MAX];
	bool own_mode; /* the address is the lane's own: */
	struct lane_lwip *lw;
	struct lane_nettab *link_net; /* nl[0] writes here */
	struct lane_mac mac;	      /* of a TAP device's end, or a DPDK port */
	const struct lane_dpdk_plugin *dpdk; /* where the keeper was forked from a program (family.c) */
	uint32_t neigh_seen, groups_seen;
	bool link_up; /* as the control plane was told */
	int listen_fd[LANE_IFS_MAX];
	int epfd;
	uid_t uid;
	struct keeper_conn conn[K_CONNS];
	struct keeper_row row[SHIM_ROWS];
	struct keeper_reg reg[K_REGISTERED];
	uint64_t started_us;
	uint64_t linger_until_us; /* 0: somebody is there */
	unsigned int naps;        /* left to take */
	bool blind;               /* its set does not hold the queues */
	bool deferring;           /* a member put kicks off in the last nap */
	uint32_t deferred_seen;
	unsigned int ifs_gone; /* interfaces that have vanished: bits */
	unsigned int nr_unwatched; /* live rows without a pidfd, for want of descriptors */
	int spare_fd;              /* given up to say no to who connects when there are no others */
	bool bound, somebody_seen, stop;
	bool xsk_ready; /* found in this look */
	bool rung;
};

/* ---- open.c ---- */
/* The parts of keeper_open(), which a keeper that is forked (family.c) has made on both sides of the fork. */
void keeper_init(struct keeper *k);
int keeper_open_shared(struct keeper *k, char *err);
int keeper_open_own(struct keeper *k, char *err);
/* A session of its own, no terminal, no signal, no priority; the descriptors are the caller's affair. */
void keeper_be_alone(void);
void keeper_raise_limits(void);
/* Says on 'ready_fd' how opening ended, 'r' and 'err', and serves or ends. */
void keeper_run(struct keeper *k, int r, const char *err, int ready_fd) __attribute__((noreturn));
/* Makes everything: name, arena, device, mirror, doorbells. 0 or -errno with err[]. -EALREADY:
 * another keeper serves the interface. */
int keeper_open(struct keeper *k, char *err);
int keeper_watch(struct keeper *k, int fd, uint32_t events, enum keeper_tag tag,
		 unsigned int index);

/* ---- device.c ---- */
int keeper_device_open(struct keeper *k, unsigned int i, char *err);
/* From now on frames come. */
int keeper_device_bind(struct keeper *k, unsigned int i, char *err);
/* Tells the device the interface's addresses. */
void keeper_device_set_addrs(struct keeper *k, unsigned int i);
/* Queues with frames that nobody has kicked. */
uint32_t keeper_device_unkicked(const struct keeper *k);
/* The process, or its threads by an exec, are no more: what they had of a device is the others' again. */
void keeper_device_gone(struct keeper *k, int row);
void keeper_device_close_all(struct keeper *k);
/* Own-address mode: the device's link is up. */
bool keeper_device_link(struct keeper *k);
/* A DPDK port's figures are as of now. */
void keeper_device_stats(struct keeper *k);

/* ---- own.c ---- */
int keeper_own_open(struct keeper *k, char *err);
/* Binds and waits for the addresses, within limits, so that the program may bind to them and connect.
 * -EADDRINUSE: another station has one. */
int keeper_own_start(struct keeper *k, char *err);
/* The same, for so long. */
int keeper_own_wait(struct keeper *k, uint64_t us, char *err);
void keeper_own_link(struct keeper *k);
void keeper_own_step(struct keeper *k);
/* When it must be called next, in us; 0: now. */
uint64_t keeper_own_next(const struct keeper *k);

/* ---- serve.c ---- */
void keeper_accept(struct keeper *k, unsigned int ifi);
void keeper_conn_readable(struct keeper *k, unsigned int index);
void keeper_conn_close(struct keeper *k, unsigned int index);

/* ---- knobs.c ---- */
/* The lane follows the namespace's sysctls. */
void keeper_knobs(struct keeper *k);

/* ---- rows.c ---- */
/* A free row for 'pid', or -errno. Its process is watched. */
int keeper_row_take(struct keeper *k, pid_t pid, uid_t uid);
/* The child that row was reserved for has said who it is. */
void keeper_row_born(struct keeper *k, int row, uint32_t generation, pid_t pid);
/* The member is gone: closes what it held as the kernel would. */
void keeper_row_gone(struct keeper *k, int row);
/* The member's connection has ended: it is gone, or has executed another program and left what crosses. */
void keeper_row_exec(struct keeper *k, int row);
/* The row's pidfd was readable: gone, if it is still the same process. */
void keeper_row_readable(struct keeper *k, int row);
/* Rows that members made by fork: watches their processes, frees what never came alive. */
void keeper_rows_scan(struct keeper *k);
bool keeper_rows_reserved(const struct keeper *k);
/* The row of a live member, -1. */
int keeper_row_of(const struct keeper *k, pid_t pid);
int keeper_reg_add(struct keeper *k, pid_t pid);
void keeper_reg_remove(struct keeper *k, unsigned int index);
bool keeper_reg_has(const struct keeper *k, pid_t pid);
/* Somebody is a member or may become one. */
bool keeper_anybody(const struct keeper *k);

/* ---- loop.c ---- */
void keeper_loop(struct keeper *k) __attribute__((noreturn));
/* One turn of the lane under the lock, and the kick. */
void keeper_turn(struct keeper *k);
/* Puts the keeper behind all other waiters of the XSKs. */
void keeper_xsk_last(struct keeper *k);

#endif
