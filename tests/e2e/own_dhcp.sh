#!/bin/bash
# own_dhcp.sh - own-address mode by DHCP: renewed, rebound, refused, over, declined; and what becomes of connections
#
# The server is ours, with leases of seconds; in the long mode (LANE_LONG) dnsmasq too, whose shortest are of two minutes.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
N=10.77.0

server_says() # NAME=VALUE...
{
	local pair
	for pair in "$@"; do
		sed -i "/^${pair%%=*}=/d" "$lane_tmp/dhcp.conf"
		say "$pair" >>"$lane_tmp/dhcp.conf"
	done
}

server_start()
{
	: >"$lane_tmp/dhcp.conf"
	: >"$lane_tmp/dhcp"
	server_says lease=8 first=$N.50 router=$C4 answer=all
	out=$lane_tmp/dhcp start "$ns_c" /usr/bin/python3 -u "$here/dhcp_server.py" "$if_c" $C4 "$lane_tmp/dhcp.conf"
	dhcpd=$pid
	wait_port "$ns_c" 67 udp
}

# The server has heard, or said, this since the last call.
server_hears() # TEXT TENTHS
{
	local i n
	for ((i = 0; i < $2; i++)); do
		n=$(tail -n "+$((heard + 1))" "$lane_tmp/dhcp" | grep -n -m 1 "$1" | cut -d: -f1)
		[ -n "$n" ] && heard=$((heard + n)) && return 0
		sleep 0.1
	done
	no "the DHCP server waits for '$1': $(tail -n 3 "$lane_tmp/dhcp" | tr '\n' ';')"
}

# A program whose address comes and goes, and a client that keeps a connection to it.
begin_lease() # ADDRESS
{
	heard=0
	: >"$lane_tmp/server"
	out=$lane_tmp/server start "$ns_s" "$LANE" run --strict -d xdp -i "$if_s" --dhcp -- /usr/bin/python3 -u "$here/own_lease.py" $C4
	server=$pid
	server_has "$1" 300
}

server_has() # ADDRESS-OR-ERRNO TENTHS: what a new socket of the program is bound to
{
	local i
	for ((i = 0; i < $2; i++)); do
		[ "$(tail -n 1 "$lane_tmp/server")" = "source $1" ] && return 0
		sleep 0.1
	done
	no "the program has not $1: $(tail -n 2 "$lane_tmp/server" | tr '\n' ';')"
}

talk_start() # ADDRESS
{
	: >"$lane_tmp/talk"
	[ -p "$lane_tmp/ask" ] || mkfifo "$lane_tmp/ask"
	nsenter --net="/run/netns/$ns_c" timeout 200 /usr/bin/python3 -u "$here/own_talk.py" "$1" <"$lane_tmp/ask" >"$lane_tmp/talk" 2>&1 &
	talk=$!
	disown $talk
	exec 5>"$lane_tmp/ask"
	said=1
	until_line "$lane_tmp/talk" hello 100 || no "no connection to $1: $(tail -n 1 "$lane_tmp/talk")"
}

talk() # WHAT ANSWER
{
	local i
	said=$((said + 1))
	say "$1" >&5
	for ((i = 0; i < 250; i++)); do
		[ "$(wc -l <"$lane_tmp/talk")" -ge $said ] && break
		sleep 0.1
	done
	[ "$(sed -n "${said}p" "$lane_tmp/talk")" = "$2" ] || no "the connection: '$(sed -n "${said}p" "$lane_tmp/talk")', not '$2'"
}

talk_end()
{
	exec 5>&-
	stop "$talk"
}

connects() # ADDRESS
{
	[ "$(in_c timeout 10 socat -t 5 - "TCP:$1:7000" <<<hello 2>&1)" = hello ] || no "no connection to $1"
}

stat_says() # TEXT TENTHS
{
	local i
	for ((i = 0; i < $2; i++)); do
		in_s "$LANE" stat -i "$if_s" | grep -q "$1" && return 0
		sleep 0.1
	done
	no "lane stat does not say '$1': $(in_s "$LANE" stat -i "$if_s" | grep -E 'control|warning')"
}

# TERM for the program, so that the keeper gives the lease back; then for the server.
finish()
{
	local i
	stop "$server"
	in_s "$LANE" stop -i "$if_s" >/dev/null 2>&1
	for ((i = 0; i < 100; i++)); do
		in_s ss -Hxl | grep -q "lane/$if_s" || break
		sleep 0.1
	done
	[ "$i" -lt 100 ] || no "the keeper does not end" || return 1
	[ -z "${1:-}" ] || server_hears "release $1" 30 || return 1
	stop "$dhcpd"
}

clear_up()
{
	local pids
	exec 5>&-
	pids=$(ip netns pids "$ns_s"; ip netns pids "$ns_c")
	# shellcheck disable=SC2086
	[ -z "$pids" ] || stop $pids
}

dhcp_case()
{
	server_start || return 1
	case_ "$1" "$@"
	clear_up
}

# Half of the lease over: the server alone is asked, and nobody notices.
renews()
{
	begin_lease $N.50 && talk_start $N.50 && talk echo echoed || return 1
	server_hears "renew $N.50: ack" 80 && talk echo echoed || return 1
	server_hears "renew $N.50: ack" 80 && talk echo echoed || return 1
	connects $N.50 || return 1
	talk_end
	finish $N.50
}

# The server does not hear what it alone is asked; all are asked at seven eighths.
rebinds()
{
	begin_lease $N.50 && talk_start $N.50 || return 1
	server_says answer=broadcast
	server_hears "renew $N.50: silence" 80 && server_hears "rebind $N.50: ack" 80 || return 1
	server_hears "renew $N.50: silence" 80 && talk echo echoed || return 1
	server_says answer=all
	talk_end
	finish $N.50
}

# Another range in the server: refused, and another address. What was connected to the old one hears nothing, as from
# a kernel whose DHCP client has changed its address.
refused()
{
	begin_lease $N.50 && talk_start $N.50 && talk echo echoed || return 1
	server_says first=$N.60 lease=600
	server_hears "renew $N.50: nak" 80 && server_hears "select $N.60: ack" 80 || return 1
	server_has $N.60 100 && connects $N.60 || return 1
	talk quiet quiet || return 1
	talk_end
	finish $N.60
}

# The server is gone: the address goes with the lease, and comes back with it. A connection outlives that.
vanishes()
{
	begin_lease $N.50 && talk_start $N.50 && talk echo echoed || return 1
	server_says answer=nothing
	stat_says 'has no address yet' 150 && server_has ENETUNREACH 50 || return 1
	in_c ping -q -c 1 -W 1 $N.50 >/dev/null && { no "an address whose lease is over answers"; return 1; }
	server_says answer=all lease=600
	server_hears "select $N.50: ack" 700 && server_has $N.50 100 || return 1
	talk echo echoed && connects $N.50 || return 1
	talk_end
	finish $N.50
}

# A station has what the server offers.
taken()
{
	local rc
	in_c ip addr add $N.50/24 dev "$if_c"
	server_says lease=600
	begin_lease $N.51
	rc=$?
	in_c ip addr del $N.50/24 dev "$if_c"
	[ $rc = 0 ] && grep -q "decline $N.50" "$lane_tmp/dhcp" || no "no decline: $(tr '\n' ';' <"$lane_tmp/dhcp")" || return 1
	connects $N.51 && finish $N.51
}

# From behind the router, which is another one after the renewal.
router()
{
	local rc=0
	in_c ip addr add 10.78.0.1/32 dev lo
	in_c ip addr add $N.3/24 dev "$if_c"
	server_says router=$N.9 # nobody
	{
		begin_lease $N.50
		in_c timeout 2 socat -u OPEN:/dev/null "TCP:$N.50:7000,bind=10.78.0.1,connect-timeout=1" 2>/dev/null && no "a router that is not there"
		server_says router=$N.3 lease=600
		server_hears "renew $N.50: ack" 100
	} || rc=1
	[ $rc = 0 ] && { [ "$(in_c timeout 10 socat -t 5 - "TCP:$N.50:7000,bind=10.78.0.1" <<<hello 2>&1)" = hello ] || no "no way by the new router"; } || rc=1
	in_c ip addr del $N.3/24 dev "$if_c"
	in_c ip addr del 10.78.0.1/32 dev lo
	[ $rc = 0 ] && finish $N.50
}

# The link is lost for longer than the lease has left to its renewal; then the server is asked again at once.
link_lost()
{
	server_says lease=600
	begin_lease $N.50 && talk_start $N.50 && talk echo echoed || return 1
	in_c ip link set "$if_c" down
	stat_says 'link down' 50 || return 1
	in_c ip link set "$if_c" up
	server_hears "reboot $N.50: ack" 100 && talk echo echoed || return 1
	talk_end
	finish $N.50
}

# Two minutes: renewed after one, refused when its range has changed, gone when it is stopped for the third two.
dnsmasq_run() # FIRST
{
	out=$lane_tmp/dnsmasq start "$ns_c" dnsmasq -k -C /dev/null --port=0 --no-ping --interface="$if_c" --bind-dynamic \
		--dhcp-range="$1,$1,255.255.255.0,2m" --dhcp-option="3,$C4" --leasefile-ro --dhcp-authoritative --pid-file= --log-dhcp \
		--log-facility="$lane_tmp/dnsmasq.log"
	dhcpd=$pid
}

dnsmasq_long()
{
	stop "$dhcpd"
	: >"$lane_tmp/dnsmasq.log"
	dnsmasq_run $N.50
	begin_lease $N.50 && talk_start $N.50 && talk echo echoed || return 1
	: >"$lane_tmp/dnsmasq.log"
	until_line "$lane_tmp/dnsmasq.log" "DHCPACK.*$N.50" 700 || no "not renewed after a minute" || return 1
	talk echo echoed || return 1
	stop "$dhcpd"
	dnsmasq_run $N.60
	until_line "$lane_tmp/dnsmasq.log" "DHCPNAK" 700 || no "not refused" || return 1
	server_has $N.60 200 && connects $N.60 || return 1
	stop "$dhcpd"
	server_has ENETUNREACH 1250 || return 1
	dnsmasq_run $N.60
	server_has $N.60 700 && connects $N.60 || return 1
	talk_end
	finish
}

begin
grep -qa 'lane was built without lwIP' "$LANE" && {
	say "lane was built without lwIP (scripts/setup fetches it)"
	exit 77
}
net_up
ip -n "$ns_s" addr flush dev "$if_s"
for one in renews rebinds refused vanishes taken router link_lost ${LANE_LONG:+dnsmasq_long}; do
	dhcp_case "$one"
done
end
