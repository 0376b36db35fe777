/*
 * tcp_info.h - figures of a connection, for TCP_INFO and `lane conns`
 */
#ifndef LANE_INT_TCP_INFO_H
#define LANE_INT_TCP_INFO_H

#include <stdint.h>

#include <lane/types.h>

struct lane;

struct lane_tcp_info_out {
	uint8_t state; /* enum lane_tcp_state */
	uint8_t ca_state; /* 0 open, 1 disorder, 3 recovery, 4 loss, as Linux */
	uint8_t retransmits, probes, backoff;
	uint8_t snd_wscale, rcv_wscale;
	uint8_t ts_ok, sack_ok, wscale_ok, ecn_ok, ecn_seen;
	uint32_t rto_us, ato_us, rtt_us, rttvar_us, min_rtt_us;
	uint32_t snd_mss, rcv_mss, advmss, pmtu;
	uint32_t cwnd, ssthresh; /* segments of snd_mss; a ssthresh of 2^31 - 1: none */
	uint32_t unacked, lost, retrans, sacked, reordering; /* segments */
	uint32_t last_data_sent_us, last_data_recv_us, last_ack_recv_us; /* ago */
	uint32_t rcv_wnd, snd_wnd;
	uint32_t rcv_rtt_us; /* the receiver's, 0: unknown */
	uint32_t rcv_space;  /* bytes that the program took in a round trip */
	uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans; /* of text */
	uint8_t ctl_acked, ctl_received; /* our SYN (of an active open) and FIN; the peer's FIN */
	uint32_t segs_out, segs_in, total_retrans;
	uint32_t notsent_bytes;
	uint64_t pacing_rate, max_pacing_rate; /* bytes a second, 0: none */
	uint64_t delivery_rate; /* bytes a second, the latest sample */
	uint8_t rate_app_limited; /* it is a lower bound */
	const char *cc_name;
};

/* The two ends of half-open connection 'index' (0 to nr_syn - 1 of the configuration). False: there is none. */
bool lane_tcp_syn_at(const struct lane *ln, uint32_t index, struct lane_ep *local,
		     struct lane_ep *remote);

/* Index of a congestion control by Linux' name, for lane_tcp_opts_set.cc; -ENOENT. */
int lane_cc_find(const char *name);
/* And back; the default one's for an index that names none. */
const char *lane_cc_name(unsigned int index);

#endif
