// looplab-canary-refresh-rotation-solutions-51254fb1
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import jwt from 'jsonwebtoken';

const PORT = Number(process.env.PORT ?? 3000);
const ACCESS_TTL_MS = Number(process.env.ACCESS_TTL_MS ?? 900_000);
const REFRESH_TTL_MS = Number(process.env.REFRESH_TTL_MS ?? 604_800_000);
const SWEEP_MS = Number(process.env.SWEEP_MS ?? 60_000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);
const USERS = new Map(Object.entries(JSON.parse(process.env.USERS ?? '{}')));
const JWT_SECRET = process.env.JWT_SECRET ?? '';

if (Buffer.byteLength(JWT_SECRET) < 32) {
  console.error('JWT_SECRET must hold at least 32 bytes.');
  process.exit(1);
}

class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// ---- the store: one row per refresh token; a family is one login and all that was refreshed from it

// DatabaseSync waits on the only thread we have, so it must not wait: a lock is a 503 at once.
const db = new DatabaseSync(process.env.DB_PATH ?? 'sessions.sqlite', { timeout: 0 });
db.exec(`
  CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash       TEXT PRIMARY KEY,
    family     TEXT NOT NULL,
    email      TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used       INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX IF NOT EXISTS refresh_tokens_family ON refresh_tokens (family);
  CREATE INDEX IF NOT EXISTS refresh_tokens_expiry ON refresh_tokens (expires_at);
`);

const insertToken = db.prepare('INSERT INTO refresh_tokens (hash, family, email, expires_at) VALUES (?, ?, ?, ?)');
// The condition decides every race: of many requests with one token, one finds used = 0.
const claimToken = db.prepare(
  'UPDATE refresh_tokens SET used = 1 WHERE hash = ? AND used = 0 AND expires_at > ? RETURNING family, email',
);
const endFamilyOf = db.prepare(
  'DELETE FROM refresh_tokens WHERE family = (SELECT family FROM refresh_tokens WHERE hash = ?)',
);
const deleteExpired = db.prepare('DELETE FROM refresh_tokens WHERE expires_at <= ?');

function transaction(work) {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

// A refresh token is 256 random bits, so a fast hash is enough: there is nothing to guess.
const hashOf = (token) => createHash('sha256').update(token).digest('hex');

function issueTokens(email, family) {
  const refresh_token = randomBytes(32).toString('base64url');
  insertToken.run(hashOf(refresh_token), family, email, Date.now() + REFRESH_TTL_MS);
  const access_token = jwt.sign({ sub: email }, JWT_SECRET, {
    algorithm: 'HS256',
    expiresIn: Math.ceil(ACCESS_TTL_MS / 1000), // seconds
  });
  return { access_token, refresh_token };
}

function rotate(token) {
  const hash = hashOf(token);
  const issued = transaction(() => {
    const claimed = claimToken.get(hash, Date.now());
    if (claimed) return issueTokens(claimed.email, claimed.family);
    // Unknown, expired or used. Used means that two parties hold it, and we cannot tell the thief from the owner.
    endFamilyOf.run(hash);
    return null;
  });
  // Refused only here: an exception inside the transaction would roll the revocation back.
  if (!issued) throw new HttpError(401, 'This refresh token is not valid.');
  return issued;
}

setInterval(() => {
  try {
    deleteExpired.run(Date.now());
  } catch (error) {
    console.error('sweep postponed:', error.message); // the next round gets them
  }
}, SWEEP_MS).unref();

// ---- the routes

const digest = (text) => createHash('sha256').update(text).digest();

function passwordMatches(email, password) {
  const known = USERS.get(email);
  return known !== undefined && timingSafeEqual(digest(known), digest(password));
}

const routes = {
  '/health': { GET: () => [200, { ok: true }] },

  '/login': {
    async POST(req) {
      const { email, password } = await readFields(req, 'email', 'password');
      if (!passwordMatches(email, password)) throw new HttpError(401, 'E-mail or password is wrong.');
      return [200, issueTokens(email, randomUUID())];
    },
  },

  '/me': {
    GET(req) {
      const [, token] = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
      try {
        return [200, { email: jwt.verify(token, JWT_SECRET, { algorithms: ['HS256'] }).sub }];
      } catch {
        throw new HttpError(401, 'A valid access token is needed.');
      }
    },
  },

  '/refresh': {
    async POST(req) {
      const { refresh_token } = await readFields(req, 'refresh_token');
      return [200, rotate(refresh_token)];
    },
  },

  '/logout': {
    async POST(req) {
      const { refresh_token } = await readFields(req, 'refresh_token');
      endFamilyOf.run(hashOf(refresh_token));
      return [204];
    },
  },
};

// ---- HTTP

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

function asHttpError(error) {
  if (error instanceof HttpError) return error;
  const SQLITE_BUSY = 5;
  if (error.code === 'ERR_SQLITE_ERROR' && (error.errcode & 0xff) === SQLITE_BUSY) {
    return new HttpError(503, 'The session store is busy. Try again.');
  }
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
    if (status === 401) headers['www-authenticate'] = 'Bearer';
    if (status === 413) headers.connection = 'close'; // the rest of the body is not read
    send(res, status, { error: message }, headers);
  }
});

server.listen(PORT);
