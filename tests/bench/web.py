"""What a request takes on its way out of a sandbox, beside other proxies."""
import contextlib
import json
import os
import shutil
import socket
import threading

from machine import Failed, free_port, listens, output, running, table, until, us

CALLS = 5000
LOAD = 30000
CONNECTIONS = 16
NAME = 'web.test'


@contextlib.contextmanager
def resolver():
    """A name server for which every name is this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        s.settimeout(0.2)
        done = threading.Event()

        def serve():
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    q, peer = s.recvfrom(512)
                    end = q.index(0, 12) + 5
                    is_a = q[end - 4:end - 2] == b'\0\1'
                    answer = (b'\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1'
                              if is_a else b'')
                    s.sendto(q[:2] + b'\x81\x80\0\1' +
                             (b'\0\1' if is_a else b'\0\0') + b'\0\0\0\0' +
                             q[12:end] + answer, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f'127.0.0.1:{s.getsockname()[1]}'
        finally:
            done.set()
            thread.join()


def policy(port):
    """One host whose GET requests stand for more, and one asked each time."""
    rule = {'port': port, 'methods': ['GET'], 'addrs': ['127.0.0.1/32']}
    return {'policy': 1, 'workflow': 'bench', 'tenant': 'a', 'actor': 'b',
            'stage': 5, 'tools': {}, 'egress': {'default': 'deny', 'rules': [
                {'host': NAME, **rule},
                {'host': 'path.test', 'paths': ['/**'], **rule}]}}


def measured(bench, address, port, target, host, behind=(), **options):
    """Times of one connection, and requests a second of several."""
    get = json.loads(output([*behind, bench, 'get', address, port, target,
                             host, CALLS], **options))
    load = float(output([*behind, bench, 'load', address, port, target, host,
                         CONNECTIONS, LOAD], **options))
    return get, load


@contextlib.contextmanager
def other(name, build, port):
    """Another proxy, set up to do as little as it can."""
    config = (f'http_port 127.0.0.1:{port}\ncache deny all\n'
              'http_access allow all\naccess_log none\n'
              f'pid_filename {build}/squid.pid\n'
              f'cache_log {build}/squid.log\n')
    argv = [name, '-N', '-f']
    file = build / f'bench-{name}.conf'
    file.write_text(config)
    with open(os.devnull, 'w', encoding='utf-8') as none, running(
            [*argv, file], stdout=none, stderr=none) as p:
        until(lambda: listens(port), 'listener', p)
        yield


def row(name, got, base):
    """A row of the table."""
    get, load = got
    return [name, us(get['p50']), us(get['p99']),
            us(get['p50'] - base['p50']) if get is not base else '',
            f'{load:,.0f}']


def web(build, peers):
    """A small GET over a kept connection."""
    bench = build / 'tests/bench/bench_http'
    port = free_port()
    state, work = build / 'bench-web', build / 'bench-web-work'
    for d in (state, work):
        shutil.rmtree(d, ignore_errors=True)
    work.mkdir()
    inside = shutil.copy(bench, work / 'bench_http')
    file = work / 'policy.json'
    file.write_text(json.dumps(policy(port)))
    rows = []
    with resolver() as at, running([bench, 'serve', port]) as p:
        until(lambda: listens(port), 'listener', p)
        direct = measured(bench, '127.0.0.1', port, '/', 'a')
        rows.append(row('directly', direct, direct[0]))
        run = [build / 'src/paddock', 'run', '--quiet', '--state', state,
               '--dir', work, file, '--']
        for what, host in (('out of a sandbox', NAME),
                           ('the same, every request asked about',
                            'path.test')):
            got = measured(inside, host, port, '/', f'{host}:{port}', run,
                           env={**os.environ, 'PADDOCK_RESOLVER': at})
            rows.append(row(what, got, direct[0]))
        for name in ('squid',) if peers else ():
            if shutil.which(name) is None:
                raise Failed(f'{name} is not installed')
            proxy = free_port()
            with other(name, build, proxy):
                url = f'http://127.0.0.1:{port}/'
                got = measured(bench, '127.0.0.1', proxy, url,
                               f'127.0.0.1:{port}')
            rows.append(row(name, got, direct[0]))
    return table(['', 'p50, us', 'p99, us', 'added p50, us',
                  f'requests/s, {CONNECTIONS} connections'], rows)
