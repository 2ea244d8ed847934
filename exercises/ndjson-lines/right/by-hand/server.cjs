// looplab-canary-ndjson-lines-solutions-18a6e3c0
'use strict';
// No pipeline, no Transform: events, pause and resume by hand.
const http = require('node:http');

const { PORT = '3000', MAX_LINE = '65536' } = process.env;
const LIMIT = Number(MAX_LINE);
const NOTHING = Buffer.alloc(0);
const OPENING_BRACE = 0x7b;
const WHITE_SPACE = new Set([0x20, 0x09, 0x0d]);

class Conversation {
  constructor(request, response) {
    this.request = request;
    this.response = response;
    this.rest = NOTHING;
    this.skipping = false; // inside a line that has been refused already
    this.number = 1;
    this.counts = { ok: 0, bad: 0 };
  }

  begin() {
    const { request, response } = this;
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson; charset=utf-8' });
    request.on('data', (chunk) => this.take(chunk));
    request.on('end', () => this.finish());
    request.on('error', () => response.destroy());
    response.on('error', () => request.destroy());
    response.on('drain', () => request.resume());
  }

  take(chunk) {
    let roomLeft = true;
    let data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let end;
    while ((end = data.indexOf(10)) >= 0) {
      if (!this.skipping) roomLeft = this.say(this.judge(data.subarray(0, end), true));
      this.skipping = false;
      this.number += 1;
      data = data.subarray(end + 1);
    }
    if (!this.skipping && data.length > LIMIT + 1) {
      roomLeft = this.say(this.refuse('line too long'));
      this.skipping = true;
    }
    this.rest = this.skipping ? NOTHING : Buffer.from(data); // a copy, or the whole chunk would stay alive
    if (!roomLeft) this.request.pause();
  }

  finish() {
    if (this.rest.length > 0) this.say(this.judge(this.rest, false));
    this.say(JSON.stringify({ summary: this.counts }));
    this.response.end();
  }

  judge(bytes, ended) {
    if (ended && bytes.at(-1) === 13) bytes = bytes.subarray(0, -1);
    if (bytes.length > LIMIT) return this.refuse('line too long');
    if (this.number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
    const first = bytes.find((byte) => !WHITE_SPACE.has(byte));
    if (first === undefined) return undefined;
    if (first !== OPENING_BRACE) return this.refuse('invalid json');
    let answer;
    try {
      const record = JSON.parse(bytes.toString());
      record.n = this.number;
      answer = JSON.stringify(record); // throws, too, for a record that is nested some thousand levels deep
    } catch {
      return this.refuse('invalid json');
    }
    this.counts.ok += 1;
    return answer;
  }

  refuse(error) {
    this.counts.bad += 1;
    return JSON.stringify({ error, line: this.number });
  }

  say(text) {
    if (text === undefined) return true;
    return this.response.write(`${text}\n`);
  }
}

function fail(response, status, message) {
  const body = JSON.stringify({ error: { message } });
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

const server = http.createServer((request, response) => {
  const path = request.url.replace(/\?.*$/s, '');
  if (path === '/health') {
    response.end('ok');
  } else if (path !== '/transform') {
    fail(response, 404, 'Not found');
  } else if (request.method !== 'POST') {
    fail(response, 405, 'Use POST');
  } else {
    new Conversation(request, response).begin();
  }
});
server.requestTimeout = 0;
server.listen(Number(PORT), '::');
