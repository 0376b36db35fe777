"""case_open.py - handshakes: options of all kinds, text in the SYN and the third ACK, retransmissions"""
import time

from cases import case, table
from world import F, sizes

STAMPS = F.stamps(1000)
OPTIONS = {
    "none": b"",
    "mss": F.mss(1460),
    "mss-0": F.mss(0),
    "mss-1": F.mss(1),
    "mss-536": F.mss(536),
    "mss-65535": F.mss(65535),
    "mss-twice": F.mss(1400) + F.mss(500),
    "mss-short": b"\2\3\5\1",
    "mss-long": b"\2\6\5\xb4\0\0\1\1",
    "wscale-0": F.wscale(0),
    "wscale-7": F.mss(1460) + F.wscale(7),
    "wscale-14": F.wscale(14),
    "wscale-15": F.wscale(15),
    "wscale-255": F.wscale(255),
    "wscale-short": b"\3\2\1\1",
    "stamps": STAMPS,
    "stamps-0": F.stamps(0),
    "stamps-short": b"\10\t" + bytes(7) + b"\1\1\1",
    "stamps-mss": F.mss(1460) + STAMPS,
    "sack": F.sack_ok(),
    "sack-stamps": F.sack_ok() + STAMPS,
    "sack-long": b"\4\3\0\1",
    "sack-wscale": F.mss(1460) + F.sack_ok() + F.wscale(3),
    "all": F.mss(1460) + b"\4\2" + STAMPS[2:] + F.wscale(7),
    "unknown": bytes([254, 4, 1, 2]) + F.mss(1000),
    "md5": bytes([19, 18]) + bytes(16) + b"\1\1",
    "ao": bytes([29, 16]) + bytes(14),
    "fast-open": bytes([34, 2, 1, 1]),
    "fast-open-cookie": bytes([34, 10]) + bytes(range(8)) + b"\1\1",
    "length-0": b"\2\0\5\xb4",
    "length-1": b"\2\1\5\xb4",
    "too-long": b"\2\x20\5\xb4",
    "kind-only": b"\1\1\1\2",
    "end-first": b"\0\0\0\0" + F.mss(1000),
    "all-nop": b"\1" * 40,
    "garbage": bytes(range(200, 240)),
    "sack-block-in-syn": F.sacks((1, 2)),
}


@table("syn", OPTIONS)
def _(new, opts):
    c = new("source")
    c.syn(opts)
    c.expect("SYN-ACK", quiet=0.4, until=lambda p: True)
    c.snd = c.rcv = 1
    if c.iss is None:
        return
    c.ts = 0 if b"\10\n" in opts else None
    c.wnd = 65535 if b"\3\3" not in opts else 8000
    c.ack()
    got = c.collect(quiet=0.15, first=1.0)
    c.note(f"text in segments of {max(sizes(got), default=0)}, {c.rcv > 1}")
    c.abort()


@case()
def mss_of_server(new):
    c = new("mss")
    c.syn(F.mss(1460))
    c.expect("SYN-ACK", until=lambda p: True)
    c.snd = c.rcv = 1
    c.ack()
    c.note(f"text in segments of {max(sizes(c.collect(quiet=0.15, first=1.0)), default=0)}")
    c.abort()


@case()
def text_in_syn(new):
    c = new("sink")
    c.syn(F.mss(1460), data=b"hello")
    c.expect("SYN-ACK", until=lambda p: True)
    c.snd, c.rcv = 1, 1
    c.ack()
    c.data(b"hello", flags=F.ACK | F.FIN)
    c.summary("end")
    c.report()


@case()
def text_in_third_ack(new):
    c = new("sink")
    c.syn(F.mss(1460))
    c.get()
    c.snd, c.rcv = 1, 1
    c.data(b"hello")
    c.expect("answer")
    c.data(b"", flags=F.ACK | F.FIN)
    c.summary("end")
    c.report()


@case()
def fin_in_third_ack(new):
    c = new("sink")
    c.syn(F.mss(1460))
    c.get()
    c.snd, c.rcv = 1, 1
    c.data(b"hello", flags=F.ACK | F.FIN)
    c.summary("end")
    c.report()


@case()
def text_without_third_ack(new):
    """The third ACK is lost; the next segment, out of order, completes the handshake."""
    c = new("sink")
    c.syn(F.mss(1460) + F.sack_ok())
    c.get()
    c.snd, c.rcv = 1, 1
    c.send(F.ACK, seq=101, data=b"x" * 100)
    c.expect("out of order")
    c.data(b"y" * 100)
    c.expect("filled")
    c.abort()


@case()
def syn_again(new):
    c = new()
    c.syn(F.mss(1460) + F.sack_ok() + F.wscale(5))
    a = c.get()
    c.syn(F.mss(1460) + F.sack_ok() + F.wscale(5))
    b = c.answered("second SYN-ACK", 0.8)
    c.note(f"equal: {bool(a and b and (a.seq, a.opts) == (b.seq, b.opts))}")
    c.abort()


@case()
def syn_again_other_seq(new):
    """A SYN from the same ends with another number while the first is half open."""
    c = new()
    c.syn(F.mss(1460))
    c.get()
    c.send(F.SYN, seq=5000)
    c.answered("other SYN", 0.8)
    c.abort()


@case()
def synack_again(new):
    """The SYN-ACK is sent again by itself, after a second, then two."""
    c = new()
    c.syn(F.mss(1460))
    p = c.get()
    start = time.monotonic()
    gaps = []
    for _ in range(2):
        q = c.get(4)
        c.note(c.show(q) if q else "silent")
        gaps.append(time.monotonic() - start)
        start = time.monotonic()
    c.note(f"equal: {bool(q and q.seq == p.seq)}, coarse gaps: {[round(g) for g in gaps]}")
    c.abort()


@case()
def third_ack_wrong(new):
    """An ACK of something that we did not send, in SYN_RECEIVED."""
    c = new()
    c.syn(F.mss(1460))
    c.get()
    c.snd = 1
    c.ack(ack=77)
    c.answered("bad ACK", 0.5)
    c.ack(ack=1)
    c.data(b"works")
    c.summary("then")
    c.abort()


@case()
def third_ack_old_stamp(new):
    c = new("ten")
    c.syn(F.mss(1460) + STAMPS)
    c.get()
    c.snd, c.rcv = 1, 1
    c.send(F.ACK, opts=F.stamps(500))
    c.expect("older timestamp", quiet=0.4)
    c.abort()


@case()
def third_ack_without_stamp(new):
    c = new("sink")
    c.syn(F.mss(1460) + STAMPS)
    c.get()
    c.snd, c.rcv = 1, 1
    c.send(F.ACK, data=b"hello", opts=b"")
    c.expect("no timestamp", quiet=0.4)
    c.abort()


@case()
def rst_half_open(new):
    """RST of a half-open connection; then the same ends again."""
    c = new()
    c.syn(F.mss(1460))
    c.get()
    c.snd = c.rcv = 1
    c.send(F.RST)
    c.expect("RST")
    c.ack()
    c.expect("ACK after it")
    d = c.again(900000)
    d.syn(F.mss(1460))
    d.expect("anew", until=lambda p: True)
    d.abort()


@case()
def rst_half_open_wrong(new):
    c = new()
    c.syn(F.mss(1460))
    c.get()
    c.snd = c.rcv = 1
    c.send(F.RST, seq=100)
    c.expect("RST in window")
    c.data(b"works")
    c.summary("then")
    c.abort()


@case()
def rst_half_open_outside(new):
    c = new()
    c.syn(F.mss(1460))
    c.get()
    c.snd = c.rcv = 1
    c.send(F.RST, seq=1000000)
    c.expect("RST out of window")
    c.data(b"works")
    c.summary("then")
    c.abort()


@case()
def fin_half_open(new):
    """A bare FIN, without ACK, to a half-open connection."""
    c = new()
    c.syn(F.mss(1460))
    c.get()
    c.snd = c.rcv = 1
    c.send(F.FIN, seq=1)
    c.expect("FIN", quiet=0.4)
    c.abort()


@case()
def syn_ack_to_half_open(new):
    c = new()
    c.syn(F.mss(1460))
    c.get()
    c.rcv = 1
    c.send(F.SYN | F.ACK, seq=0)
    c.expect("SYN-ACK", quiet=0.4)
    c.abort()


@case()
def ecn_setup(new):
    """RFC 3168 6.1.1: a SYN that asks for ECN."""
    c = new()
    c.syn(F.mss(1460), flags=F.ECE | F.CWR)
    c.expect("SYN-ACK", until=lambda p: True)
    c.abort()


@case()
def ecn_half(new):
    c = new()
    c.syn(F.mss(1460), flags=F.ECE)
    c.expect("SYN with ECE only", until=lambda p: True)
    c.abort()


@case()
def syn_flags(new):
    """PSH, URG and a reserved bit do not matter in a SYN."""
    for name, more in (("PSH", dict(flags=F.PSH)), ("URG", dict(flags=F.URG, urg=1)), ("reserved", dict(reserved=8)),
                       ("window 0", dict(wnd=0))):
        c = new()
        c.syn(F.mss(1460), **more)
        c.expect(name, until=lambda p: True)
        c.abort()


@case()
def accept_queue_full(new):
    """Two connections fill a backlog of 0 and one; later SYNs, or their ACKs, find no room."""
    peers = [new("never_accept") for _ in range(3)]
    for i, c in enumerate(peers):
        c.syn(F.mss(1460))
        p = c.get(0.5)
        c.note(f"{i}: " + ("SYN-ACK" if p else "silent"))
        c.snd = c.rcv = 1
        if p:
            c.ack()
        time.sleep(0.05)
    for c in peers:
        c.abort()


@case()
def defer_accept(new):
    c = new("defer")
    c.open()
    c.expect("nothing yet", quiet=0.4)
    c.data(b"hello")
    c.summary("echo")
    c.abort()


@case()
def isn_wraps(new):
    for isn in (0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFF0, 0x7FFFFFFF, 0):
        c = new("echo", isn=isn)
        c.open(F.mss(1460) + F.sack_ok())
        c.data(b"a" * 10)
        c.collect(0.2, until=lambda p: bool(p.data))
        c.ack()
        c.data(b"b" * 10)
        c.summary(f"isn {isn:#x}")
        c.ack()
        c.data(b"", flags=F.ACK | F.FIN)
        c.summary("end")
        c.ack()
