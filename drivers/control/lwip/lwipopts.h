/*
 * lwipopts.h - lwIP as the control plane of one interface
 *
 * No operating system, no TCP, one netif; memory from malloc, whose limits are those of the tables below.
 * Timers are ours (timers.c): lwIP's own would wake an idle keeper ten times a second.
 */
#ifndef LANE_LWIP_OPTS_H
#define LANE_LWIP_OPTS_H

#define sys_now lane_lwip_now /* our name for it: port.c */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0
#define LWIP_SINGLE_NETIF 1
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_STATS 0
#define LWIP_NETIF_TX_SINGLE_PBUF 1
#define LWIP_TCP 0
#define LWIP_UDP 1
#define LWIP_RAW 0
#define LWIP_DNS 0
#define LWIP_AUTOIP 0

#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8

#define LWIP_ARP 1
#define ARP_TABLE_SIZE 127 /* more, and lwIP's index of 7 bits is too narrow */
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 3
#define ETHARP_TRUST_IP_MAC 0
#define ETHARP_SUPPORT_VLAN 0
#define ETH_PAD_SIZE 0

#define LWIP_ICMP 1
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 0
#define LWIP_IGMP 1
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 64
#define IP_FRAG 1
#define IP_FORWARD 0

#define LWIP_DHCP 1
#define DHCP_DOES_ARP_CHECK 1
#define LWIP_DHCP_MAX_NTP_SERVERS 0

#define LWIP_IPV6 1
#define LWIP_IPV6_NUM_ADDRESSES 12
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_ICMP6 1
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_REASS 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers do not fit into a fragment header */
#define LWIP_ND6_QUEUEING 0
#define LWIP_ND6_NUM_NEIGHBORS 100 /* indices are of 7 bits */
#define LWIP_ND6_NUM_DESTINATIONS 100
#define LWIP_ND6_NUM_PREFIXES 8
#define LWIP_ND6_NUM_ROUTERS 4
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0

/* What reaches lwIP over UDP was checked by the lane, which knows what a same-host peer leaves undone. */
#define CHECKSUM_CHECK_UDP 0

#endif
