#!/bin/bash
# death.sh - what others see when a server or the keeper dies, and how generations follow each other
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# An idle client sees the end within a second, and a kernel server on the same port answers within one.
kill_server()
{
	local server idle t0 t1
	redis_start 6379 || return 1
	server=$pid
	out=$lane_tmp/idle start "$ns_c" timeout 30 /usr/bin/python3 "$here/conns.py" idle "$S4" 6379 10
	idle=$pid
	until_line "$lane_tmp/idle" idle 50 || no "the client is not served" || return 1
	t0=$(date +%s.%N)
	kill -KILL "$server"
	until_line "$lane_tmp/idle" end: 110 || no "nothing came to the idle client in 10 s" || return 1
	t1=$(awk '/end:/ { print $NF }' "$lane_tmp/idle")
	stop "$idle"
	say "the end came after $(echo "$t1 $t0" | awk '{ print $1 - $2 }') s: $(grep end: "$lane_tmp/idle")"
	echo "$t1 $t0" | awk '{ exit !($1 - $2 < 1) }' || no "the idle client saw its end only after $(echo "$t1 $t0" | awk '{ print $1 - $2 }') s" || return 1
	t0=$(date +%s%N)
	redis_kernel 6379 || return 1
	server=$pid
	redis_ping 6379 || return 1
	t1=$(date +%s%N)
	stop "$server"
	[ $((t1 - t0)) -lt 1000000000 ] || no "a kernel server on the port answered only after $(((t1 - t0) / 1000000)) ms"
}

# Two servers under one 'lane run sh -c', a second 'lane run' beside them.
side_by_side()
{
	local shell other port rc=0
	lane_start 6401 sh -c "redis-server --port 6401 --bind $S4 --save '' --protected-mode no --dir $lane_tmp &
		redis-server --port 6402 --bind $S4 --save '' --protected-mode no --dir $lane_tmp & wait" || return 1
	shell=$pid
	redis_start 6403 || return 1
	other=$pid
	wait_port "$ns_s" 6402 || return 1
	for port in 6401 6402 6403; do
		over_lane 100 in_c timeout 20 redis-benchmark -h "$S4" -p "$port" -c 10 -n 500 -t get -q || rc=1
	done
	# The shell hands no signal on.
	# shellcheck disable=SC2046
	stop $(ps -o pid= --ppid "$shell") "$other" "$shell"
	[ $rc = 0 ] || no "$(tail -n1 "$lane_tmp/case")"
}

generations()
{
	local i
	for ((i = 1; i <= 20; i++)); do
		redis_start 6379 || no "generation $i does not start" || return 1
		over_lane 3 redis_ping 6379 || no "generation $i is not served by the lane" || return 1
		kill -KILL "$pid"
		wait_gone 2 "$pid"
	done
}

# The keeper's death leaves the server serving: old connections and new ones.
kill_keeper()
{
	local server talker k
	redis_start 6379 || return 1
	server=$pid
	out=$lane_tmp/talk start "$ns_c" timeout 30 /usr/bin/python3 "$here/conns.py" talk "$S4" 6379 4
	talker=$pid
	until_line "$lane_tmp/talk" talking 50 || no "the client is not served" || return 1
	k=$(keeper)
	[ -n "$k" ] || no "lane stat names no keeper that lives" || return 1
	kill -KILL "$k"
	in_c timeout 20 redis-benchmark -h "$S4" -p 6379 -c 20 -n 3000 -t get,set -q || no "no new connections after the keeper's death" || return 1
	wait_gone 8 "$talker"
	grep -q talked "$lane_tmp/talk" || no "the old connection: $(tail -n1 "$lane_tmp/talk")" || return 1
	stop "$server"
	all_gone 3
}

# The thread that accepts stands by: with the keeper dead, and the thread that watched gone to other things, nobody
# tells it of frames, and it still accepts.
kill_keeper_beside()
{
	local server client i k
	LANE_PROFILE=throughput lane_start 7000 taskset -c 0 /usr/bin/python3 "$here/blocking_echo.py" "$S4" 7000 8 || return 1
	server=$pid
	out=$lane_tmp/park start "$ns_c" timeout 90 /usr/bin/python3 "$here/blocking_echo.py" --park "$S4" 7000 500
	client=$pid
	for ((i = 0; i < 300; i++)); do
		[ "$(lane_stat stand_bys)" -ge 1 ] && break
		sleep 0.1
	done
	[ "$i" -lt 300 ] || no "no thread stands by" || return 1
	k=$(keeper)
	[ -n "$k" ] || no "lane stat names no keeper that lives" || return 1
	kill -KILL "$k"
	until_line "$lane_tmp/park" parked 300 || no "the old connection: $(tail -n1 "$lane_tmp/park")" || return 1
	in_c timeout 20 /usr/bin/python3 "$here/blocking_echo.py" --client "$S4" 7000 3 || no "nobody accepts" || return 1
	stop "$client" "$server"
	all_gone 3
}

bare_preload()
{
	[ -n "$PRELOAD" ] || no "no liblane-preload.so" || return 1
	out=$lane_tmp/server start "$ns_s" env LD_PRELOAD="$PRELOAD" LANE_IF="$if_s" redis-server --port 6379 --bind "$S4" \
		--save '' --protected-mode no --dir "$lane_tmp"
	wait_port "$ns_s" 6379 || return 1
	over_lane 1000 in_c timeout 20 redis-benchmark -h "$S4" -p 6379 -c 20 -n 2000 -t get,set -q || return 1
	stop "$pid"
}

# The clients of a kernel server that has left with data still to be sent are not cut off.
busy_predecessor()
{
	local client first
	out=$lane_tmp/leaver start "$ns_s" /usr/bin/python3 "$here/leaver.py" send "$S4" 6379 5 2000000
	first=$pid
	wait_port "$ns_s" 6379 || return 1
	out=$lane_tmp/drain start "$ns_c" timeout 60 /usr/bin/python3 "$here/conns.py" drain "$S4" 6379 5 2000000
	client=$pid
	until_line "$lane_tmp/drain" asked 50 || return 1
	wait_gone 10 "$first" || no "the kernel server does not leave: $(cat "$lane_tmp/leaver")" || return 1
	redis_start 6379 || return 1
	over_lane 100 in_c timeout 20 redis-benchmark -h "$S4" -p 6379 -c 5 -n 500 -t get -q || return 1
	[ -d "/proc/$client" ] || say "(the client was done before: the test showed little)"
	until_line "$lane_tmp/drain" drained 300 || no "a client of the old server: $(tail -n1 "$lane_tmp/drain")" || return 1
	stop "$pid"
}

stop_after_failure=1
begin
net_up
case_ kill-server kill_server
case_ side-by-side side_by_side
case_ 20-generations generations
case_ busy-predecessor busy_predecessor
case_ nothing-left all_gone 70
case_ bare-preload bare_preload
clear_ns
case_ kill-keeper kill_keeper
clear_ns
case_ kill-keeper-beside kill_keeper_beside
end
