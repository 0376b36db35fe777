"""case_stray.py - segments that fit no connection: to a listener, to a closed port; every set of flags"""
from cases import case, table
from world import F

CLOSED = 7999
FLAGS = {"syn": F.SYN, "syn-fin": F.SYN | F.FIN, "syn-rst": F.SYN | F.RST, "null": 0, "fin": F.FIN,
         "xmas": F.FIN | F.PSH | F.URG, "ack": F.ACK, "fin-ack": F.FIN | F.ACK, "rst": F.RST, "rst-ack": F.RST | F.ACK,
         "syn-ack": F.SYN | F.ACK, "psh": F.PSH, "urg": F.URG, "syn-fin-ack": F.SYN | F.FIN | F.ACK,
         "syn-fin-rst-ack": F.SYN | F.FIN | F.RST | F.ACK, "fin-rst": F.FIN | F.RST, "all": 0xFF}


def probe(new, service, flags, **more):
    c = new(service)
    c.send(flags, seq=0, ack=0x12345678 if flags & F.ACK else None, **more)
    c.expect(str(service), quiet=0.4, until=lambda p: True)
    if c.box.qsize() == 0 and flags & F.SYN:
        c.abort()


@table("stray", FLAGS)
def _(new, flags):
    probe(new, "echo", flags)
    probe(new, CLOSED, flags)


@table("stray-text", FLAGS)
def _(new, flags):
    """The same with five bytes of text."""
    probe(new, "echo", flags, data=b"hello")
    probe(new, CLOSED, flags, data=b"hello")


@case()
def port_scan_of_all_flags(new):
    """All 64 sets of the six old flags at a listener and at a closed port: who answers what."""
    for service in "echo", CLOSED:
        peers = []
        for flags in range(64):
            c = new(service)
            c.send(flags, seq=0, ack=0x111 if flags & F.ACK else None)
            peers.append((flags, c))
        for flags, c in peers:
            got = c.collect(quiet=0.4 if flags == 0 else 0.01, until=lambda p: True)
            c.note(f"{service} {flags:02x}: " + (c.show(got[0]) if got else "silent"))
            if got and got[0].flags & F.SYN:
                c.abort()


@case()
def bad_header_lengths(new):
    for off in (0, 4, 6, 15):
        c = new()
        c.send(F.SYN, seq=0, off=off)
        c.expect(f"data offset {off}", quiet=0.4, until=lambda p: True)
    c = new()
    for n in (0, 1, 10, 19):
        c.w.send(F.ip(c.ip, c.server, F.TCP, c.segment(F.SYN, seq=0)[:n]))
    c.expect("cut off", quiet=0.4)


@case()
def bad_checksum(new):
    for service in "echo", CLOSED:
        c = new(service)
        c.send(F.SYN, seq=0, bad=True)
        c.expect(f"{service}: wrong TCP checksum", quiet=0.4)
        c.send(F.ACK, seq=0, ack=5, bad=True)
        c.expect(f"{service}: wrong in an ACK", quiet=0.4)


@case()
def port_zero(new):
    c = new(0)
    c.syn()
    c.expect("to port 0", quiet=0.4)
    c = new(port=0)
    c.syn()
    c.expect("from port 0", quiet=0.4, until=lambda p: True)
    c.abort()
