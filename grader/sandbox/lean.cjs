// Loaded before a learner's program whose files do not name these three: they are the client's side of a web socket, and Node makes
// them when `import … from 'node:http'` looks at every export once. That loads its whole fetch library, HTTP/2 and crypto: half of
// the processor time of a start. Measured in site/docs/decisions/0006-used-again.md.
const http = require('node:http');

for (const name of ['WebSocket', 'CloseEvent', 'MessageEvent']) {
  Object.defineProperty(http, name, { value: undefined, configurable: true, enumerable: true, writable: true });
}
