#!/usr/bin/env python3
"""bench.py - measures each row on the kernel and on lane in alternation

Started by bench/run and scripts/demo, which make two namespaces and remove them with all that runs in
them. A measurement starts a fresh server, so that both sides have the same past; the lane's keeper has
detached from the interface before the kernel's turn comes.
"""
import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'scripts'))

import report  # noqa: E402
import rows  # noqa: E402
from ending import clean_up_on_signals  # noqa: E402

CLK = os.sysconf('SC_CLK_TCK')
LINE_GOOD_NS = 400  # cache-line round trip above which the minute is a bad one


def busy_s(cores):
    """Seconds that the cores have worked since boot, whoever for: softirqs belong to nobody."""
    total = 0
    with open('/proc/stat', encoding='ascii') as f:
        for line in f:
            name, *v = line.split()
            if name in (f'cpu{c}' for c in cores):
                v = [int(x) for x in v]
                total += v[0] + v[1] + v[2] + v[5] + v[6]  # user nice system irq softirq
    return total / CLK


class Bench:
    def __init__(self, args):
        self.args = args
        self.files = rows.Files(args.tmp)
        self.counts = {}  # (row, side): requests that take about args.seconds
        self.probes = []
        self.proofs = []

    # ---- commands ----

    def in_ns(self, ns, *cmd):
        return ['nsenter', f'--net=/run/netns/{ns}', *cmd]

    def on(self, side, end, row, cmd):
        """'cmd' of the server's or client's end, on its core, under lane where that is due."""
        ns, ifname, core = {'s': (self.args.ns_s, self.args.if_s, self.args.cores[0]),
                            'c': (self.args.ns_c, self.args.if_c, self.args.cores[1])}[end]
        pre = ['taskset', '-c', str(core)]
        if self.args.rr:
            pre += ['chrt', '--rr', '5']
        if side == 'lane' and (end == 's' or row.both):
            # As the kernel's by route (scripts/lib.sh); lane goes by the sysctl else, which may be BBR.
            pre += [self.args.lane, 'run', '--strict', '--congestion', 'cubic', '-i', ifname]
            pre += [] if row.profile == 'default' else ['--profile', row.profile]
            pre += ['--']
        return self.in_ns(ns, *pre, *cmd)

    def output(self, ns, *cmd):
        r = subprocess.run(self.in_ns(ns, *cmd), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=10, check=False)
        return r.stdout

    # ---- the server ----

    def start(self, side, row):
        self.files.next_port()
        log = open(os.path.join(self.args.tmp, 'server.log'), 'w+', encoding='utf-8')
        command = row.lane_server if side == 'lane' and row.lane_server else row.server
        server = subprocess.Popen(self.on(side, 's', row, command(self.files)), stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log)
        for _ in range(200):
            if server.poll() is not None:
                break
            if self.output(self.args.ns_s, 'ss', '-Hlun' if row.udp else '-Hltn', f'sport = :{self.files.port}'):
                return server
            time.sleep(0.05)
        self.stop(side, server)
        log.seek(0)
        raise rows.Bad('the server did not start: ' + log.read()[-400:])

    def stop(self, side, server):
        server.terminate()
        try:
            server.wait(3)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(3)
        for ns, ifname in ((self.args.ns_s, self.args.if_s), (self.args.ns_c, self.args.if_c)):
            if side == 'lane' and self.pids(ns):
                # The keeper stays for connections in TIME_WAIT, and slows the kernel's traffic down.
                self.output(ns, self.args.lane, 'stop', '-i', ifname)
            self.wait_quiet(side, ns, ifname)

    def pids(self, ns):
        r = subprocess.run(['ip', 'netns', 'pids', ns], stdout=subprocess.PIPE, text=True, check=False)
        return [int(pid) for pid in r.stdout.split()]

    def wait_quiet(self, side, ns, ifname):
        """Nothing of the last server may be there when the next one starts."""
        for _ in range(60):
            if not self.pids(ns) and ' xdp' not in self.output(ns, 'ip', 'link', 'show', ifname):
                return
            time.sleep(0.05)
        for pid in self.pids(ns):
            print(f'  left behind by {side}: {pid} {comm(pid)}, ended now')
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)

    # ---- one measurement ----

    def client(self, side, row, count, seconds):
        cmd = self.on(side, 'c', row, row.client(self.files, seconds, count))
        r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=seconds * 5 + 20, check=False)
        return re.sub(r'\x1b\[[0-9;]*m', '', r.stdout)

    def calibrate(self, side, row):
        """For clients that run by count: how many requests take the wanted time."""
        if not row.count or (row.key, side) in self.counts:
            return
        r = row.parse(self.client(side, row, row.count, 1), row.count)
        self.counts[row.key, side] = max(int(r.values['rate'] * self.args.seconds), row.count)

    def kernel_segments(self, pid):
        """TcpInSegs (UdpInDatagrams) of the server's namespace."""
        with open(f'/proc/{pid}/net/snmp', encoding='ascii') as f:
            lines = [line.split() for line in f]
        values = {}
        for names, numbers in zip(lines[::2], lines[1::2]):
            values |= {names[0] + n: int(v) for n, v in zip(names[1:], numbers[1:])}
        return values['Tcp:InSegs'] + values['Udp:InDatagrams']

    def lane_packets(self):
        """Packets that the lane of the server has received, by lane stat; None: it says nothing."""
        m = re.search(r'rx_packets\W+(\d+)', self.output(self.args.ns_s, self.args.lane, 'stat', '--json', '-i', self.args.if_s))
        return int(m[1]) if m else None

    def measure(self, side, row):
        server = self.start(side, row)
        try:
            for cmd in row.before:
                subprocess.run(self.on('kernel', 'c', row, cmd(self.files)), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=30, check=False)
            self.calibrate(side, row)
            count = self.counts.get((row.key, side), 0)
            segments = self.kernel_segments(server.pid)
            packets = self.lane_packets() if side == 'lane' else None
            busy = busy_s(self.args.cores)
            out = self.client(side, row, count, self.args.seconds)
            busy = busy_s(self.args.cores) - busy
            result = row.parse(out, count)
            if side == 'lane':
                after = self.lane_packets()
                self.prove(row, None if after is None or packets is None else after - packets,
                           self.kernel_segments(server.pid) - segments)
        finally:
            self.stop(side, server)
        result.values['cpu'] = busy * 1e6 / result.requests
        return result

    def prove(self, row, packets, segments):
        self.proofs.append({'row': row.key, 'lane': packets, 'kernel': segments})
        if packets is None:
            raise rows.Bad('lane stat gives no rx_packets')
        if packets < 100 or segments > packets / 10:
            raise rows.Bad(f'not over the lane: {packets} packets there, {segments} in the kernel')

    def probe(self):
        """Waits a little for a good minute; remembers what it was."""
        for _ in range(max(1, self.args.patience)):
            out = subprocess.run([self.args.probe, *map(str, self.args.cores)], stdout=subprocess.PIPE, text=True,
                                 check=True, timeout=30).stdout
            now = {name: int(v) for name, v in (line.split() for line in out.splitlines())}
            if now['line_ns'] <= LINE_GOOD_NS:
                break
            time.sleep(1)
        self.probes.append(now)
        return now

    def row(self, row):
        """All alternations of a row; a run that fails is said and repeated once."""
        out = {'key': row.key, 'title': row.title, 'kernel_settings': row.kernel, 'per': row.per,
               'profile': row.profile, 'runs': {'kernel': [], 'lane': []}, 'errors': []}
        out['metrics'] = [vars(m) for m in row.metrics]
        out['probe'] = self.probe()
        for _ in range(self.args.alternations):
            for side in self.args.sides:
                for _attempt in range(2):
                    try:
                        r = self.measure(side, row)
                    except (rows.Bad, OSError, subprocess.SubprocessError) as e:
                        text = ' '.join(str(e).split())[:300]
                        out['errors'].append(f'{side}: {text}')
                        print(f'  {row.key}: {side} failed: {text}', flush=True)
                        continue
                    out['runs'][side].append(r.values)
                    break
        out['median'] = {side: {k: statistics.median(v[k] for v in runs) for k in runs[0]}
                         for side, runs in out['runs'].items() if runs}
        return out


def comm(pid):
    try:
        with open(f'/proc/{pid}/comm', encoding='utf-8') as f:
            return f.read().strip()
    except OSError:
        return '?'


def arguments():
    p = argparse.ArgumentParser(prog='bench/run', description='Measures servers on the kernel and on lane.')
    p.add_argument('--alternations', type=int, default=5, help='kernel, lane, kernel, lane, ... (default 5)')
    p.add_argument('--seconds', type=int, default=3, help='of each measurement (default 3)')
    p.add_argument('--only', default='', metavar='ROW', help='rows whose key holds one of these parts (a,b); --list shows them')
    p.add_argument('--list', action='store_true', help='show the rows and end')
    p.add_argument('--json', metavar='FILE', help='write all single results')
    p.add_argument('--rr', action='store_true', help='run servers and clients as SCHED_RR, on a machine not quiet')
    p.add_argument('--patience', type=int, default=5, help='seconds to wait for quick cores before each row')
    p.add_argument('--out', default='results', help='directory of bench.txt and bench.png')
    p.add_argument('--kernel-only', dest='sides', action='store_const', const=['kernel'], default=['kernel', 'lane'],
                   help='without lane: what this machine\'s kernel does')
    for name in ('ns-s', 'ns-c', 'if-s', 'if-c', 'lane', 'probe', 'tmp'):
        p.add_argument('--' + name, help=argparse.SUPPRESS)
    args = p.parse_args()
    usable = sorted(os.sched_getaffinity(0))
    args.cores = usable[:2] if len(usable) > 1 else usable * 2
    args.out = os.path.join(os.environ.get('LANE_CWD', '.'), args.out)
    if args.json:
        args.json = os.path.join(os.environ.get('LANE_CWD', '.'), args.json)
    return args


def main():
    args = arguments()
    chosen = [r for r in rows.rows() if any(part in r.key for part in args.only.split(","))]
    if args.list or not chosen:
        print('\n'.join(f'{r.key:32} {r.title}' for r in rows.rows()))
        return 0 if args.list else 2
    clean_up_on_signals()
    bench = Bench(args)
    results = []
    for row in chosen:
        print(f'{len(results) + 1}/{len(chosen)} {row.title}', flush=True)
        results.append(bench.row(row))
    os.makedirs(args.out, exist_ok=True)
    text = report.table(results, args, bench.probes, bench.proofs)
    print(text)
    with open(os.path.join(args.out, 'bench.txt'), 'w', encoding='utf-8') as f:
        f.write(text)
    report.plot(results, os.path.join(args.out, 'bench.png'), args.tmp)
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as f:
            json.dump({'machine': report.machine(), 'args': vars(args), 'probes': bench.probes,
                       'proofs': bench.proofs, 'rows': results}, f, indent=1)
    return 1 if any(len(r['runs'][s]) == 0 for r in results for s in args.sides) else 0


if __name__ == '__main__':
    sys.exit(main())
