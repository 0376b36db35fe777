#!/bin/bash
# full.sh - an arena with fewer connections than the program wants: the rest are the kernel's, all work
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns=$lane_tag-l

# spill ATONCE MIN: so many connect at a time; at least MIN of the connections are the kernel's. All at once, most
# SYNs come before the lane is full: how many wait there for a pcb and how few go to the kernel is chance.
spill()
{
	local kernel
	in_ns "$ns" timeout 90 "$LANE" run --strict -i lo --memory 8M -- \
		/usr/bin/python3 "$here/echo_asyncio.py" 2000 3 "$1" || return 1
	kernel=$(in_ns "$ns" awk '/^Tcp: [0-9]/ { print $7 }' /proc/net/snmp)
	say "$kernel of 2000 connections were the kernel's"
	[ "$kernel" -ge "$2" ] && [ "$kernel" -lt 1900 ]
}

begin
ns_add "$ns" || exit 1
case_ pcbs-run-out spill 50 101
case_ all-at-once spill 2000 1
end
