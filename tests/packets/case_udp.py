"""case_udp.py - datagrams: checksums, lengths, closed ports, fragments, addresses, errors"""
import struct

from case_ip import pieces
from cases import case, table
from world import F, UDP_ECHO

CLOSED = 7999


def datagram(c, text=b"hello", ip=None, eth=None, dst=None, **more):
    u = F.udp(c.ip, dst or c.server, c.port, c.dport, text, **more)
    c.w.send(F.ip(c.ip, dst or c.server, F.UDP, u, **(ip or {})), **(eth or {}))


def still(c):
    datagram(c, b"still")
    c.expect("still there", until=lambda p: True)


@case()
def udp_echo(new):
    c = new(UDP_ECHO)
    for n in (0, 1, 2, 511, 1472 - (20 if c.v6 else 0)):
        datagram(c, b"u" * n)
        c.expect(f"{n} bytes", until=lambda p: True)


UDP = {"checksum-wrong": dict(bad=True), "checksum-zero": dict(check=0), "length-short": dict(length=10),
       "length-7": dict(length=7), "length-0": dict(length=0), "length-long": dict(length=500),
       "length-8": dict(length=8)}


@table("udp", UDP)
def _(new, row):
    for service in UDP_ECHO, CLOSED:
        c = new(service)
        datagram(c, **row)
        c.expect(f"{service}", quiet=0.4)
    still(new(UDP_ECHO))


@case()
def udp_trailing_bytes(new):
    c = new(UDP_ECHO)
    u = F.udp(c.ip, c.server, c.port, c.dport, b"hello")
    c.w.send(F.ip(c.ip, c.server, F.UDP, u) + b"behind" * 20)
    c.expect("bytes behind IP")
    u = F.udp(c.ip, c.server, c.port, c.dport, b"hello", length=13)
    c.w.send(F.ip(c.ip, c.server, F.UDP, u + b"behind"))
    c.expect("bytes behind UDP, within IP", quiet=0.4)


@case()
def udp_closed_port(new):
    """Port unreachable, and what it quotes."""
    c = new(CLOSED)
    datagram(c, b"x" * 40)
    got = c.expect("closed port", until=lambda p: True)
    if got and got[0].kind == "icmp":
        c.note(f"quotes {len(got[0].data)} bytes, ports {got[0].data[(40 if c.v6 else 20):][:4].hex()}")


@case()
def udp_cut_off(new):
    c = new(UDP_ECHO)
    for n in (0, 1, 7):
        c.w.send(F.ip(c.ip, c.server, F.UDP, F.udp(c.ip, c.server, c.port, c.dport, b"")[:n]))
    c.expect("cut off", quiet=0.4)
    still(c)


@case()
def udp_ports_zero(new):
    c = new(UDP_ECHO, port=0)
    datagram(c)
    c.expect("from port 0", quiet=0.4)
    c = new(0)
    datagram(c)
    c.expect("to port 0", quiet=0.4)


@case()
def udp_ip_checksum(new):
    c = new(UDP_ECHO)
    if not c.v6:
        datagram(c, ip=dict(bad=True))
        c.expect("wrong IP checksum", quiet=0.4)
        datagram(c, ip=dict(opts=b"\x94\4\0\0"))
        c.expect("router alert", until=lambda p: True)
    datagram(c, ip=dict(ttl=1))
    c.expect("TTL 1", until=lambda p: True)
    datagram(c, ip=dict(tos=0xB9))
    c.expect("TOS", until=lambda p: True)


@case(v6=False)
def udp_to_broadcast(new):
    for name, dst, mac in (("broadcast", b"\xff" * 4, b"\xff" * 6), ("subnet", bytes([10, 77, 0, 255]), b"\xff" * 6),
                           ("multicast", bytes([224, 0, 0, 1]), bytes.fromhex("01005e000001"))):
        for service in UDP_ECHO, CLOSED:
            c = new(service)
            datagram(c, dst=dst, eth=dict(dst=mac))
            c.expect(f"{name} {service}", quiet=0.3)


@case(v4=False)
def udp6_to_multicast(new):
    for service in UDP_ECHO, CLOSED:
        c = new(service)
        datagram(c, dst=bytes.fromhex("ff02" + "0" * 27 + "1"), eth=dict(dst=bytes.fromhex("333300000001")))
        c.expect(f"all nodes, {service}", quiet=0.3)


FRAGMENTS = {"in-order": [(0, 200), (200, 400), (400, 608)], "backwards": [(400, 608), (200, 400), (0, 200)],
             "overlap": [(0, 208), (200, 608)], "hole": [(0, 200), (400, 608)], "tiny": [(0, 8), (8, 608)]}


@table("udp-fragments", FRAGMENTS)
def _(new, cuts):
    c = new(UDP_ECHO)
    for p in pieces(c, F.udp(c.ip, c.server, c.port, c.dport, b"f" * 600), cuts, proto=F.UDP):
        c.w.send(p)
    c.expect("in fragments", quiet=0.4, until=lambda p: True)
    still(c)


@case()
def udp_large_echo(new):
    """3,000 bytes come in fragments and leave in fragments."""
    c = new(UDP_ECHO)
    u = F.udp(c.ip, c.server, c.port, c.dport, b"L" * 3000)
    for p in pieces(c, u, [(0, 1400), (1400, 2800), (2800, 3008)], proto=F.UDP):
        c.w.send(p)
    got = c.collect(0.4)
    c.note(f"fragments: {len(got)}, bytes {sum(len(p.data) for p in got if p.kind == 'frag') - (8 * len(got) if c.v6 else 0)}")


@case(v4=False)
def udp6_headers(new):
    c = new(UDP_ECHO)
    u = F.udp(c.ip, c.server, c.port, c.dport, b"hello")
    for name, kind, body in (("hop-by-hop", 0, b"\0\1\4\0\0\0\0"), ("destination", 60, b"\0\1\4\0\0\0\0"),
                             ("atomic fragment", 44, b"\0\0\0\0\0\0\7")):
        c.w.send(F.ip6(c.ip, c.server, kind, bytes([F.UDP]) + body + u))
        c.expect(name, quiet=0.4, until=lambda p: True)


@case()
def udp_icmp_error(new):
    """An error about a datagram that was never sent, then the port is still served."""
    c = new(UDP_ECHO)
    kind, code = (1, 4) if c.v6 else (3, 3)
    q = F.ip(c.server, c.ip, F.UDP, struct.pack("!HHHH", UDP_ECHO, c.port, 13, 0) + b"hello")
    msg = F.icmp(c.ip, c.server, kind, code, 0, q)
    c.w.send(F.ip(c.ip, c.server, F.ICMP6 if c.v6 else F.ICMP, msg))
    c.expect("error", quiet=0.3)
    still(c)


@case()
def ping(new):
    """The kernel's business in both worlds."""
    c = new()
    kind = 128 if c.v6 else 8
    c.w.send(F.ip(c.ip, c.server, F.ICMP6 if c.v6 else F.ICMP, F.icmp(c.ip, c.server, kind, 0, 0x10001, b"ping")))
    c.expect("echo", until=lambda p: True)


