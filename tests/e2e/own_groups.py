"""own_groups.py - multicast in own-address mode

    own_groups.py server ADDRESS           in the lane: joins groups before and after it is bound, answers what comes to them
    own_groups.py client IFNAME ADDRESS    sends to groups, and expects answers from those that the server is in
    own_groups.py reports IFNAME           a line for each group that somebody joins or leaves, as the link has it
"""
import socket
import struct
import sys
import threading

PORT, V4, V6 = 7100, ('239.7.7.1', '239.7.7.2'), 'ff15::7'


def mreq(group, on='0.0.0.0'):
    return socket.inet_aton(group) + socket.inet_aton(on)


def fails(code, f, *args):
    try:
        f(*args)
    except OSError as e:
        if e.errno != code:
            sys.exit(f'{args}: {e}')
    else:
        sys.exit(f'{args} succeeds')


def answer(u):
    while True:
        data, peer = u.recvfrom(2000)
        if data == b'leave':
            u.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, mreq(V4[0]))
        u.sendto(data, peer)


def no_room():
    """The lane has room for 64 memberships: what does not fit is said by bind(), or by the joining itself."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(12)]
    for i, u in enumerate(socks[:11]):
        for k in range(6):
            u.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq(f'239.8.{i}.{k}'))
    for u in socks[:10]:
        u.bind(('0.0.0.0', 0))
    fails(105, socks[10].bind, ('0.0.0.0', 0))
    socks[11].bind(('0.0.0.0', 0))
    for k in range(4):
        socks[11].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq(f'239.8.11.{k}'))
    fails(105, socks[11].setsockopt, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq('239.8.11.4'))
    for u in socks:
        u.close()


def server(address):
    no_room()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq(V4[0]))
    u.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq('239.7.7.4'))
    u.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, mreq('239.7.7.4'))
    fails(98, u.setsockopt, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq(V4[0]))
    u.bind(('0.0.0.0', PORT))
    fails(98, u.setsockopt, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq(V4[0]))
    u.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq(V4[1], address))
    fails(99, u.setsockopt, socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, mreq('239.7.7.3'))
    u6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    u6.bind(('::', PORT))
    u6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, V6) + bytes(4))
    threading.Thread(target=answer, args=(u6,), daemon=True).start()
    print('ready', flush=True)
    answer(u)


def asks(u, to, data=b'hello'):
    u.settimeout(2)
    for _ in range(3):
        u.sendto(data, to)
        try:
            return u.recv(100) == data
        except socket.timeout:
            u.settimeout(1)
    return False


def client(ifname, address):
    index = socket.if_nametoindex(ifname)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack('=4s4si', bytes(4), bytes(4), index))
    u6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    for group in V4:
        if not asks(u, (group, PORT)):
            sys.exit(f'nothing to {group} is answered')
    if not asks(u6, (V6, PORT)):
        sys.exit(f'nothing to {V6} is answered')
    if asks(u, ('239.7.7.3', PORT)) or asks(u, ('239.7.7.4', PORT)):
        sys.exit('a group that nobody is in is answered')
    if not asks(u, (address, PORT), b'leave') or asks(u, (V4[0], PORT)):
        sys.exit('a group that was left is answered')
    query = struct.pack('>BBHI', 0x11, 10, 0xeef5, 0)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack('=4s4si', bytes(4), bytes(4), index))
    raw.sendto(query, ('224.0.0.1', 0))


def reports(ifname):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((ifname, 0))
    print('listens', flush=True)
    while True:
        f = s.recv(2000)
        at = 14 + (f[14] & 15) * 4
        if f[12:14] == b'\x08\x00' and f[23] == 2 and f[at] in (0x16, 0x17):
            print('join' if f[at] == 0x16 else 'leave', socket.inet_ntoa(f[at + 4:at + 8]), flush=True)
        if f[12:14] == b'\x86\xdd' and f[20] == 0 and f[54] == 58 and f[62] in (131, 132):
            print('join' if f[62] == 131 else 'leave', socket.inet_ntop(socket.AF_INET6, f[70:86]), flush=True)


{'server': server, 'client': client, 'reports': reports}[sys.argv[1]](*sys.argv[2:])
