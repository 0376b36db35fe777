"""case_guard.py - an established connection under fire: RST, SYN, ACKs out of range, PAWS, ICMP, ECN"""
import struct
import time

from cases import case, table
from world import F, sizes

SACK = F.mss(1460) + F.sack_ok()


def opened(new, opts=SACK, service="echo", rtt=0.1, **more):
    c = new(service)
    c.open(opts, rtt=rtt, **more)
    return c


def alive(c, text=b"alive"):
    """Is the connection still there?"""
    c.data(text)
    c.summary("then")


# name: (flags, seq) relative to what is next
RESETS = {
    "exact": (F.RST, 0), "exact-ack": (F.RST | F.ACK, 0), "before": (F.RST, -1), "in-window": (F.RST, 1),
    "in-window-far": (F.RST, 5000), "at-edge": (F.RST, 60000), "outside": (F.RST, 10000000), "old": (F.RST, -70000),
    "with-text": (F.RST | F.PSH, 0), "syn-rst": (F.SYN | F.RST, 0), "fin-rst": (F.FIN | F.RST, 0),
}


@table("rst", RESETS)
def _(new, row):
    flags, off = row
    c = opened(new)
    c.data(b"hello")
    c.collect(0.05)
    c.ack()
    c.collect(0.1)
    c.send(flags, seq=c.snd + off, data=b"x" if flags & F.PSH else b"")
    c.expect("RST")
    alive(c)
    c.report()
    c.abort()


@case()
def rst_wrong_ack(new):
    """RST|ACK whose ACK is of nothing that was sent: RFC 5961 looks at the sequence number only."""
    c = opened(new)
    c.send(F.RST | F.ACK, ack=5000000)
    c.expect("RST")
    alive(c)
    c.report()


@case()
def rst_after_sack_hole(new):
    """RST at the right edge of a SACKed range, which Linux takes."""
    c = opened(new, service="sink")
    c.data(b"x" * 100, seq=101)
    c.collect(0.1)
    c.send(F.RST, seq=201)
    c.expect("RST at the end of what was SACKed")
    c.data(b"y" * 100)
    c.summary("then")
    c.report()
    c.abort()


@case()
def rst_old_stamp(new):
    c = opened(new, SACK + F.stamps(1000))
    c.send(F.RST, opts=F.stamps(5))
    c.expect("RST with an old timestamp")
    c.report()


@case()
def rst_twice(new):
    c = opened(new)
    c.send(F.RST)
    c.collect(0.1)
    c.send(F.RST)
    c.expect("second RST")
    c.data(b"x")
    c.expect("text after it")


SYNS = {"exact": (F.SYN, 0), "first": (F.SYN, -6), "in-window": (F.SYN, 500), "outside": (F.SYN, 5000000),
        "old": (F.SYN, -500), "with-ack": (F.SYN | F.ACK, 0), "first-with-ack": (F.SYN | F.ACK, -6),
        "with-fin": (F.SYN | F.FIN, 0), "with-text": (F.SYN | F.PSH, 0)}


@table("syn-in-established", SYNS)
def _(new, row):
    flags, off = row
    c = opened(new)
    c.data(b"hello")
    c.collect(0.1)
    c.ack()
    c.send(flags, seq=c.snd + off, data=b"x" * 5 if flags & F.PSH else b"", opts=F.mss(1460))
    c.expect("SYN")
    alive(c)
    c.abort()


ACKS = {"unsent": 1, "unsent-far": 1000000, "old": -3, "older": -70000, "ancient": -(1 << 30), "opposite": 1 << 31}


@table("ack", ACKS)
def _(new, off):
    c = opened(new)
    c.data(b"hello")
    c.collect(0.1)
    c.ack()
    c.ack(ack=c.rcv + off)
    c.expect("bare")
    time.sleep(0.6)
    c.data(b"text", seq=c.snd, ack=c.rcv + off)
    c.summary("with text")
    c.abort()


@case()
def paws_text(new):
    c = opened(new, SACK + F.stamps(1000), service="sink")
    c.ts = 50
    c.data(b"hello")
    c.expect("new timestamp")
    c.ts = 10
    c.data(b"o" * 10, seq=c.snd)
    c.expect("old timestamp")
    c.ts = 60
    c.data(b"w" * 10)
    c.expect("newer timestamp")
    c.abort()


@case()
def paws_ack(new):
    c = opened(new, SACK + F.stamps(1000), service="sink")
    c.ts = 50
    c.data(b"hello")
    c.collect(0.1)
    c.ts = 10
    c.ack()
    c.expect("bare ACK, old timestamp")
    time.sleep(0.6)
    c.send(F.ACK | F.FIN)
    c.expect("FIN, old timestamp")
    c.abort()


@case()
def paws_reordered(new):
    """A timestamp a little older, as the network reorders."""
    c = opened(new, SACK + F.stamps(1000), service="sink")
    c.ts = 50
    c.data(b"b" * 10, seq=11)
    c.expect("out of order, newer")
    c.ts = 49
    c.data(b"a" * 10, seq=1)
    c.expect("fills, older")
    c.abort()


@case()
def stamp_echo(new):
    """Which timestamp is echoed: that of the segment that moved the left edge (RFC 7323 4.3)."""
    c = opened(new, SACK + F.stamps(1000), service="sink")
    for ts, a, n in ((10, 1, 10), (20, 21, 10), (30, 31, 10), (40, 11, 10), (50, 41, 10)):
        c.ts = ts
        c.data(b"x" * n, seq=a)
        c.expect(f"{a}", quiet=0.15)
    c.abort()


@case()
def stamp_missing(new):
    c = opened(new, SACK + F.stamps(1000), service="sink")
    c.data(b"hello", opts=b"")
    c.expect("text without the agreed timestamp")
    c.send(F.ACK | F.FIN, opts=b"")
    c.snd += 1
    c.summary("FIN without it")
    c.report()


@case()
def stamp_not_agreed(new):
    c = opened(new, service="sink")
    c.data(b"hello", opts=F.stamps(7))
    c.expect("text with a timestamp that was not agreed")
    c.abort()


@case()
def options_in_text(new):
    """Options that are odd in text do no harm."""
    c = opened(new, service="sink")
    for opts in (F.mss(100), F.sack_ok(), F.wscale(3), bytes([254, 4, 1, 2]), b"\2\0\0\0", F.sacks((5, 1)),
                 F.sacks((1, 500), (1 << 31, 7)), b"\5\3\1\1", bytes(range(100, 140))):
        c.data(b"hello", opts=opts)
        c.expect(opts[:4].hex(), quiet=0.12)
    c.abort()


@case()
def reserved_bits(new):
    c = opened(new, service="sink")
    for bits in (1, 2, 4, 8, 14):
        c.data(b"hello", reserved=bits)
        c.expect(f"reserved {bits}", quiet=0.12)
    c.data(b"hello", flags=F.ACK | F.ECE)
    c.expect("ECE, not agreed")
    c.data(b"hello", flags=F.ACK | F.CWR)
    c.expect("CWR, not agreed")
    c.data(b"hello", ip=dict(tos=3))
    c.expect("CE, not agreed")
    c.abort()


@case()
def keepalive_of_server(new):
    """The server's probes come after a second, are seq - 1, and unanswered end the connection by RST."""
    c = opened(new, service="keepalive")
    got = c.collect(quiet=1.6, limit=2.5, until=lambda p: True)
    c.note("probe: " + (c.show(got[0]) if got else "silent"))
    c.ack()
    c.expect("answered", quiet=1.5, limit=2.2, until=lambda p: True)
    c.expect("not answered", quiet=1.6, limit=5)
    c.report()


# ---- ICMP ----

def quote(c, seq, length=None, proto=F.TCP, src=None, dst=None, ports=None):
    """What an ICMP error quotes: the front of a segment that the server is said to have sent."""
    sport, dport = ports or (c.dport, c.port)
    t = struct.pack("!HHIIBBHHH", sport, dport, ((c.iss or 0) + seq) & 0xFFFFFFFF, c.isn & 0xFFFFFFFF, 0x50, F.ACK, 1000, 0, 0)
    packet = F.ip(src or c.server, dst or c.ip, proto, t)
    return packet[:length] if length else packet


def icmp(c, kind, code, rest, data, bad=False):
    msg = F.icmp(c.ip, c.server, kind, code, rest, data, bad)
    c.w.send(F.ip(c.ip, c.server, F.ICMP6 if c.v6 else F.ICMP, msg))


def too_big(c, mtu, data, bad=False):
    if c.v6:
        icmp(c, 2, 0, mtu, data, bad)
    else:
        icmp(c, 3, 4, mtu, data, bad)


UNREACH = {"net": (3, 0, 1, 0), "host": (3, 1, 1, 3), "port": (3, 3, 1, 4), "protocol": (3, 2, 4, 1),
           "prohibited": (3, 13, 1, 1), "ttl": (11, 0, 3, 0), "parameter": (12, 0, 4, 0), "quench": (4, 0, 1, 5)}


@table("icmp", UNREACH)
def _(new, row):
    """No ICMP error ends an established connection."""
    c = opened(new, service="source", wnd=2920)
    kind, code = row[2:] if c.v6 else row[:2]
    icmp(c, kind, code, 0, quote(c, c.rcv - 1))
    c.collect(0.1)
    c.wnd = 65535
    c.ack()
    c.summary("goes on")
    c.abort()


@case()
def icmp_half_open(new):
    """Port unreachable for the SYN-ACK of a half-open connection."""
    c = new()
    c.syn(F.mss(1460))
    c.get()
    kind, code = (1, 4) if c.v6 else (3, 3)
    icmp(c, kind, code, 0, quote(c, 0))
    c.collect(0.1)
    c.snd = c.rcv = 1
    c.ack()
    alive(c)
    c.abort()


def shrink(new, mtu, what="seq", **more):
    """One window of 3,000 bytes is out; an error says the path takes less."""
    c = opened(new, service="source", wnd=3000, quiet=0)
    c.collect(0.05, first=1.0)
    c.note(f"before: {c.rcv}")
    seq = {"seq": 1, "old": -5000, "future": 100000}[what]
    too_big(c, mtu, quote(c, seq, **more.pop("quoted", {})), **more)
    got = c.collect(0.06)
    c.note(f"sent again: {max(sizes(got), default=0)}")
    c.wnd = 65535
    c.ack()
    got = c.collect(0.06)
    c.note(f"then: {max(sizes(got), default=0)}")
    c.abort()


MTUS = {"1300": 1300, "1280": 1280, "1000": 1000, "600": 600, "552": 552, "400": 400, "68": 68, "0": 0, "1500": 1500, "9000": 9000}


@table("too-big", MTUS, alone=True)
def _(new, mtu):
    shrink(new, mtu)


@case(alone=True)
def too_big_old_seq(new):
    shrink(new, 1300, "old")


@case(alone=True)
def too_big_future_seq(new):
    shrink(new, 1300, "future")


@case(alone=True)
def too_big_bad_checksum(new):
    shrink(new, 1300, bad=True)


@case(alone=True)
def too_big_short_quote(new):
    """IPv4 may quote 8 bytes of the segment only; IPv6 the same here."""
    for extra in (0, 4, 8, 16):
        c = opened(new, service="source", wnd=3000, quiet=0)
        c.collect(0.05, first=1.0)
        too_big(c, 1300, quote(c, 1, length=(40 if c.v6 else 20) + extra))
        c.note(f"{extra} bytes: sent again: {max(sizes(c.collect(0.06)), default=0)}")
        c.abort()


@case(alone=True)
def too_big_other_ports(new):
    c = opened(new, service="source", wnd=3000, quiet=0)
    c.collect(0.05, first=1.0)
    too_big(c, 1300, quote(c, 1, ports=(c.dport, c.port + 1)))
    c.note(f"sent again: {max(sizes(c.collect(0.06)), default=0)}")
    c.abort()
