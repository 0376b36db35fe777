"""chance_udp.py - a random script of datagrams for each seed (flow_udp.py says what a script is)"""
import random

SOL, IP, IP6, UDP = 1, 0, 41, 17
SIZES = (0, 1, 2, 7, 8, 100, 511, 512, 1000, 1452, 1471, 1472)
# What has the bytes of a datagram of 608 in pieces, from case_udp.py and reassembly's ways.
CUTS = ([(0, 200), (200, 400), (400, 608)], [(400, 608), (200, 400), (0, 200)], [(0, 208), (200, 608)], [(0, 200), (400, 608)],
        [(0, 8), (8, 608)], [(0, 200), (0, 200), (200, 608)], [(200, 608), (0, 200)], [(0, 304), (304, 608), (304, 608)])


class Chance:
    """One script being made."""

    def __init__(self, seed):
        self.r = r = random.Random(f"udp {seed}")
        self.steps = []
        self.six = int(self.maybe(0.4))
        # Fragments go another way than whole datagrams, so that their order among these is not the same.
        self.pieces = self.maybe(0.15)
        self.script = {"udp": 1, "six": self.six, "connected": int(self.maybe(0.5)), "options": [self.option() for _ in range(r.choice((0, 0, 1, 2)))],
                       "steps": self.steps}

    def maybe(self, p):
        return self.r.random() < p

    def option(self):
        r = self.r
        both = ([SOL, 8, 4096], [SOL, 8, 2304], [SOL, 7, 5000], [SOL, 11, 1], [SOL, 10, 1], [UDP, 104, 1])
        four = ([IP, 10, 0], [IP, 10, 2], [IP, 10, 3], [IP, 11, 1], [IP, 11, 1], [IP, 12, 1], [IP, 13, 1], [IP, 1, 184], [IP, 2, 9], [IP, 8, 1])
        six = ([IP6, 23, 0], [IP6, 23, 2], [IP6, 23, 3], [IP6, 25, 1], [IP6, 25, 1], [IP6, 51, 1], [IP6, 66, 1], [IP6, 67, 184], [IP6, 16, 9], [IP6, 49, 1])
        return r.choice(both + (six + six if self.six else four + four))

    def dgram(self):
        r = self.r
        d = {"n": r.choice(SIZES)}
        if self.maybe(0.1):
            d["n"] = r.randrange(1472)
        if self.pieces:
            d["n"], d["cuts"], d["ident"] = 600, r.choice(CUTS), r.randrange(1, 60000)
        if self.maybe(0.12):
            d["port"] = r.choice((1, 1, 2, -4000))  # beside the usual one
        k = r.random()
        if k < 0.06:
            d["check"] = 0
        elif k < 0.12:
            d["bad"] = True
        elif self.pieces:
            pass
        elif k < 0.22:
            d["length"] = r.choice((0, 7, 8, 9, d["n"], d["n"] + 7, d["n"] + 9, d["n"] + 100, 65535))
        elif k < 0.26:
            d["behind"] = r.choice((1, 7, 100))  # bytes behind IP's end
        elif k < 0.3:
            d["lack"] = r.choice((1, 2, 8, 100))  # bytes less than IP says
        if self.maybe(0.1):
            d["ttl"] = r.choice((1, 2, 255))
        if self.maybe(0.1):
            d["tos"] = r.choice((1, 2, 3, 0x10, 0xB8))
        if self.maybe(0.04):
            d["closed"] = 1
        return ["dgram", d]

    def icmp(self):
        r = self.r
        if self.six:
            kind, code = r.choice(((1, 0), (1, 1), (1, 3), (1, 4), (1, 4), (1, 4), (2, 0), (2, 0), (3, 0), (4, 1), (1, 5), (1, 77), (100, 0), (200, 0)))
            big = (kind, code) == (2, 0)
        else:
            kind, code = r.choice(((3, 0), (3, 1), (3, 2), (3, 3), (3, 3), (3, 3), (3, 4), (3, 4), (3, 13), (3, 77), (11, 0), (11, 1), (12, 0), (4, 0), (3, 5), (40, 0)))
            big = (kind, code) == (3, 4)
        d = {"kind": kind, "code": code, "n": r.choice((0, 1, 100, 500)), "cut": r.choice((8, 8, 28, 500, 4, 7, 9))}
        if big:
            d["rest"] = r.choice((1300, 1280, 600, 1000, 68, 0, 1499, 1500, 9000))
        if self.maybe(0.12):
            d["port"] = r.choice((1, 2))
        if self.maybe(0.06):
            d["bad"] = True
        if self.maybe(0.04):
            d["proto"] = 132
        return ["icmp", d]

    def send(self):
        r = self.r
        n = r.choice((0, 1, 100, 1000, 1280, 1452, 1453, 1472, 1473, 3000, 9000, 65487, 65507, 65508, 65535))
        to = r.choice((None, 0, 0, 0, 1)) if not self.script["connected"] else r.choice((None, None, None, None, 0, 1))
        return ["app", "usend", n, to, r.choice((0, 0, 0, 0, 0, 0x800))]

    def recv(self):
        r = self.r
        return ["app", "urecv", r.choice((0, 1, 10, 100, 2000, 65536, 65536)), r.choice((0, 0, 0, 0, 2, 0x20, 0x22, 0x2000, 0x2000, 0x2002))]

    def call(self):
        r = self.r
        k = r.random()
        if k < 0.45:
            return self.send()
        if k < 0.85:
            return self.recv()
        if k < 0.9:
            return ["app", "set_option", *self.option()]
        if k < 0.96:
            return ["app", "get_option", *r.choice(([SOL, 4], [SOL, 4], [IP6, 24] if self.six else [IP, 14], [SOL, 8], [SOL, 3]))]
        return ["app", *r.choice((["shutdown", 0], ["shutdown", 1], ["shutdown", 2], ["uconnect", 0], ["uconnect", 1], ["names"], ["udisconnect"]))]

    def make(self):
        r = self.r
        for _ in range(r.choice((4, 8, 12, 16))):
            k = r.random()
            if k < 0.3:
                self.steps.append(self.dgram())
            elif k < 0.4:
                self.steps.append(["burst", [self.icmp() if self.maybe(0.2) else self.dgram() for _ in range(r.choice((2, 3, 5, 12)))]])
            elif k < 0.55:
                self.steps.append(self.icmp())
            else:
                self.steps.append(self.call())
        return self.script


def script(seed):
    return Chance(seed).make()
