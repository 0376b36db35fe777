/*
 * queue.h - one queue pair of a port, and the port: what the driver's files share
 */
#ifndef LANE_DRIVERS_DPDK_QUEUE_H
#define LANE_DRIVERS_DPDK_QUEUE_H

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "dpdk.h"
#include "rss.h"

#define LANE_DPDK_STAGE 64 /* packets that wait for a flush, or for room in the ring */
#define LANE_DPDK_SPARE 64 /* frames kept back for receiving */

struct lane_dpdk_port {
	uint16_t id;
	uint16_t nr_queues, nr_open; /* open: atomic */
	struct lane_dpdk_info info;
	struct lane_driver drv; /* its queues' */
	struct lane_rss rss;
	uint64_t tx_offloads;
	bool started;
	bool count; /* the PMD counts frames that wait */
	bool forks; /* lane_dpdk_config.forks */
	const uint32_t *gate; /* 0: nobody may call the PMD now; NULL: it needs no gate */
	struct lane_dpdk_port *next_gated;
	bool closed; /* behind a gate: its queues are */
	struct lane_dpdk_queue *queue[LANE_QUEUES_MAX];
};

struct lane_dpdk_queue {
	struct lane_queue q; /* first */
	struct lane_dpdk_port *port;
	struct rte_mempool *mp;
	uint16_t idx; /* of the port */
	uint16_t nr_staged, nr_ready; /* the PMD has looked at the first 'nr_ready' */
	uint16_t nr_spare;
	bool reserved; /* frame 0 is ours */
	bool armed;
	int epoll_fd, now_fd; /* -1: the PMD has no interrupt */
	int sleep_fd;	      /* 'forks': the PMD's own, -1: none */
	bool counter;	      /* it is an eventfd: to be read */
	bool counted;	      /* and may be readable */
	uint32_t inside;      /* atomic: somebody is in the PMD, through the gate */
	const uint32_t *here; /* 0 where the queue must not be touched: in another process; NULL: it may */
	struct lane_bufs last_bufs; /* closed: the lane's, which may be gone */
	uint64_t nr_copied;   /* packets received in frames that are not the lane's */
	uint64_t nr_no_frame; /* times that there were no frames to receive into */
	uint64_t nr_refused;  /* packets that the PMD would not send */
	uint32_t spare[LANE_DPDK_SPARE];
	struct rte_mbuf *stage[LANE_DPDK_STAGE];
};

/* ---- pool.c ---- */
struct lane_buf *lane_dpdk_buf(const struct lane_dpdk_queue *q, const struct rte_mbuf *m);
struct rte_mbuf *lane_dpdk_mbuf(const struct lane_dpdk_queue *q, const struct lane_buf *b);
/* Makes q->mp over the frames of q->q.bufs. */
int lane_dpdk_pool_create(struct lane_dpdk_queue *q, char *err);
/* Keeps frames back while the lane has enough. */
void lane_dpdk_pool_save(struct lane_dpdk_queue *q);
void lane_dpdk_pool_destroy(struct lane_dpdk_queue *q);

/* ---- wait.c ---- */
void lane_dpdk_wait_open(struct lane_dpdk_queue *q);
int lane_dpdk_arm(struct lane_queue *lq);
void lane_dpdk_disarm(struct lane_dpdk_queue *q);
void lane_dpdk_wait_close(struct lane_dpdk_queue *q);

/* ---- forks.c ---- */
/* Between setting the queues up and starting the port: what a PMD does by signals it is to do without. */
void lane_dpdk_quiet(const struct lane_dpdk_port *p);
/* After it: what to sleep on, and who may use the queue. 0 or -errno. */
int lane_dpdk_forks_open(struct lane_dpdk_queue *q);
int lane_dpdk_sleep_fd(struct lane_queue *lq);
/* Empties an eventfd, before the queue is looked at. */
void lane_dpdk_uncount(struct lane_dpdk_queue *q);
static inline bool lane_dpdk_is_here(const struct lane_dpdk_queue *q)
{
	return !q->here || *q->here;
}

/* ---- gate.c ---- */
/* EAL, and its interrupt thread, have started. */
void lane_dpdk_gate_start(void);
/* Puts a port whose PMD needs it behind the gate, before anybody polls it. 0 or -errno; -ESHUTDOWN: it is too late. */
int lane_dpdk_gate_add(struct lane_dpdk_port *p);
/* A port behind the gate, whose queues are closed. All such ports, to be closed now, if it is the last; else NULL. */
struct lane_dpdk_port *lane_dpdk_gate_close(struct lane_dpdk_port *p);
/* Stops EAL's interrupt thread for good; false: it did not answer within a second. */
bool lane_dpdk_gate_stop(void);
/* Asked before the PMD is called with what its peer may take away; false: not now. Then lane_dpdk_leave(). */
static inline bool lane_dpdk_enter(struct lane_dpdk_queue *q)
{
	const uint32_t *gate = q->port->gate;

	if (likely(!gate))
		return true;
	__atomic_store_n(&q->inside, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* the other side's membarrier(2) does the rest */
	if (likely(__atomic_load_n(gate, __ATOMIC_ACQUIRE)))
		return true;
	__atomic_store_n(&q->inside, 0, __ATOMIC_RELEASE);
	return false;
}
static inline void lane_dpdk_leave(struct lane_dpdk_queue *q)
{
	if (q->port->gate)
		__atomic_store_n(&q->inside, 0, __ATOMIC_RELEASE);
}

/* ---- eal.c ---- */
int lane_dpdk_start(const char *eal, size_t bytes, char *err);
void *lane_dpdk_memory(size_t bytes);
void lane_dpdk_stop(void);

/* ---- said.c ---- */
#define LANE_DPDK_TEXT 4096

struct lane_dpdk_capture {
	int fd, out, err;
};
/* From here on what is written to standard output and error is kept; it goes into text[LANE_DPDK_TEXT] at the end. */
void lane_dpdk_capture(struct lane_dpdk_capture *c);
void lane_dpdk_captured(struct lane_dpdk_capture *c, char *text);
/* The lines of 'text', which it changes, as one; EAL's page of options is left out. */
void lane_dpdk_sentence(char *text, char *out, size_t size);
/* What EAL and PMDs say from now on goes to 'said' (256 bytes), the last word only. */
void lane_dpdk_say_to(char *said);

/* ---- port.c ---- */
int lane_dpdk_open(const struct lane_dpdk_config *cfg, struct lane_bufs *const bufs[], uint32_t nr,
		   struct lane_queue *queues[], char *err);
void lane_dpdk_info(const struct lane_queue *lq, struct lane_dpdk_info *info);
int lane_dpdk_stats(const struct lane_queue *lq, char *out, size_t size);
void lane_dpdk_queue_close(struct lane_queue *lq);

/* ---- queue.c ---- */
/* What this port can do. */
void lane_dpdk_driver(const struct lane_dpdk_port *p, struct lane_driver *drv);
/* Gives up what waits to be sent. */
void lane_dpdk_unstage(struct lane_dpdk_queue *q);

#endif
