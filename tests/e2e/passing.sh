#!/bin/bash
# passing.sh - programs that hand connections to others, by exec and in messages, do so under 'lane run -i lo'
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns=$lane_tag-p

on_lo() # PORT command...
{
	local port=$1
	shift
	out=$lane_tmp/server start "$ns" "$LANE" run --strict -i lo -- "$@"
	wait_port "$ns" "$port"
}

# Each connection is the standard input and output of an executed program.
exec_for_each()
{
	local i answer
	on_lo 7001 socat TCP-LISTEN:7001,bind=127.0.0.1,fork,reuseaddr EXEC:"sed s/^/sed-/",nofork || return 1
	for i in 1 2 3 4 5; do
		answer=$(say "line $i" | in_ns "$ns" timeout 5 socat -t 3 - TCP:127.0.0.1:7001)
		[ "$answer" = "sed-line $i" ] || no "connection $i answers '$answer'" || return 1
	done
	stop "$pid"
}

# A pair of pipes between: the connection stays with the program that accepted it.
fork_for_each()
{
	local sum
	head -c 3000000 /dev/urandom >"$lane_tmp/file"
	sum=$(md5sum <"$lane_tmp/file")
	on_lo 7002 socat TCP-LISTEN:7002,bind=127.0.0.1,fork,reuseaddr EXEC:cat || return 1
	[ "$(in_ns "$ns" timeout 10 socat -t 3 - TCP:127.0.0.1:7002 <"$lane_tmp/file" | md5sum)" = "$sum" ] || no "other bytes came back" || return 1
	stop "$pid"
}

node_cluster()
{
	local want
	command -v node >/dev/null || { say "no node here" && return 0; }
	want=$(printf 'workers that answered 3\ndatagrams 30\nthen 2\nat last ECONNREFUSED')
	in_ns "$ns" timeout 20 "$LANE" run --strict -i lo -- node "$here/cluster.js" >"$lane_tmp/node" 2>&1
	[ "$(cat "$lane_tmp/node")" = "$want" ] || no "$(head -n 5 "$lane_tmp/node" | tr '\n' ';')"
}

begin
ns_add "$ns" || exit 1
case_ exec-for-each-connection exec_for_each
case_ fork-for-each-connection fork_for_each
case_ node-cluster node_cluster
end
