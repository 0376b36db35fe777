/*
 * seccomp_test.c - posix/seccomp.c: what a filter says, before the kernel is asked
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "posix/sandbox.h"
#include "posix/wake.h"

/* What the file calls when a program is joined, which this is not. */

bool shim_waiter_open(void)
{
	return false;
}

void shim_waiter_sleeps(void)
{
}

void shim_wake_local(void)
{
}

void shim_fd_each(void (*fn)(int fd, struct shim_local *l, void *arg), void *arg)
{
}

void shim_fd_set(int fd, struct shim_local *l)
{
}

void shim_count_fallback(enum shim_fallback why)
{
}

#define NR   offsetof(struct seccomp_data, nr)
#define ARG0 offsetof(struct seccomp_data, args[0])

static uint32_t run(const struct sock_filter *f, size_t n, int nr, uint64_t arg)
{
	struct seccomp_data sd = {.nr = nr, .args = {arg}};

	return shim_filter_run(f, n, &sd);
}

#define RUN(f, nr, arg) run(f, sizeof(f) / sizeof((f)[0]), nr, arg)

static void test_filter_run__jumps_and_returns(void **state)
{
	static const struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100000, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	(void)state;
	assert_int_equal(RUN(f, SYS_read, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(RUN(f, 100000, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(RUN(f, 7, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(RUN(f, 8, 0), SECCOMP_RET_ALLOW);
}

static void test_filter_run__arithmetic_and_memory(void **state)
{
	static const struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
		BPF_STMT(BPF_ST, 3),
		BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0xf0f0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_IMM, 0x10000),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	(void)state;
	/* 0x34 -> 0x3434 ^ 0xf0f0 = 0xc4c4, and 0x10000 */
	assert_int_equal(RUN(f, 0, 0x1234), 0x1c4c4);
}

/* What the kernel would refuse to install must not lead anywhere either. */
static void test_filter_run__without_an_end(void **state)
{
	static const struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4096),
		BPF_STMT(BPF_ST, 99),
		BPF_JUMP(BPF_JMP | BPF_JA, 1000, 0, 0),
	};

	(void)state;
	assert_int_equal(RUN(f, 1, 0), SECCOMP_RET_KILL_PROCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter_run__jumps_and_returns),
		cmocka_unit_test(test_filter_run__arithmetic_and_memory),
		cmocka_unit_test(test_filter_run__without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
