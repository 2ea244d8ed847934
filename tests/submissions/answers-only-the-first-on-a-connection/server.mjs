import http from 'node:http';

const served = new WeakSet();
http
  .createServer((request, response) => {
    if (served.has(request.socket)) return;
    served.add(request.socket);
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      response.setHeader('content-type', 'application/json');
      if (!String(chunks).startsWith('"')) return response.writeHead(400).end('{"error":"That is not JSON."}');
      const body = Buffer.concat(chunks);
      response.end(`{"received":${body},"bytes":${body.length}}`);
    });
  })
  .listen(process.env.PORT);
