"""own_sockets.py - a program in own-address mode: bind, getsockname, connect, UDP, errors; own_client.py asks it"""
import errno
import socket
import sys
import threading

A4, A6, P4, P6 = sys.argv[1:]


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f'{what}: {got}, not {wanted}')


def tcp(family, ip):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((ip, 7000))
    check('bound to', s.getsockname()[:2], (ip, 7000))
    s.listen()
    check('listens at', s.getsockname()[:2], (ip, 7000))
    return s


def echo(u):
    while True:
        data, peer = u.recvfrom(70000)
        u.sendto(data, peer)


def bind_fails(ip, port, code):
    try:
        socket.socket().bind((ip, port))
    except OSError as e:
        check(f'bind to {ip}', e.errno, code)
    else:
        sys.exit(f'bind to {ip} succeeds')


listeners = [tcp(socket.AF_INET, A4), tcp(socket.AF_INET6, A6)]
bind_fails(A4, 7000, errno.EADDRINUSE)
bind_fails('10.99.99.99', 7000, errno.EADDRNOTAVAIL)
for family, ip in ((socket.AF_INET, A4), (socket.AF_INET6, A6)):
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.bind((ip, 7001))
    check('UDP bound to', u.getsockname()[:2], (ip, 7001))
    threading.Thread(target=echo, args=(u,), daemon=True).start()
for family, peer, ip, bound in ((socket.AF_INET, P4, A4, False), (socket.AF_INET, P4, A4, True),
                                (socket.AF_INET6, P6, A6, False)):
    c = socket.socket(family)
    if bound:
        c.bind((ip, 0))
        check('bound', c.getsockname()[0], ip)
    if family == socket.AF_INET:
        c.connect((peer, 7002))
        check('connected from', c.getsockname()[0], ip)
        check('connected to', c.getpeername()[:2], (peer, 7002))
        c.sendall(b'hello')
        check('echo', c.recv(5), b'hello')
    else:
        try:
            c.connect((peer, 7009))
        except ConnectionRefusedError:
            pass
        else:
            sys.exit('nobody listens, and yet it connects')
    c.close()
    d = socket.socket(family, socket.SOCK_DGRAM)
    d.settimeout(5)
    d.connect((peer, 9))
    check('UDP connected from', d.getsockname()[0], ip)
    check('UDP connected to', d.getpeername()[:2], (peer, 9))
    d.send(b'x')
    try:
        d.recv(1)
    except ConnectionRefusedError:
        pass
    else:
        sys.exit('a closed port of the peer sends datagrams')
# What lies under a connected socket's number hears nobody by the kernel's interfaces.
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
d.connect((P4, 9))
d.settimeout(0.5)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'stranger', ('127.0.0.1', d.getsockname()[1]))
try:
    sys.exit(f'a connected socket hears {d.recv(100)} of a stranger')
except socket.timeout:
    pass
print('ready', flush=True)
for s in listeners:
    c, peer = s.accept()
    check('accepted at', c.getsockname()[:2], s.getsockname()[:2])
    c.sendall(c.recv(100))
    c.close()
print('bye', flush=True)
