"""The destination of the agent that is asked: takes events as Splunk's HTTP Event Collector does, on loopback.

Events with the action "refused" are refused as that does: all before the first one are taken, and it is named by its number in the
request. Writes two ports into the file that its argument names: its own, and one that is free.
"""

import json
import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


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


PORTS = sys.argv[1]
destination = ThreadingHTTPServer(("127.0.0.1", 0), Destination)
with open(PORTS + ".part", "w") as file:
    print(destination.server_address[1], free_port(), file=file)
os.rename(PORTS + ".part", PORTS)
destination.serve_forever()
