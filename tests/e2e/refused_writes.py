#!/usr/bin/env python3
"""refused_writes.py - a server whose client reads nothing: large writes that are refused, thousands of times

Usage: refused_writes.py ADDRESS PORT. Says "full" when the buffer is, "refused N" when it was refused N times more.
"""
import socket
import sys
import time

TIMES = 4000

listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
c, _ = listener.accept()
c.setblocking(False)
text = bytes(300000)


def refused():
    try:
        c.send(text)
        return False
    except BlockingIOError:
        return True


end = time.monotonic() + 20
quiet = 0  # refusals in a row: some room still comes while the peer's buffer grows
while quiet < 200 and time.monotonic() < end:
    quiet = quiet + 1 if refused() else 0
    time.sleep(0.002)
print('full', flush=True)
time.sleep(1)
n = 0
while n < TIMES and time.monotonic() < end:
    n += refused()
print('refused', n, flush=True)
time.sleep(60)
