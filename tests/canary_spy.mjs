// Prints all that a server can find out about where it runs. It looks for canaries without being one.
import { readdirSync, readFileSync, lstatSync } from 'node:fs';
import { createServer } from 'node:http';
import os from 'node:os';

const say = (what, value) => console.log(`SPY ${what} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
const attempt = (look) => { try { return look(); } catch (error) { return error.code; } };

const CANARY = ['looplab', 'canary', ''].join('-');
let files = 0;
let canaries = 0;

function search(folder, depth) {
  for (const name of attempt(() => readdirSync(folder)) ?? []) {
    const path = `${folder}/${name}`;
    const info = attempt(() => lstatSync(path));
    if (info?.isDirectory?.() && depth > 0 && name !== 'node_modules') search(path, depth - 1);
    if (!info?.isFile?.() || info.size > 4_000_000) continue;
    const data = attempt(() => readFileSync(path));
    if (Buffer.isBuffer(data)) {
      files += 1;
      if (data.includes(CANARY)) canaries += 1;
    }
  }
}

say('mountinfo', attempt(() => readFileSync('/proc/self/mountinfo', 'utf8')));
say('env', process.env);
say('argv', [process.argv, process.execArgv, process.cwd(), process.title]);
say('who', attempt(() => [os.userInfo(), os.hostname(), process.getuid(), process.getgroups()]));
for (const id of attempt(() => readdirSync('/proc').filter((name) => /^\d+$/.test(name)))) {
  const of = (what) => attempt(() => readFileSync(`/proc/${id}/${what}`, 'utf8').replaceAll('\0', ' '));
  say(`process ${id}`, [of('cmdline'), of('environ'), of('cgroup'), attempt(() => readdirSync(`/proc/${id}/fd`))]);
}
for (const place of ['/', '/srv', '/srv/app', '/run', '/run/looplab', '/opt', '/opt/looplab', '/tmp', '/home', '/root', '/mnt']) {
  say(`folder ${place}`, attempt(() => readdirSync(place)));
}
for (const place of ['/srv', '/run', '/opt', '/tmp', '/etc', '/home', '/root', '/mnt', '/media', '/var', '/dev/shm']) search(place, 4);
say('canaries', `${canaries} in ${files} files`);
say('end', '');
createServer((request, response) => response.end()).listen(process.env.PORT);
