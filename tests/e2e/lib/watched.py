# A tool server whose resource changes, by its standard streams. Runs as
# `python3 -c`. argv: its era, "older" or "newer".
import json, os, sys
newer = sys.argv[1] == 'newer'
ID = 'io.modelcontextprotocol/subscriptionId'
URIS = ['notes://one', 'notes://two']
on = {}  # of the older era its URIs, of the newer the request's, by its id
able = {'tools': {'listChanged': True},
        'resources': {'subscribe': True, 'listChanged': True}}


def tell(m):
    sys.stdout.write(json.dumps({'jsonrpc': '2.0', **m}) + '\n')
    sys.stdout.flush()


def updated(uri):
    for id in on if newer else [None]:
        meta = {'_meta': {ID: id}} if newer else {}
        tell({'method': 'notifications/resources/updated',
              'params': {'uri': uri, **meta}})


def call(name):
    if name == 'touch':
        for uri in ('notes://one', 'notes://one/below', 'notes://elsewhere'):
            updated(uri)
    if name == 'storm':
        for _ in range(2000):
            updated('notes://one')
    if name == 'die':
        os._exit(3)
    all = set(sum(on.values(), []) if newer else on)
    return {'content': [{'type': 'text', 'text': json.dumps(sorted(all))}]}


def answer(method, p, id):
    if method == 'tools/list':
        return {'tools': [{'name': n, 'inputSchema': {'type': 'object'}}
                          for n in ('touch', 'count', 'storm', 'die')]}
    if method == 'resources/list':
        return {'resources': [{'uri': u, 'name': u} for u in URIS]}
    if method == 'resources/read':
        return {'contents': [{'uri': p['uri'], 'text': 'a note'}]}
    if method == 'tools/call':
        return call(p['name'])
    if newer:
        if method == 'server/discover':
            return {'supportedVersions': ['2026-07-28'], 'capabilities': able}
        return None
    if method == 'initialize':
        return {'protocolVersion': '2025-11-25', 'capabilities': able,
                'serverInfo': {'name': 'watched', 'version': '1'}}
    if method == 'resources/subscribe' and p['uri'] in URIS:
        on[p['uri']] = True
        return {}
    if method == 'resources/unsubscribe':
        on.pop(p['uri'], None)
        return {}
    return None


for line in sys.stdin:
    m = json.loads(line)
    id, method, p = m.get('id'), m.get('method'), m.get('params', {})
    if method == 'subscriptions/listen' and newer:
        wants = p['notifications']
        on[id] = [u for u in wants.get('resourceSubscriptions', [])
                  if u in URIS]
        tell({'method': 'notifications/subscriptions/acknowledged',
              'params': {'_meta': {ID: id}, 'notifications':
                         {**wants, 'resourceSubscriptions': on[id]}}})
        continue
    if method == 'notifications/cancelled':
        on.pop(p.get('requestId'), None)
    if id is None:
        continue
    r = answer(method, p, id)
    if r is None:
        tell({'id': id, 'error': {'code': -32601, 'message': 'no ' + method}})
    else:
        tell({'id': id, 'result': {'resultType': 'complete', **r}
              if newer else r})
