/*
 * uapi.h - parts of <linux/if_xdp.h> that Debian 12's headers (6.1) do not have yet
 */
#ifndef LANE_DRIVERS_XDP_UAPI_H
#define LANE_DRIVERS_XDP_UAPI_H

#include <linux/if_xdp.h>
#include <stdint.h>
#include <sys/socket.h>

#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4) /* bind: frames in several buffers (6.6) */
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0) /* descriptor: the frame goes on in the next one */
#endif
#ifndef XDP_TX_METADATA
#define XDP_TX_METADATA (1 << 1) /* descriptor: metadata lie in front of the data (6.8) */
#endif
#ifndef XDP_UMEM_TX_METADATA_LEN
#define XDP_UMEM_TX_METADATA_LEN (1 << 2)
#endif
#ifndef XDP_TXMD_FLAGS_CHECKSUM
#define XDP_TXMD_FLAGS_CHECKSUM (1 << 1)
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif

/* struct xdp_umem_reg of 6.8. Older kernels read the first 32 bytes, where the last field was
 * padding. */
struct lane_xdp_umem_reg {
	uint64_t addr, len;
	uint32_t chunk_size, headroom, flags, tx_metadata_len;
};

/* struct xsk_tx_metadata of 6.14; directly in front of the frame's data. */
struct lane_xdp_tx_metadata {
	uint64_t flags; /* XDP_TXMD_FLAGS_* */
	uint16_t csum_start, csum_offset;
	uint32_t reserved;
	uint64_t launch_time;
};

_Static_assert(sizeof(struct lane_xdp_tx_metadata) == 24, "as large as LANE_HEADROOM reckons");

#endif
