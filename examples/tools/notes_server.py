"""A tool server over standard input and output: notes, kept while it runs."""
import json
import sys

NOTES = ["call Dana back about T-7", "order paper"]
TEXT = {"type": "string", "maxLength": 1000}
TOOLS = [
    {"name": "find", "description": "Finds notes that have a text in them.",
     "inputSchema": {"type": "object", "required": ["text"],
                     "properties": {"text": TEXT}}},
    {"name": "add", "description": "Adds a note.",
     "inputSchema": {"type": "object", "required": ["text"],
                     "properties": {"text": TEXT}}},
]


def call(name, text):
    if name == "add":
        NOTES.append(text)
        found = [text]
    else:
        found = [n for n in NOTES if text.lower() in n.lower()]
    return {"content": [{"type": "text", "text": "\n".join(found)}],
            "structuredContent": {"notes": found}}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "notes", "version": "1.0.0"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        return call(params["name"], params["arguments"].get("text", ""))
    return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = answer(message["method"], message.get("params", {}))
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        reply["error"] = {"code": -32601, "message": "there is no such method"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
