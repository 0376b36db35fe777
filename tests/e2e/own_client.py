"""own_client.py - asks own_sockets.py, as a peer on the same link"""
import socket
import sys

for family, ip in ((socket.AF_INET, sys.argv[1]), (socket.AF_INET6, sys.argv[2])):
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.settimeout(5)
    for n in (0, 1, 1400, 5000, 60000):
        u.sendto(b'z' * n, (ip, 7001))
        if len(u.recvfrom(70000)[0]) != n:
            sys.exit(f'a datagram of {n} bytes comes back shorter')
    u.connect((ip, 7999))
    u.send(b'x')
    try:
        u.recv(1)
    except ConnectionRefusedError:
        pass
    else:
        sys.exit('a closed port answers')
    c = socket.socket(family)
    c.settimeout(5)
    try:
        c.connect((ip, 7998))
    except ConnectionRefusedError:
        pass
    else:
        sys.exit('a closed port takes a connection')
    c = socket.create_connection((ip, 7000), 5)
    c.sendall(b'hello')
    if c.recv(5) != b'hello':
        sys.exit('no echo')
