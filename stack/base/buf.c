/*
 * buf.c - the pool of frames
 *
 * A frame is in the pool exactly when it has LANE_BUF_FREE. The two holds of a sent frame
 * (LANE_BUF_SNDQ, LANE_BUF_TX) are given up one by one; whoever gives up the last one puts it back.
 */
#include <lane/buf.h>

static void put_back(struct lane_bufs *bs, struct lane_buf *b)
{
	struct lane_buf_pool *p = bs->pool;

	b->flags = LANE_BUF_FREE;
	b->owner = 0;
	b->next = p->free_head;
	p->free_head = lane_buf_index(bs, b);
	p->nr_free++;
}

/* What will be written of a frame that is taken, and which frame is taken next: memory is far. */
__attribute__((always_inline)) static inline void fetch(struct lane_bufs *bs, struct lane_buf *b)
{
	const uint8_t *frame = lane_buf_frame(bs, b);
	const struct lane_buf *next = lane_buf_at(bs, bs->pool->free_head);

	__builtin_prefetch(frame + LANE_HEADROOM - 128, 1);
	__builtin_prefetch(frame + LANE_HEADROOM - 64, 1);
	__builtin_prefetch(frame + LANE_HEADROOM, 1);
	if (next)
		__builtin_prefetch(next, 1);
}

struct lane_buf *lane_buf_alloc(struct lane_bufs *bs)
{
	struct lane_buf_pool *p = bs->pool;
	struct lane_buf *b = lane_buf_at(bs, p->free_head);

	if (!b)
		return NULL;
	assert(b->flags == LANE_BUF_FREE);
	p->free_head = b->next;
	p->nr_free--;
	if (p->nr_free < p->nr_low)
		p->nr_low = p->nr_free;
	fetch(bs, b);
	*b = (struct lane_buf){.next = LANE_NIL, .off = LANE_HEADROOM};
	return b;
}

void lane_buf_free(struct lane_bufs *bs, struct lane_buf *b)
{
	assert(!(b->flags & LANE_BUF_FREE));
	b->flags &= (uint8_t)~LANE_BUF_SNDQ;
	if (!(b->flags & LANE_BUF_TX))
		put_back(bs, b);
}

uint32_t lane_buf_free_packet(struct lane_bufs *bs, struct lane_buf *b)
{
	/* A packet has no more frames than there are: a ring of links ends too. */
	for (uint32_t n = 0; n < bs->nr; n++) {
		bool more = b->flags & LANE_BUF_MORE;
		uint32_t next = b->next;

		lane_buf_free(bs, b);
		if (!more)
			return next;
		b = lane_buf_at(bs, next);
		if (!b)
			break;
	}
	return LANE_NIL;
}

struct lane_buf *lane_buf_packet(struct lane_bufs *bs, const void *bytes, uint32_t len, uint32_t piece)
{
	struct lane_buf *first = NULL, *last = NULL;
	uint32_t done = 0;

	do {
		struct lane_buf *b = lane_buf_alloc(bs);

		if (!b) {
			if (first)
				lane_buf_free_packet(bs, first);
			return NULL;
		}
		b->off = 0;
		b->len = (uint16_t)(len - done < piece ? len - done : piece);
		memcpy(lane_buf_data(bs, b), (const uint8_t *)bytes + done, b->len);
		done += b->len;
		if (last) {
			last->flags |= LANE_BUF_MORE;
			last->next = lane_buf_index(bs, b);
		} else {
			first = b;
		}
		last = b;
	} while (done < len);
	first->pkt_len = len;
	return first;
}

void lane_buf_tx_done(struct lane_bufs *bs, struct lane_buf *b)
{
	assert(b->flags & LANE_BUF_TX);
	b->flags &= (uint8_t)~LANE_BUF_TX;
	if (!(b->flags & LANE_BUF_SNDQ))
		put_back(bs, b);
}

void lane_buf_pool_init(struct lane_bufs *bs)
{
	for (uint32_t i = 0; i < bs->nr; i++) {
		bs->meta[i] = (struct lane_buf){
			.next = i + 1 < bs->nr ? i + 1 : LANE_NIL,
			.flags = LANE_BUF_FREE,
		};
	}
	*bs->pool = (struct lane_buf_pool){
		.free_head = bs->nr ? 0 : LANE_NIL,
		.nr_free = bs->nr,
		.nr_low = bs->nr,
		.nr = bs->nr,
	};
}
