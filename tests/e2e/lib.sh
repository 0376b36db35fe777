# lib.sh - for the end-to-end tests: servers under lane, cases, and the counters that prove the way
#
# A script sources it, calls begin, then 'case_ NAME function...' for each case. A case is a function that
# fails with a line on its output that says why; the script fails when any case did. Each waits
# for a bounded time only.
#
# shellcheck shell=bash disable=SC1091
set -u
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$here/../../scripts/lib.sh"

nr_failed=0
only_case=${CASE:-}

begin()
{
	as_root
	if [ ! -x "$LANE" ]; then
		say "no $LANE: build first"
		exit 77
	fi
	PRELOAD=${LANE_PRELOAD:-$(find "$(dirname "$LANE")" -name liblane-preload.so | head -n 1)}
	ulimit -Sn "$(ulimit -Hn)" 2>/dev/null || true
	cleanup_on_exit
}

end()
{
	[ $nr_failed = 0 ]
	exit $?
}

# case_ NAME function args...: PASS or FAIL with the last line that the function has said.
case_()
{
	local name=$1
	shift
	[[ -z $only_case || $name == *$only_case* ]] || return 0
	if "$@" >"$lane_tmp/case" 2>&1; then
		say "PASS $name"
	else
		say "FAIL $name: $(tail -n 1 "$lane_tmp/case" | tr -d '\r' | cut -c1-300)"
		sed 's/^/  /' "$lane_tmp/case"
		[ -s "$lane_tmp/server" ] && tail -n 6 "$lane_tmp/server" | cut -c1-160 | sed 's/^/  server: /'
		nr_failed=$((nr_failed + 1))
		[ -n "${stop_after_failure:-}" ] && stop_servers
	fi
	return 0
}

# For cases: say why and fail.
no()
{
	say "$*"
	return 1
}

# until_line FILE TEXT TENTHS: waits for a line that holds the text.
until_line()
{
	local i
	for ((i = 0; i < $3; i++)); do
		grep -q "$2" "$1" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

# lane_start PORT command...: a server under lane in the server's namespace; its pid is in $pid.
lane_start()
{
	local port=$1
	shift
	: >"$lane_tmp/server"
	out=$lane_tmp/server start "$ns_s" "$LANE" run --strict -i "$if_s" -- "$@"
	wait_port "$ns_s" "$port" "${proto:-tcp}"
}

redis_start() # PORT options...
{
	local port=$1
	shift
	lane_start "$port" redis-server --port "$port" --bind "$S4" "$S6" --save '' --appendonly no --protected-mode no \
		--dir "$lane_tmp" "$@"
}

# The same on the kernel.
redis_kernel() # PORT
{
	start "$ns_s" redis-server --port "$1" --bind "$S4" "$S6" --save '' --appendonly no --protected-mode no \
		--dir "$lane_tmp"
	wait_port "$ns_s" "$1"
}

redis_ping() # PORT
{
	local answer
	answer=$(in_c timeout 5 redis-cli -h "$S4" -p "$1" ping 2>&1)
	[ "$answer" = PONG ] || no "redis on port $1 answers '$answer'"
}

# A configuration for nginx, its workers as given, on port $1.
nginx_conf() # PORT WORKERS
{
	mkdir -p "$lane_tmp/www"
	cat >"$lane_tmp/nginx.conf" <<-CONF
	daemon off; user www-data; worker_processes $2; pid $lane_tmp/nginx.pid; error_log stderr;
	events { worker_connections 4096; }
	http {
		sendfile on; tcp_nopush on; access_log off; client_header_timeout 300s; keepalive_timeout 300s;
		client_body_temp_path $lane_tmp/nb; proxy_temp_path $lane_tmp/np; fastcgi_temp_path $lane_tmp/nf;
		uwsgi_temp_path $lane_tmp/nu; scgi_temp_path $lane_tmp/ns;
		server { listen $1; listen [::]:$1; root $lane_tmp/www; }
	}
	CONF
}

nginx_start() # PORT WORKERS
{
	nginx_conf "$1" "$2"
	lane_start "$1" nginx -c "$lane_tmp/nginx.conf" -e stderr
}

# ---- counters ----

# lane_stat NAME [NAMESPACE INTERFACE]: one figure of the lane; 0 when there is no lane.
lane_stat()
{
	local n
	n=$(in_ns "${2:-$ns_s}" timeout 5 "$LANE" stat --json -i "${3:-$if_s}" 2>/dev/null |
		grep -oE "\\b$1\"?[: ]+[0-9]+" | head -n 1 | grep -oE '[0-9]+$')
	say "${n:-0}"
}

# Packets that the lane of an interface has received.
lane_packets() # [NAMESPACE INTERFACE]
{
	lane_stat rx_packets "$@"
}

# TCP segments and UDP datagrams that the kernel of a namespace has received.
kernel_packets() # [NAMESPACE]
{
	in_ns "${1:-$ns_s}" awk '/^Tcp:/ && ++t == 2 { n += $11 } /^Udp:/ && ++u == 2 { n += $2 } END { print n }' \
		/proc/net/snmp
}

# over_lane MIN command...: it succeeds, and at least MIN packets came to the lane and hardly any to the
# kernel of the server's namespace.
over_lane()
{
	local min=$1 p k
	shift
	p=$(lane_packets) k=$(kernel_packets)
	"$@" || return 1
	p=$(($(lane_packets) - p)) k=$(($(kernel_packets) - k))
	say "the lane received $p packets, the kernel $k"
	[ "$p" -ge "$min" ] || no "only $p packets came over the lane, the kernel received $k" || return 1
	[ "$k" -le $((p / 10 + 5)) ] || no "the kernel received $k packets, the lane $p"
}

# The pid of the keeper, nothing when there is none.
keeper()
{
	local p
	p=$(lane_stat keeper_pid)
	[ "$p" != 0 ] && [ -d "/proc/$p" ] && say "$p"
}

xdp_attached() # [NAMESPACE INTERFACE]
{
	in_ns "${1:-$ns_s}" ip link show dev "${2:-$if_s}" | grep -q 'xdp'
}

# all_gone SECONDS: no process and no XDP program in the server's namespace.
all_gone()
{
	local i p who=
	for ((i = 0; i < $1 * 10; i++)); do
		[ -z "$(ip netns pids "$ns_s")" ] && ! xdp_attached && return 0
		sleep 0.1
	done
	for p in $(ip netns pids "$ns_s"); do
		who="$who $p ($(tr '\0' ' ' <"/proc/$p/cmdline" | cut -c1-60))"
	done
	no "left behind after $1 s:${who:-} $(xdp_attached && echo 'XDP program attached')"
}

# Ends the processes in the server's namespace but the keeper.
stop_servers()
{
	local p k pids=
	k=$(keeper)
	for p in $(ip netns pids "$ns_s"); do
		[ "$p" = "$k" ] || pids="$pids $p"
	done
	# shellcheck disable=SC2086
	[ -n "$pids" ] && stop $pids
	return 0
}

# Between cases: ends all that the last one has left running, the keeper too.
clear_ns()
{
	local pids
	pids=$(ip netns pids "$ns_s")
	# shellcheck disable=SC2086
	[ -n "$pids" ] && stop $pids
	return 0
}
