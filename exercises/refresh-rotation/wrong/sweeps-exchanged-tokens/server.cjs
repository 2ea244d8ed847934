'use strict';
const http = require('node:http');
const crypto = require('node:crypto');
const { DatabaseSync } = require('node:sqlite');
const jwt = require('jsonwebtoken');

const E = process.env;
const int = (v, d) => (v && Number.isFinite(+v) ? +v : d);
const conf = {
  secret: Buffer.from(E.JWT_SECRET || '', 'utf8'),
  db: E.DB_PATH || 'sessions.sqlite',
  access: int(E.ACCESS_TTL_MS, 900000),
  refresh: int(E.REFRESH_TTL_MS, 604800000),
  sweep: int(E.SWEEP_MS, 60000),
  maxBody: int(E.MAX_BODY, 102400),
  port: int(E.PORT, 3000),
};
if (conf.secret.length < 32) {
  console.error('JWT_SECRET needs at least 32 bytes');
  process.exit(1);
}
const users = new Map(Object.entries(JSON.parse(E.USERS || '{}')));

class Fail extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const LIVE = 0;
const SPENT = 1;
const ENDED = 2;

class Store {
  #db = null;

  #open() {
    if (this.#db) return this.#db;
    const db = new DatabaseSync(conf.db);
    try {
      db.exec('PRAGMA busy_timeout = 0');
      db.exec(`CREATE TABLE IF NOT EXISTS tokens (
        digest TEXT PRIMARY KEY,
        family TEXT NOT NULL,
        email TEXT NOT NULL,
        expires INTEGER NOT NULL,
        state INTEGER NOT NULL
      );
      CREATE INDEX IF NOT EXISTS tokens_family ON tokens (family);`);
    } catch (e) {
      db.close();
      throw e;
    }
    this.#db = db;
    return db;
  }

  #tx(fn) {
    try {
      const db = this.#open();
      db.exec('BEGIN IMMEDIATE');
      try {
        const out = fn(db);
        db.exec('COMMIT');
        return out;
      } catch (e) {
        if (db.isTransaction) db.exec('ROLLBACK');
        throw e;
      }
    } catch (e) {
      if (e.code === 'ERR_SQLITE_ERROR') throw new Fail(503, 'database is locked, please retry');
      throw e;
    }
  }

  #digest(token) {
    return crypto.createHash('sha256').update(token).digest('hex');
  }

  #add(db, family, email) {
    const token = crypto.randomBytes(48).toString('base64url');
    db.prepare('INSERT INTO tokens VALUES (?, ?, ?, ?, ?)').run(
      this.#digest(token), family, JSON.stringify(email), Date.now() + conf.refresh, LIVE);
    return token;
  }

  #get(db, token) {
    return db.prepare('SELECT * FROM tokens WHERE digest = ?').get(this.#digest(token));
  }

  #endFamily(db, family) {
    db.prepare('UPDATE tokens SET state = ? WHERE family = ?').run(ENDED, family);
  }

  login(email) {
    return this.#tx((db) => this.#add(db, crypto.randomUUID(), email));
  }

  rotate(token) {
    return this.#tx((db) => {
      const row = this.#get(db, token);
      if (!row) return null;
      if (row.state === SPENT) this.#endFamily(db, row.family); // stolen
      if (row.state !== LIVE || row.expires <= Date.now()) return null;
      db.prepare('UPDATE tokens SET state = ? WHERE digest = ?').run(SPENT, row.digest);
      const email = JSON.parse(row.email);
      return { email, token: this.#add(db, row.family, email) };
    });
  }

  logout(token) {
    this.#tx((db) => {
      const row = this.#get(db, token);
      if (row) this.#endFamily(db, row.family);
    });
  }

  sweep() {
    // only live tokens can still be used
    this.#tx((db) => db.prepare('DELETE FROM tokens WHERE state <> ? OR expires <= ?').run(LIVE, Date.now()));
  }

  close() {
    this.#db?.close();
  }
}
const store = new Store();

const access = (email) => {
  const now = Date.now();
  return jwt.sign({ sub: email, iat: Math.floor(now / 1000), exp: Math.ceil((now + conf.access) / 1000) }, conf.secret, {
    algorithm: 'HS256',
  });
};

const need = (body, ...names) =>
  names.map((n) => {
    const v = body && typeof body === 'object' && Object.hasOwn(body, n) ? body[n] : null;
    if (typeof v !== 'string' || !v) throw new Fail(400, `${n} is required`);
    return v;
  });

const table = {
  'GET /health': () => ({ status: 200, body: { ok: true } }),
  'GET /me': (req) => {
    const m = /^bearer +(\S+) *$/i.exec(req.headers.authorization || '');
    if (!m) throw new Fail(401, 'access token required');
    let claims;
    try {
      claims = jwt.verify(m[1], conf.secret, { algorithms: ['HS256'] });
    } catch {
      throw new Fail(401, 'invalid access token');
    }
    if (typeof claims !== 'object' || !claims.sub || !claims.exp) throw new Fail(401, 'invalid access token');
    return { status: 200, body: { email: claims.sub } };
  },
  'POST /login': async (req) => {
    const [email, password] = need(await json(req), 'email', 'password');
    if (!users.has(email) || users.get(email) !== password) throw new Fail(401, 'wrong e-mail or password');
    const refresh_token = store.login(email);
    return { status: 200, body: { access_token: access(email), refresh_token } };
  },
  'POST /refresh': async (req) => {
    const [token] = need(await json(req), 'refresh_token');
    const next = store.rotate(token);
    if (!next) throw new Fail(401, 'invalid refresh token');
    return { status: 200, body: { access_token: access(next.email), refresh_token: next.token } };
  },
  'POST /logout': async (req) => {
    const [token] = need(await json(req), 'refresh_token');
    store.logout(token);
    return { status: 204 };
  },
};
const paths = new Set(Object.keys(table).map((k) => k.split(' ')[1]));

async function json(req) {
  const parts = [];
  let n = 0;
  for await (const c of req) {
    n += c.length;
    if (n <= conf.maxBody) parts.push(c);
  }
  if (n > conf.maxBody) throw new Fail(413, 'body too large');
  const type = (req.headers['content-type'] || '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') throw new Fail(415, 'expected application/json');
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts)));
  } catch {
    throw new Fail(400, 'malformed JSON');
  }
}

const server = http.createServer(async (req, res) => {
  const reply = (status, body, headers) => {
    if (res.headersSent || res.destroyed) return;
    if (!body) return res.writeHead(status, headers).end();
    res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(JSON.stringify(body));
  };
  try {
    const path = req.url.split('?')[0];
    const handler = table[`${req.method} ${path}`];
    if (!handler) throw new Fail(paths.has(path) ? 405 : 404, 'not found');
    const { status, body } = await handler(req);
    reply(status, body);
  } catch (e) {
    const status = e instanceof Fail ? e.status : 500;
    reply(status, { error: { message: status === 500 ? 'internal error' : e.message } },
      status === 401 ? { 'www-authenticate': 'Bearer realm="api"' } : {});
  }
});

const pause = Math.min(conf.sweep * 0.8, 2 ** 31 - 1);
function tick() {
  let again = pause;
  try {
    store.sweep();
  } catch {
    again = 50;
  }
  setTimeout(tick, again);
}
setTimeout(tick, pause);
server.listen(conf.port, '0.0.0.0');
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  store.close();
  process.exit(0);
});
