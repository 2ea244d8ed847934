// Fire drill of the order service. One switch, one funnel, a Readable for the late failure.
import { createServer, STATUS_CODES } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';

const { PORT, MAX_BODY = '102400' } = process.env;
const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;
const idFrom = (v) => (v !== undefined && TOKEN.test(v) ? v : randomUUID());

class HttpProblem extends Error {
  constructor(status, code, message, { details, ...options } = {}) {
    super(message, options);
    Object.assign(this, { status, code, details });
  }
}
class BrewingError extends Error { get statusCode() { return 418; } }

async function* lines(note) {
  yield 'one\n';
  yield 'two\n';
  await wait(50);
  throw new Error(`line three of ${note} is lost`);
}

function failLate(res, note) {
  // Plain text for people with `nc` and `tail`: no chunk sizes between the lines.
  res.removeHeader('transfer-encoding');
  res.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  return new Promise((resolve, reject) => {
    Readable.from(lines(note)).once('error', reject).pipe(res).once('finish', resolve);
  });
}

function fail(kind, { note, secret, fields }, res) {
  switch (kind) {
    case 'validation': throw new HttpProblem(400, 'VALIDATION', `The address of ${note} is not valid.`, { details: fields.map((field) => ({ field, message: `${field} is missing` })) });
    case 'missing': throw new HttpProblem(404, 'NOT_FOUND', `There is no ${note}.`);
    case 'conflict': throw new HttpProblem(409, 'CONFLICT', `${note} has changed.`);
    case 'teapot': throw new BrewingError(`${note} is not tea.`);
    case 'nested': throw new HttpProblem(409, 'CONFLICT', `${note} has lost its owner.`, { cause: new HttpProblem(404, 'NOT_FOUND', `owner ${secret}`) });
    case 'upstream': throw new HttpProblem(502, 'UPSTREAM', `prices of ${note}`, { cause: Object.assign(new Error(`timeout ${secret}`), { code: 'ETIMEDOUT' }) });
    case 'bug': return JSON.parse('{}').order.items[note];
    case 'string': throw `oops ${note}`;
    case 'null': throw null;
    case 'late': return failLate(res, note);
    default: throw new HttpProblem(404, 'NOT_FOUND', `There is no such failure (${note}).`);
  }
}
const KINDS = new Set(['validation', 'missing', 'conflict', 'teapot', 'nested', 'upstream', 'bug', 'string', 'null', 'late']);

function publicError(thrown) {
  if (thrown instanceof HttpProblem) {
    const { status, code, message, details } = thrown;
    return [status, { code, message: status >= 500 ? 'We could not reach a service that we need.' : message, details }];
  }
  if (thrown instanceof BrewingError) return [thrown.statusCode, { code: 'TEAPOT', message: thrown.message }];
  return [500, { code: 'INTERNAL', message: 'Something went wrong on our side.' }];
}

function answer(thrown, id, res) {
  console.error(`request ${id} failed:`, thrown);
  if (res.headersSent) { res.destroy(); return; } // too late for an answer: break off
  const [status, error] = publicError(thrown);
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { ...error, requestId: id } }));
}

function read(req) {
  return new Promise((resolve, reject) => {
    let size = 0; const all = [];
    req.on('data', (d) => { size += d.length; if (size <= Number(MAX_BODY)) all.push(d); });
    req.on('end', () => (size > Number(MAX_BODY) ? reject(new HttpProblem(413, 'TOO_LARGE', 'The body is too large.')) : resolve(Buffer.concat(all))));
    req.on('error', reject);
  });
}

async function echo(req, res) {
  const body = await read(req);
  if (body.length === 0) throw new HttpProblem(400, 'BAD_JSON', 'The body is empty.');
  if (req.headers['content-type']?.split(';')[0].trim().toLowerCase() !== 'application/json') throw new HttpProblem(415, 'NOT_JSON', 'The body is not declared as JSON.');
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new HttpProblem(400, 'BAD_JSON', 'The body is not valid JSON.', { cause });
  }
  res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
}

function query(target) {
  const at = target.indexOf('?');
  const q = new URLSearchParams(at < 0 ? '' : target.slice(at + 1));
  const token = (k) => (TOKEN.test(q.get(k) ?? '') ? q.get(k) : 'unnamed');
  const fields = q.get('fields')?.split(',').filter((f) => /^[A-Za-z]{1,20}$/.test(f)) ?? [];
  return { path: at < 0 ? target : target.slice(0, at), note: token('note'), secret: token('secret'), fields: fields.length ? fields : ['name', 'email'] };
}

async function serve(req, res) {
  const id = idFrom(req.headers['x-request-id']);
  res.setHeader('x-request-id', id);
  try {
    const q = query(req.url.replace(/^https?:\/\/[^/?]*/i, ''));
    const kind = q.path.startsWith('/fail/') ? q.path.slice(6) : undefined;
    const method = (m) => { if (req.method !== m) throw new HttpProblem(405, 'WRONG_METHOD', `Use ${m}.${kind === undefined ? '' : ` (${q.note})`}`); };
    if (q.path === '/health') { method('GET'); res.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}'); return; }
    if (q.path === '/echo-error') { method('POST'); await echo(req, res); return; }
    if (kind === undefined) throw new HttpProblem(404, 'NOT_FOUND', 'There is nothing at this address.');
    if (KINDS.has(kind)) method('GET');
    await fail(kind, q, res);
  } catch (thrown) {
    answer(thrown, id, res);
  }
}

const server = createServer({ requireHostHeader: false }, serve);
const refuse = (socket, status, code, requestId, note = '') => {
  socket.on('error', () => {});
  const body = JSON.stringify({ error: { code, message: `This cannot be served. ${note}`, requestId } });
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nx-request-id: ${requestId}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
};
server.on('checkExpectation', serve);
server.on('connect', (req, socket) => refuse(socket, 404, 'NOT_FOUND', idFrom(req.headers['x-request-id'])));
server.on('clientError', (err, socket) => {
  const open = socket._httpMessage;
  if (!socket.writable || open?.headersSent) return void socket.destroy();
  const raw = err.rawPacket?.toString('latin1') ?? '';
  const target = /^\S+ (\S+) HTTP\/1\.[01]\r\n/.exec(raw)?.[1];
  const id = open?.getHeader('x-request-id') ?? idFrom(/\r\nx-request-id:[ \t]*(\S*)[ \t]*\r\n/i.exec(raw)?.[1]);
  const note = target?.startsWith('/fail/') ? query(target).note : '';
  if (err.code === 'HPE_HEADER_OVERFLOW') refuse(socket, 431, 'HEAD_TOO_LARGE', id, note);
  else if (err.code === 'HPE_INVALID_METHOD' && target) refuse(socket, 404, 'NOT_FOUND', id, note);
  else refuse(socket, 400, 'BAD_REQUEST', id, note);
});
process.on('uncaughtException', (e) => console.error(e));
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(PORT), '::');
