#!/bin/bash
# dpdk.sh - lane-echo over DPDK: a kernel peer behind net_af_packet and net_tap, another lane behind net_memif
. "$(dirname "$(readlink -f "$0")")/echo_lib.sh"
MB=${MB:-8}
MAC_S=02:00:00:00:00:01 MAC_C=02:00:00:00:00:02

begin
if [ ! -e "$(dirname "$ECHO")/../../posix/keeper/liblane-dpdk.so" ]; then
	say "built without DPDK"
	exit 77
fi

# The lane has the address, and the kernel behind the same interface none; nobody answers ARP for it.
bare_veth()
{
	net_up
	ip -n "$ns_s" addr flush dev "$if_s"
	local mac
	mac=$(ip -n "$ns_s" -br link show "$if_s" | awk '{print $3}')
	ip -n "$ns_c" neigh replace "$S4" lladdr "$mac" nud permanent dev "$if_c"
	ip -n "$ns_c" neigh replace "$S6" lladdr "$mac" nud permanent dev "$if_c"
}

af_packet()
{
	echo_start "$ns_s" -d dpdk --eal "--vdev net_af_packet0,iface=$if_s,qdisc_bypass=1" \
		--address "$S4/24" --address "$S6/64" "$@"
}

# Nothing was lost to bad checksums, and the frames were no copies.
ended_well()
{
	stop "$pid"
	grep -q '^rx_packets [1-9]' "$lane_tmp/echo" || no "it counted nothing" || return 1
	! grep -q 'drop .*csum\|dpdk_rx_copied' "$lane_tmp/echo" || no "$(grep 'drop\|copied' "$lane_tmp/echo" | tr '\n' ' ')"
}

tcp_af_packet()
{
	af_packet && client "$ns_c" "$S4" 7 tcp "$MB" && client "$ns_c" "$S6" 7 tcp "$MB" && ended_well
}

udp_af_packet()
{
	af_packet --udp && client "$ns_c" "$S4" 7 udp && client "$ns_c" "$S6" 7 udp && ended_well
}

af_xdp()
{
	echo_start "$ns_s" -d dpdk --eal "--vdev net_af_xdp0,iface=$if_s" --address "$S4/24" --address "$S6/64" "$@"
}

# PMD and lane share the UMEM: the mbufs that it lays out are frames of the lane.
tcp_af_xdp()
{
	af_xdp && client "$ns_c" "$S4" 7 tcp "$MB" && client "$ns_c" "$S6" 7 tcp "$MB" && ended_well
}

udp_af_xdp()
{
	af_xdp --udp && client "$ns_c" "$S4" 7 udp && ended_well
}

tap() # the peer is the kernel at the other side of the tap
{
	echo_start "$ns_s" -d dpdk --eal "--vdev net_tap0,iface=$lane_tag-t,mac=$MAC_S" --address 10.78.0.1/24 "$@" || return 1
	ip -n "$ns_s" link set "$lane_tag-t" address "$MAC_C"
	ip -n "$ns_s" addr add 10.78.0.2/24 dev "$lane_tag-t"
	ip -n "$ns_s" link set "$lane_tag-t" up
	ip -n "$ns_s" neigh replace 10.78.0.1 lladdr "$MAC_S" nud permanent dev "$lane_tag-t"
}

tcp_tap()
{
	tap && client "$ns_s" 10.78.0.1 7 tcp "$MB" && ended_well
}

udp_tap()
{
	tap --udp && client "$ns_s" 10.78.0.1 7 udp && ended_well
}

# between SERVER-VDEV ITS-MAC CLIENT-VDEV server options, --, client options: two processes, a lane each.
between()
{
	local server=$1 mac=$2 client=$3 opts=()
	shift 3
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift
	rm -f "$lane_tmp/socket"
	# shellcheck disable=SC2046
	serve "$server" "${opts[@]}" && in_c timeout 60 "$ECHO" "$(eal_of "$client")" $(as_client "$mac") "$@"
}

serve() # VDEV options
{
	local vdev=$1
	shift
	echo_start "$ns_s" -d dpdk "$(eal_of "$vdev")" --address "$S4/24" --address "$S6/64" \
		--neighbour "$C4=$MAC_C" --neighbour "$C6=$MAC_C" "$@"
}

eal_of()
{
	say "--eal=--vdev $1"
}

as_client() # MAC of the server
{
	say "-d dpdk --address $C4/24 --address $C6/64 --neighbour $S4=$1 --neighbour $S6=$1 --seconds 50"
}

memif_to="socket=$lane_tmp/socket,socket-abstract=no"
memif_s="net_memif0,role=server,$memif_to,mac=$MAC_S" memif_c="net_memif0,role=client,$memif_to,mac=$MAC_C"

memif()
{
	between "$memif_s" "$MAC_S" "$memif_c" "$@"
}

# A guest's device and its host's: checksums left open, super-segments, interrupts to sleep on.
vhost()
{
	between "net_vhost0,iface=$lane_tmp/socket,tso=1" 56:48:4f:53:54:00 \
		"net_virtio_user0,path=$lane_tmp/socket,mac=$MAC_C" "$@"
}

counted() # how the client ended, how many requests
{
	[ "$1" = 0 ] || no "the client failed: $(tail -n 1 "$lane_tmp/case")" || return 1
	grep -q "requests $2 in .* wrong 0, failed 0" "$lane_tmp/case" || no "$(grep requests "$lane_tmp/case")" || return 1
	ended_well
}

tcp_memif() # connections bytes requests address
{
	memif -- --ask "$4" --connections "$1" --request "$2" --requests "$3"
	counted $? "$3"
}

udp_memif()
{
	memif --udp -- --udp --ask "$4" --connections "$1" --request "$2" --requests "$3"
	counted $? "$3"
}

tcp_vhost()
{
	vhost -- --ask "$4" --connections "$1" --request "$2" --requests "$3"
	counted $? "$3" || return 1
	grep -q ', TSO.*, interrupts' "$lane_tmp/case" || no "no TSO or no interrupts: $(grep port "$lane_tmp/case")"
}

# Long packets came through uncut.
super_vhost()
{
	tcp_vhost "$@" || return 1
	grep -q '^tx_q0_size_1519_max_packets [1-9]' "$lane_tmp/case" || no "no super-segment was sent"
}

idle_vhost()
{
	echo_start "$ns_s" -d dpdk --eal "--vdev net_vhost0,iface=$lane_tmp/socket" --address "$S4/24"
}

# The peer's process is killed while it asks, and another one takes its place.
memif_again()
{
	local server old i
	rm -f "$lane_tmp/socket"
	serve "$memif_s" || return 1
	server=$pid
	# shellcheck disable=SC2046
	out=$lane_tmp/first start "$ns_c" "$ECHO" "$(eal_of "$memif_c")" $(as_client "$MAC_S") --ask "$S4" --connections 10
	old=$pid
	pid=$server
	for ((i = 0; i < 100; i++)); do
		grep -q ' port ' "$lane_tmp/first" && break
		sleep 0.05
	done
	sleep 1
	kill -KILL "$old" || no "the first client was gone: $(tail -n 1 "$lane_tmp/first")" || return 1
	# shellcheck disable=SC2046
	in_c timeout 60 "$ECHO" "$(eal_of "$memif_c")" $(as_client "$MAC_S") --ask "$S4" --connections 10 --requests 1000
	counted $? 1000
}

# A lane with nothing to do naps, or sleeps on the port's interrupt: at most a tenth of a core.
idle() # function that starts it
{
	"$@" || return 1
	local a b
	sleep 0.5
	a=$(awk '{print $14 + $15}' "/proc/$pid/stat")
	sleep 2
	b=$(awk '{print $14 + $15}' "/proc/$pid/stat")
	[ $((b - a)) -le 60 ] || no "it used $((b - a)) ticks in 2 s"
}

says() # text, options: refuses, and says so
{
	local text want=$1
	shift
	text=$(in_s timeout 10 "$ECHO" -d dpdk "$@" 2>&1) && { no "it started"; return 1; }
	[[ $text == *"$want"* ]] || no "$text instead of $want"
}

refusals()
{
	says "name the lane's own" --eal "--vdev net_null0" || return 1
	says "name a device" --address 10.0.0.1/24 || return 1
	says "unrecognized option '--vdve'" --address 10.0.0.1/24 --eal "--vdve net_null0" || return 1
	says "several ports" --address 10.0.0.1/24 --eal "--vdev net_null0 --vdev net_null1" || return 1
	LANE_DPDK=/nonexistent.so says "nonexistent.so" --address 10.0.0.1/24 --eal "--vdev net_null0"
}

# No hugepage file, no socket, no directory of EAL's stays behind.
leaves_nothing()
{
	local before after
	before=$(ls /var/run/dpdk /dev/hugepages 2>/dev/null)
	af_packet || return 1
	stop "$pid"
	after=$(ls /var/run/dpdk /dev/hugepages 2>/dev/null)
	[ "$before" = "$after" ] || no "there is $after"
}

bare_veth
case_ af_packet-tcp tcp_af_packet
case_ af_packet-udp udp_af_packet
case_ af_xdp-tcp tcp_af_xdp
case_ af_xdp-udp udp_af_xdp
if (: <>/dev/net/tun) 2>/dev/null; then
	case_ tap-tcp tcp_tap
	case_ tap-udp udp_tap
else
	say "SKIP tap: there is no /dev/net/tun"
fi
case_ memif-tcp-one tcp_memif 1 64 5000 "$S4"
case_ memif-tcp-many tcp_memif 1000 64 20000 "$S4"
case_ memif-tcp-large tcp_memif 20 100000 400 "$S6"
case_ memif-udp udp_memif 50 64 20000 "$S4"
case_ memif-udp-v6 udp_memif 5 1400 5000 "$S6"
case_ memif-again memif_again
case_ vhost-tcp tcp_vhost 100 64 10000 "$S6"
case_ vhost-tcp-large super_vhost 10 100000 200 "$S4"
case_ idle-vhost idle idle_vhost
case_ idle-af_packet idle af_packet
case_ refusals refusals
case_ leaves-nothing leaves_nothing
end
