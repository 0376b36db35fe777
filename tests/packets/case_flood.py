"""case_flood.py - floods of SYNs: half-open connections and spoofed sources; a real client is served all the same"""
import time

from cases import case
from world import F


def real_client(new, service, limit=5.0):
    """A client that behaves: within 'limit' seconds, its SYN sent again each second, it is served."""
    c = new(service)
    end = time.monotonic() + limit
    p = None
    while time.monotonic() < end and not p:
        c.syn(F.mss(1460) + F.sack_ok() + F.stamps(1000))
        p = c.get(1.0 / c.w.slow)
    if not p or not p.flags & F.SYN:
        c.note("no SYN-ACK within 5 s")
        return
    c.snd = c.rcv = 1
    c.ts = 1 if "ts" in p.opts else None
    c.ack()
    while time.monotonic() < end and c.rcv < 6:
        c.send(F.ACK | F.PSH, seq=1, data=b"hello")
        c.collect(0.3, until=lambda q: bool(q.data))
    c.note(f"served within 5 s: {c.rcv >= 6}")
    c.snd = 6
    c.abort()


def flood(new, service, n, sources):
    c = new(service)
    for i in range(n):
        if sources:
            ip = (bytes.fromhex("fd79") + bytes(10) if c.v6 else bytes([10, 90])) + (i + 1).to_bytes(4 if c.v6 else 2, "big")
            port = 1024 + i % 50000
        else:
            ip, port = c.ip, 1024 + i
        t = F.tcp(ip, c.server, port, c.dport, i * 1000, 0, F.SYN, opts=F.mss(1460))
        c.w.send(F.ip(ip, c.server, F.TCP, t))
        if i % 500 == 499:
            time.sleep(0.02)
            while not c.box.empty():
                c.box.get_nowait()


@case(alone=True)
def flood_half_open(new):
    """3,000 SYNs of one host, never answered."""
    flood(new, "flood", 3000, False)
    real_client(new, "flood")
    real_client(new, "echo")


@case(alone=True, v6=False)
def flood_spoofed(new):
    """18,000 SYNs of as many hosts."""
    flood(new, "flood2", 18000, True)
    real_client(new, "flood2")
    real_client(new, "echo")


@case(alone=True)
def scan_of_ports(new):
    """SYNs to 2,000 ports, most of them closed: RST for each, the open ones answer."""
    c = new()
    for port in range(6900, 8900):
        c.w.send(F.ip(c.ip, c.server, F.TCP, F.tcp(c.ip, c.server, c.port, port, c.isn, 0, F.SYN, opts=F.mss(1460))))
        if port % 100 == 0:
            time.sleep(0.01)
    got = c.collect(0.4)
    answers = {}
    for p in got:
        if p.kind == "tcp":
            answers.setdefault("S" if p.flags & F.SYN else "R", set()).add(p.sport)
    c.note(f"RST of {len(answers.get('R', ()))}, SYN-ACK of {sorted(answers.get('S', ()))}")
