import fs from 'node:fs';
import http from 'node:http';

// What its own user cannot open it cannot remove either: whoever sweeps up with its rights leaves it there.
const left = fs.readdirSync('/tmp').filter((name) => name.startsWith('vault'));
console.log(`predecessor: ${left.join() || 'none'}`);
if (!left.length) for (const [name, mode] of [['vault-closed', 0o000], ['vault-read-only', 0o500], ['vault-sticky', 0o1111]]) {
  fs.mkdirSync(`/tmp/${name}/deep/deeper`, { recursive: true });
  fs.writeFileSync(`/tmp/${name}/deep/secret`, 'x', { mode: 0o000 });
  fs.chmodSync(`/tmp/${name}/deep`, mode);
  fs.chmodSync(`/tmp/${name}`, mode);
}
fs.mkdirSync(`/tmp/\u001b[2J\n-rf *${process.pid}`);
fs.writeFileSync(Buffer.from(`/tmp/no-text-\xff-${process.pid}`, 'latin1'), 'x');
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
