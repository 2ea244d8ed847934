// looplab-canary-ndjson-lines-solutions-18a6e3c0
import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_LINE = Number(process.env.MAX_LINE ?? 65536);

const LF = 0x0a;
const CR = 0x0d;
const BYTE_ORDER_MARK = '\uFEFF';
const BLANK = /^[ \t]*$/;
const TOO_LONG = Symbol('a line of more than MAX_LINE bytes');

/**
 * Cuts a stream of bytes into lines, whatever the sizes of its chunks.
 *
 * It cuts bytes and decodes whole lines: no UTF-8 character contains the byte LF, so none is ever torn.
 * It owns one buffer of fixed size. A line that does not fit is counted, not kept.
 */
class LineSplitter {
  #buffer = Buffer.alloc(MAX_LINE + 1); // one more for a CR, which belongs to the line ending
  #length = 0;

  /** Yields the lines that `chunk` completes, and keeps what follows the last LF for the next chunk. */
  *push(chunk) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      this.#keep(chunk.subarray(start, end));
      yield this.#take({ ended: true });
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
  }

  /** Yields the last line, if the body did not end with LF. */
  *end() {
    if (this.#length > 0) yield this.#take({ ended: false });
  }

  #keep(piece) {
    piece.copy(this.#buffer, this.#length); // copies what fits and no more
    this.#length += piece.length;
  }

  #take({ ended }) {
    let length = this.#length;
    this.#length = 0;
    if (ended && this.#buffer[length - 1] === CR) length -= 1;
    return length > MAX_LINE ? TOO_LONG : this.#buffer.toString('utf8', 0, length);
  }
}

function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** Answers lines in their order: text in, a line of JSON (or nothing, for a blank line) out. */
class Numberer {
  #line = 0;
  #ok = 0;
  #bad = 0;

  answer(text) {
    this.#line += 1;
    if (text === TOO_LONG) return this.#refuse('line too long');
    if (this.#line === 1 && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1);
    if (BLANK.test(text)) return '';

    const record = parseObject(text);
    if (record === null) return this.#refuse('invalid json');
    this.#ok += 1;
    return toLine({ ...record, n: this.#line });
  }

  summary() {
    return toLine({ summary: { ok: this.#ok, bad: this.#bad } });
  }

  #refuse(error) {
    this.#bad += 1;
    return toLine({ error, line: this.#line });
  }
}

const toLine = (value) => `${JSON.stringify(value)}\n`;

/** One piece of answer for each chunk of the body: pipeline asks for the next only when the client has room for it. */
async function* transform(body) {
  const splitter = new LineSplitter();
  const numberer = new Numberer();
  const answerAll = (lines) => Array.from(lines, (line) => numberer.answer(line)).join('');

  for await (const chunk of body) {
    const answers = answerAll(splitter.push(chunk));
    if (answers !== '') yield answers;
  }
  yield answerAll(splitter.end()) + numberer.summary();
}

async function handleTransform(req, res) {
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  try {
    await pipeline(req, transform, res);
  } catch (error) {
    // The client has gone and pipeline has closed both sides: there is nobody left to answer.
    console.log('transform broken off:', error.code ?? error.message);
  }
}

function sendJson(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

const routes = {
  '/health': { GET: (req, res) => sendJson(res, 200, { status: 'ok' }) },
  '/transform': { POST: handleTransform },
};

// Node ends a request after five minutes unless told otherwise; ours may last all day.
const server = createServer({ requestTimeout: 0 }, (req, res) => {
  const [path] = req.url.split('?');
  const route = Object.hasOwn(routes, path) ? routes[path] : null;
  if (route === null) return sendJson(res, 404, { error: 'there is nothing here' });
  const handle = route[req.method];
  if (!handle) return sendJson(res, 405, { error: `${req.method} is not possible here` });
  return handle(req, res);
});

server.listen(PORT, () => console.log(`listening on ${PORT}`));
