/*
 * dev.h - the driver's inside: what the opener holds, and how its files call each other
 */
#ifndef LANE_DRIVERS_XDP_DEV_H
#define LANE_DRIVERS_XDP_DEV_H

#include <stdio.h>

#include "claims.h"
#include "xdp.h"

#define LANE_XDP_CHUNK     2048 /* bytes of a frame that the kernel may use */
#define LANE_XDP_STRIDE    2112 /* bytes from one to the next: no power of two (design.md 6) */
#define LANE_XDP_FRAME_MAX 1792 /* received bytes that fit one frame: the kernel keeps 256 */
#define LANE_XDP_RETRY_MS  1000 /* how long a busy queue or interface is tried again */

struct lane_xdp_bpf;

/* What is known of the interface. */
struct lane_xdp_if {
	char name[16];
	char driver[32]; /* "veth", "virtio_net", "lo" */
	uint32_t ifindex;
	uint32_t mtu;
	uint32_t nr_queues; /* receive queues in use */
	bool loopback;
};

struct lane_xdp_dev {
	struct lane_xdp_config cfg;
	struct lane_xdp_if itf;
	struct lane_xdp_share *share; /* borrowed */
	struct lane_xdp_bpf *bpf;
	struct lane_xdp_claims *claims; /* of the object's own mapping */
	int prog_fd, link_fd;
	int xsk[LANE_QUEUES_MAX];
	int packet_fd;
};

/* Writes the sentence to err[LANE_XDP_ERR] and returns 'code'. */
int lane_xdp_fail(char *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- probe.c: interface and kernel features ---- */
/* 0, -ENODEV or -errno with text. */
int lane_xdp_probe_if(struct lane_xdp_if *itf, const char *name, char *err);
/* LANE_XDP_F_* that this kernel has, as far as that shows before anything is opened. */
uint32_t lane_xdp_probe_kernel(void);
/* Settles mode, SG and partial_ok in *share; refuses what would lose frames silently. */
int lane_xdp_choose(const struct lane_xdp_config *cfg, const struct lane_xdp_if *itf,
		    struct lane_xdp_share *share, char *err);

/* Settles 'mode' and what follows from it, with the same refusals. */
int lane_xdp_set_mode(const struct lane_xdp_config *cfg, const struct lane_xdp_if *itf,
		      struct lane_xdp_share *share, uint8_t mode, char *err);

/* ---- prog.c: the BPF object ---- */
/* Loads the program and attaches it in share->mode; in automatic mode a native attach that fails
 * becomes a generic one. */
int lane_xdp_prog_open(struct lane_xdp_dev *dev, char *err);
/* From now on the program finds the XSK of a queue. */
int lane_xdp_prog_add(struct lane_xdp_dev *dev, uint32_t queue, int xsk);
void lane_xdp_prog_close(struct lane_xdp_dev *dev);
int lane_xdp_prog_claims_fd(const struct lane_xdp_dev *dev);

/* ---- xsk.c: AF_XDP sockets ---- */
/* An AF_XDP socket, or -errno with text: also to ask whether there may be any. */
int lane_xdp_socket(char *err);
/* Makes the XSK of queue 'i' with its rings and fills share->queue[i]; the first one registers the
 * frames of 'ln' as UMEM. */
int lane_xdp_xsk_open(struct lane_xdp_dev *dev, struct lane *ln, uint32_t i, char *err);
int lane_xdp_xsk_bind(struct lane_xdp_dev *dev, uint32_t i, char *err);
/* Before there is any: would the interface do zero copy? -errno with text when not. */
int lane_xdp_xsk_try_zerocopy(struct lane_xdp_dev *dev, char *err);

/* ---- wide.c ---- */
/* A socket that sends super-segments, -1: there can be none. */
int lane_xdp_wide_open(struct lane_xdp_dev *dev);

/* ---- holder.c: for error texts ---- */
/* "program 17 \"name\" of nginx (pid 4711)": who has an XDP program on the interface.
 * Returns what 'ip link set' calls it. */
const char *lane_xdp_holder(uint32_t ifindex, char *out, size_t size);
/* "CAP_NET_ADMIN, CAP_BPF": which of those needed this process lacks; "" when none. */
void lane_xdp_lacking_caps(char *out, size_t size);

#endif
