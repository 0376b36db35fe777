/*
 * lwip.c - the same echo by Debian's liblwip (see lwip.h)
 *
 * Its raw API under its core lock, Ethernet and ARP left out: input is ip_input's, output goes to
 * the client as it leaves IP. Frames are PBUF_RAM, filled before the clock runs; PBUF_POOL is
 * broken in 2.1.3. It has no timestamps, and it sums checksums: so the client sends none, and right
 * sums.
 */
#include "bench/micro/lwip.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/prot/tcp.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>

#include "bench/micro/client.h"
#include "bench/micro/tsc.h"

#define ETH_HLEN 14
#define SENT_MAX 65536 /* its timers send while we look away */

static struct {
	struct netif netif;
	struct client client;
	struct pbuf *sent[SENT_MAX];
	uint32_t nr_sent;
	uint32_t nr_up; /* flows that are connected */
	uint64_t random;
} w;

static void fail(const char *what)
{
	fprintf(stderr, "bench-micro: lwIP: %s\n", what);
	exit(1);
}

/* The client reads it later, after the clock: the packet stays lwIP's. */
static err_t output(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
	(void)n;
	(void)to;
	if (w.nr_sent == SENT_MAX)
		fail("too many answers");
	pbuf_ref(p);
	w.sent[w.nr_sent++] = p;
	return ERR_OK;
}

static err_t netif_up(struct netif *n)
{
	memcpy(n->name, "bm", 2);
	n->output = output;
	n->mtu = 1500;
	n->flags = NETIF_FLAG_LINK_UP;
	return ERR_OK;
}

static err_t received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	(void)arg;
	(void)err;
	if (!p)
		fail("a connection ended");
	tcp_recved(pcb, p->tot_len);
	if (tcp_write(pcb, p->payload, p->len, TCP_WRITE_FLAG_COPY) != ERR_OK)
		fail("write");
	pbuf_free(p);
	tcp_output(pcb);
	return ERR_OK;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
	(void)arg;
	(void)err;
	tcp_nagle_disable(pcb);
	tcp_recv(pcb, received);
	return ERR_OK;
}

static void on_ready(void *arg)
{
	sem_post(arg);
}

static void start(void)
{
	ip4_addr_t ip, mask, gw;
	struct tcp_pcb *l;
	sem_t ready;

	client_init(&w.client, 1000000, false);
	sem_init(&ready, 0, 0);
	tcpip_init(on_ready, &ready);
	sem_wait(&ready);
	IP4_ADDR(&ip, 10, 0, 0, 1);
	IP4_ADDR(&mask, 255, 0, 0, 0);
	IP4_ADDR(&gw, 10, 0, 0, 2);
	LOCK_TCPIP_CORE();
	if (!netif_add(&w.netif, &ip, &mask, &gw, NULL, netif_up, ip_input))
		fail("netif");
	netif_set_default(&w.netif);
	netif_set_up(&w.netif);
	l = tcp_new();
	if (!l || tcp_bind(l, IP_ADDR_ANY, CLIENT_SERVER_PORT) != ERR_OK)
		fail("bind");
	l = tcp_listen(l);
	if (!l)
		fail("listen");
	tcp_accept(l, accepted);
	UNLOCK_TCPIP_CORE();
}

static struct pbuf *request(uint32_t flow, uint32_t text)
{
	uint8_t frame[CLIENT_FRAME_MAX];
	size_t len = client_send(&w.client, flow, text, frame) - ETH_HLEN;
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (uint16_t)len, PBUF_RAM);

	if (!p)
		fail("no pbuf");
	pbuf_take(p, frame + ETH_HLEN, (uint16_t)len);
	return p;
}

/* The client reads what was sent. Returns how many frames have text. */
static uint32_t collect(void)
{
	uint32_t nr = 0;
	uint8_t frame[CLIENT_FRAME_MAX];

	while (w.nr_sent) {
		struct pbuf *p = w.sent[--w.nr_sent];
		uint16_t len =
			pbuf_copy_partial(p, frame + ETH_HLEN, CLIENT_FRAME_MAX - ETH_HLEN, 0);

		if (client_take(&w.client, frame, (size_t)len + ETH_HLEN) == LANE_NIL)
			fail("a strange answer");
		nr += len > IP_HLEN + TCP_HLEN;
		pbuf_free(p);
	}
	return nr;
}

/* Hands 'n' packets in; returns the cycles. */
static uint64_t input(struct pbuf *p[], uint32_t n)
{
	uint64_t at;

	LOCK_TCPIP_CORE();
	at = tsc();
	for (uint32_t i = 0; i < n; i++)
		w.netif.input(p[i], &w.netif);
	at = tsc() - at;
	UNLOCK_TCPIP_CORE();
	return at;
}

static void connect_up_to(uint32_t flows)
{
	for (; w.nr_up < flows; w.nr_up++) {
		struct pbuf *p = request(w.nr_up, 0);

		input(&p, 1);
		collect();
		p = request(w.nr_up, 0);
		input(&p, 1);
		collect();
	}
}

static uint32_t next_random(uint32_t n)
{
	w.random = w.random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w.random >> 33) % n;
}

/* Distinct flows of 'n' at random: a start and an odd stride would be an order that caches learn.
 */
static void choose(uint32_t flows, uint32_t n, uint32_t out[])
{
	for (uint32_t i = 0; i < n; i++) {
		bool taken;

		do {
			taken = false;
			out[i] = next_random(flows);
			for (uint32_t k = 0; k < i; k++)
				taken |= out[k] == out[i];
		} while (taken);
	}
}

static double repetition(uint32_t flows, uint32_t text, uint32_t rounds)
{
	uint32_t burst = flows < 32 ? 1 : 32, done = 0, flow[32];
	uint64_t cycles = 0;
	struct pbuf *p[32];

	while (done < rounds) {
		choose(flows, burst, flow);
		for (uint32_t i = 0; i < burst; i++)
			p[i] = request(flow[i], text);
		cycles += input(p, burst);
		if (collect() < burst)
			fail("not one answer for each request");
		done += burst;
	}
	return (double)cycles / done;
}

double lwip_echo(uint32_t flows, uint32_t text, uint32_t rounds, unsigned int repeats)
{
	double v[REPEATS_MAX];

	if (w.nr_up == 0)
		start();
	connect_up_to(flows);
	for (unsigned int i = 0; i < repeats; i++)
		v[i] = repetition(flows, text, rounds);
	return tsc_median(v, repeats);
}
