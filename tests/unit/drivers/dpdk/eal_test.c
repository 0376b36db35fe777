/*
 * eal_test.c - tests of drivers/dpdk/eal.c: what users get wrong first
 *
 * EAL can be started once in a process: each case has a child of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/dpdk/queue.h"

extern const struct lane_dpdk_plugin lane_dpdk_plugin;

struct outcome {
	int r;
	char err[LANE_DPDK_ERR];
};

static struct outcome *shared(void)
{
	struct outcome *o = mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(o != MAP_FAILED);
	*o = (struct outcome){.r = 1};
	return o;
}

/* Frames as lane_create() lays them out. */
static struct lane_bufs make_frames(void)
{
	uint32_t nr = 1024;
	uint8_t *mem = lane_dpdk_plugin.memory((size_t)nr * (LANE_DPDK_STRIDE + sizeof(struct lane_buf)) + 4096);
	struct lane_bufs bs = {.frames = mem, .nr = nr, .stride = LANE_DPDK_STRIDE, .size = LANE_DPDK_FRAME};

	if (!mem)
		_exit(9);
	bs.meta = (struct lane_buf *)(mem + (size_t)nr * LANE_DPDK_STRIDE);
	bs.pool = (struct lane_buf_pool *)(bs.meta + nr);
	lane_buf_pool_init(&bs);
	return bs;
}

/* Starts EAL and opens a port with 'nr' lanes. */
static void run(struct outcome *o, const char *eal, const char *port, uint32_t nr)
{
	struct lane_dpdk_config cfg = {.port = port};
	struct lane_queue *queues[LANE_QUEUES_MAX];
	struct lane_bufs bs[LANE_QUEUES_MAX], *at[LANE_QUEUES_MAX];

	o->r = lane_dpdk_plugin.start(eal, 64u << 20, o->err);
	if (o->r == 0) {
		for (uint32_t i = 0; i < nr; i++) {
			bs[i] = make_frames();
			at[i] = &bs[i];
		}
		o->r = lane_dpdk_plugin.open(&cfg, at, nr, queues, o->err);
	}
	_exit(0);
}

static void expect(const char *eal, const char *port, uint32_t nr, const char *text)
{
	struct outcome *o = shared();
	pid_t pid = fork();
	int status;

	if (pid == 0)
		run(o, eal, port, nr);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	if (!text && o->r != 0)
		fail_msg("'%s': %s", eal, o->err);
	if (text && (o->r >= 0 || !strstr(o->err, text)))
		fail_msg("'%s': %d, '%s' instead of '%s'", eal, o->r, o->err, text);
	munmap(o, sizeof(*o));
}

static void test_start__plain(void **state)
{
	expect("--vdev net_null0", NULL, 1, NULL);
	expect("--vdev net_null0 --vdev net_null1", "net_null1", 2, NULL);
	/* As much of a name as an interface's holds. */
	expect("--vdev net_null0 --vdev net_null_of_a_long_name0", "net_null_of_a_l", 1, NULL);
}

static void test_start__misspelt_option(void **state)
{
	expect("--vdve net_null0", NULL, 1, "unrecognized option '--vdve'");
}

static void test_start__no_such_pmd(void **state)
{
	expect("--vdev net_nul0", NULL, 1, "net_nul0");
}

static void test_start__no_hugepages(void **state)
{
	expect("--vdev net_null0 --huge-dir /nonexistent", NULL, 1, "lane needs none");
}

static void test_open__no_device_named(void **state)
{
	expect("", NULL, 1, "name a device in --eal");
	expect(NULL, NULL, 1, "name a device in --eal");
}

static void test_open__no_such_port(void **state)
{
	expect("--vdev net_null0", "net_null7", 1, "no port net_null7; there are: net_null0");
	expect("--vdev net_null0 --vdev net_null1", NULL, 1, "several ports, name one of: net_null0, net_null1");
}

static void test_open__too_many_queues(void **state)
{
	expect("--vdev net_pcap0,tx_pcap=/dev/null", NULL, 2, "has 1 queues, and 2 lanes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start__plain),
		cmocka_unit_test(test_start__misspelt_option),
		cmocka_unit_test(test_start__no_such_pmd),
		cmocka_unit_test(test_start__no_hugepages),
		cmocka_unit_test(test_open__no_device_named),
		cmocka_unit_test(test_open__no_such_port),
		cmocka_unit_test(test_open__too_many_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
