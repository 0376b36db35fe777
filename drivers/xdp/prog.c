/*
 * prog.c - loads the XDP program and attaches it by a bpf_link
 *
 * The link keeps the program on the interface until its last holder closes it, so that a killed
 * process leaves nothing behind; BPF_LINK_DETACH ends it at once. libxdp's loader is not used: its
 * attach stays behind after a SIGKILL (facts.md B).
 */
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dev.h"
#include <xdp.bpf.skel.h> /* wants struct lane_xdp_claims */

#define RETRY_STEP_MS 10

static void nap(void)
{
	struct timespec ts = {.tv_nsec = RETRY_STEP_MS * 1000000L};

	nanosleep(&ts, NULL);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

/* libbpf would print the verifier's whole log; its other users' printing is left alone. */
static int load_quietly(struct lane_xdp_bpf *bpf)
{
	libbpf_print_fn_t before = libbpf_set_print(quiet);
	int r = lane_xdp_bpf__load(bpf);

	libbpf_set_print(before);
	return r;
}

static int load(struct lane_xdp_dev *dev, char *err)
{
	bool sg = dev->share->have & LANE_XDP_F_SG;
	char lacking[96];
	int r;

	dev->bpf = lane_xdp_bpf__open();
	if (!dev->bpf)
		return lane_xdp_fail(err, -errno, "cannot read the XDP program: %s",
				     strerror(errno));
	bpf_program__set_autoload(dev->bpf->progs.lane_xdp_sg, sg);
	bpf_program__set_autoload(dev->bpf->progs.lane_xdp, !sg);
	if (dev->share->have & LANE_XDP_F_SK_LOOKUP)
		dev->bpf->rodata->lane_switches |= LANE_XDP_PROG_SK_LOOKUP;
	if (dev->cfg.own)
		dev->bpf->rodata->lane_switches |= LANE_XDP_PROG_OWN;
	if (dev->share->have & LANE_XDP_F_SYNCOOKIE)
		dev->bpf->rodata->lane_switches |= LANE_XDP_PROG_SYNCOOKIE;
	r = load_quietly(dev->bpf);
	if (r < 0) {
		lane_xdp_lacking_caps(lacking, sizeof(lacking));
		if ((r == -EPERM || r == -EACCES) && lacking[0])
			return lane_xdp_fail(
				err, r,
				"no permission to load the XDP program: %s missing (run as root)",
				lacking);
		return lane_xdp_fail(err, r, "the kernel refuses the XDP program: %s",
				     strerror(-r));
	}
	dev->prog_fd = bpf_program__fd(sg ? dev->bpf->progs.lane_xdp_sg : dev->bpf->progs.lane_xdp);
	dev->claims = &dev->bpf->bss->lane_claims;
	if (getrandom(&dev->claims->flow_key, sizeof(dev->claims->flow_key), 0) < 0)
		return lane_xdp_fail(err, -errno, "getrandom: %s", strerror(errno));
	dev->share->claims_size = bpf_map__value_size(dev->bpf->maps.bss);
	if (getrandom(&dev->claims->syn_key, sizeof(dev->claims->syn_key), 0) < 0)
		return lane_xdp_fail(err, -errno, "no random numbers: %s", strerror(errno));
	return 0;
}

/* Returns the link or -errno. A program that is about to go (its process has just ended) is waited
 * for. */
static int attach(struct lane_xdp_dev *dev)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = dev->share->mode == LANE_XDP_GENERIC ? XDP_FLAGS_SKB_MODE
								  : XDP_FLAGS_DRV_MODE);
	int fd = -EBUSY;

	for (int ms = 0; ms < LANE_XDP_RETRY_MS; ms += RETRY_STEP_MS) {
		fd = bpf_link_create(dev->prog_fd, (int)dev->itf.ifindex, BPF_XDP, &opts);
		if (fd != -EBUSY && fd != -EEXIST)
			break;
		nap();
	}
	return fd;
}

static int attach_error(struct lane_xdp_dev *dev, int r, char *err)
{
	const char *mode = dev->share->mode == LANE_XDP_GENERIC ? "generic" : "native";
	const char *kind;
	char who[160];

	if (r == -EBUSY || r == -EEXIST) {
		kind = lane_xdp_holder(dev->itf.ifindex, who, sizeof(who));
		return lane_xdp_fail(
			err, r,
			"%s has an XDP program already: %s. End it, or: ip link set %s %s off",
			dev->itf.name, who, dev->itf.name, kind);
	}
	if (r == -EPERM)
		return lane_xdp_fail(
			err, r,
			"no permission to attach to %s: CAP_NET_ADMIN missing (run as root)",
			dev->itf.name);
	if (r == -ERANGE)
		return lane_xdp_fail(
			err, r, "%s refuses native XDP: its MTU of %u is too large for the driver",
			dev->itf.name, dev->itf.mtu);
	if (r == -EOPNOTSUPP)
		return lane_xdp_fail(err, r,
				     "%s (driver %s) has no %s XDP; mode=auto takes what there is",
				     dev->itf.name, dev->itf.driver, mode);
	return lane_xdp_fail(err, r, "cannot attach to %s in %s mode: %s", dev->itf.name, mode,
			     strerror(-r));
}

int lane_xdp_prog_open(struct lane_xdp_dev *dev, char *err)
{
	int r = load(dev, err);

	if (r < 0)
		return r;
	r = attach(dev);
	if (r < 0 && r != -EBUSY && r != -EEXIST && r != -EPERM && dev->cfg.mode == LANE_XDP_AUTO &&
	    dev->share->mode == LANE_XDP_NATIVE) {
		dev->share->native_errno = (uint8_t)-r;
		r = lane_xdp_set_mode(&dev->cfg, &dev->itf, dev->share, LANE_XDP_GENERIC, err);
		if (r < 0)
			return r;
		r = attach(dev);
	}
	if (r < 0)
		return attach_error(dev, r, err);
	dev->link_fd = r;
	return 0;
}

int lane_xdp_prog_add(struct lane_xdp_dev *dev, uint32_t queue, int xsk)
{
	return bpf_map_update_elem(bpf_map__fd(dev->bpf->maps.lane_xsks), &queue, &xsk, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

int lane_xdp_prog_claims_fd(const struct lane_xdp_dev *dev)
{
	return bpf_map__fd(dev->bpf->maps.bss);
}

void lane_xdp_prog_close(struct lane_xdp_dev *dev)
{
	if (dev->link_fd >= 0) {
		bpf_link_detach(dev->link_fd);
		close(dev->link_fd);
	}
	lane_xdp_bpf__destroy(dev->bpf);
}
