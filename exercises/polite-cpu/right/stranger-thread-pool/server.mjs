// looplab-canary-polite-cpu-solutions-5afbb7df
// Pool of worker threads, one per place; cancelled through a shared flag. Plain node:http.
import http from 'node:http';
import os from 'node:os';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { hash } from 'node:crypto';

if (!isMainThread) {
  const flag = new Int32Array(workerData);
  parentPort.on('message', ({ seed, rounds }) => {
    let value = Buffer.from(seed, 'utf8');
    for (let i = 0; i < rounds; i++) {
      if ((i & 1023) === 0 && Atomics.load(flag, 0) === 1) return parentPort.postMessage(null);
      value = hash('sha256', value, 'buffer');
    }
    parentPort.postMessage(value.toString('hex'));
  });
} else main();

function main() {
  const MAX = /^[0-9]+$/.test(process.env.MAX_JOBS ?? '') && Number(process.env.MAX_JOBS) >= 1 ? Number(process.env.MAX_JOBS) : 2;
  const RETRY = String(Math.min(10, 2 + Math.ceil(MAX / os.availableParallelism())));
  const idle = [];
  let busy = 0;

  function hire() {
    const shared = new SharedArrayBuffer(4);
    const w = { flag: new Int32Array(shared), thread: new Worker(new URL(import.meta.url), { workerData: shared }), done: null };
    const dead = () => { const d = w.done; w.done = null; const i = idle.indexOf(w); if (i >= 0) idle.splice(i, 1); w.gone = true; d?.(undefined); };
    w.thread.on('message', (m) => { const d = w.done; w.done = null; d?.(m); });
    w.thread.on('error', dead);
    w.thread.on('exit', dead);
    return w;
  }
  for (let i = 0; i < Math.min(MAX, os.availableParallelism()); i++) idle.push(hire());

  function send(res, status, body, headers = {}) {
    if (res.destroyed) return;
    const text = JSON.stringify(body);
    res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text), ...headers });
    res.end(text);
  }

  function chain(req, res, query) {
    const seed = query.get('seed'), r = query.get('rounds');
    const n = seed === null ? 0 : [...seed].length;
    if (n < 1 || n > 100) return send(res, 400, { error: 'seed must have 1 to 100 characters.' });
    if (r === null || !/^[0-9]+$/.test(r) || Number(r) > 600000) return send(res, 400, { error: 'rounds must be a whole number from 0 to 600000.' });
    if (req.socket.destroyed) return;
    if (busy >= MAX) return send(res, 503, { error: 'Every place is taken.' }, { 'retry-after': RETRY });
    busy++;
    const w = idle.pop() ?? hire();
    const rounds = Number(r);
    Atomics.store(w.flag, 0, 0);
    const left = () => Atomics.store(w.flag, 0, 1);
    // the socket, not the response: a pipelined response gets no 'close' of its own
    req.socket.once('close', left);
    w.done = (digest) => {
      busy--;
      if (!w.gone) idle.push(w);
      req.socket.removeListener('close', left);
      if (typeof digest === 'string') send(res, 200, { seed, rounds, digest });
      else if (digest === undefined) send(res, 500, { error: 'The computation failed.' });
    };
    w.thread.postMessage({ seed, rounds });
  }

  const server = http.createServer((req, res) => {
    req.resume();
    req.on('error', () => {}); res.on('error', () => {});
    req.socket.setMaxListeners(0);
    const url = req.url.replace(/^https?:\/\/[^/?]*/i, '').replace(/[\x80-\xff]/g, (c) => '%' + c.charCodeAt(0).toString(16));
    const q = url.indexOf('?');
    const path = q < 0 ? url : url.slice(0, q);
    if (path !== '/health' && path !== '/chain') return send(res, 404, { error: 'No such path.' });
    if (req.method !== 'GET') return send(res, 405, { error: 'Only GET is served here.' }, { allow: 'GET' });
    if (path === '/health') return send(res, 200, { ok: true });
    chain(req, res, new URLSearchParams(q < 0 ? '' : url.slice(q + 1)));
  });
  server.on('clientError', (err, socket) => {
    if (!socket.writable) return socket.destroy();
    const t = '{"error":"Bad request."}';
    socket.end(`HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${t.length}\r\nconnection: close\r\n\r\n${t}`);
  });
  process.on('SIGTERM', () => process.exit(0));
  server.listen(Number(process.env.PORT), '127.0.0.1');
}
