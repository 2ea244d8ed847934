// Tokens that can be taken back: the HTTP part is here, the tokens are yours.
// Every route that answers 501 waits for you. `node:sqlite` and `jsonwebtoken` or `jose` are at hand.
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);
const USERS = new Map(Object.entries(JSON.parse(process.env.USERS ?? '{}')));
// Still to read: JWT_SECRET (what if it is missing?), ACCESS_TTL_MS, REFRESH_TTL_MS, SWEEP_MS.

class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// ---- the store

// DatabaseSync runs on the thread that serves all requests: while it waits, everybody waits.
const db = new DatabaseSync(process.env.DB_PATH ?? 'sessions.sqlite', { timeout: 0 });

// Which questions must your table answer?
//   - Is this refresh token good, exchanged already, expired, or not ours at all?
//   - Which other tokens belong to the same login?
//   - Which rows may be thrown away?
// And which column would you rather not have when somebody copies the file?
db.exec('CREATE TABLE IF NOT EXISTS refresh_tokens (id INTEGER PRIMARY KEY)');

// ---- the routes: a handler returns [status, body], or throws an HttpError

const notYet = () => {
  throw new HttpError(501, 'Not written yet.');
};

const routes = {
  '/health': { GET: () => [200, { ok: true }] },

  '/login': {
    async POST(req) {
      const { email, password } = await readFields(req, 'email', 'password');
      // Compare with USERS. Then make the two tokens. What must be stored before the answer goes out?
      return notYet(email, password);
    },
  },

  '/me': {
    GET(req) {
      const authorization = req.headers.authorization ?? '';
      // Is it "Bearer <token>"? Who signed the token, and until when is it good?
      return notYet(authorization);
    },
  },

  '/refresh': {
    async POST(req) {
      const { refresh_token } = await readFields(req, 'refresh_token');
      // Two requests can bring the same token. Who decides which of them is first?
      return notYet(refresh_token);
    },
  },

  '/logout': {
    async POST(req) {
      const { refresh_token } = await readFields(req, 'refresh_token');
      return notYet(refresh_token);
    },
  },
};

// ---- HTTP: nothing below needs a change, except where you find a comment that asks

// Resolves to the JSON body, in which every named field is a non-empty string.
async function readFields(req, ...names) {
  const mediaType = (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (mediaType !== 'application/json') throw new HttpError(415, 'Send JSON.');
  const chunks = [];
  let size = 0;
  // Not destroyed when we stop early: a 413 must still travel over the same socket.
  for await (const chunk of req.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_BODY) throw new HttpError(413, 'The body is too large.');
    chunks.push(chunk);
  }
  let body;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new HttpError(400, 'The body is not JSON.');
  }
  for (const name of names) {
    const value = body?.[name];
    if (typeof value !== 'string' || value === '') throw new HttpError(400, `${name} must be a non-empty string.`);
  }
  return body;
}

// Errors that are not ours become 500. Which error of the database deserves another status?
function asHttpError(error) {
  if (error instanceof HttpError) return error;
  console.error(error);
  return new HttpError(500, 'Something went wrong.');
}

function send(res, status, body, headers = {}) {
  if (body === undefined) return res.writeHead(status, headers).end();
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  res.end(JSON.stringify(body));
}

const server = createServer(async (req, res) => {
  try {
    const route = routes[req.url.split('?')[0]];
    if (!route) throw new HttpError(404, 'There is nothing here.');
    const handler = route[req.method];
    if (!handler) throw new HttpError(405, `${req.method} is not allowed here.`);
    const [status, body] = await handler(req);
    send(res, status, body);
  } catch (error) {
    const { status, message } = asHttpError(error);
    const headers = {};
    if (status === 413) headers.connection = 'close'; // the rest of the body is not read
    // What does a client that gets a 401 want to know?
    send(res, status, { error: message }, headers);
  }
});

server.listen(PORT, () => console.log(`listening on ${PORT}`));
