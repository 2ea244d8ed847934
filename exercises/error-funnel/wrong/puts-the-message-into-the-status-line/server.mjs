// Fire drill of the order service. Functional style, node:http.
import { createServer, STATUS_CODES } from 'node:http';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const maxBody = Number(process.env.MAX_BODY || 102400);
const idOf = (given) => (/^[A-Za-z0-9_-]{1,64}$/.test(given ?? '') ? given : randomUUID());

class AppError extends Error {
  constructor(status, code, message, extra = {}) {
    super(message, 'cause' in extra ? { cause: extra.cause } : undefined);
    this.status = status;
    this.code = code;
    this.extra = extra.details ? { details: extra.details } : {};
  }
}
const notFound = (m) => new AppError(404, 'NOT_FOUND', m);

class KettleError extends Error {
  get statusCode() { return 418; }
}

const kinds = new Map([
  ['validation', ({ note, fields }) => {
    throw new AppError(400, 'VALIDATION', `The address of ${note} is not valid.`, { details: fields.map((field) => ({ field, message: 'is missing' })) });
  }],
  ['missing', ({ note }) => { throw notFound(`There is no ${note}.`); }],
  ['conflict', ({ note }) => { throw new AppError(409, 'CONFLICT', `${note} was changed by somebody else.`); }],
  ['teapot', ({ note }) => { throw new KettleError(`No coffee for ${note}.`); }],
  ['nested', ({ note, secret }) => { throw new AppError(409, 'CONFLICT', `${note} cannot be booked.`, { cause: notFound(`no row ${secret}`) }); }],
  ['upstream', ({ note, secret }) => { throw new AppError(502, 'UPSTREAM', `No stock figures for ${note}`, { cause: new Error(`ECONNREFUSED ${secret}`) }); }],
  ['bug', ({ note }) => { const order = { note }; return order.lines.length; }],
  ['string', ({ note }) => { throw `cannot handle ${note}`; }],
  ['null', () => { throw null; }],
  ['late', async ({ note }, res) => {
    // Announce a third word: whoever reads can see that it never came.
    res.writeHead(200, { 'content-type': 'text/plain', 'content-length': 'onetwothree'.length });
    res.write('one');
    res.write('two');
    await sleep(50);
    throw new Error(`late: ${note}`);
  }],
]);

function describe(thrown) {
  if (thrown instanceof AppError) {
    // Our own errors are written for humans, so they may also stand in the status line.
    const message = thrown.status < 500 ? thrown.message : 'Another service is not available. Please try again.';
    return { status: thrown.status, reason: thrown.message, code: thrown.code, message, ...thrown.extra };
  }
  if (thrown instanceof KettleError) return { status: thrown.statusCode, code: 'TEAPOT', message: thrown.message };
  return { status: 500, code: 'INTERNAL', message: 'Something went wrong on our side.' };
}

function funnel(thrown, id, res) {
  console.error(id, thrown);
  if (res.headersSent) return void res.destroy();
  const { status, reason = STATUS_CODES[status], ...error } = describe(thrown);
  res.writeHead(status, reason, { 'content-type': 'application/json' });
  res.end(JSON.stringify({ error: { ...error, requestId: id } }));
}

const bodyOf = (req) => new Promise((resolve, reject) => {
  const chunks = [];
  let size = 0;
  req.on('data', (c) => {
    size += c.length;
    if (size > maxBody) { chunks.length = 0; reject(new AppError(413, 'TOO_LARGE', 'The body is too large.')); } else chunks.push(c);
  });
  req.on('end', () => resolve(Buffer.concat(chunks)));
  req.on('error', reject);
});

async function echo(req, res) {
  const body = await bodyOf(req);
  if (!body.length) throw new AppError(400, 'BAD_JSON', 'The body is empty.');
  if (!/^application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) throw new AppError(415, 'UNSUPPORTED_MEDIA_TYPE', 'Send JSON, please.');
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new AppError(400, 'BAD_JSON', 'The body is not valid JSON.');
  }
  res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
}

function paramsOf(search) {
  const q = new URLSearchParams(search);
  const word = (name, other) => (/^[\w-]{1,64}$/.test(q.get(name) ?? '') ? q.get(name) : other);
  const fields = /^[A-Za-z]{1,20}(,[A-Za-z]{1,20})*$/.test(q.get('fields') ?? '') ? q.get('fields').split(',') : ['name', 'email'];
  return { note: word('note', 'the order'), secret: word('secret', 'nothing'), fields };
}

async function handle(req, res) {
  const id = idOf(req.headers['x-request-id']);
  res.setHeader('x-request-id', id);
  try {
    const [, path, search = ''] = /^(?:https?:\/\/[^/?]*)?([^?]*)(?:\?(.*))?$/is.exec(req.url);
    const params = paramsOf(search);
    const about = path.startsWith('/fail/') ? ` (${params.note})` : '';
    const need = (method) => { if (req.method !== method) throw new AppError(405, 'METHOD_NOT_ALLOWED', `Use ${method} here${about}.`); };
    const kind = path.startsWith('/fail/') ? kinds.get(path.slice(6)) : undefined;
    if (path === '/health') { need('GET'); res.writeHead(200, { 'content-type': 'text/plain' }).end('ok'); }
    else if (path === '/echo-error') { need('POST'); await echo(req, res); }
    else if (kind) { need('GET'); await kind(params, res); }
    else throw notFound(`There is nothing here${about}.`);
  } catch (thrown) {
    funnel(thrown, id, res);
  }
}

const server = createServer({ requireHostHeader: false }, handle);
server.on('checkExpectation', handle);
server.on('connect', (_req, socket) => { socket.on('error', () => {}); refuse(socket, 404, 'NOT_FOUND', randomUUID()); });
server.on('clientError', (err, socket) => {
  if (!socket.writable) return void socket.destroy();
  const raw = (err.rawPacket ?? '').toString('latin1');
  const line = /^\S+ (\S+) HTTP\/1\.[01]\r\n/.exec(raw);
  const id = idOf(socket._httpMessage?.getHeader('x-request-id') ?? /\r\nx-request-id:[ \t]*(\S+)[ \t]*\r\n/i.exec(raw)?.[1]);
  const note = line?.[1].startsWith('/fail/') ? paramsOf(line[1].split('?')[1]).note : '';
  if (err.code === 'HPE_HEADER_OVERFLOW') refuse(socket, 431, 'TOO_LARGE', id, note);
  else if (err.code === 'HPE_INVALID_METHOD' && line) refuse(socket, 404, 'NOT_FOUND', id, note);
  else refuse(socket, 400, 'BAD_REQUEST', id, note);
});
function refuse(socket, status, code, requestId, note = '') {
  const body = JSON.stringify({ error: { code, message: `The request cannot be served. ${note}`, requestId } });
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\nx-request-id: ${requestId}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
process.on('uncaughtException', (e) => console.error(e));
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(process.env.PORT), '0.0.0.0');
