# A diligent agent in a sandbox: sends one mail after the other through the
# door of its run, and prints what it got. Ends when the run has been stopped.
import http.client
import json
import os
import sys
import time

host, port = os.environ["PADDOCK_MCP_URL"].split("/")[2].split(":")
lost = 0
for i in range(1000000):
    args = {"to": "a@b.example.com", "subject": f"mail {i}", "body": "x"}
    body = json.dumps({"name": "email.send", "arguments": args})
    try:
        c = http.client.HTTPConnection(host, int(port), timeout=60)
        c.request("POST", "/v1/calls", body,
                  {"Content-Type": "application/json"})
        a = c.getresponse()
        text = a.read().decode()
        c.close()
        print(a.status, text, flush=True)
        if a.status == 409:
            sys.exit(3)
    except OSError as e:
        lost += 1
        print("lost", e, flush=True)
        if lost > 2000:
            sys.exit(4)
        time.sleep(0.005)  # a door that is being opened again
