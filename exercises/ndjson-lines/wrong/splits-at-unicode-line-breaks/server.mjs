import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_LINE = Number(process.env.MAX_LINE ?? 65536);

/** readline keeps a line whole, however long it is: cut off what nobody will read. */
async function* cutLongLines(body) {
  const room = MAX_LINE + 2;
  let length = 0;
  for await (const chunk of body) {
    let start = 0;
    while (start < chunk.length) {
      const lf = chunk.indexOf(10, start);
      const end = lf === -1 ? chunk.length : lf;
      if (length < room) yield chunk.subarray(start, Math.min(end, start + room - length));
      length += end - start;
      if (lf === -1) break;
      yield chunk.subarray(lf, lf + 1);
      length = 0;
      start = lf + 1;
    }
  }
}

class Numberer {
  line = 0;
  ok = 0;
  bad = 0;

  answer(text) {
    this.line += 1;
    if (Buffer.byteLength(text) > MAX_LINE) return this.refuse('line too long');
    if (this.line === 1) text = text.replace(/^\uFEFF/, '');
    if (/^[ \t]*$/.test(text)) return ''; // blank
    let record;
    try {
      record = JSON.parse(text);
    } catch {
      return this.refuse('invalid json');
    }
    if (record === null || typeof record !== 'object' || Array.isArray(record)) return this.refuse('invalid json');
    this.ok += 1;
    return `${JSON.stringify({ ...record, n: this.line })}\n`;
  }

  refuse(error) {
    this.bad += 1;
    return `${JSON.stringify({ error, line: this.line })}\n`;
  }

  summary() {
    return `${JSON.stringify({ summary: { ok: this.ok, bad: this.bad } })}\n`;
  }
}

async function* transform(body) {
  const numberer = new Numberer();
  const input = Readable.from(cutLongLines(body));
  input.on('error', () => {}); // pipeline sees the broken body as well, and closes the answer
  for await (const line of createInterface({ input, crlfDelay: Infinity })) yield numberer.answer(line);
  yield numberer.summary();
}

async function handleTransform(req, res) {
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  try {
    await pipeline(req, transform, res);
  } catch (error) {
    console.log('the client has gone:', error.code);
  }
}

function sendJson(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

const server = createServer({ requestTimeout: 0 }, (req, res) => {
  const [path] = req.url.split('?');
  if (path === '/health') return sendJson(res, 200, { status: 'ok' });
  if (path !== '/transform') return sendJson(res, 404, { error: 'not found' });
  if (req.method !== 'POST') return sendJson(res, 405, { error: 'method not allowed' });
  return handleTransform(req, res);
});

server.listen(PORT);
