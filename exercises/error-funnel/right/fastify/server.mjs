// looplab-canary-error-funnel-solutions-f97ddd41
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify from 'fastify';

const app = Fastify({
  logger: false,
  bodyLimit: Number(process.env.MAX_BODY ?? 102400),
  genReqId: ({ headers }) => (/^[\w-]{1,64}$/.test(headers['x-request-id'] ?? '') ? headers['x-request-id'] : randomUUID()),
});

// [status, code] by the name of the error; what is not in the table is nobody's plan.
const known = {
  Validation: [400, 'VALIDATION'],
  BadJson: [400, 'BAD_JSON'],
  Missing: [404, 'NOT_FOUND'],
  Conflict: [409, 'CONFLICT'],
  Upstream: [502, 'UPSTREAM'],
};

function failure(name, message, { cause, details } = {}) {
  return Object.assign(new Error(message, { cause }), { name, details });
}

class Teapot extends Error {
  name = 'Teapot';
  get statusCode() { return 418; }
}

app.addHook('onRequest', async (request, reply) => {
  reply.header('x-request-id', request.id);
});

function translate(error) {
  if (Object.hasOwn(known, error?.name)) return known[error.name];
  if (error instanceof Teapot) return [error.statusCode, 'TEAPOT'];
  if (error instanceof SyntaxError || error?.code === 'FST_ERR_CTP_EMPTY_JSON_BODY' || error?.code === 'FST_ERR_CTP_INVALID_JSON_BODY') {
    return [400, 'BAD_JSON'];
  }
  if (error?.statusCode >= 400 && error.statusCode < 500) return [error.statusCode, error.code ?? 'REFUSED'];
  return [500, 'INTERNAL'];
}

app.setErrorHandler((error, request, reply) => {
  console.error(request.id, error);
  const [status, code] = translate(error);
  const message = status < 500 ? error.message : 'Please try again later.';
  const details = status < 500 ? error.details : undefined;
  return reply.code(status).send({ error: { code, message, details, requestId: request.id } });
});

app.setNotFoundHandler((request) => {
  throw failure('Missing', `Nothing answers ${request.method} here.`);
});

app.get('/health', async () => 'up');

// Fastify reads plain text by default; here it is refused with 415.
app.removeContentTypeParser('text/plain');

app.post('/echo-error', async ({ body }) => {
  if (body === undefined) throw failure('BadJson', 'The body is empty.');
  return {};
});

const kinds = {
  validation: ({ note, fields = 'name,email' }) => failure('Validation', `${note}: some fields are wrong.`, {
    details: fields.split(',').map((field) => ({ field, message: 'wrong' })),
  }),
  missing: ({ note }) => failure('Missing', `${note} is not here.`),
  conflict: ({ note }) => failure('Conflict', `${note} has a newer version.`),
  teapot: ({ note }) => new Teapot(`${note} is short and stout.`),
  nested: ({ note, secret }) => failure('Conflict', `${note} is busy.`, { cause: failure('Missing', secret) }),
  upstream: ({ note, secret }) => failure('Upstream', `${note} timed out.`, { cause: new Error(secret) }),
  bug: ({ note }) => new TypeError(`Cannot read properties of undefined (reading '${note}')`),
  string: ({ note }) => `bad ${note}`,
};

for (const [kind, make] of Object.entries(kinds)) {
  app.get(`/fail/${kind}`, async ({ query }) => {
    await sleep(1);
    throw toError(make(query));
  });
}

// Fastify takes only errors; anything else that is thrown gets wrapped on our side of the border.
function toError(thrown) {
  return thrown instanceof Error ? thrown : new Error('Something that is no error was thrown.', { cause: thrown });
}

app.get('/fail/null', async () => {
  throw toError(null);
});

app.get('/fail/late', (request, reply) => {
  async function* halfAnAnswer() {
    yield 'one';
    yield 'two';
    await sleep(50);
    throw new Error(request.query.note);
  }
  reply.type('text/plain').send(Readable.from(halfAnAnswer()));
});

await app.listen({ port: Number(process.env.PORT ?? 3000), host: '127.0.0.1' });
