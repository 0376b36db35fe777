"""blocking_echo.py ADDRESS PORT THREADS: a thread per connection, blocking reads.

blocking_echo.py --client ADDRESS PORT N: N exchanges of a byte, 10 ms apart.
"""
import socket
import sys
import threading
import time


def serve(conn):
    with conn:
        while data := conn.recv(4096):
            conn.sendall(data)


def server(address, port, threads):
    with socket.create_server((address, port), backlog=threads) as s:
        for _ in range(1000):
            threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()


def client(address, port, n):
    with socket.create_connection((address, port), 5) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(n):
            s.sendall(b'x')
            if s.recv(1) != b'x':
                sys.exit('wrong byte')
            time.sleep(0.01)


if sys.argv[1] == '--client':
    client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    server(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
