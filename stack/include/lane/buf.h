/*
 * buf.h - frames and what is known of them
 *
 * Theory of operation. A lane's frames lie in one area (the UMEM of AF_XDP) at a stride that is
 * no power of two; what is known of frame i is meta[i], a cache line of its own in a side array.
 * Both lie in memory that several processes may map at different addresses, so links between
 * frames are indices. A 'struct lane_buf *' is good in this process only, while the lane's lock
 * is held or the frame is the caller's.
 *
 * A packet is one frame, or a chain: LANE_BUF_MORE on every frame but the last, joined by 'next'.
 * A queue of packets uses the same link behind a last frame.
 *
 * A frame may be held twice while it is sent: by the send queue until it is acknowledged
 * (LANE_BUF_SNDQ) and by the driver until its completion (LANE_BUF_TX). It goes back to the pool
 * when both are gone: lane_buf_tx_done() and lane_buf_free() look. A frame with LANE_BUF_TX must
 * not be written (design.md 6).
 */
#ifndef LANE_BUF_H
#define LANE_BUF_H

#include <assert.h>
#include <stddef.h>

#include <lane/types.h>

/*
 * Room kept free in front of sent payload, in bytes: transmit metadata (24), Ethernet with a VLAN
 * tag (18), IPv6 (40), TCP with options (60), rounded up to cache lines.
 */
#define LANE_HEADROOM 192

#define LANE_BUF_MORE 0x01    /* the packet goes on in 'next' */
#define LANE_BUF_TX 0x02      /* the driver holds it until its completion */
#define LANE_BUF_SNDQ 0x04    /* a send queue holds it until it is acknowledged */
#define LANE_BUF_CSUM 0x08    /* to send: the L4 checksum field holds the pseudo-header sum; the
			       * driver or the edge completes it, see csum_start and csum_off */
#define LANE_BUF_CSUM_OK 0x10 /* received: the driver vouches for the L4 checksum */
#define LANE_BUF_PARTIAL_OK 0x20 /* received: a same-host peer may have left the L4 checksum at the
				  * folded pseudo-header sum */
#define LANE_BUF_NO_DF 0x40  /* to send, IPv4: routers may cut it */
#define LANE_BUF_FREE 0x80    /* in the pool: for the checks */

/* lane_buf.owner of a frame that waits in a driver's ring to be filled: nobody's until it comes back
 * from rx_burst(), whoever dies. (Frames being sent are marked LANE_BUF_TX.) */
#define LANE_BUF_DRIVER 0xff

struct lane_buf {
	uint32_t next;	     /* index of the next frame of the packet or queue, else LANE_NIL */
	uint16_t off;	     /* first byte of data, from the start of the frame */
	uint16_t len;	     /* bytes of data in this frame */
	uint32_t pkt_len;    /* in the first frame of a packet: bytes in all its frames */
	uint8_t flags;	     /* LANE_BUF_* */
	uint8_t owner;	     /* row + 1 of the process that took it out of the lane, 0: the lane,
			      * LANE_BUF_DRIVER: a driver's ring */
	uint8_t queue;	     /* index of the queue that it came from, or is to leave by */
	uint8_t nr_tx;	     /* sent payload: how many times it was transmitted, saturating */
	uint16_t l3_off;     /* IP header, from the start of the frame */
	uint16_t l4_off;     /* TCP, UDP or ICMP header, from the start of the frame */
	uint16_t csum_start; /* LANE_BUF_CSUM: where the sum starts, from the start of the data */
	uint16_t csum_off;   /* LANE_BUF_CSUM: the field, from csum_start */
	uint32_t seq;	     /* TCP: sequence number of the first byte of text */
	uint16_t tcp_flags;  /* TCP send queue: SYN, FIN, PSH of this segment (wire bits) */
	uint16_t text_off;   /* TCP send queue: first byte of text, from the start of the frame */
	uint16_t text_len;   /* TCP send queue: bytes of text */
	uint16_t snd_state;  /* TCP send queue: what is known of it (stack/tcp/pcb.h, LANE_SND_*) */
	uint32_t user;	     /* free for the layer that holds it (UDP: index of the sender record; TCP send
			      * queue: bytes that had been delivered when it left, see stack/tcp/rate.h) */
	uint64_t tx_us;	     /* TCP send queue: when it was last transmitted, 0: never */
	uint64_t first_tx_us; /* TCP send queue: when it was first transmitted */
	uint16_t rate_ack_us, rate_send_us; /* TCP send queue: for the delivery rate (stack/tcp/rate.h) */
	uint16_t rate_lost, rate_flight;
};

_Static_assert(sizeof(struct lane_buf) == 64, "one cache line a frame");

/* The part of a pool that all processes share. LIFO, so that the hottest frame is used next. */
struct lane_buf_pool {
	uint32_t free_head; /* index, LANE_NIL when empty */
	uint32_t nr_free;
	uint32_t nr_low; /* fewest free so far */
	uint32_t nr;
};

/* A process' view of a lane's frames. */
struct lane_bufs {
	struct lane_buf *meta;
	uint8_t *frames;
	struct lane_buf_pool *pool;
	uint32_t nr;	 /* frames */
	uint32_t stride; /* bytes from one frame to the next */
	uint32_t size;	 /* bytes of a frame that may be used, <= stride */
};

static inline uint32_t lane_buf_index(const struct lane_bufs *bs, const struct lane_buf *b)
{
	return (uint32_t)(b - bs->meta);
}

/* The frame with index 'i', NULL if there is none such (an index may come from a hostile member). */
static inline struct lane_buf *lane_buf_at(const struct lane_bufs *bs, uint32_t i)
{
	return i < bs->nr ? &bs->meta[i] : NULL;
}

/* Byte 0 of the frame of 'b'. */
static inline uint8_t *lane_buf_frame(const struct lane_bufs *bs, const struct lane_buf *b)
{
	return bs->frames + (size_t)lane_buf_index(bs, b) * bs->stride;
}

/* The first byte of data of 'b'. */
static inline uint8_t *lane_buf_data(const struct lane_bufs *bs, const struct lane_buf *b)
{
	return lane_buf_frame(bs, b) + b->off;
}

/* Returns owned a frame with off = LANE_HEADROOM, no data and no links, or NULL: the pool is empty. */
struct lane_buf *lane_buf_alloc(struct lane_bufs *bs);

/* Returns owned a packet of 'len' bytes, copied from 'bytes' into frames of 'piece' bytes (off = 0) at most each, or
 * NULL: the pool has too few frames. */
struct lane_buf *lane_buf_packet(struct lane_bufs *bs, const void *bytes, uint32_t len, uint32_t piece);

/* Consumes one frame. If the driver still holds it, it is freed at its completion instead. */
void lane_buf_free(struct lane_bufs *bs, struct lane_buf *b);

/* Consumes a whole packet (LANE_BUF_MORE); returns the index behind it, LANE_NIL at the end. */
uint32_t lane_buf_free_packet(struct lane_bufs *bs, struct lane_buf *b);

/* The driver's hold ends; frees 'b' unless a send queue still holds it. */
void lane_buf_tx_done(struct lane_bufs *bs, struct lane_buf *b);

/* Makes all frames free. For a new pool, and for the rebuild after a member died in the lock. */
void lane_buf_pool_init(struct lane_bufs *bs);

#endif
