"""An HTTP API for the example: tickets. Runs outside of the sandbox, on this
machine: python3 desk_api.py [PORT]. It prints where it listens."""
import http.server
import json
import sys
import urllib.parse

TICKETS = {
    "T-7": {"id": "T-7", "state": "open", "about": "charged twice",
            "email": "dana.whitfield@acme.example.com"},
    "T-8": {"id": "T-8", "state": "closed", "about": "cannot log in",
            "email": "sam@acme.example.com"},
}


class Desk(http.server.BaseHTTPRequestHandler):
    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        ticket = TICKETS.get(url.path.removeprefix("/tickets/"))
        if url.path == "/tickets":
            state = urllib.parse.parse_qs(url.query).get("state", [None])[0]
            self.reply(200, [t["id"] for t in TICKETS.values()
                             if state in (None, t["state"])])
        elif ticket is None:
            self.reply(404, {"error": "there is no such ticket"})
        else:
            self.reply(200, ticket)

    def do_DELETE(self):
        ticket = TICKETS.get(self.path.removeprefix("/tickets/"))
        if ticket is None:
            self.reply(404, {"error": "there is no such ticket"})
        else:
            ticket["state"] = "closed"
            self.reply(200, {"id": ticket["id"], "state": ticket["state"]})

    def log_message(self, *args):
        print(self.command, self.path, flush=True)


port = int(sys.argv[1]) if len(sys.argv) > 1 else 8700
with http.server.ThreadingHTTPServer(("127.0.0.1", port), Desk) as server:
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
