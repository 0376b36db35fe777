"""chance.py - a random script for each seed (flow.py says what a script is)"""
import random
import socket

from world import F

RECV, SEND, CLOSE, GUARD, ALL = "recv", "send", "close", "guard", "all"
SOL, TCP, IP, IP6 = 1, 6, 0, 41


def beginning(i, script, ip, port):
    """The first call: a listener, or a connect to the peer."""
    name = socket.inet_ntop(socket.AF_INET6 if script["six"] else socket.AF_INET, ip)
    if script.get("udp"):
        return [i, "ubind", script["six"], port, script["options"], name, script["connected"]]
    if not script["active"]:
        return [i, "listen", script["six"], port, script["backlog"], script["options"]]
    return [i, "connect", script["six"], name, 4000, script["options"]]


class Chance:
    """One script being made; 'nxt' is the end of the peer's text without holes."""

    def __init__(self, seed):
        self.r = r = random.Random(seed)
        self.theme = r.choice((RECV, RECV, SEND, SEND, CLOSE, GUARD, ALL))
        self.steps, self.nxt, self.top, self.fin = [], 1, 1, None
        self.stamps = r.random() < 0.5
        self.sack = r.random() < 0.75
        self.mss = r.choice((1460, 1460, 1460, 536, 1000, 1400, 100, 88, 9000))
        self.clock, self.wnd = 1000, 65535
        self.script = {"six": int(r.random() < 0.35), "active": int(r.random() < 0.3), "backlog": r.choice((0, 1, 5, 128)),
                       "isn": r.choice((1000, 1000, 0, 0xFFFFFFF0, 0x7FFFFFF0, 0xFFFFFC00)), "options": self.options(), "steps": self.steps}

    def maybe(self, p):
        return self.r.random() < p

    def options(self):
        r = self.r
        if not self.maybe(0.2):
            return []
        return [r.choice(([SOL, 8, 4096], [SOL, 8, 20000], [TCP, 2, 700], [TCP, 10, 3000], [SOL, 10, 1], [TCP, 1, 1],
                          [SOL, 7, 5000], [TCP, 12, 0], [TCP, 3, 1], [SOL, 18, 500], [TCP, 25, 2000]))]

    # ---- segments ----

    def opts(self):
        o = []
        if self.stamps:
            self.clock += 10
            o.append(["ts", self.clock])
            if self.maybe(0.03):
                o[-1] = self.r.choice((["ts", self.clock - 500], ["ts", 0], ["ts", self.clock + (1 << 31)], ["ts", self.clock, 0],
                                       ["ts", self.clock, 12345]))
                if self.maybe(0.3):
                    o = []
        elif self.maybe(0.02):
            o.append(["ts", 77])
        return o

    def seg(self, f, s, n=0, a=(2, 0), **more):
        d = {"f": f, "s": s, "a": list(a)}
        if n:
            d["n"] = n
        w = more.pop("w", self.wnd)
        if w != 65535:
            d["w"] = w
        o = more.pop("o", None)
        o = self.opts() if o is None else o
        if o:
            d["o"] = o
        d.update(more)
        self.steps.append(["seg", d])

    def app(self, *call):
        self.steps.append(["app", *call])

    def advance(self, s, n):
        if s <= self.nxt < s + n:
            self.nxt = s + n
        self.top = max(self.top, s + n)

    def syn_options(self):
        r = self.r
        o = []
        if not self.maybe(0.15):
            o.append(["mss", self.mss])
        if self.sack:
            o.append(["sackok"])
        if self.stamps:
            o.append(["ts", self.clock])
        if self.maybe(0.4):
            self.ws = r.choice((0, 1, 2, 7, 14))
            o.append(["ws", self.ws])
        if self.maybe(0.1):
            o.append(["raw", r.choice(("0101", "fe040102", "02", "0300", "2202", "000000", "0204"))])
        if self.maybe(0.1):
            r.shuffle(o)
        return o

    def noise(self):
        """Something odd within the handshake."""
        r = self.r
        k = r.randrange(10)
        if k < 2:
            self.seg(F.ACK, 1, a=(0, r.choice((0, 2, 77, -5))))
        elif k < 3:
            self.seg(F.RST | r.choice((0, F.ACK)), r.choice((0, 1, 2, 100, 100000)), a=(0, r.choice((0, 1, 2))))
        elif k < 5:
            self.seg(F.ACK | F.PSH, r.choice((1, 11)), r.choice((1, 10)), a=(0, r.choice((1, 1, 0))))
        elif k < 6:
            self.seg(F.ACK | F.FIN, 1, a=(0, 1))
        elif k < 7:
            self.seg(F.SYN | F.ACK, 0, a=(0, r.choice((0, 1, 2))), o=self.syn_options())
        elif k < 8:
            self.seg(F.SYN, r.choice((0, 0, 5)), o=self.syn_options())
        elif k < 9:
            self.icmp(base=0)
        else:
            self.steps.append(["wait"])

    def handshake(self):
        syn = self.syn_options()
        ecn = self.r.choice((0, 0, 0, 0, F.ECE | F.CWR, F.ECE))
        w = self.r.choice((65535, 65535, 65535, 1000, 0, 5000))
        odd = self.maybe(0.25)
        if self.script["active"]:
            if odd:
                self.noise()
            self.seg(F.SYN | F.ACK | (ecn & F.ECE), 0, a=(0, 1), o=syn, w=w)
            if odd and self.maybe(0.5):
                self.noise()
            return
        if odd and self.maybe(0.2):
            self.noise()
        self.seg(F.SYN | ecn, 0, o=syn, w=w, **({"n": 10} if self.maybe(0.05) else {}))
        if odd:
            self.noise()
        late = self.maybe(0.15)
        if not late:
            self.seg(F.ACK, 1, a=(0, 1))
        else:
            self.text()
        if not self.maybe(0.1):
            self.app("accept")

    def text(self):
        """Text: mostly next, else with a hole, again, overlapping, beyond."""
        r = self.r
        n = r.choice((1, 10, 100, 100, 536, 1000, 1380))
        k = r.random()
        if self.fin is not None and not self.maybe(0.02):
            # No text beyond a FIN that was sent: old text.
            n = r.choice((1, 10, 100))
            return self.seg(F.ACK, max(1, min(self.fin, self.nxt) - n), n, self.ack())
        if k < 0.55:
            s = self.nxt
        elif k < 0.75:
            s = self.nxt + r.choice((1, 10, 100, 1000, 3000))
        elif k < 0.9:
            s = max(1, self.nxt - r.choice((1, 10, 100, 1000)))
        elif k < 0.95:
            s = self.top
        else:
            s = self.nxt + r.choice((-100000, 40000, 70000, 1 << 20, 1 << 30))
        f = F.ACK | (F.PSH if self.maybe(0.5) else 0)
        more = {}
        if self.maybe(0.06):
            f |= F.URG
            more["u"] = r.choice((0, 1, n, n + 1, n + 50, 3))
        if self.maybe(0.08):
            more["t"] = r.choice((1, 2, 3))
        if self.maybe(0.06):
            f |= r.choice((F.ECE, F.CWR))
        if self.maybe(0.04):
            more["x"] = 1
        if self.maybe(0.05):
            f |= F.FIN
            self.fin = s + n
        self.seg(f, s, n, self.ack(), **more)
        if -1000 < s - self.nxt < 40000:
            self.advance(s, n)
            if f & F.FIN and self.nxt == s + n:
                self.nxt += 1

    def ack(self):
        r = self.r
        k = r.random()
        if k < 0.7:
            return (2, 0)
        if k < 0.85:
            return (1, 0)
        if k < 0.93:
            return (1, r.choice((1, self.mss, self.mss * 2, 10)))
        if k < 0.97:
            return (2, 0)
        return (r.choice((1, 2)), r.choice((1, 100, 70000, -70000, 1 << 31)))

    def bare(self):
        """An ACK, with a window, perhaps SACK blocks."""
        r = self.r
        if self.maybe(0.3):
            self.wnd = r.choice((0, r.choice((1, 100, 500, 1000, 3000, 10000)), 65535, 65535))
        o = self.opts()
        a = self.ack()
        if self.sack and self.maybe(0.4):
            m = self.mss
            blocks = []
            for _ in range(r.choice((1, 1, 2, 3))):
                i = r.choice((1, 1, 2, 3, 4))
                n = r.choice((1, 1, 2, 3))
                b = (i * m, (i + n) * m)
                if self.maybe(0.15):
                    b = r.choice(((b[1], b[0]), (i * m + 1, (i + n) * m - 1), (-1000, -1), (1 << 20, (1 << 20) + 5), (5, 5), (-100, m)))
                blocks.append(b)
            o.append(["sack", 1, blocks[:3 if self.stamps else 4]])
            if self.maybe(0.8):
                a = (1, 0)
        more = {"t": r.choice((1, 2, 3))} if self.maybe(0.05) else {}
        self.seg(F.ACK | (F.ECE if self.maybe(0.05) else 0), self.nxt + (r.choice((0, 0, 0, 0, -1, 1, -1000)) if self.maybe(0.15) else 0), 0, a, o=o, **more)

    def ending(self):
        r = self.r
        k = r.random()
        if k < 0.55:
            s = self.nxt + (r.choice((-1, 1, 100)) if self.maybe(0.2) else 0)
            if self.fin is not None:
                s = self.fin
            self.seg(F.ACK | F.FIN, s, 0, self.ack())
            self.fin = s
            if s == self.nxt:
                self.nxt += 1
        elif k < 0.75:
            self.seg(F.RST | (F.ACK if self.maybe(0.3) else 0), self.nxt + r.choice((0, 0, 0, -1, 1, 100, 70000)), r.choice((0, 0, 0, 5)))
        elif k < 0.9:
            self.app("shutdown", r.choice((0, 1, 1, 2)))
        else:
            self.app("close")

    def guard(self):
        r = self.r
        k = r.random()
        if k < 0.2:
            self.seg(F.SYN | r.choice((0, 0, F.ACK, F.FIN)), self.nxt + r.choice((0, -1, 5, 100000, -100000)), o=self.syn_options())
        elif k < 0.35:
            self.seg(F.RST | r.choice((0, F.ACK)), self.nxt + r.choice((-1, 1, 2, 1000, 60000, 70000, -70000)))
        elif k < 0.5:
            self.seg(r.choice((0, F.PSH, F.URG, F.FIN, F.FIN | F.PSH | F.URG, F.ACK | F.FIN | F.RST, 255)), self.nxt + r.choice((0, 0, 1, -1)), r.choice((0, 0, 5)))
        elif k < 0.7:
            self.icmp()
        elif k < 0.85:
            self.seg(F.ACK, self.nxt - 1, r.choice((0, 1)))
        else:
            self.seg(F.ACK, self.nxt, r.choice((0, 10)), o=[["raw", r.choice(("05020101", "050a00000001", "0509", "08020101", "080a0000", "02040200", "03030e01",
                                                                            "fd05", "1e0c", "0000000005", "01" * 40, "1d040101"))]])

    def icmp(self, base=1):
        r = self.r
        if self.script["six"]:
            kind, code = r.choice(((1, 0), (1, 1), (1, 3), (1, 4), (2, 0), (2, 0), (3, 0), (4, 1), (1, 5)))
            big = (kind, code) == (2, 0)
        else:
            kind, code = r.choice(((3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 4), (3, 13), (11, 0), (12, 0), (4, 0), (3, 5)))
            big = (kind, code) == (3, 4)
        self.steps.append(["icmp", {"kind": kind, "code": code, "rest": r.choice((1300, 1280, 600, 1000, 68, 0, 1499)) if big else 0, "base": base,
                                    "off": r.choice((0, 0, 0, 1, -1, 500, 100000, -100000)), "cut": r.choice((28, 28, 8, 4, 20))}])

    def call(self):
        r = self.r
        k = r.random()
        if k < 0.4:
            self.write()
        elif k < 0.75:
            self.read()
        elif k < 0.9:
            self.app("set_option", *r.choice(([TCP, 1, 1], [TCP, 1, 0], [TCP, 3, 1], [TCP, 3, 0], [TCP, 12, 1], [TCP, 12, 0], [SOL, 8, 4096],
                                              [SOL, 8, 100000], [SOL, 7, 5000], [SOL, 10, 1], [SOL, 10, 0], [SOL, 18, 1000], [TCP, 18, 1000], [TCP, 25, 100], [TCP, 10, 2000],
                                              [SOL, 13, [1, 0, 0, 0, 0, 0, 0, 0]], [SOL, 12, 4], [TCP, 24, 0])))
        elif k < 0.95:
            self.app("get_option", *r.choice(([SOL, 4], [SOL, 4], [TCP, 1], [TCP, 23], [TCP, 25], [SOL, 30], [SOL, 18])))
        else:
            self.app("names")

    def write(self):
        r = self.r
        n = r.choice((1, 10, 100, 1000, self.mss, self.mss + 1, 2 * self.mss, 5000, 14600, 20000))
        self.app("send", n, r.choice((0, 0, 0, 0, 0, 0, 1)) if n < 5000 else 0)

    def read(self):
        r = self.r
        self.app("recv", r.choice((1, 10, 100, 5000, 65536, 65536)), r.choice((0, 0, 0, 0, 0, 0, 2, 1, 0x40)))

    def make(self):
        r = self.r
        if self.maybe(0.98):
            self.handshake()
        weights = {RECV: (10, 3, 1, 1, 5), SEND: (3, 9, 1, 1, 9), CLOSE: (4, 4, 6, 1, 5), GUARD: (4, 4, 1, 6, 4), ALL: (5, 5, 2, 3, 5)}[self.theme]
        acts = (self.text, self.bare, self.ending, self.guard, self.call)
        for _ in range(r.choice((4, 8, 12, 16))):
            if self.theme == SEND and self.maybe(0.3):
                self.write()
            else:
                r.choices(acts, weights)[0]()
            if self.maybe(0.03):
                self.steps.append(["wait"])
        self.script["end"] = self.nxt
        if self.maybe(0.35):
            self.join()
        return self.script

    def join(self):
        """Makes bursts of segments that follow each other, but for those of the handshake."""
        out = []
        for i, step in enumerate(self.steps):
            last = out[-1] if out else ["none"]
            if step[0] != "seg" or i < 3 or last[0] not in ("seg", "burst") or len(out) < 3 or self.maybe(0.3):
                out.append(step)
            elif last[0] == "seg":
                out[-1] = ["burst", [last[1], step[1]]]
            else:
                last[1].append(step[1])
        self.steps[:] = out


def script(seed):
    return Chance(seed).make()
