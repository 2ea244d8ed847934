import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);
const MAX_DROPPED = 5_000_000;

process.on('uncaughtException', (error) => console.error('Caught, so that the server lives on:', error));

const routes = new Map([
  ['GET /health', (req, res) => sendJson(res, 200, { status: 'ok' })],
  ['POST /echo', echo],
]);

function echo(req, res) {
  if (mediaType(req) !== 'application/json') return refuse(res, 415, 'Send the body as application/json.');
  const chunks = [];
  let size = 0;
  req.on('data', (chunk) => {
    size += chunk.length;
    if (size <= MAX_BODY) {
      chunks.push(chunk);
      return;
    }
    chunks.length = 0;
    if (!res.headersSent) refuse(res, 413, `The body has more than ${MAX_BODY} bytes.`);
    // A client that is still sending hears the answer only while we go on reading. But nobody may send for ever.
    if (size > MAX_BODY + MAX_DROPPED) req.destroy();
  });
  req.on('end', () => {
    if (res.headersSent) return;
    if (size === 0) return refuse(res, 400, 'The body is empty.');
    const received = JSON.parse(Buffer.concat(chunks).toString());
    sendJson(res, 200, { received, bytes: size });
  });
  req.on('error', (error) => console.log('A client broke off:', error.code));
}

function mediaType(req) {
  return (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
}

function refuse(res, status, message) {
  sendJson(res, status, { error: message });
}

function sendJson(res, status, value) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch {
    // JSON.parse has no limit to nesting, but JSON.stringify recurses and runs out of stack.
    return refuse(res, 400, 'The value is nested too deeply.');
  }
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(text);
}

const server = createServer((req, res) => {
  const path = req.url.split('?')[0];
  const handle = routes.get(`${req.method} ${path}`);
  if (!handle) return refuse(res, 404, 'There is nothing at this path for this method.');
  handle(req, res);
});

server.listen(PORT);
