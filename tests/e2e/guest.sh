#!/bin/bash
# guest.sh - lane on PCI devices: a virtual machine in software emulation with Debian's kernel, e1000e and virtio-net
#
# The guest is an initramfs of busybox, lane, DPDK and the servers that are asked for; this script tells it what to do
# over its serial line. Each NIC is a TAP device of the host's, in the client's namespace, where the kernel is the
# peer. No privilege of the host's beyond that, no KVM, nothing of its devices. In the long tests only.
. "$(dirname "$(readlink -f "$0")")/echo_lib.sh"
MB=${MB:-2}
cache=/var/cache/lane/guest # Debian's kernel and its modules, by scripts/setup
VIRTIO=0000:00:05.0 E1000=0000:00:06.0

begin
if [ -z "${LANE_LONG:-}" ]; then
	say "a virtual machine in software emulation: with --long only"
	exit 77
fi
build=$(readlink -f "$(dirname "$ECHO")/../..")
kernel=$(find $cache/boot -name 'vmlinuz*' 2>/dev/null | head -n 1)
dpdk=$(find "$build" -name liblane-dpdk.so)
for need in "$kernel" "$dpdk" "$(command -v qemu-system-x86_64)" "$(command -v busybox)" "$(command -v cpio)"; do
	[ -e "$need" ] || { say "a kernel in $cache, liblane-dpdk.so, qemu-system-x86_64, busybox or cpio is missing" && exit 77; }
done

# ---- its file system ----

# with FILE...: the files and the libraries that they want, links as links: DPDK loads its own twice otherwise.
with()
{
	local f real
	for f in "$@" $(for f in "$@"; do ldd "$f" 2>/dev/null; done | grep -o '/[^ ]*' | sort -u); do
		real=$(readlink -f "$f")
		mkdir -p "$root${f%/*}" "$root${real%/*}"
		[ -e "$root$real" ] || cp "$real" "$root$real"
		[ "$real" = "$f" ] || ln -sf "$real" "$root$f"
	done
}

make_root()
{
	local pmds what
	root=$lane_tmp/root
	pmds=$(find /usr/lib -maxdepth 3 -type d -name 'pmds-*' | head -n 1)
	mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,var/run,modules,etc}
	cp "$(command -v busybox)" "$root/bin/busybox"
	find $cache -name '*.ko' -exec cp {} "$root/modules" \;
	for what in net_e1000 net_virtio net_vmxnet3 bus_pci bus_vdev mempool_ring; do
		with "$pmds/librte_$what.so"
	done
	with "$ECHO" "$dpdk" "$(find "$build" -name liblane-preload.so)" "$build/lane" /usr/bin/redis-server /usr/bin/env
	printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
	cat >"$root/init" <<-'INIT'
	#!/bin/busybox sh
	/bin/busybox --install -s /bin
	export PATH=/bin:/usr/bin
	mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
	mkdir -p /dev/shm /dev/hugepages; mount -t tmpfs shm /dev/shm; mount -t hugetlbfs huge /dev/hugepages
	ip link set lo up
	stty -echo
	for m in irqbypass uio uio_pci_generic vfio vfio_virqfd vfio_iommu_type1 vfio-pci-core vfio-pci; do
		insmod /modules/$m.ko
	done
	echo "guest: 0 0"
	n=1
	while read -r line; do
		eval "$line" </dev/null
		echo "guest: $n $?"
		n=$((n + 1))
	done
	poweroff -f
	INIT
	chmod 755 "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1 >"$lane_tmp/initrd")
}

# ---- the guest ----

tap_add() # NAME queues
{
	ip -n "$ns_c" tuntap add dev "$1" mode tap vnet_hdr && ip -n "$ns_c" link set "$1" up
}

boot()
{
	tap_add "$lane_tag-v" && tap_add "$lane_tag-e" && make_root || no "no root" || return 1
	mkfifo "$lane_tmp/serial"
	exec 9<>"$lane_tmp/serial"
	nr_told=0
	nsenter --net="/run/netns/$ns_c" qemu-system-x86_64 -machine q35 -accel tcg -cpu max -m 1024 -smp 2 -nodefaults -no-reboot \
		-display none -serial stdio -device intel-iommu,intremap=on -kernel "$kernel" -initrd "$lane_tmp/initrd" \
		-append "console=ttyS0 quiet panic=-1 intel_iommu=on iommu=pt hugepages=160" \
		-netdev "tap,id=v,ifname=$lane_tag-v,script=no,downscript=no" \
		-device "virtio-net-pci,netdev=v,addr=5,romfile=,iommu_platform=on,disable-legacy=on,mac=02:00:00:00:00:01" \
		-netdev "tap,id=e,ifname=$lane_tag-e,script=no,downscript=no" \
		-device "e1000e,netdev=e,addr=6,romfile=,mac=02:00:00:00:00:03" \
		<&9 >"$lane_tmp/console" 2>&1 &
	vm=$!
	disown "$vm"
	told 0 90 || no "it does not boot: $(tail -n 1 "$lane_tmp/console")"
}

# told N SECONDS: the guest has done its N-th command.
told()
{
	local i
	for ((i = 0; i < $2 * 10; i++)); do
		grep -q "^guest: $1 " "$lane_tmp/console" && break
		[ -d "/proc/$vm" ] || break
		sleep 0.1
	done
	grep -q "^guest: $1 0" "$lane_tmp/console"
}

guest() # command, in one line
{
	nr_told=$((nr_told + 1))
	printf '%s\n' "$1" >&9
	told $nr_told 60 || no "in the guest, '$1': $(tail -n 3 "$lane_tmp/console" | tr '\r\n' '  ')"
}

peer() # TAP: the kernel's addresses on it, nobody else's
{
	ip -n "$ns_c" addr flush dev "$lane_tag-v"
	ip -n "$ns_c" addr flush dev "$lane_tag-e"
	ip -n "$ns_c" addr add "$C4/24" dev "$1" && ip -n "$ns_c" addr add "$C6/64" dev "$1" nodad
}

bind_to() # ADDRESS DRIVER
{
	guest "cd /sys/bus/pci/devices/$1 && { [ ! -e driver ] || echo $1 >driver/unbind; }; echo $2 >driver_override; echo $1 >/sys/bus/pci/drivers_probe; cd /; [ -e /sys/bus/pci/drivers/$2/$1 ]"
}

echo_in_guest() # ADDRESS DRIVER TAP MAC EAL options...
{
	local at=$1 driver=$2 tap=$3 mac=$4 eal=$5
	shift 5
	peer "$tap"
	ip -n "$ns_c" neigh replace "$S4" lladdr "$mac" nud permanent dev "$tap"
	ip -n "$ns_c" neigh replace "$S6" lladdr "$mac" nud permanent dev "$tap"
	guest '[ -z "$pid" ] || { kill -9 $pid; wait $pid; }; pid=; true' && bind_to "$at" "$driver" || return 1
	guest "$ECHO -d dpdk --eal '-a $at $eal' --address $S4/24 --address $S6/64 $* >/tmp/echo 2>&1 & pid=\$!; for i in \$(seq 300); do grep -q ' port .* on ' /tmp/echo && break; [ -d /proc/\$pid ] || break; usleep 100000; done; cat /tmp/echo; grep -q ' port .* on ' /tmp/echo"
}

tcp()
{
	echo_in_guest "$@" || return 1
	client "$ns_c" "$S4" 7 tcp "$MB" && client "$ns_c" "$S6" 7 tcp "$MB" && echo_ends
}

udp()
{
	echo_in_guest "$@" --udp || return 1
	client "$ns_c" "$S4" 7 udp && client "$ns_c" "$S6" 7 udp && echo_ends
}

# An unmodified server, with the control plane's ARP and ND.
redis() # ADDRESS DRIVER TAP MAC
{
	local i
	peer "$3"
	ip -n "$ns_c" neigh flush dev "$3"
	guest '[ -z "$pid" ] || { kill -9 $pid; wait $pid; }; pid=; true' && bind_to "$1" "$2" || return 1
	guest "$build/lane run --strict -d dpdk --eal '-a $1' --address $S4/24,$S6/64 -- redis-server --bind 0.0.0.0 :: --save '' --protected-mode no >/tmp/redis 2>&1 & pid=\$!; for i in \$(seq 300); do grep -q 'Ready to accept' /tmp/redis && break; [ -d /proc/\$pid ] || break; usleep 100000; done; tail -n 3 /tmp/redis; grep -q 'Ready to accept' /tmp/redis" || return 1
	[ "$(in_c timeout 20 redis-cli -h "$S4" set key value 2>&1)" = OK ] || no "redis-cli cannot set" || return 1
	[ "$(in_c timeout 20 redis-cli -h "$S6" get key 2>&1)" = value ] || no "redis-cli cannot get" || return 1
	in_c timeout 60 redis-benchmark -h "$S4" -c 10 -n 2000 -t set,get -q || no "redis-benchmark fails" || return 1
	in_c ping -c 2 -W 5 "$S4" || no "no answer to an echo" || return 1
	guest "$build/lane stat -i ${1:0:15} | grep -E 'device  |rx_packets'; kill \$pid; wait \$pid; pid=; $build/lane stop -i ${1:0:15}; true"
}

echo_ends()
{
	guest 'kill $pid; wait $pid; pid=; cat /tmp/echo; grep -q "^rx_packets [1-9]" /tmp/echo'
}

ns_add "$ns_c" || die "cannot make a network namespace"
at_exit()
{
	[ -n "${vm:-}" ] && stop "$vm"
}
case_ boot boot
[ $nr_failed = 0 ] || { cat "$lane_tmp/console" && end; }
v=("$lane_tag-v" 02:00:00:00:00:01) e=("$lane_tag-e" 02:00:00:00:00:03)
case_ virtio-vfio-tcp tcp $VIRTIO vfio-pci "${v[@]}" ""
case_ virtio-vfio-udp udp $VIRTIO vfio-pci "${v[@]}" ""
case_ e1000e-vfio-tcp tcp $E1000 vfio-pci "${e[@]}" ""
case_ e1000e-vfio-udp udp $E1000 vfio-pci "${e[@]}" ""
case_ e1000e-uio-tcp tcp $E1000 uio_pci_generic "${e[@]}" "--legacy-mem -m 256"
case_ redis-virtio redis $VIRTIO vfio-pci "${v[@]}"
case_ redis-e1000e redis $E1000 vfio-pci "${e[@]}"
end
