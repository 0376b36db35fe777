"""flow_udp.py - one random script of datagrams in one world: the peer's end, and what is compared

A script is {udp, six, connected, socket options, steps}. A step is ["app", call, argument...], ["dgram", {n bytes, port beside 4000,
length, check, bad, cuts, ...}], ["icmp", {kind, code, n bytes that the quoted datagram had, cut behind so many bytes of it, ...}], or ["burst",
[step, ...]] of the latter two. All that comes is compared, in the order of its kinds.
"""
import queue
import zlib

from flow import text
from world import F, S4, S6

PORT, CLOSED = 4000, 7999


def chunks(src, dst, payload, cuts, ident):
    """The packets that carry 'payload' in fragments."""
    for a, b in cuts:
        more = max(y for _, y in cuts) > b
        if len(src) == 4:
            yield F.ip4(src, dst, F.UDP, payload[a:b], ident=ident, frag=a // 8 | (0x2000 if more else 0))
        else:
            yield F.ip6(src, dst, 44, bytes([F.UDP, 0]) + (a | more).to_bytes(2, "big") + ident.to_bytes(4, "big") + payload[a:b])


class Flow:
    def __init__(self, world, script, ip, port):
        self.w, self.script, self.ip, self.port, self.v6 = world, script, ip, port, script["six"]
        self.server = S6 if self.v6 else S4
        self.box = world.boxes[ip] = queue.Queue()
        self.seen = []

    # ---- what the peer sends ----

    def dgram(self, n, port=0, length=None, check=None, bad=False, behind=0, lack=0, cuts=None, ident=1, ttl=64, tos=0, closed=0):
        u = F.udp(self.ip, self.server, PORT + port, CLOSED if closed else self.port, text(n, min(n, 1452 if self.v6 else 1472)), length, check, bad)
        if cuts:
            for p in chunks(self.ip, self.server, u, cuts, ident):
                self.w.send(p)
            return
        p = F.ip(self.ip, self.server, F.UDP, u, ttl=ttl, tos=tos)
        self.w.send((p + bytes(behind))[:max(40, len(p) + behind - lack)])

    def icmp(self, kind, code, n=0, cut=8, rest=0, port=0, bad=False, proto=F.UDP):
        """An error that quotes a datagram of the server's."""
        u = F.udp(self.server, self.ip, self.port, PORT + port, text(0, n))
        q = F.ip(self.server, self.ip, proto, u)[:(40 if self.v6 else 20) + cut]
        self.w.send(F.ip(self.ip, self.server, F.ICMP6 if self.v6 else F.ICMP, F.icmp(self.ip, self.server, kind, code, rest, q, bad)))

    def do(self, step):
        if step[0] == "dgram":
            self.dgram(**step[1])
        elif step[0] == "icmp":
            self.icmp(**step[1])
        elif step[0] == "burst":
            for one in step[1]:
                self.do(one)

    # ---- what comes ----

    def line(self, p):
        if p.kind == "icmp":
            at = 40 if self.v6 else 20
            return f"icmp {p.type}/{p.code} rest {p.rest} quotes {len(p.data)} {p.data[at:at + 6].hex() if p.data[at + 2:at + 4] != self.port.to_bytes(2, 'big') else 'ours'}"
        if p.kind == "frag":
            return f"frag {len(p.data)} {zlib.crc32(p.data[8 * self.v6:])}"
        if p.kind == "udp":
            own = p.sport == self.port
            return f"udp {'' if own else 'other '}to {p.dport} len {len(p.data)} {zlib.crc32(p.data)} ttl {p.ttl} tos {p.tos} df {p.df} {p.faults or ''}"
        return p.kind

    def step(self):
        out = []
        while not self.box.empty():
            out.append(self.line(self.box.get_nowait()))
        self.seen.append({"out": out})

    def stop(self):
        self.w.boxes.pop(self.ip, None)


def difference(_, both):
    """As compare.difference()."""
    for n, (k, ln) in enumerate(zip(*both)):
        d = (["out"] if sorted(k["out"]) != sorted(ln["out"]) else []) + (["result"] if k["app"][0] != ln["app"][0] else [])
        d += [f for f in sorted(set(k["app"][1]) | set(ln["app"][1])) if k["app"][1].get(f) != ln["app"][1].get(f)]
        if d:
            return n, d
    return None


def line(s):
    r, look = s["app"]
    return " | ".join([*s["out"], *([f"-> {r}"] if r is not None else []), " ".join(f"{k}={v}" for k, v in look.items())])

