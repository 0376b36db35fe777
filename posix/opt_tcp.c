/*
 * opt_tcp.c - the options that a lane's TCP pcb has, by Linux' rules (posix.md 57, 83)
 *
 * Values as getsockopt(2) gives them: seconds and milliseconds, doubled buffers, clamped. Strings
 * and structures are opt.c's. What is not here is stored, or asked of a kernel socket, there.
 */
#include <limits.h>
#include <linux/tcp.h>
#include <string.h>

#include "lane-int/state.h"
#include "lane-int/tcp_info.h"
#include "posix/sock.h"

#define KEY(level, name) ((uint32_t)(level) << 16 | (uint32_t)(name))
#define RCVBUF_MIN 2304
#define SNDBUF_MIN 4608
#define MSS_MIN 88
#define MSS_MAX 32767
#define MSS_UNSET 536
#define LINGER2_MAX_S 120
#define WINDOW_MIN 1152
#define DEFER_MAX_S 4294 /* what 32 bits of microseconds hold */
#define SECOND_US 1000000u

static bool between(int val, int min, int max)
{
	return val >= min && val <= max;
}

/* Sends of a SYN or SYN-ACK that fit in 'seconds', 1 s doubling up to 120 s; and back. */
static int secs_to_retrans(int seconds)
{
	int res = 0, timeout = 1, period = timeout;

	if (seconds <= 0)
		return 0;
	for (res = 1; seconds > period && res < 255; res++) {
		timeout = timeout * 2 > 120 ? 120 : timeout * 2;
		period += timeout;
	}
	return res;
}

static int retrans_to_secs(int retrans)
{
	int period = 0, timeout = 1;

	for (; retrans > 0; retrans--) {
		period += timeout;
		timeout = timeout * 2 > 120 ? 120 : timeout * 2;
	}
	return period;
}

static uint32_t buffer(int val, uint32_t max, uint32_t min)
{
	uint32_t n = (uint32_t)val;

	if (n > max)
		n = max;
	if (n > INT_MAX / 2)
		n = INT_MAX / 2;
	return 2 * n < min ? min : 2 * n;
}

static int store_so(struct lane_tcp_opts_set *o, const struct lane_config *cfg, int name, int val)
{
	switch (name) {
	case SO_KEEPALIVE:
		o->keepalive = val != 0;
		return 0;
	case SO_OOBINLINE:
		o->oobinline = val != 0;
		return 0;
	case SO_MAX_PACING_RATE: /* -1, as an unsigned: none */
		o->max_pacing_rate = val == -1 ? 0 : (uint32_t)val;
		return 0;
	case SO_RCVBUF:
		o->rcvbuf = buffer(val, cfg->rmem_max, RCVBUF_MIN);
		return 0;
	case SO_SNDBUF:
		o->sndbuf = buffer(val, cfg->wmem_max, SNDBUF_MIN);
		return 0;
	case SO_RCVBUFFORCE:
		o->rcvbuf = buffer(val < 0 ? 0 : val, INT_MAX, RCVBUF_MIN);
		return 0;
	case SO_SNDBUFFORCE:
		o->sndbuf = buffer(val < 0 ? 0 : val, INT_MAX, SNDBUF_MIN);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int store_ip(struct lane_tcp_opts_set *o, const struct lane_config *cfg, uint32_t key, int val)
{
	switch (key) {
	case KEY(IPPROTO_IP, IP_TOS):
		o->tos = (uint8_t)(val & ~3); /* the ECN bits are TCP's */
		return 0;
	case KEY(IPPROTO_IPV6, IPV6_TCLASS):
		if (!between(val, -1, 255))
			return -EINVAL;
		o->tos = val < 0 ? 0 : (uint8_t)(val & ~3);
		return 0;
	case KEY(IPPROTO_IP, IP_TTL):
		if (val != -1 && !between(val, 1, 255))
			return -EINVAL;
		o->ttl = val < 0 ? cfg->ttl : (uint8_t)val;
		return 0;
	case KEY(IPPROTO_IPV6, IPV6_UNICAST_HOPS):
		if (!between(val, -1, 255))
			return -EINVAL;
		o->ttl = val < 0 ? cfg->ttl : (uint8_t)val;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* The TCP level's numbers with limits. */
static int store_limited(struct lane_tcp_opts_set *o, int state, int name, int val)
{
	switch (name) {
	case TCP_MAXSEG:
		if (val && !between(val, MSS_MIN, MSS_MAX))
			return -EINVAL;
		o->maxseg = (uint16_t)val;
		return 0;
	case TCP_KEEPIDLE:
		if (!between(val, 1, 32767))
			return -EINVAL;
		o->keepidle_us = (uint64_t)val * SECOND_US;
		return 0;
	case TCP_KEEPINTVL:
		if (!between(val, 1, 32767))
			return -EINVAL;
		o->keepintvl_us = (uint64_t)val * SECOND_US;
		return 0;
	case TCP_KEEPCNT:
	case TCP_SYNCNT:
		if (!between(val, 1, 127))
			return -EINVAL;
		*(name == TCP_KEEPCNT ? &o->keepcnt : &o->syncnt) = (uint8_t)val;
		return 0;
	case TCP_USER_TIMEOUT:
		if (val < 0)
			return -EINVAL;
		o->user_timeout_us = (uint32_t)val > UINT32_MAX / 1000 ? UINT32_MAX : (uint32_t)val * 1000;
		return 0;
	case TCP_WINDOW_CLAMP:
		if (!val && state != LANE_TCP_CLOSED)
			return -EINVAL;
		o->window_clamp = !val ? 0 : val < WINDOW_MIN ? WINDOW_MIN : (uint32_t)val;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int store_tcp(struct lane_tcp_opts_set *o, const struct lane_config *cfg, int state, int name,
		     int val)
{
	switch (name) {
	case TCP_NODELAY:
		o->nodelay = val != 0;
		return 0;
	case TCP_CORK:
		o->cork = val != 0;
		return 0;
	case TCP_QUICKACK:
		o->quickack = val ? LANE_QUICKACK_NOW : 0;
		return 0;
	case TCP_LINGER2:
		if (val < 0)
			o->linger2_us = UINT32_MAX;
		else
			o->linger2_us = !val ? cfg->fin_timeout_us
					     : (uint32_t)(val > LINGER2_MAX_S ? LINGER2_MAX_S : val) *
						       SECOND_US;
		return 0;
	case TCP_DEFER_ACCEPT:
		val = retrans_to_secs(secs_to_retrans(val));
		o->defer_accept_us = val < DEFER_MAX_S ? (uint32_t)val * SECOND_US : UINT32_MAX;
		return 0;
	case TCP_NOTSENT_LOWAT:
		o->notsent_lowat = val ? (uint32_t)val : UINT32_MAX;
		return 0;
	default:
		return store_limited(o, state, name, val);
	}
}

int shim_tcp_opt_store(struct lane_tcp_opts_set *o, const struct lane_config *cfg, int state,
		       int level, int name, int val)
{
	switch (level) {
	case SOL_SOCKET:
		return store_so(o, cfg, name, val);
	case IPPROTO_TCP:
		return store_tcp(o, cfg, state, name, val);
	default:
		return store_ip(o, cfg, KEY(level, name), val);
	}
}

int shim_tcp_setopt(struct shim_local *l, int level, int name, int val)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_opts_set o;
	struct lane_tcp_status st;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	int r = -EBADF;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb && level == IPPROTO_TCP && name == TCP_INQ) {
		r = val == 0 || val == 1 ? 0 : -EINVAL;
		if (r == 0)
			s->cmsg = val ? SHIM_CMSG_INQ : 0;
	} else if (pcb) {
		lane_tcp_get_status(v->ln, pcb, &st);
		lane_tcp_get_opts(v->ln, pcb, &o);
		r = shim_tcp_opt_store(&o, &v->ln->st->cfg, (int)st.state, level, name, val);
		if (r == 0)
			r = lane_tcp_set_opts(v->ln, pcb, &o);
		/* A larger send buffer may wake a blocked sender (posix.md 79). */
		if (r == 0 && level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_SNDBUFFORCE))
			shim_sock_notify(v, l->index, EPOLLOUT | EPOLLWRNORM);
	}
	shim_leave(v);
	return r;
}

/* ---- get ---- */

static int load_other(const struct lane_tcp_opts_set *o, uint32_t key, int *val)
{
	switch (key) {
	case KEY(SOL_SOCKET, SO_KEEPALIVE):
		*val = o->keepalive;
		return 0;
	case KEY(SOL_SOCKET, SO_OOBINLINE):
		*val = o->oobinline;
		return 0;
	case KEY(SOL_SOCKET, SO_MAX_PACING_RATE):
		*val = o->max_pacing_rate ? (int)(uint32_t)o->max_pacing_rate : -1;
		return 0;
	case KEY(SOL_SOCKET, SO_RCVBUF):
		*val = (int)o->rcvbuf;
		return 0;
	case KEY(SOL_SOCKET, SO_SNDBUF):
		*val = (int)o->sndbuf;
		return 0;
	case KEY(IPPROTO_IP, IP_TOS):
	case KEY(IPPROTO_IPV6, IPV6_TCLASS):
		*val = o->tos;
		return 0;
	case KEY(IPPROTO_IP, IP_TTL):
	case KEY(IPPROTO_IPV6, IPV6_UNICAST_HOPS):
		*val = o->ttl;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int load_tcp(const struct lane_tcp_opts_set *o, int name, int *val)
{
	switch (name) {
	case TCP_NODELAY:
		*val = o->nodelay;
		return 0;
	case TCP_CORK:
		*val = o->cork;
		return 0;
	case TCP_QUICKACK:
		*val = o->quickack;
		return 0;
	case TCP_KEEPIDLE:
		*val = (int)(o->keepidle_us / SECOND_US);
		return 0;
	case TCP_KEEPINTVL:
		*val = (int)(o->keepintvl_us / SECOND_US);
		return 0;
	case TCP_KEEPCNT:
		*val = o->keepcnt;
		return 0;
	case TCP_SYNCNT:
		*val = o->syncnt;
		return 0;
	case TCP_LINGER2:
		*val = o->linger2_us == UINT32_MAX ? -1 : (int)(o->linger2_us / SECOND_US);
		return 0;
	case TCP_DEFER_ACCEPT:
		*val = (int)(o->defer_accept_us / SECOND_US);
		return 0;
	case TCP_WINDOW_CLAMP:
		*val = (int)o->window_clamp;
		return 0;
	case TCP_USER_TIMEOUT:
		*val = (int)(o->user_timeout_us / 1000);
		return 0;
	case TCP_NOTSENT_LOWAT:
		*val = o->notsent_lowat == UINT32_MAX ? 0 : (int)o->notsent_lowat;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* The MSS in force; where there is no connection, what the program set. */
static int load_maxseg(const struct lane_tcp_opts_set *o, const struct lane_tcp_status *st,
		       uint32_t snd_mss)
{
	if (st->state == LANE_TCP_CLOSED || st->state == LANE_TCP_LISTEN)
		return o->maxseg ? o->maxseg : MSS_UNSET;
	return (int)snd_mss;
}

int shim_tcp_getopt(struct shim_local *l, int level, int name, int *val)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp_opts_set o;
	struct lane_tcp_status st;
	struct lane_tcp *pcb;
	struct shim_sock *s;
	uint32_t mss = 0;
	bool inq = false;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb) {
		lane_tcp_get_opts(v->ln, pcb, &o);
		lane_tcp_get_status(v->ln, pcb, &st);
		mss = lane_tcp_snd_mss(v->ln, pcb);
		inq = (s->cmsg & SHIM_CMSG_INQ) != 0;
	}
	shim_leave_quiet(v);
	if (!pcb)
		return -EBADF;
	if (level == IPPROTO_TCP && name == TCP_INQ) {
		*val = inq;
		return 0;
	}
	if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
		*val = load_maxseg(&o, &st, mss);
		return 0;
	}
	if (level == IPPROTO_TCP)
		return load_tcp(&o, name, val);
	return load_other(&o, KEY(level, name), val);
}

/* Linux' numbers of enum lane_tcp_state. */
static uint8_t linux_state(uint8_t state)
{
	static const uint8_t to[LANE_TCP_STATES] = {
		[LANE_TCP_CLOSED] = 7,	    [LANE_TCP_LISTEN] = 10,	[LANE_TCP_SYN_SENT] = 2,
		[LANE_TCP_SYN_RECEIVED] = 3, [LANE_TCP_ESTABLISHED] = 1, [LANE_TCP_FIN_WAIT_1] = 4,
		[LANE_TCP_FIN_WAIT_2] = 5,  [LANE_TCP_CLOSE_WAIT] = 8,	[LANE_TCP_CLOSING] = 11,
		[LANE_TCP_LAST_ACK] = 9,    [LANE_TCP_TIME_WAIT] = 7,
	};

	return state < LANE_TCP_STATES ? to[state] : 7;
}

static void fill_info(struct tcp_info *i, const struct lane_tcp_info_out *o)
{
	i->tcpi_state = linux_state(o->state);
	i->tcpi_ca_state = o->ca_state;
	i->tcpi_retransmits = o->retransmits;
	i->tcpi_probes = o->probes;
	i->tcpi_backoff = o->backoff;
	i->tcpi_options = (uint8_t)((o->ts_ok ? TCPI_OPT_TIMESTAMPS : 0) |
				    (o->sack_ok ? TCPI_OPT_SACK : 0) |
				    (o->wscale_ok ? TCPI_OPT_WSCALE : 0) |
				    (o->ecn_ok ? TCPI_OPT_ECN : 0) |
				    (o->ecn_seen ? TCPI_OPT_ECN_SEEN : 0));
	i->tcpi_snd_wscale = o->snd_wscale & 15;
	i->tcpi_rcv_wscale = o->rcv_wscale & 15;
	i->tcpi_rto = o->rto_us;
	i->tcpi_ato = o->ato_us;
	i->tcpi_snd_mss = o->snd_mss;
	i->tcpi_rcv_mss = o->rcv_mss;
	i->tcpi_unacked = o->unacked;
	i->tcpi_sacked = o->sacked;
	i->tcpi_lost = o->lost;
	i->tcpi_retrans = o->retrans;
	i->tcpi_last_data_sent = o->last_data_sent_us / 1000;
	i->tcpi_last_data_recv = o->last_data_recv_us / 1000;
	i->tcpi_last_ack_recv = o->last_ack_recv_us / 1000;
	i->tcpi_pmtu = o->pmtu;
	i->tcpi_rcv_ssthresh = o->rcv_wnd;
	i->tcpi_rtt = o->rtt_us;
	i->tcpi_rttvar = o->rttvar_us;
	i->tcpi_snd_ssthresh = o->ssthresh;
	i->tcpi_snd_cwnd = o->cwnd;
	i->tcpi_advmss = o->advmss;
	i->tcpi_reordering = o->reordering;
	i->tcpi_rcv_rtt = o->rcv_rtt_us;
	i->tcpi_rcv_space = o->rcv_space;
	i->tcpi_total_retrans = o->total_retrans;
	i->tcpi_pacing_rate = o->pacing_rate ? o->pacing_rate : UINT64_MAX;
	i->tcpi_max_pacing_rate = o->max_pacing_rate ? o->max_pacing_rate : UINT64_MAX;
	/* Linux counts sequence numbers here. */
	i->tcpi_bytes_acked = o->bytes_acked + o->ctl_acked;
	i->tcpi_bytes_received = o->bytes_received + o->ctl_received;
	i->tcpi_segs_out = o->segs_out;
	i->tcpi_segs_in = o->segs_in;
	i->tcpi_notsent_bytes = o->notsent_bytes;
	i->tcpi_min_rtt = o->min_rtt_us;
	i->tcpi_delivery_rate = o->delivery_rate;
	i->tcpi_delivery_rate_app_limited = o->rate_app_limited & 1;
	i->tcpi_bytes_sent = o->bytes_sent;
	i->tcpi_bytes_retrans = o->bytes_retrans;
	i->tcpi_snd_wnd = o->snd_wnd;
}

bool shim_tcp_info(struct shim_local *l, struct lane_tcp_info_out *o)
{
	struct shim_view *v = &shim.view;
	struct lane_tcp *pcb;
	struct shim_sock *s;

	shim_enter(v);
	pcb = shim_tcp_of(l, &s);
	if (pcb)
		lane_tcp_get_info(v->ln, pcb, o);
	shim_leave_quiet(v);
	return pcb;
}

int shim_tcp_getinfo(struct shim_local *l, void *out, socklen_t *len)
{
	struct lane_tcp_info_out o;
	struct tcp_info i;

	if (!shim_tcp_info(l, &o))
		return -EBADF;
	memset(&i, 0, sizeof(i));
	fill_info(&i, &o);
	if (*len > sizeof(i))
		*len = sizeof(i);
	return shim_copy_out(out, &i, *len);
}
