import http from 'node:http';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';

const port = Number(process.env.PORT ?? 3000);
const maxLine = Number(process.env.MAX_LINE ?? 65536);

const toLine = (value) => JSON.stringify(value) + '\n';
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

class NumberLines extends Transform {
  decoder = new StringDecoder('utf8');
  rest = '';
  tooLong = false; // the line we are in has passed the limit
  line = 0;
  ok = 0;
  bad = 0;
  damaged = false;

  _transform(chunk, encoding, callback) {
    this.rest += this.decoder.write(chunk);
    const lines = this.rest.split('\n');
    this.rest = lines.pop();
    for (const line of lines) this.take(line.endsWith('\r') ? line.slice(0, -1) : line);
    if (Buffer.byteLength(this.rest) > maxLine + 1) {
      this.tooLong = true;
      this.rest = '';
    }
    callback();
  }

  _flush(callback) {
    this.rest += this.decoder.end();
    if (this.rest !== '' || this.tooLong) this.take(this.rest);
    this.push(toLine({ summary: { ok: this.ok, bad: this.bad } }));
    callback();
  }

  take(text) {
    if (this.damaged) return; // after a bad line, trust nothing that follows
    this.line += 1;
    if (this.tooLong || Buffer.byteLength(text) > maxLine) {
      this.tooLong = false;
      this.refuse('line too long');
      return;
    }
    if (this.line === 1 && text.startsWith('\uFEFF')) text = text.slice(1);
    if (/^[ \t]*$/.test(text)) return; // blank

    let record;
    try {
      record = JSON.parse(text);
    } catch {
      this.refuse('invalid json');
      return;
    }
    if (!isObject(record)) {
      this.refuse('invalid json');
      return;
    }
    this.ok += 1;
    this.push(toLine({ ...record, n: this.line }));
  }

  refuse(error) {
    this.bad += 1;
    this.damaged = true;
    this.push(toLine({ error, line: this.line }));
  }
}

function sendError(res, status, error) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify({ error }));
}

const server = http.createServer(async (req, res) => {
  const path = req.url.split('?')[0];
  if (path === '/health') {
    res.end('ok');
  } else if (path !== '/transform') {
    sendError(res, 404, 'not found');
  } else if (req.method !== 'POST') {
    sendError(res, 405, 'method not allowed');
  } else {
    res.writeHead(200, { 'content-type': 'application/x-ndjson' });
    try {
      await pipeline(req, new NumberLines(), res);
    } catch (error) {
      console.log('the client broke off:', error.code);
    }
  }
});

server.requestTimeout = 0;
server.listen(port);
