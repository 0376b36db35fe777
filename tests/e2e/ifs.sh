#!/bin/bash
# ifs.sh - one lane on several interfaces: two veth pairs and lo
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ns_d=$lane_tag-d        # the second client's namespace
if_b=$lane_tag-b if_d=$lane_tag-d

# The second cable: 10.88.0.1 and fd88::1 are the server's.
second_up()
{
	ns_add "$ns_d" || return 1
	ip -n "$ns_s" link add "$if_b" numrxqueues 1 numtxqueues 1 type veth \
		peer name "$if_d" netns "$ns_d" numrxqueues 1 numtxqueues 1 || return 1
	ip -n "$ns_s" addr add 10.88.0.1/24 dev "$if_b"
	ip -n "$ns_d" addr add 10.88.0.2/24 dev "$if_d"
	ip -n "$ns_s" addr add fd88::1/64 dev "$if_b" nodad
	ip -n "$ns_d" addr add fd88::2/64 dev "$if_d" nodad
	ip -n "$ns_s" link set "$if_b" up
	ip -n "$ns_d" link set "$if_d" up
}

# if_packets INTERFACE rx|tx: what the lane has received or sent by it.
if_packets()
{
	in_s timeout 5 "$LANE" stat --json -i "$1" |
		/usr/bin/python3 -c 'import json, sys
print(next(i["if_%s_packets" % sys.argv[2]] for i in json.load(sys.stdin)["interfaces"] if i["name"] == sys.argv[1]))' "$1" "$2"
}

# by INTERFACE MIN command...: it succeeds, and that interface of the lane receives and sends at least MIN packets.
by()
{
	local i=$1 min=$2 r t
	shift 2
	r=$(if_packets "$i" rx) t=$(if_packets "$i" tx)
	"$@" || return 1
	r=$(($(if_packets "$i" rx) - r)) t=$(($(if_packets "$i" tx) - t))
	say "by $i the lane received $r packets and sent $t"
	[ $r -ge "$min" ] && [ $t -ge "$min" ] || no "by $i the lane received only $r packets and sent $t"
}

ask() # NAMESPACE HOST
{
	local answer
	answer=$(in_ns "$1" timeout 20 redis-benchmark -h "$2" -c 10 -n 1000 -t get -q 2>&1) ||
		no "redis-benchmark from $1 to $2: $answer"
}

serves_all()
{
	local a
	out=$lane_tmp/server start "$ns_s" "$LANE" run --strict -i "$if_s" -i "$if_b" -i lo -- \
		redis-server --port 6379 --bind 0.0.0.0 :: --save '' --appendonly no --protected-mode no --dir "$lane_tmp"
	server=$pid
	wait_port "$ns_s" 6379 || return 1
	for a in "$S4" "$S6"; do
		by "$if_s" 200 ask "$ns_c" "$a" || return 1
	done
	for a in 10.88.0.1 fd88::1; do
		by "$if_b" 200 ask "$ns_d" "$a" || return 1
	done
	for a in 127.0.0.1 ::1; do
		by lo 200 ask "$ns_s" "$a" || return 1
	done
}

# The host's own address goes by lo, which is not that address' interface: the kernel's.
own_address()
{
	[ "$(in_s timeout 5 redis-cli -h "$S4" ping)" = PONG ] || no "no answer on the own address $S4" || return 1
	[ "$(in_s timeout 5 "$LANE" run --strict -i "$if_s,$if_b,lo" -- redis-cli -h "$S4" ping)" = PONG ] ||
		no "no answer on the own address $S4 under lane"
}

# A program of the same lane connects out by each interface.
connects_out()
{
	start "$ns_c" /usr/bin/python3 -m http.server 8001 --directory "$lane_tmp/www"
	a=$pid
	start "$ns_d" /usr/bin/python3 -m http.server 8002 --directory "$lane_tmp/www"
	b=$pid
	wait_port "$ns_c" 8001 && wait_port "$ns_d" 8002 || return 1
	mkdir -p "$lane_tmp/www"
	head -c 3000000 /dev/urandom >"$lane_tmp/www/file"
	by "$if_s" 20 fetch "http://$C4:8001/file" && by "$if_b" 20 fetch http://10.88.0.2:8002/file || return 1
	stop "$a" "$b"
	# Kernel and lane on lo, and both ends in the lane.
	[ "$(in_s timeout 5 "$LANE" run --strict -i lo -- redis-cli -h 127.0.0.1 ping)" = PONG ] ||
		no "no answer from lane to lane on lo"
}
fetch() # URL
{
	in_s timeout 20 "$LANE" run --strict -i "$if_s" -- curl -sS -o "$lane_tmp/got" "$1" || return 1
	cmp "$lane_tmp/got" "$lane_tmp/www/file"
}

datagrams()
{
	out=$lane_tmp/udp start "$ns_s" "$LANE" run --strict -i "$if_b" -- /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7000))
while True:
	d, a = s.recvfrom(2000)
	s.sendto(d, a)'
	a=$pid
	wait_port "$ns_s" 7000 udp || return 1
	by "$if_s" 100 echoes "$ns_c" "$S4" && by "$if_b" 100 echoes "$ns_d" 10.88.0.1 && by lo 100 echoes "$ns_s" 127.0.0.1 || return 1
	stop "$a"
}
echoes() # NAMESPACE HOST
{
	in_ns "$1" timeout 20 /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], 7000))
for i in range(100):
	s.send(b"%d" % i)
	assert s.recv(100) == b"%d" % i' "$2"
}

pings()
{
	in_c ping -qc 3 -i 0.1 -W 2 "$S4" && in_c ping -qc 3 -i 0.1 -W 2 "$S6" &&
		in_ns "$ns_d" ping -qc 3 -i 0.1 -W 2 10.88.0.1 && in_s ping -qc 3 -i 0.1 -W 2 127.0.0.1
}

# One keeper has them all, by whatever name it is asked.
one_keeper()
{
	local p
	p=$(lane_stat keeper_pid)
	[ "$p" != 0 ] && [ "$p" = "$(lane_stat keeper_pid "$ns_s" "$if_b")" ] && [ "$p" = "$(lane_stat keeper_pid "$ns_s" lo)" ] ||
		no "not one keeper" || return 1
	in_s "$LANE" stat | grep -q "$if_s,$if_b,lo" || no "lane stat without -i does not show all three"
}

# An interface that the keeper was opened without: one line, and with --strict an error; two keepers: an error.
clear_words()
{
	clear_ns
	start "$ns_s" "$LANE" run --strict -i "$if_s" -- sleep 60
	wait_stat "$if_s" || return 1
	in_s "$LANE" run -i "$if_b,$if_s" -- true 2>"$lane_tmp/said" || return 1
	grep -q "sockets of $if_b stay with the kernel: the keeper of $if_s" "$lane_tmp/said" || no "said: $(cat "$lane_tmp/said")" || return 1
	in_s "$LANE" run --strict -i "$if_b,$if_s" -- true 2>/dev/null && { no "--strict runs all the same"; return 1; }
	start "$ns_s" "$LANE" run --strict -i "$if_b" -- sleep 60
	wait_stat "$if_b" || return 1
	in_s "$LANE" run -i "$if_b,$if_s" -- true 2>"$lane_tmp/said" || return 1
	grep -q "are served by two keepers" "$lane_tmp/said" || no "said: $(cat "$lane_tmp/said")"
}
wait_stat() # INTERFACE
{
	local i
	for ((i = 0; i < 50; i++)); do
		in_s "$LANE" stat -i "$1" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	no "no keeper on $1"
}

begin
net_up
second_up || exit 1
mkdir -p "$lane_tmp/www"
case_ serves-three-interfaces serves_all
case_ one-keeper one_keeper
case_ own-address own_address
case_ connects-out-over-each connects_out
case_ datagrams-over-each datagrams
case_ ping pings
stop "${server:-}"
case_ clear-words clear_words
end
