// Node's http module. node http.js PORT APP FOLDER [tls]
//
// APP is what it does: hello; pause (the same after 10 ms); poll (GET waits for a POST);
// count (the bytes of a body); files (of FOLDER/files).
'use strict';
const fs = require('fs');
const [port, app, folder, tls] = process.argv.slice(2);

function respond(response, text) {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': text.length });
    response.end(text);
}

function hello(request, response) {
    respond(response, 'hello, world\n');
}

let waiting = [];

const apps = {
    hello,
    pause(request, response) {
        setTimeout(hello, 10, request, response);
    },
    poll(request, response) {
        waiting.push(response);
        if (request.method === 'POST') {
            const all = waiting;
            waiting = [];
            all.forEach((each) => hello(null, each));
        }
    },
    count(request, response) {
        let bytes = 0;
        request.on('data', (data) => { bytes += data.length; });
        request.on('end', () => respond(response, `${bytes}\n`));
    },
    files(request, response) {
        const path = `${folder}/files${request.url}`;
        fs.stat(path, (error, stat) => {
            if (error) {
                response.writeHead(404).end();
                return;
            }
            response.writeHead(200, { 'Content-Length': stat.size });
            fs.createReadStream(path).pipe(response);
        });
    },
};

const server = tls ?
    require('https').createServer({ cert: fs.readFileSync(`${folder}/cert.pem`),
                                    key: fs.readFileSync(`${folder}/key.pem`) }, apps[app]) :
    require('http').createServer(apps[app]);
server.keepAliveTimeout = 300000;
server.requestTimeout = 0;
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
