/*
 * guard.h - bytes that end where memory ends: a parser that reads on is killed at once
 */
#ifndef TESTS_WIRE_GUARD_H
#define TESTS_WIRE_GUARD_H

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define GUARD_MAX 4096

/* Copies 'len' bytes, GUARD_MAX at most, right in front of a page that cannot be read. The next
 * call overwrites them. */
static inline const uint8_t *guard_copy(const void *bytes, size_t len)
{
	static uint8_t *pages;

	assert(len <= GUARD_MAX);
	if (!pages) {
		pages = mmap(NULL, 2 * GUARD_MAX, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert(pages != MAP_FAILED);
		assert(mprotect(pages + GUARD_MAX, GUARD_MAX, PROT_NONE) == 0);
	}
	memcpy(pages + GUARD_MAX - len, bytes, len);
	return pages + GUARD_MAX - len;
}

#endif
