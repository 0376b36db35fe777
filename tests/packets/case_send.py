"""case_send.py - the server as sender: windows, probes, retransmission, recovery, segment sizes"""
import time

from cases import case, table
from world import F, sizes

SACK = F.mss(500) + F.sack_ok()


def opened(new, opts=SACK, service="source", rtt=0.1, **more):
    """A connection whose server sends at once. The round trip keeps its timers off what the cases wait for."""
    c = new(service)
    c.open(opts, rtt=rtt, **more)
    return c


def ranges(got, c):
    """What came, as 'from-to' in the order of arrival."""
    out = []
    for p in got:
        if p.kind == "tcp" and p.data:
            out.append(f"{c.rel(p.seq)}-{c.rel(p.seq) + len(p.data)}" + ("F" if p.flags & F.FIN else ""))
    return " ".join(out) or "none"


def cover(got, c):
    """The same, when several segments side by side are as good as one."""
    out = []
    for p in got:
        if p.kind != "tcp" or not p.data:
            continue
        a, b = c.rel(p.seq), c.rel(p.seq) + len(p.data)
        if out and out[-1][1] == a:
            out[-1][1] = b
        else:
            out.append([a, b])
    return " ".join(f"{a}-{b}" for a, b in out) or "none"


@case(alone=True)
def initial_window(new):
    """Ten segments, RFC 6928, and no more; here the text has 10,000 bytes and the segments 536."""
    c = opened(new, F.mss(536) + F.sack_ok(), quiet=0)
    got = c.collect(0.05, first=1.0)
    c.note(f"{ranges(got, c)}")
    c.abort()


@case(alone=True)
def tail_is_filled(new):
    """The second write begins where the first one's last segment, which could not leave, has room."""
    c = opened(new, F.mss(536) + F.sack_ok(), service="twice", quiet=0)
    got = c.collect(0.05, first=1.0)
    c.ack()
    got += c.collect(0.05, first=1.0)
    c.note(f"{sizes(got)}")
    c.abort()


@case(alone=True)
def window_is_kept(new):
    """Never a byte beyond what we offer, in every size."""
    for wnd in (100, 499, 500, 501, 1000, 1499, 5000):
        c = opened(new, wnd=wnd, quiet=0)
        got = c.collect(0.05, first=1.0)
        c.note(f"window {wnd}: up to {c.rcv}")
        c.abort()


@case(alone=True)
def window_scaled(new):
    c = opened(new, SACK + F.wscale(4), wnd=50, quiet=0)
    c.collect(0.05, first=1.0)
    c.note(f"up to {c.rcv}")
    c.abort()


@case(alone=True)
def window_opens(new):
    c = opened(new, wnd=1000, quiet=0)
    c.collect(0.05, first=1.0)
    for _ in range(3):
        c.ack()
        c.collect(0.05)
        c.note(f"up to {c.rcv}")
    c.wnd = 60000
    c.ack()
    c.collect(0.05)
    c.note(f"more: {c.rcv > 6000}")
    c.abort()


@case(alone=True)
def window_shrinks(new):
    """RFC 9293 3.8.6: a window that is taken back; nothing new beyond it."""
    c = opened(new, wnd=3000, quiet=0)
    c.collect(0.05, first=1.0)
    c.send(F.ACK, ack=1001, wnd=1000)
    c.note(cover(c.collect(0.05), c))
    c.send(F.ACK, ack=3001, wnd=1000)
    c.note(cover(c.collect(0.05), c))
    c.send(F.ACK, ack=3001, wnd=500)
    c.note(cover(c.collect(0.05), c))
    c.abort()


@case(alone=True)
def window_old_ack(new):
    """An old ACK does not change the window."""
    c = opened(new, wnd=1000, quiet=0)
    c.collect(0.05, first=1.0)
    c.ack()
    c.collect(0.05)
    c.send(F.ACK, ack=1, wnd=60000)
    c.note(cover(c.collect(0.05), c))
    c.abort()


@case(alone=True)
def window_without_ack_moving(new):
    c = opened(new, wnd=1000, quiet=0)
    c.collect(0.05, first=1.0)
    c.send(F.ACK, ack=1, wnd=2000)
    c.note(cover(c.collect(0.05), c))
    c.abort()


@case(alone=True)
def silly_window(new):
    """A window opened byte by byte: small segments are not sent for it at once."""
    c = opened(new, wnd=1000, quiet=0)
    c.collect(0.05, first=1.0)
    for n in (1, 10, 100):
        c.send(F.ACK, ack=1001, wnd=n)
        c.note(f"{n}: {cover(c.collect(0.05), c)}")
    c.abort()


@case(alone=True)
def zero_window(new):
    """Persist probes: seq - 1, no text, less and less often; then the window opens."""
    c = opened(new, wnd=1000, quiet=0)
    c.collect(0.05, first=1.0)
    c.rcv = 1001
    c.send(F.ACK, ack=1001, wnd=0)
    times, probes = [time.monotonic()], []
    for _ in range(3):
        p = c.get(2.0)
        if not p:
            break
        times.append(time.monotonic())
        probes.append(c.show(p))
        c.send(F.ACK, ack=1001, wnd=0)
    c.note(f"probes: {probes}")
    gaps = [b - a for a, b in zip(times, times[1:])]
    c.note(f"coarse: {[0.1 < g < 2 for g in gaps]}, growing: {all(b > 1.4 * a for a, b in zip(gaps, gaps[1:]))}")
    c.send(F.ACK, ack=1001, wnd=60000)
    c.note(f"opened: {cover(c.collect(0.05), c)}")
    c.abort()


@case(alone=True)
def zero_window_in_handshake(new):
    c = opened(new, wnd=0, quiet=0)
    p = c.get(1.5)
    c.note("probe: " + (c.show(p) if p else "silent"))
    c.wnd = 60000
    c.ack()
    c.collect(0.05)
    c.note(f"opened: {c.rcv > 4000}")
    c.abort()


@case()
def retransmission(new):
    """Nothing is acknowledged: the first segment comes again, after 200 ms or so, then twice the time (the kernel's
    first is a tail loss probe)."""
    c = opened(new, service="ten")
    c.data(b"x")
    times, shown = [], []
    end = time.monotonic() + 3
    while time.monotonic() < end and len(times) < 4:
        p = c.get(1.5)
        if p and p.data:
            times.append(time.monotonic())
            shown.append(c.show(p))
    c.note(f"same text: {len(set(shown)) == 1} {shown[:1]}")
    gaps = [b - a for a, b in zip(times, times[1:])]
    c.note(f"first within 0.15-1.2 s: {bool(gaps) and 0.15 < gaps[0] < 1.2}, doubles: "
           f"{[1.5 < b / a < 3 for a, b in zip(gaps[1:], gaps[2:])]}")
    c.rcv = 11
    c.ack()
    c.note("after the ACK: " + ranges(c.collect(1.0), c))
    c.abort()


@case(alone=True)
def fast_retransmit(new):
    """Three duplicate ACKs bring the first segment at once, once."""
    c = opened(new, F.mss(1000), wnd=60000, quiet=0)
    c.collect(0.05, first=1.0)
    c.send(F.ACK, ack=1001)
    c.collect(0.05)
    c.send(F.ACK, ack=1001)
    c.note(f"one duplicate: {ranges(c.collect(0.03), c)}")
    c.send(F.ACK, ack=1001)
    c.send(F.ACK, ack=1001)
    c.note(f"three: {'1001-2001' in ranges(c.collect(0.04), c)}")
    c.send(F.ACK, ack=c.rcv)
    c.note("all acknowledged: " + ranges(c.collect(0.5), c))
    c.abort()


@case(alone=True)
def fast_retransmit_sack(new):
    """With SACK: what is missing comes again, what was reported does not."""
    c = opened(new, F.mss(1000) + F.sack_ok(), wnd=60000, quiet=0)
    c.collect(0.05, first=1.0)
    i = c.iss
    c.send(F.ACK, ack=1001)
    for n in (1, 2, 3, 4):
        c.send(F.ACK, ack=1001, opts=F.sacks((i + 2001, i + 1001 + 1000 * n)))
    got = c.collect(0.04)
    c.note("hole: " + ("1001-2001" if "1001-2001" in ranges(got, c) else "not sent"))
    c.send(F.ACK, ack=c.rcv)
    c.note("all acknowledged: " + ranges(c.collect(0.5), c))
    c.abort()


@case(alone=True)
def partial_ack(new):
    """Two segments lost, no SACK: the partial ACK brings the second."""
    c = opened(new, F.mss(1000), wnd=60000, quiet=0)
    c.collect(0.05, first=1.0)
    for _ in range(4):
        c.send(F.ACK, ack=1)
    c.note("first: " + ("1-1001" if "1-1001" in ranges(c.collect(0.04), c) else "not sent"))
    c.send(F.ACK, ack=3001)
    c.note("second: " + ("3001-4001" if "3001-4001" in ranges(c.collect(0.04), c) else "not sent"))
    c.send(F.ACK, ack=c.rcv)
    c.note("all acknowledged: " + ranges(c.collect(0.5), c))
    c.abort()


@case()
def sack_of_unsent(new):
    """SACK blocks of what was never sent, of what is acknowledged, turned around: no harm."""
    c = opened(new, F.mss(1000) + F.sack_ok(), wnd=60000, quiet=0)
    c.collect(0.05, first=1.0)
    i = c.iss
    for a, b in ((50001, 60001), (1, 500), (3001, 2001), (0, 1 << 31), (2001, 2001)):
        c.send(F.ACK, ack=1001, opts=F.sacks((i + a, i + b)))
    c.collect(0.05)
    c.send(F.ACK, ack=c.rcv)
    c.note("all acknowledged: " + ranges(c.collect(0.5), c))
    c.note(f"received {c.rcv}")
    c.abort()


@case(alone=True)
def time_out_and_recovery(new):
    """A whole window is lost."""
    c = opened(new, F.mss(1000) + F.sack_ok(), wnd=5000, quiet=0)
    c.collect(0.05, first=1.0)
    # A tail loss probe may come before it.
    got = c.collect(1.5, until=lambda p: p.data and c.rel(p.seq) == 1)
    c.note("after the time-out: " + (c.show(got[-1]) if got else "silent"))
    c.send(F.ACK, ack=1001)
    c.collect(0.05)
    c.send(F.ACK, ack=c.rcv)
    c.collect(0.05)
    c.note(f"then new text: {c.rcv > 5001}")
    c.abort()


@case(alone=True)
def tiny_segments(new):
    for n in (1, 47, 48, 64, 88):
        c = opened(new, F.mss(n), wnd=1000, quiet=0)
        got = c.collect(1.0, until=lambda p: p.data and c.rel(p.seq) == 1 and c.rcv > 1 + len(p.data))
        c.note(f"MSS {n}: at most {max(sizes(got), default=0)}, {cover(got, c)}")
        c.abort()


@case()
def tiny_segments_in(new):
    """500 bytes in segments of one byte."""
    c = opened(new, F.mss(536), service="sink")
    for i in range(500):
        c.data(bytes([97 + i % 26]))
    c.summary("500", quiet=0.4)
    c.send(F.ACK | F.FIN)
    c.snd += 1
    c.summary("FIN")
    c.ack()
    c.report()


@case()
def nagle(new):
    """The answers to three single bytes, while the first is unacknowledged."""
    c = opened(new, service="echo")
    for t in (b"a", b"b", b"c"):
        c.data(t)
        c.collect(0.04)
    c.note(f"{c.rcv}")
    c.ack()
    c.collect(0.05)
    c.note(f"after the ACK {c.rcv}")
    c.abort()


@case()
def user_timeout(new):
    """TCP_USER_TIMEOUT of a second: text unanswered, the connection ends."""
    c = opened(new, service="user_timeout")
    c.collect(quiet=0.9, limit=3.5)
    c.report(4)


@case()
def ecn_echo(new):
    """No ECN by default as passive end without the offer; the server's text carries no ECT."""
    c = opened(new, wnd=3000, quiet=0)
    got = c.collect(0.05, first=1.0)
    c.note(f"{sorted({p.tos for p in got})}")
    c.abort()


@case()
def ecn_congestion(new):
    """ECN was agreed: text carries ECT(0), CE is echoed until CWR."""
    c = new("echo")
    c.syn(SACK, flags=F.ECE | F.CWR)
    p = c.get()
    c.note("SYN-ACK: " + (c.show(p) if p else "silent"))
    c.snd = c.rcv = 1
    c.ack()
    c.data(b"hello", ip=dict(tos=2))
    c.expect("ECT", until=lambda p: bool(p.data))
    c.ack()
    c.data(b"hello", ip=dict(tos=3))
    c.expect("CE", until=lambda p: bool(p.data))
    c.send(F.ACK | F.ECE)
    c.data(b"hello", flags=F.ACK | F.CWR)
    c.expect("CWR and ECE", until=lambda p: bool(p.data))
    c.abort()
