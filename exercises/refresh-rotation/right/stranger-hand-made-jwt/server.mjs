// looplab-canary-refresh-rotation-solutions-51254fb1
// Plain node:http + node:sqlite, rollback journal, no waiting for locks.
import http from 'node:http';
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';

const env = (name, fallback) => (process.env[name] ? process.env[name] : fallback);
const num = (name, fallback) => {
  const n = Number(env(name, fallback));
  return Number.isFinite(n) ? n : fallback;
};

const SECRET = Buffer.from(process.env.JWT_SECRET ?? '', 'utf8');
if (SECRET.length < 32) {
  console.error('JWT_SECRET must have at least 32 bytes');
  process.exit(1);
}
let users;
try {
  users = new Map(Object.entries(JSON.parse(env('USERS', '{}'))));
} catch {
  console.error('USERS is not a JSON object');
  process.exit(1);
}
const DB_PATH = env('DB_PATH', 'sessions.sqlite');
const ACCESS_TTL_MS = num('ACCESS_TTL_MS', 900000);
const REFRESH_TTL_MS = num('REFRESH_TTL_MS', 604800000);
const SWEEP_MS = num('SWEEP_MS', 60000);
const MAX_BODY = num('MAX_BODY', 102400);
const PORT = num('PORT', 3000);

class HttpError extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}
const unauthorized = (message) => new HttpError(401, message, { 'www-authenticate': 'Bearer' });

// ---------------------------------------------------------------- access tokens

const b64 = (x) => Buffer.from(x).toString('base64url');
const HEADER = b64(JSON.stringify({ alg: 'HS256', typ: 'JWT' }));
const sign = (input) => createHmac('sha256', SECRET).update(input).digest('base64url');

function issueAccess(email) {
  const now = Date.now();
  const claims = {
    sub: email,
    iat: Math.floor(now / 1000),
    exp: Math.ceil((now + ACCESS_TTL_MS) / 1000),
    jti: randomBytes(9).toString('base64url'),
  };
  const input = `${HEADER}.${b64(JSON.stringify(claims))}`;
  return `${input}.${sign(input)}`;
}

function checkAccess(token) {
  const parts = token.split('.');
  if (parts.length !== 3) return null;
  // The signature is compared as text: base64url has several spellings of the same bytes.
  const want = Buffer.from(sign(`${parts[0]}.${parts[1]}`));
  const got = Buffer.from(parts[2]);
  if (want.length !== got.length || !timingSafeEqual(want, got)) return null;
  try {
    const header = JSON.parse(Buffer.from(parts[0], 'base64url').toString());
    const claims = JSON.parse(Buffer.from(parts[1], 'base64url').toString());
    if (header.alg !== 'HS256' || header.crit !== undefined) return null;
    if (typeof claims.sub !== 'string' || typeof claims.exp !== 'number') return null;
    if (Date.now() >= claims.exp * 1000) return null;
    return claims;
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------- store

let db = null;
let ready = false;
let stmts;

function open() {
  if (!db) db = new DatabaseSync(DB_PATH, { timeout: 0 });
  if (ready) return;
  db.exec(`CREATE TABLE IF NOT EXISTS refresh_tokens (
      hash BLOB PRIMARY KEY,
      login BLOB NOT NULL,
      email TEXT NOT NULL,          -- as a JSON string, so that every string survives
      expires_at INTEGER NOT NULL,
      used INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS refresh_tokens_login ON refresh_tokens (login);
    CREATE INDEX IF NOT EXISTS refresh_tokens_expiry ON refresh_tokens (expires_at);`);
  stmts = {
    find: db.prepare('SELECT login, email, expires_at, used FROM refresh_tokens WHERE hash = ?'),
    insert: db.prepare('INSERT INTO refresh_tokens (hash, login, email, expires_at) VALUES (?, ?, ?, ?)'),
    use: db.prepare('UPDATE refresh_tokens SET used = 1 WHERE hash = ?'),
    end: db.prepare('DELETE FROM refresh_tokens WHERE login = ?'),
    sweep: db.prepare('DELETE FROM refresh_tokens WHERE expires_at <= ?'),
  };
  ready = true;
}

// Everything that touches the store is one short synchronous transaction; a lock is an immediate 503.
function transaction(work) {
  try {
    open();
    db.exec('BEGIN IMMEDIATE');
    const result = work(stmts);
    db.exec('COMMIT');
    return result;
  } catch (err) {
    if (db?.isTransaction) {
      try {
        db.exec('ROLLBACK');
      } catch {}
    }
    if (err?.code === 'ERR_SQLITE_ERROR') {
      throw new HttpError(503, 'the token store is busy, try again', { 'retry-after': '1' });
    }
    throw err;
  }
}

const hash = (token) => createHash('sha256').update(token, 'utf8').digest();

function issueRefresh(s, login, email) {
  const token = randomBytes(32).toString('base64url');
  s.insert.run(hash(token), login, JSON.stringify(email), Date.now() + REFRESH_TTL_MS);
  return token;
}

// ---------------------------------------------------------------- routes

const same = (a, b) => typeof a === 'string' && a === b;

const text = (body, name) => {
  const value = body !== null && typeof body === 'object' && Object.hasOwn(body, name) ? body[name] : undefined;
  if (typeof value !== 'string' || value === '') throw new HttpError(400, `${name} must be a non-empty string`);
  return value;
};

const routes = {
  '/health': { GET: () => [200, { status: 'ok' }] },
  '/me': {
    GET(req) {
      const m = /^bearer +([^\s]+)\s*$/i.exec(req.headers.authorization ?? '');
      const claims = m && checkAccess(m[1]);
      if (!claims) throw unauthorized('a valid access token is needed');
      return [200, { email: claims.sub }];
    },
  },
  '/login': {
    async POST(req) {
      const body = await readJson(req);
      const email = text(body, 'email');
      const password = text(body, 'password');
      if (!same(users.get(email), password)) throw unauthorized('unknown e-mail or wrong password');
      const refresh_token = transaction((s) => issueRefresh(s, randomBytes(16), email));
      return [200, { access_token: issueAccess(email), refresh_token }];
    },
  },
  '/refresh': {
    async POST(req) {
      const token = text(await readJson(req), 'refresh_token');
      const next = transaction((s) => {
        const key = hash(token);
        const row = s.find.get(key);
        if (!row) return null;
        if (row.used) {
          s.end.run(row.login);
          return null;
        }
        if (row.expires_at <= Date.now()) return null;
        s.use.run(key);
        const email = JSON.parse(row.email);
        return { email, refresh_token: issueRefresh(s, row.login, email) };
      });
      if (!next) throw unauthorized('the refresh token is not valid');
      return [200, { access_token: issueAccess(next.email), refresh_token: next.refresh_token }];
    },
  },
  '/logout': {
    async POST(req) {
      const token = text(await readJson(req), 'refresh_token');
      transaction((s) => {
        const row = s.find.get(hash(token));
        if (row) s.end.run(row.login);
      });
      return [204];
    },
  },
};

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

function readJson(req) {
  return new Promise((resolve, reject) => {
    const tooLarge = () => {
      reject(new HttpError(413, `the body has more than ${MAX_BODY} bytes`));
      req.removeAllListeners('data');
      req.resume(); // read the rest and forget it, so that the client sees the answer
    };
    if (Number(req.headers['content-length']) > MAX_BODY) return tooLarge();
    const type = (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
    const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase();
    const chunks = [];
    let size = 0;
    req.on('data', (chunk) => {
      size += chunk.length;
      if (size > MAX_BODY) tooLarge();
      else chunks.push(chunk);
    });
    req.on('error', reject);
    req.on('end', () => {
      if (type !== 'application/json' || encoding !== 'identity') {
        return reject(new HttpError(415, 'the body must be application/json'));
      }
      try {
        resolve(JSON.parse(strictUtf8.decode(Buffer.concat(chunks))));
      } catch {
        reject(new HttpError(400, 'the body is not valid JSON'));
      }
    });
  });
}

function send(res, status, body, headers = {}) {
  if (res.headersSent || res.destroyed) return;
  if (body === undefined) {
    res.writeHead(status, headers).end();
    return;
  }
  const bytes = Buffer.from(JSON.stringify(body));
  res.writeHead(status, {
    ...headers,
    'content-type': 'application/json',
    'content-length': bytes.length,
    'cache-control': 'no-store',
  });
  res.end(bytes);
}

async function handle(req, res) {
  res.on('error', () => {});
  try {
    let path = req.url.replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/)[0];
    if (path === '') path = '/';
    const route = Object.hasOwn(routes, path) ? routes[path] : null;
    if (!route) throw new HttpError(404, 'there is nothing here');
    if (!Object.hasOwn(route, req.method)) {
      throw new HttpError(405, 'this method is not allowed here', { allow: Object.keys(route).join(', ') });
    }
    const [status, body] = await route[req.method](req);
    send(res, status, body);
  } catch (err) {
    if (err instanceof HttpError) return send(res, err.status, { error: err.message }, err.headers);
    if (req.destroyed && !req.complete) return;
    console.log('unexpected:', err);
    send(res, 500, { error: 'internal error' });
  }
}

const server = http.createServer(handle);
server.on('checkContinue', (req, res) => {
  res.writeContinue();
  handle(req, res);
});
server.on('checkExpectation', handle);
server.on('clientError', (err, socket) => {
  if (!socket.writable) return socket.destroy();
  const body = '{"error":"malformed request"}';
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
});

// ---------------------------------------------------------------- sweeping

function sweep() {
  let wait = Math.min(SWEEP_MS / 2, 30000);
  try {
    transaction((s) => s.sweep.run(Date.now()));
  } catch (err) {
    if (!(err instanceof HttpError)) console.log('sweep:', err);
    wait = 50;
  }
  setTimeout(sweep, wait);
}
sweep(); // also makes the table, if nobody holds the lock now

server.listen(PORT, '127.0.0.1', () => console.log(`listening on ${PORT}`));

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 1500).unref();
  });
}
