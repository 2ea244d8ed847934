import http from 'node:http';

const PORT = Number(process.env.PORT);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102400);

function send(res, status, value) {
  if (res.headersSent || res.destroyed) return;
  const text = JSON.stringify(value);
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  res.end(text);
}

/** The rest of a refused body is dropped; who never ends is cut off. */
function fail(res, status, error) {
  let rest = 5e5;
  res.req.on('error', () => {});
  res.req.on('data', (piece) => {
    if ((rest -= piece.length) < 0) res.req.destroy();
  });
  send(res, status, { error });
}

function readText(req, onText, onTooMuch) {
  let pieces = [];
  let length = 0;
  req.setEncoding('utf8'); // keeps characters whole that are cut between two pieces
  req.on('data', (piece) => {
    const before = length;
    length += piece.length;
    if (length <= MAX_BODY) {
      pieces.push(piece);
    } else if (before <= MAX_BODY) {
      pieces = [];
      onTooMuch();
    }
  });
  req.on('end', () => {
    if (length <= MAX_BODY) onText(pieces.join(''));
  });
  req.on('error', () => {});
}

function echo(req, res) {
  const type = (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') return fail(res, 415, 'The content-type must be application/json.');
  readText(
    req,
    (text) => {
      try {
        send(res, 200, { received: JSON.parse(text), bytes: Buffer.byteLength(text) });
      } catch {
        fail(res, 400, 'The body is not valid JSON, or nested too deeply.');
      }
    },
    () => fail(res, 413, `The body has more than ${MAX_BODY} bytes.`),
  );
}

http
  .createServer((req, res) => {
    const path = req.url.split('?')[0];
    if (path === '/health') return req.method === 'GET' ? send(res, 200, { ok: true }) : fail(res, 405, 'Use GET.');
    if (path !== '/echo') return fail(res, 404, 'Not found.');
    if (req.method !== 'POST') return fail(res, 405, 'Use POST.');
    echo(req, res);
  })
  .listen(PORT, '127.0.0.1');
