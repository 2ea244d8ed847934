// looplab-canary-error-funnel-solutions-f97ddd41
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);

// ---- Errors we throw on purpose -------------------------------------------------------------------------------------

class AppError extends Error {
  constructor(statusCode, code, message, { cause, details } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    this.statusCode = statusCode;
    this.code = code;
    this.details = details;
  }
}

class ValidationError extends AppError {
  constructor(message, details) {
    super(400, 'VALIDATION', message, { details });
  }
}

class NotFoundError extends AppError {
  constructor(message) {
    super(404, 'NOT_FOUND', message);
  }
}

class ConflictError extends AppError {
  constructor(message, options) {
    super(409, 'CONFLICT', message, options);
  }
}

class UpstreamError extends AppError {
  constructor(message, options) {
    super(502, 'UPSTREAM', message, options);
  }
}

// Stands for a library: not an AppError, and nothing of it is an own property.
class TeapotError extends Error {
  get statusCode() {
    return 418;
  }

  get code() {
    return 'TEAPOT';
  }
}

// ---- The funnel: the only place that writes an error answer ---------------------------------------------------------

const INTERNAL = { status: 500, code: 'INTERNAL', message: 'Something went wrong on our side.' };

function describe(thrown) {
  const status = thrown?.statusCode;
  if (!(status >= 400 && status <= 599)) return INTERNAL;
  // Our own 5xx errors keep their code; their message is written for the log, not for the client.
  if (status >= 500) return { ...INTERNAL, status, code: thrown.code };
  return { status, code: thrown.code, message: thrown.message, details: thrown.details };
}

function answerError(res, thrown, requestId) {
  console.error(requestId, thrown);
  // The status is on the wire already. Cutting the connection is the only way left to say that this went wrong.
  if (res.headersSent) return res.destroy();
  const { status, ...error } = describe(thrown);
  sendJson(res, status, { error: { ...error, requestId } });
}

// ---- The drill ------------------------------------------------------------------------------------------------------

const drill = new Map([
  ['validation', ({ note, fields }) => {
    const details = fields.map((field) => ({ field, message: 'is not valid' }));
    throw new ValidationError(`The address of ${note} is not valid.`, details);
  }],
  ['missing', ({ note }) => { throw new NotFoundError(`There is no ${note}.`); }],
  ['conflict', ({ note }) => { throw new ConflictError(`${note} was changed meanwhile.`); }],
  ['teapot', ({ note }) => { throw new TeapotError(`${note} is a teapot.`); }],
  ['nested', ({ note, secret }) => {
    const cause = new NotFoundError(`No row with ${secret}.`);
    throw new ConflictError(`${note} was deleted meanwhile.`, { cause });
  }],
  ['upstream', ({ note, secret }) => {
    const cause = new Error(`Login refused for password ${secret}.`);
    throw new UpstreamError(`Stock of ${note} is not available.`, { cause });
  }],
  ['bug', ({ note }) => undefined[note]],
  ['string', ({ note }) => { throw `${note} failed`; }],
  ['null', () => { throw null; }],
  ['late', async ({ note }, res) => {
    res.writeHead(200, { 'content-type': 'text/plain' });
    res.write('one');
    res.write('two');
    await sleep(50);
    throw new Error(`${note} failed half way.`);
  }],
]);

// ---- Routes ---------------------------------------------------------------------------------------------------------

async function route(req, res) {
  const url = new URL(req.url, 'http://server');
  if (req.method === 'GET' && url.pathname === '/health') return sendJson(res, 200, { status: 'ok' });
  if (req.method === 'POST' && url.pathname === '/echo-error') {
    await readJson(req);
    return sendJson(res, 200, {});
  }
  const fail = url.pathname.startsWith('/fail/') && drill.get(url.pathname.slice('/fail/'.length));
  if (req.method === 'GET' && fail) {
    return fail({
      note: url.searchParams.get('note') ?? 'the order',
      secret: url.searchParams.get('secret') ?? 'unknown',
      fields: (url.searchParams.get('fields') ?? 'name,email').split(','),
    }, res);
  }
  throw new NotFoundError('There is nothing at this path for this method.');
}

async function readJson(req) {
  if (!/^application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) {
    throw new AppError(415, 'NOT_JSON', 'Send the body as application/json.');
  }
  const chunks = [];
  let size = 0;
  for await (const chunk of req) {
    size += chunk.length;
    // What is too much is read and dropped: a client that is still sending would not hear the answer.
    if (size <= MAX_BODY) chunks.push(chunk);
  }
  if (size > MAX_BODY) throw new AppError(413, 'TOO_LARGE', `The body has more than ${MAX_BODY} bytes.`);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch (cause) {
    throw new AppError(400, 'BAD_JSON', 'The body is not valid JSON.', { cause });
  }
}

function sendJson(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

function requestIdOf(req) {
  const sent = req.headers['x-request-id'] ?? '';
  return /^[\w-]{1,64}$/.test(sent) ? sent : randomUUID();
}

const server = createServer(async (req, res) => {
  const requestId = requestIdOf(req);
  res.setHeader('x-request-id', requestId);
  try {
    await route(req, res);
  } catch (thrown) {
    answerError(res, thrown, requestId);
  }
});

server.listen(PORT);
