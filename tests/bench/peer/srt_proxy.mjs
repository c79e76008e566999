// The proxy of @anthropic-ai/sandbox-runtime by itself: PORT, every host is
// allowed, so that it decides nothing.
import { createHttpProxyServer } from
	'./node_modules/@anthropic-ai/sandbox-runtime/dist/sandbox/http-proxy.js';

createHttpProxyServer({ filter: () => true })
	.listen(Number(process.argv[2]), '127.0.0.1');
