/*
 * plain_in.c - a plain segment on its way in (see plain.h)
 *
 * lane_tcp_plain_rx() is for a frame that came alone: it reads the headers where they lie, all at once, and checks
 * all that rx.c, ip.c and tcp.c would. Segments of a larger burst are parsed together (burst.c), and come to
 * lane_tcp_plain_in() from there. Comments name the function of the long way that does the same.
 */
#include "stack/tcp/plain.h"

#include <netinet/in.h>

#include "stack/base/csum.h"
#include "stack/tcp/tune.h"
#include "stack/wire/eth.h"

/* A program has it, and nothing ends. */
#define MUST (LANE_TF_HASHED | LANE_TF_TS)
#define MUST_NOT                                                                                   \
	(LANE_TF_ORPHAN | LANE_TF_DEAD | LANE_TF_EMBRYO | LANE_TF_ACCQ | LANE_TF_SYN_DUE |         \
	 LANE_TF_RTX_HEAD | LANE_TF_PROBE_DUE | LANE_TF_WR_SHUT | LANE_TF_FIN_SENT |               \
	 LANE_TF_RD_SHUT | LANE_TF_PEER_FIN | LANE_TF_OOO_FIN | LANE_TF_NOSPACE | LANE_TF_URG_SND)

#define TS_OPTION   0x0101080aU /* two NOPs, kind and length */
#define TCP_HLEN    32U		/* with it */
#define IP_AT	    ((uint32_t)LANE_ETH_HLEN)
#define TCP_AT	    (IP_AT + sizeof(struct lane_ip4_hdr))
#define HEADERS	    (TCP_AT + TCP_HLEN)
#define IP_FRAGMENT 0x3fffU /* of a fragment one of these bits is set */

static uint32_t get32(const uint8_t *p)
{
	struct lane_be32 v;

	memcpy(&v, p, sizeof(v));
	return lane_be32_get(v);
}

/* ---- the connection ---- */

/* The oldest frame is the only one that is out, was sent once, and ends where 'ack' says. */
static bool is_acked_whole(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x,
			   uint32_t ack)
{
	const struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);

	return ack == pcb->snd_nxt && b && b->nr_tx == 1 && b->snd_state == 0 &&
	       b->seq == pcb->snd_una && b->seq + b->text_len == ack && lane_seq_ge(ack, x->rec.fack);
}

static bool is_plain(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_tcp_x *x,
		     const struct lane_plain *s)
{
	if (pcb->state != LANE_TCP_ESTABLISHED || (pcb->ecn & LANE_ECN_OK) || (pcb->flags & (MUST | MUST_NOT)) != MUST ||
	    pcb->x >= ln->st->x_pool.nr || !lane_tcp_plain_x(x))
		return false;
	if (s->seq != pcb->rcv_nxt || lane_seq_gt(s->seq + s->len, pcb->rcv_adv) ||
	    lane_seq_lt(s->seq, pcb->snd_wl1) || lane_seq_lt(s->tsval, pcb->ts_recent) ||
	    (s->len && x->rcvq_head != LANE_NIL))
		return false;
	/* Without text an ACK that moves nothing may be a duplicate, which counts (RFC 5681 2). */
	if (s->ack == pcb->snd_una)
		return s->len != 0;
	return is_acked_whole(ln, pcb, x, s->ack);
}

/* ---- its ACK ---- */

/* update_window() */
static void take_window(struct lane *ln, struct lane_tcp *pcb, const struct lane_plain *s)
{
	uint32_t wnd = s->wnd << pcb->snd_wscale, wl1 = pcb->snd_wl1;

	pcb->snd_wl1 = s->seq;
	if (wnd == pcb->snd_wnd || (wnd && wnd < pcb->snd_wnd && s->seq == wl1 && s->ack == pcb->snd_una))
		return;
	pcb->snd_wnd = wnd;
	if (wnd > pcb->snd_max_wnd)
		pcb->snd_max_wnd = wnd;
	lane_tcp_want_output(ln, pcb);
}

/* free_acked(), lane_tcp_sack_acked(), lane_tcp_rack_take(): the oldest frame arrived. */
static void take_frame(struct lane *ln, struct lane_tcp_x *x, struct lane_acked *a)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_head);
	uint32_t end = b->seq + b->text_len;

	a->bytes = a->delivered = a->prior_in_flight = b->text_len;
	a->rtt_us = (uint32_t)(ln->now_us - b->tx_us);
	lane_rate_arrived(&a->seen, b);
	x->rec.fack = end;
	if (b->tx_us > x->rec.xmit_us || (b->tx_us == x->rec.xmit_us && lane_seq_gt(end, x->rec.end_seq))) {
		x->rec.rtt_us = a->rtt_us;
		x->rec.xmit_us = b->tx_us;
		x->rec.end_seq = end;
	}
	x->sndq_head = b->next;
	if (x->sndq_head == LANE_NIL)
		x->sndq_tail = LANE_NIL;
	x->nr_sndq--;
	b->next = LANE_NIL;
	lane_buf_free(&ln->bufs, b);
}

/* take_ack(), of all that was out. */
static void take_acked(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x, const struct lane_plain *s)
{
	struct lane_acked a; /* the rest of it is for losses, of which there are none */

	a.seen.any = false;
	a.sacked = a.lost = 0;
	a.ece = false;
	take_frame(ln, x, &a);
	pcb->bytes_acked += a.bytes;
	pcb->snd_una = s->ack;
	pcb->soft_err = 0;
	x->start_ms = lane_now_ms(ln);
	if (a.rtt_us) {
		lane_rto_sample(&pcb->rto, a.rtt_us, ln->st->cfg.rto_min_us);
		if (pcb->min_rtt_us == 0 || a.rtt_us < pcb->min_rtt_us)
			pcb->min_rtt_us = a.rtt_us;
	}
	x->delivered += a.delivered;
	lane_tcp_cc_ack_plain(ln, pcb, x, &a);
	pcb->armed &= (uint8_t)~(1U << LANE_TT_RTX | 1U << LANE_TT_LOSS);
	if (x->snd_unsent != LANE_NIL)
		lane_tcp_want_output(ln, pcb);
}

/* lane_tcp_ack_in() */
static void take_ack(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x, const struct lane_plain *s)
{
	take_window(ln, pcb, s);
	if (s->ack != pcb->snd_una)
		take_acked(ln, pcb, x, s);
	else if (pcb->snd_una == pcb->snd_nxt && pcb->snd_wnd)
		lane_rto_reset_backoff(&pcb->rto, ln->st->cfg.rto_min_us);
}

/* ---- its text ---- */

/* lane_tcp_text_in(). Consumes 'b'. */
static void take_text(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_x *x, const struct lane_plain *s,
		      struct lane_buf *b)
{
	uint32_t i = lane_buf_index(&ln->bufs, b);

	b->off += (uint16_t)s->hdrs;
	b->len = (uint16_t)s->len;
	b->pkt_len = s->len;
	b->next = LANE_NIL;
	b->user = i;
	if (s->tsecr != x->tune_mark)
		lane_tcp_tune_echo(ln, pcb, s->tsecr, s->len);
	x->rcvq_head = x->rcvq_tail = i;
	pcb->rcv_nxt += s->len;
	x->rcv_queued += s->len;
	x->rcv_used += s->len;
	pcb->bytes_received += s->len;
	lane_tcp_ack_text(ln, pcb, s->len, s->push);
	lane_tcp_notify(ln, pcb, LANE_EV_READABLE);
}

bool lane_tcp_plain_in(struct lane *ln, struct lane_tcp *pcb, const struct lane_plain *s, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (ln->no_plain || !is_plain(ln, pcb, x, s))
		return false;
	ln->nr_plain_in++;
	lane_tcp_work(ln, pcb);
	pcb->segs_in++;
	pcb->path.queue = b->queue;
	/* take_ts(), RFC 7323 4.3 (2) */
	if (lane_seq_le(s->seq, x->rcv_acked))
		pcb->ts_recent = s->tsval;
	take_ack(ln, pcb, x, s);
	if (s->len)
		take_text(ln, pcb, x, s, b);
	else
		lane_buf_free(&ln->bufs, b);
	pcb->last_rx_ms = lane_now_ms(ln);
	pcb->keep_probes = 0;
	lane_tcp_rest(ln, pcb);
	ln->st->pcb_at_work = LANE_NIL;
	return true;
}

/* ---- a frame that came alone ---- */

/* in_eth() and in_ip(), but for the addresses: Ethernet for us, IPv4 without options, no fragment, one frame without
 * bytes behind, TCP. */
static bool is_plain_ip(const struct lane *ln, const struct lane_buf *b, const uint8_t *p, unsigned int ifi)
{
	const struct lane_mac *mac = &ln->net[ifi].mac;
	uint64_t sum = 0;
	uint32_t word;

	if (b->len < HEADERS || b->len != b->pkt_len || (b->flags & LANE_BUF_MORE) ||
	    memcmp(p, mac, sizeof(*mac)) != 0 || get32(p + 12) >> 8 != (LANE_ETH_IP4 << 8 | 0x45))
		return false;
	p += IP_AT;
	word = get32(p + 4);
	if ((get32(p) & 0xffff) != b->len - IP_AT || (word & IP_FRAGMENT) || p[9] != IPPROTO_TCP)
		return false;
	for (unsigned int i = 0; i < sizeof(struct lane_ip4_hdr); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		sum += word;
	}
	return lane_csum_fold(sum) == 0xffff;
}

/* lane_l4_csum_ok(); 'src' and 'dst' as they lie in memory. */
static bool is_summed(const struct lane_buf *b, const uint8_t *p, uint32_t src, uint32_t dst)
{
	uint32_t len = b->len - (uint32_t)TCP_AT;
	uint64_t pseudo = (uint64_t)src + dst + lane_be32_of((uint32_t)IPPROTO_TCP << 16 | len).be;
	uint16_t field;

	if (b->flags & LANE_BUF_CSUM_OK)
		return true;
	memcpy(&field, p + TCP_AT + offsetof(struct lane_tcp_hdr, csum), sizeof(field));
	if ((b->flags & LANE_BUF_PARTIAL_OK) && field == lane_csum_fold(pseudo))
		return true;
	return lane_csum_fold(lane_csum_add(pseudo, p + TCP_AT, len)) == 0xffff;
}

static bool is_of(const struct lane_tcp *pcb, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
	return pcb->remote_w == src && pcb->local_w == dst && pcb->remote_port == sport &&
	       pcb->local_port == dport && !pcb->v6 && (pcb->flags & LANE_TF_HASHED);
}

/* The connection, which often is the last one's. NULL: none. */
static struct lane_tcp *find(struct lane *ln, const uint8_t *p, uint32_t src, uint32_t dst)
{
	struct lane_tcp *pcb = lane_tcp_get(ln, ln->last.tcp);
	uint32_t ports = get32(p + TCP_AT);
	struct lane_ep local, remote;

	if (pcb && is_of(pcb, src, dst, (uint16_t)(ports >> 16), (uint16_t)ports))
		return pcb;
	local = (struct lane_ep){.ip = lane_ip4(dst), .port = (uint16_t)ports};
	remote = (struct lane_ep){.ip = lane_ip4(src), .port = (uint16_t)(ports >> 16)};
	pcb = lane_tcp_find(ln, lane_flow_hash(&ln->st->key, IPPROTO_TCP, &local, &remote), &local, &remote);
	if (pcb)
		ln->last.tcp = lane_tcp_idx(ln, pcb);
	return pcb;
}

/* The TCP header and its only option. */
static bool parse(const struct lane_buf *b, const uint8_t *p, struct lane_plain *s)
{
	uint32_t word;

	p += TCP_AT;
	word = get32(p + 12);
	/* Header length and flags; reserved bits do not count. */
	if (word >> 28 != TCP_HLEN / 4 || (word >> 16 & 0xff & ~LANE_WIRE_PSH) != LANE_WIRE_ACK ||
	    get32(p + 20) != TS_OPTION)
		return false;
	*s = (struct lane_plain){
		.seq = get32(p + 4),
		.ack = get32(p + 8),
		.len = b->len - (uint32_t)HEADERS,
		.hdrs = HEADERS,
		.wnd = word & 0xffff,
		.tsval = get32(p + 24),
		.tsecr = get32(p + 28),
		.push = word >> 16 & LANE_WIRE_PSH,
	};
	return true;
}

bool lane_tcp_plain_rx(struct lane *ln, struct lane_buf *b)
{
	const uint8_t *p = lane_buf_data(&ln->bufs, b);
	unsigned int ifi = lane_ifs_of_queue(ln, b->queue);
	uint32_t len = b->len, src, dst;
	struct lane_ip peer, own;
	struct lane_plain s;
	struct lane_tcp *pcb;

	if (ln->no_plain || !is_plain_ip(ln, b, p, ifi) || !parse(b, p, &s))
		return false;
	memcpy(&src, p + IP_AT + offsetof(struct lane_ip4_hdr, src), sizeof(src));
	memcpy(&dst, p + IP_AT + offsetof(struct lane_ip4_hdr, dst), sizeof(dst));
	peer = lane_ip4(src);
	own = lane_ip4(dst);
	if (!lane_rx_addrs_ok(ln, ifi, &peer, &own) || !is_summed(b, p, src, dst))
		return false;
	pcb = find(ln, p, src, dst);
	b->l3_off = (uint16_t)(b->off + IP_AT);
	b->l4_off = (uint16_t)(b->off + TCP_AT);
	if (!pcb || !lane_tcp_plain_in(ln, pcb, &s, b))
		return false;
	ln->st->stats.rx_packets++;
	ln->st->stats.rx_bytes += len;
	ln->st->ifs[ifi].rx_packets++;
	return true;
}
