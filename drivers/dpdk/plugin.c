/*
 * plugin.c - what liblane-dpdk.so shows: one table
 */
#include "queue.h"

extern const struct lane_dpdk_plugin lane_dpdk_plugin;

__attribute__((visibility("default"))) const struct lane_dpdk_plugin lane_dpdk_plugin = {
	.version = LANE_DPDK_VERSION,
	.start = lane_dpdk_start,
	.memory = lane_dpdk_memory,
	.open = lane_dpdk_open,
	.info = lane_dpdk_info,
	.stats = lane_dpdk_stats,
	.stop = lane_dpdk_stop,
};
