/*
 * xdp.c - lane-echo's interface over AF_XDP, in shared mode
 */
#include <stdio.h>
#include <string.h>

#include "echo.h"

int echo_open_xdp(struct echo *e)
{
	char text[LANE_XDP_ERR];
	int r;

	if (!e->xdp.ifname[0] && lane_netlink_default_if(e->xdp.ifname) < 0)
		return echo_fail("interface", "there is no default route: name one with -i");
	if (echo_create_lane(e, lane_xdp_stride(&e->xdp), 0) < 0)
		return -1;
	if (strcmp(e->xdp.ifname, "lo") == 0 && lane_xdp_loopback_settings(text) != 0)
		fprintf(stderr, "lane-echo: %s\n", text);
	if (lane_netlink_open(e->xdp.ifname, lane_nettab(e->ln), &e->nl, text) < 0 ||
	    lane_xdp_open(&e->xdp, e->ln, &e->share, &e->fds, &e->dev, text) < 0)
		return echo_fail("AF_XDP", text);
	r = lane_xdp_map(e->ln, &e->share, &e->fds);
	if (r < 0)
		return echo_fail("rings", strerror(-r));
	if (lane_xdp_bind(e->dev, text) < 0)
		return echo_fail("AF_XDP", text);
	lane_xdp_set_addrs(e->dev, lane_nettab(e->ln));
	return 0;
}

void echo_describe_xdp(const struct echo *e, char *text, size_t size)
{
	int n = snprintf(text, size, "%s: ", e->xdp.ifname);

	lane_xdp_describe(&e->share, text + n, size - (size_t)n);
}
