"""Measures what is named, prints it, and puts it into docs/BENCHMARKS.md.

usage: measure.py BUILD [--peers] NAME...
NAME: mcp web exec start sandbox snapshot rpc store import parse

scripts/bench builds what this needs and calls it.
"""
import contextlib
import json
import os
import pathlib
import shutil
import sys

from machine import (EXAMPLE, Failed, Paddock, TOP, free_port, listens, output,
                     publish, running, table, until, us)
from imports import imports
from relay import flows, net, splice
from runs import runs
from snapshots import snapshots
from web import tls, web

PEER = TOP / 'tests/bench/peer'
TOOL = 'customer.find'
ARGS = '{"email":"dana.whitfield@acme.example.com"}'
CALLS = 5000
CONNECTIONS = 16
PEER_CALLS = 2000
STARTS = 300
POINTS = ['p50', 'p90', 'p99']


def client(build, *args, calls=CALLS, behind=()):
    """What bench_mcp measured."""
    argv = [build / 'tests/bench/bench_mcp', '--json', '--tool', TOOL,
            '--args', ARGS, '--calls', calls, '--warm', calls // 10, *args]
    return json.loads(output([*behind, *argv]))


def row(name, got, base):
    """A row of the table: the call, and what it takes more than base."""
    return [name, *(us(got[p]) for p in POINTS),
            *(us(got[p] - base[p]) for p in ('p50', 'p99'))]


@contextlib.contextmanager
def tool_alone(build, world):
    """paddock's own fake service with nothing in front of it."""
    port = free_port()
    with running([build / 'tests/bench/bench_tool', port, world]) as p:
        until(lambda: listens(port), 'listener', p)
        yield f'http://127.0.0.1:{port}/mcp'


def paddock_rows(build):
    """Through the listener and the token, and from inside a sandbox."""
    with Paddock(build).serving() as d, tool_alone(build, d.world) as alone:
        at = ['--url', f'http://127.0.0.1:{d.port}/mcp', '--token-file',
              d.open_run(), '--floor', '--beside', alone]
        got = client(build, '--legacy', *at)
        yield ['answered at once, over HTTP',
               *(us(got['floor'][p]) for p in POINTS), '', '']
        yield ['the fake service alone, over HTTP',
               *(us(got['beside'][p]) for p in POINTS), '', '']
        yield row('paddock, 2025-11-25', got['call'], got['beside'])
        got = client(build, '--modern', *at)
        yield row('paddock, 2026-07-28', got['call'], got['beside'])
        base = got['beside']
        run = [d.program, 'run', d.policy, '--world', d.world, '--state',
               d.state, '--quiet', '--dir', build / 'tests/bench', '--']
        got = client(build, behind=run)
        yield row('paddock, from inside the sandbox', got['call'], base)


def calls_per_s(build):
    """How many calls a second, with some connections at once."""
    with Paddock(build).serving() as d:
        at = ['--url', f'http://127.0.0.1:{d.port}/mcp', '--token-file',
              d.open_run(), '--modern', '--connections', CONNECTIONS]
        return client(build, *at, calls=6 * CALLS)['calls_per_s']


@contextlib.contextmanager
def peer(program, args):
    """A peer on a port of its own, in front of the tool server."""
    port = free_port()
    server = ['node', str(PEER / 'server.js')]
    argv = [PEER / 'node_modules/.bin' / program,
            *args(str(port), server)]
    with open(os.devnull, 'w', encoding='utf-8') as none, running(
            argv, stdout=none, stderr=none) as p:
        until(lambda: listens(port), 'listener', p)
        yield f'http://127.0.0.1:{port}/mcp'


def peer_rows(build):
    """The peers, above the tool server that stands behind them."""
    versions = json.loads((PEER / 'package.json').read_text())['dependencies']
    direct = client(build, '--stdio', '--', 'node', PEER / 'server.js',
                    calls=PEER_CALLS)['call']
    yield ['a tool server on the official SDK, over stdio',
           *(us(direct[p]) for p in POINTS), '', '']
    for program, args in {
        'supergateway': lambda port, server: [
            '--stdio', ' '.join(server), '--outputTransport',
            'streamableHttp', '--stateful', '--port', port,
            '--logLevel', 'none'],
        'mcp-proxy': lambda port, server: [
            '--port', port, '--server', 'stream', '--', *server],
    }.items():
        with peer(program, args) as url:
            got = client(build, '--legacy', '--url', url, calls=PEER_CALLS)
        yield row(f'{program} {versions[program]} in front of it',
                  got['call'], direct)


def mcp(build, peers):
    """What a tool call takes."""
    rows = list(paddock_rows(build))
    if peers:
        rows += peer_rows(build)
    return (table(['microseconds', *POINTS, 'added p50', 'added p99'], rows) +
            f'\n\nOver {CONNECTIONS} connections at once, 2026-07-28:'
            f' {calls_per_s(build):,} calls a second.')


def bwrap(work, command):
    """The view that `paddock exec` gives, as far as bwrap has the means."""
    argv = ['bwrap', '--unshare-all', '--die-with-parent', '--ro-bind', '/usr',
            '/usr', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp']
    for name in ('bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'):
        if os.path.islink(f'/{name}'):
            argv += ['--symlink', os.readlink(f'/{name}'), f'/{name}']
    for name in ('passwd', 'group', 'hosts', 'nsswitch.conf', 'ld.so.cache',
                 'alternatives', 'ssl', 'localtime'):
        if os.path.exists(f'/etc/{name}'):
            argv += ['--ro-bind', f'/etc/{name}', f'/etc/{name}']
    return argv + ['--bind', work, work, '--chdir', work, command]


def oci(runtime, place, work, command):
    """A bundle for crun or runc with the same view, and limits of memory,
    processes and CPU; and the command line that runs it."""
    bundle = place / f'{runtime}-{pathlib.Path(command).name}'
    for name in ('usr', 'proc', 'dev', 'tmp', work.lstrip('/')):
        (bundle / 'rootfs' / name).mkdir(parents=True, exist_ok=True)
    for name in ('bin', 'sbin', 'lib', 'lib64'):
        if os.path.islink(f'/{name}'):
            (bundle / 'rootfs' / name).symlink_to(os.readlink(f'/{name}'))
    output([runtime, 'spec'], cwd=bundle)
    file = bundle / 'config.json'
    spec = json.loads(file.read_text())
    process = spec['process']
    process |= {'terminal': False, 'args': [command], 'cwd': work,
                'user': {'uid': 100000, 'gid': 100000}}
    process['capabilities'] = {k: [] for k in process['capabilities']}
    spec['mounts'] = [m for m in spec['mounts']
                      if not m['destination'].startswith('/sys')]
    spec['mounts'] += [
        {'destination': '/usr', 'type': 'none', 'source': '/usr',
         'options': ['rbind', 'ro', 'nosuid', 'nodev']},
        {'destination': '/tmp', 'type': 'tmpfs', 'source': 'tmpfs',
         'options': ['nosuid', 'nodev']},
        {'destination': work, 'type': 'none', 'source': work,
         'options': ['rbind']}]
    spec['linux']['resources'] = {'memory': {'limit': 1 << 30},
                                  'pids': {'limit': 512},
                                  'cpu': {'shares': 100}}
    file.write_text(json.dumps(spec))
    return [runtime, '--root', place / f'{runtime}-state', 'run', '-b', bundle,
            f'paddock-bench-{os.getpid()}']


def starts(build, commands, work):
    """What bench_spawn measured of commands that took turns."""
    argv = [build / 'tests/bench/bench_spawn', '--runs', STARTS, '--json']
    for c in commands:
        argv += [*([] if c is commands[0] else ['--vs']), *c]
    if os.path.ismount('/sys/fs/cgroup/unified') and os.geteuid() == 0:
        # crun 1.8 refuses a machine with both versions of cgroups: for all
        # that is measured here there is only the first.
        argv = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c',
                'umount /sys/fs/cgroup/unified && exec "$@"', 'sh', *argv]
    return json.loads(output(argv, cwd=work))


def start_rows(build, peers, work, command):
    """A row for each way of starting the command."""
    name = pathlib.Path(command).name
    made = {f'`paddock exec`: {name}': [build / 'src/paddock', 'exec', '--',
                                        command],
            f'by itself: {name}': [command]}
    if peers:
        made[f'`bwrap --unshare-all --die-with-parent`: {name}'] = bwrap(
            str(work), command)
        for runtime in ('crun', 'runc') if os.geteuid() == 0 else ():
            made[f'`{runtime} run`, with limits: {name}'] = oci(
                runtime, build / 'bench-oci', str(work), command)
    for name, got in zip(made, starts(build, list(made.values()), work)):
        took, ratio = got['took'], got['ratio']
        yield [name, *(us(took[p]) for p in POINTS),
               f'{ratio["p50"]:.2f} ({ratio["p5"]:.2f} to'
               f' {ratio["p95"]:.2f})']


def start(build, peers):
    """What it takes to start a command in a sandbox, and to clean up."""
    work = build / 'bench-work'
    for place in (work, build / 'bench-oci'):
        shutil.rmtree(place, ignore_errors=True)
    work.mkdir()
    (work / 'file').write_text('seen through the overlay\n')
    static = str(work / 'static')
    shutil.copy(build / 'tests/bench/bench_noop', static)
    rows = [*start_rows(build, peers, work, '/bin/true'),
            *start_rows(build, peers, work, static)]
    shutil.rmtree(build / 'bench-oci', ignore_errors=True)
    return table(['microseconds', *POINTS, 'to paddock\'s, in pairs'], rows)


def pss_kib(pid):
    """What a process takes of memory, with its share of what is shared."""
    text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
    return int(text.partition('\nPss:')[2].split()[0])


def below(pid):
    """A process and all below it, but for what runs in sandboxes."""
    yield pid
    tasks = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
    for child in tasks.split():
        name = pathlib.Path(f'/proc/{child}/comm').read_text()
        if not name.startswith('paddock-init') and name.strip() != 'paddock':
            yield from below(int(child))


def through_daemon(build, _peers):
    """A sandbox and its first command by REST, and what the daemon takes."""
    with Paddock(build).serving() as d:
        idle = sum(map(pss_kib, below(d.pid)))
        got = json.loads(output([build / 'tests/bench/bench_start',
                                 d.state / 'paddock.sock', d.program, STARTS]))
        after = sum(map(pss_kib, below(d.pid)))
    rows = [[name, *(us(got[key][p]) for p in ('min', *POINTS))]
            for name, key in (('bare spawn', 'bare'),
                              ('a sandbox opened', 'open'),
                              ('its first command', 'command'),
                              ('  the same, over a bare spawn', 'command_over'),
                              ('both', 'both'),
                              ('  the same, over a bare spawn', 'over'))]
    return (table(['microseconds', 'min', *POINTS], rows) +
            f'\n\nAll roles of the daemon together: {idle / 1024:.1f} MiB at'
            f' first, {after / 1024:.1f} MiB after.')


def plain(program, *words):
    """A program whose own output is the result. Words are in the build."""
    def measured(build, _peers):
        argv = [build / f'tests/bench/{program}', *(build / w for w in words)]
        return f'```\n{output(argv).rstrip()}\n```'
    return measured


MEASURES = {'mcp': mcp, 'exec': start, 'web': web, 'tls': tls,
            'splice': splice, 'flows': flows, 'net': net,
            'start': through_daemon,
            'sandbox': plain('bench_sandbox', 'src/paddock',
                             'tests/bench/bench_noop'),
            'rpc': plain('bench_rpc', 'src/paddock', 'tests/bench/bench_noop'),
            'snapshot': snapshots,
            'runs': runs,
            'store': plain('bench_store', '.'),
            'import': imports,
            'parse': plain('bench_parse'),
            'decide': plain('bench_decide')}


def main(argv):
    """Exit status."""
    if len(argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    build = pathlib.Path(argv[1]).resolve()
    peers = '--peers' in argv
    names = [a for a in argv[2:] if a != '--peers']
    unknown = [n for n in names if n not in MEASURES]
    if unknown:
        print(f'error: {unknown[0]}: not one of {" ".join(MEASURES)}',
              file=sys.stderr)
        return 2
    try:
        for name in names:
            command = f'scripts/bench {name}{" --peers" if peers else ""}'
            load = os.getloadavg()[0]
            publish(name, MEASURES[name](build, peers), command, load)
    except Failed as e:
        print(f'error: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
