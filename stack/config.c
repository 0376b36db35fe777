/*
 * config.c - a lane's sizes and defaults, and where its arrays lie in memory
 */
#include "stack/layout.h"

#include <errno.h>

#include "lane-int/engine.h"

#define PAGE 4096
#define LINE 64
#define PCB_SHARE 320 /* bytes of that eighth for each pcb */
#define SYNS_MAX 65536 /* beyond it cookies do */
#define SMALL (48u << 20) /* bytes: below, no connection waits for another's extension */

void lane_config_default(struct lane_config *cfg)
{
	*cfg = (struct lane_config){
		.buf_stride = 2112,
		.buf_size = 2048,
		.rto_min_us = 200000,
		.time_wait_us = 60000000,
		.seed = 1,
		.tcp_rmem = {4096, 131072, 6291456},
		.tcp_wmem = {4096, 16384, 4194304},
		.rmem_default = 212992,
		.wmem_default = 212992,
		.rmem_max = 212992,
		.wmem_max = 212992,
		.notsent_lowat = UINT32_MAX,
		.keepalive_time_us = 7200000000ULL,
		.keepalive_intvl_us = 75000000,
		.fin_timeout_us = 60000000,
		.max_orphans = UINT32_MAX,
		.max_syn_backlog = 2048,
		.somaxconn = 4096,
		.rcv_fast = 1500000,
		.rcv_large = 256 << 10,
		.base_mss = 1024,
		.min_snd_mss = 48,
		.probe_interval_us = 600000000,
		.mtu_expires_us = 600000000,
		.min_pmtu = 552,
		.keepalive_probes = 9,
		.syn_retries = 6,
		.synack_retries = 5,
		.retries1 = 3,
		.retries2 = 15,
		.timestamps = 1,
		.window_scaling = 1,
		.sack = 1,
		.dsack = 1,
		.ecn = 2,
		.ttl = 64,
		.syncookies = 1,
		.tw_reuse = 2,
		.slow_start_after_idle = 1,
		.moderate_rcvbuf = 1,
		.nr_ifs = 1,
	};
	lane_config_memory(cfg, 64u << 20);
}

/* About an eighth of the memory holds pcbs, as much again all that goes with them (extensions, half-open
 * connections, TIME_WAIT, pacing, tables); the rest is frames. Little memory is for a few connections, all
 * of which may be busy: there are as many as extensions, and two frames for each. */
int lane_config_memory(struct lane_config *cfg, size_t bytes)
{
	size_t pcbs = bytes / 8 / PCB_SHARE;
	size_t fixed, per_buf = cfg->buf_stride + sizeof(struct lane_buf);

	if (bytes < 2u << 20 || bytes > (size_t)1 << 40 || cfg->buf_stride == 0)
		return -EINVAL;
	cfg->nr_tcp_x = (uint32_t)(pcbs / 8 * 3);
	cfg->nr_tcp = bytes < SMALL ? cfg->nr_tcp_x : (uint32_t)pcbs;
	cfg->nr_listen = (uint32_t)(pcbs / 16);
	cfg->nr_tw = (uint32_t)pcbs;
	cfg->nr_syn = cfg->nr_tcp / 2 < SYNS_MAX ? cfg->nr_tcp / 2 : SYNS_MAX;
	cfg->nr_udp = (uint32_t)(pcbs / 16);
	cfg->nr_pace = (uint32_t)(pcbs / 8);
	cfg->nr_bufs = 0;
	fixed = lane_size(cfg) + 2 * (size_t)PAGE;
	if (fixed + 64 * per_buf > bytes)
		return -EINVAL;
	cfg->nr_bufs = (uint32_t)((bytes - fixed) / per_buf);
	return 0;
}

/* Takes 'bytes' at the next multiple of 'align' and returns where they start. */
static uint64_t take(uint64_t *end, uint64_t bytes, uint64_t align)
{
	uint64_t at = (*end + align - 1) / align * align;

	*end = at + bytes;
	return at;
}

unsigned int lane_config_ifs(const struct lane_config *cfg)
{
	if (cfg->nr_ifs == 0)
		return 1;
	return cfg->nr_ifs < LANE_IFS_MAX ? cfg->nr_ifs : LANE_IFS_MAX;
}

uint32_t lane_config_tcp_x(const struct lane_config *cfg)
{
	return cfg->nr_tcp_x && cfg->nr_tcp_x < cfg->nr_tcp ? cfg->nr_tcp_x : cfg->nr_tcp;
}

uint32_t lane_config_listen(const struct lane_config *cfg)
{
	return cfg->nr_listen && cfg->nr_listen < cfg->nr_tcp ? cfg->nr_listen : cfg->nr_tcp;
}

void lane_layout_make(const struct lane_config *cfg, struct lane_layout *at)
{
	uint64_t end = sizeof(struct lane_state);

	at->nettab = take(&end, lane_config_ifs(cfg) * sizeof(struct lane_nettab), PAGE);
	at->claims = take(&end, 2 * 65536 * sizeof(struct lane_claim_count), PAGE);
	at->tcp = take(&end, (uint64_t)cfg->nr_tcp * lane_tcp_pcb_size(), PAGE);
	at->syn = take(&end, (uint64_t)cfg->nr_syn * lane_tcp_syn_size(), LINE);
	at->tcp_ip6 = take(&end, cfg->nr_tcp * lane_tcp_ip6_size(), LINE);
	at->tcp_cold = take(&end, cfg->nr_tcp * lane_tcp_cold_size(), LINE);
	at->tcp_x = take(&end, (lane_config_tcp_x(cfg) + 1ULL) * lane_tcp_x_size(), LINE);
	at->lq = take(&end, (lane_config_listen(cfg) + 1ULL) * lane_tcp_lq_size(), LINE);
	at->oset = take(&end, LANE_TCP_OSETS * lane_tcp_oset_size(), LINE);
	at->tw = take(&end, (uint64_t)cfg->nr_tw * lane_tcp_tw_size(), LINE);
	at->tw_ip6 = take(&end, cfg->nr_tw * lane_tcp_ip6_size(), LINE);
	at->udp = take(&end, (uint64_t)cfg->nr_udp * lane_udp_pcb_size(), LINE);
	at->pace = take(&end, (uint64_t)cfg->nr_pace * lane_tcp_pace_size(), LINE);
	at->conn_table = take(&end, lane_ftable_size(cfg->nr_tcp), LINE);
	at->listen_table = take(&end, lane_ftable_size(lane_config_listen(cfg)), LINE);
	at->syn_table = take(&end, lane_ftable_size(cfg->nr_syn), LINE);
	at->tw_table = take(&end, lane_ftable_size(cfg->nr_tw), LINE);
	at->udp_table = take(&end, lane_ftable_size(2 * cfg->nr_udp), LINE);
	at->meta = take(&end, (uint64_t)cfg->nr_bufs * sizeof(struct lane_buf), LINE);
	at->frames = take(&end, (uint64_t)cfg->nr_bufs * cfg->buf_stride, PAGE);
	at->size = (end + PAGE - 1) / PAGE * PAGE;
}

size_t lane_size(const struct lane_config *cfg)
{
	struct lane_layout at;

	lane_layout_make(cfg, &at);
	return at.size;
}
