# An agent that does as it is told: each argument is a call, as JSON
# ["tool", {arguments}], or a URL that is read. Prints a line for each.
import http.client
import json
import os
import sys
import urllib.error
import urllib.request

host, port = os.environ["PADDOCK_MCP_URL"].split("/")[2].split(":")


def call(name, arguments):
    c = http.client.HTTPConnection(host, int(port), timeout=60)
    c.request("POST", "/v1/calls",
              json.dumps({"name": name, "arguments": arguments}),
              {"Content-Type": "application/json"})
    a = c.getresponse()
    return a.status, a.read().decode()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as a:
            return a.status, a.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError as e:
        return 0, str(e)


for what in sys.argv[1:]:
    if what.startswith("http"):
        status, text = get(what)
    elif what.startswith("exit"):
        sys.exit(int(what[4:]))
    else:
        status, text = call(*json.loads(what))
    print(status, text, flush=True)
