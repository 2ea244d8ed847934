// looplab-canary-refresh-rotation-solutions-51254fb1
/**
 * Fastify + jose + node:sqlite in WAL mode. One row per login; the tokens of a login are a JSON list in that row.
 * A refresh token reads  <login id>:<ascii85 secret>  ; only a keyed hash of the secret is stored.
 */
import Fastify from 'fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SignJWT, jwtVerify } from 'jose';
import { DatabaseSync } from 'node:sqlite';
import * as crypto from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

type Mark = { h: string; exp: number; spent?: 1 };
type Pair = { token_type: string; expires_in: number; access_token: string; refresh_token: string; email: string };

class Settings {
  readonly key: Uint8Array;
  readonly users: Record<string, unknown>;
  readonly dbPath: string;
  readonly accessTtl: number;
  readonly refreshTtl: number;
  readonly sweep: number;
  readonly maxBody: number;
  readonly port: number;

  constructor(env: NodeJS.ProcessEnv) {
    this.key = new TextEncoder().encode(env.JWT_SECRET ?? '');
    if (this.key.byteLength < 32) throw new Error('JWT_SECRET is missing or too short');
    const users: unknown = JSON.parse(env.USERS || '{}');
    if (users === null || typeof users !== 'object' || Array.isArray(users)) throw new Error('USERS is not an object');
    this.users = Object.assign(Object.create(null), users);
    this.dbPath = env.DB_PATH || 'sessions.sqlite';
    this.accessTtl = Settings.int(env.ACCESS_TTL_MS, 900_000);
    this.refreshTtl = Settings.int(env.REFRESH_TTL_MS, 604_800_000);
    this.sweep = Settings.int(env.SWEEP_MS, 60_000);
    this.maxBody = Settings.int(env.MAX_BODY, 102_400);
    this.port = Settings.int(env.PORT, 8080);
  }

  private static int(raw: string | undefined, otherwise: number): number {
    return raw && /^\d+$/.test(raw) ? Number.parseInt(raw, 10) : otherwise;
  }
}

class Problem extends Error {
  readonly statusCode: number;
  constructor(statusCode: number, detail: string) {
    super(detail);
    this.statusCode = statusCode;
  }
}

class StoreBusy extends Problem {
  constructor() {
    super(503, 'The database is in use by somebody else. Nothing was changed.');
  }
}

// ------------------------------------------------------------------ refresh tokens: how they look

function ascii85(bytes: Buffer): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 4) {
    let n = bytes.readUInt32BE(i);
    let word = '';
    for (let k = 0; k < 5; k++) {
      word = String.fromCharCode(33 + (n % 85)) + word;
      n = Math.floor(n / 85);
    }
    out += word;
  }
  return out;
}

const digest = (id: string, secret: string): string =>
  crypto.createHmac('sha512-256', id).update(secret, 'utf8').digest('hex');

function mint(id: string): { token: string; h: string } {
  const secret = ascii85(crypto.randomBytes(32));
  return { token: `${id}:${secret}`, h: digest(id, secret) };
}

function dissect(token: string): { id: string; h: string } | undefined {
  const m = /^([0-9a-f]{24}):(.{40})$/s.exec(token);
  return m ? { id: m[1]!, h: digest(m[1]!, m[2]!) } : undefined;
}

// ------------------------------------------------------------------ the store

class Logins {
  private db: DatabaseSync | undefined;
  private readonly path: string;
  private readonly ttl: number;

  constructor(path: string, ttl: number) {
    this.path = path;
    this.ttl = ttl;
  }

  private handle(): DatabaseSync {
    if (this.db) return this.db;
    const db = new DatabaseSync(this.path, { timeout: 0 });
    try {
      db.exec('PRAGMA journal_mode = WAL');
      db.exec('PRAGMA synchronous = FULL');
      db.exec(`CREATE TABLE IF NOT EXISTS logins (
        id TEXT PRIMARY KEY, who TEXT NOT NULL, ended INTEGER NOT NULL, first_exp INTEGER NOT NULL, marks TEXT NOT NULL)`);
      db.exec('CREATE INDEX IF NOT EXISTS logins_first_exp ON logins (first_exp)');
    } catch (e) {
      db.close();
      throw e;
    }
    return (this.db = db);
  }

  /** Tries again and again for `patience` ms without blocking anything else. */
  private async within<T>(patience: number, work: (db: DatabaseSync) => T, begin = 'BEGIN IMMEDIATE'): Promise<T> {
    const deadline = performance.now() + patience;
    for (;;) {
      try {
        const db = this.handle();
        db.exec(begin);
        try {
          const result = work(db);
          db.exec('COMMIT');
          return result;
        } catch (e) {
          if (db.isTransaction) db.exec('ROLLBACK');
          throw e;
        }
      } catch (e: any) {
        if (e?.code !== 'ERR_SQLITE_ERROR') throw e;
        if (performance.now() >= deadline) throw new StoreBusy();
      }
      await sleep(25);
    }
  }

  private save(db: DatabaseSync, id: string, ended: number, marks: Mark[]): void {
    if (marks.length === 0) db.prepare('DELETE FROM logins WHERE id = ?').run(id);
    else
      db.prepare('UPDATE logins SET ended = ?, first_exp = ?, marks = ? WHERE id = ?').run(
        ended, Math.min(...marks.map((m) => m.exp)), JSON.stringify(marks), id);
  }

  private load(db: DatabaseSync, id: string) {
    const row = db.prepare('SELECT who, ended, marks FROM logins WHERE id = ?').get(id);
    return row && { who: JSON.parse(row.who as string) as string, ended: row.ended as number, marks: JSON.parse(row.marks as string) as Mark[] };
  }

  start(who: string): Promise<{ id: string; token: string }> {
    return this.within(500, (db) => {
      const id = crypto.randomBytes(12).toString('hex');
      const { token, h } = mint(id);
      const exp = Date.now() + this.ttl;
      db.prepare('INSERT INTO logins (id, who, ended, first_exp, marks) VALUES (?, ?, 0, ?, ?)').run(
        id, JSON.stringify(who), exp, JSON.stringify([{ h, exp }]));
      return { id, token };
    });
  }

  exchange(old: string): Promise<{ id: string; who: string; token: string } | undefined> {
    const key = dissect(old);
    if (!key) return Promise.resolve(undefined);
    return this.within(500, (db) => {
      const login = this.load(db, key.id);
      const mark = login?.marks.find((m) => m.h === key.h);
      if (!login || !mark || login.ended) return undefined;
      if (mark.spent) {
        this.save(db, key.id, 1, login.marks);
        return undefined;
      }
      const now = Date.now();
      if (now >= mark.exp) return undefined;
      mark.spent = 1;
      const { token, h } = mint(key.id);
      login.marks.push({ h, exp: now + this.ttl });
      this.save(db, key.id, 0, login.marks);
      return { id: key.id, who: login.who, token };
    });
  }

  async end(token: string): Promise<void> {
    const key = dissect(token);
    if (!key) return;
    await this.within(500, (db) => {
      const login = this.load(db, key.id);
      if (login?.marks.some((m) => m.h === key.h)) this.save(db, key.id, 1, login.marks);
    });
  }

  hasEnded(id: string): Promise<boolean> {
    return this.within(300, (db) => this.load(db, id)?.ended === 1, 'BEGIN DEFERRED');
  }

  prune(): Promise<void> {
    return this.within(0, (db) => {
      const now = Date.now();
      for (const { id } of db.prepare('SELECT id FROM logins WHERE first_exp <= ?').all(now) as { id: string }[]) {
        const login = this.load(db, id)!;
        this.save(db, id, login.ended, login.marks.filter((m) => m.exp > now));
      }
    });
  }

  close(): void {
    this.db?.close();
  }
}

// ------------------------------------------------------------------ the desk

class Desk {
  private readonly cfg: Settings;
  private readonly logins: Logins;
  private readonly kind = 'token-desk/access';

  constructor(cfg: Settings, logins: Logins) {
    this.cfg = cfg;
    this.logins = logins;
  }

  private async pair(id: string, who: string, refresh_token: string): Promise<Pair> {
    const exp = Math.floor((Date.now() + this.cfg.accessTtl) / 1000);
    const access_token = await new SignJWT({ sid: id })
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
      .setSubject(who)
      .setAudience(this.kind)
      .setIssuedAt()
      .setJti(crypto.randomUUID())
      .setExpirationTime(exp)
      .sign(this.cfg.key);
    return { token_type: 'Bearer', expires_in: Math.floor(this.cfg.accessTtl / 1000), access_token, refresh_token, email: who };
  }

  async login(body: unknown): Promise<Pair> {
    const [email, password] = fields(body, 'email', 'password');
    if (this.cfg.users[email!] !== password) throw new Problem(401, 'Those credentials are not right.');
    const { id, token } = await this.logins.start(email!);
    return this.pair(id, email!, token);
  }

  async refresh(body: unknown): Promise<Pair> {
    const [old] = fields(body, 'refresh_token');
    const next = await this.logins.exchange(old!);
    if (!next) throw new Problem(401, 'This refresh token cannot be used.');
    return this.pair(next.id, next.who, next.token);
  }

  async logout(body: unknown): Promise<void> {
    const [token] = fields(body, 'refresh_token');
    await this.logins.end(token!);
  }

  async me(authorization: string | undefined): Promise<{ email: string; login: string }> {
    const token = /^Bearer[ \t]+(\S+)[ \t]*$/i.exec(authorization ?? '')?.[1];
    if (!token) throw new Problem(401, 'No access token.');
    // jose decodes the signature leniently; a spelling that is not canonical is a changed token.
    const signature = token.slice(token.lastIndexOf('.') + 1);
    if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) throw new Problem(401, 'Bad access token.');
    let payload;
    try {
      ({ payload } = await jwtVerify(token, this.cfg.key, {
        algorithms: ['HS256'], audience: this.kind, typ: 'at+jwt', requiredClaims: ['sub', 'exp', 'sid'],
      }));
    } catch {
      throw new Problem(401, 'Bad access token.');
    }
    const sid = String(payload.sid);
    if (await this.logins.hasEnded(sid)) throw new Problem(401, 'This login has ended.');
    return { email: payload.sub!, login: sid };
  }
}

function* pick(body: unknown, names: string[]): Generator<string> {
  for (const name of names) {
    const value = typeof body === 'object' && body !== null && Object.hasOwn(body, name) ? (body as any)[name] : undefined;
    if (typeof value !== 'string' || value.length === 0) throw new Problem(400, `"${name}" has to be a string that is not empty.`);
    yield value;
  }
}
const fields = (body: unknown, ...names: string[]): string[] => [...pick(body, names)];

async function main(): Promise<void> {
  const cfg = new Settings(process.env);
  const logins = new Logins(cfg.dbPath, cfg.refreshTtl);
  const desk = new Desk(cfg, logins);

  const problem = (req: FastifyRequest, reply: FastifyReply, status: number, title: string) => {
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="token desk", error="invalid_token"');
    if (status === 503) reply.header('retry-after', '2');
    return reply.code(status).send({ title, status });
  };

  const app = Fastify({
    logger: false,
    forceCloseConnections: true,
    bodyLimit: Number.MAX_SAFE_INTEGER, // counted below
    frameworkErrors: (_err, req, reply) => void problem(req as FastifyRequest, reply as FastifyReply, 404, 'No such page.'),
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', async (req: FastifyRequest, raw: AsyncIterable<Buffer>) => {
    const pieces: Buffer[] = [];
    let seen = 0;
    for await (const piece of raw) {
      seen += piece.length;
      if (seen <= cfg.maxBody) pieces.push(piece);
      else pieces.length = 0; // keep reading, keep nothing
    }
    if (req.is404) return undefined;
    const type = (req.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
    if (type !== 'application/json') throw new Problem(415, 'Send application/json.');
    if (seen > cfg.maxBody) throw new Problem(413, 'That is too much.');
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces)));
    } catch {
      throw new Problem(400, 'That is not JSON.');
    }
  });

  app.addHook('onSend', async (req, reply) => {
    if (req.raw.complete) reply.header('connection', 'close');
  });
  app.setErrorHandler((err: any, req, reply) => {
    const status = err.statusCode >= 400 && err.statusCode < 600 ? err.statusCode : 500;
    return problem(req, reply, status, err instanceof Problem ? err.message : status < 500 ? 'Bad request.' : 'Something went wrong.');
  });
  app.setNotFoundHandler((req, reply) => problem(req, reply, 404, 'No such page.'));

  app.get('/health', async () => 'fine');
  app.get('/me', (req) => desk.me(req.headers.authorization));
  app.post('/login', (req) => desk.login(req.body));
  app.post('/refresh', (req) => desk.refresh(req.body));
  app.post('/logout', async (req, reply) => {
    await desk.logout(req.body);
    return reply.code(204).send();
  });
  app.server.on('checkExpectation', (req, res) => app.server.emit('request', req, res));

  let stopping = false;
  const sweeper = (async () => {
    const pause = Math.max(20, Math.min(cfg.sweep / 3, 20_000));
    while (!stopping) {
      let done = true;
      await logins.prune().catch(() => (done = false));
      await sleep(done ? pause : 40, undefined, { ref: false });
    }
  })();
  void sweeper;

  process.once('SIGTERM', () => {
    stopping = true;
    setTimeout(() => process.exit(0), 2000).unref();
    void app.close().then(() => {
      logins.close();
      process.exit(0);
    });
  });
  await app.listen({ port: cfg.port, host: '::1' });
}

main().catch((e: Error) => {
  console.error('cannot start:', e.message);
  process.exitCode = 2;
  setImmediate(() => process.exit(2));
});
