import http from 'node:http';

http.createServer(() => process.exit(1)).listen(process.env.PORT);
