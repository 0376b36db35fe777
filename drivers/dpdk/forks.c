/*
 * forks.c - a port that several processes use, each forked from the one that opened it
 *
 * Theory of operation. What a PMD keeps of its rings lies in EAL's memory or in the device's, which forked processes
 * share; under one lock, one after the other, all of them may poll and send. Three things are not shared:
 *
 * - Signals. net_tap looks at its descriptor when a signal told it to, which comes to one process. Without the signal
 *   it always looks, so that is switched off before the first one may come.
 * - EAL's interrupt thread, which is the first process'. So what to sleep on is the PMD's own descriptor, which
 *   needs no such thread: the queue's interrupt, left on, or the socket that the PMD receives by.
 * - Mappings made later. memif and vhost map their peer's memory when it comes, in the process that has the thread.
 *   net_pcap is like them: how far a file is read, and what of it is not yet written, libpcap keeps in memory of its
 *   process. Only that process may touch such a port; in the others nothing is received, and what is sent waits in the
 *   stage, which is shared. A page that forks find empty tells which process it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue.h"

#define FDS 65536 /* numbers that are looked at */

static bool is_driver(const struct lane_dpdk_port *p, const char *name)
{
	return strcmp(p->info.driver, name) == 0;
}

/* What descriptor 'fd' is, as /proc tells. */
static bool fd_is(int fd, const char *what)
{
	char path[32], name[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = 0;
	return strcmp(name, what) == 0;
}

static int nr_fds(void)
{
	long n = sysconf(_SC_OPEN_MAX);

	return n > 0 && n < FDS ? (int)n : FDS;
}

void lane_dpdk_quiet(const struct lane_dpdk_port *p)
{
	int flags, max = is_driver(p, "net_tap") ? nr_fds() : 0;

	for (int fd = 0; fd < max; fd++) {
		flags = fcntl(fd, F_GETFL);
		if (flags >= 0 && flags & O_ASYNC && fd_is(fd, "/dev/net/tun"))
			fcntl(fd, F_SETFL, flags & ~O_ASYNC);
	}
}

/* The packet socket of interface 'ifindex', or the AF_XDP socket; -1. */
static int find_socket(int family, unsigned int ifindex)
{
	struct sockaddr_ll ll;
	socklen_t len;
	int domain;

	for (int fd = 0, max = nr_fds(); fd < max; fd++) {
		len = sizeof(domain);
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != family)
			continue;
		len = sizeof(ll);
		if (family == AF_XDP ||
		    (getsockname(fd, (struct sockaddr *)&ll, &len) == 0 && ll.sll_ifindex == (int)ifindex))
			return fd;
	}
	return -1;
}

/* The queue's interrupt where it is a descriptor that needs no more than to be read; -1. */
static int interrupt_fd(struct lane_dpdk_queue *q)
{
	const struct lane_dpdk_port *p = q->port;
	int fd;

	/* net_tap's is the device's own, and nothing is to be switched on. */
	if (is_driver(p, "net_tap"))
		return rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, q->idx);
	/* wait.c says why. */
	if (is_driver(p, "net_e1000_em"))
		return -1;
	if (rte_eth_dev_rx_intr_enable(p->id, q->idx) < 0)
		return -1;
	fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, q->idx);
	q->counter = fd >= 0 && fd_is(fd, "anon_inode:[eventfd]");
	if (q->counter)
		return fd;
	rte_eth_dev_rx_intr_disable(p->id, q->idx);
	return -1;
}

static int find_fd(struct lane_dpdk_queue *q)
{
	const struct lane_dpdk_port *p = q->port;
	struct rte_eth_dev_info di;

	/* The sockets of several queues cannot be told from each other. */
	if (is_driver(p, "net_af_packet") && p->nr_queues == 1 && rte_eth_dev_info_get(p->id, &di) == 0)
		return find_socket(AF_PACKET, di.if_index);
	if (is_driver(p, "net_af_xdp") && p->nr_queues == 1)
		return find_socket(AF_XDP, 0);
	return interrupt_fd(q);
}

static bool is_alone(const struct lane_dpdk_port *p)
{
	return is_driver(p, "net_memif") || is_driver(p, "net_vhost") || is_driver(p, "net_pcap");
}

int lane_dpdk_forks_open(struct lane_dpdk_queue *q)
{
	uint32_t *here;

	if (!is_alone(q->port)) {
		q->sleep_fd = find_fd(q);
		q->counted = q->counter;
		return 0;
	}
	here = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (here == MAP_FAILED || madvise(here, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) < 0)
		return -errno;
	*here = 1;
	q->here = here;
	return 0;
}

int lane_dpdk_sleep_fd(struct lane_queue *lq)
{
	return ((struct lane_dpdk_queue *)lq)->sleep_fd;
}

void lane_dpdk_uncount(struct lane_dpdk_queue *q)
{
	uint64_t n;

	(void)!read(q->sleep_fd, &n, sizeof(n));
}
