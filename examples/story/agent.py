#!/usr/bin/env python3
"""A support agent whose tools are commands of its sandbox: works one ticket.

What it has done it keeps in notes.json, so that it goes on where it was when it
is started again on the same files. It waits as long as a busy tool says.

Exit status: 0 when the ticket is done, 1 when something was refused for good.
"""

import http.client
import json
import os
import sys
import time

DOOR = os.environ["PADDOCK_MCP_URL"].split("/")[2].split(":")
NOTES = "notes.json"
TRIES = 3


def ask(name, arguments):
    c = http.client.HTTPConnection(DOOR[0], int(DOOR[1]), timeout=120)
    c.request("POST", "/v1/calls",
              json.dumps({"name": name, "arguments": arguments}),
              {"Content-Type": "application/json"})
    a = c.getresponse()
    return a.status, json.loads(a.read())


def call(name, arguments):
    for _ in range(TRIES):
        status, answer = ask(name, arguments)
        print(f"{name}: {status} {answer.get('code', 'ok')}", flush=True)
        if "retry_after_s" not in answer:
            break
        time.sleep(answer["retry_after_s"])
    return answer if status == 200 else None


def main():
    notes = json.load(open(NOTES)) if os.path.exists(NOTES) else {}
    if "ticket" not in notes:
        notes["ticket"] = call("ticket.read", {"id": "T-1041"})["value"]
        json.dump(notes, open(NOTES, "w"))
    ticket = notes["ticket"]
    if call("note.publish", {"text": f"working on {ticket['id']}"}) is None:
        return 1
    if call("refund.create", {"invoice": ticket["invoice"]}) is None:
        print("the refund was refused: giving up")
        return 1
    if call("kb.search", {"text": "refund"}) is None:
        return 1
    return 0 if call("ticket.close", {"id": ticket["id"]}) else 1


sys.exit(main())
