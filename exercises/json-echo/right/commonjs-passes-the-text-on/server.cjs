// looplab-canary-json-echo-solutions-8fffc451
'use strict';

const http = require('node:http');

/** A body of limited size, copied into one block that grows by doubling. */
class Body {
  #block = Buffer.allocUnsafe(4096);
  #limit;
  length = 0;

  constructor(limit) {
    this.#limit = limit;
  }

  /** Says whether the bytes still fitted. */
  append(bytes) {
    const needed = this.length + bytes.length;
    if (needed > this.#limit) return false;
    if (needed > this.#block.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#block.length));
      this.#block.copy(larger, 0, 0, this.length);
      this.#block = larger;
    }
    bytes.copy(this.#block, this.length);
    this.length = needed;
    return true;
  }

  toString() {
    return this.#block.toString('utf8', 0, this.length);
  }
}

class EchoServer {
  #maxBody;

  constructor({ maxBody }) {
    this.#maxBody = maxBody;
    this.http = http.createServer((req, res) => this.#route(req, res));
  }

  #route(req, res) {
    const [path] = req.url.split('?');
    if (path === '/health') return this.#answer(res, 200, '"well"');
    if (path !== '/echo') return this.#refuse(res, 404, 'no such path');
    if (req.method !== 'POST') return this.#refuse(res, 405, 'only POST');
    const [type] = (req.headers['content-type'] ?? '').split(';');
    if (type.trim().toLowerCase() !== 'application/json') return this.#refuse(res, 415, 'only application/json');
    if (Number(req.headers['content-length']) > this.#maxBody) return this.#tooLong(req, res);
    this.#read(req, res);
  }

  #read(req, res) {
    const body = new Body(this.#maxBody);
    req.on('data', (bytes) => {
      if (!body.append(bytes)) this.#tooLong(req, res);
    });
    req.on('end', () => this.#echo(res, body));
  }

  #echo(res, body) {
    if (res.headersSent) return;
    const text = body.toString();
    try {
      JSON.parse(text);
    } catch {
      return this.#refuse(res, 400, 'not JSON');
    }
    // It is valid JSON as it is. Sending the text on keeps long numbers and needs no stack for deep nesting.
    const value = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    this.#answer(res, 200, `{"received":${value},"bytes":${body.length}}`);
  }

  #tooLong(req, res) {
    req.removeAllListeners('data').resume();
    res.setHeader('connection', 'close');
    this.#refuse(res, 413, `more than ${this.#maxBody} bytes`);
  }

  #refuse(res, status, detail) {
    this.#answer(res, status, JSON.stringify({ title: http.STATUS_CODES[status], detail }));
  }

  #answer(res, status, json) {
    res.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(json) });
    res.end(json);
  }
}

const { http: server } = new EchoServer({ maxBody: Number(process.env.MAX_BODY || 102400) });
server.listen(process.env.PORT || 3000, '127.0.0.1');
