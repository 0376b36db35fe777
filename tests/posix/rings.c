/*
 * rings.c - programs that use io_uring: their sockets work, whoever serves them
 *
 * The calls are instructions of this program, as liburing's are. Built a second time as rings-linked,
 * it has a symbol of liburing, as programs have that are linked with it: those may make their ring late.
 */
#include <linux/io_uring.h>
#include <sys/mman.h>

#include "t.h"

#ifdef LINKED
__attribute__((visibility("default"))) void io_uring_queue_init(void);
void io_uring_queue_init(void)
{
}
#define LATE true
#else
#define LATE false
#endif

static struct io_uring_params ring_params;
static struct io_uring_sqe *sqes;
static char *sq, *cq;
static int ring;

static long raw(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = 0;
	register long r9 __asm__("r9") = 0;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static void *map(size_t len, off_t what)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, ring, what);

	if (p == MAP_FAILED)
		t_die("mmap");
	return p;
}

static void make_ring(void)
{
	struct io_uring_params *p = &ring_params;

	ring = (int)raw(SYS_io_uring_setup, 8, (long)p, 0, 0);
	if (ring < 0) {
		t_say("no io_uring here");
		exit(0);
	}
	sq = map(p->sq_off.array + p->sq_entries * 4, IORING_OFF_SQ_RING);
	cq = map(p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	sqes = map(p->sq_entries * sizeof(*sqes), IORING_OFF_SQES);
}

/* One operation, and its result; -ETIME if none comes in time. */
static int submit(int op, int fd, const void *addr, unsigned int len, uint64_t off)
{
	unsigned int *tail = (unsigned int *)(sq + ring_params.sq_off.tail), i = *tail & 7;
	unsigned int *head = (unsigned int *)(cq + ring_params.cq_off.head);
	unsigned int *done = (unsigned int *)(cq + ring_params.cq_off.tail);
	struct io_uring_cqe *c = (struct io_uring_cqe *)(cq + ring_params.cq_off.cqes);
	int r;

	memset(&sqes[i], 0, sizeof(sqes[i]));
	sqes[i].opcode = (uint8_t)op;
	sqes[i].fd = fd;
	sqes[i].addr = (uint64_t)(uintptr_t)addr;
	sqes[i].len = len;
	sqes[i].off = off;
	((unsigned int *)(sq + ring_params.sq_off.array))[i] = i;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	raw(SYS_io_uring_enter, ring, 1, 0, 0);
	for (r = 0; __atomic_load_n(done, __ATOMIC_ACQUIRE) == *head; r++) {
		if (r == 500)
			return -ETIME;
		t_sleep_ms(10);
	}
	r = c[*head & (ring_params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return r;
}

static void *client(void *port)
{
	int fd = t_connect((int)(intptr_t)port);
	char buf[8];

	MUST(write(fd, "hello", 5));
	return (void *)read(fd, buf, sizeof(buf));
}

static void served_by_ring(void)
{
	struct sockaddr_in a;
	pthread_t th;
	char buf[8];
	void *got;
	int l, fd;

	if (!LATE)
		make_ring();
	l = t_listen(5);
	if (LATE)
		make_ring();
	pthread_create(&th, NULL, client, (void *)(intptr_t)t_port(l));
	fd = submit(IORING_OP_ACCEPT, l, NULL, 0, 0);
	t_say("accept %s", fd >= 0 ? "accepted" : strerror(-fd));
	t_say("recv %d", submit(IORING_OP_RECV, fd, buf, sizeof(buf), 0));
	t_say("send %d", submit(IORING_OP_SEND, fd, buf, 5, 0));
	pthread_join(th, &got);
	t_say("client got %ld", (long)got);
	a = t_addr(t_port(l));
	fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	t_say("connect %d", submit(IORING_OP_CONNECT, fd, &a, 0, sizeof(a)));
	t_say("send %d", submit(IORING_OP_SEND, fd, buf, 5, 0));
	fd = submit(IORING_OP_ACCEPT, l, NULL, 0, 0);
	t_say("recv %d", submit(IORING_OP_RECV, fd, buf, sizeof(buf), 0));
}

static void plain_sockets_too(void)
{
	int fd[2];
	char buf[8];

	if (!LATE)
		make_ring();
	t_pair(fd);
	if (LATE)
		make_ring();
	MUST(write(fd[0], "hello", 5));
	t_say("recv %d", submit(IORING_OP_RECV, fd[1], buf, sizeof(buf), 0));
	t_say("send %d", submit(IORING_OP_SEND, fd[1], buf, 5, 0));
	SHOW(read(fd[0], buf, sizeof(buf)));
}

T_MAIN(T_CASE(served_by_ring), T_CASE(plain_sockets_too))
