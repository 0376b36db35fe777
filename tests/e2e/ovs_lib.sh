# ovs_lib.sh - an Open vSwitch with DPDK of our own: no service, no system database, no hugepages
#
# Database, sockets and logs are in $lane_tmp, the processes in the client's namespace, where the kernel's end of
# the bridge is, too: its internal port, a TAP device without offloads, or with TSO, open checksums and segments
# of 64 KB. All ends with the namespace.
#
# shellcheck shell=bash
OVSD=${OVSD:-/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk} # what update-alternatives may point elsewhere
ovs_br=$lane_tag-b
ovs_sock=$lane_tmp/vhost
ovs_mac=02:00:00:00:00:02

# Skips the script where the package is absent.
ovs_needed()
{
	[ -x "$OVSD" ] && command -v ovsdb-server >/dev/null && (: <>/dev/net/tun) 2>/dev/null && return
	say "no $OVSD (package openvswitch-switch-dpdk), or no /dev/net/tun"
	exit 77
}

ovs_ctl()
{
	in_c timeout 30 ovs-vsctl --db="unix:$OVS_RUNDIR/db.sock" --timeout=20 "$@"
}

# The switch, its DPDK in ordinary memory: --in-memory, which it would add, is hugepages.
ovs_switch()
{
	out=$lane_tmp/switch start "$ns_c" "$OVSD" "unix:$OVS_RUNDIR/db.sock" --no-chdir --unixctl="$OVS_RUNDIR/switch.ctl" \
		--log-file="$OVS_RUNDIR/switch.log"
	ovs_pid=$pid pid=
}

# ovs_up [tso]: the bridge with the kernel's port; the lane's port connects to the socket that the lane makes.
ovs_up()
{
	export OVS_RUNDIR=$lane_tmp/ovs OVS_DBDIR=$lane_tmp/ovs OVS_LOGDIR=$lane_tmp/ovs OVS_SYSCONFDIR=$lane_tmp/ovs
	rm -rf "$OVS_RUNDIR" && mkdir "$OVS_RUNDIR" || return 1
	ovsdb-tool create "$OVS_RUNDIR/conf.db" /usr/share/openvswitch/vswitch.ovsschema || return 1
	out=$lane_tmp/database start "$ns_c" ovsdb-server "$OVS_RUNDIR/conf.db" --remote="punix:$OVS_RUNDIR/db.sock" \
		--no-chdir --unixctl="$OVS_RUNDIR/db.ctl"
	ovs_db=$pid pid=
	ovs_ctl --no-wait --retry init || no "ovsdb-server: $(tail -n 1 "$lane_tmp/database")" || return 1
	ovs_ctl --no-wait set Open_vSwitch . other_config:dpdk-init=true other_config:pmd-maxsleep=100 other_config:per-port-memory=true \
		"other_config:dpdk-extra=--legacy-mem --no-huge --no-shconf --no-telemetry --no-pci -m 128" \
		"other_config:userspace-tso-enable=$([ "${1:-}" = tso ] && echo true || echo false)" || return 1
	ovs_switch
	ovs_ctl add-br "$ovs_br" -- set Bridge "$ovs_br" datapath_type=netdev "other_config:hwaddr=\"$ovs_mac\"" \
		-- add-port "$ovs_br" vhost -- set Interface vhost type=dpdkvhostuserclient \
		options:vhost-server-path="$ovs_sock" || no "the switch: $(tail -n 1 "$OVS_RUNDIR/switch.log")" || return 1
	ovs_peer
}

# The kernel's addresses on the bridge.
ovs_peer()
{
	ip -n "$ns_c" addr add "$C4/24" dev "$ovs_br" || return 1
	ip -n "$ns_c" addr add "$C6/64" dev "$ovs_br" nodad
	ip -n "$ns_c" link set "$ovs_br" up
}

# The TAP devices outlive their switch.
ovs_down()
{
	stop "$ovs_pid" "$ovs_db"
	ip -n "$ns_c" link del "$ovs_br"
	ip -n "$ns_c" link del ovs-netdev
}
