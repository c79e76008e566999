"""What it takes to bring in runs from elsewhere, verify and judge them."""
import json
import lzma
import os
import pathlib
import subprocess
import tempfile
import time

from machine import Failed, TOP, table

RUNS, CALLS = 36000, 137000
LONG, STEP = 52000, 50000
DATA = TOP / 'tests/e2e/agentdojo'
BEGAN_US = 1747267200000000


def transcripts(path):
    """AgentDojo's runs, again and again under new names. Runs and calls."""
    suites = []
    for name in ('workspace', 'travel'):
        with lzma.open(DATA / f'{name}.jsonl.xz', 'rt') as f:
            suites.append([json.loads(line) for line in f])
    runs = calls = 0
    at = [0, 0]
    with open(path, 'w') as out:
        while runs < RUNS:
            # From the suite that brings the mean nearer to the one wanted.
            k = int(calls * RUNS < runs * CALLS)
            case = suites[k][at[k] % len(suites[k])]
            at[k] += 1
            out.write(json.dumps({
                'run': f'{case["id"]}#{runs}',
                'time': BEGAN_US + runs * 1000000,
                'workflow': 'agentdojo', 'actor': 'agentdojo',
                'user': case['prompt'],
                'calls': [{'name': s['tool'], 'arguments': s['args'],
                           'result': s['result'],
                           'error': 'failed' if s.get('error') else None}
                          for s in case['steps']]}) + '\n')
            runs += 1
            calls += len(case['steps'])
    return runs, calls


def policies(directory):
    """Two of the same tools: by labels, and by where arguments are from."""
    tiers = json.loads((DATA / 'tiers.json').read_text())
    write = {t for s in tiers['risk'].values() for t in s['write']}
    names = set(write)
    for suite in ('workspace', 'travel'):
        with lzma.open(DATA / f'{suite}.jsonl.xz', 'rt') as f:
            for line in f:
                names.update(s['tool'] for s in json.loads(line)['steps'])
    flow = {'id': 'taint-write', 'if_labels': ['untrusted:*'],
            'risk_at_least': 'external_write', 'then': 'approve'}
    rows = {n: {'risk': 'external_write' if n in write else 'read',
                'mode': 'allow'} for n in sorted(names)}
    plain = {'policy': 1, 'workflow': 'agentdojo', 'stage': 5,
             'flow': [flow], 'tools': rows}
    traced = {**plain, 'flow': [{**flow, 'except': 'known_destination'}],
              'tools': {n: {**r, 'trusted_fields': ['$.ids[*]'], **(
                  {'destination': [f'$.{a}' for a in
                                   tiers['destination_arguments']]}
                  if n in write else {})} for n, r in rows.items()}}
    out = []
    for name, doc in ('labels', plain), ('arguments traced', traced):
        path = directory / f'{name.split()[0]}.json'
        path.write_text(json.dumps(doc))
        out.append((name, path))
    return out


def timed(argv, statuses=(0,)):
    """Seconds, of them on a processor, peak MiB, and the output."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen([str(a) for a in argv], stdout=out,
                             stderr=subprocess.STDOUT)
        _, status, used = os.wait4(p.pid, 0)
        took = time.monotonic() - began
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    if p.returncode not in statuses:
        raise Failed(f'{" ".join(map(str, argv))}: {text.strip()}')
    return (took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text)


def imports(build, _peers):
    paddock = build / 'src/paddock'
    with tempfile.TemporaryDirectory(prefix='bench-import-') as name:
        here = pathlib.Path(name)
        state = ['--state', here / 'state']
        runs, calls = transcripts(here / 'runs.jsonl')
        rows = []
        for what, argv in (('import', ['import', here / 'runs.jsonl']),
                           ('verify', ['verify'])):
            took, cpu, peak, _ = timed([paddock, 'trace', *argv, *state])
            rows.append([what, f'{took:.1f} s', f'{cpu:.1f} s', '',
                         f'{peak:.0f} MiB'])
        for what, policy in policies(here):
            took, cpu, peak, _ = timed([paddock, 'replay', 'all', '--policy',
                                        policy, *state], (0, 1))
            rows.append([f'policy replay, {what}', f'{took:.2f} s',
                         f'{cpu:.2f} s', f'{cpu / calls * 1e6:.1f} us',
                         f'{peak:.0f} MiB'])
        size = (here / 'state/store/trace.db').stat().st_size >> 20
        (here / 'long.jsonl').write_text(json.dumps(
            {'run': 'long', 'time': 2 * BEGAN_US, 'calls': [
                {'name': 'step', 'arguments': {}}
                for _ in range(LONG)]}, separators=(',', ':')))
        timed([paddock, 'trace', 'import', here / 'long.jsonl', *state])
        times = sorted(timed([paddock, 'trace', 'show', 'last', '--from', STEP,
                              '--limit', 20, *state])[0] for _ in range(20))
    return (f'{runs:,} runs with {calls:,} calls;'
            f' {size} MiB of store.\n\n' +
            table(['', 'time', 'of processors', 'each call', 'memory'], rows) +
            f'\n\nStep {STEP:,} of a run of {LONG:,} is shown in'
            f' {times[len(times) // 2] * 1e3:.0f} ms at the median,'
            f' {times[-1] * 1e3:.0f} ms at most, of 20.')
