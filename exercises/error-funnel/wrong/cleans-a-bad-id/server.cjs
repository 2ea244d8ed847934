'use strict';
// Fire drill of the order service. Express 5, CommonJS.
const http = require('node:http');
const crypto = require('node:crypto');
const express = require('express');

const MAX = Number(process.env.MAX_BODY || 102400);

// The id goes into our log lines: keep only what is harmless there.
function requestId(given) {
  const clean = String(given ?? '').replace(/[^A-Za-z0-9_-]/g, '').slice(0, 64);
  return clean || crypto.randomUUID();
}

class ServiceError extends Error {
  static status = 500;
  static code = 'INTERNAL';
  get status() { return this.constructor.status; }
  get code() { return this.constructor.code; }
  get publicMessage() { return this.message; }
}
const define = (status, code) => class extends ServiceError { static status = status; static code = code; };
const Validation = define(400, 'VALIDATION');
const NotFound = define(404, 'NOT_FOUND');
const Conflict = define(409, 'CONFLICT');
const BadJson = define(400, 'BAD_JSON');
const NotJson = define(415, 'NOT_JSON');
const TooLarge = define(413, 'TOO_LARGE');
const WrongMethod = define(405, 'WRONG_METHOD');
class Upstream extends define(502, 'UPSTREAM') {
  get publicMessage() { return 'A partner of ours does not answer.'; }
}
class LibraryTeapot extends Error {
  get statusCode() { return 418; }
}

function args(req) {
  const i = req.url.indexOf('?');
  const q = new URLSearchParams(i < 0 ? '' : req.url.slice(i + 1));
  const word = (k, d) => (/^[A-Za-z0-9_-]{1,64}$/.test(q.get(k) ?? '') ? q.get(k) : d);
  const names = (q.get('fields') ?? '').split(',').filter((s) => /^[A-Za-z]{1,20}$/.test(s));
  return { note: word('note', 'this order'), secret: word('secret', 'unknown'), names: names.length ? names : ['name', 'email'] };
}
const tail = (req) => (req.url.startsWith('/fail/') ? ` [${args(req).note}]` : '');

const fail = {
  validation: ({ note, names }) => {
    throw Object.assign(new Validation(`Please correct ${note}`), { details: names.map((field) => ({ field, message: 'must be given' })) });
  },
  missing: ({ note }) => { throw new NotFound(`${note} does not exist`); },
  conflict: ({ note }) => { throw new Conflict(`${note} exists already`); },
  teapot: ({ note }) => { throw new LibraryTeapot(`tea only, ${note}`); },
  nested: ({ note, secret }) => { throw new Conflict(`${note} is in use`, { cause: new NotFound(`row ${secret}`) }); },
  upstream: ({ note, secret }) => { throw new Upstream(`stock of ${note} unknown`, { cause: new Error(`login ${secret} refused`) }); },
  bug: ({ note }) => { let customer; return customer.orders[note]; },
  string: ({ note }) => { throw `no luck with ${note}`; },
  null: () => { throw null; },
  late: async ({ note }, res) => {
    res.type('text/plain');
    res.setHeader('content-length', 'one\ntwo\nthree\n'.length);
    res.write('one\n');
    res.write('two\n');
    await new Promise((r) => setTimeout(r, 50));
    throw new Error(`too late for ${note}`);
  },
};

function answer(thrown, req, res) {
  const id = res.getHeader('x-request-id');
  console.log(id, thrown);
  if (res.headersSent) return res.destroy();
  let status = 500; let code = 'INTERNAL'; let message = 'Something went wrong on our side.'; let details;
  if (thrown instanceof ServiceError) ({ status, code, publicMessage: message, details } = thrown);
  else if (thrown instanceof LibraryTeapot) { status = thrown.statusCode; code = 'TEAPOT'; message = thrown.message; }
  res.statusCode = status;
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.end(JSON.stringify({ error: { code, message, requestId: id, details } }));
}
const run = (fn) => async (req, res) => {
  try { await fn(req, res); } catch (e) { answer(e, req, res); }
};

const app = express();
app.disable('x-powered-by');
app.set('query parser', false);
app.enable('case sensitive routing');
app.enable('strict routing');
app.use((req, res, next) => { res.setHeader('x-request-id', requestId(req.headers['x-request-id'])); next(); });

const only = run((req) => { throw new WrongMethod(`Wrong method${tail(req)}`); });
app.get('/health', (req, res) => { res.setHeader('content-type', 'application/json'); res.end('{"ok":true}'); });
app.all('/health', only);
for (const kind of Object.keys(fail)) {
  app.get('/fail/' + kind, run((req, res) => fail[kind](args(req), res)));
  app.all('/fail/' + kind, only);
}
const asReceived = (req, res, next) => { delete req.headers['content-encoding']; next(); };
app.post('/echo-error', asReceived, express.raw({ type: () => true, limit: MAX }), run((req, res) => {
  const body = req.body ?? Buffer.alloc(0);
  if (body.length === 0) throw new BadJson('The body is empty.');
  if ((req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase() !== 'application/json') throw new NotJson('JSON only.');
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new BadJson('The body is not valid JSON.', { cause });
  }
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.end('{}');
}));
app.all('/echo-error', only);
app.use(run((req) => { throw new NotFound(`Nothing here${tail(req)}`); }));
app.use((err, req, res, next) => answer(
  err?.type === 'entity.too.large' ? new TooLarge('The body is too large.', { cause: err })
    : err?.status >= 400 && err.status < 500 ? new BadJson('The body cannot be read.', { cause: err }) : err, req, res));

const entry = (req, res) => {
  req.url = req.url.replace(/^https?:\/\/[^/?#]*/i, '').replace(/^(?!\/)/, '/');
  app(req, res);
};
const server = http.createServer({ requireHostHeader: false }, entry);
server.on('checkExpectation', entry);
const refuse = (socket, status, code, id, more = '') => {
  const body = JSON.stringify({ error: { code, message: `This request cannot be served.${more}`, requestId: id } });
  socket.on('error', () => {});
  socket.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nx-request-id: ${id}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
};
server.on('connect', (req, socket) => refuse(socket, 404, 'NOT_FOUND', requestId(req.headers['x-request-id'])));
server.on('clientError', (err, socket) => {
  if (!socket.writable) return socket.destroy();
  const open = socket._httpMessage;
  if (open?.headersSent) return socket.destroy();
  const raw = String(err.rawPacket?.toString('latin1') ?? '');
  const line = /^\S+ (\S+) HTTP\/1\.[01]\r\n/.exec(raw);
  const id = open?.getHeader('x-request-id') ?? requestId(/\r\nx-request-id:([^\r]*)\r\n/i.exec(raw)?.[1]);
  const more = line ? tail({ url: line[1] }) : '';
  if (err.code === 'HPE_HEADER_OVERFLOW') refuse(socket, 431, 'HEAD_TOO_LARGE', id, more);
  else if (err.code === 'HPE_INVALID_METHOD' && line) refuse(socket, 404, 'NOT_FOUND', id, more);
  else refuse(socket, 400, 'BAD_REQUEST', id, more);
});
process.on('uncaughtException', (e) => console.log(e));
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(process.env.PORT), '127.0.0.1');
