import fs from 'node:fs';
import http from 'node:http';
import { randomUUID } from 'node:crypto';

const file = process.env.DB_PATH;
fs.writeFileSync(file, '');
fs.truncateSync(file, 60 * 1024 * 1024);
for (let n = 0; n < 2000; n += 1) fs.writeFileSync(`${file}-${n}`, '');
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
