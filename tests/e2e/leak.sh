#!/bin/bash
# leak.sh - after many short connections all frames, connections, sockets and watches are back
. "$(dirname "$(readlink -f "$0")")/lib.sh"

figures()
{
	local f
	for f in tcp_pcbs sockets epoll_watches frames_free; do
		printf '%s %s ' "$f" "$(lane_stat "$f")"
	done
}

# back_to FIGURES: within 10 s. A few frames may be in the driver's rings.
back_to()
{
	local i now
	for ((i = 0; i < 100; i++)); do
		now=$(figures)
		echo "$1 $now" | awk '{ exit !($2 == $10 && $4 == $12 && $6 == $14 && $16 > $8 - 64) }' && return 0
		sleep 0.1
	done
	no "before: $1 after: $now"
}

redis_short()
{
	local before
	redis_start 6379 && redis_ping 6379 || return 1
	# Once around, so that the driver's rings are as full as they get.
	in_c timeout 30 redis-benchmark -h "$S4" -p 6379 -c 20 -n 2000 -k 0 -t get -q || return 1
	sleep 0.5
	before=$(figures)
	over_lane 10000 in_c timeout 100 redis-benchmark -h "$S4" -p 6379 -c 20 -n "${LEAK_NR:-20000}" -k 0 -t get -q || return 1
	back_to "$before" || return 1
	stop "$pid"
}

nginx_short()
{
	local before
	nginx_start 8080 2 || return 1
	echo hello >"$lane_tmp/www/index.html"
	in_c timeout 30 wrk -t1 -c20 -d1s -H 'Connection: close' "http://$S4:8080/" >/dev/null || return 1
	sleep 0.5
	before=$(figures)
	over_lane 10000 in_c timeout 30 wrk -t1 -c20 -d4s -H 'Connection: close' "http://$S4:8080/" || return 1
	back_to "$before" || return 1
	stop "$pid"
}

stop_after_failure=1
begin
net_up
case_ redis-short-connections redis_short
clear_ns
case_ nginx-short-connections nginx_short
clear_ns
end
