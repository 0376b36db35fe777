#!/bin/bash
# sanitizers.sh - programs with a sanitizer in them, under valgrind, or with another malloc run under 'lane run -i lo' (posix.md 64)
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns=$lane_tag-z

# prints the same on the kernel and on lane, and that went over the lane
same() # program...
{
	local before after
	in_ns "$ns" timeout 60 "$@" >"$lane_tmp/kernel" 2>&1
	grep -q '^== ' "$lane_tmp/kernel" || no "does not run on the kernel either: $(tail -n 1 "$lane_tmp/kernel")" || return 1
	before=$(lane_stat tcp_accepts "$ns" lo)
	in_ns "$ns" timeout 60 "$LANE" run --strict -i lo -- "$@" >"$lane_tmp/lane" 2>&1
	diff "$lane_tmp/kernel" "$lane_tmp/lane" || return 1
	after=$(lane_stat tcp_accepts "$ns" lo)
	[ "$after" -gt "$before" ] || no "not over the lane"
}

# Without what the linker lacks here the case is left out, aloud.
sanitized() # compiler sanitizer cases...
{
	local exe=$lane_tmp/$1-$2
	"$1" -D_GNU_SOURCE -w -g -O1 -fsanitize="$2" -o "$exe" "$lane_root"/tests/posix/{signals,t}.c -pthread 2>"$lane_tmp/cc" ||
		{ say "cannot be built here: $(tail -n 1 "$lane_tmp/cc")" && return 0; }
	same "$exe" "${@:3}" || return 1
	# As a child, which nobody tells anything.
	same sh -c "$exe interrupted; :"
}

valgrinded()
{
	command -v valgrind >/dev/null || { say "no valgrind here" && return 0; }
	in_ns "$ns" timeout 100 "$LANE" run --strict -i lo -- valgrind -q --error-exitcode=9 \
		"$(dirname "$LANE")/tests/posix/signals" interrupted 2>&1 | tee "$lane_tmp/out" | grep -q 'hits) = 6\|hits = 6' ||
		no "$(tail -n 1 "$lane_tmp/out")"
}

# In front of our library and behind it.
other_malloc()
{
	local lib order
	for lib in /usr/lib/*/libjemalloc.so.2 /usr/lib/*/libtcmalloc_minimal.so.4; do
		[ -e "$lib" ] || continue
		for order in "$lib:$PRELOAD" "$PRELOAD:$lib"; do
			in_ns "$ns" timeout 30 env LANE_IF=lo LD_PRELOAD="$order" "$(dirname "$LANE")/tests/posix/signals" \
				interrupted 2>&1 | tee "$lane_tmp/out" | grep -q 'hits = 6' ||
				no "$order: $(tail -n 1 "$lane_tmp/out")" || return 1
		done
	done
}

begin
ns_add "$ns" || exit 1
# A keeper that stays for all of it.
out=$lane_tmp/server start "$ns" "$LANE" run --strict -i lo -- sleep 300
sleep 0.5
for compiler in gcc clang; do
	# clang's runtime takes a cancelled thread for an overflow, on the kernel too.
	case_ $compiler-address sanitized $compiler address interrupted sleeps
	case_ $compiler-thread sanitized $compiler thread interrupted cancelled sleeps
	case_ $compiler-undefined sanitized $compiler undefined interrupted cancelled sleeps
done
case_ valgrind valgrinded
case_ other-malloc other_malloc
end
