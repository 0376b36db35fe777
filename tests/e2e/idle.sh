#!/bin/bash
# idle.sh - a server with 1,000 idle connections, and the keeper, cost under 1 % of a core over 10 s
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# The jiffies that the server's processes and the keeper have used.
used()
{
	local p sum=0
	for p in $(ip netns pids "$ns_s"); do
		sum=$((sum + $(sed 's/.*) //' "/proc/$p/stat" | awk '{ print $12 + $13 }')))
	done
	say "$sum"
}

idle() # PORT
{
	local before after limit
	out=$lane_tmp/hold start "$ns_c" timeout 60 /usr/bin/python3 "$here/conns.py" hold "$S4" "$1" 1000
	for ((i = 0; i < 200; i++)); do
		grep -q held "$lane_tmp/hold" && break
		sleep 0.1
	done
	grep -q 'held 1000' "$lane_tmp/hold" || no "1,000 connections: $(tail -n1 "$lane_tmp/hold")" || return 1
	[ "$(in_s ss -Htn state established "sport = :$1" | wc -l)" = 0 ] || no "the connections are the kernel's" || return 1
	sleep 2
	before=$(used)
	sleep 10
	after=$(used)
	limit=$(($(getconf CLK_TCK) / 10))
	say "$((after - before)) ticks of $limit allowed"
	[ $((after - before)) -lt "$limit" ] || no "$((after - before)) ticks of CPU time in 10 s, $limit or more is 1 %"
}

idle_nginx()
{
	nginx_start 8080 1 && idle 8080
}

begin
net_up
case_ idle-1000 idle_nginx
end
