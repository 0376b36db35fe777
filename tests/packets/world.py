"""world.py - one server (on the kernel or on lane) and the peers that talk raw frames to it

A peer has an address of its own that no interface owns, behind a gateway whose MAC is the client's
veth end; so no kernel answers for it, and what the server sends it is told apart by the address. The
client's namespace has no address at all. A case gets peers from a World, sends segments with numbers relative to
both initial sequence numbers (0 is the SYN), and notes what comes back in a form that is equal for equal behaviour.
"""
import collections
import itertools
import queue
import socket
import struct
import threading
import time

import frame as F
from server import PORTS, UDP_ECHO

S4, S6 = socket.inet_aton("10.77.0.1"), socket.inet_pton(socket.AF_INET6, "fd77::1")
S_MAC, C_MAC = bytes.fromhex("027700000001"), bytes.fromhex("027700000002")
NAMES = ((F.SYN, "S"), (F.FIN, "F"), (F.RST, "R"), (F.ACK, "A"), (F.URG, "U"), (F.ECE, "E"), (F.CWR, "C"))
QUIET = 0.3  # this long nothing came: all has come


class World:
    def __init__(self, name, ifname, enter, log):
        """'enter' is a context manager that puts the thread into the client's namespace."""
        self.name, self.log_path, self.slow = name, log, 1
        with enter:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.sock.bind((ifname, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.boxes, self.numbers = {}, itertools.count(2)
        self.lock = threading.Lock()
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        while True:
            try:
                data, addr = self.sock.recvfrom(65600)
            except OSError:  # the link goes up, or down at the end
                time.sleep(0.01)
                continue
            if addr[2] == socket.PACKET_OUTGOING:
                continue
            try:
                p = F.parse(data)
            except (struct.error, IndexError):
                p = None
            box = self.boxes.get(p.dst) if p else None
            if box is not None:
                box.put(p)

    def send(self, packet, dst=S_MAC, src=C_MAC, kind=None, vlan=None):
        if kind is None:
            kind = F.ETH_IP4 if packet[0] >> 4 == 4 else F.ETH_IP6
        self.raw(F.eth(dst, src, kind, packet, vlan))

    def raw(self, data):
        for _ in range(1000):
            try:
                self.sock.send(data)
                return
            except OSError:
                time.sleep(0.001)

    def address(self, v6):
        with self.lock:
            n = next(self.numbers)
        if v6:
            return socket.inet_pton(socket.AF_INET6, f"fd78::{n:x}")
        return bytes([10, 78, n >> 8, n & 255])

    def report(self, peer, limit=3.0):
        """The server's line about a connection of 'peer'."""
        family = socket.AF_INET6 if len(peer.ip) == 16 else socket.AF_INET
        start = f"{socket.inet_ntop(family, peer.ip)} {peer.port} "
        end = time.monotonic() + limit * self.slow
        while True:
            for line in open(self.log_path):
                if line.startswith(start) and line.endswith("\n"):
                    return line[len(start):].strip()
            if time.monotonic() > end:
                return "no end seen"
            time.sleep(0.05)


class Peer:
    """One end of (at most) one connection, by hand. 'snd' is our next sequence number, 'rcv' what we expect."""

    def __init__(self, world, notes, service="echo", v6=False, isn=1000, port=4000, ip=None):
        self.w, self.notes, self.v6, self.isn, self.port = world, notes, v6, isn, port
        self.dport = PORTS[service] if isinstance(service, str) else service
        self.ip, self.server = ip or world.address(v6), S6 if v6 else S4
        self.iss, self.snd, self.rcv, self.ts, self.wnd = None, 0, 0, None, 65535
        self.box = world.boxes[self.ip] = queue.Queue()

    def again(self, isn, port=None):
        """A new connection between the same two ends."""
        q = Peer.__new__(Peer)
        q.__dict__.update(self.__dict__)
        q.isn, q.iss, q.snd, q.rcv, q.ts = isn, None, 0, 0, None
        q.port = port or self.port
        return q

    def segment(self, flags, seq=None, ack=None, data=b"", opts=None, wnd=None, **more):
        """The bytes of a TCP segment."""
        seq = self.snd if seq is None else seq
        ack = (self.rcv if ack is None else ack) if flags & F.ACK or ack is not None else None
        if opts is None:
            opts = F.stamps(1000 + self.ts, 0) if self.ts is not None else b""
        return F.tcp(self.ip, self.server, self.port, self.dport, self.isn + seq,
                     0 if ack is None else (self.iss or 0) + ack, flags, self.wnd if wnd is None else wnd, opts, data,
                     **more)

    def send(self, flags, seq=None, ack=None, data=b"", opts=None, wnd=None, ip=None, eth=None, **more):
        t = self.segment(flags, seq, ack, data, opts, wnd, **more)
        self.w.send(F.ip(self.ip, self.server, F.TCP, t, **(ip or {})), **(eth or {}))

    def data(self, text, seq=None, flags=F.ACK | F.PSH, **more):
        """Sends text; in order, it moves 'snd'."""
        self.send(flags, seq, data=text, **more)
        if seq is None:
            self.snd += len(text) + bool(flags & F.FIN)

    # ---- what comes ----

    def get(self, limit=1.0):
        try:
            p = self.box.get(timeout=limit * self.w.slow)
        except queue.Empty:
            return None
        if p.kind == "tcp" and p.sport == self.dport and p.dport == self.port:
            self.learn(p)
        return p

    def learn(self, p):
        if self.iss is None and p.flags & F.SYN:
            self.iss = p.seq
        if self.iss is not None and not p.flags & F.RST:
            end = self.rel(p.seq) + len(p.data) + bool(p.flags & F.SYN) + bool(p.flags & F.FIN)
            if 0 <= self.rel(p.seq) <= self.rcv < end:
                self.rcv = end

    def rel(self, seq):
        n = (seq - (self.iss or 0)) & 0xFFFFFFFF
        return n - (1 << 32) if n >= 1 << 31 and self.iss is not None else n

    def collect(self, quiet=QUIET, limit=5.0, until=None, first=0):
        """All packets until nothing came for 'quiet' seconds, or until(packet) says it is the last. What must come is
        waited for longer: the packet that 'until' knows for a second, the first one for 'first' seconds."""
        got, end = [], time.monotonic() + limit * self.w.slow
        quiet = max(quiet, 1.0) if until else quiet
        while time.monotonic() < end:
            p = self.get(quiet if got else max(quiet, first))
            if p is None:
                break
            got.append(p)
            if until and until(p):
                break
        return got

    # ---- notes ----

    def show_opts(self, p):
        o, out = dict(p.opts), []
        for k in ("mss", "sackok", "ws"):
            if k in o:
                v = o.pop(k)
                out.append(f"mss={v}" if k == "mss" else k)
        if "ts" in o:
            ecr = o.pop("ts")[1]
            out.append("ts=0" if ecr == 0 else f"ts={(ecr - 1000) & 0xFFFFFFFF}")
        blocks = [((a - self.isn) & 0xFFFFFFFF, (b - self.isn) & 0xFFFFFFFF) for a, b in o.pop("sack", [])]
        ack = (p.ack - self.isn) & 0xFFFFFFFF
        # RFC 2883: a first block below the ACK, or within the second, reports a duplicate; optional.
        if blocks and (((blocks[0][1] - ack - 1) & 0xFFFFFFFF) >= 1 << 31 or any(a <= blocks[0][0] and blocks[0][1] <= b for a, b in blocks[1:])):
            blocks = blocks[1:]
        if blocks:
            out.append("sack=" + ",".join(f"{a}-{b}" for a, b in blocks))
        return out + sorted(o)

    def show(self, p):
        if p.kind == "icmp":
            return f"icmp {p.type}/{p.code}" + self.show_faults(p)
        if p.kind == "udp":
            return f"udp len={len(p.data)}" + self.show_faults(p)
        if p.kind == "frag":
            return f"fragment len={len(p.data)}"
        if p.flags & F.SYN and self.iss is None:
            self.iss = p.seq
        flags = "".join(n for bit, n in NAMES if p.flags & bit) or "-"
        out = [flags, "seq=zero" if p.flags & F.RST and p.seq == 0 else f"seq={self.rel(p.seq)}"]
        if p.flags & F.ACK:
            out.append(f"ack={(p.ack - self.isn) & 0xFFFFFFFF}")
        elif p.ack:
            out.append("ack-field")
        if p.data:
            out.append(f"len={len(p.data)}")
        if not p.flags & F.RST:
            out.append("win" if p.wnd else "win=0")
        if p.urg:
            out.append(f"urg={p.urg}")
        return " ".join(out + self.show_opts(p)) + self.show_faults(p)

    @staticmethod
    def show_faults(p):
        more = list(p.faults)
        if p.ttl != 64:
            more.append(f"ttl={p.ttl}")
        if p.kind == "tcp" and not p.df:
            more.append("no-df")
        if p.tos:
            more.append(f"tos={p.tos:#x}")
        return " !" + ",".join(more) if more else ""

    def note(self, text):
        self.notes.append(text)

    def expect(self, what, quiet=QUIET, limit=5.0, until=None):
        """Notes, under the name 'what', every packet that comes."""
        got = self.collect(quiet, limit, until)
        self.note(f"{what}: " + (" | ".join(self.show(p) for p in got) or "silent"))
        return got

    def answered(self, what, limit=1.0):
        """Notes the first packet that comes, or silence."""
        p = self.get(limit)
        self.note(f"{what}: " + (self.show(p) if p else "silent"))
        return p

    def summary(self, what, quiet=QUIET, limit=5.0):
        """Notes only the outcome: how far we were acknowledged, how much text came, FIN or RST, SACK at the end."""
        got = self.collect(quiet, limit)
        tcp = [p for p in got if p.kind == "tcp"]
        acks = [(p.ack - self.isn) & 0xFFFFFFFF for p in tcp if p.flags & F.ACK and not p.flags & F.RST]
        out = [f"ack={max(acks)}" if acks else "no ack", f"rcv={self.rcv}"]
        out += sorted({n for p in tcp for bit, n in NAMES if p.flags & bit and bit in (F.FIN, F.RST, F.URG)})
        out += sorted({self.show(p) for p in got if p.kind != "tcp" or p.faults})
        self.note(f"{what}: " + " ".join(out))
        return got

    def report(self, limit=3.0):
        self.note("server: " + self.w.report(self, limit))

    # ---- the usual beginnings and ends ----

    def syn(self, opts=b"", **more):
        self.send(F.SYN | more.pop("flags", 0), seq=0, opts=opts, **more)

    def open(self, opts=b"", quiet=0.05, wnd=None, rtt=0):
        """The handshake; True when there is a connection. 'rtt' is the round trip that the server measures, in seconds: its
        tail loss probe comes after two of them, its time-out after one and 200 ms. With 'quiet' 0 the server's first
        text is left to what follows."""
        if wnd is not None:
            self.wnd = wnd
        self.syn(opts)
        p = self.get(2.0)
        if p is None or p.kind != "tcp" or p.flags & (F.SYN | F.ACK) != F.SYN | F.ACK:
            self.note("no SYN-ACK: " + (self.show(p) if p else "silent"))
            return False
        self.snd, self.rcv = 1, 1
        if "ts" in p.opts and self.ts is None:
            self.ts = 0
        time.sleep(rtt)
        self.send(F.ACK)
        if quiet:
            self.collect(quiet)
        return True

    def ack(self, **more):
        self.send(F.ACK, **more)

    def abort(self):
        """Ends the connection without a trace."""
        if self.iss is not None:
            self.send(F.RST | F.ACK)


def sizes(got):
    """How often each length of text came."""
    return dict(sorted(collections.Counter(len(p.data) for p in got if p.kind == "tcp" and p.data).items()))


__all__ = ["C_MAC", "F", "PORTS", "Peer", "QUIET", "S4", "S6", "S_MAC", "UDP_ECHO", "World", "sizes"]
