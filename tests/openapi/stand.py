"""What the agent needs beside it while it is asked: a way to its admin socket, and a destination.

Listens on loopback, on ports of the system's choice, and writes them into a file: that of the bridge to the admin socket, that
of the destination, and one that is free. The destination takes events as Splunk's HTTP Event Collector does, and refuses those
with the action "refused" as that does: all before the first refused one are taken, and it is named by its number in the request.
"""

import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer


class Bridge(BaseRequestHandler):
    """One connection from loopback to the admin socket."""

    def handle(self):
        with socket.socket(socket.AF_UNIX) as inner:
            inner.connect(ADMIN)
            back = threading.Thread(target=copy, args=(inner, self.request), daemon=True)
            back.start()
            copy(self.request, inner)
            back.join()


def copy(source, target):
    """Until the source ends; then the target hears no more."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # Whichever side went away, the other is told by the connection's end.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Destination(BaseHTTPRequestHandler):
    """An event collector."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        refused = first_refused(body)
        answer = {"text": "Success", "code": 0}
        if refused is not None:
            answer = {"text": "Invalid data format", "code": 6, "invalid-event-number": refused}
        text = json.dumps(answer).encode()
        self.send_response(200 if refused is None else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def first_refused(body):
    """The number of the first event with the action "refused" among JSON objects that follow one another."""
    decoder, at, number = json.JSONDecoder(), 0, 0
    while at < len(body):
        item, at = decoder.raw_decode(body, at)
        if item["event"].get("action") == "refused":
            return number
        while at < len(body) and body[at].isspace():
            at += 1
        number += 1
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


ADMIN, PORTS = sys.argv[1:]
ThreadingTCPServer.daemon_threads = True
bridge = ThreadingTCPServer(("127.0.0.1", 0), Bridge)
destination = ThreadingHTTPServer(("127.0.0.1", 0), Destination)
threading.Thread(target=destination.serve_forever, daemon=True).start()
with open(PORTS + ".part", "w") as file:
    print(bridge.server_address[1], destination.server_address[1], free_port(), file=file)
os.rename(PORTS + ".part", PORTS)
bridge.serve_forever()
