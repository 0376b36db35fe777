/*
 * error.c - what ICMP says about datagrams, as Linux' udp_err() has it
 *
 * A pending error is for connected sockets and hard errors only, unless the program asked for all
 * (IP_RECVERR): then each is also queued, as the frame that it came in. Its payload is what the
 * error quotes of the datagram's; the rest is read out of the frame again when it is taken. Path MTUs
 * go to the lane's table.
 */
#include <errno.h>

#include "stack/udp/pcb.h"
#include "stack/wire/icmp.h"
#include "stack/wire/udp.h"

#define ERRORS_MAX 32 /* frames that wait for MSG_ERRQUEUE */
#define MTU_MIN6   1280

static bool wants_all(const struct lane_udp *pcb, bool is4)
{
	return is4 ? pcb->recverr4 : pcb->recverr6;
}

/* Consumes the frame of 'pkt' if it returns true; its data is the quoted payload then. */
static bool enqueue(struct lane *ln, struct lane_udp *pcb, struct lane_pkt *pkt,
		    const struct lane_icmp_info *icmp)
{
	struct lane_buf *b = pkt->b, *tail = lane_buf_at(&ln->bufs, pcb->err_tail);
	uint32_t skip = (uint32_t)(b->l4_off - b->off) + icmp->quote_off +
			(uint32_t)sizeof(struct lane_udp_hdr);

	/* As Linux, which takes it out of the receive buffer. */
	if (pcb->nr_errors >= ERRORS_MAX || skip > b->len ||
	    pcb->rcv_bytes + lane_udp_charge(pkt->ip.l4_len, 1) >= pcb->rcvbuf) {
		pcb->nr_dropped++;
		return false;
	}
	pcb->rcv_bytes += lane_udp_charge(pkt->ip.l4_len, 1);
	b->off += (uint16_t)skip;
	b->len -= (uint16_t)skip;
	b->user = pkt->ip.l4_len;
	b->next = LANE_NIL;
	if (tail)
		tail->next = lane_buf_index(&ln->bufs, b);
	else
		pcb->err_head = lane_buf_index(&ln->bufs, b);
	pcb->err_tail = lane_buf_index(&ln->bufs, b);
	pcb->nr_errors++;
	return true;
}

/* What it says of the path's MTU. False: the socket does not hear of it. As Linux, in which the families differ. */
static bool take_mtu(struct lane *ln, const struct lane_udp *pcb, const struct lane_icmp_info *icmp, bool *hard)
{
	bool is4 = lane_ip_is4(&icmp->local.ip);
	uint8_t how = pcb->pmtudisc[!is4];

	if (icmp->kind != LANE_ICMP_TOO_BIG)
		return true;
	/* RFC 8201 4: less than IPv6's least is no path's. */
	if (how < LANE_PMTUDISC_INTERFACE && (is4 || icmp->mtu >= MTU_MIN6))
		lane_pmtu_learn(ln, &icmp->remote.ip, icmp->mtu);
	if (how == LANE_PMTUDISC_DONT)
		*hard = false;
	return is4 ? how != LANE_PMTUDISC_DONT : how < LANE_PMTUDISC_INTERFACE;
}

bool lane_udp_icmp(struct lane *ln, struct lane_pkt *pkt, const struct lane_icmp_info *icmp)
{
	struct lane_udp *pcb = lane_udp_lookup(ln, &icmp->local, &icmp->remote);
	bool is4 = lane_ip_is4(&icmp->local.ip), queued = false, hard = icmp->hard;

	if (!pcb || !take_mtu(ln, pcb, icmp, &hard))
		return false;
	if (wants_all(pcb, is4))
		queued = enqueue(ln, pcb, pkt, icmp);
	else if (!hard || !pcb->connected)
		return false;
	pcb->err = icmp->err;
	lane_udp_raise(ln, pcb, LANE_EV_ERROR);
	return queued;
}

/* Reads out of the frame what the error says. */
static void get_error(const struct lane *ln, const struct lane_buf *b, struct lane_udp_error *e)
{
	const uint8_t *frame = lane_buf_frame(&ln->bufs, b);
	struct lane_icmp_info icmp = {0};
	struct lane_ip_info ip = {0};

	*e = (struct lane_udp_error){.len = b->len};
	/* The record lies in memory that others may write. */
	if (b->l3_off >= b->l4_off || (uint32_t)b->l4_off + b->user > ln->bufs.size)
		return;
	lane_ip_parse(frame + b->l3_off, b->l4_off - b->l3_off, UINT16_MAX, &ip);
	if (lane_icmp_parse(frame + b->l4_off, b->user, &ip.src, &ip.dst, &icmp))
		return;
	e->is4 = lane_ip_is4(&icmp.local.ip);
	e->err = icmp.err;
	e->type = icmp.type;
	e->code = icmp.code;
	e->info = icmp.kind == LANE_ICMP_TOO_BIG ? icmp.mtu : 0;
	e->remote = icmp.remote;
	e->offender = ip.src;
}

void lane_udp_pop_error(struct lane *ln, struct lane_udp *pcb)
{
	struct lane_buf *b = lane_buf_at(&ln->bufs, pcb->err_head);
	uint32_t charge = lane_udp_charge(b->user, 1);

	pcb->rcv_bytes -= charge < pcb->rcv_bytes ? charge : pcb->rcv_bytes;
	pcb->err_head = b->next;
	if (--pcb->nr_errors == 0)
		pcb->err_head = pcb->err_tail = LANE_NIL;
	b->next = LANE_NIL;
	lane_buf_free(&ln->bufs, b);
}

ssize_t lane_udp_read_error(struct lane *ln, struct lane_udp *pcb, void *dst, size_t len,
			    struct lane_udp_error *e, lane_copy_fn copy)
{
	struct lane_buf *b = pcb->nr_errors ? lane_buf_at(&ln->bufs, pcb->err_head) : NULL;
	struct lane_udp_error next;

	if (!b)
		return -EAGAIN;
	get_error(ln, b, e);
	if (len > b->len)
		len = b->len;
	if (copy && len && copy(dst, lane_buf_data(&ln->bufs, b), len))
		return -EFAULT;
	if (!copy)
		memcpy(dst, lane_buf_data(&ln->bufs, b), len);
	lane_udp_pop_error(ln, pcb);
	/* As Linux: what is pending is what comes next, if it is one of these. */
	pcb->err = 0;
	if (pcb->nr_errors) {
		get_error(ln, lane_buf_at(&ln->bufs, pcb->err_head), &next);
		pcb->err = next.err;
		lane_udp_raise(ln, pcb, LANE_EV_ERROR);
	}
	return (ssize_t)len;
}

uint32_t lane_udp_nr_errors(const struct lane_udp *pcb)
{
	return pcb->nr_errors;
}

void lane_udp_set_recverr(struct lane_udp *pcb, bool v4, bool v6)
{
	pcb->recverr4 = v4;
	pcb->recverr6 = v6;
}

void lane_udp_set_pmtudisc(struct lane_udp *pcb, bool v6, enum lane_pmtudisc how)
{
	pcb->pmtudisc[v6] = (uint8_t)how;
}
