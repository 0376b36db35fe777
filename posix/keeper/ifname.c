/*
 * ifname.c - the interface where none is given: the one with the default route
 *
 * Apart from config.c, so that the shim does not need the netlink mirror: under a bare LD_PRELOAD
 * the keeper finds the interface and says its name (spawn.c).
 */
#include <errno.h>
#include <stdio.h>

#include "drivers/control/netlink/netlink.h"
#include "config.h"
#include "proto.h"

int lane_settings_ifname(struct lane_settings *s, char *err)
{
	int r;

	if (s->ifname[0])
		return 0;
	if (s->driver == LANE_DEV_DPDK) {
		lane_config_eal_device(s->eal, s->ifname);
		memcpy(s->ifs[0], s->ifname, sizeof(s->ifs[0]));
		s->nr_ifs = 1;
		if (s->ifname[0])
			return 0;
		snprintf(err, KEEPER_ERR,
			 "driver dpdk: name a device, --eal '--vdev net_af_packet0,iface=eth1' or '-a 0000:03:00.0'");
		return -EINVAL;
	}
	/* A TAP device is made where there is none. */
	if (s->driver == LANE_DEV_TAP)
		return lane_settings_set(s, LANE_SET_IF, "lane0", LANE_FROM_DEFAULT, err);
	r = lane_netlink_default_if(s->ifname);
	if (r)
		snprintf(err, KEEPER_ERR, "no default route: name an interface (-i or LANE_IF)");
	if (r)
		return r;
	memcpy(s->xdp.ifname, s->ifname, sizeof(s->xdp.ifname));
	memcpy(s->ifs[0], s->ifname, sizeof(s->ifs[0]));
	s->nr_ifs = 1;
	return 0;
}
