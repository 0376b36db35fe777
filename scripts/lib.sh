# lib.sh - what scripts/, bench/ and tests/e2e/ share: root, namespaces, processes, cleaning up
#
# Sourced by bash. Everything that is made here carries $lane_tag in its name, and lane_cleanup, run
# on every exit path, removes what carries it: processes (all that live in our namespaces, by pid),
# then the namespaces, which take their interfaces and XDP programs with them. An inner script
# inherits the tag, so that the outer one can look for, and remove, what it left behind.
#
# shellcheck shell=bash

lane_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lane_tag=lane-${LANE_TAG:-$$}
export LANE_TAG=${LANE_TAG:-$$}

# The tool under test; LANE=... tries another one.
LANE=${LANE:-${LANE_BUILD:-$lane_root/build}/lane}

# The kernel's side runs CUBIC by its routes (the machine's default may be another): so does lane's.
export LANE_CONGESTION=${LANE_CONGESTION:-cubic}

S4=10.77.0.1 C4=10.77.0.2 S6=fd77::1 C6=fd77::2
ns_s=$lane_tag-s ns_c=$lane_tag-c
if_s=$lane_tag-s if_c=$lane_tag-c # 15 characters hold a pid of 8 digits

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Starts the script again under sudo when it is not run by root.
as_root()
{
	[ "$(id -u)" = 0 ] && return
	command -v sudo >/dev/null || die "must be root, and there is no sudo"
	exec sudo -- "$lane_script" "$@"
}
lane_script=$(readlink -f "$0")

# ---- namespaces ----

# ns_add NAME: a network namespace with lo up.
ns_add()
{
	ip netns add "$1" && ip -n "$1" link set lo up
}

# in_ns NAME command...: without remounting /sys as 'ip netns exec' would.
in_ns()
{
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" "$@"
}
in_s()
{
	in_ns "$ns_s" "$@"
}
in_c()
{
	in_ns "$ns_c" "$@"
}

# CUBIC on both sides: a namespace may not choose by sysctl, and the default may be BBR.
ns_cubic()
{
	ip -n "$1" route replace 10.77.0.0/24 dev "$2" proto kernel scope link src "$3" congctl cubic
	ip -n "$1" -6 route replace fd77::/64 dev "$2" proto kernel metric 256 congctl cubic
}

# The server's and the client's namespace, joined by one veth pair with one queue ($QUEUES).
net_up()
{
	ns_add "$ns_s" && ns_add "$ns_c" || die "cannot make network namespaces"
	ip -n "$ns_s" link add "$if_s" numrxqueues "${QUEUES:-1}" numtxqueues "${QUEUES:-1}" type veth \
		peer name "$if_c" netns "$ns_c" numrxqueues "${QUEUES:-1}" numtxqueues "${QUEUES:-1}" || die "cannot make a veth pair"
	ip -n "$ns_s" addr add "$S4/24" dev "$if_s"
	ip -n "$ns_c" addr add "$C4/24" dev "$if_c"
	ip -n "$ns_s" addr add "$S6/64" dev "$if_s" nodad
	ip -n "$ns_c" addr add "$C6/64" dev "$if_c" nodad
	ip -n "$ns_s" link set "$if_s" up
	ip -n "$ns_c" link set "$if_c" up
	ns_cubic "$ns_s" "$if_s" "$S4"
	ns_cubic "$ns_c" "$if_c" "$C4"
}

# Names of the namespaces that carry our tag.
ns_ours()
{
	local f
	for f in /run/netns/"$lane_tag"-*; do
		[ -e "$f" ] && printf '%s\n' "${f##*/}"
	done
}

# ---- processes ----

# start NS command...: in the background, its output to $out (default: nowhere); the pid is in $pid.
start()
{
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" "$@" </dev/null >"${out:-/dev/null}" 2>&1 &
	pid=$!
	disown "$pid" # no message from bash when it is killed
}

# Waits until the pids have ended, 'seconds' at most.
wait_gone()
{
	local tenths=$(($1 * 10)) pid
	shift
	for pid in "$@"; do
		while [ -d "/proc/$pid" ] && [ "$(ps -o stat= -p "$pid" | cut -c1)" != Z ]; do
			[ $((tenths--)) -gt 0 ] || return 1
			sleep 0.1
		done
	done
}

# stop PID...: TERM, a second's time, KILL. For what we started.
stop()
{
	kill -TERM "$@" 2>/dev/null
	wait_gone 2 "$@" || kill -KILL "$@" 2>/dev/null
	wait_gone 2 "$@"
	return 0
}

# wait_port NS PORT [tcp|udp]: until somebody listens there, 10 s at most.
wait_port()
{
	local i flag=-Hltn
	[ "${3:-tcp}" = udp ] && flag=-Hlun
	for ((i = 0; i < 200; i++)); do
		[ -n "$(in_ns "$1" ss $flag "sport = :$2")" ] && return 0
		sleep 0.05
	done
	say "nobody listens on port $2 in $1" >&2
	return 1
}

# The pids in all our namespaces.
our_pids()
{
	local ns
	for ns in $(ns_ours); do
		ip netns pids "$ns" 2>/dev/null
	done
}

# Removes all that carries our tag. Idempotent.
net_down()
{
	local pids ns
	pids=$(our_pids)
	if [ -n "$pids" ]; then
		# shellcheck disable=SC2086
		kill -TERM $pids 2>/dev/null
		# shellcheck disable=SC2086
		wait_gone 2 $pids || kill -KILL $(our_pids) 2>/dev/null
		# shellcheck disable=SC2086
		wait_gone 2 $pids
	fi
	for ns in $(ns_ours); do
		ip netns del "$ns"
	done
}

# timeout(1) signals a script twice: the second one must not end the clean-up of the first.
lane_signal()
{
	[ -n "${lane_ending:-}" ] && return
	lane_ending=1
	exit "$1"
}

lane_cleanup()
{
	local rc=$?
	lane_ending=1
	[ -n "${lane_child:-}" ] && kill -TERM "$lane_child" 2>/dev/null && wait "$lane_child" 2>/dev/null
	type at_exit >/dev/null 2>&1 && at_exit
	net_down
	[ -n "${lane_tmp:-}" ] && rm -rf "$lane_tmp"
	exit $rc
}

# From here on every exit path cleans up. A script may define at_exit() for what is its own.
cleanup_on_exit()
{
	trap lane_cleanup EXIT
	trap 'lane_signal 130' INT
	trap 'lane_signal 143' TERM
	trap 'lane_signal 129' HUP
	lane_tmp=$(mktemp -d "/tmp/lane.$$.XXXXXX") || die "cannot make a temporary directory"
	chmod 755 "$lane_tmp" # servers that drop their privileges read files in it
}

# bounded SECONDS command...: in the background and waited for, so that our traps run at once; the
# command gets TERM when its time is over, and 20 s for its own clean-up.
bounded()
{
	local seconds=$1 rc
	shift
	timeout -k 20 "$seconds" "$@" &
	lane_child=$!
	wait "$lane_child"
	rc=$?
	lane_child=
	return $rc
}

# ---- build ----

# lane_build DIR [meson options]: configures once, then builds.
lane_build()
{
	local dir=$1
	shift
	[ -f "$dir/build.ninja" ] || meson setup "$dir" "$lane_root" "$@" || return 1
	ninja -C "$dir"
}

# ---- bench ----

# bench_all BUILD options...: bench.py on our two namespaces, two hours at most.
bench_all()
{
	local build=$1
	shift
	LANE_CWD=$PWD bounded 7200 python3 "$lane_root/bench/bench.py" --ns-s "$ns_s" --ns-c "$ns_c" --if-s "$if_s" \
		--if-c "$if_c" --lane "$LANE" --probe "${LANE_PROBE:-$build/bench/bench-probe}" --tmp "$lane_tmp" "$@"
}
