import { createServer } from 'node:http';
import crypto from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import jwt from 'jsonwebtoken';

const settings = {
  secret: new TextEncoder().encode(process.env.JWT_SECRET ?? ''),
  users: JSON.parse(process.env.USERS || '{}'),
  file: process.env.DB_PATH || 'sessions.sqlite',
  accessMs: Number(process.env.ACCESS_TTL_MS || 900000),
  refreshMs: Number(process.env.REFRESH_TTL_MS || 604800000),
  sweepMs: Number(process.env.SWEEP_MS || 60000),
  maxBody: Number(process.env.MAX_BODY || 102400),
  port: Number(process.env.PORT || 3000),
};
if (settings.secret.byteLength < 32) {
  console.error('refusing to start: JWT_SECRET');
  process.exit(1);
}

// ---- database: requests may wait a moment for the lock, the sweeper never does
const LOCK_WAIT_MS = 700; // an answer is due within one second

function connection(wait) {
  let db = null;
  return (work) => {
    try {
      if (!db) {
        const fresh = new DatabaseSync(settings.file, { timeout: wait });
        try {
          fresh.exec(`CREATE TABLE IF NOT EXISTS refresh (
            h BLOB PRIMARY KEY, login TEXT NOT NULL, sub TEXT NOT NULL, until INTEGER NOT NULL, used INTEGER NOT NULL)`);
        } catch (e) {
          fresh.close();
          throw e;
        }
        db = fresh;
      }
      db.exec('BEGIN IMMEDIATE');
      const out = work((sql, ...args) => db.prepare(sql).all(...args));
      db.exec('COMMIT');
      return out;
    } catch (e) {
      if (db?.isTransaction) db.exec('ROLLBACK');
      if (e.code === 'ERR_SQLITE_ERROR') return answer(503, { error: 'database locked' }, { 'retry-after': '1' });
      throw e;
    }
  };
}
const store = connection(LOCK_WAIT_MS);
const quick = connection(0);

// ---- answers
class Answer {
  constructor(status, body, headers) {
    Object.assign(this, { status, body, headers });
  }
}
function answer(status, body, headers = {}) {
  throw new Answer(status, body, headers);
}
const deny = (why) => answer(401, { error: why }, { 'www-authenticate': 'Bearer realm="phone"' });

// ---- tokens
const h = (t) => crypto.createHash('sha512').update(t).digest();
function newRefresh(q, login, sub) {
  const t = crypto.randomBytes(30).toString('base64url');
  q('INSERT INTO refresh VALUES (?, ?, ?, ?, 0)', h(t), login, sub, Date.now() + settings.refreshMs);
  return t;
}
function newAccess(email) {
  const ms = Date.now();
  return jwt.sign(
    { sub: email, iat: Math.floor(ms / 1000), exp: Math.ceil((ms + settings.accessMs) / 1000) },
    Buffer.from(settings.secret), { algorithm: 'HS256' });
}

function strings(body, names) {
  if (body === null || typeof body !== 'object') answer(400, { error: 'an object is needed' });
  return names.map((name) => {
    const v = Object.hasOwn(body, name) ? body[name] : undefined;
    return typeof v === 'string' && v.length > 0 ? v : answer(400, { error: `${name}: a non-empty string is needed` });
  });
}

const handlers = {
  health: { GET: () => answer(200, { status: 'up' }) },
  me: {
    GET(req) {
      const [scheme, token, more] = (req.headers.authorization ?? '').trim().split(/ +/);
      if (!scheme || scheme.toLowerCase() !== 'bearer' || !token || more) deny('no access token');
      let claims = null;
      try {
        claims = jwt.verify(token, Buffer.from(settings.secret), { algorithms: ['HS256'] });
      } catch {}
      if (typeof claims?.sub !== 'string' || typeof claims.exp !== 'number') deny('bad access token');
      answer(200, { email: claims.sub });
    },
  },
  login: {
    async POST(req) {
      const [email, password] = strings(await body(req), ['email', 'password']);
      if (!Object.hasOwn(settings.users, email) || settings.users[email] !== password) deny('bad credentials');
      const refresh_token = store((q) => newRefresh(q, crypto.randomUUID(), JSON.stringify(email)));
      answer(200, { access_token: newAccess(email), refresh_token });
    },
  },
  refresh: {
    async POST(req) {
      const [token] = strings(await body(req), ['refresh_token']);
      const next = store((q) => {
        const [row] = q('SELECT * FROM refresh WHERE h = ?', h(token));
        if (row?.used) q('DELETE FROM refresh WHERE login = ?', row.login);
        if (!row || row.used || row.until <= Date.now()) return null;
        q('UPDATE refresh SET used = 1 WHERE h = ?', row.h);
        return { sub: row.sub, refresh_token: newRefresh(q, row.login, row.sub) };
      });
      if (!next) deny('bad refresh token');
      answer(200, { access_token: newAccess(JSON.parse(next.sub)), refresh_token: next.refresh_token });
    },
  },
  logout: {
    async POST(req) {
      const [token] = strings(await body(req), ['refresh_token']);
      store((q) => q('DELETE FROM refresh WHERE login = (SELECT login FROM refresh WHERE h = ?)', h(token)));
      answer(204);
    },
  },
};

async function body(req) {
  let bytes = 0;
  const list = [];
  for await (const chunk of req) {
    bytes += chunk.length;
    if (bytes <= settings.maxBody) list.push(chunk);
  }
  if (bytes > settings.maxBody) answer(413, { error: 'too large' });
  if ((req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase() !== 'application/json') {
    answer(415, { error: 'application/json is needed' });
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(list)));
  } catch {
    answer(400, { error: 'malformed JSON' });
  }
}

const server = createServer(async (req, res) => {
  let out;
  try {
    const name = req.url.split('?')[0].slice(1);
    if (!req.url.startsWith('/') || !Object.hasOwn(handlers, name)) answer(404, { error: 'not found' });
    if (!Object.hasOwn(handlers[name], req.method)) answer(405, { error: 'wrong method' });
    await handlers[name][req.method](req);
  } catch (e) {
    out = e instanceof Answer ? e : new Answer(500, { error: 'internal error' }, {});
  }
  if (res.destroyed) return;
  if (out.body === undefined) return res.writeHead(out.status, out.headers).end();
  res.writeHead(out.status, { 'content-type': 'application/json', ...out.headers }).end(JSON.stringify(out.body));
});

function sweep() {
  let pause = Math.min(settings.sweepMs / 2, 1e6);
  try {
    quick((q) => q('DELETE FROM refresh WHERE until <= ?', Date.now()));
  } catch {
    pause = 50;
  }
  setTimeout(sweep, pause);
}
sweep();
server.listen(settings.port, '127.0.0.1');
process.on('SIGTERM', () => {
  server.closeAllConnections();
  process.exit(0);
});
