#!/bin/bash
# linux.sh - lane against Linux through the emulated link, as server and as client, v4 and v6
#
# Bulk both ways with SHA-256 compared, many small exchanges, many connections; loss, reordering,
# duplication, corruption, small and large MTUs. Any standstill, reset or wrong byte fails the case. In long
# mode (LANE_LONG=1, scripts/test --long) all faults in all combinations, and more bytes.
set -u
# shellcheck disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# both_ways NAME "link options" VERSION JOBS...: lane as server, then as client.
both_ways()
{
	local name=$1 link=$2 v=$3
	shift 3
	case_ "$name, lane serves" served "$link" "$v" "$@"
	case_ "$name, lane connects" connects "$link" "$v" "$@"
}

quick()
{
	local slow='--rate 200 --delay 1 --queue 250000'
	both_ways "clean, v4" "--delay 0.1" 4 put=20000000 get=20000000 echo=5000000 rr=16,40 new=60
	both_ways "clean, v6" "--delay 0.1" 6 put=10000000 get=10000000 echo=5000000 rr=16,40 new=60
	both_ways "1 % loss, v4" "$slow --loss 1" 4 put=4000000 get=4000000 rr=16,10 new=20
	both_ways "5 % loss, v6" "$slow --loss 5" 6 put=500000 get=500000 rr=16,4 new=20
	both_ways "reordering and duplicates, v4" "$slow --reorder 3 --dup 2" 4 put=4000000 get=4000000 rr=16,10
	both_ways "corruption, v4" "$slow --corrupt 1" 4 put=2000000 get=2000000 rr=8,10
	mtu 576
	both_ways "MTU 576, 0.5 % loss, v4" "$slow --loss 0.5" 4 put=1000000 get=1000000 rr=8,10
	mtu 1280
	both_ways "MTU 1280, 0.5 % loss, v6" "$slow --loss 0.5" 6 put=2000000 get=2000000 rr=8,10
	mtu 9000
	both_ways "MTU 9000, v4" "--delay 0.1" 4 put=20000000 get=20000000 echo=5000000 rr=16,40
	mtu 1500
}

long()
{
	local v loss fault bytes seed=0
	for v in 4 6; do
		both_ways "clean, v$v" "--delay 0.1" $v put=30000000 get=30000000 echo=30000000 rr=64,200 new=1000
		for loss in 0 1 5; do
			bytes=30000000
			[ $loss = 1 ] && bytes=10000000
			[ $loss = 5 ] && bytes=2000000
			for fault in "" "--reorder 3" "--dup 3" "--corrupt 1" "--reorder 3 --dup 3 --corrupt 1"; do
				seed=$((seed + 1))
				both_ways "loss $loss %${fault:+ $fault}, v$v" "--rate 200 --delay 5 --queue 500000 --loss $loss $fault --seed $seed" \
					$v put=$bytes get=$bytes echo=$((bytes / 2)) rr=32,20 new=100
			done
		done
	done
	for v in 576 1280 1492 4000 9000; do
		mtu $v
		both_ways "MTU $v, v4" "--rate 200 --delay 1 --queue 250000 --loss 0.5" 4 put=10000000 get=10000000 echo=3000000 rr=16,40
		[ $v -ge 1280 ] &&
			both_ways "MTU $v, v6" "--rate 200 --delay 1 --queue 250000 --loss 0.5" 6 put=10000000 get=10000000 echo=3000000 rr=16,40
	done
	mtu 1500
}

begin_interop
if [ -n "${LANE_LONG:-}" ]; then
	quick
	long
else
	quick
fi
end
