"""report.py - one table of text and one plot of a benchmark's results"""
import os
import statistics
import subprocess


def machine():
    model = ''
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        for line in f:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    return f'{model}, {os.cpu_count()} cores, Linux {os.uname().release}'


def number(v):
    """Three or four significant digits."""
    if v is None:
        return '-'
    if v >= 100000:
        return f'{v / 1000:.0f} k'
    if v >= 10000:
        return f'{v / 1000:.1f} k'
    return f'{v:.0f}' if v >= 1000 else f'{v:.1f}' if v >= 10 else f'{v:.2f}'


def ratio(a, b):
    return f'{b / a:.2f}' if a and b else '-'


def spread(runs, name):
    """How far the runs of a side lie apart, in percent of their median."""
    v = [r[name] for r in runs]
    return f'{100 * (max(v) - min(v)) / statistics.median(v):.0f}' if v else '-'


def median(row, side, name):
    return row['median'].get(side, {}).get(name)


def lines(row):
    """A row's cells, one line for each of its metrics."""
    for m in row['metrics']:
        k, ln = (median(row, side, m['name']) for side in ('kernel', 'lane'))
        ck, cl = (median(row, side, 'cpu') for side in ('kernel', 'lane'))
        title = row['title'] + ('' if m['name'] == 'rate' else ', ' + m['name'])
        first = m is row['metrics'][0]
        yield [title, m['unit'], number(k), number(ln), ratio(k, ln),
               spread(row['runs']['kernel'], m['name']) + '/' + spread(row['runs']['lane'], m['name']),
               f'{number(ck)} {number(cl)} {ratio(ck, cl)}' if first else '',
               row['per'] if first else '', row['kernel_settings'] if first else '']


def range_us(values):
    return f'{min(values) / 1000:.2f} .. {max(values) / 1000:.2f} us'


def table(results, args, probes, proofs):
    head = ['workload', 'unit', 'kernel', 'lane', 'ratio', 'spread %', 'CPU us: kernel lane ratio', 'per', "kernel's side"]
    body = [cells for r in results for cells in lines(r)]
    width = [max(len(row[i]) for row in [head] + body) for i in range(len(head))]
    left = {0, 1, 7, 8}

    def fmt(cells):
        return '  '.join(c.ljust(w) if i in left else c.rjust(w)
                         for i, (c, w) in enumerate(zip(cells, width))).rstrip()
    out = ['', machine(),
           f'medians of {args.alternations} alternations of {args.seconds} s; server on core {args.cores[0]}, client on '
           f'core {args.cores[1]}; one veth pair, one queue, MTU 1500; CUBIC on both sides',
           f'cache line round trip {range_us([p["line_ns"] for p in probes])}, wake round trip '
           f'{range_us([p["wake_ns"] for p in probes])}; spread of the runs: kernel/lane',
           'ratio is lane / kernel: above 1 is better for rates, below 1 for times; CPU time is that of both cores',
           '', fmt(head), fmt(['-' * w for w in width])]
    out += [fmt(cells) for cells in body]
    out += [''] + proof(proofs)
    out += [f'failed: {r["key"]}: {e}' for r in results for e in r['errors']]
    return '\n'.join(out) + '\n'


def proof(proofs):
    """What proves that the bytes went through the lane."""
    seen = [p for p in proofs if p['lane'] is not None]
    if not seen:
        return []
    return ['over the lane: packets received by it (lane stat) and by the kernel of the server\'s namespace '
            '(InSegs, InDatagrams), sums of all runs'] + \
        [f'  {key:32} {sum(p["lane"] for p in seen if p["row"] == key):>12} '
         f'{sum(p["kernel"] for p in seen if p["row"] == key):>10}'
         for key in dict.fromkeys(p['row'] for p in seen)]


PLOT = '''set terminal pngcairo size 1000,{height} font "sans,10"
set output "{png}"
set title "lane against the kernel (1.0), {machine}" noenhanced
set xlabel "speed: rate lane / kernel, or time kernel / lane"
set style fill solid 0.8
set yrange [-0.7:{top}]
set xrange [0:*]
set ytics noenhanced
set grid x
set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 front
unset key
plot "{data}" using ($2/2):0:($2/2):(0.35):ytic(1) with boxxyerror lc rgb "#3070b0", \\
     "" using ($2 + 0.02):0:2 with labels left font "sans,9"
'''


def plot(results, png, tmp):
    """A bar for each row, so that longer is better everywhere."""
    bars = []
    for r in results:
        m = r['metrics'][0]
        k, ln = (median(r, side, m['name']) for side in ('kernel', 'lane'))
        if k and ln:
            bars.append((r['title'], ln / k if m['more_is_better'] else k / ln))
    if not bars:
        return
    data, script = os.path.join(tmp, 'plot.dat'), os.path.join(tmp, 'plot.gp')
    with open(data, 'w', encoding='utf-8') as f:
        f.writelines(f'"{title}" {v:.2f}\n' for title, v in reversed(bars))
    with open(script, 'w', encoding='utf-8') as f:
        f.write(PLOT.format(png=png, height=120 + 34 * len(bars), top=len(bars) - 0.3, data=data, machine=machine()))
    subprocess.run(['gnuplot', script], check=False, timeout=30)
    print(f'plot: {png}')
