#!/usr/bin/env python3
"""agent.py - the program under the random scripts: does what its standard input says, a line of JSON for a line

A line in is a list of [id, call, argument...]; the line out has for each the result of the call, and behind
it how the sockets of that id look: poll's bits, TCP_INFO's state, unread and unsent bytes. No call blocks. Between
two lines it sleeps in epoll with all of its sockets, as a server does.
"""
import ctypes
import errno
import fcntl
import json
import select
import socket
import struct
import sys
import zlib

libc = ctypes.CDLL(None, use_errno=True)
ep = select.epoll()
sockets = {}  # id: [listener, connection]
FIONREAD, TIOCOUTQ, NONBLOCK = 0x541B, 0x5411, 0x800


def stream(at):
    """The text that the agent writes: each place has its byte, whatever the sizes of the writes."""
    return bytes(33 + (i * 7 + i // 90) % 90 for i in range(at, at + 64000))


TEXT = stream(0)


class Ends:
    def __init__(self):
        self.listener = self.s = None
        self.written = 0
        self.stream, self.peer = True, None


def opened(family, options):
    s = socket.socket(family, socket.SOCK_STREAM | NONBLOCK)
    for level, name, value in options:
        s.setsockopt(level, name, bytes(value) if isinstance(value, list) else value)
    return s


def watch(s):
    ep.register(s.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)


def listen(e, six, port, backlog, options):
    s = opened(socket.AF_INET6 if six else socket.AF_INET, [[1, 2, 1]] + options)
    e.listener = s
    s.bind(("::" if six else "0.0.0.0", port))
    s.listen(backlog)
    watch(s)


def connect(e, six, ip, port, options):
    e.s = opened(socket.AF_INET6 if six else socket.AF_INET, options)
    watch(e.s)
    e.s.connect((ip, port))


def connect_again(e, ip, port):
    e.s.connect((ip, port))


def accept(e):
    s, _ = e.listener.accept()
    s.setblocking(False)
    if e.s:
        s.close()
        return "second"
    e.s = s
    watch(s)


def send(e, n, flags):
    sent = e.s.send(TEXT[e.written:e.written + n], flags | socket.MSG_NOSIGNAL)
    if not flags & socket.MSG_OOB:
        e.written += sent
    else:
        e.written += sent
    return sent


def recv(e, n, flags):
    d = e.s.recv(n, flags)
    return [len(d), zlib.crc32(d)]


def shutdown(e, how):
    e.s.shutdown(how)


def close(e):
    s, e.s = e.s, None
    s.close()


def close_listener(e):
    s, e.listener = e.listener, None
    s.close()


def set_option(e, level, name, value):
    e.s.setsockopt(level, name, bytes(value) if isinstance(value, list) else value)


def get_option(e, level, name):
    return e.s.getsockopt(level, name)


def names(e):
    e.s.getpeername()


def ubind(e, six, port, options, peer, connected):
    """A socket for datagrams, which has one peer."""
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM | NONBLOCK)
    e.s, e.stream, e.peer = s, False, peer
    for level, name, value in options:
        s.setsockopt(level, name, value)
    s.bind(("::" if six else "0.0.0.0", port))
    if connected:
        uconnect(e, 0)
    watch(s)


def uconnect(e, more):
    e.s.connect((e.peer, 4000 + more))


def udisconnect(e):
    """connect(2) to AF_UNSPEC, which Python does not know."""
    if libc.connect(e.s.fileno(), bytes(28), 28):
        raise OSError(ctypes.get_errno(), "connect")


def usend(e, n, more, flags):
    d = TEXT[:n] + bytes(max(0, n - len(TEXT)))
    if more is None:
        return e.s.send(d, flags)
    return e.s.sendto(d, flags, (e.peer, 4000 + more))


def ancillary(level, kind, data):
    """Without interface numbers, and what is behind the addresses of an error."""
    return [level, kind, data[:16].hex() if (level, kind) not in ((0, 8), (41, 50)) else len(data)]


def urecv(e, n, flags):
    d, more, f, name = e.s.recvmsg(n, 512, flags)
    return [len(d), zlib.crc32(d), f, name[1] if name else None, [ancillary(*w) for w in more]]


def end(e):
    for s in e.s, e.listener:
        if s and not e.stream:
            s.close()
        elif s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    e.s = e.listener = None


def nothing(e):
    pass


CALLS = {f.__name__: f for f in (listen, connect, connect_again, accept, send, recv, shutdown, close, close_listener,
                                 set_option, get_option, names, ubind, uconnect, udisconnect, usend, urecv, end, nothing)}


def number(s, request):
    try:
        return struct.unpack("i", fcntl.ioctl(s.fileno(), request, b"\0\0\0\0"))[0]
    except OSError as e:
        return errno.errorcode[e.errno]


def look(s):
    p = select.poll()
    p.register(s.fileno(), 0x23FF)
    bits = p.poll(0)
    return bits[0][1] if bits else 0


def status(e):
    out = {}
    if e.listener:
        out["listener"] = look(e.listener)
    if e.s and not e.stream:
        # First what is there: the kernel finds wrong checksums when it is asked.
        unread = number(e.s, FIONREAD)
        return {"poll": look(e.s), "unread": unread, "unsent": number(e.s, TIOCOUTQ)}
    if e.s:
        out["poll"] = look(e.s)
        info = e.s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        out["state"] = info[0]
        out["unread"] = number(e.s, FIONREAD)
        out["unsent"] = number(e.s, TIOCOUTQ)
    return out


def one(ident, call, *args):
    e = sockets.setdefault(ident, Ends())
    try:
        r = CALLS[call](e, *args)
    except OSError as x:
        r = errno.errorcode.get(x.errno, str(x.errno))
    except AttributeError:
        r = "no socket"
    try:
        seen = status(e)
    except OSError as x:
        seen = {"error": errno.errorcode.get(x.errno, str(x.errno))}
    if call == "end":
        del sockets[ident]
    return [r, seen]


def main():
    ep.register(0, select.EPOLLIN)
    while True:
        if not any(fd == 0 for fd, _ in ep.poll()):
            continue
        line = sys.stdin.readline()
        if not line:
            return
        print(json.dumps([one(*w) for w in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main()
