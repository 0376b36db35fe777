/*
 * tap_test.c - the TAP driver's queue, over a pair of sockets in place of the device
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lane/driver.h>

#include "drivers/tap/hdr.h"
#include "drivers/tap/tap.h"

static struct lane *ln;
static void *mem;
static struct lane_tap_share *share;
static struct lane_queue *q;
static int fds[2]; /* the queue's end, the kernel's */
static int who = -1;

static int setup(void **state)
{
	struct lane_config cfg;

	(void)state;
	lane_config_default(&cfg);
	cfg.nr_bufs = 4096;
	cfg.nr_tcp = cfg.nr_tw = cfg.nr_pace = 64;
	cfg.nr_udp = 16;
	mem = mmap(NULL, lane_size(&cfg), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ln = lane_create(&cfg, mem, 1);
	if (!ln || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) || lane_tap_init(share) ||
	    lane_tap_map(ln, 0, share, fds[0], &who))
		return -1;
	q = lane_queue(ln, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	q->drv->close(q);
	lane_detach(ln);
	munmap(mem, 1);
	munmap(share, sizeof(*share));
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static struct lane_buf *frame_of(uint8_t fill)
{
	struct lane_buf *b = lane_buf_alloc(q->bufs);

	b->len = 100;
	b->pkt_len = 100;
	memset(lane_buf_data(q->bufs, b), fill, 100);
	return b;
}

static void test_tx__leaves_with_the_kick_and_comes_back(void **state)
{
	struct lane_buf *b = frame_of(7), *none;
	uint32_t nr_free = q->bufs->pool->nr_free;
	uint8_t got[200];

	(void)state;
	b->flags |= LANE_BUF_CSUM;
	b->csum_start = 34;
	b->csum_off = 16;
	assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
	assert_int_equal(q->nr_unkicked, 1);
	assert_int_equal(read(fds[1], got, sizeof(got)), -1);
	/* What the engine does with its record of the frame does not matter any more. */
	b->off += 54;
	b->len -= 54;
	q->drv->kick(q);
	assert_int_equal(read(fds[1], got, sizeof(got)), 100 + sizeof(struct lane_tap_hdr));
	assert_int_equal(got[0], LANE_TAP_NEEDS_CSUM);
	assert_int_equal(got[6], 34);
	assert_int_equal(got[8], 16);
	assert_int_equal(got[sizeof(struct lane_tap_hdr)], 7);
	assert_int_equal(q->nr_unkicked, 0);
	assert_int_equal(q->drv->rx_burst(q, &none, 1), 0);
	assert_int_equal(q->bufs->pool->nr_free, nr_free + 1);
}

static void test_tx__ring_full(void **state)
{
	struct lane_buf *b;
	unsigned int n;

	(void)state;
	for (n = 0; n < LANE_TAP_RING; n++) {
		b = frame_of(1);
		assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
	}
	b = frame_of(1);
	assert_int_equal(q->drv->tx_burst(q, &b, 1), 0);
	lane_buf_free(q->bufs, b);
}

/* The kernel has no room: the rest stays, and goes with a later kick. */
static void test_kick__what_is_not_taken_waits(void **state)
{
	struct lane_buf *b;
	uint8_t got[200];
	unsigned int n, nr = 0;

	(void)state;
	for (n = 0; n < LANE_TAP_RING; n++) {
		b = frame_of(1);
		assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
	}
	for (n = 0; n < 2 * LANE_TAP_RING && nr < LANE_TAP_RING; n++) {
		q->drv->kick(q);
		while (read(fds[1], got, sizeof(got)) > 0)
			nr++;
	}
	assert_int_equal(nr, LANE_TAP_RING);
	assert_int_equal(share->nr_lost, 0);
}

/* Who wrote has been killed at it. */
static void test_kick__goes_on_after_a_death(void **state)
{
	struct lane_buf *b = frame_of(1);
	uint8_t got[200];
	pid_t pid;

	(void)state;
	assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
	pid = fork();
	if (pid == 0) {
		pthread_mutex_lock(&share->busy);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	q->drv->kick(q);
	assert_true(read(fds[1], got, sizeof(got)) > 0);
}

#define OTHER 7 /* the number of such a process */

/* A process that takes the frame at 'tail' to write it, and is stopped at it; when it goes on, it notes that. */
static pid_t stop_a_writer(void)
{
	uint32_t n = share->tail;
	uint64_t mine;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		mine = (uint64_t)n << 32 | (OTHER + 2);
		pthread_mutex_lock(&share->busy);
		share->ring[n % LANE_TAP_RING].claim = mine;
		raise(SIGSTOP);
		if (share->ring[n % LANE_TAP_RING].claim == mine)
			share->ring[n % LANE_TAP_RING].claim = (uint64_t)n << 32 | LANE_TAP_WRITTEN;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

/* Sends 'n' frames; each must leave, though perhaps not with the first kick. */
static void send_frames(unsigned int n)
{
	uint8_t got[200];

	for (unsigned int i = 0; i < n; i++) {
		struct lane_buf *b = frame_of((uint8_t)i);
		bool left = false;

		assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
		for (unsigned int tries = 0; tries < 2000 && !left; tries++) {
			q->drv->kick(q);
			left = read(fds[1], got, sizeof(got)) > 0;
			if (!left)
				usleep(1000);
		}
		assert_true(left);
		assert_int_equal(got[sizeof(struct lane_tap_hdr)], (uint8_t)i);
	}
}

/* The others' frames leave while a writer is stopped, more of them than the ring holds; its own is kept. */
static void test_kick__passes_who_is_stopped(void **state)
{
	struct lane_buf *b = frame_of(1), *none;
	uint32_t nr_free = q->bufs->pool->nr_free;
	pid_t pid;

	(void)state;
	assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
	pid = stop_a_writer();
	send_frames(3 * LANE_TAP_RING / 2);
	q->drv->rx_burst(q, &none, 1);
	assert_true(b->flags & LANE_BUF_TX);
	assert_int_equal(q->bufs->pool->nr_free, nr_free);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	q->drv->rx_burst(q, &none, 1);
	assert_int_equal(q->bufs->pool->nr_free, nr_free + 1);
	send_frames(10);
}

static void test_gone__what_a_dead_writer_had_is_given_back(void **state)
{
	struct lane_buf *b = frame_of(1), *none;
	uint32_t nr_free = q->bufs->pool->nr_free;
	pid_t pid;

	(void)state;
	assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
	pid = stop_a_writer();
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	send_frames(100);
	q->drv->rx_burst(q, &none, 1);
	assert_int_equal(q->bufs->pool->nr_free, nr_free);
	lane_tap_gone(share, OTHER);
	q->drv->rx_burst(q, &none, 1);
	assert_int_equal(q->bufs->pool->nr_free, nr_free + 1);
}

/* As the kernel holds one that writes: until there is room. Its pid says nothing, it may be another namespace's. */
static void test_gone__a_writer_has_the_number_that_it_kicked_with(void **state)
{
	struct lane_buf *b = frame_of(1), *none;
	uint32_t nr_free = q->bufs->pool->nr_free, n = share->tail;
	uint8_t frame[200] = {0};
	pid_t pid;

	(void)state;
	while (write(fds[0], frame, sizeof(frame)) > 0)
		;
	assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
	assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
	pid = fork();
	if (pid == 0) {
		who = OTHER;
		q->drv->kick(q);
		_exit(0);
	}
	for (int i = 0; i < 5000 && !(uint32_t)share->ring[n % LANE_TAP_RING].claim; i++)
		usleep(1000);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	while (read(fds[1], frame, sizeof(frame)) > 0)
		;
	send_frames(10);
	lane_tap_gone(share, who);
	q->drv->rx_burst(q, &none, 1);
	assert_int_equal(q->bufs->pool->nr_free, nr_free);
	lane_tap_gone(share, OTHER);
	q->drv->rx_burst(q, &none, 1);
	assert_int_equal(q->bufs->pool->nr_free, nr_free + 1);
}

/* More of them than are kept apart: the rest of the ring goes on serving. */
static void test_kick__many_are_stopped(void **state)
{
	struct lane_buf *b, *none;
	uint32_t nr_free = q->bufs->pool->nr_free;

	(void)state;
	for (unsigned int i = 0; i < LANE_TAP_LEFT + 4; i++) {
		uint32_t n = share->tail;

		b = frame_of(1);
		assert_int_equal(q->drv->tx_burst(q, &b, 1), 1);
		share->ring[n % LANE_TAP_RING].claim = (uint64_t)n << 32 | (OTHER + 2 + i);
		send_frames(70);
	}
	for (unsigned int i = 0; i < LANE_TAP_LEFT + 4; i++)
		lane_tap_gone(share, OTHER + (int)i);
	send_frames(3 * LANE_TAP_RING);
	q->drv->rx_burst(q, &none, 1);
	assert_int_equal(q->bufs->pool->nr_free, nr_free);
}

static void put(uint8_t flags, uint32_t len)
{
	uint8_t bytes[4096] = {flags};

	assert_int_equal(write(fds[1], bytes, sizeof(struct lane_tap_hdr) + len),
			 sizeof(struct lane_tap_hdr) + len);
}

static void test_rx__flags_of_the_checksum(void **state)
{
	struct lane_buf *b[4];

	(void)state;
	put(LANE_TAP_NEEDS_CSUM, 60);
	put(LANE_TAP_DATA_VALID, 61);
	put(0, 62);
	assert_int_equal(q->drv->rx_burst(q, b, 4), 3);
	assert_int_equal(b[0]->flags, LANE_BUF_PARTIAL_OK);
	assert_int_equal(b[1]->flags, LANE_BUF_CSUM_OK);
	assert_int_equal(b[2]->flags, 0);
	assert_int_equal(b[2]->pkt_len, 62);
	for (unsigned int i = 0; i < 3; i++)
		lane_buf_free(q->bufs, b[i]);
}

static void test_rx__nothing_and_no_frame_leave_the_pool_whole(void **state)
{
	uint32_t nr_free = q->bufs->pool->nr_free, n = 0;
	struct lane_buf *b, *held = NULL;

	(void)state;
	assert_int_equal(q->drv->rx_burst(q, &b, 1), 0);
	assert_int_equal(q->bufs->pool->nr_free, nr_free);
	put(0, 60);
	while ((b = lane_buf_alloc(q->bufs)) != NULL) {
		b->next = held ? lane_buf_index(q->bufs, held) : LANE_NIL;
		held = b;
		n++;
	}
	assert_int_equal(n, nr_free);
	assert_int_equal(q->drv->rx_burst(q, &b, 1), 0);
	lane_buf_free(q->bufs, held);
	assert_int_equal(q->drv->rx_burst(q, &b, 1), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_tx__leaves_with_the_kick_and_comes_back),
		TEST(test_tx__ring_full),
		TEST(test_kick__what_is_not_taken_waits),
		TEST(test_kick__goes_on_after_a_death),
		TEST(test_kick__passes_who_is_stopped),
		TEST(test_kick__many_are_stopped),
		TEST(test_gone__what_a_dead_writer_had_is_given_back),
		TEST(test_gone__a_writer_has_the_number_that_it_kicked_with),
		TEST(test_rx__flags_of_the_checksum),
		TEST(test_rx__nothing_and_no_frame_leave_the_pool_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
