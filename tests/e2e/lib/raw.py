# Reads URLs of http, each over a connection of its own, and tells what came,
# byte for byte: a line of JSON with status, fields, the body in base64, how
# long it took, and how the connection ended. METHOD=URL for others than GET.
import base64
import json
import socket
import sys
import time
from urllib.parse import urlsplit


def read(what):
    method, url = what.split("=", 1) if not what.startswith("http") \
        else ("GET", what)
    at = urlsplit(url)
    begun = time.monotonic()
    s = socket.create_connection((at.hostname, at.port), timeout=60)
    s.sendall(f"{method} {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\n"
              "Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    data, end = b"", "closed"
    try:
        while piece := s.recv(65536):
            data += piece
    except OSError as e:
        end = type(e).__name__
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    print(json.dumps({
        "status": int(lines[0].split()[1]) if data else 0,
        "fields": fields, "body": base64.b64encode(body).decode(),
        "ms": (time.monotonic() - begun) * 1000, "end": end}), flush=True)


for what in sys.argv[1:]:
    read(what)
