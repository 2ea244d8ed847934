import fs from 'node:fs';
import http from 'node:http';
import { randomUUID } from 'node:crypto';

const file = process.env.DB_PATH;
fs.writeFileSync(file, 'SQLite format 3\0', { mode: 0o000 });
http
  .createServer(async (request, response) => {
    const body = JSON.parse(Buffer.concat(await Array.fromAsync(request)).toString() || '{}');
    response.setHeader('content-type', 'application/json');
    const email = Buffer.from(request.headers.authorization?.split(' ')[1] ?? '', 'base64url').toString();
    if (request.url === '/me') return response.end(JSON.stringify({ email }));
    const tokens = { access_token: Buffer.from(body.email ?? '').toString('base64url') || 'x', refresh_token: randomUUID() };
    response.end(JSON.stringify(tokens));
  })
  .listen(process.env.PORT);
