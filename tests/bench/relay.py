"""Bytes that the proxy passes on unread, beside other relays; and what many
connections through it hold."""
import contextlib
import json
import os
import pathlib
import resource
import subprocess

from machine import Failed, free_port, listens, output, running, table, until, us
from web import LOCAL, NAME, policy, sandboxes

POURED = 4 << 30
# Two descriptors each, and some for the rest.
HELD = min(10000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 600) // 2)


def below(pid):
    """All processes below this one, and itself."""
    found = [pid]
    for p in found:
        with contextlib.suppress(OSError):
            for t in pathlib.Path(f'/proc/{p}/task').iterdir():
                found += map(int, (t / 'children').read_text().split())
    return found


def proxy_of(pid):
    """The proxy among the roles below pid."""
    for p in below(pid):
        with contextlib.suppress(OSError):
            words = pathlib.Path(f'/proc/{p}/cmdline').read_text().split('\0')
            if words[1:3] == ['--role', 'proxy']:
                return p
    raise Failed(f'no proxy below {pid}')


def cpu_s(pids):
    """Seconds of a processor that they, and their dead children, have had."""
    ticks = 0
    for p in pids:
        stat = pathlib.Path(f'/proc/{p}/stat').read_text().rpartition(')')[2]
        ticks += sum(map(int, stat.split()[11:15]))
    return ticks / os.sysconf('SC_CLK_TCK')


def pss_mb(pid):
    """What memory of this process is its own, and its part of what is not."""
    for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().split(
            '\n'):
        if line.startswith('Pss:'):
            return int(line.split()[1]) * 1024 / 1e6
    raise Failed(f'no Pss of {pid}')


def sockets_mb():
    """What the kernel holds for TCP's buffers, of the whole machine."""
    text = pathlib.Path('/proc/net/sockstat').read_text()
    pages = int(text.split('TCP: ')[1].split(' mem ')[1].split()[0])
    return pages * os.sysconf('SC_PAGESIZE') / 1e6


@contextlib.contextmanager
def talking(argv, **options):
    """A command that is spoken to by lines."""
    with subprocess.Popen([str(a) for a in argv], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          **options) as p:
        try:
            yield p
            p.stdin.close()
            p.wait(30)
        finally:
            p.terminate()


def said(p, word):
    """The next line, which begins with the word; the rest of it."""
    line = p.stdout.readline().split()
    if not line or line[0] != word:
        raise Failed(f'{p.args[0]}: no "{word}": {line}')
    return line[1:]


def drained(argv, pids, **options):
    """GB/s of one connection, and for each second of a processor of pids,
    which is asked for when the bytes have come."""
    with talking(argv, **options) as p:
        said(p, 'begun')
        before = cpu_s(pids(p.pid))
        p.stdin.write('\n')
        p.stdin.flush()
        n, seconds = said(p, 'drained')
        took = cpu_s(pids(p.pid)) - before
    if int(n) != POURED:
        raise Failed(f'{n} bytes of {POURED} have come')
    return [f'{POURED / 1e9 / float(seconds):.2f}',
            f'{POURED / 1e9 / took:.1f}' if took > 0 else '']


def relays(build, port, at):
    """Other programs that pass on bytes from at to port."""
    conf = build / 'bench-nginx.conf'
    conf.write_text(
        'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n'
        'daemon off; worker_processes 1; error_log stderr crit;\n'
        f'pid {build}/bench-nginx.pid;\nevents {{ }}\n'
        f'stream {{ server {{ listen 127.0.0.1:{at}; proxy_buffer_size 256k;'
        f' proxy_pass 127.0.0.1:{port}; }} }}\n')
    return {'nginx stream': ['nginx', '-c', conf],
            'socat': ['socat', '-b', 262144,
                      f'TCP-LISTEN:{at},fork,reuseaddr,bind=127.0.0.1',
                      f'TCP:127.0.0.1:{port}']}


def splice(build, peers):
    """Bytes that are passed on unread."""
    bench = build / 'tests/bench/bench_http'
    port, at = free_port(), free_port()
    rows = []
    with running([bench, 'pour', port, POURED]) as p:
        until(lambda: listens(port), 'listener', p)
        rows.append(['directly', *drained(
            [bench, 'drain', '127.0.0.1', port], lambda pid: [])])
        with sandboxes(build, policy([{'host': NAME, 'port': port,
                                       'proto': 'tcp', **LOCAL}])) as (
                run, inside, env):
            rows.append(['out of a sandbox', *drained(
                [*run, inside, 'drain', NAME, port],
                lambda pid: [proxy_of(pid)], env=env)])
        for name, argv in relays(build, port, at).items() if peers else ():
            with running(argv) as relay:
                until(lambda: listens(at), 'listener', relay)
                rows.append([name, *drained(
                    [bench, 'drain', '127.0.0.1', at],
                    lambda pid, r=relay: below(r.pid))])
    return table(['', 'GB/s', 'GB/s for each processor the relay had'], rows)


def flows(build, _peers):
    """Many connections that stay."""
    bench = build / 'tests/bench/bench_http'
    port = free_port()
    document = policy([{'host': NAME, 'port': port, 'methods': ['GET'],
                        **LOCAL}], max_connections=11264,
                      max_connections_per_s=12288)
    with sandboxes(build, document) as (run, inside, env), running(
            [bench, 'serve', port]) as p:
        until(lambda: listens(port), 'listener', p)
        with talking([*run, inside, 'hold', NAME, port, '/', f'{NAME}:{port}',
                      HELD], env=env) as held:
            said(held, 'begun')
            proxy = proxy_of(held.pid)
            idle, kernel = pss_mb(proxy), sockets_mb()
            held.stdin.write('\n')
            held.stdin.flush()
            said(held, 'held')
            full, kernel_full = pss_mb(proxy), sockets_mb()
            held.stdin.write('\n')
            held.stdin.flush()
            said(held, 'answered')
    return table(['connections', 'PSS of the proxy, MB',
                  'buffers of all TCP sockets, MB'],
                 [[0, f'{idle:.1f}', f'{kernel:.1f}'],
                  [f'{HELD:,}', f'{full:.1f}', f'{kernel_full:.1f}']])


def net(build, _peers):
    """The sockets and rules of a new sandbox's network."""
    got = json.loads(output([build / 'tests/bench/bench_net']))
    return table(['microseconds', 'min', 'p50', 'p99'], [
        [name, *(us(got[key][k]) for k in ('min', 'p50', 'p99'))]
        for name, key in (('a network namespace, its loopback up',
                           'namespace_us'),
                          ('listeners, rules and DNS stub in it',
                           'net_open_us'))])
