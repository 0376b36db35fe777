/*
 * open.c - opens the TAP device
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/robust.h"
#include "hdr.h"
#include "tap.h"

static int fail(char *err, int r, const char *what, const char *ifname)
{
	snprintf(err, LANE_TAP_ERR, "%s %.15s: %s", what, ifname, strerror(-r));
	return r;
}

int lane_tap_init(struct lane_tap_share *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned int i = 0; i < LANE_TAP_RING; i++)
		s->ring[i].frame = LANE_NIL;
	return lane_robust_init(&s->busy);
}

/* The kernel's end has a MAC; ours is another one, and the same each time as long as that is. */
static int derive_mac(int s, struct ifreq *ifr, struct lane_mac *mac)
{
	if (ioctl(s, SIOCGIFHWADDR, ifr) < 0)
		return -errno;
	memcpy(mac->b, ifr->ifr_hwaddr.sa_data, sizeof(mac->b));
	mac->b[0] = (uint8_t)((mac->b[0] | 0x02) & 0xfe);
	mac->b[5] ^= 0x01;
	return 0;
}

static int bring_up(int s, struct ifreq *ifr)
{
	if (ioctl(s, SIOCGIFFLAGS, ifr) < 0)
		return -errno;
	ifr->ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, ifr) < 0 ? -errno : 0;
}

static int attach(int fd, struct ifreq *ifr)
{
	/* A frame for us may have its checksum undone: the kernel's header in front tells. */
	unsigned int offloads = TUN_F_CSUM;
	int hdr = sizeof(struct lane_tap_hdr);

	ifr->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
		return -errno;
	return 0;
}

static int set_up(int fd, const char *ifname, bool is_new, struct lane_mac *mac)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;
	struct ifreq ifr = {0};

	if (s < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	r = attach(fd, &ifr);
	if (!r)
		r = derive_mac(s, &ifr, mac);
	if (!r && is_new)
		r = bring_up(s, &ifr);
	close(s);
	return r;
}

int lane_tap_open(const char *ifname, struct lane_tap_share *share, int *fd, struct lane_mac *mac,
		  char *err)
{
	bool is_new = if_nametoindex(ifname) == 0;
	int r = lane_tap_init(share);

	if (r)
		return fail(err, r, "no lock for", ifname);
	*fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0)
		return fail(err, -errno, "cannot open /dev/net/tun (modprobe tun) for", ifname);
	r = set_up(*fd, ifname, is_new, mac);
	if (!r)
		return 0;
	close(*fd);
	*fd = -1;
	if (r == -EINVAL && !is_new)
		return fail(
			err, r,
			"no TAP device (or one of another kind: ip tuntap add mode tap):", ifname);
	if (r == -EPERM)
		return fail(err, r, "CAP_NET_ADMIN is missing (run as root) for TAP device",
			    ifname);
	return fail(err, r, "cannot open TAP device", ifname);
}
