#!/bin/bash
# launch.sh - what 'lane run' says, in one line, when a program or an interface cannot be served
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# said RC TEXT command...: in the server's namespace; it ends with RC and says one line of lane's own, which holds TEXT.
said()
{
	local rc=$1 text=$2 got
	shift 2
	in_s timeout 20 "$@" >"$lane_tmp/out" 2>"$lane_tmp/said"
	got=$?
	cat "$lane_tmp/said"
	[ $got = "$rc" ] || no "exit status $got, expected $rc: $*" || return 1
	[ "$(grep -c '^lane: ' "$lane_tmp/said")" = 1 ] || no "not one line: $*" || return 1
	grep -q "$text" "$lane_tmp/said" || no "not about '$text': $*"
}

# stays TEXT program...: it runs on the kernel, with a word about it; with --strict it does not run.
stays()
{
	local text=$1
	shift
	said 0 "$text.*runs on the kernel" "${as[@]}" "$LANE" run -i "$if_s" -- "$@" || return 1
	grep -q ran "$lane_tmp/out" || no "it did not run" || return 1
	said 125 "$text.*is not run" "${as[@]}" "$LANE" run --strict -i "$if_s" -- "$@" || return 1
	grep -q ran "$lane_tmp/out" && no "it ran all the same"
	return 0
}

programs()
{
	local dir=$lane_tmp/p as=()
	mkdir -p "$dir"
	echo 'int puts(const char *); int main(void) { puts("ran"); return 0; }' >"$dir/p.c"
	# The note that Go's linker writes.
	echo '__asm__(".section .note.go.buildid,\"a\",@note; .long 4, 4, 4, 0x6f47, 0; .text");' >"$dir/go.c"
	gcc -o "$dir/plain" "$dir/p.c" && gcc -static -o "$dir/static" "$dir/p.c" && gcc -static-pie -o "$dir/static-pie" "$dir/p.c" &&
		gcc -o "$dir/go" "$dir/p.c" "$dir/go.c" && gcc -static -o "$dir/go-static" "$dir/p.c" "$dir/go.c" || no "gcc" || return 1
	printf '#!%s\n' "$dir/static" >"$dir/script"
	cp "$dir/plain" "$dir/setuid" && cp "$dir/plain" "$dir/setgid" && cp "$dir/plain" "$dir/caps" && chmod 755 "$dir"/* || return 1
	chmod u+s "$dir/setuid" && chmod g+s "$dir/setgid" || return 1
	# What setcap cap_net_raw=ep writes.
	/usr/bin/python3 -c 'import os, struct, sys
os.setxattr(sys.argv[1], "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))' "$dir/caps" || return 1
	stays 'static program' "$dir/static" && stays 'static program' "$dir/static-pie" && stays 'static program' "$dir/script" &&
		stays 'Go program' "$dir/go" && stays 'Go program' "$dir/go-static" || return 1
	as=("${nobody[@]}")
	[ -z "${as[*]}" ] || { stays 'setuid program' "$dir/setuid" && stays 'setgid program' "$dir/setgid" && stays 'file capabilities' "$dir/caps"; } || return 1
	# Nothing is said of one that can be served.
	as=()
	[ "$(in_s "$LANE" run --strict -i "$if_s" -- "$dir/plain" 2>&1)" = ran ] || no "a plain program is not run quietly"
}

interfaces()
{
	local as=()
	said 125 "no interface 'nosuch0'" "$LANE" run --strict -i nosuch0 -- true || return 1
	said 0 "no interface 'nosuch0'" "$LANE" run -i nosuch0 -- true || return 1
	as=("${nobody[@]:-setpriv}" --inh-caps -all --bounding-set -all)
	stays 'CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF' sh -c 'echo ran' || return 1
	as=(setpriv --inh-caps -all --bounding-set -net_raw)
	stays ': CAP_NET_RAW missing' sh -c 'echo ran' || return 1
	as=(setpriv --inh-caps -all --bounding-set -bpf,-sys_admin)
	stays ': CAP_BPF missing' sh -c 'echo ran' || return 1
	as=(prlimit --memlock=65536:65536 setpriv --inh-caps -all --bounding-set -ipc_lock,-sys_resource)
	stays 'locked in memory, the limit is 64 KB' sh -c 'echo ran' || return 1
	as=()
	said 125 'zero copy' "$LANE" run --strict --zerocopy on -i "$if_s" -- true || return 1
	said 125 'multi-buffer' "$LANE" run --strict --mode generic --without sg -i "$if_s" -- true
}

# Somebody else's program is on the interface: who, and how to take it off.
attached()
{
	local as=() off
	cat >"$lane_tmp/x.c" <<-'C'
	__attribute__((section("xdp"), used)) int other(void *ctx) { return 2; }
	C
	clang -O2 -target bpf -c "$lane_tmp/x.c" -o "$lane_tmp/x.o" || return 1
	for mode in xdpgeneric xdpdrv; do
		ip -n "$ns_s" link set "$if_s" "$mode" obj "$lane_tmp/x.o" sec xdp || no "cannot attach ($mode)" || return 1
		stays 'has an XDP program already: program [0-9]* "other"' sh -c 'echo ran' || return 1
		off=$(sed -n 's/.*or: \(ip link set.* off\).*/\1/p' "$lane_tmp/said")
		in_s sh -c "$off"
		! xdp_attached || no "'$off' does not take it off" || return 1
	done
}

helps()
{
	local c
	for c in run stat conns config stop version; do
		"$LANE" "$c" --help | grep -q "^usage: lane $c" || no "lane $c --help" || return 1
	done
}

as=() # what goes in front of 'lane run'
begin
# Another user, where he reaches the tool (he does not below a home).
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
"${nobody[@]}" test -x "$LANE" || nobody=()
net_up
case_ help helps
case_ programs programs
case_ interfaces interfaces
case_ attached attached
case_ nothing-left all_gone 5
end
