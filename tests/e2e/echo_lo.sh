#!/bin/bash
# echo_lo.sh - lane-echo on the loopback interface of a namespace of its own, for kernel programs there
. "$(dirname "$(readlink -f "$0")")/echo_lib.sh"
ns=$lane_tag-l
MB=${MB:-8}

tcp_lo() # options of lane-echo
{
	echo_start "$ns" -i lo "$@" || return 1
	client "$ns" 127.0.0.1 7 tcp "$MB" && client "$ns" ::1 7 tcp "$MB" && client "$ns" 127.1.2.3 7 tcp 1 && kernel_keeps
}

udp_lo()
{
	echo_start "$ns" -i lo --udp "$@" || return 1
	client "$ns" 127.0.0.1 7 udp && client "$ns" ::1 7 udp && kernel_keeps
}

# Two kernel programs go on talking over lo, and ping does.
kernel_keeps()
{
	in_ns "$ns" ping -c 3 -i 0.1 -W 1 -q 127.0.0.1 >/dev/null || no "no answer to ping" || return 1
	in_ns "$ns" ping -c 3 -i 0.1 -W 1 -q ::1 >/dev/null || no "no answer to ping, IPv6" || return 1
	in_ns "$ns" timeout 20 python3 -c "
import socket, threading
for a in ('127.0.0.1', '::1'):
    s = socket.create_server((a, 99), family=socket.AF_INET6 if ':' in a else socket.AF_INET)
    def serve():
        c, _ = s.accept()
        n = 0
        while n < 1 << 20: n += len(c.recv(65536))
        c.sendall(b'all')
    t = threading.Thread(target=serve)
    t.start()
    c = socket.create_connection((a, 99), timeout=3)
    c.sendall(bytes(1 << 20))
    assert c.recv(3) == b'all'
    t.join()
    s.close()" || no "kernel programs do not hear each other on lo"
}

settings()
{
	echo_start "$ns" -i lo || return 1
	grep -q 'route_localnet=1' "$lane_tmp/echo" || no "the settings are not reported" || return 1
	[ "$(in_ns "$ns" cat /proc/sys/net/ipv4/conf/lo/route_localnet)" = 1 ] || no "route_localnet is not set" || return 1
	[ "$(in_ns "$ns" cat /proc/sys/net/ipv4/conf/lo/accept_local)" = 1 ] || no "accept_local is not set"
}

killed()
{
	echo_start "$ns" -i lo || return 1
	client "$ns" 127.0.0.1 7 tcp 1 || return 1
	kill -KILL "$pid"
	xdp_gone "$ns" lo && kernel_keeps
}

refusals()
{
	local text
	text=$(in_ns "$ns" timeout 10 "$ECHO" -i lo --without sg 2>&1) && return 1
	[[ $text == *"multi-buffer"* ]] || no "lo without sg: $text" || return 1
	text=$(in_ns "$ns" timeout 10 "$ECHO" -i lo --mode native 2>&1) && return 1
	[[ $text == *"native"* ]] || no "lo in native mode: $text"
}

begin
ns_add "$ns" || exit 1
case_ settings settings
case_ tcp tcp_lo
case_ udp udp_lo
for f in tx-metadata unaligned sk-lookup syncookie need-wakeup map-late super-segments; do
	case_ "tcp-without-$f" tcp_lo --without $f
	case_ "udp-without-$f" udp_lo --without $f
done
case_ killed killed
case_ refusals refusals
end
