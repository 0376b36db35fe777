# lib.sh - for the interop tests: the emulated link, peers on lane and on the kernel
#
# shellcheck shell=bash disable=SC1091
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../e2e/lib.sh"
. "$lane_root/bench/link/lib.sh"
interop=$lane_root/tests/interop
port=7100
[ -n "${LANE_LONG:-}" ] && limit=300 || limit=40 # seconds for the jobs of one case

begin_interop()
{
	begin
	if [ ! -x "$LINK" ]; then
		say "no $LINK: build first"
		exit 77
	fi
	link_net_up
}

address() # s|c 4|6
{
	case $1$2 in
	s4) say "$S4" ;;
	s6) say "$S6" ;;
	c4) say "$C4" ;;
	c6) say "$C6" ;;
	esac
}

# jobs NS VERSION PEER command...: the jobs of peer.py, by the command in front of it ("" for none).
jobs()
{
	local ns=$1 host=$2 before=$3
	shift 3
	# shellcheck disable=SC2086
	in_ns "$ns" timeout -k 2 "$limit" $before python3 "$interop/peer.py" client "$host" $port "$@" ||
		no "$(tail -n 1 "$lane_tmp/case") [$(tail -n 1 "$lane_tmp/jobs" 2>/dev/null)]"
}

# The end of a case. INTEROP_LOG=FILE keeps how fast the jobs were and what the link did.
link_says()
{
	in_s timeout 5 "$LANE" stop -i "$if_s" >/dev/null 2>&1
	clear_ns
	link_stop
	cat "$lane_tmp/case" "$lane_tmp/link" >>"${INTEROP_LOG:-/dev/null}"
}

# served "link options" VERSION JOBS...: a server under lane, a kernel client.
served()
{
	local link=$1 host rc
	host=$(address s "$2")
	shift 2
	port=$((port + 10))
	# shellcheck disable=SC2086
	link_start $link || return 1
	lane_start $port python3 "$interop/peer.py" serve "$host" $port || return 1
	over_lane 100 jobs "$ns_c" "$host" "" "$@"
	rc=$?
	[ $rc = 0 ] || trouble
	link_says
	return $rc
}

# connects "link options" VERSION JOBS...: a client under lane, a kernel server.
connects()
{
	local link=$1 host rc server p
	host=$(address c "$2")
	shift 2
	port=$((port + 10))
	# shellcheck disable=SC2086
	link_start $link || return 1
	: >"$lane_tmp/server"
	out=$lane_tmp/server start "$ns_c" python3 "$interop/peer.py" serve "$host" $port
	server=$pid
	wait_port "$ns_c" $port || return 1
	p=$(kernel_packets)
	jobs "$ns_s" "$host" "$LANE run --strict -i $if_s --" "$@"
	rc=$?
	[ $rc = 0 ] || trouble
	p=$(($(kernel_packets) - p))
	[ $rc != 0 ] || [ $p -le 50 ] || no "the client's kernel received $p packets" || rc=1
	stop "$server"
	link_says
	return $rc
}

# What may tell why a case failed, in front of its last line.
trouble()
{
	local why
	why=$(tail -n 1 "$lane_tmp/case")
	in_s timeout 5 "$LANE" stat -i "$if_s" 2>/dev/null | grep -E '^ +(rx_|tx_|tcp_|drop|frames)[a-z_]* +[1-9]'
	in_s timeout 5 "$LANE" stat -i "$if_s" 2>/dev/null | sed -n '/drops/,/fallbacks/p'
	in_s timeout 5 "$LANE" conns -i "$if_s" 2>/dev/null | head -n 8
	in_c ss -tnio state connected | head -n 20
	say "$why"
}

# mtu BYTES: of all four ends. The lane starts anew with each case.
mtu()
{
	link_mtu "$1"
}
