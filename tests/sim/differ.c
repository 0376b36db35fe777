/*
 * differ.c - each seed once more without the short way of plain segments (stack/tcp/plain.h)
 *
 * Both runs must send the same frames at the same times and leave the same bytes in the lanes' memory, at the end and
 * now and then on the way. What tells runs apart is one digest of all of it; it is of use only to compare.
 */
#include "tests/sim/differ.h"

#include <string.h>

#define EVERY 256 /* turns after which memory is looked at */

static uint64_t mix(uint64_t digest, uint64_t word)
{
	digest = (digest ^ word) * 0x9e3779b97f4a7c15ULL;
	return digest ^ digest >> 29;
}

static uint64_t add(uint64_t digest, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word = 0;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		digest = mix(digest, word);
	}
	word = 0;
	memcpy(&word, p, len);
	return mix(digest, word ^ len << 56);
}

void differ_frame(struct sim *s, unsigned int end, const uint8_t *frame, size_t len)
{
	s->digest = mix(s->digest, s->w.now_us << 1 | end);
	s->digest = add(s->digest, frame, len);
}

/* All but what the frames hold. */
static size_t without_frames(const struct lane *ln)
{
	return ln->st->at.frames;
}

void differ_turn(struct sim *s)
{
	if (s->nr_steps % EVERY)
		return;
	for (unsigned int i = 0; i < 2; i++)
		s->digest = add(s->digest, s->w.mem[i], without_frames(s->w.ln[i]));
}

void differ_end(struct sim *s)
{
	for (unsigned int i = 0; i < 2; i++)
		s->digest = add(s->digest, s->w.mem[i], s->w.ln[i]->st->at.size);
}
