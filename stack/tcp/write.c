/*
 * write.c - the program's text on its way into the send queue
 *
 * A frame holds one segment's text. A small write fills up the last frame that has not left yet, so
 * frames are nearly full under load. The buffer's limit is in bytes of text and in frames: five bytes
 * in a frame of their own cost as much as 2 KB.
 */
#include "stack/tcp/pcb.h"

#define SNDBUF_START (128 * 1024) /* bytes of text, before autotuning */
#define BYTES_PER_FRAME 512	  /* a frame counts as so many bytes at least */
#define PLAIN_MAX 1024		  /* bytes of a plain write */

uint32_t lane_tcp_fair_share(const struct lane *ln)
{
	const struct lane_state *st = ln->st;
	uint64_t share;

	if (st->bufs.nr_free >= st->bufs.nr / 2)
		return UINT32_MAX;
	share = (uint64_t)st->bufs.nr * 512 / (st->tcp_pool.nr_used + 1);
	if (share > UINT32_MAX)
		return UINT32_MAX;
	return share > BYTES_PER_FRAME ? (uint32_t)share : BYTES_PER_FRAME;
}

/* What the window needs twice over, up to tcp_wmem's last and to a share of the frames. */
uint32_t lane_tcp_snd_limit(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t per_frame = pcb->snd_mss > 1024 ? pcb->snd_mss : 1024;
	uint32_t max = ln->st->cfg.tcp_wmem[2], share = ln->st->bufs.nr / 6 * per_frame;
	uint32_t fair = lane_tcp_fair_share(ln);
	uint32_t n = x->cc.cwnd < max / 2 ? 2 * x->cc.cwnd : max;

	if (pcb->flags & LANE_TF_SNDBUF_SET)
		return lane_tcp_opts(ln, pcb)->sndbuf / 2 < fair ? lane_tcp_opts(ln, pcb)->sndbuf / 2 : fair;
	if (n < ln->st->cfg.tcp_wmem[1])
		n = ln->st->cfg.tcp_wmem[1];
	if (n < SNDBUF_START)
		n = SNDBUF_START < max ? SNDBUF_START : max;
	if (n > fair)
		n = fair;
	return n < share ? n : share;
}

static uint32_t snd_queued(const struct lane *ln, const struct lane_tcp *pcb)
{
	uint32_t una = pcb->snd_una, end = lane_tcp_snd_end(ln, pcb);

	/* The FIN is no text. */
	return lane_seq_gt(end, una) ? end - una : 0;
}

/* Bytes of buffer in use. */
static uint32_t snd_used(const struct lane *ln, const struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t queued = snd_queued(ln, pcb), frames = x->nr_sndq * BYTES_PER_FRAME;

	return queued > frames ? queued : frames;
}

/* Bytes that may be written to one who may send. */
static uint32_t space_of(const struct lane *ln, const struct lane_tcp *pcb, uint32_t limit, uint32_t used)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	/* With few frames left a connection may have one, so that an ACK tells it to go on. */
	if (lane_tcp_frames_short(ln))
		return x->nr_sndq == 0 && ln->st->bufs.nr_free > ln->st->bufs.nr / 64 * 5 ?
			       pcb->snd_mss :
			       0;
	return limit > used ? limit - used : 0;
}

uint32_t lane_tcp_snd_space(const struct lane *ln, const struct lane_tcp *pcb)
{
	if (!lane_tcp_x_may_send(ln, pcb))
		return 0;
	return space_of(ln, pcb, lane_tcp_snd_limit(ln, pcb), snd_used(ln, pcb));
}

/* One who may send, and may queue 'limit' bytes, has room worth a wake-up. */
static bool has_room(const struct lane *ln, const struct lane_tcp *pcb, uint32_t limit)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t used = snd_used(ln, pcb);
	uint32_t unsent = lane_seq_gt(x->snd_end, pcb->snd_nxt) ? x->snd_end - pcb->snd_nxt : 0;
	uint32_t lowat = lane_tcp_opts(ln, pcb)->notsent_lowat;

	if (lowat == UINT32_MAX)
		lowat = ln->st->cfg.notsent_lowat;
	return used <= limit / 3 * 2 && unsent < lowat && space_of(ln, pcb, limit, used) > 0;
}

bool lane_tcp_is_writable(const struct lane *ln, const struct lane_tcp *pcb)
{
	return lane_tcp_x_may_send(ln, pcb) && has_room(ln, pcb, lane_tcp_snd_limit(ln, pcb));
}

/* Space that is short for want of frames or of an extension comes back without an ACK: time has to bring it. */
static void wait_for_means(struct lane *ln, struct lane_tcp *pcb)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	uint32_t us = lane_tcp_x_may_send(ln, pcb) ? LANE_RETRY_US : LANE_X_WAIT_US;

	if ((x->nr_sndq == 0 || lane_tcp_frames_short(ln)) && !lane_tcp_armed(pcb, LANE_TT_RETRY))
		lane_tcp_arm(ln, pcb, LANE_TT_RETRY, us);
}

void lane_tcp_space_back(struct lane *ln, struct lane_tcp *pcb)
{
	if (!(pcb->flags & LANE_TF_NOSPACE))
		return;
	if (lane_tcp_x_low(ln, pcb))
		lane_tcp_x_get_tx(ln, pcb); /* looks for one */
	if (!lane_tcp_is_writable(ln, pcb)) {
		wait_for_means(ln, pcb);
		return;
	}
	pcb->flags &= ~LANE_TF_NOSPACE;
	lane_tcp_notify(ln, pcb, LANE_EV_WRITABLE);
}

/* A write fell short: an ACK, or time if no frame could be had, brings LANE_EV_WRITABLE. */
static void no_space(struct lane *ln, struct lane_tcp *pcb)
{
	/* It has ended, and an error is what is told; or it is a listener. */
	if (!(pcb->flags & LANE_TF_HASHED) || pcb->state == LANE_TCP_LISTEN)
		return;
	pcb->flags |= LANE_TF_NOSPACE;
	wait_for_means(ln, pcb);
}

void lane_tcp_want_space(struct lane *ln, struct lane_tcp *pcb)
{
	lane_tcp_work(ln, pcb);
	no_space(ln, pcb);
}

/* 0 if text may be written, else -errno: the pending error once, then EPIPE (posix.md 66). */
static int may_write(struct lane_tcp *pcb)
{
	int err = pcb->err;

	if (err) {
		pcb->err = 0;
		return -err;
	}
	if (pcb->flags & LANE_TF_WR_SHUT)
		return -EPIPE;
	if (pcb->state == LANE_TCP_SYN_SENT || pcb->state == LANE_TCP_SYN_RECEIVED)
		return -EAGAIN;
	return pcb->state == LANE_TCP_ESTABLISHED || pcb->state == LANE_TCP_CLOSE_WAIT ? 0 : -EPIPE;
}

/* Appends a frame whose text is in place, of which nothing else is known yet. */
static void sndq_push(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *tail = lane_buf_at(&ln->bufs, x->sndq_tail);
	uint32_t i = lane_buf_index(&ln->bufs, b);

	b->seq = x->snd_end;
	b->flags |= LANE_BUF_SNDQ;
	if (tail)
		tail->next = i;
	else
		x->sndq_head = i;
	x->sndq_tail = i;
	if (x->snd_unsent == LANE_NIL)
		x->snd_unsent = i;
	x->nr_sndq++;
	x->snd_end += b->text_len;
}

/* The last frame takes more, if it has not left: bytes that fit behind its text. */
static uint32_t tail_room(const struct lane *ln, const struct lane_tcp *pcb, struct lane_buf **tail)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = lane_buf_at(&ln->bufs, x->sndq_tail);
	uint32_t room, by_mss;

	if (!b || b->nr_tx || (b->flags & LANE_BUF_TX) || x->snd_unsent == LANE_NIL ||
	    b->text_len >= pcb->snd_mss)
		return 0;
	*tail = b;
	room = ln->bufs.size - b->text_off - b->text_len;
	by_mss = pcb->snd_mss - b->text_len;
	return room < by_mss ? room : by_mss;
}

uint32_t lane_tcp_tail_room(const struct lane *ln, const struct lane_tcp *pcb)
{
	struct lane_buf *tail;

	return tail_room(ln, pcb, &tail);
}

static int copy_in(lane_copy_fn copy, void *dst, const void *src, size_t n)
{
	if (copy)
		return copy(dst, src, n);
	memcpy(dst, src, n);
	return 0;
}

/* Copies at most 'len' bytes into the last frame or a new one. Bytes taken, or -errno. */
static ssize_t write_piece(struct lane *ln, struct lane_tcp *pcb, const uint8_t *src, size_t len,
			   lane_copy_fn copy)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *b = NULL;
	uint32_t n = tail_room(ln, pcb, &b);
	bool fresh = n == 0;

	if (fresh) {
		/* The last frames are for what comes in: ACKs free what is here. */
		if (x->nr_sndq && lane_tcp_frames_short(ln))
			return -EAGAIN;
		b = lane_buf_alloc(&ln->bufs);
		if (!b)
			return -EAGAIN;
		b->text_off = b->off;
		b->text_len = 0;
		n = pcb->snd_mss;
	}
	if (len < n)
		n = (uint32_t)len;
	if (copy_in(copy, lane_buf_frame(&ln->bufs, b) + b->text_off + b->text_len, src, n)) {
		if (fresh)
			lane_buf_free(&ln->bufs, b);
		return -EFAULT;
	}
	b->text_len += n;
	if (fresh)
		sndq_push(ln, pcb, b);
	else
		x->snd_end += n;
	return n;
}

/* The end of a write is a place to push. 'tail' is the last frame that is queued. */
static void pushed(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *tail, bool more)
{
	if (tail && !more)
		tail->tcp_flags |= LANE_WIRE_PSH;
	if (more)
		pcb->flags |= LANE_TF_MORE;
	else
		pcb->flags &= ~LANE_TF_MORE;
	lane_tcp_want_output(ln, pcb);
}

/* After text was queued, of 'limit' bytes at most. Who polls for room from now on has not been refused any: he is told
 * all the same. */
static void queued(struct lane *ln, struct lane_tcp *pcb, uint32_t limit, bool more)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

	if (!has_room(ln, pcb, limit))
		no_space(ln, pcb);
	pushed(ln, pcb, lane_buf_at(&ln->bufs, x->sndq_tail), more);
}

/* A small text on a connection with nothing queued, while frames and extensions are plenty: what is to be counted is
 * known beforehand to leave room, since no limit but the program's own is below three such texts then. */
static bool is_plain(const struct lane *ln, const struct lane_tcp *pcb, size_t len)
{
	const struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	const struct lane_state *st = ln->st;
	uint32_t lowat = lane_tcp_opts(ln, pcb)->notsent_lowat;

	_Static_assert(3 * PLAIN_MAX <= SNDBUF_START && BYTES_PER_FRAME <= PLAIN_MAX, "so has_room()");
	if (lowat == UINT32_MAX)
		lowat = st->cfg.notsent_lowat;
	return len - 1 < PLAIN_MAX && len <= pcb->snd_mss && len < lowat && pcb->state == LANE_TCP_ESTABLISHED &&
	       pcb->err == 0 && !(pcb->flags & (LANE_TF_WR_SHUT | LANE_TF_SNDBUF_SET)) &&
	       pcb->x < st->x_pool.nr && x->sndq_head == LANE_NIL && lane_tcp_x_plenty(ln) &&
	       st->bufs.nr >= 18 && st->bufs.nr_free >= st->bufs.nr / 2 && st->cfg.tcp_wmem[2] >= 3 * PLAIN_MAX;
}

/* lane_tcp_write() of a plain text. */
static ssize_t write_plain(struct lane *ln, struct lane_tcp *pcb, const void *src, uint32_t len, bool more,
			   lane_copy_fn copy)
{
	struct lane_buf *b;

	lane_tcp_work(ln, pcb);
	b = lane_buf_alloc(&ln->bufs);
	if (!b)
		return -EAGAIN;
	if (copy_in(copy, lane_buf_data(&ln->bufs, b), src, len)) {
		lane_buf_free(&ln->bufs, b);
		return -EFAULT;
	}
	b->text_off = b->off;
	b->text_len = (uint16_t)len;
	sndq_push(ln, pcb, b);
	pushed(ln, pcb, b, more);
	return len;
}

/* Apart, as the short way needs none of its registers. */
__attribute__((noinline)) static ssize_t write_any(struct lane *ln, struct lane_tcp *pcb, const void *src, size_t len,
						   bool more, lane_copy_fn copy)
{
	uint32_t limit, space;
	size_t done = 0, n;
	ssize_t r;

	r = may_write(pcb);
	if (r || len == 0)
		return r;
	lane_tcp_work(ln, pcb);
	if ((pcb->x == LANE_NIL || lane_tcp_x_low(ln, pcb)) && !lane_tcp_x_get_tx(ln, pcb)) {
		no_space(ln, pcb);
		return -EAGAIN;
	}
	limit = lane_tcp_snd_limit(ln, pcb);
	space = space_of(ln, pcb, limit, snd_used(ln, pcb));
	n = len < space ? len : space;
	r = 0;
	while (done < n) {
		r = write_piece(ln, pcb, (const uint8_t *)src + done, n - done, copy);
		if (r < 0)
			break;
		done += (size_t)r;
	}
	if (done < len && r != -EFAULT)
		no_space(ln, pcb);
	if (done == 0)
		return r < 0 ? r : -EAGAIN;
	queued(ln, pcb, limit, more);
	return (ssize_t)done;
}

ssize_t lane_tcp_write(struct lane *ln, struct lane_tcp *pcb, const void *src, size_t len, bool more,
		       lane_copy_fn copy)
{
	if (!ln->no_plain && is_plain(ln, pcb, len))
		return write_plain(ln, pcb, src, (uint32_t)len, more, copy);
	return write_any(ln, pcb, src, len, more, copy);
}

ssize_t lane_tcp_write_oob(struct lane *ln, struct lane_tcp *pcb, const void *src, size_t len,
			   lane_copy_fn copy)
{
	ssize_t r = lane_tcp_write(ln, pcb, src, len, false, copy);

	/* RFC 6093 4: the pointer goes behind the last byte. */
	if (r > 0) {
		struct lane_tcp_x *x = lane_tcp_x(ln, pcb);

		x->snd_up = x->snd_end;
		pcb->flags |= LANE_TF_URG_SND;
	}
	return r;
}

/* A frame's text goes behind that of the last one, if it fits there whole: what a program writes in
 * two calls (a header, then a small file) leaves as one segment. Consumes 'b' then. */
static bool join_tail(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *b)
{
	struct lane_tcp_x *x = lane_tcp_x(ln, pcb);
	struct lane_buf *tail;

	if (tail_room(ln, pcb, &tail) < b->len)
		return false;
	memcpy(lane_buf_frame(&ln->bufs, tail) + tail->text_off + tail->text_len,
	       lane_buf_data(&ln->bufs, b), b->len);
	tail->text_len += b->len;
	x->snd_end += b->len;
	lane_buf_free(&ln->bufs, b);
	return true;
}

int lane_tcp_send(struct lane *ln, struct lane_tcp *pcb, struct lane_buf *bufs[], uint32_t n, bool more)
{
	uint32_t bytes = 0;
	int r = may_write(pcb);

	if (r)
		return r;
	lane_tcp_work(ln, pcb);
	for (uint32_t i = 0; i < n; i++) {
		if (bufs[i]->off < LANE_HEADROOM)
			return -EINVAL;
		bytes += bufs[i]->len;
	}
	if (bytes > lane_tcp_snd_space(ln, pcb) || !lane_tcp_x_get_tx(ln, pcb)) {
		no_space(ln, pcb);
		return -EAGAIN;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct lane_buf *b = bufs[i];

		b->owner = 0;
		b->flags = 0;
		b->tcp_flags = b->snd_state = 0;
		b->nr_tx = 0;
		b->tx_us = 0;
		b->next = LANE_NIL;
		if (b->len == 0) {
			lane_buf_free(&ln->bufs, b);
			continue;
		}
		if (join_tail(ln, pcb, b))
			continue;
		b->text_off = b->off;
		b->text_len = b->len;
		sndq_push(ln, pcb, b);
	}
	queued(ln, pcb, lane_tcp_snd_limit(ln, pcb), more);
	return 0;
}

uint32_t lane_tcp_snd_mss(const struct lane *ln, const struct lane_tcp *pcb)
{
	return pcb->snd_mss ? pcb->snd_mss : ln->bufs.size - LANE_HEADROOM;
}
