// looplab-canary-ndjson-lines-solutions-18a6e3c0
// fastify + type stripping; async generators over latin1 strings (one character = one byte)
import Fastify from 'fastify';
import type { FastifyRequest, FastifyReply } from 'fastify';
import { Readable } from 'node:stream';

type Line = { no: number; bytes: string | undefined };   // undefined: too long
type Json = Record<string, unknown>;

const limit: number = parseInt(process.env.MAX_LINE || '65536', 10);

async function* batches(body: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  let no = 0;
  let tail = '';
  let skipping = false;
  for await (const chunk of body) {
    const batch: Line[] = [];
    const pieces = chunk.latin1Slice(0, chunk.length).split('\n');
    const rest = pieces.pop() as string;
    for (const piece of pieces) {
      if (skipping) { skipping = false; no++; continue; }
      let s = tail + piece;
      tail = '';
      if (s.endsWith('\r')) s = s.slice(0, -1);
      no++;
      batch.push({ no, bytes: s.length > limit ? undefined : s });
    }
    if (!skipping) {
      tail += rest;
      // one byte of grace: it may be the CR of the line ending
      if (tail.length > limit + 1 || (tail.length === limit + 1 && !tail.endsWith('\r'))) {
        batch.push({ no: no + 1, bytes: undefined });       // answered at once, counted at its LF
        tail = '';
        skipping = true;
      }
    }
    yield batch;
  }
  if (!skipping && tail !== '') yield [{ no: no + 1, bytes: tail.length > limit ? undefined : tail }];
}

function parse(line: Line): Json | 'blank' | 'bad' {
  let s = line.bytes as string;
  if (line.no === 1 && s.startsWith('\xef\xbb\xbf')) s = s.slice(3);
  if (!/[^ \t]/.test(s)) return 'blank';
  try {
    const v: unknown = JSON.parse(Buffer.from(s, 'latin1').toString('utf8'));
    return v instanceof Object && !(v instanceof Array) ? (v as Json) : 'bad';
  } catch {
    return 'bad';
  }
}

function* tokens(v: unknown): Generator<unknown> {
  if (v instanceof Array) {
    yield '[';
    for (let i = 0; i < v.length; i++) { if (i) yield ','; yield { v: v[i] }; }
    yield ']';
  } else if (typeof v === 'object' && v !== null) {
    let sep = '{';
    const keys = Object.keys(v);
    if (!keys.length) yield '{';
    for (const k of keys) { yield sep + JSON.stringify(k) + ':'; sep = ','; yield { v: (v as Json)[k] }; }
    yield '}';
  } else yield JSON.stringify(v);
}

function stringify(root: Json): string {
  try { return JSON.stringify(root, null, 0); } catch { /* nested deeper than the stack */ }
  let out = '';
  const stack = [tokens(root)];
  while (stack.length) {
    const { done, value } = stack[stack.length - 1].next();
    if (done) stack.pop();
    else if (typeof value === 'string') out += value;
    else stack.push(tokens((value as { v: unknown }).v));
  }
  return out;
}

async function* transform(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let ok = 0, bad = 0;
  for await (const batch of batches(body)) {
    let text = '';
    for (const line of batch) {
      const r = line.bytes === undefined ? undefined : parse(line);
      if (r === 'blank') continue;
      if (r === undefined || r === 'bad') {
        bad++;
        text += `{ "line": ${line.no}, "error": "${r ? 'invalid json' : 'line too long'}" }\n\n`;
      } else {
        ok++;
        text += stringify({ n: 0, ...r, ...{ n: line.no } }) + '\n';
      }
      if (text.length > 65536) { yield text; text = ''; }
    }
    if (text) yield text;
  }
  yield `{ "summary": { "bad": ${bad}, "ok": ${ok} } }\n`;
}

const app = Fastify({ logger: false, bodyLimit: Number.MAX_SAFE_INTEGER, requestTimeout: 0, connectionTimeout: 0, forceCloseConnections: true });
app.removeAllContentTypeParsers();
app.addContentTypeParser('application/x-ndjson', (_req: FastifyRequest, _body: unknown, done: (e: Error | null) => void) => done(null));

app.get('/health', async () => ({ status: 'up' }));
app.post('/transform', (req: FastifyRequest, reply: FastifyReply) => {
  const out = Readable.from(transform(req.raw), { objectMode: true, highWaterMark: 1 });
  out.on('error', () => { req.raw.socket.destroy(); });
  req.raw.on('close', () => { if (!req.raw.complete) { out.destroy(); req.raw.socket.destroy(); } });
  reply.raw.on('close', () => out.destroy());
  reply.header('content-type', 'application/x-ndjson').header('connection', 'close').header('cache-control', 'no-store');
  return reply.send(out);
});
app.setNotFoundHandler((_req, reply) => { reply.code(404).send({ title: 'Not Found', detail: 'no such route' }); });
app.setErrorHandler((err: { statusCode?: number }, _req, reply) => { reply.code(err.statusCode ?? 500).send({ title: 'the request could not be served' }); });

process.once('SIGTERM', () => { setTimeout(() => process.exit(0), 500); app.close(); });
await app.listen({ port: Number(process.env.PORT), host: '::1' });
