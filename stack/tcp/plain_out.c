/*
 * plain_out.c - the answer: a segment that waits alone on a connection with nothing in flight, or none yet (see plain.h)
 *
 * What lane_tcp_output() does for it, without the questions of which the predicate knows the answer: nothing is
 * to be sent again, no window, Nagle or pace holds it, nothing follows it. Comments name the function of the long
 * way that does the same.
 */
#include "stack/tcp/plain.h"

#include <netinet/in.h>

#include "stack/base/csum.h"
#include "stack/tcp/tune.h"
#include "stack/wire/eth.h"

#define MUST (LANE_TF_HASHED | LANE_TF_TS)
#define MUST_NOT                                                                                   \
	(LANE_TF_ORPHAN | LANE_TF_SYN_DUE | LANE_TF_RTX_HEAD | LANE_TF_PROBE_DUE |                 \
	 LANE_TF_WR_SHUT | LANE_TF_FIN_SENT | LANE_TF_OOO_FIN | LANE_TF_MORE | LANE_TF_URG_SND)

#define TS_OPTION 0x0101080aU /* two NOPs, kind and length */
#define TCP_HLEN  32U	      /* with it */
#define IP_HLEN	  ((uint32_t)sizeof(struct lane_ip4_hdr))
#define IP4_DF	  0x4000U

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	struct lane_be32 be = lane_be32_of(v);

	memcpy(p, &be, sizeof(be));
	return p + sizeof(be);
}

/* The path needs no look-up, leads to a queue without detour, and nothing waits there. */
static bool is_path_plain(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_path *path = &pcb->path;

	return path->queue < ln->nr_queues && ln->queues[path->queue]->ifi == path->ifi &&
	       pcb->local_w && lane_path_is_fresh(ln, path) && ln->st->nr_txq == 0 && ln->super.nr == 0;
}

static bool is_plain(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x)
{
	return pcb->state == LANE_TCP_ESTABLISHED && !(pcb->ecn & LANE_ECN_OK) && !pcb->v6 &&
	       (pcb->flags & (MUST | MUST_NOT)) == MUST && pcb->x < ln->st->x_pool.nr &&
	       lane_tcp_plain_x(x) && x->rec.dsack_start == x->rec.dsack_end &&
	       pcb->snd_una == pcb->snd_nxt && x->snd_unsent == x->sndq_head && is_path_plain(ln, pcb);
}

/* The frame that is to leave, if it is plain, too, else NULL. */
static struct lane_buf *plain_frame(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp_x *x,
				    const struct lane_tcp_opts_set *o)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->snd_unsent);

	if (!b || b->next != LANE_NIL || (b->flags & (LANE_BUF_TX | LANE_BUF_NO_DF)) ||
	    b->text_off < LANE_HEADROOM || b->text_len > pcb->snd_mss || b->text_len > pcb->snd_wnd || b->seq != pcb->snd_nxt)
		return NULL;
	/* hold_short(): with nothing in flight only a cork holds it. */
	if (o->cork || (!o->nodelay && lane_seq_gt(x->snd_sml, pcb->snd_una)))
		return NULL;
	/* If not, it starts the timer, as it will again on the long way. */
	return x->pace == LANE_NIL || lane_tcp_pace_may(ln, pcb) ? b : NULL;
}

/* lane_tcp_emit(), with the pseudo-header's part of the checksum. */
static void put_tcp(struct lane *ln, struct lane_tcp *pcb, const struct lane_buf *b, uint8_t *p)
{
	uint32_t l4_len = TCP_HLEN + b->text_len, flags = LANE_WIRE_ACK | (b->tcp_flags & LANE_WIRE_PSH);
	uint16_t sum = lane_csum_fold((uint64_t)pcb->local_w + pcb->remote_w +
				      lane_be32_of((uint32_t)IPPROTO_TCP << 16 | l4_len).be);

	p = put32(p, (uint32_t)pcb->local_port << 16 | pcb->remote_port);
	p = put32(p, b->seq);
	p = put32(p, pcb->rcv_nxt);
	p = put32(p, TCP_HLEN / 4 << 28 | flags << 16 | lane_tcp_select_window(ln, pcb));
	p = put32(p, (uint32_t)__builtin_bswap16(sum) << 16);
	p = put32(p, TS_OPTION);
	p = put32(p, lane_now_ms(ln) + pcb->ts_offset);
	put32(p, pcb->ts_recent);
}

/* lane_ip_emit() and put_eth() */
static void put_ip(struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_opts_set *o,
		   const struct lane_buf *b, uint8_t *p)
{
	const struct lane_mac *src = &ln->net[pcb->path.ifi].mac; /* of a queue: there is one */
	uint32_t ttl = o->ttl ? o->ttl : ln->st->cfg.ttl;
	uint32_t word[3] = {
		0x45U << 24 | (uint32_t)o->tos << 16 | (IP_HLEN + TCP_HLEN + b->text_len),
		(uint32_t)ln->st->ip_id++ << 16 | IP4_DF,
		ttl << 24 | (uint32_t)IPPROTO_TCP << 16,
	};
	struct lane_be16 type = lane_be16_of(LANE_ETH_IP4);
	uint16_t sum;

	sum = (uint16_t)~lane_csum_fold((uint64_t)lane_be32_of(word[0]).be + lane_be32_of(word[1]).be +
					lane_be32_of(word[2]).be + pcb->local_w + pcb->remote_w);
	word[2] |= __builtin_bswap16(sum);
	memcpy(p, &pcb->path.mac, sizeof(pcb->path.mac));
	memcpy(p + sizeof(*src), src, sizeof(*src));
	memcpy(p + 2 * sizeof(*src), &type, sizeof(type));
	p += LANE_ETH_HLEN;
	for (unsigned int i = 0; i < 3; i++)
		p = put32(p, word[i]);
	memcpy(p, &pcb->local_w, sizeof(pcb->local_w));
	memcpy(p + sizeof(pcb->local_w), &pcb->remote_w, sizeof(pcb->remote_w));
}

/* emit_text(), lane_ip_out(): false if the driver's ring is full, and 'b' is as it was. */
static bool xmit(struct lane *ln, struct lane_tcp *pcb, const struct lane_tcp_opts_set *o, struct lane_buf *b)
{
	uint8_t *text = lane_buf_frame(&ln->bufs, b) + b->text_off;

	b->l4_off = (uint16_t)(b->text_off - TCP_HLEN);
	b->l3_off = (uint16_t)(b->l4_off - IP_HLEN);
	b->off = (uint16_t)(b->l3_off - LANE_ETH_HLEN);
	b->len = (uint16_t)(LANE_ETH_HLEN + IP_HLEN + TCP_HLEN + b->text_len);
	b->pkt_len = b->len;
	b->csum_start = LANE_ETH_HLEN + IP_HLEN;
	b->csum_off = offsetof(struct lane_tcp_hdr, csum);
	b->flags |= LANE_BUF_CSUM;
	b->queue = pcb->path.queue;
	put_tcp(ln, pcb, b, text - TCP_HLEN);
	put_ip(ln, pcb, o, b, text - TCP_HLEN - IP_HLEN - LANE_ETH_HLEN);
	if (lane_ip_tx(ln, b))
		return true;
	ln->st->ip_id--;
	return false;
}

/* after_idle(), xmit_done(), xmit_new(): 'b' left. */
static void sent(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x, struct lane_buf *b)
{
	uint32_t idle_ms = lane_now_ms(ln) - pcb->last_tx_ms;

	if (idle_ms && ln->st->cfg.slow_start_after_idle && lane_tcp_bytes_sent(pcb))
		lane_tcp_cc_idle(ln, pcb, (uint64_t)idle_ms * 1000);
	pcb->segs_out++;
	b->tx_us = b->first_tx_us = ln->now_us;
	b->nr_tx = 1;
	if (x->pace != LANE_NIL)
		lane_tcp_pace_sent(ln, pcb, b->text_len);
	lane_rate_sent(&x->rate, b, ln->now_us, x->delivered, true, b->text_len);
	lane_tcp_ack_carried(ln, pcb);
	pcb->last_tx_ms = lane_now_ms(ln);
	pcb->snd_nxt = b->seq + b->text_len;
	lane_tcp_ack_told(pcb, x);
	lane_tcp_tune_told(ln, pcb, x);
	if (b->text_len < pcb->snd_mss)
		x->snd_sml = pcb->snd_nxt;
	x->snd_unsent = LANE_NIL;
}

/* Nothing waits, and the ACK of what came may: what output_text() leaves then. False: it may not. */
static bool rest(struct lane_tcp *pcb, struct lane_tcp_x *x)
{
	if (pcb->flags & LANE_TF_ACK_NOW)
		return false;
	pcb->armed &= (uint8_t)~(1U << LANE_TT_RTX | 1U << LANE_TT_LOSS | 1U << LANE_TT_CORK);
	pcb->flags &= ~LANE_TF_CWND_LIMITED;
	if (x->cc.cwnd)
		lane_rate_app_limited(&x->rate, x->delivered, 0);
	return true;
}

bool lane_tcp_plain_out(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_tcp_opts_set *o = lane_tcp_opts(ln, pcb);
	struct lane_buf *b;

	if (ln->no_plain || !is_plain(ln, pcb, x))
		return false;
	if (x->snd_unsent == LANE_NIL)
		return rest(pcb, x);
	b = plain_frame(ln, pcb, x, o);
	if (!b || !xmit(ln, pcb, o, b))
		return false;
	ln->nr_plain_out++;
	sent(ln, pcb, x, b);
	/* send_new(), lane_tcp_cc_ran_dry() */
	pcb->armed &= (uint8_t)~(1U << LANE_TT_RTX | 1U << LANE_TT_LOSS | 1U << LANE_TT_CORK);
	pcb->flags &= ~LANE_TF_CWND_LIMITED;
	if (b->text_len < x->cc.cwnd)
		lane_rate_app_limited(&x->rate, x->delivered, b->text_len);
	/* arm_rtx(); the flush starts the wheel's entry. */
	x->start_ms = lane_now_ms(ln);
	x->due_ms[LANE_TT_RTX] = lane_now_ms(ln) + pcb->rto.rto_us / 1000 + 1;
	pcb->armed |= 1U << LANE_TT_RTX;
	if (pcb->rto.rto_us > lane_tcp_pto_us(pcb, true))
		lane_tcp_tlp_arm(ln, pcb);
	return true;
}
