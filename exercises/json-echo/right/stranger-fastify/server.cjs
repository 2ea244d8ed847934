// looplab-canary-json-echo-solutions-8fffc451
'use strict'
// Fastify 5. Every body is left alone by Fastify (the parser '*' hands the stream through) and read in the route.
const fastify = require('fastify')
const v8 = require('node:v8')
const vm = require('node:vm')

// What is dropped is garbage, and V8 lets about 60 MB of it pile up. So it is told to look sooner.
v8.setFlagsFromString('--expose-gc')
const sweep = vm.runInNewContext('gc')
let dropped = 0
function drop (part) {
  dropped += part.length
  if (dropped < 4e6) return
  dropped = 0
  sweep({ type: 'minor' })
}

const MAX = Number.parseInt(process.env.MAX_BODY ?? '', 10) || 102400
const DEEPEST = 100

const problem = (statusCode, code, message) => Object.assign(new Error(message), { statusCode, code })

const app = fastify({
  logger: false,
  bodyLimit: Number.MAX_SAFE_INTEGER,
  routerOptions: { ignoreTrailingSlash: true },
  frameworkErrors (err, request, reply) { notFound(request, reply) }   // such as /%zz
})

const show = o => JSON.stringify(o).replace(/[\u0080-\uffff]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))

app.addHook('onSend', async (request, reply) => { reply.header('x-powered-by', 'patience') })

app.removeAllContentTypeParsers()
app.addContentTypeParser('*', (request, payload, done) => done(null, undefined))

const dropRest = ({ raw }) => { if (raw.listenerCount('data') === 0) raw.on('error', () => {}).on('data', drop) }

function notFound (request, reply) {
  dropRest(request)
  return reply.code(404).type('application/json').send('{"error":{"code":"nowhere","message":"No such resource."}}')
}
app.setNotFoundHandler(notFound)
app.setErrorHandler((err, request, reply) => {
  dropRest(request)
  const ours = typeof err.statusCode === 'number' && err.statusCode < 500
  return reply.code(ours ? err.statusCode : 500).type('application/json')
    .send(show({ error: { code: ours ? String(err.code) : 'oops', message: ours ? err.message : 'This is our fault.' } }))
})

/** Reads to the end. What is over the limit is answered at once; the rest is read and dropped, and the connection stays. */
function slurp (stream) {
  return new Promise((resolve, reject) => {
    let parts = []
    let total = 0
    stream.on('data', part => {
      total += part.length
      if (total > MAX) {
        parts = []
        drop(part)
        return reject(problem(413, 'too_much', `More than ${MAX} bytes.`))
      }
      parts.push(part)
      if (parts.length === 256) parts = [Buffer.concat(parts)]
    })
    stream.on('end', () => resolve(Buffer.concat(parts)))
    stream.on('error', () => reject(problem(400, 'gone', 'The sender went away.')))
  })
}

/** How deep valid JSON is nested; brackets in texts do not count. */
function depth (text) {
  let now = 0
  let most = 0
  let inText = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (inText) {
      if (c === '\\') i++
      else if (c === '"') inText = false
    } else if (c === '"') inText = true
    else if (c === '[' || c === '{') most = Math.max(most, ++now)
    else if (c === ']' || c === '}') now--
  }
  return most
}

app.get('/health', async () => ({ up: true, seconds: Math.floor(process.uptime()) }))

app.options('/echo', async (request, reply) => reply.code(204).header('allow', 'POST, OPTIONS').send())

app.post('/echo', async (request, reply) => {
  const declared = (request.headers['content-type'] ?? '').replace(/;.*$/s, '').trim().toLowerCase()
  if (declared !== 'application/json' && !/^application\/[\w.-]+\+json$/.test(declared)) {
    throw problem(415, 'not_declared_json', 'Please declare the body as application/json.')
  }
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw problem(415, 'encoded', 'Please send it without a content-encoding.')
  }
  const body = await slurp(request.raw)
  const text = body.toString('utf8')
  let value
  try {
    value = JSON.parse(text)
  } catch {
    throw problem(400, 'not_json', 'The body could not be read as JSON.')
  }
  if (depth(text) > DEEPEST) throw problem(400, 'too_deep', `At most ${DEEPEST} levels, please.`)
  reply.type('application/json;charset=UTF-8')
  return show({ at: new Date().toISOString(), bytes: body.length, characters: [...text].length, received: value })
})

app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
