#!/usr/bin/env python3
"""goodput.py - what one flow gets through an emulated link: Linux to Linux, lane to Linux, Linux to lane

Started by bench/goodput, which makes the namespaces. For each cell of the table all pairs run one after
the other, round by round, through the same link with the same seed; iperf3's receiver says what arrived. The
link is turned round when the data flows the other way, so that it always meets the same faults.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

import bench
import report
import rows
from ending import clean_up_on_signals

# The sender is named first. lane is in the server's namespace always.
PAIRS = {
    'linux': ('Linux > Linux', 'kernel', True),
    'lane-tx': ('lane > Linux', 'lane', True),
    'lane-rx': ('Linux > lane', 'lane', False),
}
FRAME = 1514


class Goodput(bench.Bench):
    def __init__(self, args):
        super().__init__(args)
        self.faults = []  # what the link said of each run

    def queue(self, rtt):
        """Bytes: the bandwidth-delay product, but never less than 64 frames."""
        return self.args.queue or max(int(self.args.rate * 1e6 / 8 * rtt / 1000), 64 * FRAME)

    def start_link(self, loss, rtt, seed, sends):
        a, b = (self.args.link_a, self.args.link_b) if sends else (self.args.link_b, self.args.link_a)
        cmd = self.in_ns(self.args.ns_m, 'chrt', '--rr', '10', self.args.link, '--a', a, '--b', b,
                         '--rate', str(self.args.rate), '--delay', str(rtt / 2), '--loss', str(loss),
                         '--queue', str(self.queue(rtt)), '--seed', str(seed))
        link = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if 'up' not in link.stdout.readline():
            raise rows.Bad('the link did not start')
        return link

    def stop_link(self, link, key):
        link.terminate()
        out, _ = link.communicate(timeout=5)
        figures = {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', out.split('\n')[0])}
        self.faults.append(dict(figures, run=key))
        return figures

    def client(self, sends, seconds):
        cmd = ['iperf3', '-c', rows.S4, '-p', str(self.files.port), '-t', str(seconds), '-J',
               *(['-R'] if sends else [])]
        r = subprocess.run(self.in_ns(self.args.ns_c, *cmd), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=seconds * 2 + 30, check=False)
        try:
            return json.loads(r.stdout)['end']['sum_received']['bits_per_second'] / 1e6
        except (ValueError, KeyError) as e:
            raise rows.Bad(' '.join(r.stdout.split())[-200:]) from e

    def once(self, pair, loss, rtt, seed):
        _, side, sends = PAIRS[pair]
        for ns in (self.args.ns_s, self.args.ns_c):
            self.output(ns, 'ip', 'tcp_metrics', 'flush', 'all')
        link = self.start_link(loss, rtt, seed, sends)
        try:
            server = self.start(side, IPERF3)
            try:
                rate = self.client(sends, self.args.seconds)
                if side == 'lane' and (self.lane_packets() or 0) < 50:
                    raise rows.Bad('not over the lane')
            finally:
                self.stop(side, server)
        finally:
            figures = self.stop_link(link, f'{pair} {loss} {rtt} {seed}')
        if figures.get('overruns') or figures.get('send_failed'):
            raise rows.Bad(f'the emulated link was too slow: {figures}')
        return rate

    def cell(self, loss, rtt):
        """{pair: [Mbit/s, ...]} of all rounds; a run that fails is said and repeated once."""
        got = {pair: [] for pair in self.args.pairs}
        for n in range(self.args.rounds):
            for pair in self.args.pairs:
                for _attempt in range(2):
                    try:
                        got[pair].append(self.once(pair, loss, rtt, self.args.seed + n))
                        break
                    except (rows.Bad, OSError, subprocess.SubprocessError) as e:
                        print(f'  {pair}, loss {loss} %, {rtt} ms failed: {" ".join(str(e).split())[:300]}', flush=True)
        return got


IPERF3 = rows.Row('iperf3', 'iperf3', rows.iperf3_server, None, None, [], '')


def median(values):
    return statistics.median(values) if values else None


def table(results, args, faults):
    head = ['loss %', 'RTT ms'] + [PAIRS[p][0] for p in args.pairs] + \
        [PAIRS[p][0] + ' / Linux' for p in args.pairs[1:]] + ['runs, Mbit/s']
    body = []
    for loss, rtt, got in results:
        m = [median(got[p]) for p in args.pairs]
        runs = '; '.join(' '.join(f'{v:.1f}' for v in got[p]) for p in args.pairs)
        body.append([f'{loss:g}', f'{rtt:g}'] + [report.number(v) for v in m] +
                    [report.ratio(m[0], v) for v in m[1:]] + [runs])
    width = [max(len(row[i]) for row in [head] + body) for i in range(len(head))]
    late = [f['late_us_p99'] for f in faults if 'late_us_p99' in f]
    lines = ['', report.machine(),
             f'goodput in Mbit/s of one flow, medians of {args.rounds} x {args.seconds} s, start included; CUBIC; the sender named '
             'first', f'emulated link: {args.rate:g} Mbit/s, loss both ways, queue '
             + (f'{args.queue} bytes' if args.queue else f'1 BDP, at least {64 * FRAME} bytes')
             + f', seeds {args.seed}..{args.seed + args.rounds - 1}, no offloads; '
             f'frames left late by at most {max(late, default=0)} us (worst p99)', '']
    lines += ['  '.join(c.rjust(w) if i < len(head) - 1 else c.ljust(w) for i, (c, w) in enumerate(zip(row, width))).rstrip()
              for row in [head, ['-' * w for w in width]] + body]
    return '\n'.join(lines) + '\n'


PLOT = '''set terminal pngcairo size {width},420 font "sans,10"
set output "{png}"
set multiplot layout 1,{panels} title "goodput of one flow through an emulated link, {rate:g} Mbit/s, {machine}" noenhanced
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8
set yrange [0:*]
set grid y
set key top right
set xlabel "random loss, %"
'''
PANEL = '''set title "RTT {rtt:g} ms"
set ylabel "Mbit/s"
plot {parts}
'''


def plot(results, args, png):
    """A panel for each round trip, a group of bars for each loss."""
    rtts = list(dict.fromkeys(rtt for _, rtt, _ in results))
    text = PLOT.format(png=png, panels=len(rtts), rate=args.rate, machine=report.machine(), width=120 + 360 * len(rtts))
    for k, rtt in enumerate(rtts):
        data = os.path.join(args.tmp, f'goodput{k}.dat')
        with open(data, 'w', encoding='utf-8') as f:
            for loss, r, got in results:
                if r == rtt:
                    f.write(f'"{loss:g}" ' + ' '.join(f'{median(got[p]) or 0:.2f}' for p in args.pairs) + '\n')
        text += PANEL.format(rtt=rtt, parts=', '.join(
            f'"{data}" using {i + 2}:xtic(1) title "{PAIRS[p][0]}"' for i, p in enumerate(args.pairs)))
    script = os.path.join(args.tmp, 'goodput.gp')
    with open(script, 'w', encoding='utf-8') as f:
        f.write(text + 'unset multiplot\n')
    subprocess.run(['gnuplot', script], check=False, timeout=30)
    print(f'plot: {png}')


def numbers(text):
    return [float(v) for v in text.split(',')]


def arguments():
    p = argparse.ArgumentParser(prog='bench/goodput', description='Measures goodput by loss and round trip, lane and Linux.')
    p.add_argument('--loss', type=numbers, default=[0, 0.1, 1, 5], metavar='%,%,...', help='default 0,0.1,1,5')
    p.add_argument('--rtt', type=numbers, default=[1, 20, 100], metavar='MS,MS,...', help='default 1,20,100')
    p.add_argument('--seconds', type=int, default=5, help='of each run (default 5)')
    p.add_argument('--rounds', type=int, default=1, help='runs of each pair in each cell (default 1)')
    p.add_argument('--rate', type=float, default=200, help='of the link, Mbit/s (default 200)')
    p.add_argument('--queue', type=int, default=0, help='of the link, bytes (default: 1 BDP, at least 64 frames)')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--pairs', type=lambda t: t.split(','), default=list(PAIRS), help=','.join(PAIRS))
    p.add_argument('--long', action='store_true', help='1 %% loss, 50 ms, 5 rounds of 60 s: what the issue asks for')
    p.add_argument('--json', metavar='FILE', help='write all single results')
    p.add_argument('--out', default='results', help='directory of goodput.txt and goodput.png')
    for name in ('ns-s', 'ns-c', 'ns-m', 'if-s', 'if-c', 'link-a', 'link-b', 'lane', 'link', 'tmp'):
        p.add_argument('--' + name, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.long:
        args.loss, args.rtt, args.seconds, args.rounds = [1], [50], 60, 5
    if not set(args.pairs) <= set(PAIRS):
        p.error(f'pairs are {",".join(PAIRS)}')
    args.cores, args.rr = sorted(os.sched_getaffinity(0)), False
    cwd = os.environ.get('LANE_CWD', '.')
    args.out = os.path.join(cwd, args.out)
    args.json = args.json and os.path.join(cwd, args.json)
    return args


def main():
    args = arguments()
    clean_up_on_signals()
    g, results, began = Goodput(args), [], time.monotonic()
    for loss in args.loss:
        for rtt in args.rtt:
            got = g.cell(loss, rtt)
            results.append((loss, rtt, got))
            print(f'{time.monotonic() - began:4.0f} s  loss {loss:g} %, {rtt:g} ms: '
                  + ', '.join(f'{PAIRS[p][0]} {report.number(median(v))}' for p, v in got.items()), flush=True)
    os.makedirs(args.out, exist_ok=True)
    text = table(results, args, g.faults)
    print(text)
    with open(os.path.join(args.out, 'goodput.txt'), 'w', encoding='utf-8') as f:
        f.write(text)
    plot(results, args, os.path.join(args.out, 'goodput.png'))
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as f:
            json.dump({'machine': report.machine(), 'args': vars(args), 'link': g.faults,
                       'cells': [{'loss': loss, 'rtt': rtt, 'mbit': got} for loss, rtt, got in results]}, f, indent=1)
    return 1 if any(not v for _, _, got in results for v in got.values()) else 0


if __name__ == '__main__':
    sys.exit(main())
