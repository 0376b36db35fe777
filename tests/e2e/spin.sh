#!/bin/bash
# spin.sh - waits spin only as the profile says, never more of them than there are usable CPUs, and sleep on frames
# only where some are for them (posix.md 31)
. "$(dirname "$(readlink -f "$0")")/lib.sh"

port=7000

# Jiffies that the process has used.
used() # PID
{
	sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# server PROFILE THREADS: on one CPU, blocking reads only.
server()
{
	: >"$lane_tmp/server"
	out=$lane_tmp/server start "$ns_s" taskset -c 0 "$LANE" run --strict -i "$if_s" --profile "$1" -- \
		/usr/bin/python3 "$here/blocking_echo.py" "$S4" $port "$2"
	wait_port "$ns_s" $port
}

# A byte every 10 ms for 2 s; prints the percentage of a core that the server used.
share() # PROFILE
{
	local before after start end
	server "$1" 1 || return 1
	start=$EPOCHREALTIME before=$(used "$pid")
	in_c timeout 20 /usr/bin/python3 "$here/blocking_echo.py" --client "$S4" $port 200 >&2 || return 1
	after=$(used "$pid") end=$EPOCHREALTIME
	stop "$pid"
	port=$((port + 1))
	# Of the time that the exchanges took, which is more than their pauses.
	awk -v n=$((after - before)) -v t0="$start" -v t1="$end" -v hz="$(getconf CLK_TCK)" \
		'BEGIN { printf "%d\n", n * 100 / hz / (t1 - t0) }'
}

profile() # PROFILE LEAST MOST
{
	local p
	p=$(share "$1") || no "the echo failed" || return 1
	say "$1: $p % of a core, $2 to $3 allowed"
	[ "$p" -ge "$2" ] && [ "$p" -le "$3" ]
}

# Eight threads of one CPU wait in the latency profile: one of them may spin.
crowd()
{
	local i n most=0
	server latency 8 || return 1
	out=$lane_tmp/hold start "$ns_c" timeout 60 /usr/bin/python3 "$here/conns.py" hold "$S4" $port 8
	until_line "$lane_tmp/hold" 'held 8' 100 || no "8 connections: $(tail -n1 "$lane_tmp/hold")" || return 1
	for ((i = 0; i < 20; i++)); do
		n=$(lane_stat spinning)
		[ "$n" -gt "$most" ] && most=$n
		sleep 0.05
	done
	say "$most threads spun at one time"
	[ "$most" -le 1 ]
}

# The thread that accepts leaves the frames to the one that they are for, and still accepts.
acceptor()
{
	local n
	server throughput 1 || return 1
	in_c timeout 20 /usr/bin/python3 "$here/blocking_echo.py" --client "$S4" $port 200 || return 1
	n=$(lane_stat stand_bys)
	say "$n threads stand by"
	[ "$n" -ge 1 ] || return 1
	in_c timeout 20 /usr/bin/python3 "$here/blocking_echo.py" --client "$S4" $port 3
}

# The same beside a worker that hardly ever sleeps: each frame would wake the thread that accepts, to take the CPU
# from the worker. A wake in 40 frames is allowed: the standing by ends when nobody looks for a while.
idle_beside_busy()
{
	local wakes frames
	start "$ns_s" taskset -c 0 "$LANE" run --strict -i "$if_s" -- memcached -u root -t 1 -l "$S4" -p $port
	wait_port "$ns_s" $port
	frames=$(lane_stat rx_packets)
	in_c timeout 20 taskset -c 1 memcaslap -s "$S4:$port" -T 1 -c 16 -t 2s -X 64 -w 1k >&2 || no "memcaslap fails" || return 1
	frames=$(($(lane_stat rx_packets) - frames))
	wakes=$(awk '/^voluntary/ { print $2 }' "/proc/$pid/status")
	say "$wakes wakes of the thread that accepts, $frames frames"
	[ "$frames" -gt 10000 ] && [ $((wakes * 40)) -lt "$frames" ]
}

begin
net_up
case_ throughput-sleeps profile throughput 0 15
case_ default-spins-briefly profile default 0 25
case_ latency-spins profile latency 60 101
case_ one-spinner-a-cpu crowd
clear_ns # who spins takes the frames of all
port=$((port + 1))
case_ acceptor-stands-by acceptor
clear_ns
port=$((port + 1))
case_ acceptor-beside-busy idle_beside_busy
end
