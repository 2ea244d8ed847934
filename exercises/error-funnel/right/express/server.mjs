// looplab-canary-error-funnel-solutions-f97ddd41
import { randomUUID } from 'node:crypto';
import express from 'express';

class HttpProblem extends Error {
  static of(status, code) {
    return class extends HttpProblem {
      status = status;
      code = code;
    };
  }
}

const Invalid = HttpProblem.of(400, 'VALIDATION');
const Missing = HttpProblem.of(404, 'NOT_FOUND');
const Conflict = HttpProblem.of(409, 'CONFLICT');
const BadGateway = HttpProblem.of(502, 'UPSTREAM');
const BadJson = HttpProblem.of(400, 'BAD_JSON');

class Teapot extends Error {
  get statusCode() { return 418; }
  get code() { return 'TEAPOT'; }
}

const app = express();
app.disable('x-powered-by');

app.use((req, res, next) => {
  const sent = req.get('x-request-id');
  res.locals.requestId = sent && /^[A-Za-z0-9_-]{1,64}$/.test(sent) ? sent : randomUUID();
  res.set('x-request-id', res.locals.requestId);
  next();
});

app.get('/health', (req, res) => res.send('ok'));

const readJson = express.json({
  strict: false,
  limit: Number(process.env.MAX_BODY ?? 102400),
  // The parser calls an empty body {}: remember what really came.
  verify: (req, res, bytes) => { req.bodyBytes = bytes.length; },
});
app.post('/echo-error', readJson, (req, res) => {
  if (!/^application\/json\b/i.test(req.get('content-type') ?? '')) throw Object.assign(new Error('Send JSON.'), { status: 415, expose: true });
  if (!req.bodyBytes) throw new BadJson('The body is empty.');
  res.json({});
});

app.get('/fail/validation', (req) => {
  const names = req.query.fields?.split(',') ?? ['name', 'email'];
  throw Object.assign(new Invalid(`${req.query.note} has bad fields.`), {
    details: names.map((field) => ({ field, message: `${field} is not acceptable` })),
  });
});
app.get('/fail/missing', (req) => { throw new Missing(`${req.query.note} does not exist.`); });
app.get('/fail/conflict', (req) => { throw new Conflict(`${req.query.note} is taken.`); });
app.get('/fail/teapot', (req) => { throw new Teapot(`${req.query.note} cannot brew coffee.`); });
app.get('/fail/nested', (req) => {
  throw new Conflict(`${req.query.note} is locked.`, { cause: new Missing(`Lock ${req.query.secret} not found.`) });
});
app.get('/fail/upstream', async (req) => {
  await Promise.reject(new Error(`connect postgres://app:${req.query.secret}@db`)).catch((cause) => {
    throw new BadGateway(`Could not load ${req.query.note}.`, { cause });
  });
});
app.get('/fail/bug', (req) => req.customer[req.query.note]);
app.get('/fail/string', async (req) => { throw `no luck with ${req.query.note}`; });
// A falsy value given to next() would mean "no error", so it gets a body here.
app.get('/fail/null', (req, res, next) => Promise.reject(null).catch((thrown) => next(thrown ?? new Error('null was thrown'))));
app.get('/fail/late', (req, res, next) => {
  res.type('text').write('one');
  setImmediate(() => res.write('two'));
  setTimeout(() => next(new Error(`${req.query.note} broke`)), 60);
});

app.use(() => { throw new Missing('No such route.'); });

app.use((err, req, res, next) => {
  const { requestId } = res.locals;
  console.error(requestId, err);
  if (res.headersSent) return res.socket.destroy();
  const status = err.statusCode ?? err.status ?? 500;
  let { code, message, details } = err;
  if (err.type === 'entity.parse.failed') {
    code = 'BAD_JSON';
    message = 'This is not JSON.';
  }
  if (status >= 500) {
    message = 'We are sorry, this did not work.';
    details = undefined;
    if (!(err instanceof HttpProblem)) code = 'INTERNAL';
  }
  res.status(status).json({ error: { code: code ?? 'REQUEST_REFUSED', message, details, requestId } });
});

app.listen(Number(process.env.PORT ?? 3000));
