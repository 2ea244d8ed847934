// looplab-canary-polite-cpu-solutions-5afbb7df
// One thread, no workers: a cooperative scheduler over generators, express 5 on top, on ::1.
import express from 'express';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { createHash } from 'node:crypto';

type Problem = { status: number; title: string; retry?: Date };

class Job {
  value: Buffer;
  left: number;
  steps: Generator<void, void>;
  settle: (digest: string) => void;
  constructor(seed: string, rounds: number, settle: (digest: string) => void) {
    this.value = new TextEncoder().encode(seed) as Buffer;
    this.left = rounds;
    this.settle = settle;
    this.steps = this.run();
  }
  *run(): Generator<void, void> {
    while (this.left > 0) {
      for (let i = Math.min(500, this.left); i > 0; i--) {
        this.value = createHash('sha256').update(this.value).digest();
        this.left--;
      }
      yield;
    }
  }
}

class Desk {
  places: number;
  jobs = new Set<Job>();
  ticking = false;
  constructor(places: number) { this.places = places; }
  get full() { return this.jobs.size >= this.places; }
  add(job: Job) {
    this.jobs.add(job);
    this.wake();
  }
  wake() {
    if (!this.ticking && this.jobs.size > 0) { this.ticking = true; setImmediate(() => this.tick()); }
  }
  // The one with the least left goes first, so that places become free one after the other.
  tick() {
    this.ticking = false;
    const end = performance.now() + 3;
    do {
      let next: Job | undefined;
      for (const j of this.jobs) if (!next || j.left < next.left) next = j;
      if (!next) return;
      if (next.steps.next().done) {
        this.jobs.delete(next);
        next.settle(Buffer.from(next.value).toString('hex'));
      }
    } while (performance.now() < end);
    this.wake();
  }
}

const desk = new Desk(Math.max(1, Math.trunc(Number(process.env.MAX_JOBS ?? 2)) || 2));
const app = express();
app.disable('x-powered-by');
app.disable('etag');

const fail = (res: any, p: Problem) => {
  if (p.retry) res.set('Retry-After', p.retry.toUTCString());
  res.status(p.status).type('application/json').send(JSON.stringify({ type: 'about:blank', status: p.status, title: p.title }));
};

function decode(query: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const pair of query.split('&')) {
    const at = pair.indexOf('=');
    const [k, v] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    out.set(word(k), word(v));
  }
  return out;
}
function word(text: string): string {
  const raw = text.replaceAll('+', ' ').replace(/%([0-9a-f]{2})/gi, (_, h) => String.fromCharCode(parseInt(h, 16)));
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.from(raw, 'latin1'));
}

app.use((req: any, res: any) => {
  req.resume();
  const [, path, query] = /^(?:https?:\/\/[^/?]*)?([^?]*)(?:\?([^]*))?$/i.exec(req.originalUrl)!;
  const isChain = path === '/chain' || path === '/chain/';
  if (!isChain && path !== '/health') return fail(res, { status: 404, title: 'Nothing here' });
  if (req.method !== 'GET') return fail(res, { status: 404, title: 'Nothing here for this method' });
  if (!isChain) return res.type('text/plain').send('alive');

  const p = decode(query ?? '');
  const seed = p.get('seed') ?? '';
  const text = p.get('rounds') ?? '';
  const size = Array.from(seed).length;
  if (size === 0 || size > 100) return fail(res, { status: 400, title: 'The seed is missing or too long' });
  // leading zeros are refused here
  if (!/^(0|[1-9][0-9]{0,5})$/.test(text) || +text > 600_000) return fail(res, { status: 400, title: 'Rounds are missing or invalid' });
  if (desk.full) return fail(res, { status: 503, title: 'All desks are busy', retry: new Date(Date.now() + 9000) });

  const socket: Socket = req.socket;
  if (socket.destroyed) return;
  const rounds = Number(text);
  const began = performance.now();
  const job = new Job(seed, rounds, (digest) => {
    socket.off('close', gone);
    res.set('Connection', 'close').type('application/json')
      .send(JSON.stringify({ digest, algorithm: 'sha256', ms: Math.round(performance.now() - began), rounds, seed }, null, 1));
  });
  const gone = () => { desk.jobs.delete(job); };
  socket.setMaxListeners(0).once('close', gone);
  desk.add(job);
});
app.use((_e: unknown, _q: unknown, res: any, _n: unknown) => fail(res, { status: 400, title: 'Bad request' }));

const server = createServer({ maxHeaderSize: 65536 }, app);
server.on('clientError', (_e, s: Socket) => {
  const t = '{"title":"Bad request"}';
  if (s.writable) s.end(`HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${t.length}\r\nConnection: close\r\n\r\n${t}`);
  else s.destroy();
});
process.once('SIGTERM', () => { server.close(); server.closeAllConnections(); setTimeout(() => process.exit(0), 100); });
server.listen({ port: Number(process.env.PORT), host: '::1' });
