'use strict';
const http = require('node:http');

const MAX_BODY = Number(process.env.MAX_BODY || 102400);
const MAX_IDLE = 32;

/** Gathers one body. The memory is used again for later bodies. */
class Collector {
  constructor() {
    this.memory = Buffer.allocUnsafeSlow(Math.min(16384, MAX_BODY));
    this.size = 0;
  }

  add(chunk) {
    const size = this.size + chunk.length;
    if (size > MAX_BODY) return false;
    if (size > this.memory.length) {
      const memory = Buffer.allocUnsafeSlow(Math.min(MAX_BODY, Math.max(size, 2 * this.memory.length)));
      this.memory.copy(memory, 0, 0, this.size);
      this.memory = memory;
    }
    chunk.copy(this.memory, this.size);
    this.size = size;
    return true;
  }

  /** The text and its size; ready for the next body. */
  drain() {
    const result = { text: this.memory.toString('utf8', 0, this.size), bytes: this.size };
    this.size = 0;
    return result;
  }
}

class Pool {
  #idle = [];
  take() {
    return this.#idle.pop() ?? new Collector();
  }
  give(collector) {
    if (this.#idle.length < MAX_IDLE) this.#idle.push(collector);
  }
}

class EchoServer {
  #pool = new Pool();

  handle(req, res) {
    const path = req.url.split('?', 1)[0];
    if (path === '/health') {
      return req.method === 'GET' ? this.#send(res, 200, '{"status":"up"}') : this.#error(res, 405, 'Only GET.');
    }
    if (path !== '/echo') return this.#error(res, 404, 'Unknown path.');
    if (req.method !== 'POST') return this.#error(res, 405, 'Only POST.');
    if (!/^\s*application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) {
      return this.#error(res, 415, 'Only application/json.');
    }
    this.#read(req, res);
  }

  #read(req, res) {
    const collector = this.#pool.take();
    let open = true;
    const release = () => {
      if (open) this.#pool.give(collector);
      open = false;
    };
    req.on('data', (chunk) => {
      if (!open || collector.add(chunk)) return;
      collector.drain();
      release();
      this.#error(res, 413, `The body has more than ${MAX_BODY} bytes.`);
    });
    req.on('end', () => {
      if (!open) return;
      const { text, bytes } = collector.drain();
      release();
      this.#echo(res, text, bytes);
    });
    req.on('error', release);
    req.on('close', release);
  }

  #echo(res, text, bytes) {
    let answer;
    try {
      answer = JSON.stringify({ received: JSON.parse(text), bytes });
    } catch {
      return this.#error(res, 400, 'The body is not valid JSON.');
    }
    this.#send(res, 200, answer);
  }

  #error(res, status, message) {
    let rest = 10 * 65536; // that much is read and dropped, then the line is cut
    res.req.on('error', () => {});
    res.req.on('data', (chunk) => {
      rest -= chunk.length;
      if (rest < 0) res.req.destroy();
    });
    this.#send(res, status, JSON.stringify({ error: { message } }));
  }

  #send(res, status, text) {
    if (res.headersSent || res.destroyed) return;
    res.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' }).end(text);
  }
}

const app = new EchoServer();
http.createServer((req, res) => app.handle(req, res)).listen(Number(process.env.PORT), '0.0.0.0');
