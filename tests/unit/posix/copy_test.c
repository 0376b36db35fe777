/*
 * copy_test.c - copies stop at unmapped memory, and nowhere else
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "posix/sock.h"

#define PAGE 4096
#define MOST 1100 /* both sides of where the string instruction takes over */

static unsigned int nr_faults;

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
	nr_faults++;
	if (!shim_copy_fixup(ucontext))
		abort();
}

/* In the test itself: cmocka puts its own handler around each. */
static void take_faults(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/* A page with unmapped memory in front of it and behind it. */
static uint8_t *island(void)
{
	uint8_t *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	return p + PAGE;
}

static void fill(uint8_t *p, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + seed);
}

static void test_copy__every_length_exactly(void **state)
{
	uint8_t *page = island(), src[MOST + 1], want[MOST + 2];

	for (size_t len = 0; len <= MOST; len++) {
		uint8_t *dst = page + PAGE - len - 1;

		fill(src, len, (unsigned int)len);
		memset(page + PAGE - len - 1, 0xee, len + 1);
		assert_int_equal(shim_copy_out(dst, src, len), 0);
		memcpy(want, src, len);
		want[len] = 0xee;
		assert_memory_equal(dst, want, len + 1);
		memset(src, 0, sizeof(src));
		assert_int_equal(shim_copy_in(src, dst, len), 0);
		assert_memory_equal(src, want, len);
	}
	assert_int_equal(nr_faults, 0);
}

static void test_copy__one_byte_beyond_is_efault(void **state)
{
	uint8_t *page = island(), own[MOST];

	take_faults();
	memset(own, 1, sizeof(own));
	for (size_t len = 1; len <= MOST; len++) {
		nr_faults = 0;
		assert_int_equal(shim_copy_in(own, page + PAGE - len + 1, len), -EFAULT);
		assert_int_equal(shim_copy_out(page + PAGE - len + 1, own, len), -EFAULT);
		assert_int_equal(shim_copy_in(own, page - 1, len), -EFAULT);
		assert_int_equal(shim_copy_out(page - 1, own, len), -EFAULT);
		assert_int_equal(nr_faults, 4);
	}
}

static void test_copy__wild_addresses_are_efault(void **state)
{
	uint8_t own[64] = {0};

	take_faults();
	assert_int_equal(shim_copy_in(own, NULL, sizeof(own)), -EFAULT);
	assert_int_equal(shim_copy_in(own, (void *)8, 1), -EFAULT);
	assert_int_equal(shim_copy_out((void *)-4096L, own, sizeof(own)), -EFAULT);
	/* Not canonical: a general protection fault, SIGSEGV as well. */
	assert_int_equal(shim_copy_out((void *)0x8000000000000000UL, own, 8), -EFAULT);
	assert_int_equal(shim_copy_in(own, NULL, 0), 0);
}

static void test_fixup__leaves_other_faults_alone(void **state)
{
	ucontext_t uc;

	memset(&uc, 0, sizeof(uc));
	assert_false(shim_copy_fixup(&uc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy__every_length_exactly),
		cmocka_unit_test(test_copy__one_byte_beyond_is_efault),
		cmocka_unit_test(test_copy__wild_addresses_are_efault),
		cmocka_unit_test(test_fixup__leaves_other_faults_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
