console.log('a trojan ran');
require('node:fs').writeFileSync('/tmp/owned', 'x');
