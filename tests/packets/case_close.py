"""case_close.py - ends: half-close, both at once, unread text, linger, FIN again, TIME_WAIT and what comes into it"""
import time

from cases import case, table
from world import F

SACK = F.mss(1460) + F.sack_ok()
STAMPS = SACK + F.stamps(1000)


def opened(new, service, opts=SACK, rtt=0.1, **more):
    c = new(service)
    c.open(opts, rtt=rtt, **more)
    return c


def has_fin(p):
    return bool(p.flags & F.FIN)


@case()
def fin_plain(new):
    c = opened(new, "echo")
    c.data(b"", flags=F.ACK | F.FIN)
    c.summary("FIN")
    c.ack()
    c.expect("last ACK")
    c.ack()
    c.expect("after the end")
    c.report()


@case()
def fin_with_text(new):
    c = opened(new, "echo")
    c.data(b"hello", flags=F.ACK | F.FIN)
    c.summary("text and FIN")
    c.ack()
    c.report()


@case()
def fin_again(new):
    """Our FIN comes twice: the second is acknowledged too."""
    c = opened(new, "half")
    c.data(b"x")
    c.collect(0.2, until=has_fin)
    c.send(F.ACK | F.FIN)
    c.snd += 1
    c.collect(0.2)
    c.send(F.ACK | F.FIN, seq=c.snd - 1)
    c.expect("FIN again")
    c.report()


@case()
def fin_again_close_wait(new):
    """The server has not closed yet (it sleeps), and hears the FIN twice."""
    c = opened(new, "no_read")
    c.data(b"x", flags=F.ACK | F.FIN)
    c.collect(0.15)
    c.send(F.ACK | F.FIN, seq=c.snd - 1)
    c.expect("FIN again", quiet=0.2)
    time.sleep(0.5)
    c.send(F.ACK | F.FIN, seq=c.snd - 2, data=b"x")
    c.expect("with its text", quiet=0.2)
    c.abort()


@case()
def text_after_fin(new):
    c = opened(new, "no_read")
    c.data(b"x", flags=F.ACK | F.FIN)
    c.collect(0.15)
    c.data(b"more")
    c.expect("text after our FIN", quiet=0.2)
    c.abort()


@case()
def server_fin_again(new):
    """The server's FIN is not acknowledged: it comes again; acknowledged, no more."""
    c = opened(new, "half")
    c.data(b"x")
    got = c.collect(0.9, until=has_fin)
    c.note("FIN: " + (c.show(got[-1]) if got else "silent"))
    p = c.get(1.2)
    c.note("again: " + (c.show(p) if p else "silent"))
    c.collect(0.05)
    c.ack()
    c.expect("after the ACK", quiet=1.0)
    c.abort()


@case()
def half_close(new):
    """The server ended its half and goes on reading ours."""
    c = opened(new, "half")
    c.data(b"first")
    c.summary("its FIN")
    c.ack()
    for _ in range(3):
        c.data(b"more")
        c.summary("more")
    c.data(b"", flags=F.ACK | F.FIN)
    c.summary("our FIN")
    c.report()


@case()
def simultaneous_close(new):
    """Both FINs are on their way."""
    c = opened(new, "half")
    c.data(b"x")
    c.collect(0.3, until=has_fin)
    c.send(F.ACK | F.FIN, ack=c.rcv - 1)
    c.snd += 1
    c.answered("our FIN, theirs unacknowledged")
    c.ack()
    c.collect(0.2)
    c.send(F.ACK | F.FIN, seq=c.snd - 1)
    c.expect("our FIN again, TIME_WAIT")
    c.report()


@case()
def fin_acks_fin(new):
    c = opened(new, "reply_close")
    c.data(b"x")
    c.collect(0.3, until=has_fin)
    c.data(b"", flags=F.ACK | F.FIN)
    c.expect("FIN that acknowledges")
    c.report()


@case()
def close_unread(new):
    """RFC 1122 4.2.2.13: closed with text unread: RST."""
    c = opened(new, "close_unread")
    c.data(b"unread")
    c.expect("RST", until=lambda p: bool(p.flags & F.RST))
    c.data(b"more")
    c.expect("more text")


@case()
def close_at_once(new):
    c = opened(new, "close_now", quiet=0)
    c.expect("FIN", until=has_fin)
    c.ack()
    c.data(b"text")
    c.expect("text after its close")
    c.data(b"more")
    c.expect("again")


@case()
def close_at_once_fin(new):
    """Text with a FIN to a server that has closed."""
    c = opened(new, "close_now", quiet=0)
    c.collect(0.3, until=has_fin)
    c.data(b"text", flags=F.ACK | F.FIN)
    c.expect("text and FIN after its close")


@case()
def linger_0(new):
    c = opened(new, "linger0")
    c.data(b"x")
    c.expect("RST", until=lambda p: bool(p.flags & F.RST))
    c.data(b"more")
    c.expect("text after it")


@case()
def rst_in_fin_wait_1(new):
    c = opened(new, "half")
    c.data(b"x")
    c.collect(0.3, until=has_fin)
    c.send(F.RST)
    c.expect("RST", quiet=0.5)
    c.report()


@case()
def rst_in_fin_wait_2(new):
    c = opened(new, "half")
    c.data(b"x")
    c.collect(0.3, until=has_fin)
    c.ack()
    c.collect(0.1)
    c.send(F.RST)
    c.expect("RST", quiet=0.3)
    c.report()


@case()
def rst_in_close_wait(new):
    c = opened(new, "no_read")
    c.data(b"x", flags=F.ACK | F.FIN)
    c.collect(0.2)
    c.send(F.RST)
    c.expect("RST", quiet=0.2)
    c.report(5)


@case()
def unsent_fin_acked(new):
    """An ACK of a FIN that was not sent."""
    c = opened(new, "echo")
    c.ack(ack=2)
    c.expect("ACK of the FIN to come")
    c.data(b"works")
    c.summary("then")
    c.abort()


# ---- TIME_WAIT ----

def time_wait(new, opts=SACK):
    """The server closes first; both FINs are acknowledged."""
    c = opened(new, "reply_close", opts)
    c.data(b"x")
    c.collect(0.5, until=has_fin)
    if c.ts is not None:
        c.ts = 100
    c.data(b"", flags=F.ACK | F.FIN)
    c.collect(0.15)
    return c


WAITING = {
    "fin": (F.ACK | F.FIN, -1, b""), "ack": (F.ACK, 0, b""), "old-ack": (F.ACK, -1, b""), "text": (F.ACK, 0, b"text"),
    "old-text": (F.ACK, -3, b"te"), "rst": (F.RST, 0, b""), "rst-old": (F.RST, -1, b""), "rst-window": (F.RST, 100, b""),
    "syn-ack": (F.SYN | F.ACK, 0, b""), "far": (F.ACK, 5000000, b""), "far-text": (F.ACK, 5000000, b"text"),
    "future-ack": (F.ACK, 1, b""), "fin-ahead": (F.ACK | F.FIN, 0, b""), "none": (0, 0, b""), "fin-bare": (F.FIN, -1, b""),
    "syn-fin": (F.SYN | F.FIN, 5000, b""), "syn-rst": (F.SYN | F.RST, 5000, b""),
}


@table("time-wait", WAITING)
def _(new, row):
    flags, off, text = row
    c = time_wait(new)
    c.send(flags, seq=c.snd + off, data=text)
    c.expect("answer")
    time.sleep(0.6)
    c.send(F.ACK | F.FIN, seq=c.snd - 1)
    c.expect("FIN again after it")


SYNS = {"higher": (1, None), "much-higher": (100000, None), "lower": (-1000, None), "equal": (0, None),
        "stamps-higher": (1000, 200), "stamps-equal": (1000, 100), "stamps-lower": (1000, 50),
        "stamps-higher-seq-lower": (-1000, 200), "stamps-lower-seq-lower": (-1000, 50), "stamps-equal-seq-lower": (-1000, 100),
        "stamps-missing": (1000, -1), "stamps-missing-seq-lower": (-1000, -1)}


@table("time-wait-syn", SYNS)
def _(new, row):
    off, ts = row
    c = time_wait(new, SACK if ts is None else STAMPS)
    last = c.snd
    d = c.again((c.isn + c.snd + off) & 0xFFFFFFFF)
    d.iss = c.iss
    opts = SACK if ts is None or ts < 0 else SACK + F.stamps(1000 + ts)
    d.syn(opts)
    p = d.get(0.6)
    if p and p.flags & F.SYN:
        d.note(f"opens anew, its number is beyond: {((p.seq - c.iss - c.rcv) & 0xFFFFFFFF) < 1 << 31}")
        d.iss, d.rcv = p.seq, 1
        d.snd = 1
        d.ts = None if ts is None or ts < 0 else ts + 1
        d.data(b"y")
        d.summary("text")
        d.abort()
        return
    c.note("answer: " + (c.show(p) if p else "silent"))
    c.send(F.RST, seq=last)
    c.expect("our RST")
    time.sleep(0.6)
    c.send(F.ACK | F.FIN, seq=last - 1)
    c.expect("FIN again after it")


@case()
def time_wait_stamps(new):
    """Old timestamps in TIME_WAIT."""
    c = time_wait(new, STAMPS)
    c.ts = 20
    c.send(F.ACK | F.FIN, seq=c.snd - 1)
    c.expect("FIN, old timestamp")
    time.sleep(0.6)
    c.send(F.RST, opts=F.stamps(1000 + 5))
    c.expect("RST, old timestamp")
    c.ts = 150
    c.send(F.ACK | F.FIN, seq=c.snd - 1)
    c.expect("FIN, new timestamp")


@case()
def fin_wait_2_orphan(new):
    """The server's program is gone, its FIN acknowledged; we send nothing, then text."""
    c = opened(new, "reply_close")
    c.data(b"x")
    c.collect(0.3, until=has_fin)
    c.ack()
    c.expect("waits", quiet=0.5)
    c.data(b"text")
    c.expect("text to nobody")
    c.ack()
    c.expect("after that")


@case()
def fin_wait_1_orphan_text(new):
    c = opened(new, "reply_close")
    c.data(b"x")
    c.collect(0.3, until=has_fin)
    c.data(b"text", ack=c.rcv - 1)
    c.expect("text, its FIN unacknowledged", until=lambda p: bool(p.flags & F.RST))


@case()
def last_ack_text(new):
    """LAST_ACK: the server has closed after our FIN."""
    c = opened(new, "echo")
    c.data(b"", flags=F.ACK | F.FIN)
    c.collect(0.3, until=has_fin)
    c.data(b"text", seq=c.snd, ack=c.rcv - 1)
    c.expect("text after our FIN", quiet=0.1)
    c.ack()
    c.collect(0.2)
    c.ack()
    c.expect("after the end")


@case()
def last_ack_fin_again(new):
    c = opened(new, "echo")
    c.data(b"", flags=F.ACK | F.FIN)
    c.collect(0.3, until=has_fin)
    c.send(F.ACK | F.FIN, seq=c.snd - 1, ack=c.rcv - 1)
    c.expect("FIN again", quiet=0.1)
    c.ack()
    c.collect(0.2)
    c.ack()
    c.expect("after the end")
