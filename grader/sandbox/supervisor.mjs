// Runs one learner's server after the other, and nothing of one is there when the next begins.
//
// In a container it runs below the engine's init, which reaps orphans: root without rights except to change uid and to kill,
// no network, and the learner's program under another uid. On a learner's own machine it is an ordinary child process. Both speak the same protocol:
//
//   control.sock   JSON lines, {"id", "op", ...} -> {"id", "ok": true, ...} | {"id", "ok": false, "error"}. Ops below.
//   server.sock    for a grader that cannot enter the container's network: one connection here is one connection to the
//                  learner's port. The first line says what became of it: "+<id>\n" connected, "-<code>\n" refused;
//                  after it the bytes are the learner's, both ways.
//
// LOOPLAB_BOX (JSON): dir (of the sockets), app (the submission), temp, contained.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

const box = JSON.parse(process.env.LOOPLAB_BOX);
const contained = Boolean(box.contained);
const OURS = contained ? [1, process.pid] : [process.pid];
const LEAN = new URL('./lean.cjs', import.meta.url).pathname;
const OUTPUT_HEAD = 16 * 1024;
const OUTPUT_TAIL = 48 * 1024;
const CONTROL_LINE_MAX = 1024 * 1024;
const RELAYS_MAX = 1024;
const FORWARDED_MAX = 512;
const DATA_MAX = 8 * 1024 * 1024;
const QUEUES = '/dev/mqueue';
const SCRUBBED = ['/tmp', '/dev/shm', QUEUES];
const SCRUB_MS = 1000;
const SUPERVISOR_RSS_MAX = 96 * 1024 * 1024;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const readOr = (file, otherwise) => {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
};

// ---------------------------------------------------------------- the learner's program

class Output {
  head = Buffer.alloc(0);
  tail = Buffer.alloc(0);
  total = 0;

  add(chunk) {
    this.total += chunk.length;
    const room = OUTPUT_HEAD - this.head.length;
    if (room > 0) {
      this.head = Buffer.concat([this.head, chunk.subarray(0, room)]);
      chunk = chunk.subarray(room);
    }
    if (chunk.length) this.tail = Buffer.concat([this.tail, chunk.subarray(-OUTPUT_TAIL)]).subarray(-OUTPUT_TAIL);
  }

  get truncated() {
    return this.total > this.head.length + this.tail.length;
  }

  text() {
    const gap = this.truncated ? '\n[…]\n' : '';
    return Buffer.concat([this.head, Buffer.from(gap), this.tail]).toString('utf8');
  }
}

let uid; // the learner's user, another one for each submission; undefined outside a container
let nodeArgs = [];
let child = null; // the running ChildProcess
let port = 0;
let host = null; // where the learner listens: 127.0.0.1 or ::1
let last = { state: 'not_started', code: null, signal: null };
let starts = 0;
let output = new Output();
let oomKillsAtStart = 0;

/** The submission has been laid into `app`. `lean`: no file of it names what lean.cjs leaves out. */
function prepare({ uid: user, lean }) {
  uid = contained ? user : undefined;
  nodeArgs = lean ? ['--require', LEAN] : [];
  socketsBefore = sockets().used;
  cpuBefore = theirSeconds() ?? 0;
  return { network: fs.statSync('/proc/self/ns/net').ino };
}

function start({ port: wanted, entry, env = {} }) {
  if (child) throw new Error('already running');
  port = wanted;
  host = null;
  starts += 1;
  output = new Output();
  oomKillsAtStart = cgroup().oomKills;
  // The kernel should pick the learner's process, not this one, when memory runs out. A child inherits the mark.
  if (contained) fs.writeFileSync('/proc/self/oom_score_adj', '1000');
  const mine = (child = spawn(process.execPath, [...nodeArgs, entry], {
    cwd: box.app,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: box.temp, TMPDIR: box.temp, LANG: 'C.UTF-8', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    uid,
    gid: uid,
    detached: true,
  }));
  if (contained) fs.writeFileSync('/proc/self/oom_score_adj', '0');
  last = { state: 'running', code: null, signal: null };
  const sink = output;
  for (const stream of [mine.stdout, mine.stderr]) stream.on('data', (chunk) => sink.add(chunk)).on('error', () => {});
  mine.on('error', (error) => {
    sink.add(Buffer.from(`${error.message}\n`));
    ended(mine, 127, null);
  });
  mine.on('exit', (code, signal) => ended(mine, code, signal));
  return { pid: mine.pid };
}

function ended(which, code, signal) {
  if (child !== which) return;
  child = null;
  last = { state: 'exited', code, signal };
}

const canConnect = (address) =>
  new Promise((done) => {
    const probe = net.connect({ host: address, port });
    probe.on('connect', () => done(true)).on('error', () => done(false));
    probe.on('connect', () => probe.destroy());
    probe.setTimeout(1000, () => probe.destroy(done(false)));
  });

async function ready({ timeout_ms: timeout, elsewhere_ms: elsewhere = timeout }) {
  const began = performance.now();
  let seenElsewhere = null;
  for (let pause = 2; ; pause = Math.min(pause * 1.2, 10)) {
    for (const address of ['127.0.0.1', '::1']) {
      if (child && (await canConnect(address))) {
        host = address;
        return status();
      }
    }
    const elapsed = performance.now() - began;
    if (!child || elapsed > timeout) return status();
    if (elapsed > 500 && seenElsewhere === null && listening().length) seenElsewhere = elapsed;
    if (seenElsewhere !== null && elapsed - seenElsewhere > elsewhere) return status();
    await sleep(pause);
  }
}

async function waitExit({ timeout_ms: timeout }) {
  const deadline = performance.now() + timeout;
  while (child && performance.now() < deadline) await sleep(5);
  await sleep(0); // let the last output arrive
  return status();
}

function signal({ name }) {
  if (child) process.kill(child.pid, name);
  return status();
}

async function stop() {
  const final = { ...status(), ...stats() };
  const deadline = performance.now() + 3000;
  for (let pause = 1; ; pause = Math.min(pause * 2, 20)) {
    const alive = processes();
    if (!alive.length && !child) break;
    killAll(alive);
    if (performance.now() > deadline) throw new Error(`${alive.length} processes survived SIGKILL for 3 s`);
    await sleep(pause);
  }
  return { ...final, ...(final.state === 'running' ? {} : status()) };
}

// ---------------------------------------------------------------- from one submission to the next

/** Every place that a learner's user can write to. Unknown ones appear here too, and then `scrub` says so. */
function writablePlaces() {
  const places = readOr('/proc/self/mountinfo', '').split('\n').map((line) => line.split(' ')[4]?.replace(/\\(\d{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8))));
  return asLearner(() =>
    [...new Set(places)].filter((place) => {
      try {
        if (!place) return false;
        if (!fs.statSync(place).isDirectory()) return fs.closeSync(fs.openSync(place, 'r+')) === undefined && !fs.statSync(place).isCharacterDevice();
        fs.rmdirSync(fs.mkdtempSync(path.join(place, 'probe-')));
        return true;
      } catch {
        return false;
      }
    }),
  );
}

/** What is still there of a submission whose processes are dead, as words; empty is clean. */
function remains() {
  const left = [];
  if (fs.readdirSync('/proc').some((name) => /^\d+$/.test(name) && !OURS.includes(Number(name)))) left.push('processes'); // zombies too
  if (cgroup().oomKills) left.push('the trace of an out-of-memory kill');
  for (const place of SCRUBBED) {
    if (!fs.existsSync(place)) continue;
    const { files, ffree } = fs.statfsSync(place);
    if (fs.readdirSync(place).length || (place !== QUEUES && files - ffree > 1)) left.push(`files in ${place}`);
  }
  for (const kind of ['shm', 'sem', 'msg']) {
    if (readOr(`/proc/sysvipc/${kind}`, '').trim().split('\n').length > 1) left.push(`System V ${kind}`);
  }
  const { used, inUse } = sockets();
  if (inUse || used > socketsBefore) left.push('sockets');
  const names = readOr('/proc/net/unix', '').trim().split('\n').slice(1).map((line) => line.trim().split(/\s+/)[7]);
  if (names.some((name) => name && !name.startsWith(`${box.dir}/`))) left.push('unix sockets');
  return left;
}

/** Sockets of this network namespace: all of them, and those of TCP, UDP and raw IP in any state that can still do something. */
function sockets() {
  const text = readOr('/proc/net/sockstat', '') + readOr('/proc/net/sockstat6', '');
  const inUse = [...text.matchAll(/^\w+: inuse (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  return { used: Number(/^sockets: used (\d+)/m.exec(text)?.[1] ?? Infinity), inUse };
}

/**
 * Ends a submission and takes away what it left, so that the next one, under another user, finds what the first one found.
 * Answers with what could not be taken away or should not be there: then this container must not be used again.
 */
async function scrub() {
  await stop();
  for (const forwarded of forwards.splice(0)) forwarded.close();
  for (const connection of connections) connection.destroy();
  asLearner(() => {
    for (const place of SCRUBBED) {
      for (const name of fs.existsSync(place) ? fs.readdirSync(place) : []) {
        try {
          fs.rmSync(path.join(place, name), { recursive: true, force: true });
        } catch {
          /* then it remains */
        }
      }
    }
  });
  port = 0;
  host = null;
  last = { state: 'not_started', code: null, signal: null };
  starts = 0;
  output = new Output();
  relayCount = 0;
  writable ??= writablePlaces();
  const strange = writable.filter((place) => !SCRUBBED.includes(place)).map((place) => `${place} can be written to`);
  const deadline = performance.now() + SCRUB_MS;
  while (remains().length && performance.now() < deadline) await sleep(2); // the kernel ends sockets a moment after their process
  const rss = process.memoryUsage.rss();
  return { remains: [...remains(), ...strange, ...(rss > SUPERVISOR_RSS_MAX ? ['a swollen supervisor'] : [])] };
}

function killAll(alive) {
  // -1 is everybody but PID 1 and this process: no fork can escape it. Outside a container it would be the whole machine.
  const targets = contained ? [-1] : [...new Set(alive.flatMap((p) => [-p.session, p.pid]))];
  for (const pid of targets) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      /* it was faster */
    }
  }
}

// ---------------------------------------------------------------- what can be seen of it

/** The learner's live processes: everybody else in a container; child, its session and its descendants outside. */
function processes() {
  const all = new Map();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || OURS.includes(Number(name))) continue;
    const text = readOr(`/proc/${name}/stat`, '');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    if (fields.length < 20 || 'ZX'.includes(fields[0])) continue;
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    all.set(Number(name), { pid: Number(name), parent: Number(fields[1]), session: Number(fields[3]), ticks, threads: Number(fields[17]) });
  }
  if (contained) return [...all.values()];
  const sessions = (processes.sessions ??= new Set());
  if (child) sessions.add(child.pid);
  const ours = (p) => p && (sessions.has(p.session) || sessions.has(p.pid) || (p.parent > 1 && p.parent !== process.pid && ours(all.get(p.parent))));
  return [...all.values()].filter(ours);
}

/** Runs a synchronous reader with the learner's rights: no more can be read or followed than the learner could. */
function asLearner(read) {
  if (!contained) return read();
  const groups = process.getgroups();
  process.setgroups([]);
  process.setegid(uid);
  process.seteuid(uid);
  try {
    return read();
  } finally {
    process.seteuid(0);
    process.setegid(0);
    process.setgroups(groups);
  }
}

function stats() {
  let rss = 0; // what several processes share, such as the binary, counts once: as much as the largest has of it
  let peak = 0;
  let shared = 0;
  let ticks = 0;
  let threads = 0;
  let files = 0;
  const alive = processes();
  for (const p of alive) {
    const text = readOr(`/proc/${p.pid}/status`, '');
    const bytes = (name) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
    rss += bytes('VmRSS') - bytes('RssFile');
    peak += bytes('VmHWM') - bytes('RssFile');
    shared = Math.max(shared, bytes('RssFile'));
    ticks += p.ticks;
    threads += p.threads;
    files += asLearner(() => {
      try {
        return fs.readdirSync(`/proc/${p.pid}/fd`).length;
      } catch {
        return 0;
      }
    });
  }
  const theirs = theirSeconds();
  return {
    rss_bytes: rss + shared,
    peak_memory_bytes: peak + shared,
    cpu_seconds: theirs === null ? ticks / 100 : Math.max(0, theirs - cpuBefore),
    processes: alive.length,
    threads,
    open_files: files,
  };
}

/** Processor time of the whole container without this process; null outside of one. */
function theirSeconds() {
  const { cpuSeconds } = cgroup();
  const own = process.cpuUsage();
  return cpuSeconds === null ? null : cpuSeconds - (own.user + own.system) / 1e6;
}

function cgroup() {
  if (!contained) return { oomKills: 0, cpuSeconds: null };
  const v1 = readOr('/sys/fs/cgroup/memory/memory.oom_control', null);
  const events = v1 ?? readOr('/sys/fs/cgroup/memory.events', '');
  const usec = /^usage_usec (\d+)/m.exec(readOr('/sys/fs/cgroup/cpu.stat', ''))?.[1];
  const nsec = readOr('/sys/fs/cgroup/cpuacct/cpuacct.usage', null);
  return {
    oomKills: Number(/^oom_kill (\d+)/m.exec(events)?.[1] ?? 0),
    cpuSeconds: nsec !== null ? Number(nsec) / 1e9 : usec ? Number(usec) / 1e6 : null,
  };
}

/** TCP ports the learner listens on. Slow: the kernel walks a table of the whole machine for it (7 ms were measured). In a container the network namespace holds nobody else's. */
function listening() {
  const inodes = contained ? null : new Set();
  if (inodes) {
    for (const p of processes()) {
      try {
        for (const fd of fs.readdirSync(`/proc/${p.pid}/fd`)) {
          const socket = /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${p.pid}/fd/${fd}`));
          if (socket) inodes.add(socket[1]);
        }
      } catch {
        /* the process or the descriptor is gone */
      }
    }
  }
  const ports = new Set();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readOr(file, '').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] !== '0A' || (contained ? Number(fields[7]) !== uid : !inodes.has(fields[9]))) continue;
      ports.add(parseInt(fields[1].split(':')[1], 16));
    }
  }
  return [...ports].sort((a, b) => a - b);
}

function status() {
  return {
    ...last,
    pid: child?.pid ?? null,
    reachable: Boolean(child && host),
    starts,
    listening_on: !child ? [] : host ? [port] : listening(),
    out_of_memory: cgroup().oomKills > oomKillsAtStart,
    output: output.text(),
    output_truncated: output.truncated,
  };
}

// What depends on the learner's files comes back as data; only our own failures are errors.

/** The bytes of a data file and its neighbours (file, file-wal, file-journal, file-shm), base64, at most DATA_MAX in all. */
function readData({ file }) {
  const folder = path.dirname(file);
  const files = {};
  let room = DATA_MAX;
  asLearner(() => {
    for (const name of fs.readdirSync(folder)) {
      if (!name.startsWith(path.basename(file))) continue;
      let fd;
      try {
        fd = fs.openSync(path.join(folder, name), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
        if (!fs.fstatSync(fd).isFile()) continue;
        const buffer = Buffer.alloc(Math.min(room, fs.fstatSync(fd).size));
        const size = fs.readSync(fd, buffer, 0, buffer.length, 0);
        files[name] = buffer.toString('base64', 0, size);
        room -= size;
      } catch {
        /* a link, closed to its own user, or gone: it holds nothing */
      } finally {
        if (fd !== undefined) fs.closeSync(fd);
      }
    }
  });
  return { files };
}

/** Holds SQLite's write lock on `file` for `ms`; answers once it is held, or why it cannot be. The holder has the learner's rights. */
function lockDatabase({ file, ms }) {
  const program = `const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(process.argv[1]);
    db.exec('PRAGMA busy_timeout = 5000; BEGIN EXCLUSIVE');
    console.log('locked');
    setTimeout(() => { db.exec('ROLLBACK'); db.close(); }, Number(process.argv[2]));`;
  return new Promise((done) => {
    const holder = spawn(process.execPath, ['-e', program, file, String(ms)], {
      env: { PATH: '/usr/bin' }, stdio: ['ignore', 'pipe', 'pipe'], uid, gid: uid, detached: true,
    });
    let errors = '';
    holder.on('error', (error) => done({ locked: false, why: error.message }));
    holder.stderr?.on('data', (chunk) => (errors = (errors + chunk).slice(-2000)));
    holder.stdout?.once('data', () => done({ locked: true }));
    holder.on('exit', () => done({ locked: false, why: /^Error: (.*)$/m.exec(errors)?.[1] ?? 'it cannot be opened' }));
  });
}

// ---------------------------------------------------------------- bytes in and out

const relays = new Map();
let relayCount = 0;
const forwards = [];
const connections = new Set(); // of both ways, to be cut at the end
let writable = null;
let socketsBefore = 0;
let cpuBefore = 0;

function remember(socket) {
  connections.add(socket);
  socket.on('close', () => connections.delete(socket));
  return socket;
}

function join(a, b) {
  a.pipe(b);
  b.pipe(a);
  a.on('error', () => b.destroy()).on('close', () => b.destroyed || b.writableEnded || b.destroy());
  b.on('error', () => a.destroy()).on('close', () => a.destroyed || a.writableEnded || a.destroy());
}

function dial(address, otherwise) {
  return new Promise((done, fail) => {
    const socket = net.connect({ host: address, port, allowHalfOpen: true, noDelay: true });
    socket.once('connect', () => done(socket.removeAllListeners('error')));
    socket.once('error', (error) => (otherwise ? dial(otherwise).then(done, fail) : fail(error)));
  });
}

const relay = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (client) => {
  remember(client).on('error', () => {});
  if (relays.size >= RELAYS_MAX || !port) return client.end('-ELIMIT\n');
  const id = ++relayCount;
  const first = host ?? '127.0.0.1';
  try {
    const server = await dial(first, first === '::1' ? '127.0.0.1' : '::1');
    relays.set(id, remember(server));
    server.on('close', () => relays.delete(id));
    client.write(`+${id}\n`);
    join(client, server);
  } catch (error) {
    client.end(`-${error.code ?? 'EUNKNOWN'}\n`);
  }
});

/** Sends RST instead of FIN: what a unix socket cannot say by itself. */
function reset({ connection }) {
  relays.get(connection)?.resetAndDestroy();
  return {};
}

/** Opens a port of the loopback that leads to a unix socket in the box's folder: the way out to a fake upstream. */
function forward({ socket }) {
  let open = 0;
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    if (open >= FORWARDED_MAX) return client.destroy();
    open += 1;
    remember(client).on('close', () => (open -= 1));
    join(client, net.connect({ path: path.join(box.dir, path.basename(socket)), allowHalfOpen: true }));
  });
  forwards.push(server);
  return new Promise((done, fail) => server.on('error', fail).listen(0, '127.0.0.1', () => done({ port: server.address().port })));
}

// ---------------------------------------------------------------- control

const ops = { prepare, scrub, start, ready, state: () => last, status, stats, signal, stop, wait_exit: waitExit, reset, forward, read_data: readData, lock_database: lockDatabase };

async function answer(line) {
  let request;
  try {
    request = JSON.parse(line);
    return { id: request.id, ok: true, ...(await ops[request.op](request)) };
  } catch (error) {
    return { id: request?.id ?? null, ok: false, error: String(error?.message ?? error) };
  }
}

const callers = new Set();
const control = net.createServer((client) => {
  let pending = '';
  callers.add(client);
  client.on('close', () => callers.delete(client)).setEncoding('utf8').on('error', () => {});
  client.on('data', async (text) => {
    pending += text;
    if (pending.length > CONTROL_LINE_MAX) return client.destroy();
    const lines = pending.split('\n');
    pending = lines.pop();
    for (const line of lines) answer(line).then((reply) => client.writable && client.write(`${JSON.stringify(reply)}\n`));
  });
});

const umask = process.umask(0); // the folder of the sockets guards them
relay.listen({ path: path.join(box.dir, 'server.sock'), backlog: 511 }, () =>
  control.listen(path.join(box.dir, 'control.sock'), () => process.umask(umask)),
);
const leave = () => {
  for (const caller of callers) caller.destroy(); // whoever asks now would hear of a server that was killed, and it was not its fault
  control.close();
  return stop().finally(() => process.exit(0));
};
process.on('SIGTERM', leave);
// Outside a container nobody sweeps up after us: when the grader is gone, so are we.
if (!contained) process.stdin.on('end', leave).on('error', leave).resume();
