import express from 'express';
import jwt from 'jsonwebtoken';
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';

const {
  JWT_SECRET = '',
  USERS = '{}',
  DB_PATH = 'sessions.sqlite',
  ACCESS_TTL_MS = '900000',
  REFRESH_TTL_MS = '604800000',
  SWEEP_MS = '60000',
  MAX_BODY = '102400',
  PORT = '3000',
} = process.env;
const secret = Buffer.from(JWT_SECRET, 'utf8');
if (secret.length < 32) {
  console.error('JWT_SECRET has fewer than 32 bytes');
  process.exit(1);
}
const users = new Map(Object.entries(JSON.parse(USERS)));

const fail = (status, message) => Object.assign(new Error(message), { status, expose: true });

// --- passwords -------------------------------------------------------------
// timingSafeEqual wants two buffers of one length; 0xff never occurs in UTF-8
const PASSWORD_BYTES = 64;
const padded = (password) => {
  const bytes = Buffer.alloc(PASSWORD_BYTES, 0xff);
  bytes.write(password, 'utf8');
  return bytes;
};
const nobody = randomBytes(24).toString('hex');
function passwordOk(email, password) {
  const known = users.has(email) && typeof users.get(email) === 'string';
  const equal = timingSafeEqual(padded(known ? users.get(email) : nobody), padded(password));
  return known && equal;
}

// --- store -----------------------------------------------------------------
let db;
function connect() {
  if (db) return db;
  const d = new DatabaseSync(DB_PATH);
  try {
    d.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    d.exec(`
      CREATE TABLE IF NOT EXISTS logins (id TEXT PRIMARY KEY, email TEXT NOT NULL, ended INTEGER NOT NULL DEFAULT 0);
      CREATE TABLE IF NOT EXISTS tokens (hash TEXT PRIMARY KEY, login_id TEXT NOT NULL, expires_at INTEGER NOT NULL, exchanged INTEGER NOT NULL DEFAULT 0);
      CREATE INDEX IF NOT EXISTS tokens_by_login ON tokens (login_id);
    `);
  } catch (e) {
    d.close();
    throw e;
  }
  return (db = d);
}
function atomically(fn) {
  try {
    const d = connect();
    d.exec('BEGIN IMMEDIATE');
    const value = fn(d);
    d.exec('COMMIT');
    return value;
  } catch (e) {
    if (db?.isTransaction) db.exec('ROLLBACK');
    throw e.code === 'ERR_SQLITE_ERROR' ? fail(503, 'The store is locked, try again.') : e;
  }
}
const sha = (s) => createHash('sha256').update(s).digest('base64');
function addToken(d, loginId) {
  const token = `rt_${randomBytes(32).toString('hex')}`;
  d.prepare('INSERT INTO tokens (hash, login_id, expires_at) VALUES (?, ?, ?)').run(sha(token), loginId, Date.now() + Number(REFRESH_TTL_MS));
  return token;
}
const find = (d, token) =>
  d.prepare(`SELECT t.hash, t.login_id, t.expires_at, t.exchanged, l.email, l.ended
             FROM tokens t JOIN logins l ON l.id = t.login_id WHERE t.hash = ?`).get(sha(token));
const end = (d, id) => d.prepare('UPDATE logins SET ended = 1 WHERE id = ?').run(id);

function sweep() {
  let next = Math.min(Number(SWEEP_MS) / 2, 60000);
  try {
    atomically((d) => {
      d.prepare('DELETE FROM tokens WHERE expires_at <= ?').run(Date.now());
      d.prepare('DELETE FROM logins WHERE id NOT IN (SELECT login_id FROM tokens)').run();
    });
  } catch {
    next = 50;
  }
  setTimeout(sweep, next);
}
sweep();

// --- http ------------------------------------------------------------------
const accessToken = (email) => {
  const now = Date.now();
  return jwt.sign(
    { sub: email, iat: Math.floor(now / 1000), exp: Math.ceil((now + Number(ACCESS_TTL_MS)) / 1000), jti: randomUUID() },
    secret,
    { algorithm: 'HS256' },
  );
};

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.set('query parser', 'simple');

const jsonBody = [
  express.raw({ type: () => true, limit: Number(MAX_BODY), inflate: false }),
  (req, _res, next) => {
    const type = (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
    if (type !== 'application/json') throw fail(415, 'application/json, please');
    try {
      req.json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(req.body ?? Buffer.alloc(0)));
    } catch {
      throw fail(400, 'malformed JSON');
    }
    next();
  },
];
const field = (req, name) => {
  const value = req.json && typeof req.json === 'object' && Object.hasOwn(req.json, name) ? req.json[name] : undefined;
  if (typeof value !== 'string' || value === '') throw fail(400, `"${name}" must be a non-empty string`);
  return value;
};

app.get('/health', (_req, res) => res.json({ up: true }));

app.get('/me', (req, res) => {
  const token = /^bearer\s+(\S+)$/i.exec(req.headers.authorization ?? '')?.[1];
  let claims;
  try {
    claims = jwt.verify(token, secret, { algorithms: ['HS256'] });
  } catch {
    throw fail(401, 'invalid access token');
  }
  if (typeof claims !== 'object' || claims.exp === undefined || claims.sub === undefined) throw fail(401, 'invalid access token');
  res.json({ email: claims.sub });
});

app.post('/login', jsonBody, (req, res) => {
  const email = field(req, 'email');
  const password = field(req, 'password');
  if (!passwordOk(email, password)) throw fail(401, 'unknown e-mail or wrong password');
  const refresh_token = atomically((d) => {
    const id = randomUUID();
    d.prepare('INSERT INTO logins (id, email) VALUES (?, ?)').run(id, JSON.stringify(email));
    return addToken(d, id);
  });
  res.json({ access_token: accessToken(email), refresh_token });
});

app.post('/refresh', jsonBody, (req, res) => {
  const token = field(req, 'refresh_token');
  const next = atomically((d) => {
    const row = find(d, token);
    if (!row || row.ended) return null;
    if (row.exchanged) {
      end(d, row.login_id);
      return null;
    }
    if (row.expires_at <= Date.now()) return null;
    d.prepare('UPDATE tokens SET exchanged = 1 WHERE hash = ?').run(row.hash);
    return { email: JSON.parse(row.email), refresh_token: addToken(d, row.login_id) };
  });
  if (!next) throw fail(401, 'invalid refresh token');
  res.json({ access_token: accessToken(next.email), refresh_token: next.refresh_token });
});

app.post('/logout', jsonBody, (req, res) => {
  const token = field(req, 'refresh_token');
  atomically((d) => {
    const row = find(d, token);
    if (row) end(d, row.login_id);
  });
  res.status(204).end();
});

for (const path of ['/health', '/me', '/login', '/refresh', '/logout']) {
  app.all(path, () => {
    throw fail(405, 'method not allowed');
  });
}
app.use(() => {
  throw fail(404, 'not found');
});
app.use((err, _req, res, _next) => {
  if (res.headersSent) return res.destroy();
  const status = err.status >= 400 && err.status < 600 ? err.status : 500;
  if (status === 401) res.set('www-authenticate', 'Bearer');
  res.status(status).json({ message: status === 413 ? 'body too large' : err.expose && status !== 500 ? err.message : 'internal error' });
});

const server = app.listen(Number(PORT), '127.0.0.1');
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  db?.close();
  process.exit(0);
});
