import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_LINE = Number(process.env.MAX_LINE ?? 65536);
const TOO_LONG = Symbol('too long');

class LineSplitter {
  #pieces = [];
  #size = 0;

  *push(chunk) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      yield this.#take();
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
  }

  *end() {
    if (this.#size > 0) yield this.#take();
  }

  #keep(piece) {
    this.#size += piece.length;
    if (this.#size > MAX_LINE + 1) this.#pieces = [];
    else this.#pieces.push(piece);
  }

  #take() {
    const bytes = Buffer.concat(this.#pieces);
    const length = bytes.at(-1) === 13 ? this.#size - 1 : this.#size;
    this.#pieces = [];
    this.#size = 0;
    return length > MAX_LINE ? TOO_LONG : bytes.toString('utf8', 0, length);
  }
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

function handleTransform(req, res) {
  const splitter = new LineSplitter();
  const numberer = new Numberer();
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });

  req.on('data', (chunk) => {
    for (const line of splitter.push(chunk)) res.write(numberer.answer(line));
  });
  req.on('end', () => {
    for (const line of splitter.end()) res.write(numberer.answer(line));
    res.end(numberer.summary());
  });
  req.on('error', () => res.destroy());
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
