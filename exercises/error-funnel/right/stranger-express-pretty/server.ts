// looplab-canary-error-funnel-solutions-f97ddd41
// Fire drill of the order service: Express 5, TypeScript (stripped), listens on ::1.
import { createServer, STATUS_CODES } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { setTimeout as pause } from 'node:timers/promises';
import express from 'express';

const limit: number = Number(process.env.MAX_BODY || 102400);

// ---- ids: tag of this process plus a counter -------------------------------------------------
const tag: string = 'r' + randomBytes(9).toString('hex');
let issued = 0;
const newId = (): string => `${tag}_${(++issued).toString(36)}`;
const pickId = (own: unknown): string => (typeof own === 'string' && /^[0-9a-z_-]{1,64}$/i.test(own) ? own : newId());

// ---- what can be thrown ----------------------------------------------------------------------
type Kind = { status: number; code: string; show: boolean };
const own = Symbol('own failure');
type Bad = { field: string; message: string };

function failure(kind: Kind, message: string, more: { cause?: unknown; details?: Bad[] } = {}): Error {
  const e = 'cause' in more ? new Error(message, { cause: more.cause }) : new Error(message);
  return Object.assign(e, { [own]: kind, details: more.details });
}
const VALIDATION: Kind = { status: 400, code: 'VALIDATION', show: true };
const NOT_FOUND: Kind = { status: 404, code: 'NOT_FOUND', show: true };
const CONFLICT: Kind = { status: 409, code: 'CONFLICT', show: true };
const UPSTREAM: Kind = { status: 502, code: 'UPSTREAM', show: false };
const BAD_JSON: Kind = { status: 400, code: 'BAD_JSON', show: true };
const NO_METHOD: Kind = { status: 404, code: 'NO_SUCH_OPERATION', show: true };
const NO_JSON: Kind = { status: 400, code: 'NOT_DECLARED_AS_JSON', show: true };
const TOO_MUCH: Kind = { status: 413, code: 'PAYLOAD_TOO_LARGE', show: true };
const UNREADABLE: Kind = { status: 400, code: 'UNREADABLE', show: true };
const HEAD_TOO_BIG: Kind = { status: 431, code: 'HEAD_TOO_BIG', show: true };
const SLOW: Kind = { status: 408, code: 'SLOW', show: true };
const INTERNAL: Kind = { status: 500, code: 'INTERNAL', show: false };

// a foreign library
const teaLibrary = (() => {
  class HttpishError extends Error {}
  Object.defineProperty(HttpishError.prototype, 'statusCode', { get() { return 418; }, enumerable: false });
  return { brew(what: string): never { throw new HttpishError('short and stout, so no ' + what); } };
})();

// ---- the one place ---------------------------------------------------------------------------
type Answer = { status: number; body: string };

function classify(x: any): { kind: Kind; message: string; details?: Bad[] } {
  if (x instanceof Error && own in x) {
    const kind = (x as any)[own] as Kind;
    return { kind, message: kind.show ? x.message : 'A neighbour of ours is not well; try again in a minute.', details: (x as any).details };
  }
  if (x instanceof Error && (x as any).statusCode === 418) return { kind: { status: 418, code: 'TEAPOT', show: true }, message: x.message };
  return { kind: INTERNAL, message: 'Something went wrong on our side.' };
}

function compose(thrown: unknown, id: string): Answer {
  const { kind, message, details } = classify(thrown);
  const error: Record<string, unknown> = { requestId: id, message, code: kind.code };
  if (details !== undefined) error.details = details;
  return { status: kind.status, body: JSON.stringify({ error, help: 'Send us the requestId.' }, null, 2) + '\n' };
}

function report(thrown: unknown, id: string): void {
  process.stderr.write(`[${id}] `);
  console.error(thrown);
}

function fail(thrown: unknown, res: ServerResponse & { locals?: any }): void {
  const id: string = res.locals.id;
  if (res.destroyed || !res.socket || res.socket.destroyed) return; // nobody listens any more
  report(thrown, id);
  if (res.headersSent) {
    res.socket.destroy();
    return;
  }
  const { status, body } = compose(thrown, id);
  res.statusCode = status;
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Content-Length', Buffer.byteLength(body));
  res.end(body);
}

function failRaw(thrown: unknown, id: string, socket: Socket): void {
  report(thrown, id);
  const { status, body } = compose(thrown, id);
  socket.end([
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`, 'Connection: close', `X-Request-Id: ${id}`,
    'Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`, '', body,
  ].join('\r\n'), () => socket.destroySoon());
}

// ---- the drill -------------------------------------------------------------------------------
type Words = { note: string; secret: string; fields: string[] };
function words(target: string): Words {
  const at = target.indexOf('?');
  const q = new URLSearchParams(at === -1 ? '' : target.slice(at).replace(/#.*/s, ''));
  const safe = (s: string | null, instead: string) => (s !== null && /^[\w-]{1,64}$/.test(s) ? s : instead);
  const fields = q.get('fields') ?? '';
  return {
    note: safe(q.get('note'), 'your order'),
    secret: safe(q.get('secret'), 'nobody'),
    fields: /^[a-z]{1,20}(,[a-z]{1,20}){0,9}$/i.test(fields) ? fields.split(',') : ['name', 'email'],
  };
}
/** Every 4xx under /fail/ ends with the note. */
const mention = (target: string): string => (/^\/fail\//.test(target) ? ` (${words(target).note})` : '');

async function* slowly(note: string): AsyncGenerator<string> {
  yield 'one\n';
  yield 'two\n';
  await pause(50);
  throw new Error(`the third line for ${note} never came`);
}

const drill: Array<[string, (w: Words, res: ServerResponse) => unknown]> = [
  ['validation', (w) => {
    const details = w.fields.map((field) => ({ message: field.length % 2 ? 'is missing' : 'is too long', field })).reverse();
    throw failure(VALIDATION, `Please look again at ${w.note}`, { details });
  }],
  ['missing', (w) => { throw failure(NOT_FOUND, `No such thing: ${w.note}`); }],
  ['conflict', (w) => { throw failure(CONFLICT, `${w.note} was changed meanwhile`); }],
  ['teapot', (w) => teaLibrary.brew(w.note)],
  ['nested', async (w) => {
    await Promise.reject(failure(NOT_FOUND, `customer ${w.secret} is gone`)).catch((cause) => {
      throw failure(CONFLICT, `${w.note} has no owner`, { cause });
    });
  }],
  ['upstream', (w) => {
    const cause = Object.assign(new Error(`password authentication failed for ${w.secret}`), { severity: 'FATAL', statusCode: 401 });
    throw failure(UPSTREAM, `database is away, so is ${w.note}`, { cause });
  }],
  ['bug', (w) => { (w as any).customer.address.city = w.note; }],
  ['string', (w) => { throw 'gave up on ' + w.note; }],
  ['null', () => { throw null; }],
  ['late', async (w, res) => {
    // We promise 14 bytes ("one", "two", "three") and break the promise.
    res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 'one\ntwo\nthree\n'.length });
    for await (const line of slowly(w.note)) res.write(line);
    res.end();
  }],
];

// ---- Express ---------------------------------------------------------------------------------
const app = express();
app.disable('x-powered-by').disable('etag').set('query parser', false);
app.enable('case sensitive routing').enable('strict routing');

/** Nothing may get into Express' own `next(err)`: a thrown null would count as "no error" there. */
const guard = (run: (req: any, res: any) => unknown) => async (req: any, res: any) => {
  try { await run(req, res); } catch (thrown) { fail(thrown, res); }
};

const lastOf = new WeakMap<Socket, { req: IncomingMessage; res: ServerResponse; id: string }>();

app.use((req: any, res: any, next: () => void) => {
  res.locals.id = pickId(req.headers['x-request-id']);
  res.setHeader('X-Request-Id', res.locals.id);
  lastOf.set(req.socket, { req, res, id: res.locals.id });
  // One connection, one answer - but not while a body may still be on its way.
  if (req.headers['content-length'] === undefined && req.headers['transfer-encoding'] === undefined) res.setHeader('Connection', 'close');
  next();
});

const wrongMethod = guard((req) => { throw failure(NO_METHOD, `That cannot be done here${mention(req.url)}`); });

app.get('/health', (_req: any, res: any) => { res.setHeader('Content-Type', 'text/plain'); res.end('fine\n'); });
app.all('/health', wrongMethod);

for (const [kind, run] of drill) {
  app.get(`/fail/${kind}`, guard((req, res) => run(words(req.url), res)));
  app.all(`/fail/${kind}`, wrongMethod);
}

app.post('/echo-error',
  // A content coding is not taken off: the limit counts bytes as received.
  (req: any, _res: any, next: () => void) => { delete req.headers['content-encoding']; next(); },
  express.raw({ type: () => true, limit, inflate: false }),
  guard((req, res) => {
    const bytes: Buffer = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
    if (bytes.length === 0) throw failure(BAD_JSON, 'There is no body at all.');
    if (!/^\s*application\/([\w.-]+\+)?json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) throw failure(NO_JSON, 'We only speak JSON here; say so in content-type.');
    try {
      if (!isUtf8(bytes)) throw new SyntaxError('not UTF-8');
      JSON.parse(bytes.toString('utf8'));
    } catch (cause) {
      throw failure(BAD_JSON, 'The body is not valid JSON.', { cause });
    }
    res.setHeader('Content-Type', 'application/json');
    res.end('{ }\n');
  }));
app.all('/echo-error', wrongMethod);

app.use(guard((req) => { throw failure(NOT_FOUND, `Nothing lives here${mention(req.url)}`); }));

// Errors of the body reader and of Express itself.
app.use((err: any, _req: any, res: any, _next: unknown) => {
  if (err?.type === 'entity.too.large') return fail(failure(TOO_MUCH, `At most ${limit} bytes, please.`, { cause: err }), res);
  if (err?.type === 'request.aborted' || err?.type === 'request.size.invalid') return fail(failure(UNREADABLE, 'The body broke off.', { cause: err }), res);
  fail(err, res);
});

// ---- node:http around it ---------------------------------------------------------------------
function entry(req: IncomingMessage, res: ServerResponse): void {
  let target = (req.url ?? '/').replace(/^https?:\/\/[^/?#]*/i, '');
  if (!target.startsWith('/')) target = '/' + target;
  req.url = target;
  app(req as any, res as any);
}
const server = createServer({ requireHostHeader: false }, entry);
server.on('checkExpectation', entry);
server.on('connect', (req: IncomingMessage, socket: any) => {
  socket.on('error', () => socket.destroy());
  failRaw(failure(NOT_FOUND, 'No tunnels here.'), pickId(req.headers['x-request-id']), socket);
});
server.on('clientError', (err: any, socket: any) => {
  if (!socket.writable || err.code === 'ECONNRESET') return void socket.destroy();
  const last = lastOf.get(socket);
  if (last !== undefined && !last.res.writableEnded) {
    if (last.res.headersSent) return void socket.destroy();
    return failRaw(failure(UNREADABLE, `The request is garbled${mention(last.req.url ?? '')}`, { cause: err }), last.id, socket);
  }
  const [first = '', ...lines] = String(err.rawPacket?.toString('latin1') ?? '').split('\r\n\r\n', 1)[0].split('\r\n');
  const [method, target, version] = first.split(' ');
  const sane = /^HTTP\/1\.[01]$/.test(version ?? '');
  const ids = lines.filter((l) => /^x-request-id:/i.test(l)).map((l) => l.slice(13).trim());
  const id = sane && ids.length === 1 ? pickId(ids[0]) : newId();
  const tail = sane ? mention(target) : '';
  const kind = err.code === 'HPE_HEADER_OVERFLOW' ? HEAD_TOO_BIG
    : err.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? SLOW
    : err.code === 'HPE_INVALID_METHOD' && sane && method ? NOT_FOUND : UNREADABLE;
  failRaw(failure(kind, `The request cannot be served${tail}`, { cause: err }), id, socket);
});
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
process.on('uncaughtException', (e) => report(e, 'process'));
process.on('unhandledRejection', (e) => report(e, 'process'));
process.once('SIGTERM', () => process.exit(0));
server.listen({ port: Number(process.env.PORT), host: '::1' });
