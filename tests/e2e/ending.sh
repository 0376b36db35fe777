#!/bin/bash
# ending.sh - the runners in Python, ended by a signal and once more, as timeout(1) does it, leave no namespace behind
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# twice RUNNER options...: ended while it makes its namespaces, and in the midst of its tests.
twice()
{
	local runner pause i rc
	for pause in 0 0.2 3; do
		setsid "$here/../$1" --build "$(dirname "$LANE")" "${@:2}" >"$lane_tmp/out" 2>&1 &
		runner=$!
		for ((i = 0; i < 100; i++)); do
			[ -n "$(ns_ours)" ] && break
			sleep 0.1
		done
		[ -n "$(ns_ours)" ] || no "it has made no namespace: $(tail -n 1 "$lane_tmp/out")" || return 1
		sleep "$pause"
		kill -TERM "$runner"
		sleep 0.04
		kill -TERM -- "-$runner" 2>/dev/null
		wait_gone 30 "$runner" || { kill -KILL -- "-$runner" && no "it does not end" || return 1; }
		wait "$runner"
		rc=$?
		[ -z "$(ns_ours)" ] || no "ended after $pause s, it leaves $(ns_ours | tr '\n' ' ')" || return 1
		[ $rc = 143 ] || no "ended after $pause s, its status is $rc: $(tail -n 1 "$lane_tmp/out")" || return 1
	done
}

# late RUNNER options...: the signal comes while it removes what it has made.
late()
{
	local runner pause i
	for pause in 0 0.1 0.3; do
		PYTHONUNBUFFERED=1 setsid "$here/../$1" --build "$(dirname "$LANE")" "${@:2}" >"$lane_tmp/out" 2>&1 &
		runner=$!
		for ((i = 0; i < 600; i++)); do
			grep -qE '^(PASS|FAIL|SKIP) ' "$lane_tmp/out" && break
			sleep 0.05
		done
		[ "$i" -lt 600 ] || no "it has not run: $(tail -n 1 "$lane_tmp/out")" || return 1
		sleep "$pause"
		kill -TERM -- "-$runner" 2>/dev/null
		wait_gone 30 "$runner" || { kill -KILL -- "-$runner" && no "it does not end" || return 1; }
		wait "$runner"
		[ -z "$(ns_ours)" ] || no "ended $pause s after its test, it leaves $(ns_ours | tr '\n' ' ')" || return 1
	done
}

begin
case_ posix twice posix/run
case_ packets twice packets/run
case_ differ twice packets/differ --seeds 200
case_ posix-late late posix/run fds:lowest
case_ packets-late late packets/run ping/4
end
