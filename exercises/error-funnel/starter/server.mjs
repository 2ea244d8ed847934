import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);

// ---- Errors we throw on purpose -------------------------------------------------------------------------------------
// An operational error is an answer in waiting: somebody foresaw it and knows what the client should hear.
// Every other thrown thing is a surprise. Which knowledge should an error carry, and which belongs to the funnel?

class AppError extends Error {}
class ValidationError extends AppError {}
class NotFoundError extends AppError {}
class ConflictError extends AppError {}
class UpstreamError extends AppError {}

// This one stands for a library. You cannot change its class, only cope with it.
class TeapotError extends Error {
  get statusCode() {
    return 418;
  }

  get code() {
    return 'TEAPOT';
  }
}

// ---- The funnel -----------------------------------------------------------------------------------------------------
// Everything that is thrown anywhere should end here, and only here should an error answer be written.
// Ask of each thing that comes in: what is it (is it even an Error)? Who reads the answer? Has the answer begun already?

function answerError(res, thrown) {
  console.error(thrown);
  // TODO: status, code, message and requestId, as the contract says.
  sendJson(res, 500, { error: { code: 'INTERNAL', message: 'Something went wrong.' } });
}

// ---- The drill: one function for each KIND, which throws ------------------------------------------------------------

const drill = new Map([
  ['missing', ({ note }) => { throw new NotFoundError(`There is no ${note}.`); }],
  ['nested', ({ note, secret }) => {
    const cause = new NotFoundError(`No row with ${secret}.`);
    throw new ConflictError(`${note} was deleted meanwhile.`, { cause });
  }],
  ['bug', ({ note }) => undefined[note]],
  ['late', async ({ note }, res) => {
    res.writeHead(200, { 'content-type': 'text/plain' });
    res.write('one');
    res.write('two');
    await sleep(50);
    throw new Error(`${note} failed half way.`);
  }],
  // TODO: validation, conflict, teapot, upstream, string, null
]);

// ---- Routes ---------------------------------------------------------------------------------------------------------

async function route(req, res) {
  const url = new URL(req.url, 'http://server');
  if (req.method === 'GET' && url.pathname === '/health') return sendJson(res, 200, { status: 'ok' });
  if (req.method === 'GET' && url.pathname.startsWith('/fail/')) {
    const fail = drill.get(url.pathname.slice('/fail/'.length));
    return fail({
      note: url.searchParams.get('note') ?? 'the order',
      secret: url.searchParams.get('secret') ?? 'unknown',
    }, res);
  }
  // TODO: POST /echo-error, which takes any JSON value of at most MAX_BODY bytes. Which errors are born there?
  sendJson(res, 404, { error: 'nothing here' });
}

function sendJson(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

const server = createServer(async (req, res) => {
  // TODO: an id for this request, on every answer.
  try {
    await route(req, res);
  } catch (thrown) {
    answerError(res, thrown);
  }
});

server.listen(PORT);
