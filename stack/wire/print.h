/*
 * print.h - one packet in one line, as tests, `lane trace` and logs show it
 *
 * "IP 10.0.0.1.5000 > 10.0.0.2.80: Flags [S.], seq 1, ack 2, win 512, options [mss 1460], length 0"
 */
#ifndef LANE_WIRE_PRINT_H
#define LANE_WIRE_PRINT_H

#include <stddef.h>
#include <stdint.h>

/* Writes at most 'size' bytes with the final 0 and returns what snprintf would. 'frame': Ethernet. */
int lane_print_frame(char *out, size_t size, const uint8_t *frame, size_t len);

struct lane_ip;
/* "10.0.0.1" or "fe80::1". Returns 'out', which holds at least 46 bytes. */
char *lane_print_ip(char *out, size_t size, const struct lane_ip *ip);

#endif
