"""Measures what is named, prints it, and puts it into docs/BENCHMARKS.md.

usage: measure.py BUILD [--peers] NAME...      NAME: mcp exec store parse

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

PEER = TOP / 'tests/bench/peer'
TOOL = 'customer.find'
ARGS = '{"email":"dana.whitfield@acme.example.com"}'
CALLS = 5000
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
    return table(['microseconds', *POINTS, 'added p50', 'added p99'], rows)


def bwrap(work):
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
    return argv + ['--bind', work, work, '--chdir', work, '/bin/true']


def starts(build, commands, work):
    """What bench_spawn measured of commands that took turns."""
    argv = [build / 'tests/bench/bench_spawn', '--runs', STARTS, '--json']
    for c in commands:
        argv += [*([] if c is commands[0] else ['--vs']), *c]
    return json.loads(output(argv, cwd=work))


def sandbox(build, peers):
    """What it takes to start a command in a sandbox, and to clean up."""
    work = build / 'bench-work'
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / 'file').write_text('seen through the overlay\n')
    made = {
        '`paddock exec -- /bin/true`': [
            build / 'src/paddock', 'exec', '--', '/bin/true'],
        '`/bin/true` by itself': ['/bin/true'],
    }
    if peers:
        made['`bwrap --unshare-all --die-with-parent`, same mounts'] = bwrap(
            str(work))
    rows = []
    for name, got in zip(made, starts(build, list(made.values()), work)):
        took, ratio = got['took'], got['ratio']
        rows.append([name, *(us(took[p]) for p in POINTS),
                     f'{ratio["p50"]:.2f} ({ratio["p5"]:.2f} to'
                     f' {ratio["p95"]:.2f})'])
    return table(['microseconds', *POINTS, 'to paddock\'s, in pairs'], rows)


def plain(program):
    """A program whose own output is the result."""
    def measured(build, _peers):
        argv = [build / f'tests/bench/{program}']
        if program == 'bench_store':
            argv.append(build)
        return f'```\n{output(argv).rstrip()}\n```'
    return measured


MEASURES = {'mcp': mcp, 'exec': sandbox, 'store': plain('bench_store'),
            'parse': plain('bench_parse')}


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
