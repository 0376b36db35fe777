/*
 * parts.c - what the engine's parts cost alone: checksums, parsers, hash, flow table, timers,
 * frames
 *
 * Each part does NR operations over inputs that it has prepared; the medians of the repetitions are
 * cycles for one of them.
 */
#include "bench/micro/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lane/buf.h>

#include "bench/micro/client.h"
#include "bench/micro/tsc.h"
#include "stack/base/csum.h"
#include "stack/base/ftable.h"
#include "stack/base/hash.h"
#include "stack/base/wheel.h"
#include "stack/wire/eth.h"
#include "stack/wire/ip.h"
#include "stack/wire/tcp.h"

#define NR    20000U
#define BATCH 32U
#define BYTES (1U << 20)

struct part {
	const char *name;
	uint64_t (*run)(uint32_t arg); /* returns the cycles of NR operations */
	uint32_t arg;
};

static volatile uint64_t sink; /* results that nobody needs, so that they are computed */

static void *take(size_t size)
{
	void *p = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

	if (!p)
		exit(1);
	memset(p, 0, size);
	return p;
}

/* ---- checksums ---- */

static uint64_t csum(uint32_t len)
{
	uint8_t *p = take(BYTES);
	uint64_t at = tsc(), sum = 0;

	for (uint32_t i = 0; i < NR; i++)
		sum += lane_csum_add(sum, p + i % 16 * 2112 + 66, len);
	at = tsc() - at;
	sink = sum;
	free(p);
	return at;
}

static uint64_t csum_copy(uint32_t len)
{
	uint8_t *p = take(BYTES);
	uint64_t at = tsc(), sum = 0;

	for (uint32_t i = 0; i < NR; i++)
		sum += lane_csum_copy(sum, p + (1 << 19), p + i % 16 * 2112 + 66, len);
	at = tsc() - at;
	sink = sum;
	free(p);
	return at;
}

static uint64_t copy(uint32_t len)
{
	uint8_t *p = take(BYTES);
	uint64_t at = tsc();

	for (uint32_t i = 0; i < NR; i++) {
		memcpy(p + (1 << 19), p + i % 16 * 2112 + 66, len);
		__asm__ volatile("" ::: "memory");
	}
	at = tsc() - at;
	free(p);
	return at;
}

/* ---- headers ---- */

static size_t some_frame(uint8_t *frame, uint32_t len)
{
	struct client c;
	size_t n;

	client_init(&c, 1, true);
	c.flow[0].up = true;
	n = client_send(&c, 0, len, frame);
	client_fini(&c);
	return n;
}

static uint64_t parse(uint32_t len)
{
	uint8_t frame[CLIENT_FRAME_MAX];
	uint32_t n = (uint32_t)some_frame(frame, len) - LANE_ETH_HLEN;
	struct lane_ip_info ip;
	struct lane_tcp_info ti;
	uint64_t at = tsc(), sum = 0;

	for (uint32_t i = 0; i < NR; i++) {
		lane_ip_parse(frame + LANE_ETH_HLEN, n, n, &ip);
		lane_tcp_parse(frame + LANE_ETH_HLEN + ip.hlen, n - ip.hlen, ip.l4_len, &ti);
		sum += ti.seq;
	}
	at = tsc() - at;
	sink = sum;
	return at;
}

static uint64_t emit(uint32_t unused)
{
	uint8_t frame[CLIENT_FRAME_MAX];
	struct lane_ip_info ip = {
		.src = lane_ip4(1), .dst = lane_ip4(2), .proto = 6, .ttl = 64, .l4_len = 96};
	struct lane_tcp_info ti = {.flags = LANE_WIRE_ACK, .opts = {.have = LANE_OPT_TS}};
	uint64_t at = tsc();

	(void)unused;
	for (uint32_t i = 0; i < NR; i++) {
		ti.seq = i;
		lane_tcp_emit(frame + 34, &ti);
		lane_ip_emit(frame + 14, &ip, (uint16_t)i);
		__asm__ volatile("" ::: "memory");
	}
	return tsc() - at;
}

/* ---- tables ---- */

static struct lane_ep endpoint(uint32_t i)
{
	return (struct lane_ep){.ip = lane_ip4(0x0a000000 + i / 60000),
				.port = (uint16_t)(i % 60000 + 1)};
}

static const struct lane_hash_key key = {{0x0123456789abcdef, 0xfedcba9876543210}};

static uint64_t hash(uint32_t unused)
{
	struct lane_ep l = endpoint(1);
	uint64_t at = tsc(), sum = 0;

	(void)unused;
	for (uint32_t i = 0; i < NR; i++) {
		struct lane_ep r = endpoint(i);

		sum += lane_flow_hash(&key, 6, &l, &r);
	}
	at = tsc() - at;
	sink = sum;
	return at;
}

/* Flows of 'n' in a table, hashed before. */
static struct lane_ftable *filled(uint32_t n, uint32_t *hashes)
{
	struct lane_ftable *t = lane_ftable_init(take(lane_ftable_size(n)), n);
	struct lane_ep l = endpoint(1);
	uint32_t step = n < NR ? 1 : n / NR;

	for (uint32_t i = 0; i < n; i++) {
		struct lane_ep r = endpoint(i);
		uint32_t h = lane_flow_hash(&key, 6, &l, &r);

		if (lane_ftable_insert(t, h, i) != 0)
			exit(1);
		/* Spread over all of the table; a hash is random enough an order. */
		if (i % step == 0 && i / step < NR)
			hashes[i / step] = h;
	}
	return t;
}

/* The next look-up waits for the one before: its time is seen whole. */
static uint64_t lookup_single(uint32_t n)
{
	static uint32_t hashes[NR];
	struct lane_ftable *t = filled(n, hashes);
	uint32_t known = n < NR ? n : NR;
	struct lane_ftable_iter it;
	uint64_t at = tsc(), sum = 0;

	for (uint32_t i = 0; i < NR; i++)
		sum += lane_ftable_first(t, hashes[(i + (sum >> 63)) % known], &it);
	at = tsc() - at;
	sink = sum;
	free(t);
	return at;
}

static uint64_t lookup_batch(uint32_t n)
{
	static uint32_t hashes[NR];
	struct lane_ftable *t = filled(n, hashes);
	uint32_t known = n < NR ? n : NR;
	struct lane_ftable_iter it;
	uint64_t at = tsc(), sum = 0;

	for (uint32_t i = 0; i < NR; i += BATCH) {
		for (uint32_t k = 0; k < BATCH; k++)
			lane_ftable_prefetch(t, hashes[(i + k) % known]);
		for (uint32_t k = 0; k < BATCH; k++)
			sum += lane_ftable_first(t, hashes[(i + k) % known], &it);
	}
	at = tsc() - at;
	sink = sum;
	free(t);
	return at;
}

/* ---- timers ---- */

static uint64_t timers(uint32_t n)
{
	static struct lane_wheel wheel;
	struct lane_timer *t = take(n * sizeof(*t));
	struct lane_timers ts = {.wheel = &wheel, .base = t, .stride = sizeof(*t), .nr = n};
	uint64_t at, x = 1;

	lane_wheel_init(&wheel, 0);
	for (uint32_t i = 0; i < n; i++)
		lane_timer_start(&ts, i, (uint64_t)i * 7919 % 200000);
	at = tsc();
	for (uint32_t i = 0; i < NR; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		lane_timer_start(&ts, (uint32_t)(x >> 33) % n, 200000 + i);
	}
	at = tsc() - at;
	free(t);
	return at;
}

/* ---- frames ---- */

static uint64_t frames(uint32_t nr)
{
	static struct lane_buf_pool pool;
	struct lane_bufs bs = {.meta = take(nr * sizeof(struct lane_buf)),
			       .frames = take(nr * 256),
			       .pool = &pool,
			       .nr = nr,
			       .stride = 256};
	struct lane_buf *b[BATCH];
	uint64_t at;

	lane_buf_pool_init(&bs);
	at = tsc();
	for (uint32_t i = 0; i < NR; i += BATCH) {
		for (uint32_t k = 0; k < BATCH; k++)
			b[k] = lane_buf_alloc(&bs);
		for (uint32_t k = 0; k < BATCH; k++)
			lane_buf_free(&bs, b[k]);
	}
	at = tsc() - at;
	free(bs.frames);
	free(bs.meta);
	return at;
}

static const struct part part[] = {
	{"checksum, 20 bytes", csum, 20},
	{"checksum, 96 bytes", csum, 96},
	{"checksum, 1480 bytes", csum, 1480},
	{"checksum and copy, 1448 bytes", csum_copy, 1448},
	{"copy alone, 1448 bytes", copy, 1448},
	{"parse IPv4 and TCP with timestamps", parse, 64},
	{"emit TCP with timestamps and IPv4", emit, 0},
	{"flow hash, IPv4", hash, 0},
	{"flow table, 1 k flows, one by one", lookup_single, 1000},
	{"flow table, 1 k flows, by 32", lookup_batch, 1000},
	{"flow table, 1 M flows, one by one", lookup_single, 1000000},
	{"flow table, 1 M flows, by 32", lookup_batch, 1000000},
	{"timer started anew, of 1 k", timers, 1000},
	{"timer started anew, of 1 M", timers, 1000000},
	{"frame taken and given back", frames, 4096},
};

void parts_print(unsigned int repeats)
{
	double v[REPEATS_MAX];

	printf("\n%-40s %10s\n", "part", "cycles");
	for (unsigned int i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		for (unsigned int k = 0; k < repeats; k++)
			v[k] = (double)part[i].run(part[i].arg) / NR;
		printf("%-40s %10.1f\n", part[i].name, tsc_median(v, repeats));
	}
}
