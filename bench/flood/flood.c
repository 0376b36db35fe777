/*
 * flood.c - SYNs from forged sources, as fast as an interface takes them; and an interface that drops all
 *
 * lane-flood --if IF --mac MAC --dst ADDR --port PORT [--rate PPS] [--seconds S] [--count N] [--hosts N]
 * sends SYNs with the options that Linux' clients send, from 10.128.0.0/9 ('--hosts' of them) and any port,
 * and says how many left. lane-flood --drop IF [--native] holds an XDP program on IF that drops every
 * frame, until SIGTERM: what a flood costs where nobody looks at it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH	32
#define OPT_LEN 20

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t opts[OPT_LEN];
} __attribute__((packed));

struct flood {
	const char *ifname;
	uint8_t mac[6];
	struct in_addr dst;
	uint16_t port;
	uint64_t rate, count; /* 0: no limit */
	uint32_t hosts;
	double seconds;
	int fd;
	uint64_t rng;
	struct frame frame[BATCH];
	struct iovec iov[BATCH];
	struct mmsghdr msg[BATCH];
};

static volatile sig_atomic_t ending;

static void on_signal(int sig)
{
	(void)sig;
	ending = 1;
}

static void fail(const char *what)
{
	fprintf(stderr, "lane-flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Vigna's splitmix64. */
static uint64_t random64(struct flood *f)
{
	uint64_t z = f->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint32_t add(uint32_t sum, const void *p, unsigned int len)
{
	const uint16_t *w = p;

	for (unsigned int i = 0; i < len / 2; i++)
		sum += w[i];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	return (uint16_t)~sum;
}

/* ---- the frames ---- */

static void fill_frame(struct flood *f, struct frame *p)
{
	static const uint8_t opts[OPT_LEN] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8,
					      0, 0, 0, 0, 1, 3, 3, 7};

	memcpy(p->eth.ether_dhost, f->mac, 6);
	memcpy(p->eth.ether_shost, "\x02\xf1\x00\xd0\x00\x01", 6);
	p->eth.ether_type = htons(ETHERTYPE_IP);
	p->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(*p) - sizeof(p->eth)),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.daddr = f->dst.s_addr,
	};
	p->tcp = (struct tcphdr){
		.dest = htons(f->port),
		.doff = (sizeof(p->tcp) + OPT_LEN) / 4,
		.syn = 1,
		.window = htons(64240),
	};
	memcpy(p->opts, opts, OPT_LEN);
}

/* Another source, port and number. */
static void change_frame(struct flood *f, struct frame *p)
{
	uint64_t r = random64(f);
	uint32_t pseudo;

	p->ip.saddr = htonl(0x0a800001 + (uint32_t)(r % f->hosts));
	p->ip.check = 0;
	p->ip.check = fold(add(0, &p->ip, sizeof(p->ip)));
	p->tcp.source = htons((uint16_t)(1024 + (r >> 32) % 64000));
	p->tcp.seq = (uint32_t)(r >> 20);
	p->tcp.check = 0;
	pseudo = add(0, &p->ip.saddr, 8) + htons(IPPROTO_TCP) + htons(sizeof(p->tcp) + OPT_LEN);
	p->tcp.check = fold(add(pseudo, &p->tcp, sizeof(p->tcp) + OPT_LEN));
}

static void open_socket(struct flood *f)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(f->ifname)};
	int one = 1;

	f->fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (f->fd < 0)
		fail("socket");
	if (!ll.sll_ifindex || bind(f->fd, (struct sockaddr *)&ll, sizeof(ll)))
		fail(f->ifname);
	if (setsockopt(f->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)))
		fail("PACKET_QDISC_BYPASS");
	for (unsigned int i = 0; i < BATCH; i++) {
		fill_frame(f, &f->frame[i]);
		f->iov[i] = (struct iovec){&f->frame[i], sizeof(f->frame[i])};
		f->msg[i].msg_hdr = (struct msghdr){.msg_iov = &f->iov[i], .msg_iovlen = 1};
	}
}

/* Not ahead of the rate: the time that 'sent' should take. */
static void pace(const struct flood *f, double start, uint64_t sent)
{
	double ahead = f->rate ? start + (double)sent / (double)f->rate - now() : 0;
	struct timespec ts = {.tv_nsec = (long)(ahead * 1e9)};

	if (ahead > 50e-6 && ahead < 1)
		nanosleep(&ts, NULL);
}

static void run(struct flood *f)
{
	double start = now(), end = start + f->seconds;
	uint64_t sent = 0, refused = 0;

	while (!ending && now() < end && (!f->count || sent < f->count)) {
		int n;

		for (unsigned int i = 0; i < BATCH; i++)
			change_frame(f, &f->frame[i]);
		n = sendmmsg(f->fd, f->msg, BATCH, 0);
		if (n < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			fail("sendmmsg");
		if (n < 0)
			refused++;
		else
			sent += (uint64_t)n;
		pace(f, start, sent);
	}
	printf("sent %llu refused %llu seconds %.2f\n", (unsigned long long)sent,
	       (unsigned long long)refused, now() - start);
}

/* ---- the interface that drops ---- */

static int load_drop(void)
{
	/* r0 = XDP_DROP; exit */
	struct bpf_insn insns[] = {{.code = 0xb7, .imm = XDP_DROP}, {.code = 0x95}};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = 2,
		.license = (uint64_t)(uintptr_t) "BSD",
	};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		fail("the program that drops");
	return fd;
}

static void drop_all(const char *ifname, bool native)
{
	union bpf_attr attr = {0};

	attr.link_create.prog_fd = (uint32_t)load_drop();
	attr.link_create.target_ifindex = if_nametoindex(ifname);
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	/* The link goes with us. */
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)) < 0)
		fail(ifname);
	puts("drops");
	fflush(stdout);
	while (!ending)
		pause();
}

/* ---- */

static void parse_mac(uint8_t mac[6], const char *s)
{
	unsigned int b[6];

	if (sscanf(s, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6) {
		fprintf(stderr, "lane-flood: what MAC is %s?\n", s);
		exit(2);
	}
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"if", 1, NULL, 'i'},	   {"mac", 1, NULL, 'm'},   {"dst", 1, NULL, 'd'},
		{"port", 1, NULL, 'p'},	   {"rate", 1, NULL, 'r'},  {"seconds", 1, NULL, 's'},
		{"count", 1, NULL, 'c'},   {"hosts", 1, NULL, 'h'}, {"drop", 1, NULL, 'x'},
		{"native", 0, NULL, 'n'}, {0},
	};
	static struct flood f = {.hosts = 8000000, .seconds = 10, .rng = 1};
	const char *drop = NULL;
	bool native = false;
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case 'i':
			f.ifname = optarg;
			break;
		case 'm':
			parse_mac(f.mac, optarg);
			break;
		case 'd':
			inet_pton(AF_INET, optarg, &f.dst);
			break;
		case 'p':
			f.port = (uint16_t)atoi(optarg);
			break;
		case 'r':
			f.rate = strtoull(optarg, NULL, 0);
			break;
		case 's':
			f.seconds = atof(optarg);
			break;
		case 'c':
			f.count = strtoull(optarg, NULL, 0);
			break;
		case 'h':
			f.hosts = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'x':
			drop = optarg;
			break;
		case 'n':
			native = true;
			break;
		default:
			return 2;
		}
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (drop) {
		drop_all(drop, native);
		return 0;
	}
	if (!f.ifname || !f.dst.s_addr || !f.port || !f.hosts) {
		fputs("lane-flood: --if, --mac, --dst and --port must be given, or --drop\n", stderr);
		return 2;
	}
	open_socket(&f);
	run(&f);
	return 0;
}
