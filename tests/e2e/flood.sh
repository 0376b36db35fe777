#!/bin/bash
# flood.sh - floods of SYNs to a server under lane: new clients are served, connections that stand do not notice
. "$(dirname "$(readlink -f "$0")")/lib.sh"
FLOOD=${FLOOD:-$(dirname "$LANE")/bench/flood/lane-flood}

# SYNs to redis, in the background; $pid. More options: --count, --seconds, --hosts.
flood() # options...
{
	local mac
	mac=$(ip -n "$ns_s" -o link show "$if_s" | sed "s/.*link.ether \([^ ]*\).*/\1/")
	out=$lane_tmp/flood start "$ns_c" "$FLOOD" --if "$if_c" --mac "$mac" --dst "$S4" --port 6379 "$@"
}

# Lines of 'what seconds', a new client each half second for $1 seconds; the last says how many were not served.
clients() # SECONDS
{
	in_c timeout $(($1 + 20)) python3 -c "
import socket, sys, time
end, bad, worst = time.monotonic() + $1, 0, 0
while time.monotonic() < end:
    t = time.monotonic()
    try:
        s = socket.create_connection(('$S4', 6379), timeout=6)
        s.settimeout(6)
        s.sendall(b'PING\r\n')
        ok = s.recv(16) == b'+PONG\r\n'
        s.close()
    except OSError as e:
        print(e)
        ok = False
    worst = max(worst, time.monotonic() - t)
    bad += not ok or time.monotonic() - t > 5
    time.sleep(0.2)
print(f'{bad} not served, the slowest in {worst:.1f} s')
sys.exit(bad > 0)"
}

stat_of() # NAME
{
	in_s "$LANE" stat -i "$if_s" | awk -v n="$1" '$1 == n {print $2; exit}'
}

# tcp.md 4: 3,000 half-open connections and 18,000 forged sources.
half_open_and_forged()
{
	local half
	flood --count 3000 --hosts 1 --rate 20000 && wait_gone 10 "$pid"
	half=$(in_s "$LANE" conns -i "$if_s" | grep -c SYN_RECEIVED)
	[ "$half" -gt 100 ] || no "only $half half-open connections are listed" || return 1
	flood --count 18000 --rate 20000
	clients 3 || return 1
	wait_gone 10 "$pid"
	[ "$(stat_of tcp_cookies_sent)" -gt 1000 ] || no "there were no cookies"
}

# As many as the interface takes: the driver is told to limit them.
as_fast_as_it_goes()
{
	flood --seconds 8
	clients 6 || return 1
	wait_gone 10 "$pid"
	[ "$(stat_of tcp_floods)" -gt 0 ] || no "nothing was limited: $(cat "$lane_tmp/flood")" || return 1
	# It ends with the flood: a first SYN is enough again.
	sleep 3
	clients 1 | tail -n 1 >"$lane_tmp/after"
	grep -q 'slowest in 0' "$lane_tmp/after" || no "afterwards: $(cat "$lane_tmp/after")"
}

# A connection that stands does all of its requests meanwhile.
established()
{
	local n
	out=$lane_tmp/bench start "$ns_c" timeout 60 redis-benchmark -h "$S4" -c 5 -n 2000000 -t get -q
	sleep 1
	n=$(in_c redis-cli -h "$S4" info stats | awk -F: '/total_commands/ {print $2 + 0}')
	as_fast_as_it_goes || return 1
	n=$(($(in_c redis-cli -h "$S4" info stats | awk -F: '/total_commands/ {print $2 + 0}') - n))
	[ "$n" -gt 2000 ] || no "only $n requests were served in 10 s"
}

begin
[ -x "$FLOOD" ] || { say "no $FLOOD: build first" && exit 77; }
net_up
# The forged sources' answers go back to where they came from, and end there.
ip -n "$ns_s" route add 10.128.0.0/9 via "$C4"
redis_start 6379 || die "redis does not start"
case_ "3,000 half-open and 18,000 forged SYNs" half_open_and_forged
case_ "a flood as fast as it goes" established
end
