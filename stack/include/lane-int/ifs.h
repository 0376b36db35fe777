/*
 * ifs.h - a lane's interfaces taken together: whose address it is, which of them a route leaves by
 *
 * Each interface has a table of its own (nettab.h) that mirrors all routes of the host, those that
 * leave by another interface as ELSEWHERE; so at most one of the tables has a way to a destination.
 * Link-local addresses belong to one link: only the first interface's are the lane's, others'
 * stay with the kernel. With one interface all of this is what its table says.
 */
#ifndef LANE_INT_IFS_H
#define LANE_INT_IFS_H

#include "lane-int/nettab.h"

struct lane;

unsigned int lane_nr_ifs(const struct lane *ln);
/* The table of interface 'ifi' (out of shared memory: beyond the last, the first one's). */
struct lane_nettab *lane_ifs_net(const struct lane *ln, unsigned int ifi);
/* The interface that queue 'queue' belongs to. */
unsigned int lane_ifs_of_queue(const struct lane *ln, unsigned int queue);
/* The interface that has 'ip' as its own address, -1: none. */
int lane_ifs_addr(const struct lane *ln, const struct lane_ip *ip);
/* lane_net_addr_mask() for a claim on interface 'ifi'. */
uint32_t lane_ifs_addr_mask(const struct lane *ln, unsigned int ifi, const struct lane_ip *ip,
			    bool v6only);
/* lane_net_is_group() for any of the interfaces. */
bool lane_ifs_is_group(const struct lane *ln, const struct lane_ip *ip);
/* One of the interfaces is lo. */
bool lane_ifs_have_loopback(const struct lane *ln);
/*
 * As lane_net_route(), but returns the interface to leave by. 'first' is asked first: where the flow
 * goes already. -EXDEV also where 'src' is lo's and the way is not, or the other way round.
 */
int lane_ifs_route(const struct lane *ln, unsigned int first, const struct lane_ip *dst,
		   const struct lane_ip *src, struct lane_net_hop *hop);
/* Somebody asked for a neighbour to be resolved. */
bool lane_ifs_wanted(const struct lane *ln);

#endif
