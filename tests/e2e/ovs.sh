#!/bin/bash
# ovs.sh - lane-echo behind Open vSwitch with DPDK, by virtio-user and vhost-user; a kernel peer on the same bridge
. "$(dirname "$(readlink -f "$0")")/echo_lib.sh"
MB=${MB:-8}
MAC_S=02:00:00:00:00:01

begin
. "$here/ovs_lib.sh"
ovs_needed
if [ -z "$(find "$(dirname "$ECHO")/../.." -name liblane-dpdk.so)" ]; then
	say "built without DPDK"
	exit 77
fi

# lane-echo makes the socket, and the switch has connected to it.
behind()
{
	rm -f "$ovs_sock"
	echo_start "$ns_s" -d dpdk --eal "--vdev net_virtio_user0,path=$ovs_sock,server=1,mac=$MAC_S" \
		--address "$S4/24" --address "$S6/64" "$@" || return 1
	ip -n "$ns_c" neigh replace "$S4" lladdr "$MAC_S" nud permanent dev "$ovs_br"
	ip -n "$ns_c" neigh replace "$S6" lladdr "$MAC_S" nud permanent dev "$ovs_br"
	linked
}

linked()
{
	local i
	for ((i = 0; i < 100; i++)); do
		[ "$(ovs_ctl get Interface vhost status:status 2>/dev/null)" = connected ] && return 0
		sleep 0.1
	done
	no "the switch does not connect: $(tail -n 1 "$OVS_RUNDIR/switch.log")"
}

ended_well()
{
	stop "$pid"
	grep -q '^rx_packets [1-9]' "$lane_tmp/echo" || no "it counted nothing" || return 1
	! grep -q 'drop .*csum\|drop .*CSUM\|dpdk_rx_copied' "$lane_tmp/echo" || no "$(grep 'drop\|copied' "$lane_tmp/echo" | tr '\n' ' ')"
}

tcp()
{
	behind && client "$ns_c" "$S4" 7 tcp "$MB" && client "$ns_c" "$S6" 7 tcp "$MB" && ended_well
}

udp()
{
	behind --udp && client "$ns_c" "$S4" 7 udp && client "$ns_c" "$S6" 7 udp && ended_well
}

# Super-segments pass the switch both ways, checksums open.
super()
{
	tcp || return 1
	grep -q ', TSO' "$lane_tmp/echo" || no "the port offers no TSO" || return 1
	grep -q '^tx_q0_size_1519_max_packets [1-9]' "$lane_tmp/echo" || no "no super-segment was sent" || return 1
	grep -q '^rx_q0_size_1519_max_packets [1-9]' "$lane_tmp/echo" || no "no super-segment came"
}

# The switch ends and another one starts: the lane's port comes back by itself.
come_back()
{
	behind && client "$ns_c" "$S4" 7 tcp 1 || return 1
	local echo=$pid
	stop "$ovs_pid"
	ovs_switch
	pid=$echo
	client "$ns_c" "$S4" 7 tcp 1 && linked && ended_well
}

# virtio-user's driver may lose its own hold of the socket (docs/drivers.md), says so, and is tried once more then.
switch_again()
{
	come_back && return
	grep -q 'virtio_user_dev_delayed_disconnect_handler(): interrupt unregister failed' "$lane_tmp/echo" || return 1
	say "SKIP switch-again-at-once: DPDK's driver lost the socket: tried once more" >&3
	stop "$pid"
	come_back
}

exec 3>&1 # past case_, which shows what a case said if it fails
say "switch: $("$OVSD" --version | tr '\n' ' ')"
ns_add "$ns_s" && ns_add "$ns_c" || die "cannot make network namespaces"
case_ start ovs_up
case_ tcp tcp
case_ udp udp
case_ switch-again switch_again
ovs_down
case_ tso-start ovs_up tso
case_ tso-tcp super
case_ tso-udp udp
ovs_down
end
