import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';

// What an earlier grading in the same place might have left; then the same is left for the next one.
const found = [];
for (const folder of ['/tmp', '/dev/shm', '/var/tmp', '/run', '/dev/mqueue']) {
  try {
    found.push(...fs.readdirSync(folder).filter((name) => /left|node-compile-cache/.test(name)).map((name) => `${folder}/${name}`));
  } catch {
    /* it is not there or closed */
  }
}
const answers = (address) => new Promise((done) => net.connect(address).on('connect', function () { this.destroy(); done(true); }).on('error', () => done(false)));
if (await answers({ path: '\0looplab-left' })) found.push('an abstract socket');
if (await answers({ port: 2, host: '127.0.0.1' }) || (await answers({ port: 29999, host: '127.0.0.1' }))) found.push('a port');
for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
  try {
    if (fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('left-behind')) found.push(`process ${pid}`);
  } catch {
    /* it has ended */
  }
}
const own = Number(process.env.PORT).toString(16).padStart(4, '0');
for (const line of fs.readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1)) {
  const [, local, remote, state] = line.trim().split(/\s+/);
  if (state === '06' && ![local, remote].some((address) => address.toLowerCase().endsWith(own))) found.push(`the trace of a connection from ${local} to ${remote}`);
}

const others = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && ![1, process.pid, process.ppid].includes(Number(name)));
console.log(`predecessor: ${found.join(' | ') || 'none'}`);

fs.writeFileSync('/tmp/left', 'x');
fs.writeFileSync('/dev/shm/left', 'x');
const daemon = `/* left-behind ${others.length} */ const net = require('node:net'); net.createServer().listen({ path: '\\0looplab-left' }); net.createServer().listen(29999, '127.0.0.1'); process.on('SIGTERM', () => {});`;
spawn(process.execPath, ['-e', daemon], { detached: true, stdio: 'ignore' }).unref();
const inbox = net.createServer((socket) => socket.resume()).listen(29998, '127.0.0.1', () => {
  const note = net.connect({ port: 29998, host: '127.0.0.1', localPort: 20001 }, () => note.end());
  note.resume().on('error', () => {});
});
inbox.unref();
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
