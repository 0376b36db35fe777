/*
 * cc_hystart.c - HyStart++ (see cc_hystart.h)
 *
 * Deviation from RFC 9406 4.2 as in Linux: growth has no limit for each ACK (L). Peers with receive offload, and our
 * own receiver, acknowledge a burst at once; 8 segments an ACK would be slower than doubling.
 */
#include "stack/tcp/cc_hystart.h"

#include "stack/base/seq.h"

/* RFC 9406 4.3. */
#define MIN_THRESH_US 4000
#define MAX_THRESH_US 16000
#define RTT_DIVISOR   8
#define SAMPLES       8
#define CSS_DIVISOR   4
#define CSS_ROUNDS    5

static void start_round(struct lane_hystart *h, uint32_t snd_nxt)
{
	h->begun = 1;
	h->window_end = snd_nxt;
	h->last_us = h->cur_us;
	h->cur_us = 0;
	h->nr_samples = 0;
}

static bool has_grown(const struct lane_hystart *h)
{
	uint32_t thresh = h->last_us / RTT_DIVISOR;

	if (thresh > MAX_THRESH_US)
		thresh = MAX_THRESH_US;
	if (thresh < MIN_THRESH_US)
		thresh = MIN_THRESH_US;
	return h->last_us && h->cur_us >= h->last_us + thresh;
}

uint32_t lane_hystart_ack(struct lane_hystart *h, const struct lane_cc_sample *s)
{
	if (!h->begun) {
		start_round(h, s->snd_nxt);
	} else if (lane_seq_gt(s->snd_una, h->window_end)) {
		if (h->base_us && ++h->nr_rounds >= CSS_ROUNDS)
			return 0;
		start_round(h, s->snd_nxt);
	}
	if (s->rtt_us) {
		if (h->cur_us == 0 || s->rtt_us < h->cur_us)
			h->cur_us = s->rtt_us;
		if (h->nr_samples < SAMPLES)
			h->nr_samples++;
	}
	if (h->nr_samples >= SAMPLES && h->base_us == 0 && has_grown(h)) {
		h->base_us = h->cur_us;
		h->nr_rounds = 0;
	} else if (h->nr_samples >= SAMPLES && h->base_us && h->cur_us < h->base_us) {
		h->base_us = 0;
	}
	return h->base_us ? CSS_DIVISOR : 1;
}
