#!/bin/bash
# dpdk_run.sh - programs as they are on DPDK ports: lane run -d dpdk. Also what is refused, and how it is said.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
T4=10.78.0.1 TC4=10.78.0.2 # over a TAP device

begin
sock=$lane_tmp/m.sock
if [ ! -e "$(dirname "$LANE")/posix/keeper/liblane-dpdk.so" ]; then
	say "built without DPDK"
	exit 77
fi

# dpdk NS EAL ADDRESSES command...: in the background; its pid is in $server, its output in $lane_tmp/server.
dpdk()
{
	local ns=$1 eal=$2 addr=$3
	shift 3
	: >"$lane_tmp/server"
	out=$lane_tmp/server start "$ns" "$LANE" run --strict -d dpdk --eal "$eal" --address "$addr" -- "$@"
	server=$pid
}

on_af_packet()
{
	eal="--vdev net_af_packet0,iface=$if_s,qdisc_bypass=1" port=net_af_packet0
	dpdk "$ns_s" "$eal" "$S4/24,$S6/64" "$@"
}

served()
{
	until_line "$lane_tmp/server" "$1" 200 || no "no '$1': $(tail -n 1 "$lane_tmp/server")"
}

# No process is left, and no keeper.
ended()
{
	stop "$server"
	in_s "$LANE" stop -i "$port" >/dev/null 2>&1
	all_gone 8
}

redis=(redis-server --port 6379 --bind 0.0.0.0 --save '' --appendonly no --protected-mode no --dir "$lane_tmp")

pong() # NS ADDRESS
{
	local answer
	answer=$(in_ns "$1" timeout 10 redis-cli -h "$2" ping 2>&1)
	[ "$answer" = PONG ] || no "redis answers '$answer'"
}

benchmark() # NS ADDRESS
{
	in_ns "$1" timeout 60 redis-benchmark -h "$2" -c 20 -n 5000 -t get,set -q || no "redis-benchmark fails"
}

# A program that sleeps burns nothing where the PMD has a descriptor; ticks of 10 ms in 2 s.
is_idle() # MOST
{
	local a b
	sleep 0.5
	a=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
	sleep 2
	b=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
	[ $((b - a)) -le "$1" ] || no "$((b - a)) ticks of CPU in two idle seconds"
}

# Among others: a child that saves is a member, and no descriptor of EAL's is left in what is executed.
redis_af_packet()
{
	on_af_packet "${redis[@]}" && served "Ready to accept" || return 1
	pong "$ns_c" "$S4" && benchmark "$ns_c" "$S4" || return 1
	in_c timeout 10 redis-cli -h "$S4" bgsave | grep -q started || no "no background save" || return 1
	until_line "$lane_tmp/server" "terminated with success" 50 || no "the child does not save" || return 1
	pong "$ns_c" "$S4" || return 1
	in_s "$LANE" stat -i "$port" | grep -q 'device .*net_af_packet' || no "lane stat knows no device" || return 1
	[ "$(lane_stat rx_good_packets "$ns_s" "$port")" -gt 5000 ] || no "no extended statistics" || return 1
	is_idle 4 || return 1
	ended
}

nginx_af_packet()
{
	nginx_conf 8080 2
	echo hello >"$lane_tmp/www/index.html"
	head -c 3000000 /dev/urandom >"$lane_tmp/www/big"
	chmod -R a+rX "$lane_tmp"
	on_af_packet nginx -c "$lane_tmp/nginx.conf" -e stderr || return 1
	local i
	for ((i = 0; i < 100; i++)); do
		in_c curl -s -m 2 "http://$S4:8080/" >/dev/null && break
		sleep 0.1
	done
	[ "$(in_c curl -s -m 10 -g "http://[$S6]:8080/")" = hello ] || no "nginx does not answer" || return 1
	for ((i = 0; i < 8; i++)); do
		in_c curl -s -m 30 "http://$S4:8080/big" | cmp -s - "$lane_tmp/www/big" || no "the file is another" || return 1
	done
	kill -HUP "$server"
	sleep 0.5
	[ "$(in_c curl -s -m 10 "http://$S4:8080/")" = hello ] || no "no answer by new workers" || return 1
	[ "$(lane_stat tcp_accepts "$ns_s" "$port")" -gt 0 ] || [ "$(lane_stat rx_packets "$ns_s" "$port")" -gt 1000 ] ||
		no "it went another way" || return 1
	ended
}

# The first process, which started EAL, ends at once: its child goes on.
daemon_af_packet()
{
	local i daemon
	nginx_conf 8080 1
	sed -i 's/daemon off/daemon on/' "$lane_tmp/nginx.conf"
	echo hello >"$lane_tmp/www/index.html"
	chmod -R a+rX "$lane_tmp"
	on_af_packet nginx -c "$lane_tmp/nginx.conf" -e stderr || return 1
	for ((i = 0; i < 100; i++)); do
		[ "$(in_c curl -s -m 2 "http://$S4:8080/")" = hello ] && break
		sleep 0.1
	done
	[ -d "/proc/$server" ] && { no "the first process stays"; return 1; }
	[ "$(in_c curl -s -m 10 -g "http://[$S6]:8080/")" = hello ] || no "nginx does not answer" || return 1
	daemon=$(cat "$lane_tmp/nginx.pid")
	server=$daemon
	ended
}

iperf_af_packet()
{
	on_af_packet iperf3 -s -1 || return 1
	sleep 3
	in_c timeout 30 iperf3 -c "$S4" -n "${MB:-32}M" || no "iperf3 fails" || return 1
	on_again
}

# The port is free again as soon as its program is gone.
on_again()
{
	on_af_packet iperf3 -s -1 || return 1
	sleep 4
	in_c timeout 30 iperf3 -c "$S4" -R -n "${MB:-32}M" || no "iperf3 -R fails: $(tail -n 1 "$lane_tmp/server")" || return 1
	ended
}

threads_af_packet()
{
	on_af_packet /usr/bin/python3 -u -c 'import socketserver
class H(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
class S(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
s = S(("'"$S4"'", 7007), H)
print("listens")
s.serve_forever()'
	served listens || return 1
	in_c timeout 60 /usr/bin/python3 -c 'import socket
c = [socket.create_connection(("'"$S4"'", 7007), 10) for i in range(30)]
for n in range(20):
    for s in c:
        s.sendall(b"%d\n" % n)
    for s in c:
        assert s.recv(100) == b"%d\n" % n' || no "the threads do not answer" || return 1
	ended
}

redis_tap()
{
	local i
	eal="--vdev net_tap0,iface=$lane_tag-t" port=net_tap0
	dpdk "$ns_s" "$eal" "$T4/24" "${redis[@]}" || return 1
	for ((i = 0; i < 100; i++)); do
		ip -n "$ns_s" addr add "$TC4/24" dev "$lane_tag-t" 2>/dev/null && break
		sleep 0.1
	done
	served "Ready to accept" || return 1
	pong "$ns_s" "$T4" && benchmark "$ns_s" "$T4" && is_idle 4 || return 1
	ended
}

# A lane at either end; the client's comes and goes.
redis_memif()
{
	local i client=("$LANE" run --strict -d dpdk --eal "--vdev net_memif1,role=client,socket=$sock,socket-abstract=no" --address "$T4/24")
	eal="--vdev net_memif0,role=server,socket=$sock,socket-abstract=no" port=net_memif0
	dpdk "$ns_s" "$eal" "$TC4/24" "${redis[@]}" && served "Ready to accept" || return 1
	for ((i = 0; i < 2; i++)); do
		[ "$(in_c timeout 20 "${client[@]}" -- redis-cli -h "$TC4" ping)" = PONG ] || no "redis-cli over memif fails" || return 1
	done
	in_c timeout 60 "${client[@]}" -- redis-benchmark -h "$TC4" -n 5000 -t get,set -q || no "redis-benchmark fails" || return 1
	in_s "$LANE" stat -i net_memif0 | grep -q 'first process alone' || no "lane stat does not say who may use it" || return 1
	ended
}

# What says(TEXT, options...) prints on standard error holds the text, and with --strict nothing is run.
says()
{
	local text=$1 got
	shift
	got=$(in_s timeout 30 "$LANE" run --strict -d dpdk "$@" -- /usr/bin/python3 -c 'import socket; socket.socket().listen(); print("runs")' 2>&1)
	[[ $got == *"$text"* ]] || no "'$text' is missing in: $got" || return 1
	[[ $got != *runs* ]] || no "it runs: $got"
}

refusals()
{
	says "name a device" --address "$S4/24" || return 1
	says "unrecognized option '--vdve'" --eal "--vdev net_null0 --vdve x" --address "$S4/24" || return 1
	says "hugepages" --eal "--vdev net_null0 --in-memory" --address "$S4/24" || return 1
	says "No such device" --eal "--vdev net_af_packet0,iface=none0" --address "$S4/24" || return 1
	says "no port" --eal "--no-pci -a 0000:99:00.0" --address "$S4/24" || return 1
	says "no port other; there are: net_null0" -i other --eal "--vdev net_null0" --address "$S4/24" || return 1
	in_s env LANE_DPDK=/nowhere.so timeout 20 "$LANE" run --strict -d dpdk --eal "--vdev net_null0" --address "$S4/24" -- true 2>&1 |
		grep -q 'nowhere.so.*libdpdk-dev' || no "a missing plugin is not told" || return 1
	all_gone 8
}

# Beside a family there is no other on its port; what it executes is on the kernel, and is told.
strangers()
{
	local got
	on_af_packet /usr/bin/python3 -u -c 'import os, socket, subprocess, sys
s = socket.socket()
s.bind(("'"$S4"'", 7008))
s.listen()
code = "import socket; socket.socket().listen(); print(\"child runs\")"
print(subprocess.run([sys.executable, "-c", code], env=dict(os.environ, LANE_STRICT=""), capture_output=True, text=True))
print(subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout)
print("ready")
s.accept()'
	served ready || return 1
	grep -q 'DPDK port of another program' "$lane_tmp/server" || no "an executed child is not told: $(cat "$lane_tmp/server")" || return 1
	grep -q -e '-> .*\(socket\|memfd\|/dev/net\|anon_inode\)' "$lane_tmp/server" && { no "a child has descriptors of EAL's"; return 1; }
	says "served already" --eal "$eal" --address "$S4/24" || return 1
	in_c socat -u OPEN:/dev/null "TCP:$S4:7008,connect-timeout=5" || no "the first family serves no more" || return 1
	ended
}

# What a program can see of itself is the same on the kernel, but for two threads.
traces()
{
	local what='import os, signal, socket, sys, syslog, time
s = socket.socket()
s.bind(("'"$S4"'", 7009)) if len(sys.argv) > 1 else 0
s.listen()
t = open("/proc/self/status").read().split("\n")
print([int(l.split()[1], 16) >> 33 for l in t if l.startswith("SigCgt")]) # those of real time
print([l for l in t if l.split(":")[0] in ("Name", "SigBlk", "SigIgn", "SigPnd", "ShdPnd", "Cpus_allowed", "Umask")],
      os.getcwd(), [signal.getsignal(i) for i in range(1, 65)], s.fileno() < 100, os.listdir("/proc/self/cwd") == os.listdir("."))
try:
    print("child", os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("no child")
for fd in range(3, 256):
    if fd != s.fileno():
        try:
            os.close(fd)
        except OSError:
            pass
print("ready")
sys.stdout.flush()
if len(sys.argv) > 1:
    s.accept()
    time.sleep(1)' was
	: >"$lane_tmp/was"
	out=$lane_tmp/was start "$ns_s" /usr/bin/python3 -c "$what"
	until_line "$lane_tmp/was" ready 50
	was=$(cat "$lane_tmp/was")
	on_af_packet /usr/bin/python3 -c "$what" lane || return 1
	served ready || return 1
	[ "$was" = "$(cat "$lane_tmp/server")" ] || no "it sees: $(diff <(say "$was") "$lane_tmp/server")" || return 1
	# It has closed all that it can, and is served.
	in_c socat -u OPEN:/dev/null "TCP:$S4:7009,connect-timeout=5" || no "no connection any more" || return 1
	ended
}

# What threads open while the first socket starts EAL is the program's: it can close it, and what it executes has it. The
# keeper holds none of it.
meanwhile_af_packet()
{
	local keeper
	on_af_packet /usr/bin/python3 -u -c 'import os, socket, subprocess, threading
made, stop, held = [], threading.Event(), os.memfd_create("held")
def opens():
    while not stop.is_set():
        for fd in os.pipe():
            os.close(fd)
        if len(made) < 600:
            made.extend(os.pipe())
            made.append(os.open("/dev/null", os.O_RDONLY))
            made.append(os.eventfd(0) if hasattr(os, "eventfd") else os.open("/", os.O_RDONLY))
        stop.wait(0.02)
threads = [threading.Thread(target=opens) for i in range(3)]
[t.start() for t in threads]
s = socket.socket()
s.bind(("'"$S4"'", 7010))
s.listen()
stop.set()
[t.join() for t in threads]
print("made", len(made))
os.set_inheritable(made[-1], True)
print(subprocess.run(["readlink", "/proc/self/fd/%d" % made[-1]], close_fds=False, capture_output=True, text=True).stdout.strip() or "LOST")
for fd in made:
    try:
        os.close(fd)
    except OSError as e:
        print("KEPT", fd, e)
print("ready")
s.accept()' || return 1
	served ready || return 1
	if grep 'KEPT\|LOST\|made [0-9]$' "$lane_tmp/server"; then
		no "it cannot use what it opened" || return 1
	fi
	keeper=$(lane_stat keeper_pid "$ns_s" "$port")
	[ "$(readlink "/proc/$keeper/exe")" = "$(readlink "/proc/$server/exe")" ] || no "which is the keeper? '$keeper'" || return 1
	if find "/proc/$keeper/fd" -lname '*held*' | grep .; then
		no "the keeper holds a file of the program's" || return 1
	fi
	[ "$(find "/proc/$keeper/fd" -lname 'pipe:*' | wc -l)" -le 2 ] || no "the keeper holds more pipes than EAL's" || return 1
	in_c socat -u OPEN:/dev/null "TCP:$S4:7010,connect-timeout=5" || no "no connection" || return 1
	ended
}

# Threads before the first socket, and an event loop of another make.
node_af_packet()
{
	on_af_packet node -e 'require("http").createServer((q, a) => a.end("from node")).listen(8080, "0.0.0.0", () => console.log("listens"))' || return 1
	served listens || return 1
	local i
	for ((i = 0; i < 20; i++)); do
		[ "$(in_c curl -s -m 5 "http://$S4:8080/")" = "from node" ] || no "node does not answer" || return 1
	done
	is_idle 8 || return 1
	ended
}

net_up
ip -n "$ns_s" addr flush dev "$if_s"
case_ redis/af_packet redis_af_packet
case_ nginx/af_packet nginx_af_packet
case_ daemon/af_packet daemon_af_packet
case_ iperf3/af_packet iperf_af_packet
case_ threads/af_packet threads_af_packet
if command -v node >/dev/null; then
	case_ node/af_packet node_af_packet
else
	say "SKIP node/af_packet: no node here"
fi
if (: <>/dev/net/tun) 2>/dev/null; then
	case_ redis/tap redis_tap
else
	say "SKIP redis/tap: no /dev/net/tun"
fi
case_ meanwhile/af_packet meanwhile_af_packet
case_ redis/memif redis_memif
case_ refusals refusals
case_ strangers strangers
case_ traces traces
end
