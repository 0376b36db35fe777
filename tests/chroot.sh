#!/bin/bash
# chroot.sh - scripts/demo and scripts/test in a fresh Debian 12, with nothing installed before
#
# For the long mode of scripts/test. Everything happens in a mount and a pid namespace of its own, which end
# with this script. Needs mmdebstrap and a Debian mirror.
. "$(dirname "$(readlink -f "$0")")/../scripts/lib.sh"
set -u

as_root
command -v mmdebstrap >/dev/null || { say "no mmdebstrap" && exit 77; }
cleanup_on_exit
root=$lane_tmp/root

mirror=$(awk '/^URIs:/ { print $2; exit } /^deb / { print $2; exit }' /etc/apt/sources.list.d/debian.sources \
	/etc/apt/sources.list 2>/dev/null)
[ -n "$mirror" ] || { say "apt has no mirror to build a chroot from" && exit 77; }
bounded 600 mmdebstrap --mode=root --variant=minbase --include=git bookworm "$root" "$mirror" \
	>"$lane_tmp/mmdebstrap" 2>&1 || { tail -n 3 "$lane_tmp/mmdebstrap" && exit 1; }
# The proxy that apt may need, and the name servers.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null
for f in /etc/apt/apt.conf.d/*proxy*; do
	[ -e "$f" ] && cp "$f" "$root/etc/apt/apt.conf.d/"
done
git clone -q "$lane_root" "$root/root/lane" || exit 1

# inside NAME SECONDS command...: in the chroot; ends with all that it started.
inside()
{
	local name=$1 seconds=$2
	shift 2
	# shellcheck disable=SC2016
	# 'ip netns' wants a root that is a mount point.
	if bounded "$seconds" unshare --mount --pid --fork --kill-child bash -c '
		mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && mount -t devtmpfs dev "$0/dev" &&
		mount -t tmpfs tmpfs "$0/run" && mount -t tmpfs tmpfs "$0/tmp" && cd / &&
		exec env -u LANE -u LANE_TAG -u LANE_LONG HOME=/root chroot "$0" "$@"' "$root" "$@" >"$lane_tmp/$name" 2>&1; then
		say "PASS $name"
	else
		say "FAIL $name: $(tail -n 1 "$lane_tmp/$name")"
		tail -n 30 "$lane_tmp/$name" | sed 's/^/  /'
	fi
}

inside demo 600 /root/lane/scripts/demo
inside test 3600 /root/lane/scripts/test
