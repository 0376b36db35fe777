/*
 * icmp.c - ICMP errors about TCP segments (RFC 5927, RFC 1122 4.2.3.9, RFC 1191, RFC 8201)
 *
 * An error is believed only if it quotes a sequence number that is in flight, or the next one (as Linux). For a connection that
 * is established, unreachability is advice: the timers decide, and name it as the reason. Where no ICMP
 * comes and segments go unanswered, the path may be a black hole for large ones (RFC 4821 7.7).
 */
#include "stack/tcp/synq.h"

#include <netinet/in.h>

#define MTU_MIN6 1280

/* The path takes packets of at most 'mtu' bytes: what was lost goes again in smaller ones. */
static void too_big(struct lane *ln, struct lane_tcp *pcb, uint32_t mtu)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, lane_tcp_x(ln, pcb)->sndq_head);
	struct lane_ip remote = lane_tcp_remote_ip(ln, pcb);

	/* RFC 8201 4: less than IPv6's least is no path's. */
	if (!lane_tcp_is_v4(pcb) && mtu < MTU_MIN6)
		return;
	if (mtu >= pcb->path.mtu)
		return;
	pcb->path.mtu = lane_pmtu_learn(ln, &remote, mtu);
	lane_tcp_update_mss(ln, pcb);
	if (pcb->state < LANE_TCP_ESTABLISHED || !b || b->nr_tx == 0)
		return;
	lane_tcp_loss_too_big(ln, pcb);
}

/* As Linux: tcp_base_mss first, then half of what there is. */
void lane_tcp_black_hole(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_config *cfg = &ln->st->cfg;
	struct lane_ip remote = lane_tcp_remote_ip(ln, pcb);
	uint32_t hlen = lane_tcp_is_v4(pcb) ? 40 : 60, mss, mtu;

	if (pcb->path.mtu <= hlen)
		return;
	mss = pcb->path.mtu - hlen;
	mss = mss > cfg->base_mss ? cfg->base_mss : mss / 2;
	if (mss < cfg->min_snd_mss)
		mss = cfg->min_snd_mss;
	if (mss + hlen >= pcb->path.mtu)
		return;
	mtu = lane_pmtu_learn(ln, &remote, mss + hlen);
	if (mtu >= pcb->path.mtu)
		return;
	ln->st->stats.pmtu_black_holes++;
	pcb->path.mtu = mtu;
	lane_tcp_update_mss(ln, pcb);
}

void lane_tcp_icmp(struct lane *ln, const struct lane_icmp_info *icmp)
{
	uint32_t hash =
		lane_flow_hash(&ln->st->key, IPPROTO_TCP, &icmp->local, &icmp->remote);
	struct lane_tcp *pcb = lane_tcp_find(ln, hash, &icmp->local, &icmp->remote);

	if (!pcb && lane_tcp_syn_icmp(ln, icmp, hash))
		return;
	if (!pcb || !icmp->has_seq || lane_seq_lt(icmp->seq, pcb->snd_una) ||
	    lane_seq_gt(icmp->seq, pcb->snd_nxt)) {
		lane_count_drop(ln, LANE_DROP_ICMP_INVALID);
		return;
	}
	lane_tcp_work(ln, pcb);
	if (icmp->kind == LANE_ICMP_TOO_BIG) {
		too_big(ln, pcb, icmp->mtu);
	} else if (icmp->kind != LANE_ICMP_OTHER) {
		if (pcb->state == LANE_TCP_SYN_SENT)
			lane_tcp_fail(ln, pcb, icmp->err);
		else
			pcb->soft_err = icmp->err;
	}
	ln->st->pcb_at_work = LANE_NIL;
}
