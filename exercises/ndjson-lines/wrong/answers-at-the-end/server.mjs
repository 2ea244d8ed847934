import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_LINE = Number(process.env.MAX_LINE ?? 65536);
const TOO_LONG = Symbol('too long');

function splitLines(body) {
  const lines = [];
  let start = 0;
  while (start < body.length) {
    const lf = body.indexOf(10, start);
    const end = lf === -1 ? body.length : lf;
    const length = end - start - (body[end - 1] === 13 ? 1 : 0);
    lines.push(length > MAX_LINE ? TOO_LONG : body.toString('utf8', start, start + length));
    start = end + 1;
  }
  return lines;
}

class Numberer {
  line = 0;
  ok = 0;
  bad = 0;

  answer(text) {
    this.line += 1;
    if (text === TOO_LONG) return this.refuse('line too long');
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

async function handleTransform(req, res) {
  try {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);

    const numberer = new Numberer();
    const answers = splitLines(Buffer.concat(chunks)).map((line) => numberer.answer(line));
    res.writeHead(200, { 'content-type': 'application/x-ndjson' });
    res.end(answers.join('') + numberer.summary());
  } catch (error) {
    console.log('the client has gone:', error.code);
    res.destroy();
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
