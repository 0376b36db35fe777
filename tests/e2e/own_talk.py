"""own_talk.py - keeps one connection to own_lease.py and says, for each line of input, whether it still echoes

    own_talk.py ADDRESS: "hello"; for a line "echo": "echoed", or why not; for "quiet": "quiet" when nothing comes
"""
import socket
import sys

c = socket.create_connection((sys.argv[1], 7000), 10)
print('hello', flush=True)
for line in sys.stdin:
    try:
        c.settimeout(20 if line.strip() == 'echo' else 2)
        c.sendall(b'x')
        print('echoed' if c.recv(1) == b'x' else 'closed', flush=True)
    except socket.timeout:
        print('quiet', flush=True)
    except OSError as e:
        print(e, flush=True)
