// looplab-canary-refresh-rotation-solutions-51254fb1
// Another design: refresh tokens are JWTs too, and the store holds one row per login with the id of
// the only refresh token that is good now. Any other genuine token of that login is a stolen or stale one.
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import express from 'express';
import { SignJWT, jwtVerify } from 'jose';

const seconds = (ms) => Math.ceil(Number(ms) / 1000);
const config = {
  port: Number(process.env.PORT ?? 3000),
  users: JSON.parse(process.env.USERS ?? '{}'),
  secret: new TextEncoder().encode(process.env.JWT_SECRET ?? ''),
  accessSeconds: seconds(process.env.ACCESS_TTL_MS ?? 900_000),
  refreshSeconds: seconds(process.env.REFRESH_TTL_MS ?? 604_800_000),
  sweepMs: Number(process.env.SWEEP_MS ?? 60_000),
  maxBody: Number(process.env.MAX_BODY ?? 102_400),
};
if (config.secret.length < 32) {
  console.error('JWT_SECRET is missing or shorter than 32 bytes');
  process.exit(78);
}

const db = new DatabaseSync(process.env.DB_PATH ?? 'sessions.sqlite', { timeout: 0 });
db.exec(`PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS logins (
    id TEXT PRIMARY KEY, email TEXT NOT NULL, current_jti TEXT NOT NULL, expires INTEGER NOT NULL)`);
const logins = {
  open: db.prepare('INSERT INTO logins (id, email, current_jti, expires) VALUES (?, ?, ?, ?)'),
  // Compare and swap: of simultaneous requests, one finds the old jti.
  swap: db.prepare('UPDATE logins SET current_jti = ?, expires = ? WHERE id = ? AND current_jti = ?'),
  end: db.prepare('DELETE FROM logins WHERE id = ?'),
  sweep: db.prepare('DELETE FROM logins WHERE expires <= ?'),
};
const now = () => Math.floor(Date.now() / 1000);

setInterval(() => {
  try {
    logins.sweep.run(now());
  } catch (error) {
    console.warn('could not sweep this time:', error.message);
  }
}, config.sweepMs);

const sign = (typ, claims, lifetime) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ })
    .setIssuedAt()
    .setExpirationTime(now() + lifetime)
    .sign(config.secret);

// The claims of a genuine, unexpired token of this type, or null.
const verify = (typ, token) =>
  jwtVerify(token, config.secret, { algorithms: ['HS256'], typ }).then(
    ({ payload }) => payload,
    () => null,
  );

async function tokensFor(email, loginId) {
  const jti = randomUUID();
  const [access_token, refresh_token] = await Promise.all([
    sign('at+jwt', { sub: email }, config.accessSeconds),
    sign('rt+jwt', { sub: email, sid: loginId, jti }, config.refreshSeconds),
  ]);
  return { jti, answer: { access_token, refresh_token } };
}

const unauthorized = (res) => res.status(401).set('WWW-Authenticate', 'Bearer').json({ message: 'Not authorised' });

const requireStrings = (...names) => (req, res, next) => {
  if (!req.is('application/json')) return res.status(415).json({ message: 'Content-Type must be application/json' });
  const wrong = names.find((name) => typeof req.body?.[name] !== 'string' || req.body[name] === '');
  if (wrong) return res.status(400).json({ message: `${wrong} is required` });
  next();
};

const sameText = (a, b) => {
  const [x, y] = [a, b].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(x, y);
};

const app = express().disable('x-powered-by');
app.use(express.json({ limit: config.maxBody }));

app.get('/health', (req, res) => res.send('fine'));

app.post('/login', requireStrings('email', 'password'), async (req, res) => {
  const { email, password } = req.body;
  const known = Object.hasOwn(config.users, email) && sameText(config.users[email], password);
  if (!known) return unauthorized(res);
  const loginId = randomUUID();
  const { jti, answer } = await tokensFor(email, loginId);
  logins.open.run(loginId, email, jti, now() + config.refreshSeconds);
  res.json(answer);
});

app.get('/me', async (req, res) => {
  const [scheme, token] = (req.get('authorization') ?? '').split(' ');
  const claims = scheme.toLowerCase() === 'bearer' ? await verify('at+jwt', token ?? '') : null;
  if (!claims) return unauthorized(res);
  res.json({ email: claims.sub });
});

app.post('/refresh', requireStrings('refresh_token'), async (req, res) => {
  const claims = await verify('rt+jwt', req.body.refresh_token);
  if (!claims) return unauthorized(res);
  const { jti, answer } = await tokensFor(claims.sub, claims.sid);
  const { changes } = logins.swap.run(jti, now() + config.refreshSeconds, claims.sid, claims.jti);
  if (changes === 1) return res.json(answer);
  logins.end.run(claims.sid); // genuine but not current: somebody else has it
  unauthorized(res);
});

app.post('/logout', requireStrings('refresh_token'), async (req, res) => {
  const claims = await verify('rt+jwt', req.body.refresh_token);
  if (claims) logins.end.run(claims.sid);
  res.status(204).end();
});

app.use((req, res) => res.status(404).json({ message: 'No such path' }));
app.use((error, req, res, next) => {
  if (res.headersSent) return next(error);
  if (error.code === 'ERR_SQLITE_ERROR' && error.errstr === 'database is locked') {
    return res.status(503).set('Retry-After', '1').json({ message: 'Try again in a moment' });
  }
  const status = error.status >= 400 && error.status < 500 ? error.status : 500;
  if (status === 500) console.error(error);
  res.status(status).json({ message: status === 500 ? 'Internal error' : 'The request cannot be read' });
});

app.listen(config.port);
