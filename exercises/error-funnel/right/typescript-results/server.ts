// looplab-canary-error-funnel-solutions-f97ddd41
// Failures that somebody planned are values here, and the compiler counts them. Only surprises are thrown.
import * as http from 'node:http';
import { AsyncLocalStorage } from 'node:async_hooks';
import * as crypto from 'node:crypto';

type Detail = { field: string; message: string };

type Failure =
  | { kind: 'validation'; message: string; details: Detail[] }
  | { kind: 'missing' | 'conflict' | 'badJson' | 'tooLarge' | 'notJson'; message: string; why?: unknown }
  | { kind: 'upstream'; why: unknown };

type Result = { ok: true; value: unknown } | { ok: false; failure: Failure };

type Answer = { status: number; error: { code: string; message: string; details?: Detail[] } };

type Handler = (query: URLSearchParams, req: http.IncomingMessage, res: http.ServerResponse) => Result | Promise<Result | 'streamed'>;

const sorry = 'This is our fault, not yours.';
const table: Record<Failure['kind'], [status: number, code: string]> = {
  validation: [400, 'VALIDATION'],
  badJson: [400, 'BAD_JSON'],
  missing: [404, 'NOT_FOUND'],
  conflict: [409, 'CONFLICT'],
  tooLarge: [413, 'TOO_LARGE'],
  notJson: [415, 'NOT_JSON'],
  upstream: [502, 'UPSTREAM'],
};

const requestId = new AsyncLocalStorage<string>();

class Teapot extends Error {
  get statusCode(): number { return 418; }
}

const fail = (failure: Failure): Result => ({ ok: false, failure });
const note = (query: URLSearchParams): string => query.get('note') ?? 'it';
const secret = (query: URLSearchParams): string => query.get('secret') ?? '';

function planned(failure: Failure): Answer {
  const [status, code] = table[failure.kind];
  switch (failure.kind) {
    case 'upstream': return { status, error: { code, message: sorry } };
    case 'validation': return { status, error: { code, message: failure.message, details: failure.details } };
    default: return { status, error: { code, message: failure.message } };
  }
}

function surprise(thrown: unknown): Answer {
  console.error(requestId.getStore(), thrown);
  if (thrown instanceof Teapot) return { status: thrown.statusCode, error: { code: 'TEAPOT', message: thrown.message } };
  return { status: 500, error: { code: 'INTERNAL', message: sorry } };
}

function write(res: http.ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': body.length }).end(body);
}

function read(req: http.IncomingMessage): Promise<Result> {
  const type = (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') return Promise.resolve(fail({ kind: 'notJson', message: 'Only JSON is read here.' }));
  const max = Number(process.env.MAX_BODY ?? 102400);
  return new Promise((resolve) => {
    let kept: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > max) kept = [];
      else kept.push(chunk);
    });
    req.on('error', (why) => resolve(fail({ kind: 'badJson', message: 'The body broke off.', why })));
    req.on('end', () => {
      if (size > max) return resolve(fail({ kind: 'tooLarge', message: 'That is too much.' }));
      try {
        resolve({ ok: true, value: JSON.parse(Buffer.concat(kept).toString('utf8')) });
      } catch (why) {
        resolve(fail({ kind: 'badJson', message: 'That is not JSON.', why }));
      }
    });
  });
}

const routes: Record<string, Handler> = {
  'GET /health': () => ({ ok: true, value: { up: true } }),
  'POST /echo-error': async (_query, req) => {
    const body = await read(req);
    return body.ok ? { ok: true, value: {} } : body;
  },
  'GET /fail/validation': (query) => fail({
    kind: 'validation',
    message: `${note(query)} has mistakes`,
    details: (query.get('fields') ?? 'name,email').split(',').map((field) => ({ field, message: 'mistake' })),
  }),
  'GET /fail/missing': (query) => fail({ kind: 'missing', message: `${note(query)} is not known` }),
  'GET /fail/conflict': (query) => fail({ kind: 'conflict', message: `${note(query)} is in use` }),
  'GET /fail/nested': (query) => fail({ kind: 'conflict', message: `${note(query)} is gone`, why: { kind: 'missing', message: secret(query) } }),
  'GET /fail/upstream': (query) => fail({ kind: 'upstream', why: `${note(query)}: ${secret(query)}` }),
  'GET /fail/teapot': (query) => { throw new Teapot(`${note(query)} is a teapot`); },
  'GET /fail/bug': (query) => (undefined as unknown as Record<string, Result>)[note(query)],
  'GET /fail/string': (query) => { throw `${note(query)} is broken`; },
  'GET /fail/null': () => { throw null; },
  'GET /fail/late': (query, _req, res) => new Promise((_resolve, reject) => {
    res.writeHead(200, { 'Content-Type': 'text/plain' }).write('one');
    setTimeout(() => res.write('two'), 5);
    setTimeout(reject, 55, new Error(`${note(query)} stopped`));
  }),
};

async function serve(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
  const id = requestId.getStore();
  let answer: Answer;
  try {
    const url = new URL(`http://here${req.url}`);
    const handler = routes[`${req.method} ${url.pathname}`];
    const result = handler ? await handler(url.searchParams, req, res) : fail({ kind: 'missing', message: 'No such thing.' });
    if (result === 'streamed') return;
    if (result.ok) return write(res, 200, result.value);
    answer = planned(result.failure);
  } catch (thrown) {
    answer = surprise(thrown);
  }
  if (res.headersSent) res.socket?.resetAndDestroy();
  else write(res, answer.status, { error: { ...answer.error, requestId: id } });
}

const wanted = /^[\w-]{1,64}$/;

http.createServer((req, res) => {
  const sent = req.headers['x-request-id'];
  const id = typeof sent === 'string' && wanted.test(sent) ? sent : crypto.randomBytes(12).toString('hex');
  res.setHeader('X-Request-Id', id);
  void requestId.run(id, serve, req, res);
}).listen(Number(process.env.PORT ?? 3000));
