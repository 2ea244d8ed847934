// looplab-canary-json-echo-solutions-8fffc451
import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);
const MAX_DROPPED = 5_000_000;

class Refusal extends Error {
  constructor(status, message, options) {
    super(message, options);
    this.status = status;
  }
}

const routes = new Map([
  ['GET /health', (req, res) => sendJson(res, 200, { status: 'ok' })],
  ['POST /echo', echo],
]);

async function echo(req, res) {
  if (mediaType(req) !== 'application/json') throw new Refusal(415, 'Send the body as application/json.');
  const body = await readBody(req);
  sendJson(res, 200, { received: parseJson(body), bytes: body.length });
}

function mediaType(req) {
  return (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
}

function readBody(req) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    req.on('data', (chunk) => {
      size += chunk.length;
      if (size <= MAX_BODY) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      reject(new Refusal(413, `The body has more than ${MAX_BODY} bytes.`));
      // A client that is still sending hears the answer only while we go on reading. But nobody may send for ever.
      if (size > MAX_BODY + MAX_DROPPED) req.destroy();
    });
    req.on('end', () => resolve(Buffer.concat(chunks)));
    req.on('error', reject);
  });
}

function parseJson(body) {
  try {
    // Only the whole body is decoded: a chunk may end in the middle of a character.
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new Refusal(400, 'The body is not valid JSON.', { cause });
  }
}

function sendJson(res, status, value) {
  const text = toJson(value);
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(text);
}

function toJson(value) {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    // JSON.parse has no limit to nesting, but JSON.stringify recurses and runs out of stack.
    throw new Refusal(400, 'The value is nested too deeply.', { cause });
  }
}

function answerError(res, error) {
  if (error instanceof Refusal) return sendJson(res, error.status, { error: error.message });
  console.error(error);
  sendJson(res, 500, { error: 'Something went wrong on our side.' });
}

const server = createServer(async (req, res) => {
  try {
    const path = req.url.split('?')[0];
    const handle = routes.get(`${req.method} ${path}`);
    if (!handle) throw new Refusal(404, 'There is nothing at this path for this method.');
    await handle(req, res);
  } catch (error) {
    answerError(res, error);
  }
});

server.listen(PORT);
