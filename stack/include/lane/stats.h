/*
 * stats.h - counters of a lane, and the reasons for which it drops a packet
 *
 * One list is the enumeration, the counter's index and the help text. LANE_OK (0) means: go on.
 * Each drop has its own reason; a packet is counted and freed in one place, stack/rx.c.
 */
#ifndef LANE_STATS_H
#define LANE_STATS_H

#include <stdint.h>

#define LANE_DROPS(X)                                                                              \
	X(SHORT, "frame shorter than its headers")                                                 \
	X(ETH_TYPE, "EtherType that no lane handles")                                              \
	X(ETH_DST, "frame to another station or to a group")                                       \
	X(IP_VERSION, "IP version field is wrong")                                                 \
	X(IP_HLEN, "IP header length is wrong")                                                    \
	X(IP_LEN, "IP total length exceeds the frame")                                             \
	X(IP_CSUM, "IPv4 header checksum is wrong")                                                \
	X(IP_SRC, "source address is multicast, broadcast, loopback, unspecified or our own")      \
	X(IP_DST, "destination is not one of our addresses")                                       \
	X(IP_PROTO, "protocol that no lane handles")                                               \
	X(IP_OPTIONS, "IP options or extension headers that are malformed or source-routed")       \
	X(IP_FRAGMENT, "fragment that is malformed or contradicts others of its datagram")         \
	X(IP_FRAG_TINY, "first fragment without the whole L4 header (RFC 1858, RFC 7112)")         \
	X(IP_FRAG_DUP, "fragment whose bytes were there already")                                  \
	X(IP_FRAG_OVERLAP, "fragment of a datagram whose fragments overlap (RFC 5722)")            \
	X(IP_FRAG_FULL, "fragment that made room for a newer one, or beyond the limits")           \
	X(IP_FRAG_TIMEOUT, "fragment of a datagram that did not become whole in time")             \
	X(CTL_FULL, "more frames for the control plane than may wait")                             \
	X(NO_NEIGHBOUR, "next hop unresolved, or its queue full")                                  \
	X(NO_ROUTE, "no route to the destination")                                                 \
	X(NO_BUF, "frame pool empty")                                                              \
	X(TX_FULL, "transmit queue full")                                                          \
	X(ICMP_IGNORED, "ICMP message that is no error for a flow of ours")                        \
	X(ICMP_CSUM, "ICMP checksum is wrong")                                                     \
	X(ICMP_INVALID, "ICMP error whose quote does not match a flow (RFC 5927)")                 \
	X(UDP_LEN, "UDP length is wrong")                                                          \
	X(UDP_CSUM, "UDP checksum is wrong")                                                       \
	X(UDP_NO_PORT, "no UDP socket on that port: answered with port unreachable")               \
	X(UDP_FULL, "UDP socket's receive buffer full")                                            \
	X(TCP_HLEN, "TCP header length is wrong")                                                  \
	X(TCP_CSUM, "TCP checksum is wrong")                                                       \
	X(TCP_FLAGS, "impossible TCP flags (SYN with FIN or RST, none)")                           \
	X(TCP_NO_PORT, "no TCP socket on that port: answered with RST")                            \
	X(TCP_RST_IGNORED, "RST that matches no flow, or to a listener")                           \
	X(TCP_SEQ, "segment outside the receive window: answered with an ACK")                     \
	X(TCP_PAWS, "old timestamp (RFC 7323 5)")                                                  \
	X(TCP_RST_CHALLENGE, "RST in window, not exact: challenge ACK (RFC 5961 3)")               \
	X(TCP_SYN_CHALLENGE, "SYN in a synchronised state: challenge ACK (RFC 5961 4)")            \
	X(TCP_ACK_INVALID, "ACK of what was never sent, or far too old (RFC 5961 5)")              \
	X(TCP_NO_ACK, "segment without ACK where one is due")                                      \
	X(TCP_SECOND_FIN, "text or FIN behind a FIN")                                              \
	X(TCP_DUP, "text that was received before")                                                \
	X(TCP_OOO_FULL, "out-of-order queue full")                                                 \
	X(TCP_RCV_FULL, "receive buffer full")                                                     \
	X(TCP_BACKLOG, "accept queue or SYN queue full")                                           \
	X(TCP_DEFER, "ACK without text while TCP_DEFER_ACCEPT waits for some")                        \
	X(TCP_COOKIE, "segment that seems to follow an ACK of a SYN cookie that did not get through")  \
	X(TCP_NO_X, "no extension free for what came: the peer sends it again")                     \
	X(TCP_NO_PCB, "TCP pcb pool empty")                                                        \
	X(TCP_TIME_WAIT, "segment for a connection in TIME_WAIT")                                  \
	X(TCP_CLOSED, "text for a socket that the program has closed: answered with RST")          \
	X(FAULT, "dropped by the fault driver")                                                    \
	X(FOREIGN, "frame that the interface's claims should not have let through")

enum lane_drop {
	LANE_OK,
#define X(name, text) LANE_DROP_##name,
	LANE_DROPS(X)
#undef X
	LANE_NR_DROPS
};

#define LANE_COUNTERS(X)                                                                           \
	X(rx_packets, "packets received")                                                          \
	X(rx_bytes, "bytes received")                                                              \
	X(tx_packets, "packets sent")                                                              \
	X(tx_bytes, "bytes sent")                                                                  \
	X(polls, "lane_poll calls")                                                                \
	X(ip_reassembled, "datagrams put together from fragments")                                 \
	X(ip_fragments_out, "fragments sent")                                                      \
	X(pmtu_learned, "path MTUs that became smaller")                                           \
	X(pmtu_forgotten, "path MTUs that made room for newer ones")                               \
	X(pmtu_black_holes, "paths found to lose large packets without a word (RFC 4821)")         \
	X(ctl_in, "frames handed to the control plane")                                            \
	X(ctl_out, "frames that the control plane sent")                                           \
	X(tcp_accepts, "TCP connections opened by peers")                                          \
	X(tcp_connects, "TCP connections opened by programs")                                      \
	X(tcp_port_probes, "local ports tried for them, when all of the range were in use")        \
	X(tcp_synacks_again, "SYN-ACKs sent again")                                                \
	X(tcp_cookies_sent, "SYN cookies sent: a SYN queue was full")                              \
	X(tcp_cookies_good, "connections opened by SYN cookies")                                   \
	X(tcp_cookies_bad, "ACKs that no SYN cookie explains, while some are out")                 \
	X(tcp_no_x, "waits of TCP connections for an extension")                                   \
	X(tcp_no_opts, "setsockopt(2) and the like that found no room for one more set of options") \
	X(tcp_floods, "floods of SYNs that drivers were told to limit")                             \
	X(tcp_floods_beyond, "SYN cookies of ports beyond those whose floods are limited")          \
	X(tcp_rtos, "retransmission time-outs")                                                    \
	X(tcp_fast_retransmits, "entries into fast recovery")                                      \
	X(tcp_retransmits, "segments retransmitted")                                               \
	X(tcp_rack_lost, "segments found lost by RACK")                                            \
	X(tcp_tlps, "tail loss probes sent")                                                       \
	X(tcp_undone, "recoveries and time-outs undone as spurious")                               \
	X(tcp_reneges, "peers that dropped what they had SACKed")                                  \
	X(tcp_dsacks_in, "duplicates that peers reported (DSACK)")                                 \
	X(tcp_dsacks_out, "duplicates reported to peers (DSACK)")                                  \
	X(tcp_ce_in, "text segments that the path marked CE (ECN)")                                \
	X(tcp_ecn_reduced, "windows reduced because the peer echoed CE")                            \
	X(tcp_ecn_refused, "SYNs sent again without ECN")                                          \
	X(tcp_unpaced, "times that a connection went on unpaced, with CUBIC for BBR, for want of memory") \
	X(tcp_resets_in, "connections reset by the peer")                                          \
	X(tcp_resets_out, "resets sent")                                                           \
	X(tcp_challenges_withheld, "challenge ACKs not sent: too many in a second (RFC 5961 7)")    \
	X(tcp_orphans_reset, "connections reset at close: too many that no program holds")         \
	X(tcp_supers, "super-segments sent, which the driver's edge cuts")                         \
	X(tcp_merged, "segments merged with the one before them in a burst")                       \
	X(tcp_ooo, "segments that arrived out of order")                                           \
	X(tcp_ooo_forgotten, "times that text behind an old hole was forgotten for its extension") \
	X(tcp_delayed_acks, "ACKs sent by the delayed-ACK timer")                                  \
	X(tcp_keepalives, "keepalive probes sent")                                                 \
	X(tcp_probes, "zero-window probes sent")                                                   \
	X(tcp_time_waits, "connections that went to TIME_WAIT")                                    \
	X(udp_in, "datagrams delivered")                                                           \
	X(udp_out, "datagrams sent")                                                               \
	X(unreach_out, "port unreachables sent")                                                   \
	X(unreach_withheld, "port unreachables not sent: too many (RFC 1812 4.3.2.8)")

struct lane_stats {
#define X(name, text) uint64_t name;
	LANE_COUNTERS(X)
#undef X
	uint64_t drops[LANE_NR_DROPS];
};

/* "TCP_PAWS" and "old timestamp (RFC 7323 5)"; NULL beyond the last. */
const char *lane_drop_name(enum lane_drop why);
const char *lane_drop_text(enum lane_drop why);

#endif
