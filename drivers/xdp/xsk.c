/*
 * xsk.c - makes and binds AF_XDP sockets: one for each queue, all over one UMEM
 *
 * Raw socket options, because libxdp 1.3 knows neither transmit metadata nor rings that another
 * process maps. The first socket registers the UMEM and names the bind flags; the others share
 * both (XDP_SHARED_UMEM) and have fill and completion rings of their own.
 */
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "dev.h"
#include "uapi.h"

#define RETRY_STEP_MS 10
#define SEND_BUFFER   (8 << 20) /* bytes of frames in flight to a real NIC */
#define BUSY_POLL_US  20

static int set(int fd, int name, uint32_t value)
{
	return setsockopt(fd, SOL_XDP, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int register_umem(struct lane_xdp_dev *dev, const struct lane_bufs *bs, int fd, char *err)
{
	bool unaligned = bs->stride != LANE_XDP_CHUNK;
	struct lane_xdp_umem_reg reg = {
		.addr = (uintptr_t)bs->frames,
		.len = (uint64_t)bs->nr * bs->stride,
		.chunk_size = LANE_XDP_CHUNK,
		.flags = unaligned ? XDP_UMEM_UNALIGNED_CHUNK_FLAG : 0,
	};
	struct rlimit lim = {0};
	int e;

	if (bs->stride < LANE_XDP_CHUNK || reg.addr % 4096)
		return lane_xdp_fail(err, -EINVAL,
				     "frames at stride %u or off a page cannot be a UMEM",
				     bs->stride);
	if (unaligned && !(dev->share->have & LANE_XDP_F_UNALIGNED))
		return lane_xdp_fail(err, -EOPNOTSUPP,
				     "frames at stride %u need unaligned chunks (Linux 5.4): see "
				     "lane_xdp_stride()",
				     bs->stride);
	if (dev->share->have & LANE_XDP_F_TX_METADATA) {
		reg.flags |= XDP_UMEM_TX_METADATA_LEN;
		reg.tx_metadata_len = sizeof(struct lane_xdp_tx_metadata);
	}
	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) == 0)
		return 0;
	e = errno;
	if (e == ENOBUFS || e == ENOMEM) {
		getrlimit(RLIMIT_MEMLOCK, &lim);
		return lane_xdp_fail(
			err, -e,
			"%llu KB of frames cannot be locked in memory, the limit is %llu KB: raise "
			"it (ulimit -l), give CAP_IPC_LOCK, or lower memory=",
			(unsigned long long)reg.len / 1024,
			(unsigned long long)lim.rlim_cur / 1024);
	}
	return lane_xdp_fail(err, -e, "the kernel refuses the frames as UMEM: %s", strerror(e));
}

int lane_xdp_socket(char *err)
{
	/* O_NONBLOCK for kicks by write(2); no other call blocks on it. */
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), e = errno;
	char lacking[96];

	if (fd >= 0)
		return fd;
	if (e == EAFNOSUPPORT)
		return lane_xdp_fail(err, -e, "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)");
	if (e != EPERM)
		return lane_xdp_fail(err, -e, "cannot make an AF_XDP socket: %s", strerror(e));
	lane_xdp_lacking_caps(lacking, sizeof(lacking));
	return lane_xdp_fail(err, -e,
			     "no permission to make an AF_XDP socket: %s missing (run as root)",
			     lacking[0] ? lacking : "CAP_NET_RAW in the network's user namespace");
}

/* A power of two, so small that the fill rings of all queues leave half of the frames. */
static uint32_t ring_size(const struct lane_xdp_dev *dev, uint32_t nr_bufs)
{
	uint32_t size = dev->cfg.ring_size ? dev->cfg.ring_size : 2048;

	while (size > 64 && size * dev->share->nr_queues > nr_bufs / 2)
		size /= 2;
	return size;
}

static void describe_ring(struct lane_xdp_ring *r, const struct xdp_ring_offset *off, uint32_t size,
			  size_t entry)
{
	r->producer = off->producer;
	r->consumer = off->consumer;
	r->desc = off->desc;
	r->flags = off->flags;
	r->size = size;
	r->map_len = off->desc + size * entry;
}

static int make_rings(struct lane_xdp_dev *dev, int fd, uint32_t i, uint32_t size, char *err)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	int r;

	(void)((r = set(fd, XDP_RX_RING, size)) || (r = set(fd, XDP_TX_RING, size)) ||
	       (r = set(fd, XDP_UMEM_FILL_RING, size)) ||
	       (r = set(fd, XDP_UMEM_COMPLETION_RING, size)));
	if (r < 0)
		return lane_xdp_fail(err, r, "the kernel refuses rings of %u: %s", size,
				     strerror(-r));
	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len) < 0 || len != sizeof(off))
		return lane_xdp_fail(err, -EOPNOTSUPP, "rings without flags: this needs Linux 5.4");
	describe_ring(&dev->share->queue[i].rx, &off.rx, size, sizeof(struct xdp_desc));
	describe_ring(&dev->share->queue[i].tx, &off.tx, size, sizeof(struct xdp_desc));
	describe_ring(&dev->share->queue[i].fill, &off.fr, size, sizeof(uint64_t));
	describe_ring(&dev->share->queue[i].comp, &off.cr, size, sizeof(uint64_t));
	return 0;
}

int lane_xdp_xsk_open(struct lane_xdp_dev *dev, struct lane *ln, uint32_t i, char *err)
{
	const struct lane_bufs *bs = lane_bufs(ln);
	int fd = lane_xdp_socket(err), bytes = SEND_BUFFER, r = 0;

	if (fd < 0)
		return fd;
	dev->xsk[i] = fd;
	/* Refused without CAP_NET_ADMIN: then fewer frames are in flight. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	if (i == 0)
		r = register_umem(dev, bs, fd, err);
	return r < 0 ? r : make_rings(dev, fd, i, ring_size(dev, bs->nr), err);
}

static int bind_error(struct lane_xdp_dev *dev, uint32_t i, int r, char *err)
{
	if (r == -EBUSY || r == -EADDRINUSE)
		return lane_xdp_fail(err, r, "queue %u of %s is in use by another AF_XDP program",
				     i, dev->itf.name);
	if (dev->cfg.zerocopy == LANE_XDP_TRI_ON && (r == -EOPNOTSUPP || r == -EINVAL))
		return lane_xdp_fail(
			err, r,
			"%s (driver %s) cannot do zero copy as asked for: leave zerocopy=on away",
			dev->itf.name, dev->itf.driver);
	return lane_xdp_fail(err, r, "cannot bind to queue %u of %s: %s", i, dev->itf.name,
			     strerror(-r));
}

/* Says at open, when there is somebody to hear it, what bind would say only to the first program: a socket of
 * its own, with one page of frames, is bound for zero copy. */
int lane_xdp_xsk_try_zerocopy(struct lane_xdp_dev *dev, char *err)
{
	struct sockaddr_xdp sa = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_ZEROCOPY | (dev->share->have & LANE_XDP_F_SG ? XDP_USE_SG : 0),
		.sxdp_ifindex = dev->itf.ifindex,
	};
	struct lane_xdp_umem_reg reg = {.len = 2 * LANE_XDP_CHUNK, .chunk_size = LANE_XDP_CHUNK};
	int fd = lane_xdp_socket(err), r = -ENOMEM;
	void *page;

	if (fd < 0)
		return fd;
	page = mmap(NULL, reg.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.addr = (uintptr_t)page;
	if (page != MAP_FAILED)
		r = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) < 0 ? -errno : 0;
	(void)(r || (r = set(fd, XDP_RX_RING, 64)) || (r = set(fd, XDP_UMEM_FILL_RING, 64)) ||
	       (r = set(fd, XDP_UMEM_COMPLETION_RING, 64)));
	if (!r && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		r = -errno;
	close(fd);
	if (page != MAP_FAILED)
		munmap(page, reg.len);
	/* What else may be wrong is said where it matters. */
	return r == -EOPNOTSUPP || r == -EINVAL ? bind_error(dev, 0, r, err) : 0;
}

/* What shows only on a bound socket. */
static void probe_bound(struct lane_xdp_dev *dev, uint32_t i)
{
	struct lane_xdp_share *share = dev->share;
	uint32_t napi = 0, on = 1, us = BUSY_POLL_US;
	socklen_t len = sizeof(napi);
	struct xdp_options opt = {0};
	int fd = dev->xsk[i];
	void *p;

	getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi, &len);
	share->queue[i].napi_id = napi;
	/* Without a NAPI id it does nothing or harm (facts.md A3). */
	if (napi && !(dev->cfg.without & LANE_XDP_F_BUSY_POLL) &&
	    setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) == 0)
		share->have |= LANE_XDP_F_BUSY_POLL;
	len = sizeof(opt);
	if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &opt, &len) == 0 &&
	    opt.flags & XDP_OPTIONS_ZEROCOPY)
		share->have |= LANE_XDP_F_ZEROCOPY;
	if (dev->cfg.without & LANE_XDP_F_MAP_LATE)
		return;
	p = mmap(NULL, share->queue[i].rx.map_len, PROT_READ, MAP_SHARED, fd, XDP_PGOFF_RX_RING);
	if (p == MAP_FAILED) {
		share->lacking |= LANE_XDP_F_MAP_LATE;
		return;
	}
	munmap(p, share->queue[i].rx.map_len);
	share->have |= LANE_XDP_F_MAP_LATE;
}

int lane_xdp_xsk_bind(struct lane_xdp_dev *dev, uint32_t i, char *err)
{
	struct sockaddr_xdp sa = {
		.sxdp_family = AF_XDP,
		.sxdp_ifindex = dev->itf.ifindex,
		.sxdp_queue_id = i,
	};
	struct timespec step = {.tv_nsec = RETRY_STEP_MS * 1000000L};
	int r = -EBUSY;

	if (i > 0) {
		sa.sxdp_flags = XDP_SHARED_UMEM;
		sa.sxdp_shared_umem_fd = (uint32_t)dev->xsk[0];
	} else {
		/* Some drivers stop the queue when a zero-copy ring is full (facts.md I). */
		sa.sxdp_flags = dev->cfg.zerocopy == LANE_XDP_TRI_ON ? XDP_ZEROCOPY : XDP_COPY;
		if (dev->share->have & LANE_XDP_F_NEED_WAKEUP)
			sa.sxdp_flags |= XDP_USE_NEED_WAKEUP;
		if (dev->share->have & LANE_XDP_F_SG)
			sa.sxdp_flags |= XDP_USE_SG;
	}
	for (int ms = 0; ms < LANE_XDP_RETRY_MS; ms += RETRY_STEP_MS) {
		r = bind(dev->xsk[i], (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
		if (r != -EBUSY && r != -EADDRINUSE)
			break;
		nanosleep(&step, NULL);
	}
	if (r < 0)
		return bind_error(dev, i, r, err);
	probe_bound(dev, i);
	return 0;
}
