/*
 * watch.c - looks at every frame on the cable (see watch.h)
 */
#include "tests/sim/watch.h"

#include "stack/base/seq.h"
#include "stack/wire/eth.h"
#include "stack/wire/ip.h"
#include "stack/wire/tcp.h"

static struct watch_flow *find(struct watch *w, const uint16_t port[2], bool v6)
{
	struct watch_flow *f;

	for (uint32_t i = 0; i < w->nr; i++) {
		f = &w->flow[i];
		if (f->port[0] == port[0] && f->port[1] == port[1] && f->v6 == v6)
			return f;
	}
	if (w->nr < WATCH_FLOWS)
		f = &w->flow[w->nr++];
	else
		f = &w->flow[w->next++ % WATCH_FLOWS];
	*f = (struct watch_flow){.port = {port[0], port[1]}, .v6 = v6};
	return f;
}

static void saw_syn(struct watch_flow *f, unsigned int end, const struct lane_tcp_info *ti)
{
	struct watch_dir *d = &f->dir[end];

	/* Another SYN than the last one: the flow begins anew. */
	if (!d->syn || d->iss != ti->seq) {
		struct watch_dir was = *d;

		if (!(ti->flags & LANE_WIRE_ACK))
			f->dir[!end] = (struct watch_dir){0};
		*d = (struct watch_dir){.syn = true, .iss = ti->seq};
		if (was.syn && (ti->flags & LANE_WIRE_ACK)) {
			d->have_other = true;
			d->other_ws = was.have_ws;
			d->other_wscale = was.wscale;
			d->other_iss = was.iss;
		}
	}
	d->have_ws = ti->opts.have & LANE_OPT_WSCALE;
	d->wscale = ti->opts.wscale > 14 ? 14 : ti->opts.wscale;
}

/* The first segment behind the SYN-ACKs tells which of them the peer took. */
static void settle(struct watch_dir *d, uint32_t seq)
{
	if (d->have_other && seq - d->other_iss < seq - d->iss) {
		d->have_ws = d->other_ws;
		d->wscale = d->other_wscale;
		d->iss = d->other_iss;
	}
	d->have_other = false;
}

static const char *saw_window(struct watch_flow *f, unsigned int end,
			      const struct lane_tcp_info *ti)
{
	struct watch_dir *d = &f->dir[end];
	bool scaled = d->have_ws && f->dir[!end].have_ws && !(ti->flags & LANE_WIRE_SYN);
	uint32_t shift = scaled ? d->wscale : 0;
	uint32_t edge = ti->ack + (ti->wnd << shift);

	if (!d->have_edge || lane_seq_gt(edge, d->edge)) {
		d->edge = edge;
		d->have_edge = true;
	}
	/* RFC 9293 3.8.6.2.1; what the scale rounds away is not a window that shrinks. Behind the
	 * peer's FIN nothing comes for which a window would matter: TIME_WAIT keeps none. */
	if (!f->dir[!end].fin && !(ti->flags & LANE_WIRE_SYN) &&
	    lane_seq_lt(edge + (1u << shift), d->edge))
		return "the window shrank";
	return NULL;
}

const char *watch_frame(struct watch *w, unsigned int end, const uint8_t *frame, size_t len)
{
	struct lane_ip_info ip;
	struct lane_tcp_info ti;
	struct watch_flow *f;
	const struct watch_dir *peer;
	uint16_t port[2];
	uint32_t l3 = LANE_ETH_HLEN, l4;

	if (len < l3 || lane_ip_parse(frame + l3, (uint32_t)len - l3, (uint32_t)len - l3, &ip))
		return "no IP packet";
	if (ip.proto != LANE_PROTO_TCP)
		return NULL;
	l4 = l3 + ip.hlen;
	if (lane_tcp_parse(frame + l4, ip.l4_len, ip.l4_len, &ti))
		return "no TCP segment";
	port[end] = ti.sport;
	port[!end] = ti.dport;
	f = find(w, port, !lane_ip_is4(&ip.src));
	if (ti.flags & LANE_WIRE_SYN)
		saw_syn(f, end, &ti);
	else
		settle(&f->dir[end], ti.seq);
	/* A flow whose SYNs were not seen is one that ended before: its ports are used again. */
	if (!f->dir[end].syn || (ti.flags & LANE_WIRE_RST))
		return NULL;
	peer = &f->dir[!end];
	f->dir[end].fin |= (ti.flags & LANE_WIRE_FIN) != 0;
	if (ti.len && peer->have_edge && lane_seq_gt(ti.seq + ti.len, peer->edge))
		return "text beyond the peer's window";
	return ti.flags & LANE_WIRE_ACK ? saw_window(f, end, &ti) : NULL;
}
