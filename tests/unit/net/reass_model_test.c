/*
 * reass_model_test.c - random fragments against a model of stack/net/reass.c, a map of bytes
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <lane/udp.h>

#include "tests/unit/net/fragments.h"

#define MODEL_MAX 24 /* fragments in one datagram */

struct piece {
	uint32_t off, end;
	uint32_t id;
};

static uint32_t random_pieces(struct lane_rng *rng, uint32_t id, struct piece p[])
{
	uint32_t nr = 0, at = 0;

	while (at < d.len && nr < MODEL_MAX - 1) {
		uint32_t n = 8 * (3 + lane_rng_below(rng, 60));

		p[nr++] = (struct piece){at, at + n < d.len ? at + n : d.len, id};
		at += n;
	}
	if (at < d.len)
		p[nr++] = (struct piece){at, d.len, id};
	return nr;
}

static void shuffle(struct lane_rng *rng, struct piece p[], uint32_t nr)
{
	for (uint32_t i = nr; i > 1; i--) {
		uint32_t k = lane_rng_below(rng, i);
		struct piece t = p[i - 1];

		p[i - 1] = p[k];
		p[k] = t;
	}
}

/* Bytes [off, end) in byte map 'have': how many are there. */
static uint32_t count(const uint8_t *have, const struct piece *p)
{
	uint32_t n = 0;

	for (uint32_t i = p->off; i < p->end; i++)
		n += have[i];
	return n;
}

/* One datagram with pieces doubled, missing and recut, in random order. What is whole by the rules,
 * told by a map of bytes, arrives at that very moment, and nothing else does. */
static void run_model(struct lane_rng *rng, uint32_t id)
{
	static uint8_t have[65536];
	struct piece p[3 * MODEL_MAX];
	uint32_t nr, at, total = 0;

	make(lane_rng_below(rng, 2), id, 600 + lane_rng_below(rng, 4000));
	d.piece = lane_rng_below(rng, 3) ? 2000 : 100 + lane_rng_below(rng, 400);
	nr = random_pieces(rng, id, p);
	if (lane_rng_below(rng, 3) == 0)
		nr += random_pieces(rng, id, p + nr);
	for (uint32_t k = lane_rng_below(rng, 4); k > 0 && nr < 3 * MODEL_MAX; k--, nr++)
		p[nr] = p[lane_rng_below(rng, nr)];
	shuffle(rng, p, nr);
	if (lane_rng_below(rng, 4) == 0)
		nr--;
	memset(have, 0, d.len);
	for (uint32_t i = 0; i < nr; i++) {
		uint32_t n = count(have, &p[i]);

		at = lane_udp_nr_queued(pcb);
		give(p[i].off, p[i].end);
		if (n && n < p[i].end - p[i].off) {
			memset(have, 0, d.len);
			total = 0;
		} else if (n == 0) {
			memset(have + p[i].off, 1, p[i].end - p[i].off);
			total += p[i].end - p[i].off;
		}
		if (total == d.len) {
			assert_int_equal(at, 0);
			assert_arrives();
			memset(have, 0, d.len);
			total = 0;
		}
		assert_nothing();
	}
}

static void test_in__random(void **state)
{
	struct lane_rng rng;

	(void)state;
	lane_rng_seed(&rng, 20261121);
	for (uint32_t id = 0; id < 3000; id++) {
		run_model(&rng, id);
		w.now_us += 31000000 + (id & 1) * 31000000;
		lane_poll(w.ln[0], w.now_us);
		lane_poll(w.ln[0], w.now_us + 31000000);
		w.now_us += 31000000;
		assert_int_equal(nr_held(), 0);
	}
	assert_true(lane_stats(w.ln[0])->ip_reassembled > 1000);
	assert_true(drops(LANE_DROP_IP_FRAG_OVERLAP) > 100);
	assert_true(drops(LANE_DROP_IP_FRAG_DUP) > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in__random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
