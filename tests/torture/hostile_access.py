#!/usr/bin/env python3
"""What hostile clients do to the IMAP and POP3 servers, at full size: as hostile.py does to SMTP. One command, a minute or two:

    tests/torture/hostile_access.py [--only WORD] [--short]
"""
import argparse
import re
import socket
import threading
from pathlib import Path

import hostile
from hostile import PATIENCE, house

FULL = dict(nesting=1_000_000, literals=200_000, connections=1000, fetches=200)
SHORT = dict(nesting=100_000, literals=5_000, connections=30, fetches=20)
BEFORE_LOGIN = 64 << 10  # octets that one connection may cost
UNREAD = 2 << 20  # ... and one that is logged in and reads nothing; the letter it asked for is a memory file, and counts extra
LETTER = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n"
REFUSED = (b"BAD", b"NO")


class Target(hostile.Target):
    """The same house; what is watched is the process that serves users."""
    WATCHED = "access"

    def __init__(self):
        super().__init__(plaintext_login="loopback")

    def own_memory(self):
        """Without mapped files, octets."""
        status = Path(f"/proc/{self.house.children()[self.WATCHED]}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10


class Wire:
    """A bare IMAP or POP3 connection."""

    def __init__(self, target, service="imap", room=None):
        self.socket, self.count = socket.socket(), 0
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((target.house.ip, house.PORTS[service]))
        self.file = self.socket.makefile("rb")
        assert self.file.readline(), "no greeting"

    def say(self, line):
        """The first word behind the tag, or nothing when the server has closed."""
        self.count += 1
        tag = b"t%d" % self.count
        try:
            self.socket.sendall(tag + b" " + line + b"\r\n")
        except OSError:
            pass  # what it said before stands in our buffer
        return self.answer(tag)

    def answer(self, tag):
        while True:
            try:
                answer = self.file.readline()
            except OSError:
                return b""
            if not answer or answer.startswith(tag + b" "):
                return answer.split()[1] if answer else b""

    def login(self, target):
        user = target.alice.encode()
        assert self.say(b'LOGIN "%s" "%s"' % (user, target.house.passwords[target.alice].encode())) == b"OK"
        return self

    def close(self):
        self.file.close()
        self.socket.close()


def literal_bombs(t, size):
    """What is announced is refused by its size alone; many small ones are one command that has become too long."""
    for line in (b"LOGIN {99999999999}", b"LOGIN {4294967296}", b"LOGIN {70000}", b"LOGIN {99999999999+}", b"LOGIN {-1}", b"LOGIN {1"):
        w = Wire(t)
        assert w.say(line) in (*REFUSED, b""), line
        w.close()
    for line in (b"APPEND INBOX {99999999999}", b"APPEND INBOX {4294967296}", b"SEARCH TEXT {99999999999}", b"APPEND INBOX {18446744073709551617}"):
        w = Wire(t).login(t)
        assert w.say(line) in REFUSED, line
        assert w.say(b"NOOP") == b"OK", line
        w.close()
    w = Wire(t).login(t)
    assert w.say(b"SELECT INBOX") == b"OK"
    assert w.say(b"SEARCH" + b" TEXT {1+}\r\nx" * size["literals"]) in (*REFUSED, b"")
    w.close()


def deep_nesting(t, size):
    n = size["nesting"]
    for line in (b"SEARCH " + b"(" * n + b"ALL" + b")" * n, b"SEARCH " + b"NOT " * n + b"ALL", b"SEARCH " + b"OR " * n + b"ALL",
                 b"FETCH 1 " + b"(" * n, b"FETCH 1 BODY[" + b"1." * n + b"1]", b"STORE 1 FLAGS " + b"(" * n, b"LIST " + b"(" * n,
                 b'LIST "" "' + b"*%" * n + b'"', b"FETCH " + b"1,3," * n + b"5 FLAGS"):
        w = Wire(t).login(t)
        assert w.say(b"SELECT INBOX") == b"OK"
        assert w.say(line) in (*REFUSED, b""), line[:30]
        w.close()


HELLO = bytes.fromhex("16030101fc010001f80303") + b"x" * 32  # the beginning of a ClientHello of 508 octets
FLOOD = b"x" * (1 << 20)
# service, whether a handshake comes first, what is sent and answered, what is sent then
STATES = [("imap", False, [], b'a LOGIN "' + FLOOD),
          ("imap", False, [], b"a LOGIN {4096+}\r\n" + FLOOD),
          ("imap", False, [b"a LOGIN {1000}\r\n"], b""),
          ("imap", False, [], b"a NOOP\r\n" * 8192),
          ("imap", False, [b"a AUTHENTICATE PLAIN\r\n"], FLOOD),
          ("imap", False, [b"a AUTHENTICATE SCRAM-SHA-256\r\n", b"biwsbj1hbGljZUBhLnRlc3Qscj1hYmNkZWY=\r\n"], b""),
          ("imap", False, [b"a STARTTLS\r\n"], HELLO),
          ("imaps", False, None, HELLO),
          ("imaps", True, [], b""),
          ("imaps", True, [], b'a LOGIN "' + FLOOD),
          ("imaps", True, [b"a AUTHENTICATE SCRAM-SHA-256\r\n", b"biwsbj1hbGljZUBhLnRlc3Qscj1hYmNkZWY=\r\n"], b""),
          ("pop3", False, [], b"USER " + FLOOD),
          ("pop3", False, [b"USER alice@a.test\r\n"], b"PASS " + FLOOD),
          ("pop3", False, [b"AUTH PLAIN\r\n"], FLOOD),
          ("pop3", False, [b"STLS\r\n"], HELLO),
          ("pop3s", True, [], b"NOOP\r\n" * 8192),
          ("submissions", True, [b"AUTH PLAIN\r\n"], FLOOD),
          ("submission", False, [], b"EHLO " + FLOOD)]


def reach(t, state):
    """A connection in that state: it has sent as much as will be taken, and stays."""
    service, tls, said, last = state
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(PATIENCE)
    s.connect((t.house.ip, house.PORTS[service]))
    if tls:
        s = t.house.tls().wrap_socket(s)
    for line in [None] + said if said is not None else []:
        if line:
            s.sendall(line)
        assert s.recv(4096), state[:3]
    s.settimeout(0.01)
    try:
        s.sendall(last)
    except OSError:
        pass
    return s


def memory_before_login(t, size):
    """In every state that a connection can be in before somebody logs in; each in a house of its own, so that nothing is left from the one before."""
    for state in STATES:
        t = Target()
        before = t.memory()
        sockets = [reach(t, state) for _ in range(size["connections"])]
        t.honest()
        each = (t.memory() - before) / len(sockets)
        print(f"    {len(sockets)} x {state[0]}{' in TLS' if state[1] else ''} {b''.join(state[2] or [])[:30]!r} {state[3][:12]!r}: {each:.0f} octets each")
        for s in sockets:
            s.close()
        assert t.house.stop() == 0, t.house.tail()
        assert each < BEFORE_LOGIN, state[:3]


def ten_thousand_commands(t, size):
    """At once, and each is answered, in order."""
    w = Wire(t).login(t)
    lines = [b"NOOP", b"STATUS INBOX (MESSAGES)", b'LIST "" INBOX', b"NONSENSE", b"SELECT INBOX", b"FETCH 1 FLAGS", b"SEARCH ALL", b"UNSELECT"]
    commands = [b"p%d " % i + lines[i % len(lines)] + b"\r\n" for i in range(10000)]
    sender = threading.Thread(target=w.socket.sendall, args=(b"".join(commands),), daemon=True)
    sender.start()
    for i in range(len(commands)):
        assert w.answer(b"p%d" % i), i
    sender.join()
    w.close()


def client_that_never_reads(t, size):
    """Asks for a letter of 10 MB again and again; its commands wait in its own socket when ours are full."""
    w = Wire(t, room=4096).login(t)
    letter = LETTER * (10_000_000 // len(LETTER))
    assert w.say(b"CREATE big") in (b"OK", b"NO")
    assert w.say(b"APPEND big {%d+}\r\n" % len(letter) + letter) == b"OK"
    assert w.say(b"SELECT big") == b"OK"
    wires = [w] + [Wire(t, room=4096).login(t) for _ in range(7)]
    for w in wires:
        assert w.say(b"SELECT big") == b"OK"
    before = t.own_memory()
    for w in wires:
        w.socket.sendall(b"f FETCH 1:* BODY.PEEK[]\r\n" * size["fetches"])
    t.honest()
    each = (t.own_memory() - before) / len(wires)
    print(f"    {len(wires)} that ask for {size['fetches']} x 10 MB: {each:.0f} octets each")
    for w in wires:
        w.close()
    assert each < UNREAD


ATTACKS = [literal_bombs, deep_nesting, memory_before_login, ten_thousand_commands, client_that_never_reads]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    target = Target()
    for attack in ATTACKS:
        if options.only in attack.__name__:
            seconds, grown = hostile.run(target, attack, SHORT if options.short else FULL)
            print(f"survived {attack.__name__:24} {seconds:7.1f} s   access +{grown / 1048576:.1f} MiB", flush=True)
    assert target.house.stop() == 0, target.house.tail()


if __name__ == "__main__":
    main()
