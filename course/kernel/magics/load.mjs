// A small closed-loop load: N connections, each of which sends its next request when it has its answer. Runs as a process of its own, so that
// it does not share an event loop with a server in the notebook. argv[2]: { url, requests, connections, method, headers, body, seconds };
// standard output: one JSON object { latencies, statuses, failures, errors, seconds, sent }. Times in ms.
import http from 'node:http';

const plan = JSON.parse(process.argv[2]);
const agent = new http.Agent({ keepAlive: true, maxSockets: plan.connections });
const latencies = [], statuses = {}, failures = {};
let sent = 0, errors = 0;
const count = (where, key) => { where[key] = (where[key] ?? 0) + 1; };

/** One request and its whole answer. A kept connection that the server has just closed is no failure: then it is sent once more. */
function once(again = true) {
  return new Promise((resolve) => {
    const began = performance.now();
    const fail = (error) => {
      if (again && request.reusedSocket && error.code === 'ECONNRESET') return resolve(once(false));
      errors++;
      count(failures, error.code ?? error.message);
      resolve();
    };
    const request = http.request(plan.url, { method: plan.method, headers: plan.headers, agent }, (answer) => {
      answer.on('data', () => {});
      answer.once('end', () => {
        latencies.push(Math.round((performance.now() - began) * 1000) / 1000);
        count(statuses, answer.statusCode);
        resolve();
      });
      answer.once('error', fail);
    });
    request.once('error', fail);
    request.end(plan.body ?? undefined);
  });
}

const began = performance.now();
const tooLong = () => performance.now() - began > plan.seconds * 1000;
async function connection() {
  while (sent < plan.requests && !tooLong()) {
    sent++;
    await once();
  }
}

function report() {
  const seconds = (performance.now() - began) / 1000;
  process.stdout.write(JSON.stringify({ latencies, statuses, failures, errors, seconds, sent }), () => process.exit(0));
}
// Whoever has no answer by then gets none.
setTimeout(report, plan.seconds * 1000).unref();
await Promise.all(Array.from({ length: Math.min(plan.connections, plan.requests) }, connection));
report();
