/*
 * xdp.h - the AF_XDP driver: opened by one process, mapped by any number
 *
 * Theory of operation. The opener (the keeper, or a native program) needs CAP_NET_ADMIN,
 * CAP_NET_RAW, CAP_BPF and, for the verifier, CAP_PERFMON: it makes one XSK for each queue over one
 * UMEM (the lane's frames), sets ring sizes, loads the BPF object and attaches it (with nothing
 * claimed it passes all). Every user, the opener included, maps the rings and the claims from the
 * descriptors in struct lane_xdp_fds and gets struct lane_queues on them. Order, for kernels before
 * 6.4, which refuse to map rings after bind: open, first map, bind. What the mappers must know lies
 * in struct lane_xdp_share, plain data in shared memory.
 *
 * Frames that wait in a fill ring have the owner LANE_BUF_DRIVER, frames that are being sent have
 * LANE_BUF_TX, so a recovery after a member's death leaves them alone. A member killed within a
 * burst function may lose at most that burst's frames to the pool, never hand one out twice: ring
 * positions are published before frames change hands.
 */
#ifndef LANE_DRIVERS_XDP_H
#define LANE_DRIVERS_XDP_H

#include <pthread.h>

#include <lane/lane.h>

#define LANE_XDP_ERR 256 /* bytes of an error text */

enum lane_xdp_mode { LANE_XDP_AUTO, LANE_XDP_GENERIC, LANE_XDP_NATIVE };
enum lane_xdp_tri { LANE_XDP_TRI_AUTO, LANE_XDP_TRI_OFF, LANE_XDP_TRI_ON };

/* Optional kernel features. In config.without: not to be used, so that fallbacks are tested; in
 * share.have: found; in share.lacking: probed and absent. */
#define LANE_XDP_F_SG          0x01 /* multi-buffer (6.6) */
#define LANE_XDP_F_TX_METADATA 0x02 /* checksum by transmit metadata (6.8) */
#define LANE_XDP_F_MAP_LATE    0x04 /* rings can be mapped after bind (about 6.4) */
#define LANE_XDP_F_NEED_WAKEUP 0x08
#define LANE_XDP_F_SK_LOOKUP   0x10 /* bpf_skc_lookup_tcp in XDP */
#define LANE_XDP_F_SYNCOOKIE   0x20 /* bpf_tcp_check_syncookie in XDP */
#define LANE_XDP_F_UNALIGNED   0x40 /* unaligned chunks */
#define LANE_XDP_F_BUSY_POLL   0x80 /* the XSK has a NAPI id */
#define LANE_XDP_F_ZEROCOPY    0x100
#define LANE_XDP_F_SUPER       0x200 /* super-segments by a packet socket */

struct lane_xdp_config {
	char ifname[16];
	enum lane_xdp_mode mode;
	enum lane_xdp_tri zerocopy,
		partial_ok; /* partial_ok auto: veth, lo, tap, virtio, any generic */
	uint32_t without;   /* LANE_XDP_F_* */
	uint32_t nr_queues; /* 0: all of the interface */
	uint32_t ring_size; /* 0: 2048; a power of two */
	uint8_t ifi;	    /* which of the lane's interfaces it becomes */
	uint8_t own;	    /* every frame of the interface is the lane's */
};

struct lane_xdp_ring {
	uint64_t map_len;
	uint64_t producer, consumer, desc, flags; /* offsets in the mapping */
	uint32_t size;
	uint32_t reserved;
};

/* One frame of a packet that leaves by the packet socket (wide.c). */
struct lane_xdp_piece {
	uint32_t frame;
	uint16_t off, len;
	uint16_t csum_start, csum_off; /* of the packet, in its first piece; 0: no sum to finish */
	uint16_t hlen, size;	       /* of a super-segment: its headers, the text of each segment */
	uint8_t more;		       /* the packet goes on in the next piece */
	uint8_t v6;
	uint8_t reserved[2];
};

#define LANE_XDP_PIECES	 2048 /* a power of two */
#define LANE_XDP_STALLED 200 /* kicks that found another at it, who has sent nothing meanwhile */

struct lane_xdp_wide {
	uint32_t head; /* where the next piece is noted */
	uint32_t tail; /* the first that is not sent */
	uint32_t done; /* the first whose frame was not given back */
	uint32_t nr_refused; /* kicks that found another at it since a packet left */
	pthread_mutex_t busy; /* who sends has it; robust, process-shared */
	struct lane_xdp_piece piece[LANE_XDP_PIECES];
};

struct lane_xdp_share {
	uint32_t nr_queues;
	uint32_t have, lacking; /* LANE_XDP_F_* */
	uint32_t caps;          /* LANE_CAP_* of the queues */
	uint8_t mode;           /* LANE_XDP_GENERIC or LANE_XDP_NATIVE */
	uint8_t bound;
	uint8_t partial_ok;
	uint8_t native_errno; /* automatic mode is generic because the native attach said this; 0 */
	uint8_t ifi;		/* of the lane's interfaces */
	uint8_t reserved[3];
	uint64_t claims_size; /* bytes of the claims mapping */
	struct {
		struct lane_xdp_ring rx, tx, fill, comp;
		uint32_t napi_id;
		uint32_t nr_unkicked; /* shared by all mappers */
		uint64_t rx_position; /* last consumer position published: the keeper compares */
	} queue[LANE_QUEUES_MAX];
	struct lane_xdp_wide wide; /* of all its queues */
};

/* What a member is handed. 'link' is only held: the program stays attached until its last holder
 * has closed it, so a lane outlives the opener; -1 for an onlooker. */
struct lane_xdp_fds {
	int claims; /* the BPF map of claims, addresses and counters */
	int xsk[LANE_QUEUES_MAX];
	int link;
	int packet; /* the packet socket, -1: none */
};

struct lane_xdp_dev; /* the opener's */

/* The stride that the lane's frames must have (lane_config.buf_stride) for cfg->ifname and this
 * kernel: 2112, or 2048 where the kernel lacks unaligned chunks or cfg->without names them. */
uint32_t lane_xdp_stride(const struct lane_xdp_config *cfg);
/* Opens cfg->ifname over the frames of 'ln' (several interfaces may be opened over the same) and fills *share and *fds (which stay the device's). 0
 * or -errno with a sentence that says what to do in err[LANE_XDP_ERR]. Blocks for tens of ms. */
int lane_xdp_open(const struct lane_xdp_config *cfg, struct lane *ln, struct lane_xdp_share *share,
		  struct lane_xdp_fds *fds, struct lane_xdp_dev **dev, char *err);
/* Maps rings and claims and adds the queues to 'ln', interface share->ifi. -EBUSY: the kernel maps only before
 * bind. */
int lane_xdp_map(struct lane *ln, struct lane_xdp_share *share, const struct lane_xdp_fds *fds);
/* Binds all XSKs and puts them into the program's map: from now on claimed frames arrive. Retries
 * EBUSY for a second. */
int lane_xdp_bind(struct lane_xdp_dev *dev, char *err);
/* Copies the interface's addresses and MAC to the program's table; after every change. */
void lane_xdp_set_addrs(struct lane_xdp_dev *dev, const struct lane_nettab *net);
/* XDP_STATISTICS and the program's counters, one "name value" a line. Returns bytes written. */
int lane_xdp_stats(const struct lane_xdp_share *share, const struct lane_xdp_fds *fds, char *out,
		   size_t size);
/* Detaches the program (BPF_LINK_DETACH: also while others hold the link), closes, frees. */
void lane_xdp_close(struct lane_xdp_dev *dev);
/* "generic copy SG tx-metadata, lacking: zerocopy (not used), busy-poll (no NAPI id)". */
void lane_xdp_describe(const struct lane_xdp_share *share, char *out, size_t size);
/* What kernel programs on 127.0.0.1 and a lane on lo need to hear each other: route_localnet and accept_local of
 * lo become 1, and its tx-udp-segmentation off. Returns how many were changed, with a sentence for the user in text[LANE_XDP_ERR],
 * or -errno. */
int lane_xdp_loopback_settings(char *text);

#endif
