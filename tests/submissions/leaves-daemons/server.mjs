import { spawn } from 'node:child_process';
import http from 'node:http';

spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); process.on("SIGTERM", () => {}); process.on("SIGHUP", () => {})'], {
  detached: true,
  stdio: 'ignore',
}).unref();
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
