/*
 * probe.c - what the interface is and what the kernel can do, and the mode that follows
 *
 * Features are found by trying them on scratch sockets, never by the kernel's version. The rules of
 * choice are facts.md's: on a veth with one queue, and on lo, the generic mode is as fast, leaves
 * the peer its segmentation offload and, with frames in several buffers, brings 64 KB at once;
 * everywhere else, native.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "dev.h"
#include "uapi.h"

int lane_xdp_fail(char *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, LANE_XDP_ERR, fmt, ap);
	va_end(ap);
	return code;
}

/* One ethtool request; 'cmd' is the first word of 'data'. */
static int ethtool(int fd, struct ifreq *ifr, void *data)
{
	ifr->ifr_data = data;
	return ioctl(fd, SIOCETHTOOL, ifr) < 0 ? -errno : 0;
}

static uint32_t count_queues(int fd, struct ifreq *ifr)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};

	/* A driver that does not tell has one. */
	if (ethtool(fd, ifr, &ch) < 0 || ch.rx_count + ch.combined_count == 0)
		return 1;
	return ch.rx_count + ch.combined_count;
}

static int probe_if(int fd, struct lane_xdp_if *itf)
{
	struct ethtool_drvinfo drv = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, itf->name, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCGIFINDEX, &ifr) < 0)
		return -errno;
	itf->ifindex = (uint32_t)ifr.ifr_ifindex;
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	itf->loopback = ifr.ifr_flags & IFF_LOOPBACK;
	if (ioctl(fd, SIOCGIFMTU, &ifr) < 0)
		return -errno;
	itf->mtu = (uint32_t)ifr.ifr_mtu;
	if (itf->loopback)
		strcpy(itf->driver, "lo");
	else if (ethtool(fd, &ifr, &drv) == 0)
		memcpy(itf->driver, drv.driver, sizeof(itf->driver) - 1);
	itf->nr_queues = itf->loopback ? 1 : count_queues(fd, &ifr);
	return 0;
}

int lane_xdp_probe_if(struct lane_xdp_if *itf, const char *name, char *err)
{
	int fd, r;

	memset(itf, 0, sizeof(*itf));
	snprintf(itf->name, sizeof(itf->name), "%s", name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return lane_xdp_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	r = probe_if(fd, itf);
	close(fd);
	if (r == -ENODEV)
		return lane_xdp_fail(err, r, "there is no interface '%s' (see: ip link)", name);
	if (r < 0)
		return lane_xdp_fail(err, r, "cannot ask about '%s': %s", name, strerror(-r));
	return 0;
}

/* Flags that the kernel does not know are refused before it looks for the interface. */
static bool knows_bind_flag(int fd, uint16_t flag)
{
	struct sockaddr_xdp sa = {.sxdp_family = AF_XDP, .sxdp_flags = flag};

	return bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINVAL;
}

static bool knows_umem_flag(void *page, uint32_t flag)
{
	struct lane_xdp_umem_reg reg = {.addr = (uintptr_t)page,
					.len = 2 * LANE_XDP_CHUNK,
					.chunk_size = LANE_XDP_CHUNK,
					.flags = flag};
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), r;

	if (flag == XDP_UMEM_TX_METADATA_LEN)
		reg.tx_metadata_len = sizeof(struct lane_xdp_tx_metadata);
	if (fd < 0)
		return false;
	r = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg));
	close(fd);
	return r == 0;
}

static uint32_t probe_umem(void)
{
	size_t len = 2 * LANE_XDP_CHUNK;
	void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t have = 0;

	if (page == MAP_FAILED)
		return 0;
	if (knows_umem_flag(page, XDP_UMEM_UNALIGNED_CHUNK_FLAG))
		have |= LANE_XDP_F_UNALIGNED;
	if (knows_umem_flag(page, XDP_UMEM_TX_METADATA_LEN))
		have |= LANE_XDP_F_TX_METADATA;
	munmap(page, len);
	return have;
}

uint32_t lane_xdp_probe_kernel(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	uint32_t have = probe_umem();

	if (fd < 0)
		return 0; /* opening says why */
	if (knows_bind_flag(fd, XDP_USE_SG))
		have |= LANE_XDP_F_SG;
	if (knows_bind_flag(fd, XDP_USE_NEED_WAKEUP))
		have |= LANE_XDP_F_NEED_WAKEUP;
	close(fd);
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_skc_lookup_tcp, NULL) == 1)
		have |= LANE_XDP_F_SK_LOOKUP;
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_tcp_check_syncookie, NULL) == 1)
		have |= LANE_XDP_F_SYNCOOKIE;
	return have;
}

uint32_t lane_xdp_stride(const struct lane_xdp_config *cfg)
{
	uint32_t found = cfg->without & LANE_XDP_F_UNALIGNED ? 0 : probe_umem();

	return found & LANE_XDP_F_UNALIGNED ? LANE_XDP_STRIDE : LANE_XDP_CHUNK;
}

static uint8_t choose_mode(const struct lane_xdp_config *cfg, const struct lane_xdp_if *itf,
			   bool sg)
{
	if (cfg->mode != LANE_XDP_AUTO)
		return (uint8_t)cfg->mode;
	if (itf->loopback)
		return LANE_XDP_GENERIC;
	if (strcmp(itf->driver, "veth") == 0 && itf->nr_queues == 1 && sg)
		return LANE_XDP_GENERIC;
	return LANE_XDP_NATIVE;
}

/* Without frames in several buffers, whatever is larger than one is dropped by the kernel without
 * a trace. */
static int refuse_oversize(const struct lane_xdp_if *itf, uint8_t mode, char *err)
{
	if (itf->loopback)
		return lane_xdp_fail(
			err, -EOPNOTSUPP,
			"lo carries frames of 64 KB: this needs multi-buffer XDP (Linux 6.6)");
	if (mode == LANE_XDP_GENERIC && strcmp(itf->driver, "veth") == 0)
		return lane_xdp_fail(
			err, -EOPNOTSUPP,
			"generic mode on a veth brings unsegmented frames of 64 KB: this needs "
			"multi-buffer XDP (Linux 6.6); use the native mode");
	if (itf->mtu + 18 > LANE_XDP_FRAME_MAX)
		return lane_xdp_fail(
			err, -EOPNOTSUPP,
			"the MTU of %s is %u: more than %u needs multi-buffer XDP (Linux 6.6)",
			itf->name, itf->mtu, LANE_XDP_FRAME_MAX - 18);
	return 0;
}

/* Can frames come from programs of this host, which leave checksums to a device there is not? */
static bool same_host(const struct lane_xdp_if *itf)
{
	static const char *const drivers[] = {"lo", "veth", "tun", "virtio_net"};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strcmp(itf->driver, drivers[i]) == 0)
			return true;
	return false;
}

int lane_xdp_set_mode(const struct lane_xdp_config *cfg, const struct lane_xdp_if *itf,
		      struct lane_xdp_share *share, uint8_t mode, char *err)
{
	share->mode = mode;
	if (cfg->partial_ok == LANE_XDP_TRI_AUTO)
		share->partial_ok = mode == LANE_XDP_GENERIC || same_host(itf);
	else
		share->partial_ok = cfg->partial_ok == LANE_XDP_TRI_ON;
	return share->have & LANE_XDP_F_SG ? 0 : refuse_oversize(itf, mode, err);
}

int lane_xdp_choose(const struct lane_xdp_config *cfg, const struct lane_xdp_if *itf,
		    struct lane_xdp_share *share, char *err)
{
	uint32_t found = lane_xdp_probe_kernel();
	uint32_t all = LANE_XDP_F_SG | LANE_XDP_F_TX_METADATA | LANE_XDP_F_NEED_WAKEUP |
		       LANE_XDP_F_SK_LOOKUP | LANE_XDP_F_SYNCOOKIE | LANE_XDP_F_UNALIGNED;
	uint32_t nr = cfg->nr_queues ? cfg->nr_queues : itf->nr_queues;

	share->have = found & ~cfg->without;
	share->lacking = all & ~found;
	if (nr > itf->nr_queues)
		return lane_xdp_fail(err, -EINVAL, "%s has %u receive queues, not %u", itf->name,
				     itf->nr_queues, nr);
	if (nr > LANE_QUEUES_MAX)
		return lane_xdp_fail(
			err, -E2BIG,
			"%s has %u receive queues, lane serves %d at most: ethtool -L %s "
			"combined %d",
			itf->name, nr, LANE_QUEUES_MAX, itf->name, LANE_QUEUES_MAX);
	share->nr_queues = nr;
	return lane_xdp_set_mode(cfg, itf, share,
				 choose_mode(cfg, itf, share->have & LANE_XDP_F_SG), err);
}
