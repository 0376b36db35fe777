/*
 * dpdk.h - the DPDK driver: any ethdev port, one of its queue pairs a lane
 *
 * Theory of operation. The driver is a plugin, liblane-dpdk.so, that lane_dpdk_load() opens when a program asks for
 * it: nobody else has DPDK's libraries in his process (docs/decisions/0015). What it can do is the table struct
 * lane_dpdk_plugin, in the order start, memory, open, and the queues' close.
 *
 * EAL can be started once in a process. By default it takes neither hugepages nor files of its own, and looks at no
 * PCI device: only --allow (-a) makes it do so.
 *
 * A frame of the lane and its rte_mbuf are one piece of memory, so frames of such a lane have this stride and size,
 * and come from memory() where a device reads them itself (pool.c). No two lanes may share frames.
 *
 * What it cannot do: carry a frame from one thread's lane to another's by net_ring (a pool has no lock), and memif's
 * zero copy, which gives frames back on a thread of its own.
 */
#ifndef LANE_DRIVERS_DPDK_H
#define LANE_DRIVERS_DPDK_H

#include <lane/lane.h>

#define LANE_DPDK_STRIDE 2368 /* lane_config.buf_stride: 37 cache lines */
#define LANE_DPDK_FRAME	 2176 /* lane_config.buf_size: 2 KB behind DPDK's headroom */
#define LANE_DPDK_ERR	 512  /* bytes of an error text */

enum lane_dpdk_tri { LANE_DPDK_AUTO, LANE_DPDK_OFF, LANE_DPDK_ON };

/* How a port with several queues chooses one for a received packet. */
enum lane_dpdk_steering {
	LANE_DPDK_SINGLE,   /* there is one queue */
	LANE_DPDK_TOEPLITZ, /* by a hash that is known (rss.h) */
	LANE_DPDK_BY_SENDER /* the other end does, as it likes */
};

struct lane_dpdk_config {
	const char *port;		/* its name; NULL: the only one */
	uint32_t mtu;			/* bytes of an IP packet; 0: 1500, or the port's where that is less */
	uint32_t ring_size;		/* descriptors each way, 0: 512 */
	enum lane_dpdk_tri partial_ok;	/* a peer on this host may leave checksums partial; auto: by the PMD */
	uint8_t ifi;			/* which of the lanes' interfaces it becomes */
	bool forks; /* processes forked from this one use the queues too, one at a time */
	char *said; /* 256 bytes for what EAL and PMDs say later; NULL: they write to standard error */
};

struct lane_dpdk_info {
	char name[64], driver[32];
	struct lane_mac mac;
	uint32_t mtu;
	uint32_t nr_queues;
	uint32_t caps; /* LANE_CAP_* */
	enum lane_dpdk_steering steering;
	bool rx_csum;	 /* the port vouches for checksums */
	bool interrupts; /* a lane may sleep on it */
	bool partial_ok;
	bool link; /* the port's is up, now */
	int sleep_fd; /* readable when frames wait: the PMD's own, -1: it has none */
	bool alone;   /* only the process that opened the port may use it */
};

struct lane_dpdk_port;

#define LANE_DPDK_VERSION 2

struct lane_dpdk_plugin {
	uint32_t version; /* LANE_DPDK_VERSION */
	/*
	 * Starts EAL with the options in 'eal' ("--vdev net_memif0,id=0 ..."; "-a 0000:03:00.0") and our own, with
	 * 'bytes' for memory(). 0 or -errno with a sentence in err[LANE_DPDK_ERR]. Blocks for 150 ms. While it works the
	 * process' descriptors 1 and 2 are EAL's, whose complaints become that sentence; 0 with what it wrote otherwise.
	 * Signal handlers, signal mask, CPUs and name of the calling thread are afterwards as they were.
	 */
	int (*start)(const char *eal, size_t bytes, char *err);
	/* Zeroed memory for a lane, which a device can reach; NULL: there is no more. It is there until stop(). */
	void *(*memory)(size_t bytes);
	/*
	 * Opens cfg->port with 'nr' queues, the i-th over the frames of bufs[i] (borrowed), none of which was taken yet.
	 * queues[i] is to be added to that lane. After its close() that lane may be detached; its memory is in use until
	 * the last queue is closed, and the port with it. Closing is for any thread. 0 or -errno and err.
	 */
	int (*open)(const struct lane_dpdk_config *cfg, struct lane_bufs *const bufs[], uint32_t nr,
		    struct lane_queue *queues[], char *err);
	void (*info)(const struct lane_queue *q, struct lane_dpdk_info *info);
	/* The port's counters and extended statistics, "name value" a line, zeros left out. Returns bytes written. */
	int (*stats)(const struct lane_queue *q, char *out, size_t size);
	/* Ends EAL, when all queues are closed. It cannot be started again. */
	void (*stop)(void);
};

/* The plugin from beside the program or the preloaded library, or $LANE_DPDK; what it has for that library in *family
 * (may be NULL). NULL with a sentence in err[LANE_DPDK_ERR]. */
const struct lane_dpdk_plugin *lane_dpdk_load(const void **family, char *err);

#endif
