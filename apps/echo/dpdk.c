/*
 * dpdk.c - lane-echo's interface over DPDK: addresses and neighbours are given, nothing is resolved
 */
#include <stdio.h>
#include <string.h>

#include "echo.h"

int echo_open_dpdk(struct echo *e)
{
	const struct lane_dpdk_plugin *plugin;
	struct lane_bufs *bufs;
	struct lane_dpdk_info info;
	struct lane_queue *q;
	char text[LANE_DPDK_ERR];

	if (e->fixed.nr_addrs == 0)
		return echo_fail("address", "name the lane's own with --address 10.0.0.2/24");
	plugin = lane_dpdk_load(NULL, text);
	if (!plugin || plugin->start(e->eal, 66u << 20, text) < 0)
		return echo_fail("DPDK", text);
	if (text[0])
		fprintf(stderr, "%s\n", text);
	e->dpdk = plugin;
	if (echo_create_lane(e, LANE_DPDK_STRIDE, LANE_DPDK_FRAME) < 0)
		return -1;
	bufs = lane_bufs(e->ln);
	if (e->dpdk->open(&e->dpdk_cfg, &bufs, 1, &q, text) < 0)
		return echo_fail("DPDK", text);
	if (lane_add_queue(e->ln, q) < 0)
		return echo_fail("DPDK", "too many queues");
	e->dpdk->info(q, &info);
	snprintf(e->fixed.ifname, sizeof(e->fixed.ifname), "%.15s", info.name);
	e->fixed.mac = info.mac;
	e->fixed.mtu = info.mtu;
	lane_fixed_publish(&e->fixed, lane_nettab(e->ln));
	return 0;
}

void echo_describe_dpdk(const struct echo *e, char *text, size_t size)
{
	struct lane_dpdk_info i;
	const uint8_t *m = i.mac.b;

	e->dpdk->info(lane_queue(e->ln, 0), &i);
	snprintf(text, size, "%s: %s, %02x:%02x:%02x:%02x:%02x:%02x, MTU %u%s%s%s%s%s", i.name, i.driver, m[0], m[1],
		 m[2], m[3], m[4], m[5], i.mtu, i.rx_csum ? ", rx checksum" : "",
		 i.caps & LANE_CAP_TX_CSUM ? ", tx checksum" : "", i.caps & LANE_CAP_TSO ? ", TSO" : "",
		 i.partial_ok ? ", partial checksums" : "", i.interrupts ? ", interrupts" : "");
}
