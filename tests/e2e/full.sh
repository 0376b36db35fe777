#!/bin/bash
# full.sh - an arena with fewer connections than the program wants: the rest are the kernel's, all work
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns=$lane_tag-l

# spill ATONCE MIN: so many connect at a time; at least MIN of the connections are the kernel's. All at once, most
# SYNs come before the lane is full: how many wait there for a pcb and how few go to the kernel is chance.
spill()
{
	local kernel before
	before=$(in_ns "$ns" awk '/^Tcp: [0-9]/ { print $7 }' /proc/net/snmp)
	in_ns "$ns" timeout 90 "$LANE" run --strict -i lo --memory 8M -- \
		/usr/bin/python3 "$here/echo_asyncio.py" 2000 3 "$1" || return 1
	kernel=$(in_ns "$ns" awk '/^Tcp: [0-9]/ { print $7 }' /proc/net/snmp)
	kernel=$((kernel - before))
	say "$kernel of 2000 connections were the kernel's"
	[ "$kernel" -ge "$2" ] && [ "$kernel" -lt 1900 ]
}

# many CLIENTS: both ends in small arenas; more clients than these have connections for, and all busy. A program
# that tries a write again and again reads nothing meanwhile: none must depend on that.
many()
{
	lane_start 6379 redis-server --port 6379 --bind "$S4" --save '' --appendonly no --protected-mode no \
		--dir "$lane_tmp" || return 1
	in_c timeout 100 "$LANE" run --strict -i "$if_c" -- redis-benchmark -h "$S4" -c "$1" -n 20000 -t set -q ||
		no "redis-benchmark with $1 clients does not end"
	clear_ns
}

# wait_said TEXT: what refused_writes.py says, within 25 s.
wait_said()
{
	local i
	for ((i = 0; i < 500; i++)); do
		grep -q "$1" "$lane_tmp/refused" && return 0
		sleep 0.05
	done
	no "it never said $1: $(tail -n 1 "$lane_tmp/refused")"
}

frames_free()
{
	in_s "$LANE" stat -i "$if_s" | awk '$1 == "frames_free" { print $2 }'
}

# A write that is refused keeps no frame.
refused()
{
	local before after
	out=$lane_tmp/refused start "$ns_s" "$LANE" run --strict -i "$if_s" -- /usr/bin/python3 "$here/refused_writes.py" "$S4" 7001
	wait_port "$ns_s" 7001 || return 1
	start "$ns_c" /usr/bin/python3 -c "import socket, time; c = socket.create_connection(('$S4', 7001)); time.sleep(60)"
	wait_said full || return 1
	before=$(frames_free)
	wait_said 'refused 4000' || return 1
	after=$(frames_free)
	say "$before frames were free, then $after"
	[ "$before" -gt 0 ] && [ $((before - after)) -lt 100 ] || no "refused writes keep frames: $before, then $after" || return 1
	clear_ns
}

begin
ns_add "$ns" || exit 1
case_ pcbs-run-out spill 50 101
case_ all-at-once spill 2000 1
net_up
case_ refused-writes refused
export LANE_MEMORY=8M
for n in 50 500 2000; do
	case_ "both-ends-$n" many "$n"
done
end
