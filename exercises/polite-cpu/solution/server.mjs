// looplab-canary-polite-cpu-solutions-5afbb7df
import { hash } from 'node:crypto';
import http from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

const MAX_JOBS = Number(process.env.MAX_JOBS ?? 2);
const MAX_ROUNDS = 600_000;
const MAX_SEED_CHARACTERS = 100;
const RETRY_AFTER_SECONDS = 1;
// The longest that one job keeps the event loop to itself. With every place taken, others wait MAX_JOBS times as long.
const SLICE_MS = 5;

let running = 0;

const server = http.createServer((req, res) => {
  route(req, res).catch((error) => {
    console.error(error);
    if (!res.headersSent) sendError(res, 500, 'Something went wrong on our side.');
  });
});

async function route(req, res) {
  const url = URL.parse(req.url, 'http://localhost');
  if (!url) return sendError(res, 400, 'The address is not valid.');
  if (!['/health', '/chain'].includes(url.pathname)) return sendError(res, 404, 'There is nothing here.');
  if (req.method !== 'GET') return sendError(res, 405, 'Only GET is possible here.', { allow: 'GET' });
  if (url.pathname === '/health') return sendJson(res, 200, { status: 'ok' });
  return answerChain(url.searchParams, res);
}

async function answerChain(query, res) {
  const seed = query.get('seed') ?? '';
  const characters = [...seed].length;
  if (characters < 1 || characters > MAX_SEED_CHARACTERS) {
    return sendError(res, 400, `"seed" must have 1 to ${MAX_SEED_CHARACTERS} characters.`);
  }
  const digits = query.get('rounds') ?? '';
  const rounds = Number(digits);
  if (!/^[0-9]+$/.test(digits) || rounds > MAX_ROUNDS) {
    return sendError(res, 400, `"rounds" must be a whole number from 0 to ${MAX_ROUNDS}.`);
  }
  if (running >= MAX_JOBS) {
    return sendError(res, 503, 'Every place is taken.', { 'retry-after': RETRY_AFTER_SECONDS });
  }

  const gone = new AbortController();
  res.once('close', () => gone.abort());
  let digest;
  running += 1;
  try {
    digest = await computeChain(seed, rounds, gone.signal);
  } catch (error) {
    if (gone.signal.aborted) return; // nobody is left to answer
    throw error;
  } finally {
    running -= 1; // whatever happened: once, and here only
  }
  sendJson(res, 200, { seed, rounds, digest });
}

async function computeChain(seed, rounds, signal) {
  let value = Buffer.from(seed);
  let sliceEnd = performance.now() + SLICE_MS;
  for (let round = 0; round < rounds; round += 1) {
    value = hash('sha256', value, 'buffer');
    if (performance.now() < sliceEnd) continue;
    await nextTurn(); // one turn of the event loop: new requests and lost clients come in
    signal.throwIfAborted();
    sliceEnd = performance.now() + SLICE_MS;
  }
  return value.toString('hex');
}

function sendError(res, status, message, headers = {}) {
  sendJson(res, status, { error: message }, headers);
}

function sendJson(res, status, body, headers = {}) {
  res.writeHead(status, { 'content-type': 'application/json', ...headers });
  res.end(JSON.stringify(body));
}

server.listen(process.env.PORT ?? 3000);
