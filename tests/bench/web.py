"""What a request takes on its way out of a sandbox, beside other proxies."""
import contextlib
import json
import os
import shutil
import time
import socket
import threading

from machine import (TOP, Failed, free_port, listens, output, running, table,
                     until, us)

CALLS = 5000
LOAD = 30000
CONNECTIONS = 16
NAME = 'web.test'
SRT = 'sandbox-runtime'
TINY = 'tinyproxy'
LOCAL = {'addrs': ['127.0.0.1/32']}


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


def policy(rules, **egress):
    """What the sandbox of a measurement may do."""
    return {'policy': 1, 'workflow': 'bench', 'tenant': 'a', 'actor': 'b',
            'stage': 5, 'tools': {}, 'sandbox': {'memory_mb': 1024},
            'defaults': {'by_risk': {'external_write': 'allow'}},
            'egress': {'default': 'deny', 'rules': rules, **egress}}


@contextlib.contextmanager
def sandboxes(build, document):
    """The words in front of a command that runs in a sandbox under that
    policy, the copy of the client in there, and the environment for it."""
    state, work = build / 'bench-web', build / 'bench-web-work'
    for d in (state, work):
        shutil.rmtree(d, ignore_errors=True)
    work.mkdir()
    inside = shutil.copy(build / 'tests/bench/bench_http', work / 'bench_http')
    file = work / 'policy.json'
    file.write_text(json.dumps(document))
    with resolver() as at:
        yield ([build / 'src/paddock', 'run', '--quiet', '--state', state,
                '--dir', work, file, '--'], inside,
               {**os.environ, 'PADDOCK_RESOLVER': at})
    shutil.rmtree(state, ignore_errors=True)


def measured(bench, address, port, target, host, behind=(), **options):
    """Times of one connection, and requests a second of several."""
    get = json.loads(output([*behind, bench, 'get', address, port, target,
                             host, CALLS], **options))
    load = float(output([*behind, bench, 'load', address, port, target, host,
                         CONNECTIONS, LOAD], **options))
    return get, load


def ports_free():
    """Proxies that make a connection for each request leave its port taken
    for a minute, and the next one would run out of them."""
    def few():
        with open('/proc/net/sockstat', encoding='ascii') as f:
            words = f.read().split()
        return int(words[words.index('tw') + 1]) < 2000

    end = time.monotonic() + 120
    while not few():
        if time.monotonic() > end:
            raise Failed('connections are still ending after two minutes')
        time.sleep(0.5)


@contextlib.contextmanager
def other(name, build, port):
    """Another proxy, set up to do as little as it can."""
    file = build / f'bench-{name}.conf'
    argv = {'squid': ['squid', '-N', '-f', file],
            TINY: ['tinyproxy', '-d', '-c', file],
            SRT: ['node', TOP / 'tests/bench/peer/srt_proxy.mjs', port]}[name]
    if shutil.which(argv[0]) is None:
        raise Failed(f'{argv[0]} is not installed')
    if name == 'squid':
        file.write_text(f'http_port 127.0.0.1:{port}\ncache deny all\n'
                        'http_access allow all\naccess_log none\n'
                        f'pid_filename {build}/squid.pid\n'
                        f'cache_log {build}/squid.log\n')
    if name == TINY:
        file.write_text(f'Port {port}\nListen 127.0.0.1\nTimeout 60\n'
                        'MaxClients 1000\nLogLevel Critical\n')
    with open(os.devnull, 'w', encoding='utf-8') as none, running(
            argv, stdout=none, stderr=none) as p:
        until(lambda: listens(port), 'listener', p)
        yield


def row(name, got, base, paddock=None):
    """A row of the table. paddock: what the last column is in terms of."""
    get, load = got
    return [name, us(get['min']), us(get['p50']), us(get['p99']),
            us(get['p50'] - base['p50']) if get is not base else '',
            f'{load:,.0f}',
            f'{paddock / load:.1f}' if paddock else '']


HEAD = ['', 'min, us', 'p50, us', 'p99, us', 'added p50, us',
        f'requests/s, {CONNECTIONS} connections', 'paddock, times that']


def web(build, peers):
    """A small GET over a kept connection."""
    bench = build / 'tests/bench/bench_http'
    port = free_port()
    rule = {'port': port, 'methods': ['GET'], **LOCAL}
    rows = []
    with sandboxes(build, policy([
            {'host': NAME, **rule},
            {'host': 'path.test', 'paths': ['/**'], **rule}])) as (
                run, inside, env), running([bench, 'serve', port]) as p:
        until(lambda: listens(port), 'listener', p)
        direct = measured(bench, '127.0.0.1', port, '/', 'a')
        rows.append(row('directly', direct, direct[0]))
        ours = None
        for what, host in (('out of a sandbox', NAME),
                           ('the same, every request asked about',
                            'path.test')):
            got = measured(inside, host, port, '/', f'{host}:{port}', run,
                           env=env)
            ours = ours or got[1]
            rows.append(row(what, got, direct[0]))
        for name in ('squid', TINY, SRT) if peers else ():
            ports_free()
            proxy = free_port()
            # It keeps no connection: each request has one of its own.
            dials = {'BENCH_DIAL': '1'} if name == TINY else {}
            with other(name, build, proxy):
                url = f'http://127.0.0.1:{port}/'
                got = measured(bench, '127.0.0.1', proxy, url,
                               f'127.0.0.1:{port}',
                               env={**os.environ, **dials})
            rows.append(row(name, got, direct[0], ours))
    return table(HEAD, rows)


def certificate(place):
    """A CA, and a key and certificate of it for the names in here."""
    place.mkdir(exist_ok=True)
    key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    (place / 'ext').write_text(f'subjectAltName=DNS:{NAME},DNS:path.test,'
                               'DNS:localhost')
    for argv in (['req', '-x509', *key, '-keyout', 'ca.key', '-out', 'ca.pem',
                  '-days', '2', '-subj', '/CN=bench', '-addext',
                  'basicConstraints=critical,CA:TRUE'],
                 ['req', *key, '-keyout', 's.key', '-out', 's.csr', '-subj',
                  '/CN=bench'],
                 ['x509', '-req', '-in', 's.csr', '-CA', 'ca.pem', '-CAkey',
                  'ca.key', '-CAcreateserial', '-out', 's.pem', '-days', '2',
                  '-extfile', 'ext']):
        output(['openssl', *argv], cwd=place)
    return (place / 'ca.pem').read_text()


def tls(build, _peers):
    """The same within TLS, which the proxy opens."""
    bench = build / 'tests/bench/bench_http'
    port = free_port()
    keys = build / 'bench-keys'
    rule = {'port': port, 'proto': 'https', 'methods': ['GET'], **LOCAL,
            'ca': certificate(keys)}
    rows = []
    with sandboxes(build, policy([
            {'host': NAME, **rule},
            {'host': 'path.test', 'paths': ['/**'], **rule}])) as (
                run, inside, env), running(
                    [bench, 'serve', port, keys / 's.pem',
                     keys / 's.key']) as p:
        until(lambda: listens(port), 'listener', p)
        direct = measured(bench, 'localhost', port, '/', 'a', env={
            **os.environ, 'BENCH_TLS': '1', 'SSL_CERT_FILE': keys / 'ca.pem'})
        rows.append(row('directly', direct, direct[0]))
        for what, host in (('out of a sandbox', NAME),
                           ('the same, every request asked about',
                            'path.test')):
            got = measured(inside, host, port, '/', f'{host}:{port}',
                           [*run, 'env', 'BENCH_TLS=1'], env=env)
            rows.append(row(what, got, direct[0]))
    return table(HEAD[:-1], [r[:-1] for r in rows])
