#!/usr/bin/env python3
"""server.py LOG - the program that the packet scripts talk to

One thread for each connection, one behaviour for each port. How each connection ended is a line
in LOG: "ADDRESS PORT bytes=N end=eof|reset|... text=...". PORTS is read by the scripts too.
"""
import errno
import select
import socket
import struct
import sys
import threading
import time

PORTS = dict(echo=7000, sink=7001, close_unread=7002, source=7003, linger0=7004, no_read=7005, reply_close=7006,
             half=7007, keepalive=7008, inline=7009, never_accept=7010, close_now=7011, defer=7012, ten=7013,
             slow_close=7014, oob=7015, flood=7016, flood2=7017, mss=7018, late=7019, user_timeout=7020, twice=7021)
UDP_ECHO = 7100
log_lock = threading.Lock()


class Conn:
    def __init__(self, sock, peer, port):
        self.s, self.peer, self.port = sock, peer, port
        self.text, self.end = b"", "open"

    def recv(self, n=65536, flags=0):
        """b"" at the end, whatever the end is."""
        try:
            d = self.s.recv(n, flags)
        except OSError as e:
            self.end = errno.errorcode.get(e.errno, str(e.errno)).lower()
            return b""
        if not d:
            self.end = "eof"
        elif not flags & socket.MSG_PEEK:
            self.text += d
        return d

    def send(self, data):
        try:
            self.s.sendall(data)
        except OSError as e:
            self.end = "send-" + errno.errorcode.get(e.errno, str(e.errno)).lower()

    def drain(self):
        while self.recv():
            pass


def echo(c):
    while d := c.recv():
        c.send(d)


def sink(c):
    c.drain()


def close_unread(c):
    c.recv(1, socket.MSG_PEEK)


def close_now(c):
    pass


def slow_close(c):
    """Closes a while after the first text, however much came until then; all of it was read."""
    c.recv()
    time.sleep(0.3)
    c.s.setblocking(False)
    c.drain()


def source(c):
    c.send(bytes(range(250)) * 40)
    c.drain()


def twice(c):
    """More than the first window takes, in two writes."""
    c.send(bytes(6000))
    c.send(bytes(3000))
    c.drain()


def ten(c):
    """Ten bytes after the first byte of the peer."""
    if c.recv():
        c.send(b"0123456789")
        c.drain()


def linger0(c):
    c.recv()
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def no_read(c):
    time.sleep(2.5)
    c.drain()


def reply_close(c):
    if c.recv():
        c.send(b"bye")


def half(c):
    """Ends its own half at the first text, and goes on reading."""
    if c.recv():
        c.s.shutdown(socket.SHUT_WR)
        c.drain()


def keepalive(c):
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    c.drain()


def user_timeout(c):
    c.s.setsockopt(socket.IPPROTO_TCP, 18, 1000)
    c.send(b"0123456789")
    c.drain()


def inline(c):
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    c.drain()


def oob(c):
    """Notes urgent bytes in brackets, between what is read before and after."""
    notes = b""
    while True:
        r, _, x = select.select([c.s], [], [c.s], 5)
        if x:
            try:
                notes += b"[" + c.s.recv(1, socket.MSG_OOB) + b"]"
            except OSError:
                pass
        if r:
            d = c.recv()
            notes += d
            if not d:
                break
        if not r and not x:
            break
        time.sleep(0.02)
    c.text = notes


def serve(sock, port, act):
    while True:
        try:
            s, peer = sock.accept()
        except OSError:
            continue
        threading.Thread(target=one, args=(s, peer, port, act), daemon=True).start()


def one(s, peer, port, act):
    c = Conn(s, peer, port)
    act(c)
    err = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    s.close()
    text = c.text if len(c.text) <= 40 else c.text[:20] + b"..%08x" % (hash_of(c.text))
    with log_lock:
        log.write(f"{peer[0]} {peer[1]} bytes={len(c.text)} end={c.end} error={errno.errorcode.get(err, err)} "
                  f"text={text!r}\n")
        log.flush()


def hash_of(data):
    h = 0
    for b in data:
        h = (h * 31 + b) & 0xFFFFFFFF
    return h


def listener(family, port, act):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if act is no_read:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    if port == PORTS["defer"]:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 2)
    if port == PORTS["mss"]:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 700)
    s.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    s.listen(0 if act is None else 128)
    if act is None:
        kept.append(s)
    else:
        threading.Thread(target=serve, args=(s, port, act), daemon=True).start()


def udp_echo(family):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", UDP_ECHO))
    while True:
        try:
            d, peer = s.recvfrom(65536)
            s.sendto(d, peer)
        except OSError:
            pass


ACTS = dict(never_accept=None, defer=echo, flood=echo, flood2=echo, mss=source, late=echo)
kept = []

if __name__ == "__main__":
    log = open(sys.argv[1], "w")
    for family in (socket.AF_INET, socket.AF_INET6):
        for name, number in PORTS.items():
            listener(family, number, ACTS.get(name, globals().get(name)))
        threading.Thread(target=udp_echo, args=(family,), daemon=True).start()
    log.write("ready\n")
    log.flush()
    while True:
        time.sleep(3600)
