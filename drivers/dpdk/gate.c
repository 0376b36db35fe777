/*
 * gate.c - EAL's interrupt thread and a PMD's bursts take turns, where they must
 *
 * Theory of operation. memif's PMD unmaps the peer's memory in EAL's interrupt thread as soon as the peer is gone,
 * whoever reads it in a burst at that time. So while a memif port has a peer, that thread spends its time in a
 * callback of ours, and bursts go through; every TURN_MS it shuts the gate, waits until nobody is inside, goes once
 * round its events (some microseconds), comes back and opens it. Who finds the gate shut comes again later. A burst
 * pays no barrier for it: the thread makes one for both sides, by membarrier(2).
 *
 * Closing such a port, or EAL, leaves in EAL's list what is freed or unmapped (the listener's handle). The thread
 * that goes through the list is stopped before, for good: so ports are closed with the last of them, and none can be
 * opened behind that.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_interrupts.h>

#include "queue.h"

#define TURN_MS	  10
#define LOOK_MS	  1  /* for a peer */
#define INSIDE_US 20 /* between looks at who is inside still */

static struct gate {
	struct rte_intr_handle *handle;
	struct lane_dpdk_port *first; /* atomic, as are the next two */
	uint32_t open, stop;
	sem_t stopped;
	bool has_eal;
} gate;

static void sleep_us(long us)
{
	nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

static bool has_peer(void)
{
	struct rte_eth_link link;

	for (const struct lane_dpdk_port *p = __atomic_load_n(&gate.first, __ATOMIC_ACQUIRE); p; p = p->next_gated)
		if (rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP)
			return true;
	return false;
}

/* A burst that has seen the gate open ends soon; no other one begins. */
static void wait_inside(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	for (const struct lane_dpdk_port *p = gate.first; p; p = p->next_gated)
		for (uint16_t i = 0; i < p->nr_queues; i++)
			while (p->queue[i] && __atomic_load_n(&p->queue[i]->inside, __ATOMIC_ACQUIRE))
				sleep_us(INSIDE_US);
}

/* In EAL's interrupt thread. */
static void on_turn(void *arg)
{
	uint64_t n;

	(void)arg;
	(void)!read(rte_intr_fd_get(gate.handle), &n, sizeof(n));
	if (__atomic_load_n(&gate.stop, __ATOMIC_ACQUIRE)) {
		sem_post(&gate.stopped);
		for (;;)
			pause();
	}
	if (!has_peer())
		return;
	__atomic_store_n(&gate.open, 1, __ATOMIC_RELEASE);
	sleep_us(TURN_MS * 1000);
	__atomic_store_n(&gate.open, 0, __ATOMIC_RELEASE);
	wait_inside();
}

/* Has EAL's interrupt thread call on_turn(). */
static int start_turns(void)
{
	struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
	int fd, r;

	if (gate.handle)
		return 0;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0 || timerfd_settime(fd, 0, &(struct itimerspec){look, look}, NULL) < 0 ||
	    sem_init(&gate.stopped, 0, 0) < 0) {
		r = -errno;
	} else {
		gate.handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
		if (!gate.handle)
			r = -ENOMEM;
		else if (rte_intr_fd_set(gate.handle, fd) || rte_intr_type_set(gate.handle, RTE_INTR_HANDLE_EXT))
			r = -EINVAL;
		else
			r = rte_intr_callback_register(gate.handle, on_turn, NULL);
	}
	if (r < 0) {
		rte_intr_instance_free(gate.handle);
		gate.handle = NULL;
		if (fd >= 0)
			close(fd);
	}
	return r;
}

void lane_dpdk_gate_start(void)
{
	gate.has_eal = true;
}

int lane_dpdk_gate_add(struct lane_dpdk_port *p)
{
	int r;

	if (strcmp(p->info.driver, "net_memif") != 0)
		return 0;
	if (__atomic_load_n(&gate.stop, __ATOMIC_ACQUIRE))
		return -ESHUTDOWN;
	r = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0 ? -errno : start_turns();
	if (r < 0)
		return r;
	p->gate = &gate.open;
	p->next_gated = gate.first;
	__atomic_store_n(&gate.first, p, __ATOMIC_RELEASE);
	return 0;
}

static bool wait_stopped(const struct timespec *until)
{
	while (sem_timedwait(&gate.stopped, until) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

bool lane_dpdk_gate_stop(void)
{
	struct timespec until;

	if (!gate.has_eal)
		return true;
	if (start_turns() < 0)
		return false;
	__atomic_store_n(&gate.stop, 1, __ATOMIC_RELEASE);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	/* And for who asks again. */
	return wait_stopped(&until) && sem_post(&gate.stopped) == 0;
}

struct lane_dpdk_port *lane_dpdk_gate_close(struct lane_dpdk_port *p)
{
	struct lane_dpdk_port *first = gate.first;

	p->closed = true;
	for (p = first; p; p = p->next_gated)
		if (!p->closed)
			return NULL;
	if (!lane_dpdk_gate_stop())
		return NULL;
	gate.first = NULL;
	return first;
}
