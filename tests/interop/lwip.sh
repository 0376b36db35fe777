#!/bin/bash
# lwip.sh - lane against Debian's liblwip, a foreign stack, as server and as client, v4 and v6
#
# lwIP runs on a TAP in the middle namespace; the emulated link joins the TAP with the lane's veth. Bulk that is echoed
# and compared, many small exchanges, many connections, with and without loss and reordering.
set -u
# shellcheck disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lib.sh"
PEER=${LWIP_PEER:-$(dirname "$LANE")/tests/interop/lwip-peer}
tap=$lane_tag-t

# peer_start: lwIP on the TAP, its output in $lane_tmp/lwip.
peer_start()
{
	: >"$lane_tmp/lwip"
	out=$lane_tmp/lwip start "$ns_m" "$PEER" "$tap" "$C4" "$C6" "$@"
}

# lwip_serves "link options" VERSION JOBS...: an echo server on lwIP, a client under lane.
lwip_serves()
{
	local link=$1 host rc
	host=$(address c "$2")
	shift 2
	port=$((port + 10))
	peer_start serve $port
	until_line "$lane_tmp/lwip" 'lwip: up' 50 || no "lwIP: $(tail -n 1 "$lane_tmp/lwip")" || return 1
	# shellcheck disable=SC2086
	link_start $link || return 1
	jobs "$ns_s" "$host" "$LANE run --strict -i $if_s --" "$@"
	rc=$?
	[ $rc = 0 ] || trouble
	over "$rc"
}

# lwip_connects "link options" VERSION JOBS...: an echo server under lane, a client on lwIP.
lwip_connects()
{
	local link=$1 host rc
	host=$(address s "$2")
	shift 2
	port=$((port + 10))
	lane_start $port python3 "$interop/peer.py" serve "$host" $port || return 1
	# shellcheck disable=SC2086
	link_start $link || return 1
	over_lane 100 in_ns "$ns_m" timeout -k 2 "$limit" "$PEER" "$tap" "$C4" "$C6" connect "$host" $port "$@"
	rc=$?
	[ $rc = 0 ] || trouble
	over "$rc"
}

# The end of a case: nothing of it stays.
over()
{
	local p
	link_says
	p=$(ip netns pids "$ns_m")
	# shellcheck disable=SC2086
	[ -z "$p" ] || stop $p
	return "$1"
}

both_ways() # NAME "link options" VERSION JOBS...
{
	local name=$1 link=$2 v=$3
	shift 3
	case_ "$name, lwIP serves" lwip_serves "$link" "$v" "$@"
	case_ "$name, lwIP connects" lwip_connects "$link" "$v" "$@"
}

[ -x "$PEER" ] || { say "no lwip-peer: package liblwip-dev is missing"; exit 77; }
begin_interop
ip -n "$ns_m" tuntap add dev "$tap" mode tap || die "cannot make a TAP"
ip -n "$ns_m" link set "$tap" addrgenmode none up
link_b=$tap
both_ways "clean, v4" "--delay 0.1" 4 echo=5000000 rr=8,20 new=40
both_ways "clean, v6" "--delay 0.1" 6 echo=5000000 rr=8,20 new=40
both_ways "1 % loss, v4" "--rate 200 --delay 1 --loss 1" 4 echo=500000 rr=8,5 new=12
both_ways "1 % loss, reordering, v6" "--rate 200 --delay 1 --loss 1 --reorder 2 --dup 1" 6 echo=500000 rr=8,5 new=12
if [ -n "${LANE_LONG:-}" ]; then
	for v in 4 6; do
		both_ways "clean, bulk, v$v" "--delay 0.1" $v echo=30000000 rr=32,200 new=400
		both_ways "1 % loss, long, v$v" "--rate 200 --delay 5 --loss 1" $v echo=5000000 rr=16,20 new=60
		both_ways "5 % loss, v$v" "--rate 200 --delay 1 --loss 5" $v echo=300000 rr=8,5 new=12
		both_ways "corruption, v$v" "--rate 200 --delay 1 --corrupt 1" $v echo=500000 rr=8,5 new=12
	done
fi
end
