"""The probes' application on gevent's pywsgi. python3 pywsgi.py PORT"""

import sys

from gevent import pywsgi


def latin_1(text):
    return text.encode("latin-1")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/status/"):
        start_response(path[len("/status/"):] + " As asked", [])
        return []
    try:
        body = environ["wsgi.input"].read()
    except OSError:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"a malformed body\n"]
    query = environ["QUERY_STRING"]
    head = "method={}\ntarget={}\nhost={}\nprobe={}\nbody=".format(
        environ["REQUEST_METHOD"], path + ("?" + query if query else ""),
        environ.get("HTTP_HOST", ""), environ.get("HTTP_X_PROBE", ""))
    text = latin_1(head) + body
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [text]  # not done by the server


pywsgi.WSGIServer(("127.0.0.1", int(sys.argv[1])), application, log=None).serve_forever()
