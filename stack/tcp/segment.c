/*
 * segment.c - building one TCP segment and handing it to IP
 */
#include "stack/tcp/pcb.h"

#include <netinet/in.h>

#include "stack/base/csum.h"
#include "stack/tcp/isn.h"
#include "stack/tcp/super.h"

#define CSUM_OFF offsetof(struct lane_tcp_hdr, csum)

void lane_tcp_put_ts(const struct lane *ln, const struct lane_tcp *pcb, struct lane_tcp_opts *o)
{
	o->have |= LANE_OPT_TS;
	o->tsval = lane_now_ms(ln) + pcb->ts_offset;
	o->tsecr = pcb->ts_recent;
}

/* The pseudo-header's part of the checksum, which the edge completes (engine.h). */
static uint16_t csum_of(const struct lane_buf *b, const struct lane_ip *src, const struct lane_ip *dst)
{
	return lane_csum_fold(lane_csum_pseudo(src, dst, IPPROTO_TCP, b->pkt_len));
}

/* SACK blocks that fit a segment with 'text_len' bytes of text beside the other options. */
static uint8_t max_sack(const struct lane_tcp *pcb, uint32_t text_len)
{
	uint32_t ts = pcb->flags & LANE_TF_TS ? 12 : 0;
	uint32_t used = text_len + ts + sizeof(struct lane_tcp_hdr) +
			(lane_tcp_is_v4(pcb) ? sizeof(struct lane_ip4_hdr)
						      : sizeof(struct lane_ip6_hdr));
	uint32_t room = pcb->path.mtu > used + 4 ? (pcb->path.mtu - used - 4) / 8 : 0;
	uint8_t max = ts ? 3 : 4;

	return room < max ? (uint8_t)room : max;
}

/* The header fields and options that every segment of a connection has; selects the window. */
static void fill_info(struct lane *ln, struct lane_tcp *pcb, struct lane_tcp_info *info,
		      uint32_t text_len)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint8_t max;

	info->sport = pcb->local_port;
	info->dport = pcb->remote_port;
	info->ack = pcb->rcv_nxt;
	info->flags |= LANE_WIRE_ACK;
	info->wnd = lane_tcp_select_window(ln, pcb);
	if (pcb->flags & LANE_TF_TS)
		lane_tcp_put_ts(ln, pcb, &info->opts);
	if (!(pcb->flags & LANE_TF_SACK) ||
	    (x->ooo_head == LANE_NIL && x->rec.dsack_start == x->rec.dsack_end &&
	     !(pcb->flags & LANE_TF_OOO_FIN)))
		return;
	max = max_sack(pcb, text_len);
	if (max)
		lane_tcp_ooo_sack(ln, pcb, &info->opts, max);
}

/* Writes the header in front of the text of 'b', with that of a chain 'text_len' bytes, and sends it. 'b' is
 * not with a driver. 'ecn': IP's field. */
static void emit_text(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b,
		      struct lane_tcp_info *info, uint8_t ecn, uint32_t text_len)
{
	const struct lane_tcp_opts_set *o = lane_tcp_opts(ln, pcb);
	struct lane_ip local = lane_tcp_local_ip(ln, pcb), remote = lane_tcp_remote_ip(ln, pcb);
	uint8_t hlen = sizeof(struct lane_tcp_hdr) + lane_tcp_opts_len(&info->opts);

	b->off = b->text_off - hlen;
	b->len = hlen + b->text_len;
	b->pkt_len = hlen + text_len;
	info->csum = csum_of(b, &local, &remote);
	lane_tcp_emit(lane_buf_data(&ln->bufs, b), info);
	lane_ip_out(ln, b, &pcb->path, &local, &remote, IPPROTO_TCP, o->tos | ecn, o->ttl, CSUM_OFF);
}

static void emit(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b,
		 struct lane_tcp_info *info, uint8_t ecn)
{
	/* Segments leave in the order in which they were sent. */
	lane_tcp_super_end(ln);
	pcb->segs_out++;
	emit_text(ln, pcb, b, info, ecn, b->text_len);
}

/* A frame of its own with the text of 'b', whose own frame the driver still reads. */
static struct lane_buf *copy_frame(struct lane *ln, const struct lane_buf *b)
{
	struct lane_buf *c = lane_buf_alloc(&ln->bufs);

	if (!c)
		return NULL;
	c->text_off = c->off;
	c->text_len = b->text_len;
	memcpy(lane_buf_frame(&ln->bufs, c) + c->text_off,
	       lane_buf_frame(&ln->bufs, b) + b->text_off, b->text_len);
	return c;
}

static void put_urg(const struct lane_tcp_x *x, struct lane_tcp_info *info)
{
	if (!lane_seq_gt(x->snd_up, info->seq) || x->snd_up - info->seq > UINT16_MAX)
		return;
	info->flags |= LANE_WIRE_URG;
	info->urg = (uint16_t)(x->snd_up - info->seq);
}

/* What leaves with the text of 'b': PSH, URG and FIN. */
static void text_flags(const struct lane *ln, const struct lane_tcp *pcb, const struct lane_buf *b,
		       struct lane_tcp_info *info)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	info->flags = (uint8_t)(b->tcp_flags & LANE_WIRE_PSH);
	if (pcb->flags & LANE_TF_URG_SND)
		put_urg(x, info);
	if ((pcb->flags & LANE_TF_WR_SHUT) && b->seq + b->text_len == x->snd_end)
		info->flags |= LANE_WIRE_FIN | LANE_WIRE_PSH;
}

static uint64_t nr_refused(const struct lane *ln)
{
	return ln->st->stats.drops[LANE_DROP_TX_FULL] +
	       ln->st->stats.drops[LANE_DROP_NO_NEIGHBOUR];
}

/* Books that the text of 'b' left. */
static void xmit_done(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b, uint8_t flags)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t end = b->seq + b->text_len;

	b->tx_us = ln->now_us;
	lane_tcp_cc_sent(ln, pcb, b);
	lane_tcp_loss_sent(ln, pcb, b);
	if (b->nr_tx == 0) {
		b->first_tx_us = ln->now_us;
		lane_tcp_ack_carried(ln, pcb);
	} else {
		lane_tcp_cold(ln, pcb)->nr_retrans++;
		pcb->bytes_retrans += b->text_len;
		ln->st->stats.tcp_retransmits++;
	}
	if (b->nr_tx < UINT8_MAX)
		b->nr_tx++;
	pcb->last_tx_ms = lane_now_ms(ln);
	if (flags & LANE_WIRE_FIN) {
		x->ctl_tx_us = pcb->flags & LANE_TF_FIN_SENT ? 0 : (uint32_t)ln->now_us;
		pcb->flags |= LANE_TF_FIN_SENT;
		end++;
	}
	if (lane_seq_gt(end, pcb->snd_nxt))
		pcb->snd_nxt = end;
	lane_tcp_ack_sent(ln, pcb);
}

/* It did not leave: what is said once is said by the next. */
static void take_back(struct lane_tcp *pcb, const struct lane_tcp_info *info)
{
	if (info->flags & LANE_WIRE_CWR)
		pcb->ecn |= LANE_ECN_CWR;
}

bool lane_tcp_xmit(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_info info = {.seq = b->seq};
	struct lane_buf *out = b;
	uint64_t before;
	uint8_t ecn;

	text_flags(ln, pcb, b, &info);
	ecn = lane_tcp_ecn_out(ln, pcb, b->nr_tx == 0, &info.flags);
	if (lane_tcp_super_add(ln, pcb, b, info.flags, ecn)) {
		pcb->segs_out++;
		xmit_done(ln, pcb, b, info.flags);
		return true;
	}
	/* Asked now: what was gathered has left, or was refused, and 'b' may have been of it. */
	before = nr_refused(ln);
	if (b->flags & LANE_BUF_TX) {
		out = copy_frame(ln, b);
		if (!out) {
			lane_count_drop(ln, LANE_DROP_NO_BUF);
			take_back(pcb, &info);
			return false;
		}
	}
	fill_info(ln, pcb, &info, b->text_len);
	emit(ln, pcb, out, &info, ecn);
	if (nr_refused(ln) != before) {
		take_back(pcb, &info);
		return false;
	}
	xmit_done(ln, pcb, b, info.flags);
	return true;
}

void lane_tcp_xmit_super(struct lane *ln, struct lane_tcp *pcb, const struct lane_super *super)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, super->first);
	struct lane_tcp_info info = {.seq = b->seq, .flags = super->flags};

	fill_info(ln, pcb, &info, super->size);
	emit_text(ln, pcb, b, &info, super->ecn, super->bytes);
}

static struct lane_buf *ctl_frame(struct lane *ln)
{
	struct lane_buf *b = lane_buf_alloc(&ln->bufs);

	if (!b) {
		lane_count_drop(ln, LANE_DROP_NO_BUF);
		return NULL;
	}
	b->text_off = b->off;
	b->text_len = 0;
	return b;
}

bool lane_tcp_xmit_ctl(struct lane *ln, struct lane_tcp *pcb, uint8_t flags, uint32_t seq)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_tcp_info info = {.seq = seq, .flags = flags};
	struct lane_buf *b = ctl_frame(ln);
	uint8_t ecn;

	if (!b)
		return false;
	fill_info(ln, pcb, &info, 0);
	/* RFC 9293 3.8.5: told though the window is shut. */
	if (pcb->flags & LANE_TF_URG_SND)
		put_urg(lane_tcp_x(ln, pcb), &info);
	ecn = lane_tcp_ecn_out(ln, pcb, false, &info.flags);
	emit(ln, pcb, b, &info, ecn);
	if (flags & LANE_WIRE_FIN) {
		x->ctl_tx_us = pcb->flags & LANE_TF_FIN_SENT ? 0 : (uint32_t)ln->now_us;
		pcb->flags |= LANE_TF_FIN_SENT;
		if (lane_seq_gt(seq + 1, pcb->snd_nxt))
			pcb->snd_nxt = seq + 1;
	}
	lane_tcp_ack_sent(ln, pcb);
	return true;
}

bool lane_tcp_xmit_syn(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	bool answer = pcb->state == LANE_TCP_SYN_RECEIVED;
	const struct lane_config *cfg = &ln->st->cfg;
	struct lane_tcp_info info = {
		.sport = pcb->local_port,
		.dport = pcb->remote_port,
		.seq = pcb->snd_una,
		.ack = answer ? pcb->rcv_nxt : 0,
		.flags = answer ? LANE_WIRE_SYN | LANE_WIRE_ACK : LANE_WIRE_SYN,
		.opts.have = LANE_OPT_MSS,
		.opts.mss = lane_tcp_adv_mss(ln, pcb),
	};
	struct lane_buf *b = ctl_frame(ln);
	uint32_t wnd = pcb->rcv_adv - pcb->rcv_nxt;
	uint8_t ecn;

	if (!b)
		return false;
	/* RFC 7323 2.2: the window of a segment with SYN is not scaled. */
	info.wnd = wnd < UINT16_MAX ? wnd : UINT16_MAX;
	/* All that our SYN offered, in the answer to the peer's, too (as Linux). */
	if (cfg->window_scaling) {
		info.opts.have |= LANE_OPT_WSCALE;
		info.opts.wscale = pcb->rcv_wscale;
	}
	if (cfg->timestamps)
		lane_tcp_put_ts(ln, pcb, &info.opts);
	if (cfg->sack)
		info.opts.have |= LANE_OPT_SACK_OK;
	ecn = lane_tcp_ecn_syn(ln, pcb, answer, &info.flags);
	emit(ln, pcb, b, &info, ecn);
	x->ctl_tx_us = x->retries ? 0 : (uint32_t)ln->now_us;
	return true;
}

void lane_tcp_xmit_rst(struct lane *ln, struct lane_tcp *pcb)
{
	struct lane_tcp_info info = {
		.sport = pcb->local_port,
		.dport = pcb->remote_port,
		.seq = pcb->snd_nxt,
		.ack = pcb->rcv_nxt,
		.flags = LANE_WIRE_RST | LANE_WIRE_ACK,
	};
	struct lane_buf *b;

	if (lane_tcp_update_path(ln, pcb) < 0)
		return;
	b = ctl_frame(ln);
	if (!b)
		return;
	if (pcb->flags & LANE_TF_TS)
		lane_tcp_put_ts(ln, pcb, &info.opts);
	ln->st->stats.tcp_resets_out++;
	emit(ln, pcb, b, &info, 0);
}

void lane_tcp_xmit_to(struct lane *ln, const struct lane_path *path, const struct lane_ip *src,
		      const struct lane_ip *dst, const struct lane_tcp_info *info, uint8_t tos,
		      uint8_t ttl)
{
	struct lane_tcp_info with_csum = *info;
	struct lane_buf *b = ctl_frame(ln);
	uint8_t hlen;

	if (!b)
		return;
	hlen = sizeof(struct lane_tcp_hdr) + lane_tcp_opts_len(&info->opts);
	b->off -= hlen;
	b->len = hlen;
	b->pkt_len = hlen;
	with_csum.csum = csum_of(b, src, dst);
	lane_tcp_emit(lane_buf_data(&ln->bufs, b), &with_csum);
	lane_ip_out(ln, b, path, src, dst, IPPROTO_TCP, tos, ttl, CSUM_OFF);
}

void lane_tcp_reply(struct lane *ln, const struct lane_pkt *pkt, struct lane_tcp_info *info)
{
	struct lane_path path = {
		.mac = pkt->mac, .have_mac = 1, .from_peer = 1, .queue = pkt->b->queue,
		.ifi = pkt->ifi};
	struct lane_ip src = pkt->ip.dst;

	if (lane_path_update(ln, &path, &src, &pkt->ip.src) == 0)
		lane_tcp_xmit_to(ln, &path, &src, &pkt->ip.src, info, 0, 0);
}

void lane_tcp_reply_rst(struct lane *ln, const struct lane_seg *seg)
{
	struct lane_tcp_info info = {
		.sport = seg->ti.dport, .dport = seg->ti.sport, .flags = LANE_WIRE_RST};

	if (seg->ti.flags & LANE_WIRE_RST)
		return;
	if (seg->ti.flags & LANE_WIRE_ACK) {
		info.seq = seg->ti.ack;
	} else {
		info.flags |= LANE_WIRE_ACK;
		info.ack = seg->ti.seq + seg->ti.len + !!(seg->ti.flags & LANE_WIRE_SYN) +
			   !!(seg->ti.flags & LANE_WIRE_FIN);
	}
	ln->st->stats.tcp_resets_out++;
	lane_tcp_reply(ln, seg->pkt, &info);
}
