#!/bin/bash
# echo_veth.sh - lane-echo on a veth: modes, queues, absent kernel features, and what the kernel keeps
. "$(dirname "$(readlink -f "$0")")/echo_lib.sh"
MB=${MB:-8}

# The kernel's own work on the same address: ping, and a TCP server on another port.
kernel_keeps()
{
	in_c ping -c 3 -i 0.1 -W 1 -q "$S4" >/dev/null || no "no answer to ping" || return 1
	in_c ping -c 3 -i 0.1 -W 1 -q "$S6" >/dev/null || no "no answer to ping, IPv6" || return 1
	in_s timeout 20 python3 -c "
import socket
s = socket.create_server(('::', 99), family=socket.AF_INET6, dualstack_ipv6=True)
for i in range(2):
    c, _ = s.accept()
    c.sendall(c.recv(100))
" &
	wait_port "$ns_s" 99 || return 1
	for a in "$S4" "$S6"; do
		in_c timeout 5 python3 -c "
import socket, sys
s = socket.create_connection(('$a', 99), timeout=3)
s.sendall(b'kernel')
sys.exit(s.recv(100) != b'kernel')" || no "the kernel's port 99 does not answer on $a" || return 1
	done
}

tcp_both() # options of lane-echo
{
	echo_start "$ns_s" -i "$if_s" "$@" || return 1
	client "$ns_c" "$S4" 7 tcp "$MB" && client "$ns_c" "$S6" 7 tcp "$MB" && kernel_keeps
}

udp_both()
{
	echo_start "$ns_s" -i "$if_s" --udp "$@" || return 1
	client "$ns_c" "$S4" 7 udp && client "$ns_c" "$S6" 7 udp && kernel_keeps
}

# Killed without a chance to clean up: program gone, port closed, and the next one starts at once.
killed()
{
	echo_start "$ns_s" -i "$if_s" || return 1
	client "$ns_c" "$S4" 7 tcp 1 || return 1
	kill -KILL "$pid"
	xdp_gone "$ns_s" "$if_s" || return 1
	in_c timeout 12 python3 -c "
import socket, sys
try:
    socket.create_connection(('$S4', 7), timeout=9)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)" || no "the port is not closed after kill -9" || return 1
	echo_start "$ns_s" -i "$if_s" && client "$ns_c" "$S4" 7 tcp 1 || return 1
	stop "$pid"
	xdp_gone "$ns_s" "$if_s"
}

# A kernel connection that was there before the claim goes on.
before_the_claim()
{
	in_s timeout 30 python3 -c "
import socket, time
s = socket.create_server(('$S4', 7))
c, _ = s.accept()
s.close()
while True:
    d = c.recv(100)
    if not d: break
    c.sendall(d)" &
	wait_port "$ns_s" 7 || return 1
	in_c timeout 30 python3 -c "
import socket, sys, time
s = socket.create_connection(('$S4', 7), timeout=3)
open('$lane_tmp/before', 'w').close()
for i in range(30):
    s.sendall(b'%d' % i)
    if s.recv(100) != b'%d' % i: sys.exit('changed')
    time.sleep(0.1)" &
	local old=$! i
	for ((i = 0; i < 100; i++)); do
		[ -e "$lane_tmp/before" ] && break
		sleep 0.05
	done
	echo_start "$ns_s" -i "$if_s" || return 1
	client "$ns_c" "$S4" 7 tcp 1 || return 1
	wait "$old" || no "the kernel's old connection was cut off"
}

# A handshake for which the kernel has nothing but a SYN cookie when the port is claimed.
syn_cookie()
{
	local mac old i
	in_s sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies' || return 1
	ip -n "$ns_s" neigh replace 10.77.0.99 lladdr 02:00:00:00:00:99 dev "$if_s"
	in_s timeout 30 python3 -c "
import socket
s = socket.create_server(('$S4', 7))
c, _ = s.accept()
assert c.recv(5) == b'hello'" &
	wait_port "$ns_s" 7 || return 1
	mac=$(ip -n "$ns_s" -br link show "$if_s" | awk '{print $3}')
	rm -f "$lane_tmp/claimed" "$lane_tmp/cookie"
	in_c timeout 30 python3 "$here/echo_cookie.py" "$if_c" "$mac" "$S4" 10.77.0.99 7 "$lane_tmp/claimed" >"$lane_tmp/cookie" &
	old=$!
	for ((i = 0; i < 100; i++)); do
		grep -q cookie "$lane_tmp/cookie" && break
		sleep 0.05
	done
	echo_start "$ns_s" -i "$if_s" "$@" || return 1
	: >"$lane_tmp/claimed"
	wait "$old" || no "the connection by SYN cookie was cut off"
}

# Addresses that come later are served, those that go are the kernel's matter again.
new_address()
{
	echo_start "$ns_s" -i "$if_s" || return 1
	ip -n "$ns_s" addr add 10.77.0.9/24 dev "$if_s"
	ip -n "$ns_s" addr add fd77::9/64 dev "$if_s" nodad
	sleep 0.2
	client "$ns_c" 10.77.0.9 7 tcp 1 && client "$ns_c" fd77::9 7 tcp 1 && client "$ns_c" "$S4" 7 tcp 1 || return 1
	ip -n "$ns_s" addr del 10.77.0.9/24 dev "$if_s"
	ip -n "$ns_s" addr del fd77::9/64 dev "$if_s"
	client "$ns_c" "$S4" 7 tcp 1
}

# Frames longer than one buffer, in both modes.
jumbo()
{
	local r
	ip -n "$ns_s" link set "$if_s" mtu 9000 && ip -n "$ns_c" link set "$if_c" mtu 9000
	tcp_both "$@"
	r=$?
	stop "$pid"
	ip -n "$ns_s" link set "$if_s" mtu 1500 && ip -n "$ns_c" link set "$if_c" mtu 1500
	return $r
}

# Idle means asleep.
idle()
{
	echo_start "$ns_s" -i "$if_s" || return 1
	client "$ns_c" "$S4" 7 tcp 1 || return 1
	local a b
	a=$(awk '{print $14 + $15}' "/proc/$pid/stat")
	sleep 2
	b=$(awk '{print $14 + $15}' "/proc/$pid/stat")
	[ $((b - a)) -le 2 ] || no "it used $((b - a)) ticks in 2 s"
}

refusals()
{
	local text
	text=$(in_s timeout 10 "$ECHO" -i nosuch0 2>&1) && return 1
	[[ $text == *"no interface 'nosuch0'"* ]] || no "no such interface: $text" || return 1
	text=$(in_s timeout 10 "$ECHO" -i "$if_s" --zerocopy 2>&1) && return 1
	[[ $text == *"zero copy"* ]] || no "zero copy: $text" || return 1
	text=$(in_s timeout 10 "$ECHO" -i "$if_s" --mode generic --without sg 2>&1) && return 1
	[[ $text == *"multi-buffer"* ]] || no "generic without sg: $text" || return 1
	text=$(in_s timeout 10 setpriv --bounding-set -net_raw,-bpf,-sys_admin --inh-caps -all "$ECHO" -i "$if_s" 2>&1) && return 1
	[[ $text == *"CAP_NET_RAW"* ]] || no "no permission: $text" || return 1
	echo_start "$ns_s" -i "$if_s" || return 1
	text=$(in_s timeout 10 "$ECHO" -i "$if_s" -p 8 2>&1) && return 1
	[[ $text == *"lane-echo (pid $pid)"* ]] || no "attached already: $text"
}

begin
net_up
case_ tcp tcp_both
case_ udp udp_both
case_ tcp-native tcp_both --mode native
case_ udp-native udp_both --mode native
for f in sg tx-metadata unaligned sk-lookup syncookie need-wakeup map-late super-segments; do
	case_ "tcp-without-$f" tcp_both --without $f
	case_ "tcp-native-without-$f" tcp_both --mode native --without $f
done
case_ tcp-linux-6.1 tcp_both --without sg,tx-metadata,map-late
case_ udp-linux-6.1 udp_both --without sg,tx-metadata,map-late
case_ before-the-claim before_the_claim
case_ syn-cookie syn_cookie
case_ new-address new_address
case_ mtu-9000 jumbo
case_ mtu-9000-native jumbo --mode native
case_ killed killed
case_ idle idle
case_ refusals refusals
net_down

# Two queues: native, and frames come and go by both.
QUEUES=2 net_up
case_ two-queues-tcp tcp_both
case_ two-queues-udp udp_both
case_ two-queues-tcp-generic tcp_both --mode generic
case_ two-queues-tcp-linux-6.1 tcp_both --without sg,tx-metadata,map-late
end
