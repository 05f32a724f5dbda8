"""gevent's pywsgi. python3 pywsgi.py PORT APP FOLDER [tls]

APP is what it does: hello; pause (the same after 10 ms); poll (GET waits for a POST);
count (the bytes of a body); files (of FOLDER/files).
"""

import os
import signal
import socket
import sys

import gevent
import gevent.event
from gevent import pywsgi


def respond(start_response, text):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


def hello(environ, start_response):
    return respond(start_response, b"hello, world\n")


def pause(environ, start_response):
    gevent.sleep(0.01)
    return hello(environ, start_response)


changed = gevent.event.Event()


def poll(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        changed.set()
        changed.clear()
    else:
        changed.wait()
    return hello(environ, start_response)


def pieces(file):
    with file:
        while piece := file.read(65536):
            yield piece


def count(environ, start_response):
    read = environ["wsgi.input"].read
    total = 0
    while piece := read(65536):
        total += len(piece)
    return respond(start_response, b"%d\n" % total)


def files(environ, start_response):
    file = open(folder + "/files" + environ["PATH_INFO"], "rb")
    size = os.fstat(file.fileno()).st_size
    start_response("200 OK", [("Content-Length", str(size))])
    return pieces(file)


APPS = {"hello": hello, "pause": pause, "poll": poll, "count": count, "files": files}

if sys.argv[1] == "--version":
    print(gevent.__version__)
    sys.exit()
signal.signal(signal.SIGINT, signal.SIG_DFL)
port, app, folder = int(sys.argv[1]), APPS[sys.argv[2]], sys.argv[3]
tls = {"certfile": folder + "/cert.pem", "keyfile": folder + "/key.pem"} if sys.argv[4:] else {}
server = pywsgi.WSGIServer(("127.0.0.1", port), app, log=None, backlog=4096, **tls)
server.init_socket()
# It writes head and body apart: a connection would wait 40 ms between the two.
server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
server.serve_forever()
