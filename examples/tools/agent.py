"""Calls a tool of each kind, over MCP, and says what it got."""
import json
import os
import urllib.request

VERSION = "2026-07-28"
META = "io.modelcontextprotocol/"


def ask(method, **params):
    name = {"Mcp-Name": params["name"]} if "name" in params else {}
    params["_meta"] = {META + "protocolVersion": VERSION,
                       META + "clientCapabilities": {}}
    request = urllib.request.Request(
        os.environ["PADDOCK_MCP_URL"],
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                    "params": params}).encode(),
        {"Content-Type": "application/json",
         "Accept": "application/json, text/event-stream",
         "MCP-Protocol-Version": VERSION, "Mcp-Method": method, **name})
    with urllib.request.urlopen(request, timeout=120) as answer:
        text = answer.read().decode()
    # A call that takes longer is answered as the last event of a stream.
    data = [l[6:] for l in text.splitlines() if l.startswith("data: ")]
    return json.loads(data[-1] if data else text)["result"]


def call(name, **arguments):
    while True:
        result = ask("tools/call", name=name, arguments=arguments)
        if result["resultType"] != "input_required":
            break
    value = result.get("structuredContent")
    print(name, json.dumps(arguments), "->",
          json.dumps(value) if value is not None
          else result["content"][0]["text"], flush=True)


print("tools:", " ".join(t["name"] for t in ask("tools/list")["tools"]))
call("notes.find", text="T-7")
call("desk.listTickets", state="open")
call("desk.getTicket", id="T-7")
call("desk.getTicket", id="../admin")
call("text.count", text="three plain words")
call("notes.add", text="T-7 was charged twice")
call("desk.closeTicket", id="T-7")
