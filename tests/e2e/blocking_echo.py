"""blocking_echo.py ADDRESS PORT THREADS: a thread per connection, blocking reads.

A byte 'p' parks its thread: it waits on something else for the rest of its life.
blocking_echo.py --client ADDRESS PORT N: N exchanges of a byte, 10 ms apart.
blocking_echo.py --park ADDRESS PORT N: the same, then parks its thread of the server, says so, and stays.
"""
import socket
import sys
import threading
import time


def serve(conn):
    with conn:
        while data := conn.recv(4096):
            conn.sendall(data)
            if data == b'p':
                time.sleep(1000)


def server(address, port, threads):
    with socket.create_server((address, port), backlog=threads) as s:
        for _ in range(1000):
            threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()


def exchange(s, byte):
    s.sendall(byte)
    if s.recv(1) != byte:
        sys.exit('wrong byte')


def client(address, port, n, park):
    with socket.create_connection((address, port), 5) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(n):
            exchange(s, b'x')
            time.sleep(0.01)
        if park:
            exchange(s, b'p')
            print('parked', flush=True)
            time.sleep(60)


if sys.argv[1] in ('--client', '--park'):
    client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[1] == '--park')
else:
    server(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
