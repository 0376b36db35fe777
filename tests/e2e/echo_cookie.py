#!/usr/bin/env python3
"""echo_cookie.py IF MAC SERVER CLIENT PORT STARTED - a handshake with a SYN cookie, by hand

Sends a SYN from an address that nobody has, prints "cookie" when the SYN-ACK is there, waits until the
file STARTED exists (a lane has claimed the port meanwhile), then sends the ACK and data. The
kernel's server, which has nothing but the cookie, must acknowledge them.
"""
import os
import socket
import struct
import sys
import time

ifname, server_mac, server, client, port, started = sys.argv[1:7]
SYN, RST, PSH, ACK = 2, 4, 8, 16
MAC = bytes.fromhex("020000000099")
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.bind((ifname, 0))
s.settimeout(5)
src, dst = socket.inet_aton(client), socket.inet_aton(server)


def csum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(seq, ack, flags, data=b""):
    def header(check):
        return struct.pack("!HHIIHHHH", 4444, int(port), seq, ack, 0x5000 | flags, 65000, check, 0)

    pseudo = src + dst + struct.pack("!HH", 6, 20 + len(data))
    tcp = header(csum(pseudo + header(0) + data)) + data

    def ip(check):
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, check) + src + dst

    s.send(bytes.fromhex(server_mac.replace(":", "")) + MAC + b"\x08\x00" + ip(csum(ip(0))) + tcp)


def receive():
    end = time.time() + 5
    while time.time() < end:
        f = s.recv(65536)
        if f[23] == 6 and f[26:30] == dst and f[30:34] == src:
            _, _, seq, ack, flags = struct.unpack("!HHIIH", f[34:48])
            return seq, ack, flags & 0x3F
    raise SystemExit("no answer")


send(1000, 0, SYN)
seq, ack, flags = receive()
if flags != SYN | ACK:
    raise SystemExit(f"flags {flags:#x} instead of a SYN-ACK")
print("cookie", flush=True)
for _ in range(200):
    if os.path.exists(started):
        break
    time.sleep(0.05)
send(1001, seq + 1, ACK)
send(1001, seq + 1, ACK | PSH, b"hello")
while True:
    _, ack, flags = receive()
    if flags & RST:
        raise SystemExit("the connection was reset")
    if ack == 1006:
        break
