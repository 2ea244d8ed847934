// looplab-canary-refresh-rotation-solutions-51254fb1
// Two worker processes behind one port: whatever they must agree on is in SQLite. JWTs by hand with
// node:crypto; types are stripped by Node.
import cluster from 'node:cluster';
import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const env = process.env;
const SECRET = Buffer.from(env.JWT_SECRET ?? '', 'utf8');
const MAX_BODY = Number(env.MAX_BODY ?? 102400);

type Tokens = { access_token: string; refresh_token: string };
type Row = { family: string; email: string; expires_at: number; replaced_by: string | null };

class AccessTokens {
  secret: Buffer;
  lifeMs: number;
  constructor(secret: Buffer, lifeMs: number) {
    this.secret = secret;
    this.lifeMs = lifeMs;
  }

  mac(text: string): Buffer {
    return createHmac('sha256', this.secret).update(text).digest();
  }

  issue(email: string): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const exp = Math.round((Date.now() + this.lifeMs) / 1000);
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: email, exp, jti: randomUUID() })}`;
    return `${text}.${this.mac(text).toString('base64url')}`;
  }

  emailIn(token: string): string | undefined {
    const [header, payload, signature, ...rest] = token.split('.');
    if (!header || !payload || !signature || rest.length > 0) return undefined;
    const given = Buffer.from(signature, 'base64url');
    const expected = this.mac(`${header}.${payload}`);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    // From here on the text is ours, so it parses.
    const parse = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString());
    if (parse(header).alg !== 'HS256') return undefined;
    const { sub, exp } = parse(payload);
    return Date.now() < exp * 1000 ? sub : undefined;
  }
}

class RefreshTokens {
  db: DatabaseSync;
  lifeMs: number;
  constructor(path: string, lifeMs: number) {
    // The workers' own transactions take microseconds; 300 ms is long for them and short for a caller.
    this.db = new DatabaseSync(path, { timeout: 300 });
    this.lifeMs = lifeMs;
  }

  createTables(): void {
    this.db.exec(`PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS tokens (
        digest BLOB PRIMARY KEY, family TEXT NOT NULL, email TEXT NOT NULL,
        expires_at REAL NOT NULL, replaced_by BLOB) WITHOUT ROWID`);
  }

  static digest(token: string): Buffer {
    return createHash('sha512').update(token).digest();
  }

  issue(email: string, family: string): string {
    const token = randomBytes(40).toString('hex');
    this.db
      .prepare('INSERT INTO tokens VALUES (?, ?, ?, ?, NULL)')
      .run(RefreshTokens.digest(token), family, email, Date.now() + this.lifeMs);
    return token;
  }

  // The write lock is taken before the first read, so the other worker cannot slip in between.
  exchange(token: string): { email: string; refresh_token: string } | undefined {
    const digest = RefreshTokens.digest(token);
    this.db.exec('BEGIN IMMEDIATE');
    try {
      const row = this.db.prepare('SELECT * FROM tokens WHERE digest = ?').get(digest) as Row | undefined;
      let result;
      if (row?.replaced_by) {
        this.db.prepare('DELETE FROM tokens WHERE family = ?').run(row.family);
      } else if (row && Date.now() < row.expires_at) {
        const refresh_token = this.issue(row.email, row.family);
        this.db
          .prepare('UPDATE tokens SET replaced_by = ? WHERE digest = ?')
          .run(RefreshTokens.digest(refresh_token), digest);
        result = { email: row.email, refresh_token };
      }
      this.db.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.db.isTransaction) this.db.exec('ROLLBACK');
      throw error;
    }
  }

  endLoginOf(token: string): void {
    this.db
      .prepare('DELETE FROM tokens WHERE family IN (SELECT family FROM tokens WHERE digest = ?)')
      .run(RefreshTokens.digest(token));
  }

  sweep(): void {
    this.db.prepare('DELETE FROM tokens WHERE expires_at <= ?').run(Date.now());
  }
}

type Answer = { status: number; body?: object };
const error = (status: number, detail: string): Answer => ({ status, body: { detail } });

class Api {
  access: AccessTokens;
  refresh: RefreshTokens;
  users: Map<string, string>;
  constructor(access: AccessTokens, refresh: RefreshTokens, users: Map<string, string>) {
    this.access = access;
    this.refresh = refresh;
    this.users = users;
  }

  answer(method: string, path: string, bearer: string, readBody: () => Promise<Buffer>, type: string) {
    switch (path) {
      case '/health':
        return method === 'GET' ? { status: 200, body: {} } : error(405, 'Only GET');
      case '/me':
        return method === 'GET' ? this.me(bearer) : error(405, 'Only GET');
      case '/login':
      case '/refresh':
      case '/logout':
        return method === 'POST' ? this.post(path, readBody, type) : error(405, 'Only POST');
      default:
        return error(404, 'Not found');
    }
  }

  me(bearer: string): Answer {
    const email = this.access.emailIn(bearer);
    return email === undefined ? error(401, 'Access token needed') : { status: 200, body: { email } };
  }

  async post(path: string, readBody: () => Promise<Buffer>, type: string): Promise<Answer> {
    if (!/^application\/json\s*(;|$)/i.test(type)) return error(415, 'Only JSON');
    const bytes = await readBody();
    if (bytes.length > MAX_BODY) return error(413, 'Too large');
    let fields: Record<string, unknown> | null;
    try {
      fields = JSON.parse(bytes.toString());
    } catch {
      return error(400, 'Not JSON');
    }
    const names = path === '/login' ? ['email', 'password'] : ['refresh_token'];
    const [first, second] = names.map((name) => fields?.[name]) as string[];
    if ([first, second].slice(0, names.length).some((value) => typeof value !== 'string' || !value)) {
      return error(400, `Needed: ${names.join(', ')}`);
    }
    if (path === '/login') return this.login(first, second);
    if (path === '/refresh') return this.exchange(first);
    this.refresh.endLoginOf(first);
    return { status: 204 };
  }

  login(email: string, password: string): Answer {
    const known = this.users.get(email);
    if (known === undefined || !timingSafeEqual(RefreshTokens.digest(known), RefreshTokens.digest(password))) {
      return error(401, 'No such user or password');
    }
    return this.tokens(email, this.refresh.issue(email, randomUUID()));
  }

  exchange(token: string): Answer {
    const exchanged = this.refresh.exchange(token);
    return exchanged ? this.tokens(exchanged.email, exchanged.refresh_token) : error(401, 'Refresh token refused');
  }

  tokens(email: string, refresh_token: string): Answer {
    const body: Tokens = { access_token: this.access.issue(email), refresh_token };
    return { status: 200, body };
  }
}

// Reads on past the limit so that the client can finish sending, but keeps nothing of it.
function readBody(req: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY + chunk.length) chunks.push(chunk);
      if (size > MAX_BODY) resolve(Buffer.concat(chunks));
    });
    req.on('end', () => resolve(Buffer.concat(chunks)));
    req.on('error', reject);
  });
}

function isBusy(reason: unknown): boolean {
  return (reason as { errcode?: number }).errcode === 5;
}

function serve(): void {
  const refresh = new RefreshTokens(env.DB_PATH ?? 'sessions.sqlite', Number(env.REFRESH_TTL_MS ?? 604800000));
  const access = new AccessTokens(SECRET, Number(env.ACCESS_TTL_MS ?? 900000));
  const api = new Api(access, refresh, new Map(Object.entries(JSON.parse(env.USERS ?? '{}'))));

  const respond = async (req: IncomingMessage, res: ServerResponse) => {
    const path = (req.url ?? '/').replace(/\?.*/s, '');
    const bearer = /^bearer (.+)$/i.exec(req.headers.authorization ?? '')?.[1] ?? '';
    let answer: Answer;
    try {
      answer = await api.answer(req.method ?? '', path, bearer, () => readBody(req), req.headers['content-type'] ?? '');
    } catch (reason) {
      answer = isBusy(reason) ? error(503, 'Busy') : error(500, 'Internal error');
      if (answer.status === 500) console.error(reason);
    }
    res.statusCode = answer.status;
    if (answer.status === 401) res.setHeader('WWW-Authenticate', 'Bearer realm="sessions"');
    if (answer.status === 413) res.setHeader('Connection', 'close');
    if (!answer.body) return res.end();
    res.setHeader('Content-Type', 'application/json; charset=utf-8');
    res.end(JSON.stringify(answer.body));
  };
  createServer(respond).listen(Number(env.PORT ?? 3000));
}

function supervise(): void {
  if (SECRET.length < 32) {
    console.error('refusing to start: JWT_SECRET needs 32 bytes');
    process.exitCode = 1;
    return;
  }
  const refresh = new RefreshTokens(env.DB_PATH ?? 'sessions.sqlite', 0);
  refresh.createTables();
  const sweep = () => {
    try {
      refresh.sweep();
    } catch (reason) {
      if (!isBusy(reason)) console.error(reason);
    }
  };
  setInterval(sweep, Number(env.SWEEP_MS ?? 60000));
  cluster.fork();
  cluster.fork();
  cluster.on('exit', (worker) => {
    if (!worker.exitedAfterDisconnect) cluster.fork();
  });
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
    process.exit(0);
  });
}

if (cluster.isPrimary) supervise();
else serve();
