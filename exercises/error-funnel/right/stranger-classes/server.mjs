// looplab-canary-error-funnel-solutions-f97ddd41
// Order service, fire drill. Plain node:http, classes, chunked answers, kept connections.
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';

const PORT = Number(process.env.PORT);
const MAX_BODY = /^\d+$/.test(process.env.MAX_BODY ?? '') ? Number(process.env.MAX_BODY) : 102400;
const OWN_ID = /^[A-Za-z0-9_-]{1,64}$/;
const WORD = /^[A-Za-z0-9_-]{1,64}$/;

// ---------------------------------------------------------------- failures

class Failure extends Error {
  constructor(status, code, message, { cause, details, headers } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = this.constructor.name;
    this.status = status;
    this.code = code;
    this.details = details;
    this.headers = headers ?? {};
  }
}
class ValidationFailure extends Failure {
  constructor(message, details) { super(400, 'VALIDATION', message, { details }); }
}
class Missing extends Failure {
  constructor(message, options) { super(404, 'NOT_FOUND', message, options); }
}
class Conflict extends Failure {
  constructor(message, options) { super(409, 'CONFLICT', message, options); }
}
class Upstream extends Failure {
  constructor(message, options) { super(502, 'UPSTREAM', message, options); }
}
class WrongMethod extends Failure {
  constructor(message, allow) { super(405, 'METHOD_NOT_ALLOWED', message, { headers: { allow: allow.join(', ') } }); }
}
class BadJson extends Failure {
  constructor(message) { super(400, 'BAD_JSON', message); }
}
class ClientLeft extends Error {}

// The "library": its status lives on the prototype, not on the instance.
class TeaError extends Error {
  get statusCode() { return 418; }
  get code() { return 'TEAPOT'; }
}
// The "driver".
class DriverError extends Error {
  constructor(message) { super(message); this.errno = -111; this.code = 'ECONNREFUSED'; }
}

// ---------------------------------------------------------------- the funnel

class Funnel {
  /** Anything that was thrown -> what the client may know. */
  translate(thrown) {
    if (thrown instanceof Failure) {
      const { status, code, details, headers } = thrown;
      const message = status >= 500 ? 'A service that we depend on did not do its part. Please try again later.' : thrown.message;
      return { status, code, details, headers, message };
    }
    if (thrown instanceof TeaError) {
      return { status: thrown.statusCode, code: thrown.code, message: thrown.message, headers: {} };
    }
    return { status: 500, code: 'INTERNAL', message: 'Something went wrong on our side.', headers: {} };
  }

  render(thrown, id) {
    const { status, code, message, details, headers } = this.translate(thrown);
    const error = { code, message, requestId: id, status, retry: status >= 500 };
    if (details) error.details = details;
    const text = JSON.stringify({ ok: false, error });
    return {
      status,
      text,
      headers: {
        ...headers,
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(text),
        'cache-control': 'no-store',
        'x-request-id': id,
      },
    };
  }

  log(thrown, id) {
    console.log(`${new Date().toISOString()} ${id} ${inspect(thrown, { depth: 6 })}`);
  }

  answer(thrown, id, res) {
    if (thrown instanceof ClientLeft) return;
    this.log(thrown, id);
    if (res.headersSent) { res.destroy(); return; }
    const out = this.render(thrown, id);
    res.writeHead(out.status, out.headers);
    res.end(out.text);
  }

  /** For requests that never became a request. */
  answerRaw(thrown, id, socket) {
    this.log(thrown, id);
    if (!socket.writable) { socket.destroy(); return; }
    const out = this.render(thrown, id);
    const head = Object.entries({ ...out.headers, connection: 'close' }).map(([k, v]) => `${k}: ${v}\r\n`).join('');
    socket.end(`HTTP/1.1 ${out.status} ${http.STATUS_CODES[out.status]}\r\n${head}\r\n${out.text}`);
    setTimeout(() => socket.destroy(), 1000).unref();
  }
}
const funnel = new Funnel();

// ---------------------------------------------------------------- a request

class Call {
  constructor(req, res) {
    this.req = req;
    this.res = res;
    this.id = Call.idFor(req.headers['x-request-id']);
    const { path, query } = Call.split(req.url);
    this.path = path;
    this.query = query;
  }
  static idFor(given) { return typeof given === 'string' && OWN_ID.test(given) ? given : randomUUID(); }
  static split(target) {
    const t = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/#.*$/s, '');
    const q = t.indexOf('?');
    return { path: q < 0 ? t : t.slice(0, q), query: new URLSearchParams(q < 0 ? '' : t.slice(q + 1)) };
  }
  word(name) {
    const value = this.query.get(name) ?? '';
    return WORD.test(value) ? value : '';
  }
  get note() { return this.word('note') || 'nothing in particular'; }
  get secret() { return this.word('secret') || 'nothing secret'; }
  /** What a 4xx under /fail/ adds to its message. */
  get about() { return this.path.startsWith('/fail/') ? ` This is about ${this.note}.` : ''; }

  json(status, value) {
    const text = JSON.stringify(value);
    this.res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) });
    this.res.end(text);
  }

  body(limit) {
    const { req } = this;
    return new Promise((resolve, reject) => {
      let size = 0;
      let parts = [];
      req.on('data', (part) => {
        size += part.length;
        if (size <= limit) { parts.push(part); return; }
        parts = [];
        reject(new Failure(413, 'TOO_LARGE', `The body has more than ${limit} bytes.`));
      });
      req.on('end', () => resolve(Buffer.concat(parts)));
      req.on('error', () => reject(new ClientLeft()));
      req.on('close', () => reject(new ClientLeft()));
    });
  }
}

// ---------------------------------------------------------------- routes

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const REASONS = ['is missing', 'is too long', 'is not known to us'];

const kinds = new Map(Object.entries({
  validation(call) {
    const given = (call.query.get('fields') ?? '').split(',').filter((f) => /^[A-Za-z]{1,20}$/.test(f)).slice(0, 10);
    const names = given.length ? [...new Set(given)] : ['name', 'email'];
    throw new ValidationFailure(`The address of ${call.note} is not valid.`,
      names.map((field, i) => ({ field, message: REASONS[i % REASONS.length], position: i })));
  },
  missing(call) { throw new Missing(`There is no ${call.note}.`); },
  conflict(call) { throw new Conflict(`Somebody else has changed ${call.note}.`); },
  teapot(call) { throw new TeaError(`I will not brew coffee for ${call.note}.`); },
  nested(call) {
    try {
      throw new Missing(`no row for ${call.secret}`);
    } catch (cause) {
      throw new Conflict(`${call.note} cannot be booked now.`, { cause });
    }
  },
  upstream(call) {
    throw new Upstream(`warehouse did not answer for ${call.note}`, { cause: new DriverError(`connect as ${call.secret} refused`) });
  },
  bug(call) {
    const order = { note: call.note, lines: undefined };
    return order.lines.length;
  },
  string(call) { throw `could not do ${call.note}`; },
  null() { throw null; },
  async late({ req, res, note }) {
    const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
    // HTTP/1.0 knows no chunks: promise more than will come.
    if (req.httpVersion === '1.0') headers['content-length'] = 9;
    res.writeHead(200, headers);
    res.write('one');
    await new Promise((done) => res.write('two', done));
    await sleep(50);
    throw new Error(`lost ${note} on the way`);
  },
}));

const routes = new Map([
  ['/health', { GET: (call) => call.json(200, { status: 'up' }) }],
  ['/echo-error', {
    POST: async (call) => {
      const bytes = await call.body(MAX_BODY);
      if (bytes.length === 0) throw new BadJson('The body is empty.');
      const type = (call.req.headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase();
      if (type !== 'application/json') throw new Failure(415, 'NOT_JSON', 'Please send the body as application/json.');
      try {
        JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
      } catch {
        throw new BadJson('The body is not valid JSON.');
      }
      call.json(200, {});
    },
  }],
  ...[...kinds].map(([kind, run]) => [`/fail/${kind}`, { GET: run }]),
]);

const live = new WeakMap(); // socket -> newest call

async function serve(req, res) {
  const call = new Call(req, res);
  live.set(req.socket, call);
  res.setHeader('x-request-id', call.id);
  try {
    const methods = routes.get(call.path);
    if (!methods) throw new Missing(`There is nothing at this address.${call.about}`);
    if (!Object.hasOwn(methods, req.method)) throw new WrongMethod(`This address does not take that method.${call.about}`, Object.keys(methods));
    await methods[req.method](call);
  } catch (thrown) {
    funnel.answer(thrown, call.id, res);
  }
}

// ---------------------------------------------------------------- the server

const server = http.createServer({ requireHostHeader: false }, serve);
server.on('checkExpectation', serve);
server.on('connect', (req, socket) => {
  socket.on('error', () => {});
  const { path } = Call.split(req.url);
  const known = routes.get(path);
  funnel.answerRaw(known ? new WrongMethod('This address does not take that method.', Object.keys(known)) : new Missing('There is nothing at this address.'),
    Call.idFor(req.headers['x-request-id']), socket);
});
server.on('clientError', (err, socket) => {
  if (err.code === 'ECONNRESET' || !socket.writable) { socket.destroy(); return; }
  const call = live.get(socket);
  if (call && !call.res.writableFinished) { // broken in the middle of a body
    if (call.res.headersSent) { socket.destroy(); return; }
    funnel.answerRaw(new Failure(400, 'BAD_REQUEST', `The request cannot be read.${call.about}`), call.id, socket);
    return;
  }
  const raw = (err.rawPacket ?? Buffer.alloc(0)).toString('latin1');
  const line = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.[01]\r\n/.exec(raw);
  const seen = line && new Call({ url: line[2], headers: { 'x-request-id': /\r\nx-request-id:[ \t]*([^\r\n]*?)[ \t]*\r\n/i.exec(raw)?.[1] } }, null);
  const id = seen ? seen.id : randomUUID();
  const about = seen ? seen.about : '';
  let failure;
  if (err.code === 'HPE_HEADER_OVERFLOW') failure = new Failure(431, 'HEADERS_TOO_LARGE', `The head of the request is too large.${about}`);
  else if (err.code === 'ERR_HTTP_REQUEST_TIMEOUT') failure = new Failure(408, 'TOO_SLOW', `The request took too long to arrive.${about}`);
  else if (err.code === 'HPE_INVALID_METHOD' && seen) {
    const known = routes.get(seen.path);
    failure = known ? new WrongMethod(`This address does not take that method.${about}`, Object.keys(known)) : new Missing(`There is nothing at this address.${about}`);
  } else failure = new Failure(400, 'BAD_REQUEST', `The request cannot be read.${about}`);
  funnel.answerRaw(failure, id, socket);
});

process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
process.on('uncaughtException', (thrown) => funnel.log(thrown, '-'));
process.on('unhandledRejection', (thrown) => funnel.log(thrown, '-'));
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  setTimeout(() => { server.closeAllConnections(); process.exit(0); }, 500).unref();
});
server.listen(PORT, '127.0.0.1', () => console.log(`listening on ${PORT}`));
