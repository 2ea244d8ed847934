import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);

class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The whole body as one Buffer. Stops keeping it as soon as it is too long. */
function readBody(request) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    request.on('data', (chunk) => {
      size += chunk.length;
      if (size <= MAX_BODY) return chunks.push(chunk);
      request.pause(); // the rest stays on the wire until the connection is closed
      reject(new HttpError(413, `the body is larger than ${MAX_BODY} bytes`));
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', reject);
  });
}

function parseJson(body) {
  if (body.length === 0) throw new HttpError(400, 'the body is empty');
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new HttpError(400, 'the body is not valid JSON');
  }
}

function isJson(request) {
  const [mediaType] = (request.headers['content-type'] ?? '').split(';');
  return mediaType.trim().toLowerCase() === 'application/json';
}

async function echo(request) {
  if (!isJson(request)) throw new HttpError(415, 'send application/json');
  const body = await readBody(request);
  return { received: parseJson(body), bytes: body.length };
}

function send(response, status, value) {
  const text = stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** JSON.parse reads deeper values than JSON.stringify can write. */
function stringify(value) {
  try {
    return JSON.stringify(value);
  } catch {
    throw new HttpError(400, 'the body is nested too deeply');
  }
}

async function handle(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/health') return send(response, 200, { ok: true });
  if (pathname !== '/echo') throw new HttpError(404, 'there is nothing here');
  if (request.method !== 'POST') throw new HttpError(405, 'use POST');
  send(response, 200, await echo(request));
}

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    if (response.headersSent || response.destroyed) return;
    // What is left of a refused body is not read: the connection cannot be used again.
    if (!request.complete) response.setHeader('connection', 'close');
    send(response, error.status ?? 500, { error: error.status ? error.message : 'something went wrong' });
  });
});
server.listen(PORT);
