#!/usr/bin/env python3
"""fetch.py - files of log-uniform sizes, and a client that fetches them and compares SHA-256

make DIR N SEED LIMIT    makes files 0..N-1 up to 5 MB each, LIMIT bytes in all, and DIR.sums
get HOST PORT DIR.sums   fetches all by 8 threads that keep their connections, fails at a difference
"""
import hashlib
import http.client
import os
import random
import sys
import threading

LARGEST = 5_000_000


def sizes(n, seed, limit):
    """Log-uniform from 1 byte to 5 MB; below 50 KB while the average would exceed what the limit allows."""
    rng = random.Random(seed)
    out = [0, 1, LARGEST][:n]
    total = sum(out)
    for i in range(len(out), n):
        size = int(LARGEST ** rng.random())
        if total + size > limit * (i + 50) / (n + 50):
            size = int(50_000 ** rng.random())
        total += size
        out.append(size)
    return out


def make(folder, n, seed, limit):
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(int(seed) + 1)
    blob = rng.randbytes(2 * LARGEST)
    all_sizes = sizes(int(n), int(seed), int(limit))
    with open(folder + '.sums', 'w', encoding='ascii') as sums:
        for i, size in enumerate(all_sizes):
            start = rng.randrange(LARGEST)
            data = blob[start:start + size]
            with open(os.path.join(folder, str(i)), 'wb') as f:
                f.write(data)
            sums.write(f'{hashlib.sha256(data).hexdigest()} {size} {i}\n')
    print(f'{n} files, {sum(all_sizes)} bytes')


class Getter(threading.Thread):
    def __init__(self, host, port, folder, todo, lock, problems):
        super().__init__(daemon=True)
        self.conn = http.client.HTTPConnection(host, port, timeout=30)
        self.folder, self.todo, self.lock, self.problems = folder, todo, lock, problems
        self.nr_bytes = 0

    def get(self, digest, size, name):
        self.conn.request('GET', f'/{self.folder}/{name}')
        data = self.conn.getresponse().read()
        self.nr_bytes += len(data)
        if len(data) != int(size) or hashlib.sha256(data).hexdigest() != digest:
            self.problems.append(f'file {name} of {size} bytes: {len(data)} bytes came, SHA-256 differs')

    def run(self):
        while True:
            with self.lock:
                if not self.todo or self.problems:
                    return
                entry = self.todo.pop()
            try:
                self.get(*entry)
            except (OSError, http.client.HTTPException) as e:
                self.problems.append(f'file {entry[2]} of {entry[1]} bytes: {e!r}')


def get(host, port, sums):
    with open(sums, encoding='ascii') as f:
        todo = [line.split() for line in f]
    n, lock, problems = len(todo), threading.Lock(), []
    folder = os.path.basename(sums)[:-len('.sums')]
    getters = [Getter(host, int(port), folder, todo, lock, problems) for _ in range(8)]
    for g in getters:
        g.start()
    for g in getters:
        g.join()
    if problems:
        sys.exit(problems[0])
    print(f'{n} files, {sum(g.nr_bytes for g in getters)} bytes, all right')


if __name__ == '__main__':
    {'make': make, 'get': get}[sys.argv[1]](*sys.argv[2:])
