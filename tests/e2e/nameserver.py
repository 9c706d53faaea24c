"""A name server for tests: a few records, and every question it was asked."""
import socket
import socketserver
import struct
import threading
from collections import Counter

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "MX": 15, "AAAA": 28}
NAMES = {number: name for name, number in TYPES.items()}


def wire(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split(".") if part) + b"\0"


def rdata(kind, value):
    if kind == "MX":
        preference, host = value.split()
        return struct.pack(">H", int(preference)) + wire(host)
    if kind in ("A", "AAAA"):
        return socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)
    return wire(value)


class Nameserver(socketserver.ThreadingUDPServer):
    """records: "name TYPE value" each. `broken`: names that are answered SERVFAIL. asked[name, type]: how often."""
    daemon_threads = True

    def __init__(self, ip, records=()):
        super().__init__((ip, 0), Question)
        self.address = f"{ip}@{self.server_address[1]}"
        self.records, self.broken, self.asked = {}, set(), Counter()
        for record in records:
            name, kind, value = record.split(None, 2)
            self.records.setdefault(name.rstrip("."), []).append((kind, value))
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answers(self, name, kind):
        """(known?, [(owner, type, value)]); a CNAME is followed where its target is known here."""
        found, known = [], name in self.records
        for own, value in self.records.get(name, ()):
            if own == kind or own == "CNAME":
                found.append((name, own, value))
            if own == "CNAME" and kind != "CNAME":
                found += self.answers(value.rstrip("."), kind)[1]
        return known, found


class Question(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        at, labels = 12, []
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode().lower())
            at += 1 + data[at]
        end, name = at + 5, ".".join(labels)
        kind = NAMES.get(struct.unpack(">H", data[at + 1:at + 3])[0], "?")
        self.server.asked[name, kind] += 1
        known, found = self.server.answers(name, kind)
        inner = any(other.endswith("." + name) for other in self.server.records)
        code = 2 if name in self.server.broken else 0 if known or inner else 3
        found = [] if code else found
        soa = b"" if found or code == 2 else wire("example") + struct.pack(">HHIH", TYPES["SOA"], 1, 300, 20 + 2 * len(wire("ns.example"))) \
            + wire("ns.example") * 2 + struct.pack(">5I", 1, 300, 300, 300, 300)
        out = data[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(found), 1 if soa else 0, 0) + data[12:end]
        for owner, own, value in found:
            body = rdata(own, value)
            out += wire(owner) + struct.pack(">HHIH", TYPES[own], 1, 300, len(body)) + body
        sock.sendto(out + soa, self.client_address)
