#!/bin/bash
# keeper.sh - promises that hold while a program does not look, and what 'lane run' is to its caller
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# late_client: connects and is acknowledged now, and answered once $1 (a function) has let the server go on.
late_client()
{
	local client
	out=$lane_tmp/late start "$ns_c" timeout 40 /usr/bin/python3 "$here/conns.py" late "$S4" 6379
	client=$pid
	until_line "$lane_tmp/late" acked 40 || no "$(tail -n 1 "$lane_tmp/late")" || return 1
	"$@"
	wait_gone 25 "$client"
	cat "$lane_tmp/late"
	awk '/^answered/ { exit !($3 > 0.5) }' "$lane_tmp/late" || no "the server was not busy: the test showed nothing" || return 1
	grep -q answered "$lane_tmp/late" || no "no answer in the end: $(tail -n 1 "$lane_tmp/late")"
}

# The server computes for some seconds and makes no call.
computing()
{
	in_c timeout 20 redis-cli -h "$S4" eval \
		"local n = 0 for i = 1, 4e8 do n = n + i end" 0 >/dev/null &
	sleep 0.3
	late_client true
}

# It sleeps outside of any socket call.
sleeping()
{
	in_c timeout 20 redis-cli -h "$S4" debug sleep 4 >/dev/null &
	sleep 0.5
	late_client true
}

go_on()
{
	sleep 1
	kill -CONT "$server"
}

stopped()
{
	kill -STOP "$server"
	late_client go_on
}

same_pid()
{
	start "$ns_s" sh -c 'echo $$ >"$0/pid0"; exec "$1" run --strict -i "$2" -- sh -c "echo \$\$ >$0/pid1; sleep 0.2"' \
		"$lane_tmp" "$LANE" "$if_s"
	wait_gone 5 "$pid"
	cmp "$lane_tmp/pid0" "$lane_tmp/pid1" || no "lane run does not become the program"
}

# Output and exit status are the program's alone; no pipe is held when it has ended.
transparent()
{
	local a b t0
	t0=$(date +%s%N)
	a=$(in_s "$LANE" run --strict -i "$if_s" -- nginx -V 2>&1)
	b=$(nginx -V 2>&1)
	[ "$a" = "$b" ] || no "output differs: $a" || return 1
	[ $((($(date +%s%N) - t0) / 1000000)) -lt 2000 ] || no "it took more than 2 s, or a pipe was held" || return 1
	in_s "$LANE" run --strict -i "$if_s" -- sh -c 'exit 7'
	[ $? = 7 ] || no "exit status is lost"
}

# The keeper of a program that never joined goes as well, and nothing was attached.
unused() # SECONDS
{
	in_s "$LANE" run --strict -i "$if_s" -- true || return 1
	all_gone "$1"
}

begin
net_up
case_ unused-lane-goes unused 5
case_ same-pid same_pid
case_ transparent transparent
if redis_start 6379 --enable-debug-command yes; then
	server=$pid
	case_ warm-up over_lane 3 redis_ping 6379
	case_ computing-server computing
	case_ sleeping-server sleeping
	case_ stopped-server stopped
else
	say "FAIL start: redis does not start under lane"
	nr_failed=1
fi
end
