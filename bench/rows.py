"""rows.py - the workloads: which server, which client, what is read from its output

A row is measured on the kernel and on lane by the same commands; on lane the server's is put behind
'lane run', and where 'both' says so the client's too. Servers run as the distribution ships them.
"""
import os
import re
from dataclasses import dataclass, field
from typing import Callable

S4 = '10.77.0.1'


class Bad(Exception):
    """A client's output that is no result."""


@dataclass
class Metric:
    name: str
    unit: str
    more_is_better: bool


@dataclass
class Result:
    values: dict      # by name of the metric
    requests: float   # in units of the row's 'per'
    text: str = ''    # what else is worth saying


@dataclass
class Row:
    key: str
    title: str
    server: Callable      # (Files) -> command
    client: Callable      # (Files, seconds, count) -> command
    parse: Callable       # (output, count) -> Result
    metrics: list
    kernel: str           # the settings of the kernel's side
    udp: bool = False
    both: bool = False    # the client is on lane too
    profile: str = 'default'
    per: str = 'request'  # what CPU time is counted for
    count: int = 0        # > 0: the client runs by count, this many to calibrate
    before: list = field(default_factory=list)  # (Files) -> command of the client, run before
    lane_server: Callable = None  # where the server's command is another on lane


RATE = [Metric('rate', '1/s', True)]
ROUND_TRIP = [Metric('p50', 'us', False), Metric('p99', 'us', False)]
CUBIC = 'cubic, TSO+GSO as shipped'


class Files:
    """Configuration and content of the servers, in a temporary directory."""

    def __init__(self, tmp):
        self.tmp = tmp
        self.port = 7000
        self.www = os.path.join(tmp, 'www')
        os.makedirs(self.www, exist_ok=True)
        with open(os.path.join(self.www, 'index.html'), 'w', encoding='ascii') as f:
            f.write('<html>' + 'x' * 605 + '\n')  # 612 bytes, as nginx' welcome page
        self.conf = os.path.join(tmp, 'nginx.conf')
        self.next_port()

    def next_port(self):
        """Each server gets a port of its own: sockperf does not start over a TIME_WAIT of the last one."""
        self.port += 1
        with open(self.conf, 'w', encoding='ascii') as f:
            f.write(NGINX.format(tmp=self.tmp, www=self.www, port=self.port, address=S4))


# As Debian's, without access log; requests of a connection are not limited, so that none is new.
NGINX = '''daemon off; user www-data; worker_processes 1; pid {tmp}/nginx.pid; error_log {tmp}/nginx.log;
events {{ worker_connections 4096; }}
http {{
	sendfile on; tcp_nopush on; access_log off; keepalive_requests 100000000;
	client_body_temp_path {tmp}/nb; proxy_temp_path {tmp}/np; fastcgi_temp_path {tmp}/nf;
	uwsgi_temp_path {tmp}/nu; scgi_temp_path {tmp}/ns;
	server {{ listen {address}:{port}; root {www}; }}
}}
'''


def redis_server(files):
    return ['redis-server', '--port', str(files.port), '--bind', S4, '--save', '', '--appendonly', 'no',
            '--protected-mode', 'no', '--dir', files.tmp]


def nginx_server(files):
    return ['nginx', '-c', files.conf, '-e', os.path.join(files.tmp, 'nginx.log')]


def memcached_server(files):
    return ['memcached', '-u', 'nobody', '-t', '1', '-l', S4, '-p', str(files.port)]


def iperf3_server(files):
    return ['iperf3', '-s', '-p', str(files.port)]


def redis_client(test, pipeline):
    def command(files, seconds, count):
        return ['redis-benchmark', '-h', S4, '-p', str(files.port), '-c', '50', '-P', str(pipeline),
                '-t', test, '-n', str(count), '--csv']
    return command


def redis_parse(out, count):
    m = re.search(r'^"(?:GET|SET)","([\d.]+)","[\d.]+","[\d.]+","([\d.]+)","[\d.]+","([\d.]+)"', out, re.M)
    if not m:
        raise Bad(out[-300:])
    return Result({'rate': float(m[1])}, count, f'p50 {m[2]} p99 {m[3]} ms')


def memcached_client(files, seconds, count):
    return ['memcaslap', '-s', f'{S4}:{files.port}', '-T', '1', '-c', '16', '-t', f'{seconds}s', '-X', '64', '-w', '1k']


def memcached_parse(out, count):
    m = re.search(r'Ops: (\d+) TPS: (\d+)', out)
    misses = re.search(r'get_misses: (\d+)', out)
    if not m or not int(m[1]) or not misses or int(misses[1]):
        raise Bad(out[-300:])
    # Before its time begins it writes the 1,000 objects of each of the 16 windows.
    return Result({'rate': float(m[2])}, int(m[1]) + 16000)


def wrk_client(*headers):
    def command(files, seconds, count):
        return ['wrk', '-t1', '-c64', f'-d{seconds}s', '--latency', *headers, f'http://{S4}:{files.port}/index.html']
    return command


def wrk_parse(out, count):
    rate = re.search(r'Requests/sec:\s+([\d.]+)', out)
    total = re.search(r'^\s*(\d+) requests in', out, re.M)
    p99 = re.search(r'^\s*99%\s+(\S+)', out, re.M)
    if not rate or not total or not int(total[1]) or 'Non-2xx' in out:
        raise Bad(out[-300:])
    errors = re.search(r'Socket errors: (.*)', out)
    return Result({'rate': float(rate[1])}, int(total[1]),
                  (f'p99 {p99[1]}' if p99 else '') + (f', errors: {errors[1]}' if errors else ''))


def sockperf_server(udp, spin):
    def command(files):
        return ['sockperf', 'sr', '-i', S4, '-p', str(files.port)] + ([] if udp else ['--tcp']) \
            + (['--nonblocked'] if spin else [])
    return command


def sockperf_client(udp, spin):
    def command(files, seconds, count):
        return ['sockperf', 'pp', '-i', S4, '-p', str(files.port), '-t', str(seconds), '-m', '64', '--full-rtt'] \
            + ([] if udp else ['--tcp']) + (['--nonblocked'] if spin else [])
    return command


def sockperf_parse(out, count):
    p50 = re.search(r'percentile 50\.000 =\s*([\d.]+)', out)
    p99 = re.search(r'percentile 99\.000 =\s*([\d.]+)', out)
    sent = re.search(r'\[Total Run\].*ReceivedMessages=(\d+)', out)
    if not p50 or not p99 or not sent:
        raise Bad(out[-300:])
    lost = re.search(r'# dropped messages = (\d+)', out)
    return Result({'p50': float(p50[1]), 'p99': float(p99[1])}, int(sent[1]),
                  f'{lost[1]} lost' if lost and lost[1] != '0' else '')


def iperf3_client(*options):
    def command(files, seconds, count):
        return ['iperf3', '-c', S4, '-p', str(files.port), '-t', str(seconds), '-f', 'm', *options]
    return command


def iperf3_parse(out, count):
    ends = list(re.finditer(r'([\d.]+) (\w)Bytes\s+([\d.]+) Mbits/sec\s+receiver', out))
    if not ends:
        raise Bad(out[-300:])
    m = ends[-1]  # of several streams the sum
    size = float(m[1]) * {'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[m[2]]
    return Result({'rate': float(m[3]) / 1000}, size / 65536)


def redis_row(test, pipeline, count, **more):
    key = f'redis-{test}-p{pipeline}'
    title = f'redis {test.upper()} -c50 -P{pipeline}'
    if more.get('both'):
        key, title = key + '-both', title + ', both ends'
    return Row(key, title, redis_server, redis_client(test, pipeline), redis_parse, RATE, CUBIC, count=count,
               before=[lambda files: redis_client('set', 1)(files, 0, 1000)], **more)


def wrk_row(key, title, *headers, **more):
    return Row(key, title, nginx_server, wrk_client(*headers), wrk_parse, RATE,
               CUBIC + ', sendfile, tcp_nopush', **more)


def sockperf_row(udp, client_spins, server_spins, profile):
    proto = 'UDP' if udp else 'TCP'
    key = f'sockperf-{proto.lower()}-{"spin" if client_spins else "block"}'
    title = f'sockperf {proto} RTT, client {"spins" if client_spins else "blocks"}'
    if server_spins:
        key, title = key + '-spin', title + ', server spins'
    if profile != 'default':
        key, title = key + '-' + profile, title + f', {profile}'
    kernel = f'server {"spins" if server_spins else "blocks"}, {"" if udp else "cubic, "}TCP_NODELAY'
    return Row(key, title, sockperf_server(udp, server_spins), sockperf_client(udp, client_spins),
               sockperf_parse, ROUND_TRIP, kernel.replace(', TCP_NODELAY', '') if udp else kernel, udp=udp,
               profile=profile,
               # a blocking read spins by itself in the latency profile
               lane_server=sockperf_server(udp, False) if server_spins and profile == 'latency' else None)


def rows():
    gbit = [Metric('rate', 'Gb/s', True)]
    return [
        redis_row('get', 1, 20000), redis_row('set', 1, 20000),
        redis_row('get', 16, 100000), redis_row('set', 16, 100000),
        Row('memcached', 'memcached -t1, 9 get : 1 set, -c16', memcached_server, memcached_client,
            memcached_parse, RATE, CUBIC),
        wrk_row('nginx-keepalive', 'nginx 612 B keep-alive, wrk -c64'),
        wrk_row('nginx-close', 'nginx 612 B, new connection each', '-H', 'Connection: close'),
        sockperf_row(False, False, False, 'default'),
        sockperf_row(False, False, False, 'throughput'),  # both sleep for each message
        sockperf_row(False, False, False, 'latency'),
        sockperf_row(False, False, True, 'latency'),
        sockperf_row(False, True, True, 'latency'),
        sockperf_row(True, False, False, 'default'),
        sockperf_row(True, False, False, 'latency'),
        sockperf_row(True, True, True, 'latency'),
        Row('iperf3-in', 'iperf3, server receives', iperf3_server, iperf3_client(), iperf3_parse, gbit,
            CUBIC, per='64 KB'),
        Row('iperf3-in-p4', 'iperf3 -P4, server receives', iperf3_server, iperf3_client('-P', '4'), iperf3_parse, gbit,
            CUBIC, per='64 KB'),
        Row('iperf3-out', 'iperf3, server sends', iperf3_server, iperf3_client('-R'), iperf3_parse, gbit,
            CUBIC, per='64 KB'),
        redis_row('get', 1, 20000, both=True),
        wrk_row('nginx-keepalive-both', 'nginx keep-alive, both ends', both=True),
    ]
