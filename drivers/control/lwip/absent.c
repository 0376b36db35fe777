/*
 * absent.c - in place of the control plane where lane was built without lwIP
 */
#include <errno.h>
#include <stdio.h>

#include "lwip.h"

int lane_lwip_open(const struct lane_lwip_config *cfg, struct lane_nettab *net, uint64_t now_us,
		   struct lane_lwip **lw, char *err)
{
	snprintf(err, LANE_LWIP_ERR,
		 "lane was built without lwIP, which own-address mode needs: run scripts/setup, or "
		 "say meson "
		 "-Dlwip=DIR where its source is, and build anew");
	return -ENOSYS;
}

void lane_lwip_link(struct lane_lwip *lw, uint64_t now_us, bool up)
{
}

void lane_lwip_in(struct lane_lwip *lw, uint64_t now_us, const uint8_t *frame, uint32_t len)
{
}

void lane_lwip_groups(struct lane_lwip *lw, uint64_t now_us, const struct lane_ip *groups, unsigned int n)
{
}

bool lane_lwip_step(struct lane_lwip *lw, uint64_t now_us)
{
	return false;
}

uint64_t lane_lwip_next(const struct lane_lwip *lw)
{
	return UINT64_MAX;
}

int lane_lwip_ready(const struct lane_lwip *lw, char *err)
{
	return -ENOSYS;
}

void lane_lwip_describe(const struct lane_lwip *lw, char *out, size_t size)
{
	snprintf(out, size, "none");
}

void lane_lwip_close(struct lane_lwip *lw)
{
}
