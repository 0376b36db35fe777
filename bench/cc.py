#!/usr/bin/env python3
"""cc.py - congestion controls judged in the simulator: goodput, queue and fairness, as tables and plots

Started by bench/cc. Everything is on virtual time (tests/sim/goodput), so the figures are the same on every machine.
DCTCP runs with a link that marks behind MARK hundredths of a BDP of queue, the others without marks.
"""
import argparse
import concurrent.futures
import os
import re
import statistics
import subprocess
import sys

CCS = ['cubic', 'reno', 'dctcp', 'bbr']
# Pairs that share a link; the second flow starts later.
PAIRS = ['cubic,cubic', 'cubic,reno', 'reno,reno', 'dctcp,dctcp', 'bbr,bbr', 'cubic,bbr']
MARK = 20


def run(args, cc, loss, rtt, queue, stagger=0):
    """The figures of all seeds: {name: [value, ...]}; 'shares' are lists."""
    cmd = [args.goodput, '--figures', '--mbit', str(args.rate), '--rtt-ms', str(rtt), '--loss', str(round(loss * 10000)),
           '--queue', str(round(queue * 100)), '--seconds', str(args.seconds), '--seeds', str(args.seeds), '--cc', cc,
           '--stagger-ms', str(stagger)]
    if 'dctcp' in cc:
        cmd += ['--mark', str(MARK)]
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
    if r.returncode:
        raise RuntimeError(f'{" ".join(cmd)}: {r.stdout[-300:]}')
    got = {}
    for line in r.stdout.splitlines():
        for name, value in re.findall(r'(\w+)=([\d.,]+)', line):
            got.setdefault(name, []).append([float(v) for v in value.split(',')] if name == 'shares' else float(value))
    return got


def jain(shares):
    """1: all get the same; 1/n: one gets all."""
    return sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares)) if any(shares) else 0


def table(head, body):
    width = [max(len(str(row[i])) for row in [head] + body) for i in range(len(head))]
    return '\n'.join('  '.join(str(c).rjust(w) for c, w in zip(row, width)) for row in [head, ['-' * w for w in width]] + body)


def gnuplot(args, script):
    path = os.path.join(args.tmp, 'cc.gp')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(script)
    subprocess.run(['gnuplot', path], check=False, timeout=60)


def data(args, name, rows):
    path = os.path.join(args.tmp, name + '.dat')
    with open(path, 'w', encoding='utf-8') as f:
        f.writelines(' '.join(str(v) for v in row) + '\n' for row in rows)
    return path


HISTOGRAMS = '''set terminal pngcairo size {width},{height} font "sans,9"
set output "{png}"
set multiplot layout {rows},{cols} title "{title}" noenhanced
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.85 border -1
set grid y
set yrange [0:{top}]
'''


def plot_goodput(args, cells):
    png = os.path.join(args.out, 'cc-goodput.png')
    text = HISTOGRAMS.format(width=130 + 340 * len(args.rtt), height=60 + 260 * len(args.queue), png=png, rows=len(args.queue),
                             cols=len(args.rtt), top='*', title=f'goodput of one flow, {args.rate} Mbit/s, {args.seconds} s')
    for q in args.queue:
        for rtt in args.rtt:
            path = data(args, f'g{q}-{rtt}', [[f'"{loss:g}"'] + [f"{cells[cc, loss, rtt, q]['goodput']:.2f}" for cc in CCS]
                                             for loss in args.loss])
            parts = ', '.join(f'"{path}" using {i + 2}:xtic(1) title "{cc}"' for i, cc in enumerate(CCS))
            text += f'set title "RTT {rtt} ms, queue {q:g} BDP"\nset xlabel "random loss, %"\nset ylabel "Mbit/s"\n' \
                    f'set yrange [0:{args.rate * 1.3}]\nset key top right horizontal\nplot {parts}\n'
    gnuplot(args, text + 'unset multiplot\n')
    return png


def plot_queue(args, cells):
    png = os.path.join(args.out, 'cc-queue.png')
    text = HISTOGRAMS.format(width=130 + 340 * len(args.rtt), height=60 + 260 * len(args.loss), png=png, rows=len(args.loss),
                             cols=len(args.rtt), top='*', title=f'queue of one flow: mean in % of a BDP, {args.rate} Mbit/s')
    for loss in args.loss:
        for rtt in args.rtt:
            path = data(args, f'q{loss}-{rtt}', [[f'"{q:g}"'] + [f"{cells[cc, loss, rtt, q]['queue']:.1f}" for cc in CCS]
                                                 for q in args.queue])
            parts = ', '.join(f'"{path}" using {i + 2}:xtic(1) title "{cc}"' for i, cc in enumerate(CCS))
            text += f'set title "RTT {rtt} ms, loss {loss:g} %"\nset xlabel "buffer, BDP"\nset ylabel "% of a BDP"\n' \
                    f'set key {"top left" if rtt == args.rtt[0] else "off"}\nplot {parts}\n'
    gnuplot(args, text + 'unset multiplot\n')
    return png


def plot_shares(args, fair, loss):
    png = os.path.join(args.out, f'cc-fairness-{loss:g}.png')
    text = HISTOGRAMS.format(width=130 + 420 * len(args.rtt), height=60 + 230 * len(args.queue), png=png, rows=len(args.queue),
                             cols=len(args.rtt), top='*',
                             title=f'two flows share {args.rate} Mbit/s with {loss:g} % loss: each one in the second half of {args.seconds} s')
    text += 'set style histogram rowstacked\nset boxwidth 0.7\nset xtics rotate by -25\n'
    for q in args.queue:
        for rtt in args.rtt:
            path = data(args, f'f{q}-{rtt}-{loss}', [[f'"{p.replace(",", "+")}"'] + [f'{v:.2f}' for v in fair[p, loss, rtt, q]['shares']]
                                                     for p in PAIRS])
            text += f'set title "RTT {rtt} ms, queue {q:g} BDP"\nset ylabel "Mbit/s"\n' \
                    f'set key top right horizontal\n' \
                    f'plot "{path}" using 2:xtic(1) title "first", "" using 3 title "second"\n'
    gnuplot(args, text + 'unset multiplot\n')
    return png


def summary(got):
    return {'goodput': statistics.median(got['mbit']), 'queue': statistics.median(got['queue_mean']),
            'p95': statistics.median(got['queue_p95']), 'again': statistics.median(got['again']),
            'timeouts': statistics.median(got['timeouts'])}


def single(args, pool):
    """One flow in each cell of the grid."""
    keys = [(cc, loss, rtt, q) for cc in CCS for loss in args.loss for rtt in args.rtt for q in args.queue]
    return dict(zip(keys, map(summary, pool.map(lambda k: run(args, *k), keys))))


def shared(args, pool):
    """Two flows in each cell; the second starts ten round trips after the first, but not before 200 ms."""
    keys = [(pair, loss, rtt, q) for pair in PAIRS for loss in args.loss for rtt in args.rtt for q in args.queue]
    fair = {}
    for k, got in zip(keys, pool.map(lambda k: run(args, *k, max(200, 10 * k[2])), keys)):
        shares = [statistics.median(s[i] for s in got['shares']) for i in range(2)]
        fair[k] = {'shares': shares, 'jain': statistics.median(jain(s) for s in got['shares']),
                   'queue': statistics.median(got['queue_mean'])}
    return fair


def tables(args, cells, fair):
    text = [f'{args.rate} Mbit/s, {args.seconds} s of virtual time, medians of {args.seeds} seeds; DCTCP on a link that marks behind {MARK} % '
            'of a BDP', '', 'One flow: goodput in Mbit/s (mean queue in % of a BDP)', '']
    for rtt in args.rtt:
        head = ['RTT ms', 'loss %', 'queue BDP'] + CCS
        body = [[rtt, f'{loss:g}', f'{q:g}'] + [f"{cells[cc, loss, rtt, q]['goodput']:.2f} ({cells[cc, loss, rtt, q]['queue']:.0f})"
                                               for cc in CCS] for loss in args.loss for q in args.queue]
        text += [table(head, body), '']
    text += ['Two flows: Mbit/s of each in the second half, Jain\'s index, mean queue in % of a BDP', '']
    head = ['RTT ms', 'loss %', 'queue BDP'] + [pair.replace(',', ' + ') for pair in PAIRS]
    for rtt in args.rtt:
        body = [[rtt, f'{loss:g}', f'{q:g}'] + ['{:.1f}+{:.1f} {:.2f} ({:.0f})'.format(*f['shares'], f['jain'], f['queue'])
                                               for f in (fair[pair, loss, rtt, q] for pair in PAIRS)]
                for loss in args.loss for q in args.queue]
        text += [table(head, body), '']
    return '\n'.join(text)


def numbers(text):
    return [float(v) if '.' in v else int(v) for v in text.split(',')]


def arguments():
    p = argparse.ArgumentParser(prog='bench/cc', description='Judges congestion controls in the simulator: goodput, queue, fairness.')
    p.add_argument('--loss', type=numbers, default=[0, 0.1, 1, 5], metavar='%,%,...', help='default 0,0.1,1,5')
    p.add_argument('--rtt', type=numbers, default=[1, 20, 100], metavar='MS,MS,...', help='default 1,20,100')
    p.add_argument('--queue', type=numbers, default=[0.5, 1, 4], metavar='BDP,...', help='default 0.5,1,4')
    p.add_argument('--rate', type=int, default=100, help='of the link, Mbit/s (default 100)')
    p.add_argument('--seconds', type=int, default=60, help='of each run, virtual (default 60)')
    p.add_argument('--seeds', type=int, default=3, help='runs of each cell (default 3)')
    p.add_argument('--out', default='results', help='directory of cc.txt and cc-*.png')
    p.add_argument('--goodput', help=argparse.SUPPRESS)
    p.add_argument('--tmp', help=argparse.SUPPRESS)
    args = p.parse_args()
    args.out = os.path.join(os.environ.get('LANE_CWD', '.'), args.out)
    return args


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        cells = single(args, pool)
        fair = shared(args, pool)
    text = tables(args, cells, fair)
    print(text)
    with open(os.path.join(args.out, 'cc.txt'), 'w', encoding='utf-8') as f:
        f.write(text)
    for png in [plot_goodput(args, cells), plot_queue(args, cells)] + [plot_shares(args, fair, loss) for loss in args.loss]:
        print(f'plot: {png}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
