"""flow.py - one random script in one world: the peer's end of its connection, and what is compared

A script is {six, active, isn, listen or connect options, steps}. A step is ["app", call, argument...],
["seg", {f flags, s sequence number, n bytes, a [base, offset] of the ACK, w window, o options, ...}], ["burst", [such segments]],
["icmp", {...}] or ["wait"]. Numbers of the peer are relative to its SYN and fixed; its ACKs count from what this world's server sent: base 0 is the
server's SYN, 1 what was acknowledged last, 2 all that came. After each step comes a fixed time to answer.
"""
import queue

from world import F, S4, S6

WORD = 0xFFFFFFFF
PORT = 4000
FLAGS = ((F.SYN, "S"), (F.FIN, "F"), (F.RST, "R"), (F.ACK, "A"), (F.URG, "U"), (F.ECE, "E"), (F.CWR, "C"))


def text(at, n, x=0):
    """The bytes of the peer's stream from 'at' on; 'x' makes them others."""
    return bytes(33 + ((i * 7 + i // 90) + x) % 90 for i in range(at, at + n))


class Flow:
    def __init__(self, world, script, ip, listen_port):
        self.w, self.script, self.ip, self.v6 = world, script, ip, script["six"]
        self.server, self.isn = S6 if self.v6 else S4, script["isn"]
        self.port, self.dport = PORT, None if script["active"] else listen_port
        self.iss, self.top, self.una, self.stamp = None, 0, 0, 0
        self.acked = 0  # una, and what ACKs beyond it covered
        self.synack = None  # what its SYN-ACK acknowledged
        self.edge = None  # the right edge of the window that the server told
        self.scale, self.asked = 0, None
        self.box = world.boxes[ip] = queue.Queue()
        self.seen = []

    # ---- what the peer sends ----

    def ack_of(self, base, off):
        return (self.iss or 0) + (0, self.una, self.top)[base] + off

    def option(self, o, alone):
        """The bytes of an option; a timestamp that is alone lies as all have it, as header prediction wants it."""
        kind, *v = o
        if kind == "ts":
            return F.stamps(v[0], self.stamp if len(v) < 2 else v[1])[0 if alone else 2:]
        if kind == "sack":
            base, blocks = v
            start = self.ack_of(base, 0)
            return bytes([5, 2 + 8 * len(blocks)]) + b"".join(
                F.struct.pack("!II", (start + a) & WORD, (start + b) & WORD) for a, b in blocks)
        if kind == "raw":
            return bytes.fromhex(v[0])
        return {"mss": F.mss, "ws": lambda n: F.wscale(n)[1:], "sackok": lambda: b"\4\2"}[kind](*v)

    def seg(self, f, s, n=0, a=(2, 0), w=65535, o=(), u=0, t=0, r=0, x=0):
        if self.dport is None:
            return
        ack = self.ack_of(*a) if f & F.ACK else 0
        if f & F.ACK and a[0] and a[1] <= 0 and not f & F.RST:
            self.una = max(self.una, self.ack_of(*a) - (self.iss or 0))
        if f & F.ACK and self.acked < ack - (self.iss or 0) <= self.top:
            self.acked = ack - (self.iss or 0)
        # Header prediction takes the clock of any ACK, lane of none out of range.
        alone = len(o) == 1 and abs(a[1]) < 70000
        raw = b"".join(self.option(x, alone) for x in o)[:40]
        raw += b"\1" * (-len(raw) % 4)
        n = min(n, 1500 - (60 if self.v6 else 40) - len(raw))
        t4 = F.tcp(self.ip, self.server, self.port, self.dport, self.isn + s, ack, f, w, raw, text(s, n, x), urg=u,
                   reserved=r)
        self.w.send(F.ip(self.ip, self.server, F.TCP, t4, tos=t))

    def icmp(self, kind, code, rest=0, base=1, off=0, cut=28):
        """An error that quotes the server's segment at base + off."""
        if self.dport is None:
            return
        q = F.tcp(self.server, self.ip, self.dport, self.port, self.ack_of(base, off), self.isn + 1, F.ACK)
        q = F.ip(self.server, self.ip, F.TCP, q)[:(40 if self.v6 else 20) + cut]
        msg = F.icmp(self.ip, self.server, kind, code, rest, q)
        self.w.send(F.ip(self.ip, self.server, F.ICMP6 if self.v6 else F.ICMP, msg))

    def do(self, step):
        if step[0] == "seg":
            self.seg(**step[1])
        elif step[0] == "burst":
            for one in step[1]:
                self.seg(**one)
        elif step[0] == "icmp":
            self.icmp(**step[1])

    # ---- what comes ----

    def drain(self):
        got = []
        while not self.box.empty():
            got.append(self.box.get_nowait())
        return got

    def view(self):
        """What came since the last call, in the form that is compared."""
        start, out, pure, again = self.top, [], 0, set()
        last = None
        for p in self.drain():
            if p.kind != "tcp":
                out.append(f"{p.kind} {getattr(p, 'type', '')}/{getattr(p, 'code', '')}")
                continue
            if self.dport is None:
                self.dport = p.sport
            if p.dport != self.port or p.sport != self.dport:
                out.append("other ports")
                continue
            if p.faults or p.ttl != 64:
                out.append(f"faults {p.faults} ttl {p.ttl}")
            line = self.one(p, again)
            if line:
                out.append(line)
            if p.flags & (F.SYN | F.RST) or self.is_probe(p):
                continue
            if p.flags & F.ACK:
                pure += not p.data and not p.flags & (F.FIN | F.URG)
                last = p
        v = {"special": out, "again": sorted(again, key=str)}
        if self.top > start:
            v["new"] = [start, self.top]
        if last:
            v.update(self.told(last))
            v["pure"] = pure
        return v

    def one(self, p, again):
        """Takes a segment; a line for what must be equal by itself."""
        names = "".join(n for bit, n in FLAGS if p.flags & bit)
        # Before the handshake's last ACK the kernel takes no echo but of a SYN-ACK: not of what may be a challenge.
        idle = not self.script["active"] and self.top == 1 and not p.data and p.ack == self.synack
        if "ts" in p.opts and (p.flags & F.SYN or not idle):
            self.stamp = p.opts["ts"][0]
        if p.flags & F.RST:
            return f"{names} seq={self.rel(p.seq)} " + (
                f"ack={(p.ack - self.isn) & WORD}" if p.flags & F.ACK else "")
        if p.flags & F.SYN:
            self.synack = p.ack
            again = p.seq == self.iss
            if not again:
                self.iss, self.top, self.una, self.acked = p.seq, 1, 1, 1
                self.scale = p.opts.get("ws", 0)
            if "ts" in p.opts:
                p.opts["ts"] = p.opts["ts"][1]
            return f"{names}{' again' if again else ''} ack={(p.ack - self.isn) & WORD if p.flags & F.ACK else '-'} win={p.wnd} {sorted(p.opts.items())}"
        if self.iss is None:
            return f"{names} before SYN"
        seq = (p.seq - self.iss) & WORD
        end = seq + len(p.data) + bool(p.flags & F.FIN)
        if len(p.data) or p.flags & F.FIN:
            if seq < self.top:
                again.add((seq, end))
            self.top = max(self.top, end) if end < 1 << 31 else self.top
        kinds = F.ACK | F.ECE if p.flags & F.ACK else 0  # an ACK's ECE is told()
        extra = "".join(n for bit, n in FLAGS if p.flags & bit & ~kinds)
        if seq < self.top and end == seq and seq != self.top:
            again.add((seq, "probe"))
            return None
        urg = f" urg={(seq + p.urg) & WORD}" if p.flags & F.URG else ""
        tos = f" tos={p.tos}" if p.tos else ""
        known = {"ts", "sack"}
        odd = sorted(k for k in p.opts if k not in known)
        return f"{extra}{urg}{tos} {odd or ''}".strip() or None

    def is_probe(self, p):
        """Of a closed window, or whether the peer is there: the byte before what is acknowledged, without text."""
        return self.iss is not None and not p.data and not p.flags & F.FIN and (p.seq - self.iss + 1) & WORD == self.acked

    def rel(self, seq):
        """The number of an RST, and whether it is the end of what came."""
        if seq == 0 or self.iss is None:
            return seq or "zero"
        seq = (seq - self.iss) & WORD
        return f"{seq} end" if seq == self.top else seq

    def told(self, p):
        o = {"ack": (p.ack - self.isn) & WORD}
        blocks = [((a - self.isn) & WORD, (b - self.isn) & WORD) for a, b in p.opts.get("sack", [])]
        if blocks:
            o["sack"] = blocks
        if "ts" in p.opts:
            o["ecr"] = p.opts["ts"][1]
        if p.flags & F.ECE:
            o["ece"] = 1
        wnd = p.wnd << self.scale
        o["wnd"] = 0 if not wnd else 1 if wnd < 536 else 2
        o["raw"] = wnd
        return o

    def step(self):
        self.seen.append(self.view())

    def stop(self):
        """Ends the connection without a trace."""
        if self.dport is not None and self.iss is not None:
            self.seg(F.RST, self.script.get("end", 1))
        self.w.boxes.pop(self.ip, None)
