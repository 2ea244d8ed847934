// Heavy work, living server: a starting point.
//
// It runs, and its digests are right. Start it with:    PORT=3000 node server.mjs
// See its trouble with two terminals:
//   1.  curl 'http://127.0.0.1:3000/chain?seed=hello&rounds=600000'
//   2.  curl -w '%{time_total}\n' http://127.0.0.1:3000/health       (while the first one works)
import http from 'node:http';
import { chain } from './chain.mjs';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_JOBS = Number(process.env.MAX_JOBS ?? 2); // TODO (task 3): nobody looks at this yet

const server = http.createServer((req, res) => {
  // Everything that waits (other requests, timers, the news that a client has left) waits until this function returns,
  // or until it awaits something that lets the event loop turn. Not every `await` does.
  const url = new URL(req.url, 'http://localhost'); // TODO: this throws for the path "//". What happens then?

  if (req.method !== 'GET') return sendError(res, 405, 'Only GET is possible here.');
  if (url.pathname === '/health') return sendJson(res, 200, { status: 'ok' });
  if (url.pathname === '/chain') return answerChain(url.searchParams, res);
  return sendError(res, 404, 'There is nothing here.');
});

function answerChain(query, res) {
  const seed = query.get('seed'); // a decoded string, or null
  const rounds = Number(query.get('rounds')); // TODO (task 1): which texts does Number accept, and what is Number(null)?

  // TODO (task 1): refuse what the contract calls invalid with 400.
  // TODO (task 3): refuse with 503 and Retry-After when MAX_JOBS chains are being computed.
  // TODO (task 4): notice that the client has left. Which event of `res` says so?
  const digest = chain(seed ?? '', rounds); // TODO (task 2): the whole server stands still here. For how long?

  sendJson(res, 200, { seed, rounds, digest });
}

function sendJson(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
}

function sendError(res, status, message) {
  sendJson(res, status, { error: message });
}

server.listen(PORT, () => console.log(`listening on ${PORT}, at most ${MAX_JOBS} chains at a time (not yet)`));
