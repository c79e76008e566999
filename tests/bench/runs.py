"""What a thousand open runs take of the daemon's memory."""
import json
import os
import pathlib
import time

from machine import Failed, Paddock, Unix, table

RUNS = 1000
CALLS = [('customer.find', {'email': 'dana.whitfield@acme.example.com'}),
         ('kb.search', {'query': 'refund'})]
KIB, MIB = 1024, 1024 * 1024


def roles(pid):
    """The daemon's processes by their names, without what runs in sandboxes:
    here there is none."""
    name = os.path.basename(os.readlink(f'/proc/{pid}/exe'))
    yield name, pid
    tasks = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
    for child in map(int, tasks.split()):
        yield from roles(child)


def rollup(pid, what):
    """A line of what the kernel adds up for a process, in bytes."""
    text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
    return KIB * int(text.partition(f'\n{what}:')[2].split()[0])


def files_bytes(pid):
    """What a process's files in memory take, mapped or not."""
    total = 0
    for fd in os.scandir(f'/proc/{pid}/fd'):
        if os.readlink(fd.path).startswith('/memfd:'):
            total += 512 * os.stat(fd.path).st_blocks
    return total


def look(pid):
    """Rss, Pss and files in memory of each role, and of all of them."""
    got = {name: (rollup(p, 'Rss'), rollup(p, 'Pss'), files_bytes(p))
           for name, p in roles(pid)}
    got['all'] = tuple(map(sum, zip(*got.values())))
    return got


def asked(c, path, body):
    """The answer to a request that must succeed."""
    c.request('POST', path, json.dumps(body),
              {'Content-Type': 'application/json'})
    answer = c.getresponse()
    text = answer.read()
    if answer.status not in (200, 201):
        raise Failed(f'{path}: {answer.status}: {text.decode()}')
    return json.loads(text)


def runs(build, _peers):
    """Memory of each role with no run, and with a thousand that have called
    tools of their worlds."""
    with Paddock(build).serving() as d:
        body = {'policy': json.loads(d.policy.read_text()),
                'world': json.loads(d.world.read_text())}
        c = Unix(d.state / 'paddock.sock')
        # What serves is small only when all of its start is over.
        while 'paddockd' in dict(roles(d.pid)):
            time.sleep(0.02)
        before = look(d.pid)
        names = [asked(c, '/v1/runs', body)['run'] for _ in range(RUNS)]
        for run in names:
            for tool, args in CALLS:
                asked(c, f'/v1/runs/{run}/calls',
                      {'name': tool, 'arguments': args})
        after = look(d.pid)
    rows = [[name, *(f'{part / MIB:.1f}' for part in
                     (before[name][1], after[name][1], after[name][0],
                      after[name][2]))] for name in after]
    each = (after['all'][1] - before['all'][1]) / RUNS / KIB
    return (table(['MiB', 'Pss, no run', f'Pss, {RUNS} runs',
                   f'Rss, {RUNS} runs', 'files in memory'], rows) +
            f'\n\nEach run adds {each:.1f} KiB.')
