/*
 * port.c - an ethdev port: found, configured by what it can do, started, counted, closed
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_malloc.h>

#include "queue.h"

#define RING   512
#define JUMBO_HEADERS 22 /* Ethernet, two tags */
#define XSTATS_MAX 1024

/* ---- which port ---- */

static void append(char *out, size_t size, const char *text)
{
	size_t len = strlen(out);

	snprintf(out + len, size - len, "%s%s", len ? ", " : "", text);
}

/* What the PCI device that EAL was told of, and has no port for, is bound to. */
static bool explain_pci(char *err)
{
	struct rte_dev_iterator it;
	struct rte_device *dev;

	RTE_DEV_FOREACH(dev, "bus=pci", &it) {
		char path[128], driver[128];
		ssize_t n;

		if (!rte_dev_devargs(dev))
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", rte_dev_name(dev));
		n = readlink(path, driver, sizeof(driver) - 1);
		driver[n > 0 ? n : 0] = 0;
		snprintf(err, LANE_DPDK_ERR,
			 "no port: PCI device %s is bound to %s; DPDK needs it bound to vfio-pci or uio_pci_generic "
			 "(dpdk-devbind.py)",
			 rte_dev_name(dev), n > 0 ? strrchr(driver, '/') + 1 : "no driver");
		return true;
	}
	return false;
}

/* An interface's name has no room for more than 15 characters; a PCI address may lack its domain. */
static bool is_name(const char *want, const char *name)
{
	if (strlen(want) == 15)
		return strncmp(want, name, 15) == 0;
	return strcmp(want, name) == 0 || (strncmp(name, "0000:", 5) == 0 && strcmp(want, name + 5) == 0);
}

static int find_port(const char *want, uint16_t *id, char *err)
{
	char name[RTE_ETH_NAME_MAX_LEN], names[256] = "";
	unsigned int nr = 0;
	uint16_t p;

	RTE_ETH_FOREACH_DEV(p) {
		if (rte_eth_dev_get_name_by_port(p, name) < 0)
			continue;
		append(names, sizeof(names), name);
		nr++;
		if (!want || is_name(want, name))
			*id = p;
		if (want && is_name(want, name))
			return 0;
	}
	if (nr == 1 && !want)
		return 0;
	if (nr > 0)
		snprintf(err, LANE_DPDK_ERR, want ? "no port %.64s; there are: %s" : "%.0sseveral ports, name one of: %s",
			 want ? want : "", names);
	else if (!explain_pci(err))
		snprintf(err, LANE_DPDK_ERR,
			 "no port: name a device in --eal, \"--vdev net_memif0,...\" or \"-a 0000:03:00.0\"");
	return -ENODEV;
}

/* ---- its configuration ---- */

static int complain(char *err, const char *what, int r)
{
	snprintf(err, LANE_DPDK_ERR, "%s: %s", what, rte_strerror(-r));
	return r;
}

/* Offloads of sending: super-segments with all that they need, or else what frees frames fastest. */
static uint64_t choose_tx(const struct rte_eth_dev_info *di, uint32_t *caps)
{
	const uint64_t csum = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	const uint64_t tso = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	uint64_t can = di->tx_offload_capa, use = 0;
	uint16_t segs = di->tx_desc_lim.nb_seg_max;

	*caps = 0;
	if ((can & csum) == csum) {
		use |= csum;
		*caps |= LANE_CAP_TX_CSUM;
		/* net_tap cuts in software, and refuses what has segments of a whole MTU for ever. */
		if ((can & tso) == tso && (segs == 0 || segs >= LANE_SG_MAX) && strcmp(di->driver_name, "net_tap") != 0) {
			*caps |= LANE_CAP_TSO | LANE_CAP_SG;
			return use | tso | (can & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
		}
	}
	/* Nothing but super-segments comes as a chain: where the two exclude each other, this one helps. */
	return use | (can & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
}

static uint64_t choose_rx(const struct rte_eth_dev_info *di, uint32_t mtu)
{
	uint64_t want = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

	if (mtu + JUMBO_HEADERS > LANE_DPDK_FRAME - RTE_PKTMBUF_HEADROOM)
		want |= RTE_ETH_RX_OFFLOAD_SCATTER;
	return want & di->rx_offload_capa;
}

static uint64_t choose_hash(struct lane_dpdk_port *p, const struct rte_eth_dev_info *di)
{
	const uint64_t ip = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;
	uint64_t hf = di->flow_type_rss_offloads &
		      (ip | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP |
		       RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP);

	p->rss.tcp4 = hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	p->rss.tcp6 = hf & RTE_ETH_RSS_NONFRAG_IPV6_TCP;
	return hf;
}

/* Our key, where the port takes one. */
static void configure_rss(struct lane_dpdk_port *p, const struct rte_eth_dev_info *di, struct rte_eth_conf *conf)
{
	uint64_t hf = choose_hash(p, di);

	p->info.steering = p->nr_queues > 1 ? LANE_DPDK_BY_SENDER : LANE_DPDK_SINGLE;
	if (p->nr_queues < 2 || hf == 0 || di->reta_size == 0 || di->reta_size > LANE_RSS_RETA)
		return;
	lane_rss_set_key(&p->rss, di->hash_key_size && di->hash_key_size <= LANE_RSS_KEY ? di->hash_key_size : 40);
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
		.rss_key = p->rss.key, .rss_key_len = (uint8_t)p->rss.key_len, .rss_hf = hf};
	p->info.steering = LANE_DPDK_TOEPLITZ;
}

/* Spreads the table of the started port evenly, and reads back what it made of key and table. */
static void read_rss(struct lane_dpdk_port *p, const struct rte_eth_dev_info *di)
{
	struct rte_eth_rss_reta_entry64 reta[LANE_RSS_RETA / RTE_ETH_RETA_GROUP_SIZE] = {0};
	struct rte_eth_rss_conf conf = {.rss_key = p->rss.key, .rss_key_len = LANE_RSS_KEY};

	if (p->info.steering != LANE_DPDK_TOEPLITZ)
		return;
	for (unsigned int i = 0; i < di->reta_size; i++) {
		reta[i / RTE_ETH_RETA_GROUP_SIZE].mask |= 1ULL << i % RTE_ETH_RETA_GROUP_SIZE;
		reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % p->nr_queues);
	}
	rte_eth_dev_rss_reta_update(p->id, reta, di->reta_size);
	if (rte_eth_dev_rss_reta_query(p->id, reta, di->reta_size) < 0 ||
	    rte_eth_dev_rss_hash_conf_get(p->id, &conf) < 0) {
		p->info.steering = LANE_DPDK_BY_SENDER;
		return;
	}
	p->rss.reta_size = di->reta_size;
	for (unsigned int i = 0; i < di->reta_size; i++)
		p->rss.reta[i] =
			(uint8_t)reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
}

/* PMDs whose other end may be this host's kernel, or a guest, that leaves checksums to a NIC that is not there. */
static bool is_partial(const struct lane_dpdk_config *cfg, const char *driver)
{
	static const char *const local[] = {"net_af_packet", "net_af_xdp", "net_pcap", "net_tap", "net_vhost",
					    "net_virtio_user", "net_virtio"};

	if (cfg->partial_ok != LANE_DPDK_AUTO)
		return cfg->partial_ok == LANE_DPDK_ON;
	for (size_t i = 0; i < RTE_DIM(local); i++)
		if (strcmp(driver, local[i]) == 0)
			return true;
	return false;
}

static uint32_t choose_mtu(const struct lane_dpdk_config *cfg, const struct rte_eth_dev_info *di)
{
	if (cfg->mtu)
		return cfg->mtu;
	return di->max_mtu && di->max_mtu < RTE_ETHER_MTU ? di->max_mtu : RTE_ETHER_MTU;
}

static int configure(struct lane_dpdk_port *p, const struct lane_dpdk_config *cfg, struct rte_eth_dev_info *di,
		     char *err)
{
	struct rte_eth_conf conf = {0};
	int r;

	p->info.mtu = choose_mtu(cfg, di);
	p->tx_offloads = conf.txmode.offloads = choose_tx(di, &p->info.caps);
	conf.rxmode.mtu = p->info.mtu;
	conf.rxmode.offloads = choose_rx(di, p->info.mtu);
	p->info.rx_csum = conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	p->info.partial_ok = is_partial(cfg, di->driver_name);
	configure_rss(p, di, &conf);
	conf.intr_conf.rxq = 1;
	/* A server's connections are the first process's: others learn of its link from there, not by asking the PMD. */
	conf.intr_conf.lsc = strcmp(di->driver_name, "net_virtio_user") == 0 && (*di->dev_flags & RTE_ETH_DEV_INTR_LSC);
	r = rte_eth_dev_configure(p->id, p->nr_queues, p->nr_queues, &conf);
	if (r < 0) {
		conf.intr_conf.rxq = 0;
		r = rte_eth_dev_configure(p->id, p->nr_queues, p->nr_queues, &conf);
	}
	return r < 0 ? complain(err, "the port's configuration", r) : 0;
}

/* ---- its queues ---- */

static struct lane_dpdk_queue *create_queue(struct lane_dpdk_port *p, uint16_t idx, struct lane_bufs *bufs,
					    uint8_t ifi)
{
	/* Shared with processes that are forked, as all of EAL's memory is. */
	struct lane_dpdk_queue *q = rte_zmalloc("lane-queue", sizeof(*q), RTE_CACHE_LINE_SIZE);

	if (!q)
		return NULL;
	q->q.bufs = bufs;
	q->q.caps = p->info.caps;
	q->q.ifi = ifi;
	q->port = p;
	q->idx = idx;
	q->epoll_fd = q->now_fd = q->sleep_fd = -1;
	p->queue[p->nr_open++] = q;
	return q;
}

static int set_up_queue(struct lane_dpdk_queue *q, const struct lane_dpdk_config *cfg, struct rte_eth_dev_info *di,
			char *err)
{
	uint16_t nr_rx = (uint16_t)(cfg->ring_size ? cfg->ring_size : RING), nr_tx = nr_rx;
	int r = lane_dpdk_pool_create(q, err);

	if (r < 0)
		return r;
	rte_eth_dev_adjust_nb_rx_tx_desc(q->port->id, &nr_rx, &nr_tx);
	di->default_txconf.offloads = q->port->tx_offloads;
	di->default_rxconf.offloads = 0;
	r = rte_eth_rx_queue_setup(q->port->id, q->idx, nr_rx, SOCKET_ID_ANY, &di->default_rxconf, q->mp);
	if (r < 0)
		return complain(err, "the port's receive queue", r);
	r = rte_eth_tx_queue_setup(q->port->id, q->idx, nr_tx, SOCKET_ID_ANY, &di->default_txconf);
	return r < 0 ? complain(err, "the port's send queue", r) : 0;
}

static int start(struct lane_dpdk_port *p, const struct rte_eth_dev_info *di, char *err)
{
	struct rte_ether_addr mac;
	int r;

	if (p->forks)
		lane_dpdk_quiet(p);
	r = lane_dpdk_gate_add(p);
	if (r == -ESHUTDOWN) {
		snprintf(err, LANE_DPDK_ERR, "a memif port was closed before: EAL serves no other in this process, start it anew");
		return r;
	}
	if (r < 0)
		return complain(err, "taking turns with EAL's interrupt thread", r);
	r = rte_eth_dev_start(p->id);
	if (r < 0)
		return complain(err, "starting the port", r);
	p->started = true;
	/* ND and the like; a port that cannot filter gets them anyway. */
	rte_eth_allmulticast_enable(p->id);
	read_rss(p, di);
	rte_eth_macaddr_get(p->id, &mac);
	memcpy(p->info.mac.b, mac.addr_bytes, sizeof(p->info.mac.b));
	p->count = rte_eth_rx_queue_count(p->id, 0) >= 0;
	lane_dpdk_driver(p, &p->drv);
	for (uint16_t i = 0; r == 0 && i < p->nr_open; i++) {
		p->queue[i]->q.drv = &p->drv;
		if (p->forks)
			r = lane_dpdk_forks_open(p->queue[i]);
		else
			lane_dpdk_wait_open(p->queue[i]);
	}
	p->info.interrupts = p->queue[0]->epoll_fd >= 0;
	p->info.sleep_fd = p->queue[0]->sleep_fd;
	p->info.alone = p->queue[0]->here;
	return r < 0 ? complain(err, "sharing the port with forks", r) : 0;
}

/* ---- its end ---- */

static void close_device(struct lane_dpdk_port *p)
{
	if (p->started)
		rte_eth_dev_stop(p->id);
	/* The frames in its rings come back. */
	rte_eth_dev_close(p->id);
	for (uint16_t i = 0; i < p->nr_queues; i++) {
		if (!p->queue[i])
			continue;
		lane_dpdk_pool_destroy(p->queue[i]);
		rte_free(p->queue[i]);
	}
	rte_free(p);
}

static void close_port(struct lane_dpdk_port *p)
{
	struct lane_dpdk_port *next;

	for (uint16_t i = 0; i < p->nr_queues; i++) {
		if (!p->queue[i])
			continue;
		lane_dpdk_unstage(p->queue[i]);
		lane_dpdk_wait_close(p->queue[i]);
		if (p->queue[i]->here)
			munmap((void *)(uintptr_t)p->queue[i]->here, sysconf(_SC_PAGESIZE));
	}
	for (p = p->gate ? lane_dpdk_gate_close(p) : p; p; p = next) {
		next = p->next_gated;
		close_device(p);
	}
}

void lane_dpdk_queue_close(struct lane_queue *lq)
{
	struct lane_dpdk_queue *q = (struct lane_dpdk_queue *)lq;

	if (!q)
		return;
	/* Its lane's handle may go; frames that the device still has come back to the lane's memory. */
	lane_dpdk_unstage(q);
	lane_dpdk_wait_close(q);
	q->last_bufs = *q->q.bufs;
	q->q.bufs = &q->last_bufs;
	if (__atomic_sub_fetch(&q->port->nr_open, 1, __ATOMIC_ACQ_REL) == 0)
		close_port(q->port);
}

/* ---- what the plugin offers ---- */

static int open_queues(struct lane_dpdk_port *p, const struct lane_dpdk_config *cfg, struct lane_bufs *const bufs[],
		       char *err)
{
	struct rte_eth_dev_info di;
	int r = rte_eth_dev_info_get(p->id, &di);

	if (r < 0)
		return complain(err, "the port's capabilities", r);
	if (p->nr_queues > di.max_rx_queues || p->nr_queues > di.max_tx_queues) {
		snprintf(err, LANE_DPDK_ERR, "%s has %u queues, and %u lanes were asked for", p->info.name,
			 RTE_MIN(di.max_rx_queues, di.max_tx_queues), p->nr_queues);
		return -EINVAL;
	}
	snprintf(p->info.driver, sizeof(p->info.driver), "%s", di.driver_name);
	r = configure(p, cfg, &di, err);
	for (uint16_t i = 0; r == 0 && i < p->nr_queues; i++) {
		struct lane_dpdk_queue *q = create_queue(p, i, bufs[i], cfg->ifi);

		r = q ? set_up_queue(q, cfg, &di, err) : complain(err, "a queue", -ENOMEM);
	}
	return r == 0 ? start(p, &di, err) : r;
}

/* With what the PMD says of it where it fails. */
static int open_captured(struct lane_dpdk_port *p, const struct lane_dpdk_config *cfg, struct lane_bufs *const bufs[],
			 char *err)
{
	char text[LANE_DPDK_TEXT], what[LANE_DPDK_ERR / 2];
	struct lane_dpdk_capture c;
	size_t len;
	int r;

	lane_dpdk_capture(&c);
	r = open_queues(p, cfg, bufs, err);
	lane_dpdk_captured(&c, text);
	lane_dpdk_sentence(text, what, sizeof(what));
	len = r < 0 ? strnlen(err, LANE_DPDK_ERR) : 0;
	if (len && what[0])
		snprintf(err + len, LANE_DPDK_ERR - len, " (%s)", what);
	return r;
}

int lane_dpdk_open(const struct lane_dpdk_config *cfg, struct lane_bufs *const bufs[], uint32_t nr,
		   struct lane_queue *queues[], char *err)
{
	struct lane_dpdk_port *p;
	uint16_t id = 0;
	int r = nr > 0 && nr <= LANE_QUEUES_MAX ? find_port(cfg->port, &id, err) : complain(err, "lanes", -EINVAL);

	if (r < 0)
		return r;
	p = rte_zmalloc("lane-port", sizeof(*p), RTE_CACHE_LINE_SIZE);
	if (!p)
		return complain(err, "a port", -ENOMEM);
	p->id = id;
	p->forks = cfg->forks;
	p->nr_queues = (uint16_t)nr;
	p->info.nr_queues = nr;
	rte_eth_dev_get_name_by_port(id, p->info.name);
	r = open_captured(p, cfg, bufs, err);
	if (r < 0) {
		close_port(p);
		return r;
	}
	if (cfg->said)
		lane_dpdk_say_to(cfg->said);
	for (uint32_t i = 0; i < nr; i++)
		queues[i] = &p->queue[i]->q;
	return 0;
}

void lane_dpdk_info(const struct lane_queue *lq, struct lane_dpdk_info *info)
{
	const struct lane_dpdk_port *p = ((const struct lane_dpdk_queue *)lq)->port;
	struct rte_eth_link link = {0};

	*info = p->info;
	info->link = rte_eth_link_get_nowait(p->id, &link) < 0 || link.link_status == RTE_ETH_LINK_UP;
}

static size_t put(char *out, size_t size, size_t len, const char *name, uint64_t value)
{
	int n = value && len < size ? snprintf(out + len, size - len, "%s %llu\n", name, (unsigned long long)value) : 0;

	return len + (size_t)n < size ? len + (size_t)n : size - 1;
}

static size_t put_xstats(const struct lane_dpdk_port *p, char *out, size_t size, size_t len)
{
	struct rte_eth_xstat *x = calloc(XSTATS_MAX, sizeof(*x));
	struct rte_eth_xstat_name *names = calloc(XSTATS_MAX, sizeof(*names));
	int n = x && names ? rte_eth_xstats_get_names(p->id, names, XSTATS_MAX) : 0;

	if (n > 0 && n <= XSTATS_MAX && rte_eth_xstats_get(p->id, x, XSTATS_MAX) == n)
		for (int i = 0; i < n; i++)
			len = put(out, size, len, names[x[i].id].name, x[i].value);
	free(x);
	free(names);
	return len;
}

int lane_dpdk_stats(const struct lane_queue *lq, char *out, size_t size)
{
	const struct lane_dpdk_port *p = ((const struct lane_dpdk_queue *)lq)->port;
	uint64_t copied = 0, no_frame = 0, refused = 0;
	size_t len = 0;

	if (size == 0)
		return 0;
	out[0] = 0;
	for (uint16_t i = 0; i < p->nr_queues; i++) {
		copied += p->queue[i]->nr_copied;
		no_frame += p->queue[i]->nr_no_frame;
		refused += p->queue[i]->nr_refused;
	}
	len = put(out, size, len, "dpdk_rx_copied", copied);
	len = put(out, size, len, "dpdk_rx_no_frame", no_frame);
	len = put(out, size, len, "dpdk_tx_refused", refused);
	return (int)put_xstats(p, out, size, len);
}
