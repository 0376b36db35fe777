"""case_text.py - what the server does with text: in order, out of order, overlapping, twice, urgent, windows"""
import time

from cases import case, table
from world import F

SACK = F.mss(1460) + F.sack_ok()


def letters(a, b):
    """The bytes [a, b) of the stream, so that every place has its value; 'a' counts from 1."""
    return bytes(33 + (i * 7 + i // 90) % 90 for i in range(a, b))


def opened(new, opts=SACK, service="sink", **more):
    c = new(service)
    c.open(opts, **more)
    return c


def finish(c, end):
    c.send(F.ACK | F.FIN, seq=end)
    c.snd = end + 1
    c.summary("FIN")
    c.ack()
    c.report()


# name: segments as (from, to), each noted by itself
ORDERS = {
    "in-order": [(1, 101), (101, 201), (201, 301)],
    "swapped": [(101, 201), (1, 101)],
    "hole": [(1, 101), (201, 301), (401, 501), (301, 401), (101, 201)],
    "four-holes": [(101, 201), (301, 401), (501, 601), (701, 801), (901, 1001), (1, 101), (201, 301), (401, 501),
                   (601, 701), (801, 901)],
    "backwards": [(401, 501), (301, 401), (201, 301), (101, 201), (1, 101)],
    "duplicate": [(1, 101), (1, 101), (101, 201), (1, 201)],
    "duplicate-out-of-order": [(101, 201), (101, 201), (1, 101)],
    "overlap-front": [(1, 101), (51, 151)],
    "overlap-back": [(101, 201), (1, 151)],
    "overlap-both": [(1, 101), (201, 301), (51, 251)],
    "overlap-more": [(101, 151), (1, 301)],
    "overlap-inside": [(101, 301), (151, 251), (1, 101)],
    "overlap-holes": [(101, 201), (301, 401), (151, 351), (1, 101)],
    "join": [(101, 201), (201, 301), (1, 101)],
    "join-before": [(201, 301), (101, 201), (1, 101)],
    "join-between": [(101, 201), (301, 401), (201, 301), (1, 101)],
    "one-byte": [(1, 2), (3, 4), (2, 3), (5, 6), (4, 5)],
    "full": [(1, 1461), (2921, 4381), (1461, 2921)],
}


@table("order", ORDERS)
def _(new, order):
    c = opened(new)
    for a, b in order:
        c.data(letters(a, b), seq=a)
        c.expect(f"{a}-{b}", quiet=0.12)
    finish(c, max(b for _, b in order))


@table("order-stamps", {k: ORDERS[k] for k in ("hole", "four-holes", "duplicate", "overlap-both")})
def _(new, order):
    c = opened(new, SACK + F.stamps(1000))
    for i, (a, b) in enumerate(order):
        c.ts = i + 1
        c.data(letters(a, b), seq=a)
        c.expect(f"{a}-{b}", quiet=0.12)
    finish(c, max(b for _, b in order))


@case()
def order_no_sack(new):
    c = opened(new, F.mss(1460))
    for a, b in ((101, 201), (301, 401), (1, 101), (201, 301)):
        c.data(letters(a, b), seq=a)
        c.expect(f"{a}-{b}", quiet=0.12)
    finish(c, 401)


@case()
def out_of_order_other_text(new):
    """Overlapping text that differs: which one does the program read?"""
    c = opened(new)
    c.data(b"A" * 10, seq=11)
    c.collect(0.1)
    c.data(b"B" * 10, seq=11)
    c.collect(0.1)
    c.data(b"C" * 15, seq=1)
    c.summary("filled")
    finish(c, 21)


@case()
def in_order_other_text(new):
    c = opened(new)
    c.data(b"A" * 10, seq=1)
    c.collect(0.1)
    c.data(b"B" * 20, seq=1)
    c.summary("longer")
    finish(c, 21)


@case()
def fin_out_of_order(new):
    c = opened(new)
    c.data(b"b" * 10, seq=11, flags=F.ACK | F.FIN)
    c.expect("text with FIN behind a hole")
    c.data(b"a" * 10, seq=1)
    c.summary("filled")
    c.report()


@case()
def fin_alone_out_of_order(new):
    c = opened(new)
    c.data(b"", seq=11, flags=F.ACK | F.FIN)
    c.expect("FIN behind a hole")
    c.data(b"a" * 10, seq=1)
    c.summary("filled")
    c.report()


@case()
def text_beyond_fin(new):
    """Text behind a FIN that waits for a hole to be filled."""
    c = opened(new)
    c.data(b"b" * 10, seq=11, flags=F.ACK | F.FIN)
    c.collect(0.1)
    c.data(b"c" * 10, seq=31)
    c.collect(0.1)
    c.data(b"a" * 10, seq=1)
    c.summary("filled")
    c.report()


@case()
def without_ack(new):
    """Text, FIN and nothing without the ACK bit are dropped."""
    c = opened(new)
    for name, flags, text in (("text", F.PSH, b"hello"), ("FIN", F.FIN, b""), ("none", 0, b""), ("URG", F.URG, b"x")):
        c.send(flags, seq=1, data=text)
        c.expect(name, quiet=0.2)
    c.data(b"ok")
    c.expect("with ACK")
    c.abort()


@case()
def delayed_ack(new):
    """Small text in order is acknowledged within half a second; every second full segment at once."""
    c = opened(new)
    for i in range(20):
        c.data(b"x" * 10)
    c.summary("20 small", quiet=0.5)
    for i in range(8):
        c.data(b"y" * 1460)
    c.summary("8 full", quiet=0.5)
    c.abort()


@case()
def beyond_window(new):
    """Text beyond the window is not taken; what lies within may be."""
    c = opened(new, service="sink")
    c.data(b"z" * 100, seq=1 + (1 << 20))
    c.expect("far beyond")
    c.data(b"z" * 100, seq=1 - (1 << 20))
    c.expect("far before")
    c.data(b"ok")
    c.expect("next")
    c.abort()


@case()
def old_text(new):
    c = opened(new)
    c.data(b"a" * 100)
    c.collect(0.1)
    for a, n in ((1, 100), (50, 20), (0, 1), (-5, 3), (0, 101)):
        c.send(F.ACK, seq=a, data=b"o" * n)
        c.expect(f"{n} from {a}", quiet=0.15)
        time.sleep(0.5)
    c.abort()


@case()
def window_probes(new):
    """seq - 1 without and with a byte, as keepalives and probes of the window come."""
    c = opened(new)
    c.data(b"hello")
    c.collect(0.1)
    c.send(F.ACK, seq=c.snd - 1)
    c.expect("seq - 1, no text")
    time.sleep(0.6)
    c.send(F.ACK, seq=c.snd - 1, data=b"o")
    c.expect("seq - 1, one byte")
    time.sleep(0.6)
    c.send(F.ACK, seq=c.snd - 1, data=b"\0", opts=F.stamps(1))
    c.expect("with a timestamp that was not agreed")
    c.abort()


@case()
def window_fills(new):
    """A server that does not read: the window closes, probes are answered, text beyond refused, later it opens."""
    c = opened(new, service="no_read")
    last = None
    for _ in range(60):
        left = 1 + 8000 if last is None else ((last.ack - c.isn) & 0xFFFFFFFF) + last.wnd
        c.data(b"f" * min(1000, max(1, left - c.snd)))
        got = c.collect(0.06)
        last = got[-1] if got else last
        if got and got[-1].wnd == 0:
            break
    c.collect(0.3)
    c.note(f"closed: {bool(last) and last.wnd == 0}")
    if last is None:
        return
    edge = (last.ack - c.isn) & 0xFFFFFFFF
    c.snd = edge
    c.data(b"p", seq=edge)
    p = c.get(0.5)
    c.note(f"one byte into the closed window is refused: {bool(p) and (p.ack - c.isn) == edge}")
    opened_at = [p for p in c.collect(quiet=3, limit=4, until=lambda p: p.wnd > 0) if p.wnd > 0]
    c.note(f"opens by itself: {bool(opened_at)}")
    c.data(b"tail")
    c.collect(0.3)
    c.abort()


# ---- urgent text ----

def urgent(new, service, steps):
    c = opened(new, service=service)
    for text, urg in steps:
        c.data(text, flags=F.ACK | F.PSH | (F.URG if urg is not None else 0), urg=urg or 0)
        c.collect(0.15)
    c.send(F.ACK | F.FIN)
    c.snd += 1
    c.summary("FIN")
    c.ack()
    c.report(6)


URGENT = {
    "last-byte": [(b"abc", None), (b"deX", 3), (b"ghi", None)],
    "middle": [(b"abX", 3), (b"def", None)],
    "inside": [(b"abXdef", 3)],
    "pointer-0": [(b"abc", 0), (b"def", None)],
    "pointer-1": [(b"Xbc", 1), (b"def", None)],
    "beyond": [(b"abc", 5), (b"dXf", None)],
    "twice": [(b"abX", 3), (b"deY", 3), (b"z", None)],
}


@table("urgent", URGENT)
def _(new, steps):
    urgent(new, "oob", steps)


@table("urgent-inline", URGENT)
def _(new, steps):
    urgent(new, "inline", steps)
