/*
 * knobs.c - the namespace's sysctls, which are a lane's defaults and limits (posix.md 84)
 *
 * One table says which field of struct lane_config each one is. The keeper reads them when it opens
 * the interface, when a program joins, and when one that makes sockets asks for it, once a second at
 * most: `sysctl -w` does to a lane what it does to the kernel. What cannot be read stays as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "k.h"
#include "lane-int/state.h"
#include "lane-int/tcp_info.h"

#define KNOB_TEXT	160

static const struct {
	const char *name; /* "ipv4/tcp_rmem" under /proc/sys/net */
	uint16_t at;	  /* in struct lane_config */
	uint8_t size;	  /* bytes of a number, 0: the index of a congestion control */
	uint8_t nr;	  /* numbers in a row */
	uint32_t scale;	  /* the field's unit in the sysctl's */
} knobs[] = {
#define KNOB(name, field, nr, scale)                                                               \
	{name, offsetof(struct lane_config, field), sizeof(((struct lane_config *)0)->field) / (nr),  \
	 nr, scale}
	KNOB("core/rmem_default", rmem_default, 1, 1),
	KNOB("core/rmem_max", rmem_max, 1, 1),
	KNOB("core/wmem_default", wmem_default, 1, 1),
	KNOB("core/wmem_max", wmem_max, 1, 1),
	KNOB("core/somaxconn", somaxconn, 1, 1),
	KNOB("ipv4/ip_default_ttl", ttl, 1, 1),
	KNOB("ipv4/route/min_pmtu", min_pmtu, 1, 1),
	KNOB("ipv4/route/mtu_expires", mtu_expires_us, 1, 1000000),
	KNOB("ipv4/tcp_abort_on_overflow", abort_on_overflow, 1, 1),
	KNOB("ipv4/tcp_base_mss", base_mss, 1, 1),
	{"ipv4/tcp_congestion_control", offsetof(struct lane_config, cc), 0, 1, 1},
	KNOB("ipv4/tcp_dsack", dsack, 1, 1),
	KNOB("ipv4/tcp_ecn", ecn, 1, 1),
	KNOB("ipv4/tcp_fin_timeout", fin_timeout_us, 1, 1000000),
	KNOB("ipv4/tcp_keepalive_intvl", keepalive_intvl_us, 1, 1000000),
	KNOB("ipv4/tcp_keepalive_probes", keepalive_probes, 1, 1),
	KNOB("ipv4/tcp_keepalive_time", keepalive_time_us, 1, 1000000),
	KNOB("ipv4/tcp_max_orphans", max_orphans, 1, 1),
	KNOB("ipv4/tcp_max_syn_backlog", max_syn_backlog, 1, 1),
	KNOB("ipv4/tcp_min_snd_mss", min_snd_mss, 1, 1),
	KNOB("ipv4/tcp_moderate_rcvbuf", moderate_rcvbuf, 1, 1),
	KNOB("ipv4/tcp_mtu_probing", mtu_probing, 1, 1),
	KNOB("ipv4/tcp_notsent_lowat", notsent_lowat, 1, 1),
	KNOB("ipv4/tcp_orphan_retries", orphan_retries, 1, 1),
	KNOB("ipv4/tcp_probe_interval", probe_interval_us, 1, 1000000),
	KNOB("ipv4/tcp_retries1", retries1, 1, 1),
	KNOB("ipv4/tcp_retries2", retries2, 1, 1),
	KNOB("ipv4/tcp_rmem", tcp_rmem, 3, 1),
	KNOB("ipv4/tcp_rto_min_us", rto_min_us, 1, 1),
	KNOB("ipv4/tcp_sack", sack, 1, 1),
	KNOB("ipv4/tcp_slow_start_after_idle", slow_start_after_idle, 1, 1),
	KNOB("ipv4/tcp_syn_retries", syn_retries, 1, 1),
	KNOB("ipv4/tcp_synack_retries", synack_retries, 1, 1),
	KNOB("ipv4/tcp_syncookies", syncookies, 1, 1),
	KNOB("ipv4/tcp_timestamps", timestamps, 1, 1),
	KNOB("ipv4/tcp_tw_reuse", tw_reuse, 1, 1),
	KNOB("ipv4/tcp_window_scaling", window_scaling, 1, 1),
	KNOB("ipv4/tcp_wmem", tcp_wmem, 3, 1),
#undef KNOB
};

#define NR_KNOBS (sizeof(knobs) / sizeof(knobs[0]))
_Static_assert(NR_KNOBS <= 64, "a bit for each");

/* The file's text without the newline; false: it cannot be read. */
static bool read_text(const char *name, char *text)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, KNOB_TEXT - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return true;
}

/* Stores a number in the field's unit, cut to its size. */
static void put_number(void *at, uint8_t size, uint64_t n, uint32_t scale)
{
	uint64_t max = size == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * size) - 1;
	uint64_t v = n > max / scale ? max : n * scale;
	uint32_t v32 = (uint32_t)v;
	uint8_t v8 = (uint8_t)v;

	memcpy(at, size == 8 ? (void *)&v : size == 4 ? (void *)&v32 : (void *)&v8, size);
}

static uint64_t get_number(const void *at, uint8_t size, uint32_t scale)
{
	uint64_t v = 0;
	uint32_t v32;
	uint8_t v8;

	memcpy(size == 8 ? (void *)&v : size == 4 ? (void *)&v32 : (void *)&v8, at, size);
	return (size == 8 ? v : size == 4 ? v32 : v8) / scale;
}

/* Sets one from its text: all numbers, or nothing and false. */
static bool set_knob(struct lane_config *cfg, unsigned int i, const char *text)
{
	uint8_t *at = (uint8_t *)cfg + knobs[i].at;
	uint64_t n[3];
	unsigned int k;
	char *end;

	if (knobs[i].size == 0) {
		int cc = lane_cc_find(text);

		if (cc >= 0)
			*at = (uint8_t)cc;
		return cc >= 0;
	}
	for (k = 0; k < knobs[i].nr; k++, text = end) {
		errno = 0;
		n[k] = strtoull(text, &end, 10);
		if (end == text || errno)
			return false;
	}
	for (k = 0; k < knobs[i].nr; k++)
		put_number(at + k * knobs[i].size, knobs[i].size, n[k], knobs[i].scale);
	return true;
}

/* Where a namespace does not show net.core's limits, sockets do: SO_RCVBUF reads doubled. */
static void ask_core(struct lane_config *cfg)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), most = INT32_MAX / 2, val;
	socklen_t len = sizeof(val);

	if (fd < 0)
		return;
	if (!getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &val, &len))
		cfg->rmem_default = (uint32_t)val;
	if (!getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &val, &len))
		cfg->wmem_default = (uint32_t)val;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &most, sizeof(most));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
	if (!getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &val, &len))
		cfg->rmem_max = (uint32_t)val / 2;
	if (!getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &val, &len))
		cfg->wmem_max = (uint32_t)val / 2;
	close(fd);
}

uint64_t lane_knobs_read(struct lane_config *cfg)
{
	char text[KNOB_TEXT];
	uint64_t mask = 0;
	unsigned int i;
	bool core = false;

	for (i = 0; i < NR_KNOBS; i++) {
		if (!read_text(knobs[i].name, text) || !set_knob(cfg, i, text))
			continue;
		mask |= 1ULL << i;
		core = core || knobs[i].at == offsetof(struct lane_config, rmem_max);
	}
	if (!core)
		ask_core(cfg);
	return mask;
}

const char *lane_knob_name(unsigned int i)
{
	return i < NR_KNOBS ? knobs[i].name : NULL;
}

void lane_knob_get(const struct lane_config *cfg, unsigned int i, char *out, size_t size)
{
	const uint8_t *at = (const uint8_t *)cfg + knobs[i].at;
	size_t len = 0;
	unsigned int k;

	if (knobs[i].size == 0) {
		snprintf(out, size, "%s", lane_cc_name(*at));
		return;
	}
	for (k = 0; k < knobs[i].nr && len < size; k++)
		len += (size_t)snprintf(out + len, size - len, "%s%llu", k ? " " : "",
					(unsigned long long)get_number(at + k * knobs[i].size,
								       knobs[i].size,
								       knobs[i].scale));
}

void keeper_knobs(struct keeper *k)
{
	struct lane_config *cfg = &k->v.ln->st->cfg, fresh = *cfg;

	k->v.a->knobs_us = shim_now_us();
	k->v.a->knobs_wanted = 0;
	k->v.a->knobs = lane_knobs_read(&fresh);
	if (k->s.congestion[0])
		fresh.cc = cfg->cc;
	if (!memcmp(cfg, &fresh, sizeof(fresh)))
		return;
	shim_lock(&k->v);
	*cfg = fresh;
	shim_unlock(&k->v);
}
