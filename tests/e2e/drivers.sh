#!/bin/bash
# drivers.sh - the same lane, the same servers and checks on every driver; what differs is configuration alone
#
# Each place below says where the servers run and with which options, where the clients are, and what joins the
# two; then redis, nginx and iperf3 are checked there. That the bytes went through the lane is told by its own
# counters, and by the kernel's TCP, which accepted none of the connections.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
KEYS=${KEYS:-2000} MB=${MB:-64}
MAC_S=02:00:00:00:00:01

# ---- a server under lane, and what tells about it ----

# serve PATTERN command...: until its output holds the pattern; the pid is in $server.
serve()
{
	local until=$1
	shift
	prepare_place
	: >"$lane_tmp/server"
	out=$lane_tmp/server start "$ns_own" "$LANE" run --strict "${run[@]}" -- "$@"
	server=$pid
	until_line "$lane_tmp/server" "$until" 200 || no "${1##*/} does not start: $(tail -n 1 "$lane_tmp/server")" || return 1
	join_place || return 1
	accepted=$(kernel_accepted)
}

# Connections that the kernel's TCP has accepted in the servers' namespace.
kernel_accepted()
{
	in_ns "$ns_own" awk '/^Tcp:/ && ++t == 2 { print $7 }' /proc/net/snmp
}

# through_lane PACKETS: so many came to the lane at least, and no connection to the kernel.
through_lane()
{
	local n k
	n=$(lane_packets "$ns_own" "$if_own") k=$(($(kernel_accepted) - accepted))
	say "the lane received $n packets, the kernel accepted $k connections"
	[ "$n" -ge "$1" ] || no "only $n packets came to the lane" || return 1
	[ "$k" = 0 ] || no "the kernel accepted $k connections"
}

# client command...: at the other end.
client()
{
	local rc
	in_ns "$ns_peer" timeout 60 "${peer[@]}" "$@"
	rc=$?
	[ ${#peer[@]} = 0 ] || keeper_gone "$ns_peer" "$if_own" || return 1
	return $rc
}

# The keeper would stay for the sake of TIME_WAIT.
keeper_gone() # NAMESPACE INTERFACE
{
	local i
	in_ns "$1" timeout 5 "$LANE" stop -i "$2" >/dev/null 2>&1
	for ((i = 0; i < 100; i++)); do
		in_ns "$1" ss -Hxl | grep -q "lane/$2" || return 0
		sleep 0.1
	done
	no "the keeper of $2 does not end"
}

ended()
{
	stop "$server"
	keeper_gone "$ns_own" "$if_own"
}

# ---- the checks ----

keys()
{
	awk -v n="$KEYS" -v what="$1" 'BEGIN { for (i = 0; i < n; i++) print (what == "set" ? "SET key:" i " value-" i "-" i * i : \
		what == "get" ? "GET key:" i : "value-" i "-" i * i) }'
}

redis_server()
{
	serve "Ready to accept" redis-server --port 6379 --bind 0.0.0.0 :: --save '' --appendonly no --protected-mode no \
		--dir "$lane_tmp"
}

redis()
{
	redis_server || return 1
	keys set | client redis-cli -h "$a4" >"$lane_tmp/out" || no "redis-cli fails to set" || return 1
	[ "$(grep -c '^OK' "$lane_tmp/out")" = "$KEYS" ] || no "not all keys were set: $(grep -v '^OK' "$lane_tmp/out" | head -n 1)" || return 1
	keys get | client redis-cli -h "$a6" >"$lane_tmp/out" || no "redis-cli fails to get" || return 1
	keys values | cmp - "$lane_tmp/out" || no "values differ" || return 1
	[ ${#peer[@]} -gt 0 ] || client ping -c 2 -i 0.2 -W 2 "$a4" || no "no answer to an echo" || return 1
	[ ${#peer[@]} -gt 0 ] || client ping -6 -c 2 -i 0.2 -W 2 "$a6" || no "no answer to an IPv6 echo" || return 1
	client redis-benchmark -h "$a4" -c 20 -n 5000 -d 100 -t set,get,lrange_100 -q || no "redis-benchmark fails" || return 1
	through_lane $((2 * KEYS + 2000)) && ended
}

files()
{
	local n
	mkdir -p "$lane_tmp/www"
	for n in 1 1448 100000 5000000; do
		head -c $n /dev/urandom >"$lane_tmp/www/$n"
	done
	(cd "$lane_tmp/www" && sha256sum -- *) >"$lane_tmp/sums"
}

# fetch ADDRESS NAME curl's options: all files twice, then their sums.
fetch()
{
	local at=$1 name=$2 n round args
	shift 2
	for round in 1 2; do
		rm -rf "$lane_tmp/got" && mkdir "$lane_tmp/got" && args=()
		for n in 1 1448 100000 5000000; do
			args+=(-o "$lane_tmp/got/$n" "http://$at:8080/$n")
		done
		client curl -sS --fail -m 50 "$@" "${args[@]}" || no "curl, $name, $at" || return 1
		(cd "$lane_tmp/got" && sha256sum --quiet -c "$lane_tmp/sums") || no "a file differs: $name, $at, round $round" || return 1
	done
}

nginx()
{
	files
	nginx_conf 8080 1
	[ -z "$one_process" ] || sed -i 's/^daemon off;/& master_process off;/' "$lane_tmp/nginx.conf"
	sed -i 's/error_log stderr/error_log stderr notice/' "$lane_tmp/nginx.conf"
	serve "$([ -n "$one_process" ] && say RLIMIT_NOFILE || say start worker process)" /usr/sbin/nginx -c "$lane_tmp/nginx.conf" -e stderr || return 1
	fetch "$a4" keep-alive && fetch "[$a6]" keep-alive && fetch "$a4" close -H 'Connection: close' || return 1
	through_lane 100 && ended
}

# What its receiver has read when the sender is done; the rest was under way.
iperf_way()
{
	client iperf3 -c "$a4" -n "${MB}M" --connect-timeout 5000 "$@" -J >"$lane_tmp/out" || no "iperf3 $*: $(grep error "$lane_tmp/out")" || return 1
	python3 - "$lane_tmp/out" $((MB << 20)) <<-'PY' || no "iperf3 $*: not all bytes came"
	import json, sys
	got = json.load(open(sys.argv[1]))["end"]["sum_received"]["bytes"]
	sys.exit(0 if got >= int(sys.argv[2]) / 2 else f"{got} bytes")
	PY
}

iperf()
{
	serve "Server listening" iperf3 -s --forceflush || return 1
	iperf_way && iperf_way -R || return 1
	through_lane 100 && ended
}

# ---- the places ----

# Each sets: run (lane run's options), if_own (what lane stat calls it), the namespaces of servers and clients,
# a4 and a6 (the servers' addresses), peer (what the clients run under).
at() # SERVERS' NAMESPACE, CLIENTS', INTERFACE, lane run's options...
{
	ns_own=$1 ns_peer=$2 if_own=$3 a4=$S4 a6=$S6 peer=() one_process=
	shift 3
	run=("$@")
	prepare_place() { :; }
	join_place() { :; }
}

# Before the server starts, and once it has.
prepare_place()
{
	:
}

join_place()
{
	:
}

# place NAME [pids to keep]: all checks there, each on a family of its own; a case that failed leaves nobody.
place()
{
	local name=$1 what
	shift
	for what in redis nginx iperf; do
		case_ "$name/$what" $what
		# shellcheck disable=SC2046
		stop $(for p in $(ip netns pids "$ns_own") $(ip netns pids "$ns_peer"); do [[ " $* " == *" $p "* ]] || say "$p"; done)
	done
}

on_xdp()
{
	at "$ns_s" "$ns_c" "$if_s" -i "$if_s"
	place xdp-shared
}

# From here on the kernel has no address on the servers' side.
on_own_xdp()
{
	at "$ns_s" "$ns_c" "$if_s" -d xdp -i "$if_s" --address "$S4/24,$S6/64"
	place xdp-own
}

kernel_end() # NAMESPACE INTERFACE
{
	ip -n "$1" addr replace "$C4/24" dev "$2" || return 1
	ip -n "$1" addr replace "$C6/64" dev "$2" nodad
	ip -n "$1" link set "$2" up
}

on_own_tap()
{
	ns_add "$lane_tag-k" && ip -n "$lane_tag-k" tuntap add dev tap0 mode tap && kernel_end "$lane_tag-k" tap0 || return
	at "$lane_tag-k" "$lane_tag-k" tap0 -d tap -i tap0 --address "$S4/24,$S6/64"
	place tap
	ip netns del "$lane_tag-k"
}

on_dpdk() # PLACE CLIENTS' NAMESPACE DEVICE,OPTIONS
{
	at "$ns_s" "$2" "${3%%,*}" -d dpdk --eal "--vdev $3" --address "$S4/24,$S6/64"
}

on_af_packet()
{
	on_dpdk af_packet "$ns_c" "net_af_packet0,iface=$if_s,qdisc_bypass=1"
	place dpdk-af_packet
}

on_dpdk_tap()
{
	ns_add "$lane_tag-k"
	at "$lane_tag-k" "$lane_tag-k" net_tap0 -d dpdk --eal "--vdev net_tap0,iface=$lane_tag-t,mac=$MAC_S" --address "$S4/24,$S6/64"
	join_place() { kernel_end "$ns_own" "$lane_tag-t"; }
	place dpdk-tap
	ip netns del "$lane_tag-k"
}

# The clients, too, are programs under lane.
on_memif()
{
	local to="socket=$lane_tmp/m,socket-abstract=no"
	on_dpdk memif "$ns_c" "net_memif0,role=server,$to,mac=$MAC_S"
	peer=("$LANE" run --strict -d dpdk --eal "--vdev net_memif0,role=client,$to,mac=02:00:00:00:00:02" --address "$C4/24,$C6/64" --)
	one_process=1
	prepare_place() { rm -f "$lane_tmp/m"; }
	place dpdk-memif
}

# The switch ends under a running program, and another one takes its place.
switch_again()
{
	local i
	redis_server && client redis-cli -h "$a4" set key value || return 1
	stop "$ovs_pid"
	ovs_switch
	for ((i = 0; i < 30; i++)); do
		[ "$(in_c timeout 2 redis-cli -h "$a4" get key 2>&1)" = value ] && break
		sleep 0.3
	done
	[ $i -lt 30 ] || no "the port does not come back" || return 1
	client redis-benchmark -h "$a4" -c 20 -n 5000 -t set,get -q && ended
}

on_ovs()
{
	. "$here/ovs_lib.sh"
	[ -x "$OVSD" ] || { say "SKIP ovs: no $OVSD (openvswitch-switch-dpdk)" && return; }
	ip -n "$ns_c" addr flush dev "$if_c"
	ovs_up || { say "FAIL dpdk-ovs: the switch does not start" && nr_failed=$((nr_failed + 1)) && return; }
	on_dpdk ovs "$ns_c" "net_virtio_user0,path=$ovs_sock,server=1,mac=$MAC_S"
	prepare_place() { rm -f "$ovs_sock"; }
	place dpdk-ovs "$ovs_pid" "$ovs_db"
	case_ dpdk-ovs/switch-again switch_again
	ovs_down
}

begin
net_up
on_xdp
ip -n "$ns_s" addr flush dev "$if_s"
if grep -qa 'lane was built without lwIP' "$LANE"; then
	say "SKIP own: lane was built without lwIP (scripts/setup fetches it)"
	end
fi
on_own_xdp
have_tun=
(: <>/dev/net/tun) 2>/dev/null && have_tun=1 || say "SKIP tap: there is no /dev/net/tun"
[ -n "$have_tun" ] && on_own_tap
if [ -z "$(find "$(dirname "$LANE")" -name liblane-dpdk.so)" ]; then
	say "SKIP dpdk: built without DPDK"
	end
fi
on_af_packet
[ -n "$have_tun" ] && on_dpdk_tap
on_memif
[ -n "$have_tun" ] && on_ovs
end
