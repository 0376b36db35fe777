#!/usr/bin/env python3
"""echo_client.py ADDRESS PORT tcp|udp [MEGABYTES] - an ordinary kernel client of lane-echo

Every byte that comes back is compared with what went out. Exits with 1 and says what differed.
"""
import os
import socket
import sys
import threading


def receive(s, n):
    got = bytearray()
    while len(got) < n:
        piece = s.recv(min(1 << 18, n - len(got)))
        if not piece:
            raise SystemExit(f"end of file after {len(got)} of {n} bytes")
        got += piece
    return bytes(got)


def connect(to):
    s = socket.create_connection(to, timeout=10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def bulk(to, n):
    """n bytes out and in at once, then FIN both ways."""
    s = connect(to)
    data = os.urandom(n)
    writer = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    writer.start()
    got = receive(s, n)
    writer.join()
    if got != data:
        at = next(i for i in range(n) if got[i] != data[i])
        raise SystemExit(f"byte {at} of {n} differs")
    if s.recv(1):
        raise SystemExit("more bytes than were sent")
    s.close()


def tcp(to, megabytes):
    s = connect(to)
    for i in range(200):
        s.sendall(bytes([i]))
        if receive(s, 1) != bytes([i]):
            raise SystemExit("one byte came back as another")
    s.close()
    many = [connect(to) for _ in range(50)]
    for i, s in enumerate(many):
        s.sendall(b"%d" % i * 100)
    for i, s in enumerate(many):
        want = b"%d" % i * 100
        if receive(s, len(want)) != want:
            raise SystemExit("connections are mixed up")
        s.close()
    for n in (1447, 1448, 1449, 65536, megabytes << 20):
        bulk(to, n)


def udp(to, family):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(3)
    s.connect(to)
    for n in list(range(0, 40)) + [100, 1000, 1400, 1452]:
        data = os.urandom(n)
        s.send(data)
        if s.recv(65536) != data:
            raise SystemExit(f"a datagram of {n} bytes came back changed")


address, port, proto = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if proto == "tcp":
    tcp((address, port), int(sys.argv[4]) if len(sys.argv) > 4 else 8)
else:
    udp((address, port), socket.AF_INET6 if ":" in address else socket.AF_INET)
