/*
 * iov_test.c - walking through a program's buffers
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "posix/sock.h"

static char a[3] = "abc", b[5] = "defgh";
static const struct iovec three[] = {{a, 3}, {NULL, 0}, {b, 5}};

static void test_piece__skips_empty_entries(void **state)
{
	struct shim_cursor c = {.iov = three, .n = 3};
	size_t len;

	assert_ptr_equal(shim_cursor_piece(&c, 100, &len), a);
	assert_int_equal(len, 3);
	shim_cursor_advance(&c, 3);
	assert_ptr_equal(shim_cursor_piece(&c, 2, &len), b);
	assert_int_equal(len, 2);
	shim_cursor_advance(&c, 4);
	assert_ptr_equal(shim_cursor_piece(&c, 100, &len), b + 4);
	assert_int_equal(len, 1);
	shim_cursor_advance(&c, 1);
	assert_null(shim_cursor_piece(&c, 100, &len));
	assert_int_equal(len, 0);
}

static void test_advance__over_several_entries_and_the_end(void **state)
{
	struct shim_cursor c = {.iov = three, .n = 3};
	size_t len;

	shim_cursor_advance(&c, 5);
	assert_ptr_equal(shim_cursor_piece(&c, 100, &len), b + 2);
	shim_cursor_advance(&c, 1000);
	assert_null(shim_cursor_piece(&c, 100, &len));
}

static void test_total__cuts_as_the_kernel(void **state)
{
	struct iovec big[] = {{a, SHIM_RW_MAX}, {b, 10}}, bad[] = {{a, 1}, {b, (size_t)-1}};

	assert_int_equal(shim_iov_total(three, 3), 8);
	assert_int_equal(shim_iov_total(three, 0), 0);
	assert_int_equal(shim_iov_total(big, 2), SHIM_RW_MAX);
	assert_int_equal(shim_iov_total(bad, 2), -EINVAL);
}

static void test_get__counts_as_the_kernel(void **state)
{
	struct iovec own[3];

	assert_int_equal(shim_iov_get(own, three, 3), 0);
	assert_ptr_equal(own[2].iov_base, b);
	assert_int_equal(shim_iov_get(own, three, -1), -EINVAL);
	assert_int_equal(shim_iov_get(own, three, SHIM_IOV_MAX + 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_piece__skips_empty_entries),
		cmocka_unit_test(test_advance__over_several_entries_and_the_end),
		cmocka_unit_test(test_total__cuts_as_the_kernel),
		cmocka_unit_test(test_get__counts_as_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
