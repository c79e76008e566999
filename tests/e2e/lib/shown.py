# A tool server with a page, for tests of captures. Runs as `python3 -c`, hence
# short. argv: what goes wrong.
import base64, json, os, struct, sys, time, zlib
mode = sys.argv[1] if len(sys.argv) > 1 else ''
page, busy = 0, 0


def png(n):
    def chunk(name, data):
        return (struct.pack('>I', len(data)) + name + data +
                struct.pack('>I', zlib.crc32(name + data)))
    return (b'\x89PNG\r\n\x1a\n' +
            chunk(b'IHDR', struct.pack('>IIBBBBB', 8, 4, 8, 0, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(4 * (b'\0' + bytes([n] * 8)))) +
            chunk(b'IEND', b''))


def text(s, **more):
    return {'content': [{'type': 'text', 'text': s}], **more}


def call(name, args):
    global page
    late = mode.endswith('after') and page > 0
    wrong = mode.removesuffix('_after') if late or 'after' not in mode else ''
    if name == 'do':
        time.sleep(args.get('s', 0))
        page += 1
        return text('did %d' % page)
    if name == 'look':
        return text('page %d' % page)
    if name == 'shot':
        data, kind = png(page), 'image/png'
        if wrong == 'fake':
            data = b'<svg onload="alert(1)"/>' + bytes(32)
        if wrong == 'svg':
            kind = 'image/svg+xml'
        if wrong == 'big':
            data += bytes(2 * 1024 * 1024)
        if wrong == 'fail':
            return text('no page is open', isError=True)
        if wrong == 'nothing':
            return {'content': []}
        if wrong == 'link':
            return {'content': [{'type': 'resource_link', 'uri': 'file:///x',
                                 'name': 'x'}]}
        if wrong == 'slow':
            time.sleep(5)
        if wrong == 'die':
            os._exit(3)
        b = base64.b64encode(data).decode()
        return {'content': [{'type': 'image', 'mimeType': kind,
                             'data': b if wrong != 'b64' else b[1:]}]}
    if name == 'text':
        return text('page %d of %s' % (page, os.environ.get('WHAT', '')))


for line in sys.stdin:
    m = json.loads(line)
    id, method, p = m.get('id'), m.get('method'), m.get('params', {})
    if method == 'initialize':
        r = {'protocolVersion': '2025-11-25', 'capabilities': {'tools': {}},
             'serverInfo': {'name': 'shown', 'version': '1'}}
    elif method == 'tools/list':
        r = {'tools': [{'name': n, 'inputSchema': {'type': 'object'}}
                       for n in ('do', 'look', 'shot', 'text')]}
    elif method == 'tools/call':
        r = call(p['name'], p['arguments'])
    elif id is None:
        continue
    else:
        print(json.dumps({'jsonrpc': '2.0', 'id': id, 'error':
              {'code': -32601, 'message': 'no'}}), flush=True)
        continue
    print(json.dumps({'jsonrpc': '2.0', 'id': id, 'result': r}), flush=True)
