/*
 * driver.h - what a packet driver gives a lane
 *
 * A queue belongs to one lane: no function here but kick() is called by two threads at once.
 * How a queue is opened is the driver's own affair (its header says); from then on the lane sees
 * a struct lane_queue. The burst functions neither block nor allocate memory.
 */
#ifndef LANE_DRIVER_H
#define LANE_DRIVER_H

#include <lane/buf.h>

struct lane_queue;
struct lane_ep;
struct lane_ip;

#define LANE_CAP_TX_CSUM 0x01 /* completes LANE_BUF_CSUM frames */
#define LANE_CAP_SG 0x02      /* sends chains */
#define LANE_CAP_TSO 0x04     /* cuts TCP super-segments, with LANE_CAP_TX_CSUM: see tx_burst() */

#define LANE_QUEUE_NEXT 4 /* cache lines: a descriptor, the headers and a small request */

#define LANE_SG_MAX 48 /* frames of one packet to send, at most */

#define LANE_BURST 32 /* frames in one burst: what the kernel sends for one kick */

struct lane_driver {
	const char *name; /* what the configuration calls it: "xdp", "pair" */

	/*
	 * Fills bufs[] with at most 'n' packets (first frames) and returns how many; the caller owns
	 * them. Sets off, len, pkt_len, flags, queue. Takes frames from q->bufs for its rings.
	 */
	uint16_t (*rx_burst)(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n);

	/*
	 * Takes packets to send; returns how many of bufs[0..n) it consumed, the rest stay the
	 * caller's. A frame taken has LANE_BUF_TX until its completion, when the driver calls
	 * lane_buf_tx_done(). Reaps completions itself.
	 *
	 * With LANE_CAP_TSO a packet may be a TCP super-segment: a chain whose first frame has the headers and
	 * one segment's text, each further one the text of the next segment, all of one length but
	 * the last. IP's length and the pseudo-header sum are the whole packet's. The links are good during
	 * the call only; every frame of the chain is taken, and completed.
	 */
	uint16_t (*tx_burst)(struct lane_queue *q, struct lane_buf *bufs[], uint16_t n);

	/* Frames of chains that tx_burst() would take now. NULL: no chains. */
	uint32_t (*room)(const struct lane_queue *q);

	/* The end of a turn: hands over what tx_burst() only noted. May be NULL. */
	void (*flush)(struct lane_queue *q);

	/* Makes taken frames leave. May be called by any thread without the lane's lock. May be NULL. */
	void (*kick)(struct lane_queue *q);

	/* True if frames wait to be received. A hint, for spinning: may be called by any thread
	 * without the lane's lock. May be NULL: then nothing is known. */
	bool (*pending)(const struct lane_queue *q);

	/* The descriptor to sleep on, readable when frames wait, or -1: who sleeps looks again after a
	 * while. Called before each sleep. May be NULL. */
	int (*arm)(struct lane_queue *q);

	/*
	 * Steering in shared mode: frames of 'proto' (IPPROTO_*) to local 'port' (host order) come to
	 * this lane. The masks name entries of the interface's address table: 'any' for what is no
	 * SYN, 'listen' for SYNs; zero masks release. Costs a store. May be NULL.
	 */
	void (*claim)(struct lane_queue *q, uint8_t proto, uint16_t port, uint32_t any,
		      uint32_t listen);

	/* True if frames from 'remote' to 'local' come by this queue: for the choice of ports. May be NULL:
	 * they do. */
	bool (*home)(const struct lane_queue *q, const struct lane_ep *local, const struct lane_ep *remote);

	/*
	 * A hint for steering: the lane has (or no longer has) the TCP connection between these two;
	 * both NULL: it has none at all. Costs a store. May be NULL.
	 */
	void (*flow)(struct lane_queue *q, const struct lane_ep *local, const struct lane_ep *remote,
		     bool on);

	/*
	 * A flood of SYNs comes to TCP port 'port', or it has ended. While it lasts the driver may drop
	 * SYNs that it has not seen, beyond a rate that it chooses, if it lets through what is sent again a
	 * second later, as every client does. Costs a store. May be NULL.
	 */
	void (*limit)(struct lane_queue *q, uint16_t port, bool on);

	/*
	 * The lane takes (or no longer takes) datagrams to the multicast group 'group' that come by this
	 * queue's interface. May be told again what is so already. May be NULL: then nothing keeps frames to
	 * groups away, or nobody brings any.
	 */
	void (*group)(struct lane_queue *q, const struct lane_ip *group, bool on);

	/* Frees the queue and every frame still in its rings. NULL is ignored. */
	void (*close)(struct lane_queue *q);
};

/* A driver embeds it as the first member of its own queue. */
struct lane_queue {
	const struct lane_driver *drv;
	struct lane_bufs *bufs;
	uint32_t caps;	  /* LANE_CAP_* */
	uint8_t idx;	  /* in the lane's list of queues */
	uint8_t ifi;	  /* which of the lane's interfaces it belongs to */
	uint8_t plain;	  /* kick by plain read(2) and write(2): the process may make no other calls */
	uint8_t pad;
	uint32_t nr_unkicked; /* frames taken since the last kick: whoever kicks sets it to 0 */
	/* What pending() compares, for who spins: frames wait while the two differ. NULL: it must be asked. */
	const uint32_t *rx_filled, *rx_taken;
	uint32_t rx_size; /* more than so many apart they are damaged, and none wait */
	const void *next[LANE_QUEUE_NEXT]; /* what the next frame will be read from, to be fetched when it is there */
};

static inline bool lane_queue_filled(const struct lane_queue *q)
{
	uint32_t n = __atomic_load_n(q->rx_filled, __ATOMIC_RELAXED) -
		     __atomic_load_n(q->rx_taken, __ATOMIC_RELAXED);

	return n - 1 < q->rx_size;
}

#endif
