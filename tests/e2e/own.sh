#!/bin/bash
# own.sh - own-address mode: the lane has address and MAC to itself, over a TAP device, AF_XDP and DPDK
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns_k=$lane_tag-k # the kernel's end of the TAP device
A4=10.77.0.9 A6=fd77::9 K4=10.77.0.1 K6=fd77::1

tap_up()
{
	ns_add "$ns_k" || return 1
	ip -n "$ns_k" tuntap add dev tap0 mode tap || return 1
	ip -n "$ns_k" addr add $K4/24 dev tap0
	ip -n "$ns_k" addr add $K6/64 dev tap0 nodad
	ip -n "$ns_k" link set tap0 up
}

in_k()
{
	in_ns "$ns_k" "$@"
}

# The namespace of the client, and where 'own' runs programs: "tap", "xdp" or "dpdk".
use()
{
	how=$1
	if [ "$how" = tap ]; then
		ns_own=$ns_k ns_peer=$ns_k if_own=tap0
	else
		ns_own=$ns_s ns_peer=$ns_c if_own=$if_s
		[ "$how" = dpdk ] && if_own=net_af_xdp0
	fi
	eal=()
	[ "$how" = dpdk ] && eal=(--eal "--vdev net_af_xdp0,iface=$if_s")
}

# own options... -- command...: under lane with an address of its own; its pid is in $server.
own()
{
	: >"$lane_tmp/server"
	out=$lane_tmp/server start "$ns_own" "$LANE" run --strict -d "$how" -i "$if_own" "${eal[@]}" "$@"
	server=$pid
}

in_peer()
{
	in_ns "$ns_peer" timeout 20 "$@"
}

keeper_gone()
{
	local i
	# Not for the sake of TIME_WAIT.
	in_ns "$ns_own" "$LANE" stop -i "$if_own" >/dev/null 2>&1
	for ((i = 0; i < 100; i++)); do
		in_ns "$ns_own" ss -Hxl | grep -q "lane/$if_own" || return 0
		sleep 0.1
	done
	no "the keeper of $if_own does not end"
}

# After a case that failed: nobody is left in either namespace.
clear_up()
{
	local pids
	pids=$(ip netns pids "$ns_own"; ip netns pids "$ns_peer")
	[ -n "$pids" ] || return 0
	# shellcheck disable=SC2086
	stop $pids
}

own_case()
{
	case_ "$how/$1" "$1"
	clear_up
}

ended()
{
	stop "$server"
	keeper_gone
}

# own_redis options...: a redis on the lane's addresses answers there.
own_redis()
{
	own "$@" -- redis-server --port 6379 --bind 0.0.0.0 :: --save '' --appendonly no --protected-mode no --dir "$lane_tmp"
	until_line "$lane_tmp/server" "Ready to accept" 150 || no "redis does not start: $(tail -n 1 "$lane_tmp/server")"
}

pong()
{
	local answer
	answer=$(in_peer redis-cli -h "$1" ping 2>&1)
	[ "$answer" = PONG ] || no "redis-cli to $1: $answer"
}

serves()
{
	local answer
	own_redis --address $A4/24,$A6/64 || return 1
	pong $A4 && pong $A6 || return 1
	answer=$(in_peer redis-benchmark -h $A4 -c 20 -n 5000 -t get,set -q 2>&1) || no "redis-benchmark: $answer" || return 1
	in_peer ping -c 2 -i 0.2 -W 2 -s 4000 $A4 || no "no answer to an echo in fragments" || return 1
	in_peer ping -6 -c 2 -i 0.2 -W 2 -s 4000 $A6 || no "no answer to an IPv6 echo in fragments" || return 1
	in_peer ping -c 2 -i 0.2 -W 2 -s 60000 $A4 || no "no answer to an echo of 60 KB" || return 1
	in_peer ping -6 -c 2 -i 0.2 -W 2 -s 60000 $A6 || no "no answer to an IPv6 echo of 60 KB" || return 1
	in_peer ping -q -f -c 2000 -W 2 $A4 | grep -Eq ' 0(\.[0-9]+)?% packet loss' || no "a ping flood loses echoes" || return 1
	pong $A4 || return 1
	in_ns "$ns_own" "$LANE" stat -i "$if_own" | grep -q 'control .*lwIP assertions 0' || no "lane stat tells nothing of the control plane" || return 1
	ended
}

# Bound to the address that the kernel does not have; UDP of all sizes; errors; connections to outside.
sockets()
{
	start "$ns_peer" socat TCP-LISTEN:7002,fork,reuseaddr EXEC:cat
	own --address $A4/24,$A6/64 -- /usr/bin/python3 "$here/own_sockets.py" $A4 $A6 "$peer4" "$peer6"
	until_line "$lane_tmp/server" "ready" 150 || no "$(tail -n 1 "$lane_tmp/server")" || return 1
	in_peer /usr/bin/python3 "$here/own_client.py" $A4 $A6 || return 1
	until_line "$lane_tmp/server" "bye" 50 || no "$(tail -n 1 "$lane_tmp/server")" || return 1
	keeper_gone
}

# A member that computes or sleeps: the keeper answers for it. And who would use its interface otherwise is told.
sleeps()
{
	local text
	own --address $A4/24 -- /usr/bin/python3 -c 'import socket, time
s = socket.socket()
s.bind(("'$A4'", 7003))
s.listen()
print("listens", flush=True)
time.sleep(60)'
	until_line "$lane_tmp/server" "listens" 150 || no "$(tail -n 1 "$lane_tmp/server")" || return 1
	sleep 0.3
	in_peer ping -c 3 -i 0.3 -W 3 $A4 || no "nobody answers while the program sleeps" || return 1
	in_peer socat -u OPEN:/dev/null "TCP:$A4:7003,connect-timeout=5" || no "no handshake while the program sleeps" || return 1
	text=$(in_ns "$ns_own" timeout 20 "$LANE" run --strict -i "$if_own" -- true 2>&1) && { no "another mode is taken for this one"; return 1; }
	[[ $text == *"was opened with addresses of its own"* ]] || no "another mode: $text" || return 1
	ended
}

# The same MAC again, and who remembers another one hears of ours.
announces()
{
	local mac again
	own_redis --address $A4/24 || return 1
	pong $A4 || return 1
	mac=$(ip -n "$ns_peer" neigh show $A4 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
	ended || return 1
	ip -n "$ns_peer" neigh replace $A4 lladdr 02:00:00:00:00:99 dev "$if_peer" nud reachable
	own_redis --address $A4/24 || return 1
	pong $A4 || return 1
	again=$(ip -n "$ns_peer" neigh show $A4 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
	[ -n "$mac" ] && [ "$mac" = "$again" ] || no "the MAC was $mac and is $again" || return 1
	ended
}

# Who asks for other addresses than the keeper has is told which it has; nor is there one for two interfaces.
# A DPDK port is for one program, whatever the other one asks for.
others()
{
	local text other="other addresses ($A4/24)"
	[ "$how" = dpdk ] && other="a DPDK port is for one program"
	own_redis --address $A4/24 || return 1
	text=$(in_ns "$ns_own" timeout 20 "$LANE" run --strict -d "$how" -i "$if_own" --address 10.77.0.10/24 -- true 2>&1) &&
		{ no "another address is taken for this one"; return 1; }
	[[ $text == *"$other"* ]] || no "another address: $text" || return 1
	[ "$how" = dpdk ] || in_ns "$ns_own" timeout 20 "$LANE" run --strict -d "$how" -i "$if_own" --address " $A4/24," -- true ||
		no "the same address is taken for another" || return 1
	pong $A4 || return 1
	ended || return 1
	text=$(in_ns "$ns_own" timeout 20 "$LANE" run --strict -d "$how" -i "$if_own" -i lo --address $A4/24 -- /usr/bin/python3 -c 'import socket
socket.socket().listen()' 2>&1) &&
		{ no "two interfaces are taken"; return 1; }
	[[ $text == *"serves one interface, not 2"* ]] || no "two interfaces: $text"
}

# Kernels before 6.5: the first member maps the rings before they are bound, and the addresses come then.
old_kernel()
{
	LANE_WITHOUT=map-late own_redis --address $A4/24,$A6/64 || return 1
	pong $A4 && pong $A6 || return 1
	ended
}

# The system call in which a process is stopped; -1: none.
stopped_in()
{
	local i
	for ((i = 0; i < 100; i++)); do
		[[ $(cut -d ' ' -f 3 "/proc/$1/stat") == T ]] && cut -d ' ' -f 1 "/proc/$1/syscall" && return
		sleep 0.02
	done
}

# A worker is stopped while it sends or sleeps: the others serve on. One that is stopped elsewhere may hold the lane
# (tap's rx_burst() reads under its lock), and is let go at once.
stopped()
{
	local i pids p at nr=0 calls
	calls=$(/usr/bin/python3 -c 'import platform
print("64 206 211 22" if platform.machine() == "aarch64" else "1 44 46 232 281")') # write, sendto, sendmsg, epoll_[p]wait
	nginx_conf 7080 3
	say hello >"$lane_tmp/www/f"
	own --address $A4/24 -- nginx -c "$lane_tmp/nginx.conf" -e stderr
	for ((i = 0; i < 100; i++)); do
		[ "$(in_peer curl -s -m 2 "http://$A4:7080/f")" = hello ] && break
		sleep 0.1
	done
	[ $i -lt 100 ] || no "nginx does not answer: $(tail -n 1 "$lane_tmp/server")" || return 1
	pids=$(pgrep -P "$server")
	start "$ns_peer" timeout 40 wrk -c 30 -d 30 -t 1 "http://$A4:7080/f"
	for ((i = 0; i < 400 && nr < 40; i++)); do
		# shellcheck disable=SC2086
		p=$(shuf -n 1 -e $pids)
		kill -STOP "$p"
		at=$(stopped_in "$p")
		if [[ " $calls " == *" $at "* ]]; then
			nr=$((nr + 1))
			sleep 0.1
			in_peer ping -q -c 1 -W 2 $A4 >/dev/null || no "no answer while worker $p is stopped in call $at" || return 1
		fi
		kill -CONT "$p"
	done
	[ $nr -gt 0 ] || no "no worker was ever stopped in a call that sends" || return 1
	in_peer curl -s -m 5 "http://$A4:7080/f" | grep -q hello || no "nginx answers no more" || return 1
	ended
}

# The peer has the address already.
conflict()
{
	ip -n "$ns_peer" addr add $A4/24 dev "$if_peer"
	own --address $A4/24 -- /usr/bin/python3 -c 'import socket; socket.socket().bind(("'$A4'", 7003))'
	until_line "$lane_tmp/server" "has $A4 already" 100
	local rc=$?
	ip -n "$ns_peer" addr del $A4/24 dev "$if_peer"
	[ $rc = 0 ] || no "a duplicate address goes unnoticed: $(tail -n 1 "$lane_tmp/server")" || return 1
	keeper_gone || return 1
	ip -n "$ns_peer" addr add $A6/64 dev "$if_peer" nodad
	own --address $A6/64 -- /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET6).bind(("'$A6'", 7003))'
	until_line "$lane_tmp/server" "another station has $A6" 100
	rc=$?
	ip -n "$ns_peer" addr del $A6/64 dev "$if_peer"
	[ $rc = 0 ] || no "a duplicate IPv6 address goes unnoticed: $(tail -n 1 "$lane_tmp/server")" || return 1
	keeper_gone
}

# The peer learns of the address by the announcement alone, and connections outlive the link.
link_flaps()
{
	local i
	own_redis --address $A4/24 || return 1
	pong $A4 || return 1
	in_ns "$ns_peer" sysctl -qw "net.ipv4.conf.$if_peer.arp_accept=1"
	# The carrier, where there is a peer.
	ip -n "$ns_peer" link set "$if_peer" down
	for ((i = 0; i < 50; i++)); do
		in_ns "$ns_own" "$LANE" stat -i "$if_own" | grep -q 'link down' && break
		sleep 0.1
	done
	[ $i -lt 50 ] || no "the link is down and nobody says so" || return 1
	ip -n "$ns_peer" link set "$if_peer" up
	ip -n "$ns_peer" addr replace "$peer6/64" dev "$if_peer" nodad
	for ((i = 0; i < 50; i++)); do
		ip -n "$ns_peer" neigh show $A4 | grep -q lladdr && break
		sleep 0.1
	done
	[ $i -lt 50 ] || no "the address was not announced again" || return 1
	pong $A4 || return 1
	ended
}

dnsmasq_start()
{
	out=$lane_tmp/dnsmasq start "$ns_peer" dnsmasq -k -C /dev/null --port=0 --no-ping --interface="$if_peer" --bind-dynamic \
		--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,2m --dhcp-option="3,$peer4" --leasefile-ro \
		--dhcp-script=/bin/true --pid-file= --log-dhcp --log-facility="$lane_tmp/dnsmasq.log"
	dnsmasq=$pid
	sleep 0.3
}

dhcp()
{
	local lease
	: >"$lane_tmp/dnsmasq.log"
	dnsmasq_start
	own_redis --dhcp || return 1
	lease=$(sed -n 's/.*DHCPACK([^)]*) \([0-9.]*\) .*/\1/p' "$lane_tmp/dnsmasq.log" | tail -n 1)
	[ -n "$lease" ] || no "dnsmasq gave no lease" || return 1
	pong "$lease" || return 1
	in_ns "$ns_own" "$LANE" stat -i "$if_own" | grep -q 'dhcp, bound' || no "lane stat tells no lease" || return 1
	ended || return 1
	# Given back at the end.
	until_line "$lane_tmp/dnsmasq.log" DHCPRELEASE 30 || no "the lease was not given back" || return 1
	stop "$dnsmasq"
}

# Without a server the program runs all the same, and lane stat says what is missing.
dhcp_absent()
{
	own_redis --dhcp || return 1
	in_ns "$ns_own" "$LANE" stat -i "$if_own" | grep -q 'has no address yet' || no "lane stat does not say that there is no address" || return 1
	dnsmasq_start
	for ((i = 0; i < 300; i++)); do
		in_ns "$ns_own" "$LANE" stat -i "$if_own" | grep -q 'dhcp, bound' && break
		sleep 0.1
	done
	pong "$(sed -n 's/.*DHCPACK([^)]*) \([0-9.]*\) .*/\1/p' "$lane_tmp/dnsmasq.log" | tail -n 1)" || return 1
	in_ns "$ns_own" "$LANE" stat -i "$if_own" | grep -q 'has no address yet' && { no "lane stat says still that there is no address"; return 1; }
	stop "$dnsmasq"
	ended
}

radvd_start() # LIFETIME VALID PREFERRED
{
	cat >"$lane_tmp/radvd.conf" <<-TEXT
	interface $if_peer {
		AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime $1;
		prefix fd78::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime ${2:-300}; AdvPreferredLifetime ${3:-200}; };
	};
	TEXT
	chmod 600 "$lane_tmp/radvd.conf"
	out=$lane_tmp/radvd start "$ns_peer" radvd -n -d 1 -m stderr -C "$lane_tmp/radvd.conf" -p "$lane_tmp/radvd.pid"
	radvd=$pid
}

# The address that a prefix and the MAC make (RFC 4291 A).
slaac_address() # MAC
{
	/usr/bin/python3 -c 'import ipaddress, sys
m = bytes.fromhex(sys.argv[1].replace(":", ""))
print(ipaddress.ip_address(bytes.fromhex("fd78000000000000") + bytes([m[0] ^ 2]) + m[1:3] + b"\xff\xfe" + m[3:]))' "$1"
}

answers_at()
{
	local i
	for ((i = 0; i < 100; i++)); do
		[ "$(in_peer redis-cli -h "$1" ping 2>&1)" = PONG ] && return 0
		sleep 0.2
	done
	no "nobody answers at $1"
}

slaac()
{
	local mac at
	in_ns "$ns_peer" sysctl -qw net.ipv6.conf.all.forwarding=1
	ip -n "$ns_peer" addr add fd78::1/64 dev "$if_peer" nodad
	ip -n "$ns_peer" addr add fd79::1/64 dev lo nodad
	own_redis --address $A4/24 || return 1
	pong $A4 || return 1
	mac=$(ip -n "$ns_peer" neigh show $A4 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
	at=$(slaac_address "$mac")
	radvd_start 9
	answers_at "$at" || return 1
	# From behind the router: by the default route that it announced.
	[ "$(in_peer socat - "TCP6:[$at]:6379,bind=[fd79::1]" <<<PING | tr -d '\r')" = +PONG ] || no "no way back to behind the router" || return 1
	# It ends, and says so: no default route any more.
	stop "$radvd"
	sleep 1
	[ -z "$(timeout 3 nsenter --net="/run/netns/$ns_peer" socat -T 2 - "TCP6:[$at]:6379,bind=[fd79::1],connect-timeout=2" <<<PING 2>/dev/null)" ] ||
		no "the router is gone, and is still used" || return 1
	answers_at "$at" || return 1
	# Another one comes.
	radvd_start 9
	for ((i = 0; i < 50; i++)); do
		[ "$(timeout 3 nsenter --net="/run/netns/$ns_peer" socat -T 2 - "TCP6:[$at]:6379,bind=[fd79::1],connect-timeout=1" <<<PING 2>/dev/null | tr -d '\r')" = +PONG ] && break
		sleep 0.1
	done
	[ $i -lt 50 ] || no "the router is back, and is not used" || return 1
	stop "$radvd"
	ended
}

# The router goes without a word: its prefix is over, and the address with it.
slaac_expires()
{
	local mac at i
	in_ns "$ns_peer" sysctl -qw net.ipv6.conf.all.forwarding=1
	ip -n "$ns_peer" addr replace fd78::1/64 dev "$if_peer" nodad
	own_redis --address $A4/24 || return 1
	pong $A4 || return 1
	mac=$(ip -n "$ns_peer" neigh show $A4 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
	at=$(slaac_address "$mac")
	radvd_start 9 12 8
	answers_at "$at" || return 1
	kill -KILL "$radvd"
	for ((i = 0; i < 30; i++)); do
		in_peer ping -6 -q -c 1 -W 1 "$at" >/dev/null || break
		sleep 1
	done
	[ $i -lt 30 ] || no "the prefix is over, and the address answers" || return 1
	pong $A4 || return 1
	ended
}

# Datagrams to groups that the program is in come, to others not; the peer's kernel hears who is in which.
groups()
{
	local g reports
	: >"$lane_tmp/reports"
	out=$lane_tmp/reports start "$ns_peer" timeout 60 /usr/bin/python3 -u "$here/own_groups.py" reports "$if_peer"
	reports=$pid
	until_line "$lane_tmp/reports" listens 50 || no "$(cat "$lane_tmp/reports")" || return 1
	own --address $A4/24,$A6/64 -- /usr/bin/python3 -u "$here/own_groups.py" server $A4
	until_line "$lane_tmp/server" ready 150 || no "$(tail -n 1 "$lane_tmp/server")" || return 1
	in_peer /usr/bin/python3 "$here/own_groups.py" client "$if_peer" $A4 || no "groups: $(tail -n 3 "$lane_tmp/server" | tr '\n' ';')" || return 1
	for g in 239.7.7.1 239.7.7.2 ff15::7; do
		until_line "$lane_tmp/reports" "join $g" 100 || no "no report of $g: $(tr '\n' ';' <"$lane_tmp/reports")" || return 1
	done
	stop "$server"
	until_line "$lane_tmp/reports" "leave 239.7.7.2" 100 || no "no word of the end: $(tr '\n' ';' <"$lane_tmp/reports")" || return 1
	stop "$reports"
	keeper_gone
}

begin
grep -qa 'lane was built without lwIP' "$LANE" && {
	say "lane was built without lwIP (scripts/setup fetches it)"
	exit 77
}
hows=xdp
if (: <>/dev/net/tun) 2>/dev/null && tap_up; then
	hows="tap xdp"
else
	say "SKIP tap: no /dev/net/tun"
fi
net_up
ip -n "$ns_s" addr flush dev "$if_s"
if [ -e "$(dirname "$LANE")/posix/keeper/liblane-dpdk.so" ]; then
	hows="$hows dpdk"
else
	say "SKIP dpdk: built without"
fi
for how in ${HOWS:-$hows}; do
	use $how
	peer4=$K4 peer6=$K6 if_peer=tap0
	[ $how != tap ] && peer4=$C4 peer6=$C6 if_peer=$if_c
	own_case serves
	own_case sockets
	own_case sleeps
	own_case conflict
	own_case groups
	own_case announces
	own_case others
	[ $how = dpdk ] || own_case stopped # a PMD's calls are under the lane's lock
	own_case dhcp
	[ $how = tap ] && own_case dhcp_absent
	own_case slaac
	own_case slaac_expires
	[ $how = dpdk ] || own_case link_flaps # net_af_xdp tells of no lost link
	[ $how = xdp ] && own_case old_kernel
done
end
