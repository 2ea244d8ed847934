import http from 'node:http';

http.createServer(() => process.kill(process.pid, 'SIGSTOP')).listen(process.env.PORT);
