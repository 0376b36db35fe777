#!/usr/bin/env python3
"""seeds.py DIR - writes seeds: DIR/engine, programs for each state of a connection; DIR/control, settings and netlink messages

The languages are those of engine.c (four bytes of configuration, then steps) and control.c.
"""
import os
import struct
import sys

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
BURST = 0x10


def segment(peer=0, flags=ACK, length=0, seq=None, ack=None, wnd=None, opts=None, how=None, urg=None):
    """'seq' and 'ack' are off by so much (-128 to 127)."""
    modes = (seq is not None) | (ack is not None) << 2 | (wnd is not None) << 4 | (opts is not None) << 5 \
        | (how is not None) << 6 | (urg is not None) << 7
    b = [0, peer, modes, flags]
    b += [seq & 255] if seq is not None else []
    b += [ack & 255] if ack is not None else []
    b += [length]
    b += [wnd] if wnd is not None else []
    b += opts if opts is not None else []
    b += [how] if how is not None else []
    b += [urg & 255, urg >> 8] if urg is not None else []
    return bytes(b)


def call(which, sock=1, *args):
    return bytes([4, which, sock, *args])


def handshake(peer=0, what=7):
    return bytes([7, peer, what])


def wait(exponent):
    return bytes([8, exponent])


TIMER = bytes([8, 0x80])


def write(n, sock=1):
    return call(2, sock, n & 255, n >> 8, 0)


def read(n=1000, sock=1):
    return call(0, sock, n & 255, n >> 8, 0)


def sack(*blocks):
    return [0x10, len(blocks) - 1] + [v for b in blocks for v in b]


SHUT_WR, CLOSE, ABORT, CONNECT = 7, 9, 0x19, 14
ESTABLISHED = handshake()
FIN_WAIT_1 = ESTABLISHED + call(SHUT_WR)
FIN_WAIT_2 = FIN_WAIT_1 + segment()
CLOSE_WAIT = ESTABLISHED + segment(flags=FIN | ACK)
CLOSING = FIN_WAIT_1 + segment(flags=FIN | ACK, ack=-1)
LAST_ACK = CLOSE_WAIT + call(SHUT_WR)
TIME_WAIT = FIN_WAIT_2 + segment(flags=FIN | ACK)
SYN_SENT = call(CONNECT, 1, 2, 1)
SYN_RECEIVED = handshake(what=0x17)
STATES = {'listen': b'', 'syn_sent': SYN_SENT, 'syn_received': SYN_RECEIVED, 'established': ESTABLISHED,
          'fin_wait_1': FIN_WAIT_1, 'fin_wait_2': FIN_WAIT_2, 'close_wait': CLOSE_WAIT, 'closing': CLOSING,
          'last_ack': LAST_ACK, 'time_wait': TIME_WAIT}
SEGMENTS = {
    'ack': segment(), 'text': segment(length=100), 'text_fin': segment(flags=FIN | ACK, length=50), 'rst': segment(flags=RST),
    'rst_near': segment(flags=RST, seq=5), 'syn': segment(flags=SYN), 'syn_ack': segment(flags=SYN | ACK),
    'ack_old': segment(ack=-3), 'ack_new': segment(ack=3), 'old': segment(seq=-20, length=30), 'ahead': segment(seq=40, length=30),
    'fin_ahead': segment(flags=FIN | ACK, seq=40, length=30), 'urgent': segment(flags=ACK | URG, length=40, urg=10),
    'closed': segment(wnd=0), 'no_ack': segment(flags=PSH, length=9),
    'sack': segment(opts=sack((1, 3))), 'stamps': segment(opts=[8, 1, 0], length=10), 'cut': segment(length=200, how=8),
    'vlan': segment(length=20, how=2), 'options': segment(length=20, how=4), 'bad': segment(length=20, how=1),
    'syn_options': segment(flags=SYN, opts=[15, 180, 7, 1, 0]),
}


def programs():
    for state, reach in STATES.items():
        peer = 2 if state == 'syn_sent' else 0
        for name, s in SEGMENTS.items():
            s = bytes([s[0], s[1] | peer]) + s[2:]
            yield f'{state}-{name}', reach + s + TIMER + s + wait(20)
        yield f'{state}-write', reach + write(4000) + segment(peer) + TIMER * 4 + segment(peer)
        yield f'{state}-read', reach + segment(peer, length=190) + read(50) + read()
        yield f'{state}-close', reach + call(CLOSE) + segment(peer) + segment(peer, FIN | ACK) + wait(26)
        yield f'{state}-abort', reach + segment(peer, length=10) + call(ABORT) + segment(peer)
        yield f'{state}-icmp', reach + bytes([12, peer, 1, 3, 0, 0, 0]) + bytes([12, peer, 0, 4, 0, 2, 0])
        yield f'{state}-death', reach + write(3000) + bytes([255, 1]) + segment(peer) + bytes([255, 255])
        yield f'{state}-silence', reach + write(100) + TIMER * 30
    yield 'connected', SYN_SENT + segment(2, SYN | ACK, opts=[15, 180, 7, 1, 0]) + write(900) + segment(2)
    yield 'connected6', call(CONNECT, 1, 3, 1) + segment(3, SYN | ACK, opts=[15, 180, 7, 1, 0]) + write(900) + segment(3)
    yield 'both_open', SYN_SENT + segment(2, SYN) + segment(2, SYN | ACK) + segment(2)
    yield 'recovery', ESTABLISHED + write(12000) + segment(opts=sack((15, 30))) * 4 + TIMER * 3 + segment() + write(100)
    yield 'holes', ESTABLISHED + segment(seq=100, length=20) + segment(seq=60, length=20) + segment(length=60) + segment(length=100) + read()
    yield 'window', ESTABLISHED + segment(wnd=0) + write(5000) + TIMER * 5 + segment(wnd=255) + segment()
    yield 'urgent', ESTABLISHED + segment(flags=ACK | URG, length=40, urg=10) + read(99) + call(13) + read(99) + call(0x1d, 1, 5, 0, 0)
    yield 'lend', ESTABLISHED + segment(length=190) * 3 + call(5, 1, 200, 0) + call(0x16) + call(5, 1, 0, 9) + call(6) + call(4, 1, 3, 90, 90, 90, 90)
    yield 'keepalive', ESTABLISHED + call(11, 1, 11, 1, 0, 0, 0) + call(11, 1, 2, 0, 0, 0, 0) + TIMER * 12
    yield 'backlog', b''.join(handshake(i, 0x27) for i in range(12)) + call(0, 0x80) * 5
    yield 'flood', b''.join(segment(i, SYN, opts=[15, 180, 7, 1, 0]) for i in range(16)) + wait(22) + segment(3)
    yield 'again', TIME_WAIT + segment(flags=SYN, opts=[8, 5, 0]) + TIMER + segment(flags=SYN, seq=9)
    yield 'disconnect', ESTABLISHED + segment(length=9) + call(10) + call(CONNECT, 1, 4, 1)
    yield 'relisten', call(15, 2, 0x21) + segment(0x25, SYN, 1) + call(7, 0) + handshake() + call(15, 0, 0)
    yield 'burst', ESTABLISHED + b''.join(bytes([BURST]) + segment(length=150, seq=i * 60)[1:] for i in range(2)) * 3 + segment() + read()
    for v6 in (0, 1):
        pieces = [bytes([11, v6 | 6, o, 10, 0]) for o in range(0, 90, 10)]
        yield f'fragments{v6}', b''.join(pieces) + bytes([9, 0, 0, 255, 15])
        yield f'fragments{v6}-turned', b''.join(reversed(pieces)) + bytes([9, 0, 0, 255, 15])
        yield f'fragments{v6}-overlap', pieces[0] + bytes([11, v6 | 6, 5, 10, 0x10]) + pieces[1] + wait(26)
        yield f'datagram{v6}', bytes([10, v6, 0, 40, 10, 0x10, 0, 40, 9, 0, 0, 200, 0, 9, 0x10, 0, 200, 0])
    yield 'udp_send', bytes([9, 2, 0, 2, 99, 9, 7, 1, 9, 2, 0, 0x22, 90, 9, 0x12, 0, 0x11, 9])
    yield 'udp_error', bytes([9, 0x12, 0, 0x10, 9, 12, 0x10, 1, 3, 0, 0, 0, 9, 0x10, 0, 9, 0])
    yield 'net', ESTABLISHED + bytes([14, 0, 0]) + write(3000) + wait(21) + bytes([14, 1, 1]) + bytes([14, 2, 3]) + TIMER + bytes([14, 3, 0]) + TIMER
    yield 'no_room', ESTABLISHED + bytes([15, 2, 0]) + write(9000) + TIMER + bytes([15, 2, 30]) + TIMER + bytes([15, 3, 150]) + segment(length=100) + write(90) + bytes([15, 4, 0])
    yield 'held', ESTABLISHED + bytes([15, 0, 1]) + write(9000) + TIMER * 2 + segment() + bytes([15, 1, 9]) + segment(opts=sack((10, 20)))
    yield 'raw', bytes([13, 8, 40]) + bytes.fromhex('45000028000100004006000a0a0000020a0000010fa0005000001388000000005002040000000000')


def attrs(*pairs):
    return b''.join(struct.pack('<HH', 4 + len(v), t) + v + bytes(-len(v) % 4) for t, v in pairs)


def message(kind, body):
    body += bytes(len(body) % 2)
    return bytes([kind, len(body) // 2]) + body


def tables():
    """Netlink: a link, its addresses, routes and neighbours."""
    u32 = struct.Struct('<I').pack
    four, gate, six = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), bytes([0xfd] + [0] * 14 + [1])
    ours = u32(4)
    link = message(0, struct.pack('<BBHiII', 0, 0, 1, 4, 0x10001, 0) + attrs((1, bytes([2, 0, 0, 0, 0, 1])), (4, u32(1500))))
    addr4 = message(1, struct.pack('<BBBBI', 2, 24, 0, 0, 4) + attrs((1, four), (2, four), (4, bytes([10, 0, 0, 255])), (8, u32(0x80))))
    addr6 = message(1, struct.pack('<BBBBI', 10, 64, 0x20, 0, 4) + attrs((1, six)))
    route = struct.Struct('<BBBBBBBBI').pack
    plain = message(2, route(2, 24, 0, 0, 254, 2, 253, 1, 0) + attrs((1, bytes([10, 0, 0, 0])), (4, ours), (7, four), (15, u32(254))))
    default = message(2, route(2, 0, 0, 0, 254, 3, 0, 1, 0) + attrs((5, gate), (4, ours), (6, u32(100)), (8, attrs((2, u32(1400))))))
    hops = struct.pack('<HBBi', 16, 0, 0, 9) + attrs((5, gate)) + struct.pack('<HBBi', 16, 0, 0, 4) + attrs((5, gate))
    many = message(2, route(2, 8, 0, 0, 254, 3, 0, 1, 0) + attrs((1, bytes([11, 0, 0, 0])), (9, hops)))
    via = message(2, route(2, 16, 0, 0, 254, 3, 0, 1, 0) + attrs((18, struct.pack('<H', 10) + six), (4, ours)))
    dead = message(2, route(10, 64, 0, 0, 254, 3, 0, 7, 0) + attrs((1, six), (4, u32(1))))
    neigh = message(3, struct.pack('<BBHiHBB', 2, 0, 0, 4, 2, 0, 1) + attrs((1, gate), (2, bytes([2, 0, 0, 0, 0, 2]))))
    failed = message(3, struct.pack('<BBHiHBB', 10, 0, 0, 4, 0x20, 0, 1) + attrs((1, six)))
    kinds = {'link': link, 'addr4': addr4, 'addr6': addr6, 'route': plain, 'default': default, 'multipath': many, 'via': via,
             'unreachable': dead, 'neigh': neigh, 'failed': failed}
    for name, m in kinds.items():
        yield f'netlink-{name}', bytes([0, 0]) + m
        yield f'netlink-{name}-linked', bytes([0, 2]) + link + addr4 + m
    yield 'netlink-all', bytes([0, 7]) + link + addr4 + addr6 + plain + default + many + neigh + failed


def settings():
    texts = ['if = eth0', 'if=eth0, lo\n', 'memory = 64M', 'memory = 8589934592', 'spin_us = 20', 'profile = latency',
             'mode = native', 'zerocopy = off', 'without = sg,busy-poll', 'ports = 80,8000-8100', '# nothing', 'x = y', 'if',
             'profile=throughput\r\nspin_us=7 # more\n\n\tmode = generic']
    for i, text in enumerate(texts):
        yield f'conf-{i}', bytes([1, 80, 0]) + text.encode()


def main(folder):
    for target, seeds in (('engine', programs()), ('control', list(tables()) + list(settings()))):
        os.makedirs(os.path.join(folder, target), exist_ok=True)
        for name, steps in seeds:
            for config in ((0, 0, 0, 0), (9, 0x59, 0x18, 1), (0x14, 0xa2, 0x65, 0xfe)) if target == 'engine' else ((),):
                with open(os.path.join(folder, target, name + ''.join(f'-{c:02x}' for c in config)), 'wb') as f:
                    f.write(bytes(config) + steps)


if __name__ == '__main__':
    main(sys.argv[1])
