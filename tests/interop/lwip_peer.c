/*
 * lwip_peer.c - Debian's liblwip on a TAP: a foreign stack that echoes, or talks to an echo server
 *
 * lwip_peer TAP IPV4 IPV6 serve PORT
 * lwip_peer TAP IPV4 IPV6 connect ADDRESS PORT JOB...
 *	jobs as peer.py's: echo=BYTES rr=CONNECTIONS,NUMBER new=NUMBER
 *
 * The TAP's kernel end is joined with the lane's veth by lane-link. All TCP is lwIP's, by its own
 * sockets; the netif is ours, since the library's tapif configures the kernel's end by ifconfig.
 * Both prefixes are those of the tests (/24, /64). Exits with 1 and a line that says what went
 * wrong. A call may take STALL_S.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/netif.h>
#include <lwip/sockets.h>
#include <lwip/tcpip.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define FRAME_MAX 1514
#define STALL_S   20
#define AHEAD     32768 /* bytes sent and not yet back: less than any buffer on the way */
#define THREADS   64

static int tap_fd;
static struct netif tap;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

/* ---- the interface ---- */

static err_t tap_out(struct netif *n, struct pbuf *p)
{
	uint8_t bytes[FRAME_MAX];
	uint16_t len = pbuf_copy_partial(p, bytes, sizeof(bytes), 0);

	(void)n;
	return write(tap_fd, bytes, len) == len ? ERR_OK : ERR_IF;
}

static err_t tap_init(struct netif *n)
{
	static const uint8_t mac[6] = {0x02, 0x77, 0x6c, 0x77, 0x69, 0x70};

	memcpy(n->name, "tp", 2);
	n->output = etharp_output;
	n->output_ip6 = ethip6_output;
	n->linkoutput = tap_out;
	n->mtu = 1500;
	n->hwaddr_len = sizeof(mac);
	memcpy(n->hwaddr, mac, sizeof(mac));
	n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
		   NETIF_FLAG_LINK_UP | NETIF_FLAG_MLD6;
	return ERR_OK;
}

/* PBUF_RAM, as PBUF_POOL is broken in Debian's 2.1.3: pbuf.c fills 1,514 bytes where memp.c gave
 * 592. */
static void *tap_in(void *arg)
{
	uint8_t bytes[FRAME_MAX + 4];
	ssize_t len;

	while ((len = read(tap_fd, bytes, sizeof(bytes))) > 0) {
		struct pbuf *p = pbuf_alloc(PBUF_RAW, (uint16_t)len, PBUF_RAM);

		if (!p)
			continue;
		pbuf_take(p, bytes, (uint16_t)len);
		if (tap.input(p, &tap) != ERR_OK)
			pbuf_free(p);
	}
	die("the TAP is gone");
	return arg;
}

static void tap_open(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	tap_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &r) < 0)
		die("%s: cannot open the TAP", name);
}

static void tap_up(const char *ip4, const char *ip6)
{
	ip4_addr_t a4, mask, gw = {0};
	ip6_addr_t a6;

	IP4_ADDR(&mask, 255, 255, 255, 0);
	if (!ip4addr_aton(ip4, &a4) || !ip6addr_aton(ip6, &a6))
		die("bad address");
	LOCK_TCPIP_CORE();
	if (!netif_add(&tap, &a4, &mask, &gw, NULL, tap_init, tcpip_input))
		die("netif_add failed");
	netif_create_ip6_linklocal_address(&tap, 1);
	netif_set_default(&tap);
	netif_set_up(&tap);
	netif_ip6_addr_set(&tap, 1, &a6);
	netif_ip6_addr_set_state(&tap, 1, IP6_ADDR_PREFERRED);
	UNLOCK_TCPIP_CORE();
}

static void on_ready(void *arg)
{
	sem_post(arg);
}

static void stack_up(const char *name, const char *ip4, const char *ip6)
{
	pthread_t t;
	sem_t ready;

	tap_open(name);
	sem_init(&ready, 0, 0);
	tcpip_init(on_ready, &ready);
	sem_wait(&ready);
	tap_up(ip4, ip6);
	pthread_create(&t, NULL, tap_in, NULL);
}

/* ---- the server ---- */

static void *echo(void *arg)
{
	int s = (int)(intptr_t)arg;
	char bytes[16384];
	ssize_t n, at, k = 0;

	while ((n = lwip_recv(s, bytes, sizeof(bytes), 0)) > 0) {
		for (at = 0; at < n; at += k) {
			k = lwip_send(s, bytes + at, (size_t)(n - at), 0);
			if (k <= 0)
				break;
		}
		if (k <= 0)
			break;
	}
	if (n < 0 || k < 0)
		perror("lwip_peer: a connection");
	lwip_close(s);
	return NULL;
}

static void server(uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int s = lwip_socket(AF_INET6, SOCK_STREAM, 0), c, one = 1;
	pthread_t t;

	if (s < 0 || lwip_bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || lwip_listen(s, 128) < 0)
		die("cannot listen");
	puts("lwip: up");
	fflush(stdout);
	while ((c = lwip_accept(s, NULL, NULL)) >= 0) {
		lwip_setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&t, NULL, echo, (void *)(intptr_t)c) != 0)
			die("too many connections");
		pthread_detach(t);
	}
	die("accept failed");
}

/* ---- the client ---- */

static struct sockaddr_storage to;
static socklen_t to_len;

static void destination(const char *host, const char *port)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)&to;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)&to;

	if (strchr(host, ':')) {
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons((uint16_t)atoi(port));
		inet_pton(AF_INET6, host, &a6->sin6_addr);
		to_len = sizeof(*a6);
	} else {
		a4->sin_family = AF_INET;
		a4->sin_port = htons((uint16_t)atoi(port));
		inet_pton(AF_INET, host, &a4->sin_addr);
		to_len = sizeof(*a4);
	}
}

static int connected(void)
{
	struct timeval limit = {.tv_sec = STALL_S};
	int s = lwip_socket(to.ss_family, SOCK_STREAM, 0), one = 1;

	if (s < 0 || lwip_connect(s, (struct sockaddr *)&to, to_len) < 0)
		die("connect: %m");
	lwip_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	lwip_setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	lwip_setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return s;
}

/* The text at 'at': both directions of time need no memory of what was sent. */
static void fill(uint8_t *bytes, uint64_t at, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t z = ((at + i) / 8 + seed) * 0x9e3779b97f4a7c15u;

		z = (z ^ (z >> 29)) * 0xbf58476d1ce4e5b9u;
		bytes[i] = (uint8_t)(z >> ((at + i) % 8 * 8));
	}
}

static void send_all(int s, uint64_t at, size_t n, uint64_t seed)
{
	uint8_t bytes[8192];
	ssize_t k;

	fill(bytes, at, n, seed);
	for (size_t done = 0; done < n; done += (size_t)k) {
		k = lwip_send(s, bytes + done, n - done, 0);
		if (k <= 0)
			die("send: %m at byte %lu", at + done);
	}
}

/* Sends 'n' bytes from 'at' and takes them back. */
static void exchange(int s, uint64_t at, uint64_t n, uint64_t seed)
{
	uint64_t out = at, in = at, end = at + n;
	uint8_t got[8192], want[8192];
	ssize_t k;

	while (in < end) {
		while (out < end && out - in < AHEAD) {
			size_t piece = end - out < 8192 ? end - out : 8192;

			send_all(s, out, piece, seed);
			out += piece;
		}
		k = lwip_recv(s, got, end - in < sizeof(got) ? end - in : sizeof(got), 0);
		if (k < 0)
			die("recv: %m after %lu of %lu bytes", in - at, n);
		if (k == 0)
			die("end of file after %lu of %lu bytes", in - at, n);
		fill(want, in, (size_t)k, seed);
		if (memcmp(got, want, (size_t)k) != 0)
			die("bytes from %lu on differ", in);
		in += (uint64_t)k;
	}
}

/* Half-close, and the peer's end of file. */
static void finish(int s)
{
	char byte;

	if (lwip_shutdown(s, SHUT_WR) < 0)
		die("shutdown: %m");
	if (lwip_recv(s, &byte, 1, 0) != 0)
		die("no end of file: %m");
	lwip_close(s);
}

struct work {
	pthread_t thread;
	unsigned int seed, connections, exchanges;
};

static void *small(void *arg)
{
	struct work *w = arg;

	for (unsigned int c = 0; c < w->connections; c++) {
		static const unsigned int sizes[4] = {1, 64, 536, 1460};
		unsigned int state = w->seed + c;
		uint64_t at = 0, n;
		int s = connected();

		for (unsigned int i = 0; i < w->exchanges; i++, at += n) {
			n = (unsigned int)rand_r(&state);
			n = n % 5 < 4 ? sizes[n % 5] : n % 5000 + 1;
			exchange(s, at, n, w->seed);
		}
		finish(s);
	}
	return NULL;
}

static void at_once(unsigned int threads, unsigned int connections, unsigned int exchanges)
{
	struct work w[THREADS];

	if (threads > THREADS)
		die("at most %d at once", THREADS);
	for (unsigned int i = 0; i < threads; i++) {
		w[i] = (struct work){
			.seed = i * 1000, .connections = connections, .exchanges = exchanges};
		pthread_create(&w[i].thread, NULL, small, &w[i]);
	}
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(w[i].thread, NULL);
}

static void job(const char *text)
{
	unsigned int a = 0, b = 0;
	int s;

	if (sscanf(text, "echo=%u", &a) == 1) {
		s = connected();
		exchange(s, 0, a, 1);
		finish(s);
	} else if (sscanf(text, "rr=%u,%u", &a, &b) == 2) {
		at_once(a, 1, b);
	} else if (sscanf(text, "new=%u", &a) == 1) {
		at_once(4, (a + 3) / 4, 1);
	} else {
		die("no such job: %s", text);
	}
	printf("%s: done\n", text);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc < 6)
		die("lwip_peer TAP IPV4 IPV6 serve PORT | connect ADDRESS PORT JOB...");
	srand((unsigned int)getpid());
	stack_up(argv[1], argv[2], argv[3]);
	if (strcmp(argv[4], "serve") == 0)
		server((uint16_t)atoi(argv[5]));
	destination(argv[5], argv[6]);
	for (int i = 7; i < argc; i++)
		job(argv[i]);
	return 0;
}
