/*
 * wait.c - sleeping on a queue, where the PMD has a receive interrupt
 *
 * What a lane sleeps on is an epoll descriptor of ours that holds the queue's interrupt, since PMDs differ in what
 * they use and how it is emptied: rte_epoll_wait() knows. Frames that came before the interrupt was enabled raise
 * none, so arm() looks, and makes the descriptor readable by an eventfd in the same set.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <string.h>
#include <unistd.h>

#include <rte_interrupts.h>

#include "queue.h"

static void close_fds(struct lane_dpdk_queue *q)
{
	if (q->epoll_fd >= 0)
		close(q->epoll_fd);
	if (q->now_fd >= 0)
		close(q->now_fd);
	q->epoll_fd = q->now_fd = -1;
}

void lane_dpdk_wait_open(struct lane_dpdk_queue *q)
{
	struct epoll_event ev = {.events = EPOLLIN};

	/* Its PMD asks for the causes of a line interrupt, and MSI-X, which EAL takes, has others: none ever comes. */
	if (strcmp(q->port->info.driver, "net_e1000_em") == 0)
		return;
	/* rte_epoll_wait() passes by what has no data. */
	q->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	q->now_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->epoll_fd < 0 || q->now_fd < 0 || epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, q->now_fd, &ev) < 0 ||
	    rte_eth_dev_rx_intr_enable(q->port->id, q->idx) < 0 ||
	    rte_eth_dev_rx_intr_ctl_q(q->port->id, q->idx, q->epoll_fd, RTE_INTR_EVENT_ADD, NULL) < 0) {
		close_fds(q);
		return;
	}
	rte_eth_dev_rx_intr_disable(q->port->id, q->idx);
}

int lane_dpdk_arm(struct lane_queue *lq)
{
	struct lane_dpdk_queue *q = (struct lane_dpdk_queue *)lq;
	uint64_t one = 1;

	if (q->epoll_fd < 0 || q->armed)
		return q->epoll_fd;
	if (rte_eth_dev_rx_intr_enable(q->port->id, q->idx) < 0)
		return -1;
	q->armed = true;
	/* Who cannot tell how many wait is looked at once more. */
	if ((!q->port->count || rte_eth_rx_queue_count(q->port->id, q->idx) > 0) &&
	    write(q->now_fd, &one, sizeof(one)) < 0)
		return -1;
	return q->epoll_fd;
}

void lane_dpdk_disarm(struct lane_dpdk_queue *q)
{
	struct rte_epoll_event ev[2];
	uint64_t n;

	(void)!read(q->now_fd, &n, sizeof(n));
	/* Without an interrupt it stays armed, so that the next arm() is a real sleep. */
	if (rte_epoll_wait(q->epoll_fd, ev, 2, 0) <= 0)
		return;
	rte_eth_dev_rx_intr_disable(q->port->id, q->idx);
	q->armed = false;
}

void lane_dpdk_wait_close(struct lane_dpdk_queue *q)
{
	if (q->epoll_fd < 0)
		return;
	if (q->armed)
		rte_eth_dev_rx_intr_disable(q->port->id, q->idx);
	q->armed = false;
	rte_eth_dev_rx_intr_ctl_q(q->port->id, q->idx, q->epoll_fd, RTE_INTR_EVENT_DEL, NULL);
	close_fds(q);
}
