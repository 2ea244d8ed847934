import http from 'node:http';

const port = process.env.PORT;
http.createServer(handler).listen(port);
