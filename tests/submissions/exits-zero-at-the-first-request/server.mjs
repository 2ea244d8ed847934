import http from 'node:http';

http.createServer(() => process.exit(0)).listen(process.env.PORT);
