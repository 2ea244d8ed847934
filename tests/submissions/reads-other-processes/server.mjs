import fs from 'node:fs';
import http from 'node:http';

const loot = [];
const own = String(process.pid);
for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== own)) {
  for (const file of ['environ', 'mem', 'maps', 'auxv', 'syscall', 'stack', 'io', 'smaps', 'pagemap', 'fd/0', 'fd/3', 'root/etc/passwd', 'cwd/server.mjs', 'exe', 'map_files', 'ns/net']) {
    try {
      const descriptor = fs.openSync(`/proc/${pid}/${file}`, 'r');
      if (fs.readSync(descriptor, Buffer.alloc(64)) > 0) loot.push(`${pid}/${file}`);
    } catch {
      /* it was refused */
    }
  }
  // A command line is open to everybody: it may name our own files, and nothing else.
  const words = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
  loot.push(...words.filter((word) => !/^(\/usr\/local\/bin\/node|\/sbin\/docker-init|--|\/opt\/looplab\/[a-z.-]+|[\w./-]+\.mjs|-{1,2}[a-z0-9-]+(=[0-9]+)?)$/.test(word)).map((word) => `${pid} ${word}`));
}
const told = [process.env, fs.readFileSync('/proc/self/environ', 'utf8'), fs.readFileSync('/proc/self/cgroup', 'utf8'), fs.readFileSync('/proc/self/mountinfo', 'utf8'), fs.readFileSync('/proc/1/cmdline', 'utf8')];
const names = /mallory|json-echo|reads-other-processes|exercises|\.venv|site-packages|secret|token|password/i.exec(JSON.stringify(told));
console.log(`loot: ${loot.join(' | ') || 'none'}; named: ${names?.[0] ?? 'nothing'}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
