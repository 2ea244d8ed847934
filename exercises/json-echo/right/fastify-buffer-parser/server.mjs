// looplab-canary-json-echo-solutions-8fffc451
import Fastify from 'fastify';

const app = Fastify({ bodyLimit: Number(process.env.MAX_BODY ?? 102_400) });

const badRequest = (message) => Object.assign(new Error(message), { statusCode: 400 });

// Fastify's own parser refuses the key __proto__ and forgets how many bytes came.
app.removeAllContentTypeParsers();
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (request, body) => {
  try {
    return { value: JSON.parse(body.toString('utf8')), bytes: body.length };
  } catch {
    throw badRequest('The body is not valid JSON.');
  }
});

app.get('/health', async () => ({ ok: true }));

app.post('/echo', async (request, reply) => {
  if (!request.body) throw badRequest('There is no body.');
  const { value, bytes } = request.body;
  reply.type('application/json');
  try {
    return JSON.stringify({ received: value, bytes });
  } catch {
    throw badRequest('The value is nested too deeply to be written.');
  }
});

await app.listen({ port: Number(process.env.PORT ?? 3000), host: '0.0.0.0' });
