/*
 * rig.h - a lane with its own address on one end of a cable, the test's hands on the other
 */
#ifndef LANE_TESTS_LWIP_RIG_H
#define LANE_TESTS_LWIP_RIG_H

#include "drivers/control/lwip/lwip.h"
#include "lane-int/ctl.h"
#include "tests/sim/world.h"

#define RIG_SEEN 512
#define RIG_LEN  1600

struct rig_frame {
	uint64_t us;
	uint32_t len;
	uint8_t b[RIG_LEN];
};

struct rig {
	struct world w; /* lane 0 is the one; lane 1 only lends its frames */
	struct lane_lwip_config cfg;
	struct lane_lwip *lw;
	uint64_t now_us;
	struct rig_frame seen[RIG_SEEN]; /* what came out, oldest first */
	unsigned int nr_seen;
};

/* The lane's side has rig_mac(0), the test's stations have rig_mac(1) and on. */
void rig_open(struct rig *r, const struct lane_lwip_config *cfg);
/* With rig_static(), the address there, and nothing seen yet. */
void rig_open_ready(struct rig *r);
void rig_close(struct rig *r);
/* Time passes in steps of 10 ms. */
void rig_run(struct rig *r, uint64_t us);
/* The frame goes in, and what follows at once happens. */
void rig_put(struct rig *r, const uint8_t *frame, uint32_t len);
/* Forgets what was seen. */
void rig_clear(struct rig *r);
/* The lane's configuration with address 10.0.0.1/24 by hand. */
struct lane_lwip_config rig_static(void);
/* 10.0.0.n */
struct lane_ip rig_ip(uint8_t n);

/* ---- frames by hand ---- */
#define ARP_REQUEST 1
#define ARP_REPLY   2
uint32_t rig_arp(uint8_t *f, unsigned int op, unsigned int from, const struct lane_ip *spa,
		 const struct lane_ip *tpa);
/* Ethernet and IP in front of the 'len' bytes at f + 54 (rig_body()), moved up for IPv4; checksums
 * done. To a group where 'dst' is one. Returns the frame's length. */
uint32_t rig_ip_frame(uint8_t *f, unsigned int from, const struct lane_ip *src,
		      const struct lane_ip *dst, uint8_t proto, const uint8_t *body, uint32_t len);
/* The checksum of a UDP, ICMP or ICMPv6 message of its own. */
void rig_sum(uint8_t *l4, const struct lane_ip *src, const struct lane_ip *dst, uint8_t proto,
	     uint32_t len);
/* Puts an 802.1Q tag into a frame; returns its length. */
uint32_t rig_tag(uint8_t *f, uint32_t len, uint16_t tci);
/* The nth frame seen of this EtherType (and IP protocol, if not 0), NULL: there is none. */
const struct rig_frame *rig_find(const struct rig *r, uint16_t type, uint8_t proto,
				 unsigned int nth);
/* How many there are. */
unsigned int rig_count(const struct rig *r, uint16_t type, uint8_t proto);

/* Of ICMPv6 messages of a type; routers are solicited too, at their own time. */
unsigned int rig_count_icmp6(const struct rig *r, uint8_t type);
/* The lane asks for 'peer', and station 1 answers. */
void rig_know6(struct rig *r, const struct lane_ip *peer, const struct lane_ip *ours);

#endif
