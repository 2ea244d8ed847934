import fs from 'node:fs';
import http from 'node:http';

const answer = (request, response) => response.end('hello');
fs.rmSync('/tmp/my.sock', { force: true });
const places = [{ port: process.env.PORT, host: '0.0.0.0' }, { port: process.env.PORT, host: '::', ipv6Only: true }, { port: 0 }, { port: 8080 }, { port: 40404, host: '::1' }, { path: '/tmp/my.sock' }, { path: '\0mine' }, { path: '/run/looplab/server.sock' }, { path: '/srv/app/server.sock' }];
let open = 0;
let refused = 0;
const say = () => open + refused === places.length && console.log(`open: ${open}, refused: ${refused}, socket: ${fs.existsSync('/tmp/my.sock')}`);
for (const place of places) {
  const server = http.createServer(answer).on('error', (error) => say(refused++, console.log(place, error.code)));
  server.listen(place, () => say(open++));
}
