#!/usr/bin/env python3
"""keys.py - HOST PORT N SEED: sets N random keys of a redis, pipelined, then reads every value back"""
import hashlib
import random
import socket
import sys

BATCH = 500


def entry(seed, i):
    """Key and value of number 'i': one value in 200 is up to 60 KB, the others up to 200 bytes."""
    digest = hashlib.sha256(f'{seed}:{i}'.encode()).digest()
    size = int.from_bytes(digest[:2], 'big')
    size = size % 60000 if digest[2] == 7 else size % 200
    return b'key:' + digest.hex()[:24].encode(), (digest * (size // 32 + 1))[:size]


def bulk(*words):
    return b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words)


def main(host, port, n, seed):
    conn = socket.create_connection((host, int(port)), timeout=30)
    answers = conn.makefile('rb', 1 << 16)
    order = list(range(int(n)))
    for start in range(0, len(order), BATCH):
        part = [entry(seed, i) for i in order[start:start + BATCH]]
        conn.sendall(b''.join(bulk(b'SET', k, v) for k, v in part))
        for k, _ in part:
            if answers.readline() != b'+OK\r\n':
                sys.exit(f'SET of {k} is not answered by OK')
    random.Random(seed).shuffle(order)
    for start in range(0, len(order), BATCH):
        part = [entry(seed, i) for i in order[start:start + BATCH]]
        conn.sendall(b''.join(bulk(b'GET', k) for k, _ in part))
        for k, v in part:
            head = answers.readline()
            if head != b'$%d\r\n' % len(v) or answers.read(len(v) + 2) != v + b'\r\n':
                sys.exit(f'GET of {k}: another value of {head!r} bytes instead of {len(v)}')
    print(f'{n} keys, all values right')


if __name__ == '__main__':
    main(*sys.argv[1:])
