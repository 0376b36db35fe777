/*
 * nolwip.c - lwip.h where liblwip-dev is not installed
 */
#include "bench/micro/lwip.h"

double lwip_echo(uint32_t flows, uint32_t text, uint32_t rounds, unsigned int repeats)
{
	(void)flows;
	(void)text;
	(void)rounds;
	(void)repeats;
	return -1;
}
