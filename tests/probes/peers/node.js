// The probes' application on Node's http module. node node.js PORT
'use strict';
const http = require('http');

function echo(request, body) {
    const head = `method=${request.method}\ntarget=${request.url}\n` +
        `host=${request.headers.host || ''}\nprobe=${request.headers['x-probe'] || ''}\nbody=`;
    return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

function answer(request, response, body) {
    const status = /^\/status\/(\d{3})$/.exec(request.url);
    if (status) {
        response.writeHead(Number(status[1]));
        response.end();
        return;
    }
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.end(echo(request, body));
}

http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => answer(request, response, Buffer.concat(parts)));
}).listen(Number(process.argv[2]), '127.0.0.1');
