#!/bin/bash
# isolated.sh - servers whose children give up system calls or namespaces: sshd and vsftpd under 'lane run -i lo'
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns=$lane_tag-i

on_lo() # PORT command...
{
	local port=$1
	shift
	out=$lane_tmp/server start "$ns" "$LANE" run --strict -i lo -- "$@"
	wait_port "$ns" "$port"
}

accepts()
{
	in_ns "$ns" "$LANE" stat | awk '$1 == "tcp_accepts" { print $2 }'
}

ssh_to() # command
{
	in_ns "$ns" timeout 20 ssh -p 7022 -i "$lane_tmp/key" -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$(id -un)@127.0.0.1" "$@"
}

# The child that speaks with strangers is in a sandbox; what it knows goes to another process afterwards.
sshd_sandbox()
{
	local sum before
	command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || { say "no sshd here" && return 0; }
	mkdir -p /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$lane_tmp/key" && ssh-keygen -q -t ed25519 -N '' -f "$lane_tmp/host" || return 1
	cp "$lane_tmp/key.pub" "$lane_tmp/authorized"
	cat >"$lane_tmp/sshd_config" <<-EOF
		Port 7022
		ListenAddress 127.0.0.1
		HostKey $lane_tmp/host
		PidFile none
		AuthorizedKeysFile $lane_tmp/authorized
		StrictModes no
		PermitRootLogin yes
		UsePAM no
	EOF
	on_lo 7022 /usr/sbin/sshd -D -e -f "$lane_tmp/sshd_config" || return 1
	before=$(accepts)
	head -c 3000000 /dev/urandom >"$lane_tmp/file"
	sum=$(md5sum <"$lane_tmp/file")
	[ "$(ssh_to 'echo over; exit 3' && say never || say $?)" = "$(printf 'over\n3')" ] || no "a command's end" || return 1
	[ "$(ssh_to cat <"$lane_tmp/file" | md5sum)" = "$sum" ] || no "other bytes came back" || return 1
	[ "$(accepts)" = $((before + 2)) ] || no "not over the lane: $before, then $(accepts) accepted" || return 1
	[ -z "$(ssh_to env | grep -E 'LANE_|LD_PRELOAD')" ] || no "the session sees our environment" || return 1
	stop "$pid"
}

# Its children are in pid and network namespaces of their own.
vsftpd_isolated()
{
	local before
	[ -x /usr/sbin/vsftpd ] || { say "no vsftpd here" && return 0; }
	mkdir -p "$lane_tmp/ftp" "$lane_tmp/empty"
	chmod 755 "$lane_tmp" "$lane_tmp/ftp" "$lane_tmp/empty"
	head -c 3000000 /dev/urandom >"$lane_tmp/ftp/file"
	chmod 644 "$lane_tmp/ftp/file"
	# Its own filter of system calls kills it on this kernel, lane or not.
	cat >"$lane_tmp/vsftpd.conf" <<-EOF
		listen=YES
		listen_address=127.0.0.1
		listen_port=7021
		background=NO
		anonymous_enable=YES
		no_anon_password=YES
		anon_root=$lane_tmp/ftp
		secure_chroot_dir=$lane_tmp/empty
		nopriv_user=nobody
		ftp_username=daemon
		isolate=YES
		isolate_network=YES
		seccomp_sandbox=NO
	EOF
	on_lo 7021 /usr/sbin/vsftpd "$lane_tmp/vsftpd.conf" || return 1
	before=$(accepts)
	in_ns "$ns" timeout 20 curl -sS ftp://127.0.0.1:7021/file | cmp - "$lane_tmp/ftp/file" || return 1
	in_ns "$ns" timeout 20 curl -sS -P - ftp://127.0.0.1:7021/file | cmp - "$lane_tmp/ftp/file" || return 1
	[ "$(accepts)" -ge $((before + 3)) ] || no "not over the lane: $before, then $(accepts) accepted" || return 1
	stop "$pid"
}

begin
ns_add "$ns" || exit 1
case_ sshd-sandbox sshd_sandbox
case_ vsftpd-isolated vsftpd_isolated
end
