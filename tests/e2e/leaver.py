#!/usr/bin/env python3
"""leaver.py - a kernel server that leaves its port to another

send HOST PORT N BYTES  accepts N, queues BYTES on each and exits with most of it still to be sent
stay HOST PORT          accepts one, closes the listener, says "alone", then echoes on the connection
"""
import socket
import sys

SO_SNDBUFFORCE = 32  # Linux; python does not name it

def listener(host, port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, int(port)))
    s.listen(16)
    return s


def send(host, port, n, size):
    s = listener(host, port)
    conns = []
    for _ in range(int(n)):
        c, _ = s.accept()
        c.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * int(size))
        conns.append(c)
    for c in conns:
        c.recv(1)
        c.setblocking(False)
        left = int(size)
        while left:
            try:
                left -= c.send(bytes(left))
            except BlockingIOError:
                sys.exit(f'{left} bytes do not fit into the send buffer')
    print('left', flush=True)


def stay(host, port):
    s = listener(host, port)
    c, _ = s.accept()
    s.close()
    print('alone', flush=True)
    while data := c.recv(65536):
        c.sendall(data.replace(b'PING\r\n', b'+PONG\r\n'))


if __name__ == '__main__':
    {'send': send, 'stay': stay}[sys.argv[1]](*sys.argv[2:])
