#!/bin/bash
# coexist.sh - what is not lane's goes on beside it: ping, ARP, other ports, older connections
. "$(dirname "$(readlink -f "$0")")/lib.sh"

pings()
{
	in_c ping -c 5 -i 0.2 -W 1 "$1" | tee "$lane_tmp/ping"
	grep -q ' 0% packet loss' "$lane_tmp/ping" || no "$(grep loss "$lane_tmp/ping")"
}

arp()
{
	ip -n "$ns_c" neigh flush all
	pings "$S4" || return 1
	ip -n "$ns_c" neigh show "$S4" | grep -q lladdr || no "no neighbour entry"
}

kernel_http()
{
	local i k
	k=$(kernel_packets)
	for ((i = 0; i < 10; i++)); do
		in_c timeout 10 curl -sS -o "$lane_tmp/got" "http://$S4:8000/file" || no "curl fails" || return 1
		cmp "$lane_tmp/got" "$lane_tmp/www/file" || return 1
	done
	[ $(($(kernel_packets) - k)) -gt 20 ] || no "the kernel's server was not served by the kernel"
}

load_goes_on()
{
	[ -d "/proc/$load" ] || no "the load on the lane has ended: $(tail -c 300 "$lane_tmp/load")"
}

# A connection on the very port, made before lane claimed it.
older_connection()
{
	wait_gone 30 "$old_client"
	grep -q talked "$lane_tmp/old" || no "$(tail -n 1 "$lane_tmp/old")"
}

begin
net_up
mkdir -p "$lane_tmp/www"
head -c 200000 /dev/urandom >"$lane_tmp/www/file"
out=$lane_tmp/stay start "$ns_s" timeout 120 /usr/bin/python3 "$here/leaver.py" stay "$S4" 6379
wait_port "$ns_s" 6379
out=$lane_tmp/old start "$ns_c" timeout 60 /usr/bin/python3 "$here/conns.py" talk "$S4" 6379 15
old_client=$pid
for ((i = 0; i < 50; i++)); do
	grep -q alone "$lane_tmp/stay" && break
	sleep 0.1
done
start "$ns_s" /usr/bin/python3 -m http.server 8000 --bind "$S4" --directory "$lane_tmp/www"
wait_port "$ns_s" 8000

case_ claim-a-used-port redis_start 6379
out=$lane_tmp/load start "$ns_c" redis-benchmark -h "$S4" -p 6379 -c 20 -t get -l -q
load=$pid
case_ over-the-lane over_lane 1000 sleep 1
# From the server's own namespace its address is reached over the kernel's lo.
kernel_half()
{
	local before
	before=$(lane_stat KERNEL_HALF)
	[ "$(in_s timeout 5 redis-cli -h "$S4" ping)" = PONG ] || no "no answer" || return 1
	[ "$(lane_stat KERNEL_HALF)" -gt "${before:-0}" ] || no "not counted"
}

case_ kernel-half-is-counted kernel_half
case_ ping pings "$S4"
case_ ping6 pings "$S6"
case_ arp arp
case_ kernel-tcp kernel_http
case_ load load_goes_on
case_ older-connection older_connection
end
