/*
 * line_test.c - bench/link/line.c: rate, delay, queue, faults by seed, marks
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bench/link/line.h"

#define MS 1000000ull

static uint8_t frame[1514];

/* A v4 or v6 TCP frame with the given ECN bits; the v4 header's checksum is right. */
static void make(int version, uint8_t ecn)
{
	uint32_t sum = 0;

	memset(frame, 0, sizeof(frame));
	frame[12] = version == 4 ? 0x08 : 0x86;
	frame[13] = version == 4 ? 0x00 : 0xdd;
	frame[14] = (uint8_t)(version << 4 | (version == 4 ? 5 : 0));
	frame[15] = version == 4 ? ecn : (uint8_t)(ecn << 4);
	if (version == 6) {
		frame[20] = 6;
		return;
	}
	frame[23] = 6;
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	sum = ~((sum & 0xffff) + (sum >> 16));
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
}

/* The ones' complement sum over the v4 header: 0xffff when the checksum is right. */
static uint32_t header_sum(const uint8_t *b)
{
	uint32_t sum = 0;

	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	return (sum & 0xffff) + (sum >> 16);
}

static struct line_frame *out(struct line *l, uint64_t now_ns)
{
	struct line_frame *f = line_out(l, now_ns);

	if (f)
		line_sent(l, f, true, now_ns);
	return f;
}

static void test_line__rate_and_delay(void **state)
{
	struct line_config c = {.rate_bps = 12112000, .delay_ns = 10 * MS}; /* 1 ms a frame */
	struct line l;

	(void)state;
	make(4, 0);
	assert_int_equal(line_init(&l, &c, 1), 0);
	for (int i = 0; i < 3; i++)
		line_in(&l, frame, sizeof(frame), 5 * MS);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(line_next_ns(&l), (16 + i) * MS);
		assert_null(line_out(&l, (16 + i) * MS - 1));
		free(out(&l, (16 + i) * MS));
	}
	assert_int_equal(line_next_ns(&l), UINT64_MAX);
	assert_int_equal(l.stats.out_bytes, 3 * sizeof(frame));
	line_fini(&l);
}

static void test_line__queue_drops_the_tail(void **state)
{
	struct line_config bytes = {.rate_bps = 12112000, .queue_bytes = 3 * sizeof(frame)};
	struct line_config frames = {.rate_bps = 12112000, .queue_frames = 2};
	struct line l;

	(void)state;
	make(4, 0);
	line_init(&l, &bytes, 1);
	for (int i = 0; i < 5; i++)
		line_in(&l, frame, sizeof(frame), 0);
	assert_int_equal(l.stats.queue_drops, 2);
	line_fini(&l);
	line_init(&l, &frames, 1);
	for (int i = 0; i < 5; i++)
		line_in(&l, frame, sizeof(frame), 0);
	assert_int_equal(l.stats.queue_drops, 3);
	/* One has left, one more may wait. */
	line_in(&l, frame, sizeof(frame), MS);
	assert_int_equal(l.stats.queue_drops, 3);
	line_fini(&l);
}

/* Which of 2,000 frames are lost, as a hash; in 'spoil' the other faults are on too. */
static uint64_t losses(uint64_t seed, double spoil, uint64_t *nr)
{
	struct line_config c = {.loss = 0.05, .reorder = spoil, .dup = spoil, .corrupt = spoil};
	uint64_t hash = 0, lost = 0;
	struct line l;

	line_init(&l, &c, seed);
	for (int i = 0; i < 2000; i++) {
		line_in(&l, frame, sizeof(frame), 0);
		hash = hash * 31 + (l.stats.lost != lost);
		lost = l.stats.lost;
	}
	*nr = lost;
	line_fini(&l);
	return hash;
}

static void test_line__faults_are_the_seeds(void **state)
{
	uint64_t nr;
	uint64_t first;

	(void)state;
	make(6, 0);
	first = losses(1, 0, &nr);
	assert_in_range(nr, 60, 140);
	assert_int_equal(losses(1, 0, &nr), first);
	assert_int_not_equal(losses(2, 0, &nr), first);
	/* One fault's numbers do not depend on another's. */
	assert_int_equal(losses(1, 0.5, &nr), first);
}

static void test_line__corrupts_one_bit_duplicates_and_reorders(void **state)
{
	struct line_config c = {.corrupt = 1, .dup = 1, .reorder = 1, .hold_ns = MS};
	struct line_frame *whole, *broken;
	int bits = 0;
	struct line l;

	(void)state;
	make(4, 0);
	line_init(&l, &c, 1);
	line_in(&l, frame, sizeof(frame), 0);
	whole = out(&l, 0);
	assert_memory_equal(whole->bytes, frame, sizeof(frame));
	assert_null(out(&l, MS - 1));
	broken = out(&l, MS);
	for (size_t i = 0; i < sizeof(frame); i++)
		bits += __builtin_popcount(broken->bytes[i] ^ frame[i]);
	assert_int_equal(bits, 1);
	assert_memory_equal(broken->bytes, frame, 14);
	free(whole);
	free(broken);
	line_fini(&l);
}

static void test_line__marks_what_can_be_marked(void **state)
{
	struct line_config c = {.rate_bps = 12112000, .ecn_bytes = 1};
	struct line_frame *f;
	struct line l;

	(void)state;
	line_init(&l, &c, 1);
	for (int version = 4; version <= 6; version += 2) {
		for (uint8_t ecn = 0; ecn < 4; ecn++) {
			make(version, ecn);
			line_in(&l, frame, sizeof(frame), 0);
			line_in(&l, frame, sizeof(frame), 0);
			free(out(&l, 100 * MS));
			f = out(&l, 100 * MS);
			assert_int_equal(f->bytes[15] >> (version == 4 ? 0 : 4), ecn ? 3 : 0);
			if (version == 4)
				assert_int_equal(header_sum(f->bytes), 0xffff);
			free(f);
		}
	}
	line_fini(&l);
}

static void test_line__spares_neighbour_discovery(void **state)
{
	struct line_config c = {.loss = 1};
	struct line l;

	(void)state;
	line_init(&l, &c, 1);
	make(6, 0);
	frame[20] = 58;
	line_in(&l, frame, 86, 0);
	make(4, 0);
	frame[13] = 0x06; /* ARP */
	line_in(&l, frame, 42, 0);
	assert_int_equal(l.stats.lost, 0);
	make(4, 0);
	line_in(&l, frame, 60, 0);
	assert_int_equal(l.stats.lost, 1);
	line_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line__rate_and_delay),
		cmocka_unit_test(test_line__queue_drops_the_tail),
		cmocka_unit_test(test_line__faults_are_the_seeds),
		cmocka_unit_test(test_line__corrupts_one_bit_duplicates_and_reorders),
		cmocka_unit_test(test_line__marks_what_can_be_marked),
		cmocka_unit_test(test_line__spares_neighbour_discovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
