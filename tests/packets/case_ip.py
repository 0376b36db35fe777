"""case_ip.py - below TCP: lengths, checksums, options, extension headers, fragments, addresses, tags"""
import socket
import struct

from cases import case, table
from world import C_MAC, F, S4, S6, S_MAC


def syn_ip(new, ip=None, eth=None):
    c = new()
    c.send(F.SYN, seq=0, opts=F.mss(1460), ip=ip, eth=eth)
    c.expect("SYN", quiet=0.4, until=lambda p: True)
    c.abort()


def opened(new, service="sink", **more):
    c = new(service)
    c.open(F.mss(1460) + F.sack_ok(), **more)
    return c


IP4 = {
    "checksum": dict(bad=True),
    "length-short": dict(length=30),
    "length-long": dict(length=400),
    "length-0": dict(length=0),
    "ihl-4": dict(ihl=4),
    "ihl-15": dict(ihl=15),
    "version-5": dict(version=5),
    "ttl-1": dict(ttl=1),
    "ttl-0": dict(ttl=0),
    "tos": dict(tos=0xB8),
    "ecn-ce": dict(tos=3),
    "ecn-ect0": dict(tos=2),
    "reserved-bit": dict(frag=0x8000),
    "no-df": dict(frag=0),
    "option-nop": dict(opts=b"\1\1\1\1"),
    "option-end": dict(opts=bytes(4)),
    "option-router-alert": dict(opts=b"\x94\4\0\0"),
    "option-record-route": dict(opts=b"\7\7\4\0\0\0\0\0"),
    "option-timestamp": dict(opts=b"\x44\x0c\5\0" + bytes(8)),
    "option-lsrr": dict(opts=b"\x83\7\4\1\2\3\4\0"),
    "option-ssrr": dict(opts=b"\x89\7\4\1\2\3\4\0"),
    "option-lsrr-done": dict(opts=b"\x83\7\x08\1\2\3\4\0"),
    "option-unknown": dict(opts=b"\x9e\4\0\0"),
    "option-length-0": dict(opts=b"\x94\0\0\0"),
    "option-length-long": dict(opts=b"\x94\x20\0\0"),
    "option-cipso-bad": dict(opts=b"\x86\4\0\0"),
}
IP6 = {
    "length-short": dict(length=10),
    "length-long": dict(length=400),
    "length-0": dict(length=0),
    "version-4": dict(version=4),
    "hop-1": dict(ttl=1),
    "hop-0": dict(ttl=0),
    "class": dict(tos=0xB8),
    "ecn-ce": dict(tos=3),
}


@table("ip4", IP4, v6=False)
def _(new, ip):
    syn_ip(new, ip, dict(kind=F.ETH_IP4))


@table("ip6", IP6, v4=False)
def _(new, ip):
    syn_ip(new, ip, dict(kind=F.ETH_IP6))


def ext(kind, body):
    """One extension header: 'kind' and what lies behind next header and length, padded to 8 bytes."""
    body += bytes(-(len(body) + 2) % 8)
    return kind, bytes([(len(body) + 2) // 8 - 1]) + body


PAD4 = b"\1\2\0\0"
HEADERS = {
    "hop-by-hop": [ext(0, PAD4)],
    "hop-by-hop-pad1": [ext(0, bytes(6))],
    "hop-by-hop-long": [ext(0, b"\1\x14" + bytes(20))],
    "hop-by-hop-skip": [ext(0, b"\x1e\2\0\0\0\0")],
    "hop-by-hop-discard": [ext(0, b"\x5e\2\0\0\0\0")],
    "hop-by-hop-complain": [ext(0, b"\x9e\2\0\0\0\0")],
    "hop-by-hop-twice": [ext(0, PAD4), ext(0, PAD4)],
    "hop-by-hop-late": [ext(60, PAD4), ext(0, PAD4)],
    "destination": [ext(60, PAD4)],
    "destination-skip": [ext(60, b"\x1e\2\0\0\0\0")],
    "destination-discard": [ext(60, b"\x5e\2\0\0\0\0")],
    "destination-complain": [ext(60, b"\x9e\2\0\0\0\0")],
    "destination-twice": [ext(60, PAD4), ext(60, PAD4)],
    "destination-bad-length": [ext(60, b"\x1e\x30\0\0\0\0")],
    "routing-0-done": [ext(43, b"\0\0" + bytes(4))],
    "routing-0-left": [ext(43, b"\0\1" + bytes(4) + bytes(16))],
    "routing-2-left": [ext(43, b"\2\1" + bytes(4) + bytes(16))],
    "routing-unknown-left": [ext(43, b"\x63\1" + bytes(4))],
    "fragment-atomic": [(44, b"\0\0\0\0\0\0\7")],
    "fragment-atomic-options": [ext(60, PAD4), (44, b"\0\0\0\0\0\0\7")],
    "mobility": [ext(135, bytes(6))],
    "no-next": [(59, bytes(7))],
    "unknown": [(253, bytes(7))],
    "many": [ext(60, PAD4)] * 7,
    "ten": [ext(60, PAD4)] * 10,
}


@table("ext6", HEADERS, v4=False)
def _(new, headers):
    c = new()
    t = c.segment(F.SYN, seq=0, opts=F.mss(1460))
    kinds = [k for k, _ in headers] + [F.TCP]
    body = b"".join(bytes([nxt]) + h for nxt, (_, h) in zip(kinds[1:], headers)) + t
    c.w.send(F.ip6(c.ip, c.server, kinds[0], body))
    c.expect("SYN", quiet=0.4, until=lambda p: True)
    c.abort()


@case()
def trailing_bytes(new):
    """Bytes behind the IP length belong to nobody."""
    c = opened(new)
    packet = F.ip(c.ip, c.server, F.TCP, c.segment(F.ACK | F.PSH, data=b"hello"))
    c.w.send(packet + b"trailing" * 20)
    c.snd += 5
    c.expect("text with bytes behind it")
    c.w.send(F.ip(c.ip, c.server, F.TCP, c.segment(F.ACK)) + b"x" * 100)
    c.expect("ACK with bytes behind it")
    c.data(b"", flags=F.ACK | F.FIN)
    c.summary("end")
    c.report()


@case()
def frame_cut_off(new):
    c = opened(new)
    packet = F.ip(c.ip, c.server, F.TCP, c.segment(F.ACK | F.PSH, data=b"hello" * 40))
    c.w.send(packet[:-50])
    c.expect("cut off", quiet=0.4)
    c.data(b"ok")
    c.expect("whole")
    c.abort()


@case()
def bad_checksum_established(new):
    c = opened(new)
    c.data(b"hello", seq=1, bad=True)
    c.expect("wrong TCP checksum")
    if not c.v6:
        c.data(b"hello", seq=1, ip=dict(bad=True))
        c.expect("wrong IP checksum")
    c.data(b"right")
    c.expect("right")
    c.abort()


@case()
def wrong_mac(new):
    for name, mac in (("other", bytes.fromhex("027700000099")), ("broadcast", b"\xff" * 6),
                      ("group", bytes.fromhex("01005e000001"))):
        c = new()
        c.send(F.SYN, seq=0, eth=dict(dst=mac))
        c.expect(f"SYN to {name} MAC", quiet=0.4)
        c.abort()
    c = opened(new)
    for mac in bytes.fromhex("027700000099"), b"\xff" * 6, bytes.fromhex("3333ff000001"):
        c.data(b"hello", seq=1, eth=dict(dst=mac))
        c.expect("text to wrong MAC", quiet=0.3)
    c.data(b"hello")
    c.expect("right")
    c.abort()


@case()
def other_source_mac(new):
    """Answers go where the route says, whatever MAC it came from."""
    c = new()
    c.send(F.SYN, seq=0, eth=dict(src=bytes.fromhex("027700000055")))
    got = c.expect("SYN", until=lambda p: True)
    c.note(f"to the gateway's MAC: {bool(got) and got[0].eth_dst == C_MAC}")
    c.abort()


@case()
def vlan_tags(new):
    for name, tci in (("priority", 0xE000), ("number 5", 5)):
        c = new()
        c.send(F.SYN, seq=0, eth=dict(vlan=tci))
        c.expect(f"tag {name}", quiet=0.4, until=lambda p: True)
        c.abort()


def six(text):
    return socket.inet_pton(socket.AF_INET6, text)


DST4 = {"wrong": bytes([10, 77, 0, 50]), "broadcast": b"\xff" * 4, "subnet-broadcast": bytes([10, 77, 0, 255]),
        "network": bytes([10, 77, 0, 0]), "multicast": bytes([224, 0, 0, 1]), "loopback": bytes([127, 0, 0, 1]),
        "zero": bytes(4)}
DST6 = {"wrong": six("fd77::50"), "multicast": six("ff02::1"), "loopback": six("::1"), "zero": bytes(16),
        "anycast": six("fd77::"), "mapped": six("::ffff:10.77.0.1")}


def to(new, dst):
    for service in "echo", 7999:
        c = new(service)
        c.server = dst
        for flags in F.SYN, F.ACK, F.FIN:
            c.send(flags, seq=0, ack=5 if flags & F.ACK else None)
            c.expect(f"{service}, flags {flags:#x}", quiet=0.2, until=lambda p: True)


@table("to", DST4, v6=False)
def _(new, dst):
    to(new, dst)


@table("to", DST6, v4=False)
def _(new, dst):
    to(new, dst)


SRC4 = {"multicast": bytes([224, 0, 0, 1]), "loopback": bytes([127, 0, 0, 1]), "zero": bytes(4), "zero-net": bytes([0, 1, 2, 3]),
        "own": S4, "broadcast": b"\xff" * 4, "subnet-broadcast": bytes([10, 77, 0, 255]), "class-e": bytes([240, 0, 0, 1]),
        "network": bytes([10, 77, 0, 0])}
SRC6 = {"multicast": six("ff02::1"), "loopback": six("::1"), "zero": bytes(16), "own": S6, "mapped": six("::ffff:10.78.0.1")}


def source(new, ip):
    for service in "echo", 7999:
        for flags in F.SYN, F.ACK:
            c = new(service, ip=ip, port=4000 + flags)
            c.send(flags, seq=0, ack=5 if flags & F.ACK else None)
            c.expect(f"{service}, flags {flags:#x}", quiet=0.3, until=lambda p: True)
            c.abort()


@table("from", SRC4, v6=False)
def _(new, ip):
    source(new, ip)


@table("from", SRC6, v4=False)
def _(new, ip):
    source(new, ip)


@case(v6=False)
def land(new):
    """Source and destination are the same end."""
    c = new(ip=S4, port=7000)
    c.syn()
    c.expect("SYN", quiet=0.4)


# ---- fragments ----

def pieces(c, payload, cuts, ident=77, proto=F.TCP):
    """The fragments [a, b) of an IP payload."""
    out = []
    for a, b in cuts:
        more, chunk = b < len(payload), payload[a:b]
        if len(c.ip) == 4:
            out.append(F.ip4(c.ip, c.server, proto, chunk, ident=ident, frag=a // 8 | (0x2000 if more else 0)))
        else:
            out.append(F.ip6(c.ip, c.server, 44, struct.pack("!BBHI", proto, 0, a | more, ident) + chunk))
    return out


FRAGMENTS = {
    "in-order": [(0, 200), (200, 400), (400, 620)],
    "backwards": [(400, 620), (200, 400), (0, 200)],
    "first-last": [(200, 400), (400, 620), (0, 200)],
    "twice": [(0, 200), (0, 200), (200, 400), (200, 400), (400, 620)],
    "tiny-first": [(0, 8), (8, 400), (400, 620)],
    "hole": [(0, 200), (400, 620)],
    "overlap": [(0, 208), (200, 400), (400, 620)],
    "overlap-inside": [(0, 200), (200, 400), (296, 320), (400, 620)],
}


@table("fragments", FRAGMENTS)
def _(new, cuts):
    """A segment with 600 bytes of text, in fragments; then a whole one."""
    c = opened(new)
    for p in pieces(c, c.segment(F.ACK | F.PSH, data=bytes(range(200)) * 3), cuts):
        c.w.send(p)
    c.expect("in fragments", quiet=0.4)
    c.data(b"z" * 10, seq=601)
    c.expect("whole", quiet=0.4)
    c.abort()


@case()
def fragments_of_syn(new):
    c = new()
    for p in pieces(c, c.segment(F.SYN, seq=0, opts=F.mss(1460) + F.stamps(1000)), [(0, 24), (24, 36)]):
        c.w.send(p)
    c.expect("SYN in fragments", quiet=0.4, until=lambda p: True)
    c.abort()


@case()
def fragments_mixed(new):
    """Two datagrams whose fragments come interleaved; a wrong checksum in one."""
    c = opened(new)
    a = pieces(c, c.segment(F.ACK | F.PSH, data=b"a" * 300), [(0, 160), (160, 320)], ident=1)
    b = pieces(c, c.segment(F.ACK | F.PSH, seq=301, data=b"b" * 300), [(0, 160), (160, 320)], ident=2)
    for p in a[0], b[0], a[1], b[1]:
        c.w.send(p)
    c.summary("interleaved")
    for p in pieces(c, c.segment(F.ACK | F.PSH, seq=601, data=b"c" * 300, bad=True), [(0, 160), (160, 320)], ident=3):
        c.w.send(p)
    c.expect("wrong checksum")
    c.abort()
