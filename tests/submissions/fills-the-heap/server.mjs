import http from 'node:http';

const kept = [];
http
  .createServer(() => {
    for (let n = 0; ; n += 1) kept.push(new Array(200_000).fill({ n }));
  })
  .listen(process.env.PORT);
