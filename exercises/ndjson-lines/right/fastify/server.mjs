// looplab-canary-ndjson-lines-solutions-18a6e3c0
import { Transform, pipeline } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import Fastify from 'fastify';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_LINE = Number(process.env.MAX_LINE ?? 65536);

/** Bytes in, objects `{ text, tooLong }` out: one for each line of the body. */
class Lines extends Transform {
  #decoder = new StringDecoder('utf8');
  #text = '';
  #bytes = 0;

  constructor() {
    super({ readableObjectMode: true });
  }

  _transform(chunk, _encoding, done) {
    const [rest, ...starts] = this.#decoder.write(chunk).split('\n');
    this.#extend(rest);
    for (const start of starts) {
      this.#finish();
      this.#extend(start);
    }
    done();
  }

  _flush(done) {
    this.#extend(this.#decoder.end());
    if (this.#bytes > 0) this.#finish();
    done();
  }

  #extend(text) {
    this.#bytes += Buffer.byteLength(text);
    // What is beyond the limit (and one byte for CR) will never be looked at: do not keep it.
    if (this.#bytes <= MAX_LINE + 1) this.#text += text;
  }

  #finish() {
    const hasCr = this.#text.endsWith('\r');
    const tooLong = this.#bytes - (hasCr ? 1 : 0) > MAX_LINE;
    this.push({ tooLong, text: this.#text });
    this.#text = '';
    this.#bytes = 0;
  }
}

/** Lines in, the text of their answers out. */
class Answers extends Transform {
  #number = 0;
  #ok = 0;
  #bad = 0;

  constructor() {
    super({ writableObjectMode: true });
  }

  _transform({ text, tooLong }, _encoding, done) {
    this.#number += 1;
    if (this.#number === 1) text = text.replace(/^\uFEFF/, '');
    done(null, tooLong ? this.#refuse('line too long') : this.#answer(text));
  }

  _flush(done) {
    done(null, `${JSON.stringify({ summary: { ok: this.#ok, bad: this.#bad } })}\n`);
  }

  #answer(text) {
    if (/^[ \t\r]*$/.test(text)) return undefined;
    if (!/^[ \t]*\{/.test(text)) return this.#refuse('invalid json');
    try {
      const answer = JSON.stringify(Object.assign(JSON.parse(text), { n: this.#number }));
      this.#ok += 1;
      return `${answer}\n`;
    } catch {
      return this.#refuse('invalid json');
    }
  }

  #refuse(error) {
    this.#bad += 1;
    return `${JSON.stringify({ error, line: this.#number })}\n`;
  }
}

const app = Fastify({ requestTimeout: 0 });

// Hand the body over as it comes: no parser, so no limit either.
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', (_request, _payload, done) => done(null));

app.get('/health', async () => ({ status: 'ok' }));

app.post('/transform', (request, reply) => {
  const answers = pipeline(request.raw, new Lines(), new Answers(), (error) => {
    if (error) console.log('transform broken off:', error.code);
  });
  return reply.type('application/x-ndjson').send(answers);
});

app.setErrorHandler((error, _request, reply) => {
  reply.code(error.statusCode ?? 500).send({ error: 'this request could not be served' });
});

await app.listen({ port: PORT, host: '127.0.0.1' });
