/*
 * keeper.h - the keeper process, and how a program comes to it
 *
 * The keeper listens on an abstract unix socket "lane/<netns inode>/<ifname>" (SOCK_SEQPACKET).
 * Messages are struct keeper_msg with descriptors as SCM_RIGHTS. Both ends check SO_PEERCRED
 * before they believe anything and give up after a second.
 */
#ifndef SHIM_KEEPER_H
#define SHIM_KEEPER_H

#include "arena.h"

enum keeper_op {
	KEEPER_REGISTER = 1, /* lane run: this pid will be a member (pidfd attached) */
	KEEPER_JOIN,	     /* a process asks for the arena; answer: KEEPER_WELCOME with descriptors */
	KEEPER_MAPPED,	     /* the joiner has mapped everything; answer: KEEPER_READY once bound */
	KEEPER_OBSERVE,	     /* lane stat: the memfd, to be mapped read-only */
	KEEPER_FORKED,	     /* a reserved row has a pid now */
	KEEPER_STOP,	     /* lane stop: end when no member is left */
	KEEPER_WELCOME,
	KEEPER_READY,
	KEEPER_REFUSED, /* 'error' says why, 'why' is the fallback reason */
};

struct keeper_msg {
	uint32_t op;	  /* enum keeper_op */
	uint32_t version; /* SHIM_ARENA_VERSION */
	int32_t pid;	  /* the sender's getpid(): a mismatch with SO_PEERCRED is another pid namespace */
	int32_t row;
	uint32_t why; /* enum shim_fallback */
	uint32_t nr_fds;
	char ifname[16];
	char error[256];
};

/* What `lane run` and LANE_* environment variables say (config.c). */
struct lane_settings {
	char ifname[16]; /* empty: the one with the default route */
	struct lane_xdp_config xdp;
	size_t memory;
	uint32_t spin_us;  /* budget before sleeping */
	int profile;	   /* 0 default, 1 latency, 2 throughput */
	char ports[128];   /* "80,443,8000-8100": claims allowed; empty: all */
};
/* From the environment and lane.conf; unknown keys are errors. 0 or -EINVAL with text in err[256]. */
int lane_settings_load(struct lane_settings *s, char *err);
/* Writes settings to the environment so that exec'd programs find them. */
void lane_settings_export(const struct lane_settings *s);

/* Starts the keeper for s->ifname unless one serves it; returns when it accepts connections or has
 * failed, with its error in err[256]. From `lane run`: forks; the keeper's stdio is /dev/null. */
int keeper_start(const struct lane_settings *s, char *err);
/* The keeper itself: never returns. 'ready_fd' gets one line, "ok" or the error, and is closed. */
void keeper_main(const struct lane_settings *s, int ready_fd) __attribute__((noreturn));
/* Tells the keeper of 'ifname' that 'pid' will be a member. */
int keeper_register(const char *ifname, int32_t pid, char *err);
/* Joins: connects (starts a keeper from beside the library when none serves), receives descriptors,
 * maps, becomes a row. 0 and *v, or a negative errno with *why and err[256]. */
int keeper_join(const struct lane_settings *s, struct shim_view *v, enum shim_fallback *why, char *err);
/* For lane stat and conns: a read-only view (row -1). */
int keeper_observe(const char *ifname, struct shim_view *v, char *err);
/* Reserves a row for a child about to be forked, with all that 'v->row' holds; -EAGAIN: none free. */
int keeper_fork_prepare(struct shim_view *v);
void keeper_fork_parent(struct shim_view *v, int row, int32_t pid); /* pid < 0: the fork failed */
void keeper_fork_child(struct shim_view *v, int row);

#endif
