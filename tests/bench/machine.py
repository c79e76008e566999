"""What the measurements run on and in: programs, daemons, ports, and the
document that shows the result."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = TOP / 'examples/support_refund'
DOC = TOP / 'docs/BENCHMARKS.md'


class Failed(Exception):
    """A measurement that cannot be made, for a reason a person can act on."""


def output(argv, **options):
    """The standard output of a command that must succeed."""
    done = subprocess.run([str(a) for a in argv], text=True,
                          capture_output=True, **options)
    if done.returncode != 0:
        raise Failed(f'{" ".join(map(str, argv))}: status {done.returncode}:'
                     f' {done.stderr.strip() or done.stdout.strip()}')
    return done.stdout


def free_port():
    """A port that nobody listens on, on IPv4 or IPv6."""
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


@contextlib.contextmanager
def running(argv, **options):
    """A program in a process group of its own, which ends with the block."""
    p = subprocess.Popen([str(a) for a in argv], text=True,
                         stdin=subprocess.DEVNULL, start_new_session=True,
                         **options)
    try:
        yield p
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGTERM)
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()


def until(true, what, p, seconds=30):
    """Waits for something to become true while p lives."""
    end = time.monotonic() + seconds
    while not true():
        if p.poll() is not None:
            raise Failed(f'{p.args[0]} ended before {what}')
        if time.monotonic() > end:
            raise Failed(f'{p.args[0]}: no {what} in {seconds} s')
        time.sleep(0.02)


def listens(port):
    """Whether somebody does."""
    with contextlib.suppress(OSError):
        socket.create_connection(('127.0.0.1', port), 1).close()
        return True
    return False


class Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__('localhost')
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Paddock:
    """A daemon with a state of its own in the build directory."""

    def __init__(self, build):
        self.build = build
        # On the disk that the build is on: a trace in memory would cost less.
        self.state = build / 'bench-state'
        self.program = build / 'src/paddock'
        self.port = free_port()
        self.policy = build / 'bench-policy.json'
        self.world = EXAMPLE / 'world.json'
        self.pid = None  # of the one that serves

    @contextlib.contextmanager
    def serving(self):
        """The daemon, for as long as the block."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(mode=0o700)
        policy = json.loads((EXAMPLE / 'policy.json').read_text())
        policy |= {'max_tool_calls': 10**6, 'max_runtime_seconds': 3600}
        self.policy.write_text(json.dumps(policy))
        with open(self.build / 'bench-daemon.log', 'w',
                  encoding='utf-8') as log, running(
                      [self.program, 'serve', '--state', self.state,
                       '--listen', f'127.0.0.1:{self.port}'],
                      stdout=log, stderr=log) as p:
            until(lambda: listens(self.port), 'listener', p)
            self.pid = p.pid
            yield self
        shutil.rmtree(self.state, ignore_errors=True)

    def open_run(self):
        """A run without a command. Gives the file that holds its token."""
        c = Unix(self.state / 'paddock.sock')
        c.request('POST', '/v1/runs', json.dumps({
            'policy': json.loads(self.policy.read_text()),
            'world': json.loads(self.world.read_text()),
        }), {'Content-Type': 'application/json'})
        answer = c.getresponse()
        text = answer.read()
        if answer.status != 201:
            raise Failed(f'open a run: {answer.status}: {text.decode()}')
        token = self.state / 'bench.token'
        token.touch(0o600)
        token.write_text(json.loads(text)['token'])
        return token


def describe():
    """The machine, in one line."""
    cpu = re.search(r'model name\s*: (.*)',
                    pathlib.Path('/proc/cpuinfo').read_text())
    u = os.uname()
    virtual = 'hypervisor' in pathlib.Path('/proc/cpuinfo').read_text()
    return (f'{os.cpu_count()} processors'
            f' ({cpu[1].strip() if cpu else u.machine}'
            f'{", virtual" if virtual else ""}), Linux {u.release}')


def table(head, rows):
    """A Markdown table, numbers to the right."""
    lines = [head, ['---'] + ['---:'] * (len(head) - 1)] + rows
    return '\n'.join('| ' + ' | '.join(map(str, r)) + ' |' for r in lines)


def us(value):
    """Microseconds, with as many digits as mean something."""
    return f'{value:,.0f}' if value >= 100 else f'{value:.1f}'


def publish(name, text, command, load):
    """Puts what was measured into its place in the document."""
    begin, end = f'<!-- measured: {name} -->', f'<!-- end: {name} -->'
    doc = DOC.read_text(encoding='utf-8')
    before, found, rest = doc.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise Failed(f'{DOC} has no place for {name}')
    when = time.strftime('%Y-%m-%d', time.gmtime())
    DOC.write_text(f'{before}{begin}\n\n{text}\n\n{when}, {describe()},'
                   f' load {load:.1f} before; `{command}`.\n\n{end}{after}', encoding='utf-8')
    print(f'\n{text}')
