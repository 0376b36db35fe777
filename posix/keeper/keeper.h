/*
 * keeper.h - the keeper process, and how a program comes to it
 *
 * The keeper listens on the abstract unix socket "lane/<ifname>" (SOCK_SEQPACKET) of each of its
 * interfaces; abstract names
 * belong to one network namespace. Messages are struct keeper_msg with descriptors as SCM_RIGHTS.
 * Both ends check SO_PEERCRED before they believe anything and give up after a second.
 *
 * A member keeps its connection: the end of file tells the keeper that the process is gone or has
 * executed another program (the descriptor is CLOEXEC), earlier and more surely than its pid does.
 */
#ifndef SHIM_KEEPER_H
#define SHIM_KEEPER_H

#include "arena.h"
#include "drivers/control/lwip/lwip.h"

enum keeper_op {
	KEEPER_REGISTER = 1, /* lane run: this pid will be a member (pidfd attached) */
	KEEPER_JOIN,	     /* a process asks for the arena; answer: KEEPER_WELCOME with descriptors */
	KEEPER_MAPPED,	     /* the joiner has mapped everything; answer: KEEPER_READY once bound */
	KEEPER_OBSERVE,	     /* lane stat: the memfd, to be mapped read-only */
	KEEPER_FORKED,	     /* this connection is the future child's in 'row'; no answer */
	KEEPER_BORN,	     /* by that child, with SCM_CREDENTIALS: its pid, which it does not know; no answer */
	KEEPER_STOP,	     /* lane stop: end when no member is left, without lingering */
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
	uint32_t nr_ifs;    /* WELCOME: interfaces of the lane */
	uint32_t nr_queues[LANE_IFS_MAX]; /* WELCOME: XSKs of each among the descriptors */
	uint32_t generation; /* FORKED, BORN: of the row, when it was reserved */
	uint32_t has_link;  /* WELCOME: the last descriptors are the links of each's program */
};

/* What can be set; the value is the index in lane_settings.from. */
enum lane_setting {
	LANE_SET_IF,
	LANE_SET_MEMORY,
	LANE_SET_SPIN_US,
	LANE_SET_PROFILE,
	LANE_SET_MODE,
	LANE_SET_ZEROCOPY,
	LANE_SET_WITHOUT,
	LANE_SET_PORTS,
	LANE_SET_CONGESTION,
	LANE_SET_DRIVER,
	LANE_SET_ADDRESS,
	LANE_SET_GATEWAY,
	LANE_SET_DHCP,
	LANE_SET_EAL,
	LANE_NR_SETTINGS
};
enum lane_setting_from { LANE_FROM_DEFAULT, LANE_FROM_FILE, LANE_FROM_ENV, LANE_FROM_OPTION };

/* What `lane run` and LANE_* environment variables say (config.c). */
struct lane_settings {
	char ifname[16]; /* the first interface; empty: the one with the default route */
	char ifs[LANE_IFS_MAX][16]; /* all of them, that one included */
	uint32_t nr_ifs;
	char without_ifs[64]; /* keeper_start(): those that the keeper which serves was opened without */
	struct lane_xdp_config xdp;
	size_t memory;
	uint32_t spin_us;  /* budget before sleeping */
	int profile;	   /* 0 default, 1 latency, 2 throughput */
	char ports[128];   /* "80,443,8000-8100": claims allowed; empty: all */
	char congestion[16]; /* default congestion control; empty: net.ipv4.tcp_congestion_control */
	int driver;	   /* enum shim_device */
	char address[256], gateway[128]; /* own-address mode, as they were given */
	char eal[256];			 /* DPDK's options */
	struct lane_lwip_config own;	 /* the same, read */
	uint8_t from[LANE_NR_SETTINGS];	 /* enum lane_setting_from */
	uint16_t line[LANE_NR_SETTINGS]; /* LANE_FROM_FILE: in lane.conf */
};
/* From the environment and lane.conf; unknown keys are errors. 0 or -EINVAL with text in err[256]. */
int lane_settings_load(struct lane_settings *s, char *err);
void lane_settings_default(struct lane_settings *s);
/* Reads the text of a lane.conf, which it changes; 'path' is for err[256]. 0 or -EINVAL. */
int lane_settings_parse(struct lane_settings *s, char *text, const char *path, char *err);
/* Sets one from its text. 0, or -EINVAL with what is wrong in err[256]. */
int lane_settings_set(struct lane_settings *s, enum lane_setting which, const char *value,
		      enum lane_setting_from from, char *err);
/* The text of one, as set() takes it. */
void lane_settings_get(const struct lane_settings *s, enum lane_setting which, char *out, size_t size);
/* "memory"; its environment variable is LANE_MEMORY. NULL beyond the last. */
const char *lane_setting_name(enum lane_setting which);
const char *lane_setting_env(enum lane_setting which);
/* The file that is read: $LANE_CONF or /etc/lane.conf. */
const char *lane_settings_path(void);
/* True where the interface's address is the lane's own: address=, dhcp= or a driver that has no kernel's. */
bool lane_settings_own(const struct lane_settings *s);
/* Which those are, in words that are the same for the same: "10.0.0.2/24,fd00::2/64 gateway 10.0.0.1". */
void lane_settings_own_text(const struct lane_settings *s, char out[LANE_OWN_TEXT]);
/* True if ports= allows claims on 'port'. */
bool lane_settings_port_ok(const struct lane_settings *s, uint16_t port);
/* Writes settings to the environment so that exec'd programs find them. */
void lane_settings_export(const struct lane_settings *s);
/* "LANE_MEMORY=67108864" and so on of those that are set, for an environment of one's own: fills at
 * most 'n' of out[], returned owned, and returns how many. */
unsigned int lane_settings_envp(const struct lane_settings *s, char *out[], unsigned int n);
/* Fills in the interface with the default route where none is given. 0 or -errno with err[256]. */
int lane_settings_ifname(struct lane_settings *s, char *err);

/* ---- knobs.c: the namespace's sysctls as a lane's defaults ---- */
/* Sets what can be read; returns a mask of which, by index. */
uint64_t lane_knobs_read(struct lane_config *cfg);
/* "ipv4/tcp_rmem", below net/; NULL beyond the last. */
const char *lane_knob_name(unsigned int i);
/* The value in 'cfg', as the sysctl shows it. */
void lane_knob_get(const struct lane_config *cfg, unsigned int i, char *out, size_t size);

/* Starts the keeper for the interfaces unless one serves some of them: then the first of those becomes
 * s->ifname, and the names of the others are in s->without_ifs. Two keepers for them are an error. Returns
 * when it accepts connections or has failed, with its error in err[256]. Where s->ifname is empty the keeper finds the interface, and
 * it is filled in. The keeper's stdio is /dev/null. */
int keeper_start(struct lane_settings *s, char *err);
/* The keeper itself: never returns. 'ready_fd' gets one line, "ok" or the error, and is closed. */
void keeper_main(const struct lane_settings *s, int ready_fd) __attribute__((noreturn));
/* Tells the keeper of 'ifname' that 'pid' will be a member. */
int keeper_register(const char *ifname, int32_t pid, char *err);
/* Joins: connects (starts a keeper from beside the library when none serves), receives descriptors,
 * maps, becomes a row. 0 and *v, or a negative errno with *why and err[256]. */
int keeper_join(const struct lane_settings *s, struct shim_view *v, enum shim_fallback *why, char *err);
/* The shim's: called for each descriptor that a join receives, before anything is mapped; returns the
 * number that it has now; and before such a number is closed. NULL: they stay where they are. */
extern int (*keeper_hide_fd)(int fd);
extern void (*keeper_unhide_fd)(int fd);
/* For lane stat and conns: a read-only view (row -1). */
int keeper_observe(const char *ifname, struct shim_view *v, char *err);
/* Asks the keeper of 'ifname' to end as soon as no member is left. 0 or -errno with err[256]. */
int keeper_stop(const char *ifname, char *err);
/* Ends the keeper of 'ifname' if it only lingers: a DPDK port is not handed on. 0 when nobody serves it, else the
 * keeper's pid. Waits for at most three seconds. */
int32_t keeper_make_room(const char *ifname);
/* The process that serves 'ifname', 0: none. */
int32_t keeper_pid(const char *ifname);
/* Reserves a row for a child about to be forked, with all that 'v->row' holds; -EAGAIN: none free.
 * 'threads': others may make and close sockets meanwhile, and the child will count (below). */
int keeper_fork_prepare(struct shim_view *v, bool threads);
/* In the parent, before any of its threads releases anything again: what it has by now is the child's too,
 * unless that has counted. */
void keeper_fork_again(struct shim_view *v, int row);
/* In the child, under the lock: bits of the socks and sets that it has descriptors of. */
void keeper_fork_count(struct shim_view *v, const uint8_t *socks, const uint8_t *eps);
void keeper_fork_parent(struct shim_view *v, int row, int32_t pid); /* pid < 0: the fork failed, 0: not known here */
/* A row for the program that posix_spawn(3) is about to start, which holds nothing yet; -EAGAIN: none free.
 * Afterwards its pid, < 0: it was not started. */
int keeper_spawn_prepare(struct shim_view *v);
void keeper_spawn_done(struct shim_view *v, int row, int32_t pid);
/* In the child, where v->row is still the parent's. */
void keeper_fork_child(struct shim_view *v, int row);

#endif
