#!/usr/bin/env python3
"""flood.py - connections on lane beside a flood of SYNs: throughput, and how long new clients wait

Started by bench/flood/run, which makes the namespaces. Three states are measured in turn, round by round: no flood; the
flood to an interface of the server that drops every frame by XDP in the same mode (a veth pair of its own, from the same core);
the flood to the port that the server under lane listens on. The connections stand before the flood begins. The
server is on core 0, client and flooder share core 1, so the flood's own cost is in both of its states.
"""
import argparse
import ctypes
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

S4 = '10.77.0.1'
PORTS = {'to server': 5201, 'from server': 5201, 'redis GET': 6379}
STATES = ('quiet', 'dropped', 'lane')


class Flood:
    def __init__(self, args):
        self.args = args
        self.rates = {}

    def in_ns(self, ns, *cmd):
        return ['nsenter', f'--net=/run/netns/{ns}', *cmd]

    def client(self, *cmd):
        return self.in_ns(self.args.ns_c, 'taskset', '-c', '1', *cmd)

    def mac(self, ifname):
        out = subprocess.run(['ip', '-n', self.args.ns_s, '-j', 'link', 'show', ifname], stdout=subprocess.PIPE, check=True)
        return json.loads(out.stdout)[0]['address']

    def start(self, state, port, seconds):
        """The flooder of this state, or None."""
        if state == 'quiet':
            return None
        a = self.args
        here, there = (a.drop_c, a.drop_s) if state == 'dropped' else (a.if_c, a.if_s)
        return subprocess.Popen(self.client(a.flood, '--if', here, '--mac', self.mac(there), '--dst', S4, '--port', str(port),
                                            '--seconds', str(seconds), '--rate', str(a.rate)),
                                stdout=subprocess.PIPE, text=True)

    def end(self, state, flooder):
        if not flooder:
            return
        words = flooder.communicate(timeout=30)[0].split()
        self.rates.setdefault(state, []).append(int(words[1]) / float(words[5]))

    def iperf3(self, state, back):
        """Mbit/s of a stream that stood before, while the flood goes on."""
        seconds = self.args.seconds
        p = subprocess.Popen(self.client('iperf3', '-c', S4, '-t', str(seconds + 3), '-i', '0.5', '-J', *(['-R'] if back else [])),
                             stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        flooder = self.start(state, 5201, seconds + 1.5)
        out = p.communicate(timeout=seconds + 60)[0]
        self.end(state, flooder)
        parts = [i['sum'] for i in json.loads(out)['intervals']]
        parts = [i for i in parts if 1.5 <= i['start'] and i['end'] <= 2 + seconds]
        return sum(i['bytes'] for i in parts) * 8 / sum(i['seconds'] for i in parts) / 1e6

    def redis_count(self, s):
        s.sendall(b'INFO stats\r\n')
        text = b''
        while b'total_net_input' not in text:
            text += s.recv(65536)
        return int(text.split(b'total_commands_processed:')[1].split()[0])

    def redis(self, state):
        """Thousand requests a second of 20 clients that stood before."""
        s = self.connect()
        p = subprocess.Popen(self.client('redis-benchmark', '-h', S4, '-c', '20', '-n', '100000000', '-t', 'get', '-q'),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        flooder = self.start(state, 6379, self.args.seconds + 1.5)
        time.sleep(0.5)
        n, t = self.redis_count(s), time.monotonic()
        time.sleep(self.args.seconds)
        rate = (self.redis_count(s) - n) / (time.monotonic() - t) / 1e3
        p.terminate()
        p.wait()
        self.end(state, flooder)
        s.close()
        return rate

    def connect(self):
        s = socket.create_connection((S4, 6379), timeout=20)
        s.settimeout(20)
        return s

    def newcomers(self, state):
        """Seconds until new clients, one each 0.2 s, have an answer: all of them, sorted."""
        waits, threads = [], []

        def one():
            t = time.monotonic()
            try:
                s = self.connect()
                s.sendall(b'PING\r\n')
                s.recv(16)
                s.close()
                waits.append(time.monotonic() - t)
            except OSError:
                waits.append(20.0)
        flooder = self.start(state, 6379, self.args.seconds + 7)
        end = time.monotonic() + self.args.seconds
        while time.monotonic() < end:
            threads.append(threading.Thread(target=one))
            threads[-1].start()
            time.sleep(0.2)
        for t in threads:
            t.join()
        self.end(state, flooder)
        return sorted(waits)

    def server(self, *cmd):
        log = open(os.path.join(self.args.tmp, 'server'), 'w')
        return subprocess.Popen(self.in_ns(self.args.ns_s, 'taskset', '-c', '0', self.args.lane, 'run', '--strict', '-i', self.args.if_s,
                                           '--', *cmd), stdout=log, stderr=log)

    def measure(self, row, state):
        cmd = ['iperf3', '-s'] if PORTS[row] == 5201 else ['redis-server', '--port', '6379', '--bind', S4, '--save', '',
                                                         '--appendonly', 'no', '--protected-mode', 'no']
        server = self.server(*cmd)
        try:
            time.sleep(1.5)
            if PORTS[row] == 5201:
                return self.iperf3(state, row == 'from server')
            return self.redis(state)
        finally:
            server.terminate()
            server.wait()

    def run(self):
        got = {(r, s): [] for r in PORTS for s in STATES}
        for n in range(self.args.rounds):
            for row in self.args.rows:
                for state in STATES:
                    got[row, state].append(self.measure(row, state))
                    print(f'  round {n + 1}: {row}, {state}: {got[row, state][-1]:.1f}', file=sys.stderr, flush=True)
        self.table(got)
        server = self.server('redis-server', '--port', '6379', '--bind', S4, '--save', '', '--appendonly', 'no', '--protected-mode', 'no')
        time.sleep(1.5)
        waits = self.newcomers('lane')
        server.terminate()
        server.wait()
        print(f'new clients beside the flood to their port: {len(waits)}, half within {statistics.median(waits):.2f} s, all within '
              f'{waits[-1]:.2f} s')
        for state, rates in self.rates.items():
            print(f'flood, {state}: {statistics.median(rates) / 1e3:.0f} thousand SYNs a second')
        return waits[-1] < 5

    def table(self, got):
        print(f'{"":<14}{"no flood":>10}{"dropped":>10}{"to lane":>10}{"lane/dropped":>14}')
        for row in self.args.rows:
            m = [statistics.median(got[row, s]) for s in STATES]
            print(f'{row:<14}{m[0]:>10.1f}{m[1]:>10.1f}{m[2]:>10.1f}{m[2] / m[1]:>14.2f}')
        print(f'iperf3 in Mbit/s, redis in thousand requests a second; medians of {self.args.rounds} rounds of {self.args.seconds:g} s')


def main():
    p = argparse.ArgumentParser(prog='bench/flood/run', description=__doc__.split('\n', maxsplit=1)[0].split(' - ')[1])
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--seconds', type=float, default=3)
    p.add_argument('--rows', type=lambda v: v.split(','), default=list(PORTS), help='of: ' + ', '.join(PORTS))
    p.add_argument('--rate', type=int, default=0, help='SYNs a second; 0: as many as the veth carries')
    for name in ('ns-s', 'ns-c', 'if-s', 'if-c', 'drop-s', 'drop-c', 'lane', 'flood', 'tmp'):
        p.add_argument('--' + name, help=argparse.SUPPRESS)
    args = p.parse_args()
    if not args.ns_s:
        p.error('bench/flood/run starts it')
    # The clients that are sockets of ours, too, are in the client's namespace, on core 1.
    os.sched_setaffinity(0, {1})
    with open(f'/run/netns/{args.ns_c}') as ns:
        if ctypes.CDLL(None, use_errno=True).setns(ns.fileno(), 0):
            sys.exit('cannot enter the namespace')
    sys.exit(not Flood(args).run())


if __name__ == '__main__':
    main()
