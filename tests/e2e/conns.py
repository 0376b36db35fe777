#!/usr/bin/env python3
"""conns.py - a client with many connections at once

hold HOST PORT N    opens N, says "held N", keeps them until it is ended
ping HOST PORT N    opens N to a redis, then asks each twice while all are open
http HOST PORT N    opens N to a web server, then gets /small on each twice while all are open
idle HOST PORT S    opens one to a redis, asks once, says "idle", then waits up to S seconds for its end and says how it came
talk HOST PORT S    opens one to a redis, asks every 10 ms for S seconds, says "talked"; fails at the first error
late HOST PORT           opens one to a redis that is busy or stopped: fails unless the connection stands within a second and what it
                         sends is acknowledged within another; says "acked", then waits 20 s for the answer
drain HOST PORT N BYTES  opens N, reads slowly, fails unless each gives BYTES
"""
import socket
import struct
import sys
import time


def connect(host, port, rcvbuf=0):
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.settimeout(10)
    s.connect((host, int(port)))
    return s


def receive(s, n):
    data = b''
    while len(data) < n:
        part = s.recv(65536)
        if not part:
            raise OSError(f'ended after {len(data)} of {n} bytes')
        data += part
    return data


def open_all(host, port, n):
    conns = []
    for i in range(n):
        try:
            conns.append(connect(host, port))
        except OSError as e:
            sys.exit(f'connection {i} of {n}: {e}')
    return conns


def hold(host, port, n):
    conns = open_all(host, port, int(n))
    print('held', len(conns), flush=True)
    time.sleep(600)


def ping(host, port, n):
    conns = open_all(host, port, int(n))
    for _ in range(2):
        for s in conns:
            s.sendall(b'PING\r\n')
        for i, s in enumerate(conns):
            if receive(s, 7) != b'+PONG\r\n':
                sys.exit(f'wrong answer on connection {i}')
    print('answered', len(conns))


def http(host, port, n):
    conns = open_all(host, port, int(n))
    length = 0
    for _ in range(2):
        for s in conns:
            s.sendall(b'GET /small HTTP/1.1\r\nHost: x\r\n\r\n')
        for i, s in enumerate(conns):
            data = s.recv(65536) if not length else receive(s, length)
            length = length or len(data)
            if not data.startswith(b'HTTP/1.1 200'):
                sys.exit(f'wrong answer on connection {i}: {data[:60]!r}')
    print('answered', len(conns))


def idle(host, port, seconds):
    s = connect(host, port)
    s.sendall(b'PING\r\n')
    receive(s, 7)
    print('idle', flush=True)
    s.settimeout(float(seconds))
    try:
        data = s.recv(1)
        print('end:', 'FIN' if not data else 'data', time.time(), flush=True)
    except ConnectionResetError:
        print('end: RST', time.time(), flush=True)
    except TimeoutError:
        sys.exit(f'nothing came in {seconds} s')


def talk(host, port, seconds):
    s = connect(host, port)
    end = time.time() + float(seconds)
    n = 0
    while time.time() < end:
        s.sendall(b'PING\r\n')
        if receive(s, 7) != b'+PONG\r\n':
            sys.exit('wrong answer')
        n += 1
        if n == 1:
            print('talking', flush=True)
        time.sleep(0.01)
    print('talked', n)


def unacked(s):
    """tcpi_unacked of struct tcp_info, in segments."""
    return struct.unpack_from('=I', s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]


def late(host, port):
    start = time.time()
    s = connect(host, port)
    stands = time.time()
    if stands - start > 1:
        sys.exit(f'the handshake took {stands - start:.1f} s')
    s.sendall(b'PING\r\n')
    while unacked(s):
        if time.time() - stands > 1:
            sys.exit('what was sent is not acknowledged after a second')
        time.sleep(0.001)
    print(f'acked: handshake {(stands - start) * 1000:.1f} ms, text {(time.time() - stands) * 1000:.1f} ms', flush=True)
    s.settimeout(20)
    if receive(s, 7) != b'+PONG\r\n':
        sys.exit('wrong answer')
    print(f'answered after {time.time() - start:.1f} s', flush=True)


def drain(host, port, n, size):
    conns = [(connect(host, port, 65536), int(size)) for _ in range(int(n))]
    for s, _ in conns:
        s.sendall(b'x')
    print('asked', flush=True)
    for i, (s, left) in enumerate(conns):
        while left:
            try:
                part = s.recv(min(left, 100000))
            except OSError as e:
                sys.exit(f'connection {i}: {e} with {left} bytes to come')
            if not part:
                sys.exit(f'connection {i}: ended with {left} bytes to come')
            left -= len(part)
            time.sleep(0.02)
    print('drained', n)


if __name__ == '__main__':
    {f.__name__: f for f in (hold, ping, http, idle, talk, late, drain)}[sys.argv[1]](*sys.argv[2:])
