#!/usr/bin/env python3
"""peer.py - both ends of the interop tests: bulk in either direction, and many small exchanges

  peer.py serve ADDRESS PORT      PORT echoes; PORT + 1 answers the SHA-256 of all up to the end of file;
                                  PORT + 2 reads "BYTES SEED\\n" and sends so many bytes of that seed
  peer.py client ADDRESS PORT JOB...   jobs one after the other:
      put=BYTES get=BYTES     bulk, SHA-256 compared
      echo=BYTES              both directions at once, compared byte by byte, half-close at the end
      rr=CONNECTIONS,NUMBER   so many connections at once, so many exchanges each, of 1 to 5,000 bytes
      new=NUMBER              so many connections, 4 at a time, one exchange each

Each blocking call has STALL seconds (environment, default 15): a transfer may be slow, it may not stand still.
Exits with 1 and says what went wrong and where.
"""
import hashlib
import os
import random
import socket
import sys
import threading
import time

STALL = float(os.environ.get('STALL', '15'))
PIECE = 1 << 16


class Wrong(Exception):
    """What the other end did, in one line."""


def data(n, seed):
    return random.Random(seed).randbytes(n)


# ---- the server ----

def serve_echo(s):
    while piece := s.recv(PIECE):
        s.sendall(piece)


def serve_sink(s):
    sha = hashlib.sha256()
    while piece := s.recv(PIECE):
        sha.update(piece)
    s.sendall(sha.hexdigest().encode())


def serve_source(s):
    line = b''
    while not line.endswith(b'\n'):
        piece = s.recv(100)
        if not piece:
            return
        line += piece
    n, seed = map(int, line.split())
    s.sendall(data(n, seed))


def one(serve, s):
    with s:
        try:
            s.settimeout(60)
            serve(s)
            s.shutdown(socket.SHUT_WR)
        except OSError as e:
            print(f'server, {serve.__name__}: {e}', flush=True)


def listen(address, port, serve):
    def accept():
        while True:
            s, _ = srv.accept()
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=one, args=(serve, s), daemon=True).start()
    srv = socket.create_server((address, port), family=family(address), backlog=256)
    threading.Thread(target=accept, daemon=True).start()


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def server(address, port):
    # The first port last: who waits for it finds all three.
    for i, serve in ((2, serve_source), (1, serve_sink), (0, serve_echo)):
        listen(address, port + i, serve)
    while True:
        time.sleep(3600)


# ---- the client ----

def connect(to):
    s = socket.create_connection(to, timeout=STALL)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def receive(s, n, what):
    got = bytearray()
    while len(got) < n:
        try:
            piece = s.recv(min(PIECE, n - len(got)))
        except OSError as e:
            raise Wrong(f'{what}: {e} after {len(got)} of {n} bytes') from e
        if not piece:
            raise Wrong(f'{what}: end of file after {len(got)} of {n} bytes')
        got += piece
    return bytes(got)


def send(s, text, what):
    """sendall() that notices a standstill, not a slow link."""
    view, at = memoryview(text), 0
    while at < len(text):
        try:
            at += s.send(view[at:at + PIECE])
        except OSError as e:
            raise Wrong(f'{what}: {e} after sending {at} of {len(text)} bytes') from e


def end_of_file(s, what):
    try:
        if s.recv(1):
            raise Wrong(f'{what}: more bytes than were sent')
    except OSError as e:
        raise Wrong(f'{what}: {e} instead of the end of file') from e


def put(host, port, n, seed):
    text = data(n, seed)
    with connect((host, port + 1)) as s:
        send(s, text, 'put')
        s.shutdown(socket.SHUT_WR)
        s.settimeout(max(STALL, 60))  # what the send buffer holds may still be on its slow way
        if receive(s, 64, 'put, the digest').decode() != hashlib.sha256(text).hexdigest():
            raise Wrong('put: the SHA-256 differs')
        end_of_file(s, 'put')


def get(host, port, n, seed):
    with connect((host, port + 2)) as s:
        s.sendall(b'%d %d\n' % (n, seed))
        got = receive(s, n, 'get')
        end_of_file(s, 'get')
    same('get', got, data(n, seed))


def same(what, got, want):
    if got != want:
        at = next(i for i, (a, b) in enumerate(zip(got, want)) if a != b)
        raise Wrong(f'{what}: byte {at} of {len(want)} differs')


def echo(host, port, n, seed):
    text, errors = data(n, seed), []
    with connect((host, port)) as s:
        def write():
            try:
                send(s, text, 'echo')
                s.shutdown(socket.SHUT_WR)
            except (OSError, Wrong) as e:
                errors.append(e)
        t = threading.Thread(target=write)
        t.start()
        try:
            got = receive(s, n, 'echo')
        finally:
            t.join()
        if errors:
            raise Wrong(f'echo: {errors[0]}')
        end_of_file(s, 'echo')
    same('echo', got, text)


def exchanges(s, rnd, number, what):
    for i in range(number):
        text = rnd.randbytes(rnd.choice((1, 64, 536, 1460, rnd.randint(1, 5000))))
        send(s, text, f'{what}, exchange {i}')
        same(f'{what}, exchange {i}', receive(s, len(text), f'{what}, exchange {i}'), text)


def at_once(count, job):
    """job(i) for i < count in threads; the first error is raised."""
    errors = []

    def run(i):
        try:
            job(i)
        except (OSError, Wrong) as e:
            errors.append(e)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise Wrong(f'{errors[0]} ({len(errors)} of {count} failed)')


def rr(host, port, connections, number):
    def job(i):
        with connect((host, port)) as s:
            exchanges(s, random.Random(i), number, f'rr, connection {i}')
    at_once(connections, job)


def new(host, port, number):
    def job(k):
        for i in range(k, number, 4):
            with connect((host, port)) as s:
                exchanges(s, random.Random(i), 1, f'new, connection {i}')
                s.shutdown(socket.SHUT_WR)
                end_of_file(s, f'new, connection {i}')
    at_once(4, job)


def client(host, port, jobs):
    for seed, job in enumerate(jobs):
        name, _, values = job.partition('=')
        values = [int(v) for v in values.split(',')]
        began = time.monotonic()
        if name == 'rr':
            rr(host, port, *values)
        elif name == 'new':
            new(host, port, *values)
        else:
            {'put': put, 'get': get, 'echo': echo}[name](host, port, values[0], seed)
        took = time.monotonic() - began
        rate = f', {values[0] * 8 / took / 1e6:.1f} Mbit/s' if name in ('put', 'get', 'echo') else ''
        print(f'{job}: {took:.2f} s{rate}', flush=True)


def main():
    mode, host, port, *jobs = sys.argv[1:]
    if mode == 'serve':
        server(host, int(port))
    try:
        client(host, int(port), jobs)
    except (OSError, Wrong) as e:
        print(e)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
