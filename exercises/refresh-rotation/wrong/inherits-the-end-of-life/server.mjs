import Koa from 'koa';
import jwt from 'jsonwebtoken';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';

const env = process.env;
const KEY = Buffer.from(env.JWT_SECRET ?? '', 'utf8');
if (KEY.length < 32) {
  console.error('JWT_SECRET: at least 32 bytes');
  process.exit(1);
}
const USERS = new Map(Object.entries(JSON.parse(env.USERS || '{}')));
const ACCESS = Number(env.ACCESS_TTL_MS || 900_000);
const REFRESH = Number(env.REFRESH_TTL_MS || 604_800_000);
const SWEEP = Number(env.SWEEP_MS || 60_000);
const LIMIT = Number(env.MAX_BODY || 102_400);

const stop = (status, message) => {
  throw Object.assign(new Error(message), { answer: status });
};

// ---- the store
let database;
function use() {
  if (!database) {
    const d = new DatabaseSync(env.DB_PATH || 'sessions.sqlite', { timeout: 0 });
    try {
      d.exec(`CREATE TABLE IF NOT EXISTS session (hash TEXT PRIMARY KEY, login TEXT NOT NULL, owner TEXT NOT NULL,
                expires INTEGER NOT NULL, replaced INTEGER NOT NULL DEFAULT 0);
              CREATE INDEX IF NOT EXISTS session_login ON session (login);`);
    } catch (e) {
      d.close();
      throw e;
    }
    database = d;
  }
  return database;
}
function once(fn) {
  try {
    const d = use();
    d.exec('BEGIN IMMEDIATE');
    const r = fn(d);
    d.exec('COMMIT');
    return r;
  } catch (e) {
    if (database?.isTransaction) database.exec('ROLLBACK');
    if (e.code === 'ERR_SQLITE_ERROR') stop(503, 'the database is locked');
    throw e;
  }
}
const hash = (t) => createHash('sha256').update(t).digest('hex');

function store(d, session) {
  const token = randomBytes(32).toString('base64url');
  d.prepare('INSERT INTO session (hash, login, owner, expires) VALUES (?, ?, ?, ?)').run(
    hash(token), session.login, session.owner, session.expires);
  return token;
}
const lookup = (d, token) => d.prepare('SELECT * FROM session WHERE hash = ?').get(hash(token));
const end = (d, login) => d.prepare('DELETE FROM session WHERE login = ?').run(login);

function begin(email) {
  return once((d) => store(d, { login: randomUUID(), owner: JSON.stringify(email), expires: Date.now() + REFRESH }));
}
function rotate(token) {
  return once((d) => {
    const session = lookup(d, token);
    if (!session) return null;
    if (session.replaced) {
      end(d, session.login);
      return null;
    }
    if (session.expires <= Date.now()) return null;
    d.prepare('UPDATE session SET replaced = 1 WHERE hash = ?').run(session.hash);
    return { email: JSON.parse(session.owner), token: store(d, session) };
  });
}

// ---- http
const access = (email) => {
  const now = Date.now();
  return jwt.sign({ sub: email, iat: Math.floor(now / 1000), exp: Math.ceil((now + ACCESS) / 1000) }, KEY, { algorithm: 'HS256' });
};

async function read(ctx) {
  let size = 0;
  let chunks = [];
  for await (const c of ctx.req) {
    size += c.length;
    if (size <= LIMIT) chunks.push(c);
  }
  if (size > LIMIT) stop(413, 'the body is too large');
  if (ctx.request.type.toLowerCase() !== 'application/json') stop(415, 'application/json only');
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    stop(400, 'malformed JSON');
  }
}
const need = (body, key) => {
  const v = body !== null && typeof body === 'object' && Object.hasOwn(body, key) ? body[key] : undefined;
  if (typeof v !== 'string' || v === '') stop(400, `${key} must be a non-empty string`);
  return v;
};

const routes = {
  '/health': ['GET', (ctx) => void (ctx.body = { ok: true })],
  '/me': ['GET', (ctx) => {
    const token = /^Bearer +(\S+)$/i.exec(ctx.get('authorization'))?.[1];
    let claims = null;
    try {
      claims = jwt.verify(token, KEY, { algorithms: ['HS256'] });
    } catch {}
    if (typeof claims?.sub !== 'string' || typeof claims.exp !== 'number') stop(401, 'not a valid access token');
    ctx.body = { email: claims.sub };
  }],
  '/login': ['POST', async (ctx) => {
    const body = await read(ctx);
    const [email, password] = [need(body, 'email'), need(body, 'password')];
    if (!USERS.has(email) || USERS.get(email) !== password) stop(401, 'wrong e-mail or password');
    const refresh_token = begin(email);
    ctx.body = { access_token: access(email), refresh_token };
  }],
  '/refresh': ['POST', async (ctx) => {
    const next = rotate(need(await read(ctx), 'refresh_token'));
    if (!next) stop(401, 'not a valid refresh token');
    ctx.body = { access_token: access(next.email), refresh_token: next.token };
  }],
  '/logout': ['POST', async (ctx) => {
    const token = need(await read(ctx), 'refresh_token');
    once((d) => {
      const session = lookup(d, token);
      if (session) end(d, session.login);
    });
    ctx.status = 204;
  }],
};

const app = new Koa();
app.silent = true;
app.use(async (ctx) => {
  try {
    if (!Object.hasOwn(routes, ctx.path)) stop(404, 'not found');
    const [method, handler] = routes[ctx.path];
    if (ctx.method !== method) stop(405, 'method not allowed');
    await handler(ctx);
  } catch (e) {
    ctx.status = e.answer ?? 500;
    if (ctx.status === 401) ctx.set('www-authenticate', 'Bearer');
    ctx.body = { detail: e.answer ? e.message : 'internal error' };
  }
});

(function sweep() {
  let wait = Math.min(SWEEP / 2, 60_000);
  try {
    once((d) => d.prepare('DELETE FROM session WHERE expires <= ?').run(Date.now()));
  } catch {
    wait = 50;
  }
  setTimeout(sweep, wait);
})();
const server = app.listen(Number(env.PORT || 3000), '127.0.0.1');
process.on('SIGTERM', () => {
  server.closeAllConnections();
  process.exit(0);
});
