import { createServer } from 'node:http';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_LINE = Number(process.env.MAX_LINE ?? 65536);
const TOO_LONG = Symbol('too long');
const decoder = new TextDecoder(); // leaves out a byte order mark

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
    return length > MAX_LINE ? TOO_LONG : decoder.decode(bytes.subarray(0, length));
  }
}

class RecordService {
  /** The answer to one record; throws if the text is not a JSON object. */
  numberRecord(text, line) {
    const record = JSON.parse(text);
    if (record === null || typeof record !== 'object' || Array.isArray(record)) throw new TypeError('not a record');
    return { ...record, n: line };
  }

  createStream() {
    const summary = { ok: 0, bad: 0 };
    let line = 0;

    return new Transform({
      writableObjectMode: true,

      transform(text, encoding, callback) {
        line += 1;
        if (text !== TOO_LONG && /^[ \t]*$/.test(text)) return callback(); // blank
        let answer;
        try {
          if (text === TOO_LONG) throw new RangeError('line too long');
          answer = this.numberRecord(text, line);
          summary.ok += 1;
        } catch (error) {
          answer = { error: error instanceof RangeError ? error.message : 'invalid json', line };
          summary.bad += 1;
        }
        callback(null, `${JSON.stringify(answer)}\n`);
      },

      flush(callback) {
        callback(null, `${JSON.stringify({ summary })}\n`);
      },
    });
  }
}

const records = new RecordService();

async function* splitLines(body) {
  const splitter = new LineSplitter();
  for await (const chunk of body) yield* splitter.push(chunk);
  yield* splitter.end();
}

async function handleTransform(req, res) {
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  try {
    await pipeline(req, splitLines, records.createStream(), res);
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
