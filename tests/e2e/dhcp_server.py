"""dhcp_server.py - a DHCP server with leases of seconds, which does what a file says

    dhcp_server.py IFNAME ADDRESS FILE

The file has lines NAME=VALUE and is read for each message: lease (seconds), first (the address that it has to give,
and those behind it), router, answer: all, broadcast (only what was sent to all), nothing. A request for another
address than that is refused. Each message is a line of output: what it asks for, and what was said.
"""
import ipaddress
import socket
import struct
import sys

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = 1, 2, 3, 4, 5, 6, 7
IP_PKTINFO = 8
NAMES = {DISCOVER: 'discover', DECLINE: 'decline', RELEASE: 'release'}


def ip(text):
    return ipaddress.IPv4Address(text).packed


def options(m):
    found, at = {}, 240
    while at + 1 < len(m) and m[at] != 255:
        if m[at] == 0:
            at += 1
            continue
        found[m[at]] = m[at + 2:at + 2 + m[at + 1]]
        at += 2 + m[at + 1]
    return found


class Server:
    def __init__(self, ifname, address, path):
        self.address, self.path, self.declined = ip(address), path, set()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, ifname.encode())
        self.sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.sock.bind(('0.0.0.0', 67))

    def settings(self):
        with open(self.path) as f:
            return dict(line.strip().split('=', 1) for line in f if '=' in line)

    def to_give(self, conf):
        a = ipaddress.IPv4Address(conf['first'])
        while a.packed in self.declined:
            a += 1
        return a.packed

    def say(self, kind, m, conf, given):
        yours = b'\0' * 4 if kind == NAK else given
        out = bytes([2, 1, 6, 0]) + m[4:8] + b'\0' * 4 + m[12:16] + yours + self.address + b'\0' * 4 + m[28:44]
        out += b'\0' * 192 + b'\x63\x82\x53\x63' + bytes([53, 1, kind, 54, 4]) + self.address
        if kind != NAK:
            out += bytes([51, 4]) + struct.pack('>I', int(conf['lease'])) + bytes([1, 4]) + ip('255.255.255.0')
            out += bytes([3, 4]) + ip(conf['router'])
        to = m[12:16] if kind == ACK and any(m[12:16]) else b'\xff' * 4
        self.sock.sendto((out + b'\xff').ljust(300, b'\0'), (socket.inet_ntoa(to), 68))

    def request(self, m, o, conf, to_all):
        asked = o.get(50, m[12:16])
        how = 'select' if 54 in o else 'reboot' if 50 in o else 'rebind' if to_all else 'renew'
        how += ' ' + socket.inet_ntoa(asked)
        if 54 in o and o[54] != self.address:
            return how + ': of another server'
        if conf['answer'] == 'nothing' or (conf['answer'] == 'broadcast' and not to_all):
            return how + ': silence'
        given = self.to_give(conf)
        self.say(ACK if asked == given else NAK, m, conf, given)
        return how + (': ack' if asked == given else ': nak')

    def one(self):
        m, anc, _, _ = self.sock.recvmsg(2048, 256)
        to = next((d[8:12] for level, kind, d in anc if level == socket.IPPROTO_IP and kind == IP_PKTINFO), b'')
        conf, o = self.settings(), options(m)
        kind = o.get(53, b'\0')[0]
        if kind == REQUEST:
            return self.request(m, o, conf, to == b'\xff' * 4)
        if kind == DECLINE:
            self.declined.add(o[50])
        if kind == DISCOVER and conf['answer'] != 'nothing':
            self.say(OFFER, m, conf, self.to_give(conf))
        return f'{NAMES.get(kind, kind)} {socket.inet_ntoa(o.get(50, m[12:16]))}'


server = Server(*sys.argv[1:])
while True:
    print(server.one(), flush=True)
