#!/bin/bash
# servers.sh - servers as the distribution ships them work under 'lane run', and their bytes go over the lane
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# served PORT MIN client -- server...: starts it, runs the client function, looks at the counters, ends it.
served()
{
	local port=$1 min=$2 client=$3 rc
	shift 4
	lane_start "$port" "$@" || { stop "$pid" && return 1; }
	over_lane "$min" "$client" "$port"
	rc=$?
	stop "$pid"
	return $rc
}

use_redis()
{
	redis_ping "$1" || return 1
	in_c timeout 20 redis-benchmark -h "$S4" -p "$1" -c 30 -n 6000 -t get,set,lpush,lrange_100 -q || no "redis-benchmark fails" || return 1
	in_c timeout 20 redis-benchmark -h "$S4" -p "$1" -c 10 -P 16 -n 5000 -t set,get -q || no "redis-benchmark -P 16 fails" || return 1
	[ "$(in_c timeout 5 redis-cli -h "$S6" -p "$1" ping)" = PONG ] || no "redis does not answer over IPv6"
}

use_http()
{
	local i
	for ((i = 0; i < 10; i++)); do
		in_c timeout 10 curl -sS -o "$lane_tmp/got" "http://$S4:$1/file" || no "curl fails" || return 1
		cmp "$lane_tmp/got" "$lane_tmp/www/file" || return 1
	done
	in_c timeout 10 curl -sS -g -o "$lane_tmp/got" "http://[${http6:-$S6}]:$1/file" || no "curl over IPv6 fails" || return 1
	cmp "$lane_tmp/got" "$lane_tmp/www/file"
}

use_nginx()
{
	use_http "$1" || return 1
	in_c timeout 20 wrk -t1 -c64 -d1s "http://$S4:$1/small" | tee "$lane_tmp/wrk"
	grep -q 'requests in' "$lane_tmp/wrk" || no "wrk says nothing" || return 1
	! grep -E 'Socket errors|Non-2xx' "$lane_tmp/wrk"
}

use_memcached()
{
	in_c timeout 30 memccapable -h "$S4" -p "$1" -a | tee "$lane_tmp/capable" | grep -v pass
	grep -q 'All tests passed' "$lane_tmp/capable" || no "memccapable: $(grep -m1 -i fail "$lane_tmp/capable")" || return 1
	in_c timeout 20 memcaslap -s "$S4:$1" -T 1 -c 16 -t 1s -X 64 -w 1k -v 0.1 >"$lane_tmp/slap" || no "memcaslap fails" || return 1
	grep -q 'get_misses: 0' "$lane_tmp/slap" || no "memcaslap: $(grep misses "$lane_tmp/slap")"
}

use_iperf3()
{
	local way
	for way in '' -R; do
		# shellcheck disable=SC2086
		in_c timeout 20 iperf3 -c "$S4" -p "$1" -t 1 $way >"$lane_tmp/iperf" 2>&1 || no "iperf3 $way: $(tail -n1 "$lane_tmp/iperf")" || return 1
		grep -q '[1-9].*receiver' "$lane_tmp/iperf" || no "iperf3 $way moves nothing" || return 1
	done
}

use_sockperf()
{
	# shellcheck disable=SC2086
	in_c timeout 20 sockperf pp -i "$S4" -p "$1" -t 1 -m 64 $sockperf_options >"$lane_tmp/sockperf" 2>&1
	grep -q 'percentile 50.000' "$lane_tmp/sockperf" || no "sockperf: $(tail -n1 "$lane_tmp/sockperf")" || return 1
	grep -q '# dropped messages = 0' "$lane_tmp/sockperf" || no "$(grep dropped "$lane_tmp/sockperf")"
}

nginx_served() # WORKERS
{
	nginx_conf 8080 "$1"
	served 8080 1000 use_nginx -- nginx -c "$lane_tmp/nginx.conf" -e stderr
}

sockperf_served() # PORT options...
{
	local port=$1
	shift
	sockperf_options=$*
	served "$port" 500 use_sockperf -- sockperf sr -i "$S4" -p "$port" "$@"
}

stop_after_failure=1
begin
net_up
mkdir -p "$lane_tmp/www"
head -c 300000 /dev/urandom >"$lane_tmp/www/file"
head -c 612 /dev/urandom >"$lane_tmp/www/small"

case_ redis served 6379 5000 use_redis -- redis-server --port 6379 --bind "$S4" "$S6" --save '' --appendonly no \
	--protected-mode no --dir "$lane_tmp"
case_ nginx-1-worker nginx_served 1
case_ nginx-auto nginx_served auto
case_ memcached-root served 11211 3000 use_memcached -- memcached -u root -t 1 -l "$S4" -p 11211
case_ memcached-nobody served 11212 3000 use_memcached -- memcached -u nobody -t 1 -l "$S4" -p 11212
case_ iperf3 served 5201 1000 use_iperf3 -- iperf3 -s -p 5201
case_ sockperf-tcp sockperf_served 5301 --tcp
proto=udp
case_ sockperf-udp sockperf_served 5302
proto=tcp
case_ http.server served 8000 100 use_http -- /usr/bin/python3 -m http.server 8000 --bind :: --directory "$lane_tmp/www"
# The last connections linger in TIME_WAIT for a minute, the keeper with them.
case_ nothing-left all_gone 70
end
