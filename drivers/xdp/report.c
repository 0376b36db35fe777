/*
 * report.c - the driver in words: mode, features and counters, for `lane stat`
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "dev.h"
#include "uapi.h"

#define NR_FEATURES (sizeof(features) / sizeof(features[0]))

static const struct {
	uint32_t bit;
	const char *name;
	const char *since; /* the kernel that brought it, for what is lacking */
} features[] = {
	{LANE_XDP_F_SG, "multi-buffer", "6.6"},     {LANE_XDP_F_TX_METADATA, "tx-metadata", "6.8"},
	{LANE_XDP_F_UNALIGNED, "unaligned", "5.4"}, {LANE_XDP_F_NEED_WAKEUP, "need-wakeup", "5.4"},
	{LANE_XDP_F_SK_LOOKUP, "sk-lookup", "5.2"}, {LANE_XDP_F_SYNCOOKIE, "syncookie", "5.2"},
	{LANE_XDP_F_MAP_LATE, "map-late", "6.4"},
	{LANE_XDP_F_SUPER, "super-segments", "4.4"},
};

struct text {
	char *out;
	size_t size, len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->out + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	/* Cut off at the end: no more is added. */
	t->len = n < 0 || (size_t)n >= t->size - t->len ? t->size - 1 : t->len + (size_t)n;
}

void lane_xdp_describe(const struct lane_xdp_share *share, char *out, size_t size)
{
	struct text t = {out, size, 0};

	if (size == 0)
		return;
	add(&t, "%s %s %u queue%s", share->mode == LANE_XDP_NATIVE ? "native" : "generic",
	    share->have & LANE_XDP_F_ZEROCOPY ? "zerocopy" : "copy", share->nr_queues,
	    share->nr_queues == 1 ? "" : "s");
	for (size_t i = 0; i < NR_FEATURES; i++)
		if (share->have & features[i].bit)
			add(&t, " %s", features[i].name);
	if (share->have & LANE_XDP_F_BUSY_POLL)
		add(&t, " busy-poll");
	if (share->partial_ok)
		add(&t, " partial-checksums");
	for (size_t i = 0; i < NR_FEATURES; i++) {
		if (share->lacking & features[i].bit)
			add(&t, ", lacking %s (Linux %s)", features[i].name, features[i].since);
		else if (!(share->have & features[i].bit) &&
			 (share->bound || features[i].bit != LANE_XDP_F_MAP_LATE))
			add(&t, ", %s switched off", features[i].name);
	}
	if (share->bound && !(share->have & LANE_XDP_F_BUSY_POLL))
		add(&t, ", no busy-poll (%s)", share->queue[0].napi_id ? "refused" : "no NAPI id");
	if (share->native_errno)
		add(&t, ", not native: %s", strerror(share->native_errno));
}

static void add_xsk(struct text *t, int fd, unsigned int i)
{
	struct xdp_statistics s = {0};
	socklen_t len = sizeof(s);

	if (fd < 0 || getsockopt(fd, SOL_XDP, XDP_STATISTICS, &s, &len) < 0)
		return;
	add(t, "xsk%u_rx_dropped %" PRIu64 "\n", i, (uint64_t)s.rx_dropped);
	add(t, "xsk%u_rx_ring_full %" PRIu64 "\n", i, (uint64_t)s.rx_ring_full);
	add(t, "xsk%u_fill_ring_empty %" PRIu64 "\n", i, (uint64_t)s.rx_fill_ring_empty_descs);
	add(t, "xsk%u_rx_invalid %" PRIu64 "\n", i, (uint64_t)s.rx_invalid_descs);
	add(t, "xsk%u_tx_invalid %" PRIu64 "\n", i, (uint64_t)s.tx_invalid_descs);
}

static void add_counters(struct text *t, const struct lane_xdp_claims *c)
{
	static const char *const names[] = {
#define X(name, text) [LANE_XDP_C_##name] = #name,
		LANE_XDP_COUNTERS(X)
#undef X
	};

	for (int i = 0; i < LANE_XDP_NR_COUNTERS; i++) {
		uint64_t sum = 0;

		for (int cpu = 0; cpu < LANE_XDP_CPUS; cpu++)
			sum += c->counter[cpu].n[i];
		add(t, "xdp_%s %" PRIu64 "\n", names[i], sum);
	}
}

int lane_xdp_stats(const struct lane_xdp_share *share, const struct lane_xdp_fds *fds, char *out,
		   size_t size)
{
	struct text t = {out, size, 0};
	void *p;

	if (size == 0)
		return 0;
	out[0] = 0;
	for (unsigned int i = 0; i < share->nr_queues && i < LANE_QUEUES_MAX; i++)
		add_xsk(&t, fds->xsk[i], i);
	if (share->claims_size < sizeof(struct lane_xdp_claims))
		return (int)t.len;
	p = mmap(NULL, share->claims_size, PROT_READ, MAP_SHARED, fds->claims, 0);
	if (p != MAP_FAILED) {
		add_counters(&t, p);
		munmap(p, share->claims_size);
	}
	return (int)t.len;
}
