'use strict';
// Fire drill of the order service. CommonJS, callbacks, one small "request context".
const http = require('http');
const { randomBytes } = require('crypto');

const LIMIT = +(process.env.MAX_BODY || 102400);

// What the funnel and the logger need to know about the request in hand.
const context = { requestId: '' };

function Problem(status, code, message, opt) {
  const e = new Error(message, opt && opt.cause !== undefined ? { cause: opt.cause } : undefined);
  e.problem = { status, code };
  if (opt && opt.details) e.details = opt.details;
  return e;
}
function Tea(message) {
  const e = new Error(message);
  return Object.setPrototypeOf(e, Tea.prototype);
}
Tea.prototype = Object.create(Error.prototype, { constructor: { value: Tea }, statusCode: { get: () => 418 } });

const log = (thrown) => console.log('[%s]', context.requestId, thrown);

function toPublic(thrown) {
  if (thrown instanceof Tea) return { status: thrown.statusCode, error: { code: 'TEAPOT', message: thrown.message } };
  if (thrown instanceof Error && thrown.problem) {
    const { status, code } = thrown.problem;
    const error = { code, message: status < 500 ? thrown.message : 'A service behind us has a problem.' };
    if (thrown.details) error.details = thrown.details;
    return { status, error };
  }
  return { status: 500, error: { code: 'INTERNAL', message: 'Something went wrong on our side.' } };
}

function funnel(thrown, res) {
  log(thrown);
  if (res.headersSent) { res.destroy(); return; }
  const { status, error } = toPublic(thrown);
  error.requestId = context.requestId;
  send(res, status, { error });
}

function send(res, status, value) {
  const text = JSON.stringify(value);
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  res.end(text);
}

const drill = Object.assign(Object.create(null), {
  validation(p) { throw Problem(400, 'VALIDATION', 'Not valid: ' + p.note, { details: p.fields.map((field) => ({ field, message: 'is wrong' })) }); },
  missing(p) { throw Problem(404, 'NOT_FOUND', 'Not found: ' + p.note); },
  conflict(p) { throw Problem(409, 'CONFLICT', 'Taken: ' + p.note); },
  teapot(p) { throw Tea('Short and stout: ' + p.note); },
  nested(p) { throw Problem(409, 'CONFLICT', 'Taken: ' + p.note, { cause: Problem(404, 'NOT_FOUND', 'no ' + p.secret) }); },
  upstream(p) { throw Problem(502, 'UPSTREAM', 'payment of ' + p.note, { cause: new Error('driver: ' + p.secret) }); },
  bug(p) { return undefined[p.note]; },
  string(p) { throw 'broken: ' + p.note; },
  null() { throw null; },
  late(p, req, res) {
    res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 100 });
    res.write('one');
    res.write('two');
    setTimeout(() => funnel(new Error('late ' + p.note), res), 50);
  },
});

function echo(req, res) {
  const parts = [];
  let size = 0;
  req.on('error', () => {});
  req.on('data', (d) => {
    size += d.length;
    if (size <= LIMIT) parts.push(d);
  });
  req.on('end', () => {
    try {
      if (size > LIMIT) throw Problem(413, 'TOO_LARGE', 'The body is too large.');
      if (size === 0) throw Problem(400, 'BAD_JSON', 'The body is empty.');
      if (!/^application\/json[ \t]*(;|$)/i.test(req.headers['content-type'] || '')) throw Problem(415, 'NOT_JSON', 'Send JSON.');
      try {
        JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts)));
      } catch (cause) {
        throw Problem(400, 'BAD_JSON', 'The body is not valid JSON.', { cause });
      }
      send(res, 200, {});
    } catch (thrown) {
      funnel(thrown, res);
    }
  });
}

function params(search) {
  const q = new URLSearchParams(search || '');
  const word = (name, otherwise) => (/^[A-Za-z0-9_-]{1,64}$/.test(q.get(name) || '') ? q.get(name) : otherwise);
  const fields = (q.get('fields') || '').split(',').filter((f) => /^[A-Za-z]{1,20}$/.test(f)).slice(0, 10);
  return { note: word('note', 'something'), secret: word('secret', 'something'), fields: fields.length ? fields : ['name', 'email'] };
}
const pickId = (given) => (/^[A-Za-z0-9_-]{1,64}$/.test(given || '') ? given : randomBytes(12).toString('hex'));

function onRequest(req, res) {
  context.requestId = pickId(req.headers['x-request-id']);
  res.setHeader('X-Request-Id', context.requestId);
  const target = req.url.replace(/^https?:\/\/[^/?]*/i, '');
  const cut = (target + '?').indexOf('?');
  const path = target.slice(0, cut);
  const p = params(target.slice(cut + 1));
  const inFail = path.startsWith('/fail/');
  const run = inFail ? drill[path.slice(6)] : path === '/echo-error' ? echo : path === '/health' ? () => send(res, 200, { ok: true }) : undefined;
  try {
    if (!run) throw Problem(404, 'NOT_FOUND', 'Unknown address.' + (inFail ? ' ' + p.note : ''));
    if (req.method !== (path === '/echo-error' ? 'POST' : 'GET')) throw Problem(405, 'BAD_METHOD', 'Wrong method.' + (inFail ? ' ' + p.note : ''));
    if (run === echo) echo(req, res); else run(p, req, res);
  } catch (thrown) {
    funnel(thrown, res);
  }
}

function refuse(socket, status, code, requestId, more) {
  socket.on('error', () => {});
  const body = JSON.stringify({ error: { code, message: 'Cannot serve this. ' + (more || ''), requestId } });
  socket.end('HTTP/1.1 ' + status + ' ' + http.STATUS_CODES[status] + '\r\nX-Request-Id: ' + requestId
    + '\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ' + Buffer.byteLength(body) + '\r\n\r\n' + body);
}
const server = http.createServer({ requireHostHeader: false }, onRequest);
server.on('checkExpectation', onRequest);
server.on('connect', (req, socket) => refuse(socket, 404, 'NOT_FOUND', pickId(req.headers['x-request-id'])));
server.on('clientError', (err, socket) => {
  const open = socket._httpMessage;
  if (!socket.writable || (open && open.headersSent)) { socket.destroy(); return; }
  const raw = err.rawPacket ? err.rawPacket.toString('latin1') : '';
  const line = /^\S+ (\S+) HTTP\/1\.[01]\r\n/.exec(raw);
  const own = /\r\nx-request-id:[ \t]*(\S*)[ \t]*\r\n/i.exec(raw);
  const id = open ? open.getHeader('x-request-id') : pickId(own ? own[1] : '');
  const more = line && line[1].startsWith('/fail/') ? params(line[1].split('?')[1]).note : '';
  if (err.code === 'HPE_HEADER_OVERFLOW') refuse(socket, 431, 'HEAD_TOO_LARGE', id, more);
  else if (err.code === 'HPE_INVALID_METHOD' && line) refuse(socket, 404, 'NOT_FOUND', id, more);
  else refuse(socket, 400, 'BAD_REQUEST', id, more);
});
process.on('uncaughtException', (e) => console.log(e));
process.on('SIGTERM', () => process.exit(0));
server.listen(+process.env.PORT, '127.0.0.1');
