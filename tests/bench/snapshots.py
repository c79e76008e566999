"""What keeping a run costs it, and what forks of it cost."""
import json
import pathlib
import shutil
import time

from machine import Paddock, output, table

FILES, FILE_BYTES = 1024, 1024 * 1024  # the work folder: 1 GiB
CHANGED = 100  # small files that the run has changed
TIMES = 20
FORKS = 100


def disk_bytes(folder):
    """What all below a folder takes of the disk."""
    return 1024 * int(output(['du', '-sk', folder]).split()[0])


def snapshots(build, _peers):
    """Pauses of a run over 1 GiB of files, and 100 forks of it."""
    work = build / 'bench-work'
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for i in range(FILES):
        (work / f'f{i}').write_bytes(bytes(FILE_BYTES))
    rows = []
    try:
        with Paddock(build).serving() as d:
            rows, forks = measure(d, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return (table(['microseconds that a run stands still', 'min', 'p50',
                   'max'], rows) +
            f'\n\n{FORKS} forks by one command: {forks[0]:.2f} s'
            f' and {forks[1] / 1e6:.1f} MB of disk, their records included.')


def measure(d, work):
    """Rows of pauses; then the time and the disk of the forks."""
    def paddock(*words):
        return output([d.program, *words]).strip()

    def inside(run, script):
        paddock('exec', '--in', run, '--state', d.state, '--', 'sh', '-c',
                script)

    def pauses(run, times):
        got = sorted(json.loads(paddock('snapshot', run, '--json', '--state',
                                        d.state))['pause_us']
                     for _ in range(times))
        return [f'{got[i]:,}' for i in (0, len(got) // 2, -1)]

    run = paddock('sandbox', 'create', '--dir', work, '--memory', '2048',
                  '--disk', '1000', '--state', d.state)
    rows = [['nothing changed of 1 GiB', *pauses(run, TIMES)]]
    inside(run, f'i=0; while [ $i -lt {CHANGED} ]; do'
           ' echo $i >new$i; i=$((i + 1)); done')
    rows.append([f'{CHANGED} small files', *pauses(run, TIMES)])
    before = disk_bytes(d.state)
    name = paddock('snapshot', run, '--state', d.state)
    began = time.monotonic()
    names = paddock('fork', run, '--snapshot', name, '-n', FORKS, '--state',
                    d.state).split()
    took = time.monotonic() - began
    more = disk_bytes(d.state) - before
    assert len(names) == FORKS
    for fork in names[:3]:
        inside(fork, f'[ $(ls new* | wc -l) = {CHANGED} ] && echo x >new1')
    for fork in names:
        paddock('sandbox', 'rm', fork, '--state', d.state)
    inside(run, 'head -c 100000000 /dev/zero >large')
    rows.append(['100 MB', *pauses(run, 3)])
    assert pathlib.Path(d.state, 'snapshots', name).is_dir()
    return rows, (took, more)
