"""frame.py - Ethernet, IP, TCP, UDP and ICMP frames: built by hand, right or deliberately wrong, and taken apart

Addresses are packed bytes: 4 of them are IPv4, 16 IPv6. Every field that a script may want wrong
is an argument; what is None is filled in as it should be.
"""
import struct

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
ETH_IP4, ETH_IP6, ETH_ARP, ETH_VLAN = 0x0800, 0x86DD, 0x0806, 0x8100


def total16(data):
    data += b"\0" * (len(data) % 2)
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return s


def csum(data):
    return ~total16(data) & 0xFFFF


def pseudo(src, dst, proto, length):
    if len(src) == 4:
        return src + dst + struct.pack("!HH", proto, length)
    return src + dst + struct.pack("!II", length, proto)


def eth(dst, src, kind, payload, vlan=None):
    tag = b"" if vlan is None else struct.pack("!HH", ETH_VLAN, vlan)
    return (dst + src + tag + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def ip4(src, dst, proto, payload, ttl=64, tos=0, ident=1, frag=0x4000, opts=b"", length=None, bad=False, version=4,
        ihl=None):
    hlen = 20 + len(opts)
    length = hlen + len(payload) if length is None else length
    ihl = hlen // 4 if ihl is None else ihl

    def header(check):
        return struct.pack("!BBHHHBBH", version << 4 | ihl, tos, length & 0xFFFF, ident, frag, ttl, proto,
                           check) + src + dst + opts

    return header(csum(header(0)) ^ (0x1234 if bad else 0)) + payload


def ip6(src, dst, proto, payload, ttl=64, tos=0, length=None, version=6):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", version << 28 | tos << 20, length & 0xFFFF, proto, ttl) + src + dst + payload


def ip(src, dst, proto, payload, **more):
    return (ip4 if len(src) == 4 else ip6)(src, dst, proto, payload, **more)


def tcp(src, dst, sport, dport, seq, ack, flags, wnd=65535, opts=b"", data=b"", urg=0, bad=False, off=None,
        reserved=0):
    opts += b"\0" * (-len(opts) % 4)
    off = 5 + len(opts) // 4 if off is None else off

    def seg(check):
        return struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, off << 4 | reserved, flags,
                           wnd, check, urg) + opts + data

    right = csum(pseudo(src, dst, TCP, 20 + len(opts) + len(data)) + seg(0))
    return seg(right ^ (0x5A5A if bad else 0))


def udp(src, dst, sport, dport, data=b"", length=None, check=None, bad=False):
    length = 8 + len(data) if length is None else length
    head = struct.pack("!HHH", sport, dport, length)
    right = csum(pseudo(src, dst, UDP, length & 0xFFFF) + head + b"\0\0" + data) or 0xFFFF
    check = right ^ (0x5A5A if bad else 0) if check is None else check
    return head + struct.pack("!H", check) + data


def icmp(src, dst, kind, code, rest, data, bad=False):
    """An ICMP or ICMPv6 message; 'rest' are the 32 bits behind the checksum."""
    def msg(check):
        return struct.pack("!BBHI", kind, code, check, rest) + data

    front = b"" if len(src) == 4 else pseudo(src, dst, ICMP6, 8 + len(data))
    return msg(csum(front + msg(0)) ^ (0x5A5A if bad else 0))


# ---- TCP options ----

def mss(n):
    return struct.pack("!BBH", 2, 4, n)


def wscale(n):
    return struct.pack("!BBBB", 1, 3, 3, n)


def sack_ok():
    return b"\1\1\4\2"


def stamps(val, ecr=0):
    return struct.pack("!BBBBII", 1, 1, 8, 10, val & 0xFFFFFFFF, ecr & 0xFFFFFFFF)


def sacks(*blocks):
    return b"\1\1" + bytes([5, 2 + 8 * len(blocks)]) + b"".join(
        struct.pack("!II", a & 0xFFFFFFFF, b & 0xFFFFFFFF) for a, b in blocks)


# ---- taking apart ----

class Packet:
    """What came: .kind is 'tcp', 'udp', 'icmp' or 'frag'; .faults names what is wrong with it."""

    def __init__(self):
        self.kind, self.faults, self.opts = None, [], {}

    def check(self, ok, what):
        if not ok:
            self.faults.append(what)


def tcp_options(p, raw):
    while raw and raw[0] != 0:
        if raw[0] == 1:
            raw = raw[1:]
            continue
        n = raw[1] if len(raw) > 1 else 0
        if n < 2 or n > len(raw):
            p.faults.append("options")
            return
        body = raw[2:n]
        if raw[0] == 2:
            p.opts["mss"] = struct.unpack("!H", body)[0]
        elif raw[0] == 3:
            p.opts["ws"] = body[0]
        elif raw[0] == 4:
            p.opts["sackok"] = True
        elif raw[0] == 5:
            w = struct.unpack(f"!{len(body) // 4}I", body)
            p.opts["sack"] = list(zip(w[::2], w[1::2]))
        elif raw[0] == 8:
            p.opts["ts"] = struct.unpack("!II", body)
        else:
            p.opts[f"kind{raw[0]}"] = True
        raw = raw[n:]


def parse_tcp(p, body):
    (p.sport, p.dport, p.seq, p.ack, off, p.flags, p.wnd, _, p.urg) = struct.unpack("!HHIIBBHHH", body[:20])
    hlen = (off >> 4) * 4
    p.kind = "tcp"
    tcp_options(p, body[20:hlen])
    p.data = body[hlen:]
    p.check(csum(pseudo(p.src, p.dst, TCP, len(body)) + body) == 0, "tcp-csum")


def parse_udp(p, body):
    p.sport, p.dport, length, check = struct.unpack("!HHHH", body[:8])
    p.kind, p.data = "udp", body[8:]
    p.check(length == len(body), "udp-length")
    p.check(check == 0 and len(p.src) == 4 or csum(pseudo(p.src, p.dst, UDP, len(body)) + body) == 0, "udp-csum")


def parse(frame):
    """A Packet, or None for what is neither IPv4 nor IPv6 or not TCP, UDP, ICMP."""
    p = Packet()
    p.eth_dst, p.eth_src = frame[:6], frame[6:12]
    kind, = struct.unpack("!H", frame[12:14])
    raw = frame[14:]
    if kind == ETH_IP4 and len(raw) >= 20:
        hlen, length = (raw[0] & 15) * 4, struct.unpack("!H", raw[2:4])[0]
        frag, = struct.unpack("!H", raw[6:8])
        p.tos, p.ttl, p.proto, p.src, p.dst = raw[1], raw[8], raw[9], raw[12:16], raw[16:20]
        p.df = bool(frag & 0x4000)
        p.check(csum(raw[:hlen]) == 0, "ip-csum")
        body = raw[hlen:length]
        if frag & 0x3FFF:
            p.kind, p.data = "frag", body
            return p
    elif kind == ETH_IP6 and len(raw) >= 40:
        length, p.proto, p.ttl = struct.unpack("!HBB", raw[4:8])
        p.tos = struct.unpack("!H", raw[:2])[0] >> 4 & 0xFF
        p.src, p.dst, p.df = raw[8:24], raw[24:40], True
        body = raw[40:40 + length]
        if p.proto == 44:
            p.kind, p.data = "frag", body
            return p
    else:
        return None
    if p.proto == TCP and len(body) >= 20:
        parse_tcp(p, body)
    elif p.proto == UDP and len(body) >= 8:
        parse_udp(p, body)
    elif p.proto in (ICMP, ICMP6) and len(body) >= 8:
        p.kind, p.type, p.code, p.rest = "icmp", body[0], body[1], struct.unpack("!I", body[4:8])[0]
        p.data = body[8:]
        front = b"" if p.proto == ICMP else pseudo(p.src, p.dst, ICMP6, len(body))
        p.check(csum(front + body) == 0, "icmp-csum")
    else:
        return None
    return p
