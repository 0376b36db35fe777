/*
 * frames.h - a small pool of frames for driver tests, without a lane
 */
#ifndef LANE_TESTS_FRAMES_H
#define LANE_TESTS_FRAMES_H

#include <lane/buf.h>

#define NR_FRAMES    16
#define FRAME_STRIDE 2112

struct frames {
	struct lane_bufs bs;
	struct lane_buf_pool pool;
	struct lane_buf meta[NR_FRAMES];
	uint8_t bytes[NR_FRAMES * FRAME_STRIDE];
};

static inline void frames_init(struct frames *f)
{
	f->bs = (struct lane_bufs){
		.meta = f->meta,
		.frames = f->bytes,
		.pool = &f->pool,
		.nr = NR_FRAMES,
		.stride = FRAME_STRIDE,
		.size = 2048,
	};
	lane_buf_pool_init(&f->bs);
}

/* Returns owned one frame with 'len' bytes 0, 1, 2... */
static inline struct lane_buf *frames_packet(struct frames *f, uint16_t len)
{
	struct lane_buf *b = lane_buf_alloc(&f->bs);

	b->len = len;
	b->pkt_len = len;
	for (uint16_t i = 0; i < len; i++)
		lane_buf_data(&f->bs, b)[i] = (uint8_t)i;
	return b;
}

#endif
