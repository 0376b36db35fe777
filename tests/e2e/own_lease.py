"""own_lease.py - a program in own-address mode whose address comes and goes: an echo on port 7000, and what a socket
that is connected now would be bound to, a line each time that it is another"""
import errno
import socket
import sys
import threading
import time

PEER = sys.argv[1]


def echo(c):
    while True:
        data = c.recv(4096)
        if not data:
            return
        c.sendall(data)


def serve(listener):
    while True:
        c, _ = listener.accept()
        threading.Thread(target=echo, args=(c,), daemon=True).start()


def source():
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        u.connect((PEER, 9))
        return u.getsockname()[0]
    except OSError as e:
        return errno.errorcode[e.errno]
    finally:
        u.close()


s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', 7000))
s.listen()
threading.Thread(target=serve, args=(s,), daemon=True).start()
last = None
while True:
    now = source()
    if now != last:
        print('source', now, flush=True)
    last = now
    time.sleep(0.2)
