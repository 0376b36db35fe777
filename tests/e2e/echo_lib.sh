# echo_lib.sh - for echo_veth.sh and echo_lo.sh: lane-echo under a kernel client
#
# shellcheck shell=bash disable=SC1091
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../../scripts/lib.sh"
ECHO=${ECHO:-$lane_root/build/apps/echo/lane-echo}
nr_failed=0

begin()
{
	as_root
	if [ ! -x "$ECHO" ]; then
		say "no $ECHO: build first"
		exit 77
	fi
	cleanup_on_exit
}

end()
{
	[ $nr_failed = 0 ]
	exit $?
}

# case_ NAME function args...: PASS or FAIL with what the function has said.
case_()
{
	local name=$1
	shift
	[[ -z ${CASE:-} || $name == *$CASE* ]] || return 0
	if "$@" >"$lane_tmp/case" 2>&1; then
		say "PASS $name"
	else
		say "FAIL $name: $(tail -n 1 "$lane_tmp/case" | cut -c1-300)"
		sed 's/^/  echo: /' "$lane_tmp/echo" 2>/dev/null
		nr_failed=$((nr_failed + 1))
	fi
	[ -n "${pid:-}" ] && stop "$pid"
	pid=
	return 0
}

no()
{
	say "$*"
	return 1
}

# echo_start NS options...: lane-echo, up when it says so; its pid is in $pid.
echo_start()
{
	local i ns=$1
	shift
	: >"$lane_tmp/echo"
	out=$lane_tmp/echo start "$ns" "$ECHO" "$@"
	for ((i = 0; i < 100; i++)); do
		grep -q ' port .* on ' "$lane_tmp/echo" && return 0
		[ -d "/proc/$pid" ] || break
		sleep 0.05
	done
	no "lane-echo did not start: $(tail -n 1 "$lane_tmp/echo")"
}

# client NS address port tcp|udp [MB]
client()
{
	local ns=$1
	shift
	in_ns "$ns" timeout 60 python3 "$here/echo_client.py" "$@" || no "$3 to $1: $(tail -n 1 "$lane_tmp/case")"
}

# xdp_gone NS IF: no program is there any more, within a second.
xdp_gone()
{
	local i
	for ((i = 0; i < 20; i++)); do
		ip -n "$1" link show "$2" | grep -q xdp || return 0
		sleep 0.05
	done
	no "an XDP program stayed on $2"
}
