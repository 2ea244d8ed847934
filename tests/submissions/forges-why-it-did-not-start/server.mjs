// The sentence to the learner quotes what a dying program says: it may lie about itself, and must not drive a screen.
console.error("Error [ERR_MODULE_NOT_FOUND]: Cannot find package '<img src=x onerror=alert(1)>\u001b[2J\u009b2J\u202e' imported from server.mjs");
console.error('file:///srv/app/server.mjs:1\nSyntaxError: \u001b]0;all points\u0007</pre><script>alert(1)</script>');
process.exit(1);
