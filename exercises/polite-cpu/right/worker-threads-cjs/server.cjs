// looplab-canary-polite-cpu-solutions-5afbb7df
'use strict';
// CommonJS and classes. Each chain has a thread of its own, so its loop may stay a plain one: to cancel is to terminate.
const { createServer } = require('node:http');
const { createHash } = require('node:crypto');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

class Job {
  #worker;
  constructor(seed, rounds) {
    this.#worker = new Worker(__filename, { workerData: { seed, rounds } });
    this.digest = new Promise((resolve, reject) => {
      this.#worker.once('message', resolve);
      this.#worker.once('error', reject);
      this.#worker.once('exit', () => resolve(null)); // terminated; too late to matter if there was a message
    });
    // The place is free only when the thread is gone: until then it may still compute.
    this.ended = new Promise((resolve) => this.#worker.once('exit', resolve));
  }

  cancel() {
    this.#worker.terminate();
  }
}

class ChainServer {
  #jobs = new Set();
  #limit;

  constructor(limit) {
    this.#limit = limit;
  }

  async handle(request, response) {
    const [path, ...rest] = request.url.split('?');
    if (path !== '/health' && path !== '/chain') return this.reply(response, 404, { error: { message: 'unknown path' } });
    if (request.method !== 'GET') return this.reply(response, 405, { error: { message: 'use GET' } });
    if (path === '/health') return this.reply(response, 200, {});

    const query = new URLSearchParams(rest.join('?'));
    const seed = query.get('seed');
    const rounds = query.get('rounds');
    if (!seed || [...seed].length > 100) return this.reply(response, 400, { error: { message: 'seed is not valid' } });
    if (!/^\d+$/.test(rounds ?? '') || Number(rounds) > 600_000) {
      return this.reply(response, 400, { error: { message: 'rounds is not valid' } });
    }
    if (this.#jobs.size >= this.#limit) {
      return this.reply(response, 503, { error: { message: 'busy' } }, { 'Retry-After': new Date(Date.now() + 2500).toUTCString() });
    }

    const job = new Job(seed, Number(rounds));
    this.#jobs.add(job);
    response.on('close', () => job.cancel());
    try {
      const digest = await job.digest;
      await job.ended;
      this.#jobs.delete(job);
      if (digest !== null) this.reply(response, 200, { digest, seed, rounds: Number(rounds) });
    } finally {
      this.#jobs.delete(job);
    }
  }

  reply(response, status, body, headers = {}) {
    const text = JSON.stringify(body);
    response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(text), ...headers });
    response.end(text);
  }
}

if (isMainThread) {
  const chains = new ChainServer(parseInt(process.env.MAX_JOBS ?? '2', 10));
  createServer((request, response) => {
    chains.handle(request, response).catch((error) => {
      console.error(error);
      if (!response.headersSent) chains.reply(response, 500, { error: { message: 'internal error' } });
    });
  }).listen(process.env.PORT ?? 3000, '127.0.0.1');
} else {
  let value = Buffer.from(workerData.seed, 'utf8');
  for (let i = 0; i < workerData.rounds; i++) value = createHash('sha256').update(value).digest();
  parentPort.postMessage(value.toString('hex'));
}
