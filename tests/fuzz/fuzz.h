/*
 * fuzz.h - what the fuzz targets share: the entry, a reader of the input, checks
 *
 * A target is one LLVMFuzzerTestOneInput(): linked with libFuzzer (meson -Dfuzz=true, clang) it is
 * a fuzzer, with replay.c a test that runs the corpus. It depends on the input alone: no clock, no
 * randomness, no file; nothing is left of one input when the next begins.
 */
#ifndef LANE_TESTS_FUZZ_H
#define LANE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, read from its front; behind its end there are zeros. */
struct fuzz_in {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t lo = fuzz_u8(in);

	return (uint16_t)(lo | fuzz_u8(in) << 8);
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t lo = fuzz_u16(in);

	return lo | (uint32_t)fuzz_u16(in) << 16;
}

/* What must hold whatever the input is. */
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A copy of 'n' bytes that ends where its memory ends, for the address sanitizer. Returns owned. */
static inline uint8_t *fuzz_copy(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	FUZZ_CHECK(copy);
	memcpy(copy, p, n);
	return copy;
}

#endif
