# lib.sh - two namespaces joined by the emulated link; for bench/goodput and tests/interop
#
# Sourced behind scripts/lib.sh. Namespaces s and c as ever, and m between them, in which the link stands.
#
# shellcheck shell=bash

ns_m=$lane_tag-m
link_a=$lane_tag-a link_b=$lane_tag-b
LINK=${LINK:-$(dirname "$LANE")/bench/link/lane-link}
link_pid=

# Frames as long as the MTU at most, checksums filled in.
offloads_off() # NS IF...
{
	local ns=$1 i
	shift
	for i in "$@"; do
		in_ns "$ns" ethtool -K "$i" tso off gso off gro off tx off >/dev/null || return 1
	done
}

# An interface in namespace $1, named $2, that ends as $3 in the middle.
link_leg()
{
	ip -n "$ns_m" link add "$3" type veth peer name "$2" netns "$1" || return 1
	ip -n "$ns_m" link set "$3" addrgenmode none mtu "${MTU:-1500}" up || return 1
	ip -n "$1" link set "$2" mtu "${MTU:-1500}" up && offloads_off "$1" "$2" && offloads_off "$ns_m" "$3"
}

link_net_up()
{
	ns_add "$ns_s" && ns_add "$ns_c" && ns_add "$ns_m" || die "cannot make network namespaces"
	in_ns "$ns_m" sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
	link_leg "$ns_s" "$if_s" "$link_a" && link_leg "$ns_c" "$if_c" "$link_b" || die "cannot make veth pairs"
	link_addresses "$ns_s" "$if_s" "$S4" "$S6"
	link_addresses "$ns_c" "$if_c" "$C4" "$C6"
}

link_addresses() # NS IF V4 V6
{
	ip -n "$1" addr replace "$3/24" dev "$2"
	[ "${MTU:-1500}" -lt 1280 ] || ip -n "$1" addr replace "$4/64" dev "$2" nodad
	ns_cubic "$1" "$2" "$3" 2>/dev/null
}

# All four ends get another MTU. Below 1280 there is no IPv6; it comes back above.
link_mtu()
{
	MTU=$1
	ip -n "$ns_m" link set "$link_a" mtu "$1" && ip -n "$ns_m" link set "$link_b" mtu "$1" &&
		ip -n "$ns_s" link set "$if_s" mtu "$1" && ip -n "$ns_c" link set "$if_c" mtu "$1" || return 1
	link_addresses "$ns_s" "$if_s" "$S4" "$S6"
	link_addresses "$ns_c" "$if_c" "$C4" "$C6"
}

# link_start options...: the link with other properties; what is on its way is lost. On a real-time
# priority: it needs little time, but that at once.
link_start()
{
	local i pid
	link_stop
	: >"$lane_tmp/link"
	out=$lane_tmp/link start "$ns_m" chrt --rr 10 "$LINK" --a "$link_a" --b "$link_b" "$@"
	link_pid=$pid
	for ((i = 0; i < 100; i++)); do
		grep -q '^link: up' "$lane_tmp/link" && return 0
		sleep 0.02
	done
	say "the link did not start: $(tail -n 1 "$lane_tmp/link")"
	return 1
}

link_stop()
{
	[ -n "$link_pid" ] && stop "$link_pid"
	link_pid=
}
