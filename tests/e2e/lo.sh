#!/bin/bash
# lo.sh - 'lane run -i lo': a server for kernel programs of the same host, and both ends in one process
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns=$lane_tag-l

on_lo() # PORT command...
{
	local port=$1
	shift
	out=$lane_tmp/server start "$ns" "$LANE" run --strict -i lo -- "$@"
	wait_port "$ns" "$port"
}

# grew MIN command...: it succeeds and the lane on lo receives at least MIN packets.
grew()
{
	local min=$1 p
	shift
	p=$(lane_packets "$ns" lo)
	"$@" || return 1
	p=$(($(lane_packets "$ns" lo) - p))
	say "the lane received $p packets"
	[ "$p" -ge "$min" ] || no "only $p packets came over the lane"
}

kernel_clients()
{
	local a
	on_lo 6379 redis-server --port 6379 --bind 127.0.0.1 ::1 --save '' --dir "$lane_tmp" || return 1
	for a in 127.0.0.1 ::1; do
		[ "$(in_ns "$ns" timeout 5 redis-cli -h $a ping)" = PONG ] || no "no answer on $a" || return 1
		grew 2000 in_ns "$ns" timeout 30 redis-benchmark -h $a -c 20 -n 4000 -t get,set -q || no "redis-benchmark on $a: $(tail -n1 "$lane_tmp/case")" || return 1
	done
	stop "$pid"
}

big_transfer()
{
	mkdir -p "$lane_tmp/www"
	head -c 20000000 /dev/urandom >"$lane_tmp/www/file"
	on_lo 8000 /usr/bin/python3 -m http.server 8000 --bind 127.0.0.1 --directory "$lane_tmp/www" || return 1
	grew 100 in_ns "$ns" timeout 30 curl -sS -o "$lane_tmp/got" http://127.0.0.1:8000/file || no "curl: $(tail -n1 "$lane_tmp/case")" || return 1
	cmp "$lane_tmp/got" "$lane_tmp/www/file" || return 1
	stop "$pid"
}

asyncio_both_ends()
{
	local k
	k=$(kernel_packets "$ns")
	grew 5000 in_ns "$ns" timeout 60 "$LANE" run --strict -i lo -- /usr/bin/python3 "$here/echo_asyncio.py" 1000 10 || return 1
	k=$(($(kernel_packets "$ns") - k))
	[ $k -le 5 ] || no "the kernel's TCP and UDP received $k packets: not both ends were on lane"
}

begin
ns_add "$ns" || exit 1
case_ kernel-clients kernel_clients
case_ 20-MB big_transfer
case_ asyncio-1000-both-ends asyncio_both_ends
end
