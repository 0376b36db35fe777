#!/bin/bash
# fragments.sh - lane-echo behind a router that cuts what comes: TCP segments arrive in pieces
. "$(dirname "$(readlink -f "$0")")/echo_lib.sh"
ns_r=$lane_tag-r
addr=10.78.0.1

# Client - router - server; the router's route to the server takes 576 bytes, both links 1500.
router_up()
{
	ns_add "$ns_s" && ns_add "$ns_c" && ns_add "$ns_r" || die "cannot make network namespaces"
	ip -n "$ns_r" link add to_c type veth peer name "$if_c" netns "$ns_c" || die "cannot make a veth pair"
	ip -n "$ns_r" link add to_s type veth peer name "$if_s" netns "$ns_s" || die "cannot make a veth pair"
	ip -n "$ns_c" addr add "$C4/24" dev "$if_c"
	ip -n "$ns_r" addr add "$S4/24" dev to_c
	ip -n "$ns_r" addr add 10.78.0.2/24 dev to_s
	ip -n "$ns_s" addr add $addr/24 dev "$if_s"
	ip -n "$ns_c" link set "$if_c" up
	ip -n "$ns_r" link set to_c up
	ip -n "$ns_r" link set to_s up
	ip -n "$ns_s" link set "$if_s" up
	ip -n "$ns_r" route replace 10.78.0.0/24 dev to_s mtu lock 576
	ip -n "$ns_c" route add default via "$S4"
	ip -n "$ns_s" route add default via 10.78.0.2
	in_ns "$ns_r" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' || die "cannot forward"
}

# The client's segments leave without DF.
echo_1mb()
{
	in_c timeout 40 python3 -c "
import os, socket, sys, threading
s = socket.socket()
s.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
s.settimeout(15)
s.connect(('$addr', 7))
data = os.urandom(1 << 20)
threading.Thread(target=s.sendall, args=(data,), daemon=True).start()
got = b''
while len(got) < len(data):
    d = s.recv(65536)
    if not d: break
    got += d
sys.exit(got != data)" || no "what came back is not what was sent"
}

counter() # file name
{
	awk -v n="$2" '$1 == n {print $2}' "$1"
}

tcp_is_cut()
{
	local cut
	echo_start "$ns_s" -i "$if_s" "$@" || return 1
	echo_1mb || return 1
	stop "$pid"
	cut=$(counter "$lane_tmp/echo" xdp_tcp_fragments)
	[ "${cut:-0}" -gt 1000 ] || no "only ${cut:-0} fragments came to the lane"
}

begin
router_up
case_ tcp tcp_is_cut
case_ tcp-native tcp_is_cut --mode native
case_ tcp-linux-6.1 tcp_is_cut --without sg,tx-metadata,map-late
end
