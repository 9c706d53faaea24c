"""Plays dialogues of tests/script/*.imap against an IMAP server, and those of *.pop3 against a POP3 server.

A file is a list of dialogues. `## name` begins one; behind it in brackets what it needs: [base] it also holds for any IMAP4rev1 server, or
a capability. Each dialogue has a mailbox of its own, $M, with the standard letters of `letters N`, and one session that is logged in
and has selected $M, unless `login no` or `select no` is said. `letter text` appends one more letter, where it stands. Lines:

    C: text        the client sends text and CRLF; escapes \\r \\n \\0 \\\\ \\xE9 ; "2C:" is what the second session sends (made when first named)
    C~ text        the same without CRLF
    S: pattern     the next response is this; <...> stands for a regular expression; literals are part of their response; <"text> is that
                   text as a quoted string or as a literal
    S? pattern     some response that comes is this; those before it are passed over
    S+ pattern     as S:, but several of them in any order
    <x:regex> remembers what it matched; $x is that, in later lines
    S! pattern     no response since the last C: of that session was like this
    row x ;; y     the lines of the dialogue behind the rows are played once for each row, with %1 and %2 for its parts
    compress       from here on the session is compressed
    wait pattern   a response like this comes, if not now then after NOOPs (as long as patience lasts)

In a *.pop3 every line is a response, and the letters are in the INBOX.
A response is one line, with the bytes of its literals inside. Matching is of the whole response; case does not matter.
"""
import os
import re
import socket
import time
import zlib
from pathlib import Path

PATIENCE = float(os.environ.get("PATIENCE", 90))
FOLDER = Path(__file__).resolve().parents[1] / "script"

LETTERS = [
    b"From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: one\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <1@a>\r\n\r\nfirst body\r\n",
    b"From: Bea <bea@a.test>\r\nTo: ann@a.test\r\nCc: cid@c.test\r\nSubject: Re: one\r\nDate: Tue, 8 Feb 1994 10:00:00 +0000\r\nMessage-ID: <2@a>\r\n"
    b"In-Reply-To: <1@a>\r\nReferences: <1@a>\r\n\r\nsecond body, a longer one than the first\r\n",
    b"From: Cid <cid@c.test>\r\nTo: bob@b.test\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nDate: Sun, 6 Feb 1994 10:00:00 +0000\r\nMessage-ID: <3@a>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"SGVsbG8gV29ybGQK\r\n--bb\r\nContent-Type: application/octet-stream; name=x.bin\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=x.bin\r\n\r\nAAECAwQ=\r\n--bb--\r\n",
    b"From: Dee <dee@d.test>\r\nTo: bob@b.test\r\nSubject: alpha\r\nDate: Wed, 9 Feb 1994 10:00:00 +0000\r\nMessage-ID: <4@a>\r\n\r\nfourth\r\n",
    b"From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: Re: Re: one\r\nDate: Thu, 10 Feb 1994 10:00:00 +0000\r\nMessage-ID: <5@a>\r\n"
    b"References: <1@a> <2@a>\r\n\r\nfifth\r\n",
]


class Failure(AssertionError):
    pass


class Session:
    """One connection; a background-free reader of responses."""

    def __init__(self, server):
        self.sock = socket.create_connection((server.ip, server.port), PATIENCE)
        self.sock.settimeout(PATIENCE)
        self.inflate = self.deflate = None
        self.buf = b""
        self.since, self.held = [], []
        self.asked = ""  # the last C: line
        self.greeting = self.response()

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Failure("the server closed the connection")
        self.buf += self.inflate.decompress(data) if self.inflate else data

    def response(self):
        out = b""
        while True:
            while b"\r\n" not in self.buf:
                self.more()
            line, self.buf = self.buf.split(b"\r\n", 1)
            out += line
            literal = re.search(rb"\{(\d+)\}$", line)
            if not literal:
                self.since.append(out)
                return out
            n = int(literal[1])
            while len(self.buf) < n:
                self.more()
            out += b"\r\n" + self.buf[:n]
            self.buf = self.buf[n:]

    def send(self, data):
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.sock.sendall(data)

    def command(self, tag, text):
        """Sends a command of the runner itself; its responses are no part of the dialogue."""
        self.send(tag + b" " + text + b"\r\n")
        while True:
            line = self.response()
            if line.startswith(tag + b" "):
                if not line.startswith(tag + b" OK"):
                    raise Failure(f"{text[:80]}: {line}")
                return

    def close(self):
        self.sock.close()


class PopSession(Session):
    """The same over POP3, where every line is a response."""

    def __init__(self, server):
        super().__init__(PopServer(server))

    def response(self):
        while b"\r\n" not in self.buf:
            self.more()
        line, self.buf = self.buf.split(b"\r\n", 1)
        self.since.append(line)
        return line


class PopServer:
    def __init__(self, server):
        self.ip, self.port = server.ip, server.pop3_port


def unescape(text):
    known = {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"\\": b"\\"}
    return re.sub(rb"\\(r|n|0|\\|x..)", lambda m: known.get(m[1]) or bytes([int(m[1][1:], 16)]), text.encode())


def string(text):
    """A pattern of this string in either form."""
    raw = unescape(text)
    return b'(?:"%s"|\\{%d\\}\r\n%s)' % (re.escape(re.sub(rb'(["\\])', rb"\\\1", raw)), len(raw), re.escape(raw))


def pattern(text):
    regex = b""
    for i, part in enumerate(re.split(r"<([^<>]*)>", text)):
        named = re.match(r"([a-z]):(.*)", part)
        if i % 2 == 0:
            regex += re.escape(unescape(part))
        elif part.startswith('"') and part != '"?':
            regex += string(part[1:])
        elif named:
            regex += b"(?P<%s>%s)" % (named[1].encode(), named[2].encode())
        else:
            regex += b"(?:%s)" % part.encode()
    return re.compile(regex, re.I | re.S)


class Dialogue:
    def __init__(self, file, line, name, needs):
        self.file, self.line, self.name, self.needs, self.steps = file, line, name, needs, []
        self.letters, self.login, self.select = 0, True, True
        self.rows = []  # each with the number of the step it stands before

    def __str__(self):
        return f"{self.file}:{self.line} {self.name}"

    def played(self):
        """The steps, those behind the rows once for each of them."""
        if not self.rows:
            return self.steps
        at = self.rows[0][0]
        fill = lambda text, row: re.sub(r"%(\d)", lambda m: row[int(m[1]) - 1], text)  # noqa: E731
        return self.steps[:at] + [(n, who, what, fill(text, row)) for _, row in self.rows for n, who, what, text in self.steps[at:]]


def load(path):
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        head = re.match(r"## (.*?)(?: \[([^\]]*)\])?$", line)
        if head:
            found.append(Dialogue(path.name, number, head[1], (head[2] or "").split()))
        elif line.startswith("letters "):
            found[-1].letters = int(line.split()[1])
        elif line in ("login no", "select no"):
            setattr(found[-1], line.split()[0], False)
        elif line == "compress":
            found[-1].steps.append((number, 1, "compress", ""))
        elif line.startswith("letter "):
            found[-1].steps.append((number, 0, "letter", line[7:]))
        elif line.startswith("row "):
            found[-1].rows.append((len(found[-1].steps), line[4:].split(" ;; ")))
        elif line.strip() and not line.startswith("#"):
            step = re.match(r"(\d?)(C|S):(?: (.*))?$|(\d?)(S[?+!]|C~|wait) (.*)$", line)
            if not step:
                raise Failure(f"{path.name}:{number}: not a step: {line}")
            who, what, text = (step[1], step[2], step[3] or "") if step[2] else (step[4], step[5], step[6])
            found[-1].steps.append((number, int(who or 1), what, text))
    return found


class Player:
    """server: ip, port, user, password, prefix (of mailbox names)."""
    count = 0

    def __init__(self, server):
        self.server = server
        self.admin = Session(server)
        self.login(self.admin)

    def login(self, session):
        session.command(b"login", b'LOGIN "%s" "%s"' % (self.server.user.encode(), self.server.password.encode()))
        session.since.clear()

    def open(self, d, mailbox):
        session = Session(self.server)
        if d.login:
            self.login(session)
            if d.select:
                session.command(b"select", b"SELECT " + mailbox)
        session.since.clear()
        return session

    def append(self, mailbox, letter):
        self.admin.send(b"app APPEND %s {%d}\r\n" % (mailbox, len(letter)))
        self.admin.response()
        self.admin.send(letter + b"\r\n")
        while not self.admin.response().startswith(b"app OK"):
            pass

    def prepare(self):
        Player.count += 1
        mailbox = b"s%d" % Player.count
        self.admin.command(b"create", b"CREATE " + mailbox)
        return mailbox

    def clean(self, mailbox):
        self.admin.send(b"del DELETE " + mailbox + b"\r\n")
        while not self.admin.response().startswith(b"del "):
            pass

    def play(self, d):
        mailbox = self.prepare()
        for letter in LETTERS[:d.letters]:
            self.append(mailbox, letter)
        sessions, names = {}, {"M": mailbox.decode()}
        try:
            for number, who, what, text in d.played():
                text = re.sub(r"\$([A-Za-z])(?![A-Za-z])", lambda m: names.get(m[1], m[0]), text)
                if what == "letter":
                    self.append(mailbox, unescape(text))
                    continue
                if who not in sessions:
                    sessions[who] = self.open(d, mailbox)
                try:
                    names.update(self.step(sessions[who], what, text) or {})
                except (Failure, OSError) as e:
                    raise Failure(f"{d.file}:{number} ({d.name}): {what} {text}\n    {e}\n    behind: {sessions[who].asked[:400]}") from e
        finally:
            for session in sessions.values():
                session.close()
            self.clean(mailbox)

    def step(self, s, what, text):
        """The names that were remembered."""
        if what in ("C", "C~"):
            s.since.clear()
            s.asked = text
            s.send(unescape(text) + (b"\r\n" if what == "C" else b""))
            return None
        if what == "compress":
            s.inflate, s.deflate = zlib.decompressobj(-15), zlib.compressobj(9, zlib.DEFLATED, -15)
            return None
        want = pattern(text)
        if what in ("S", "S?"):
            passed = []
            while True:
                got = s.response()
                match = want.fullmatch(got)
                if match:
                    return {k: v.decode() for k, v in match.groupdict().items()}
                passed.append(got[:400])
                if what == "S" or re.match(rb"[a-z]\d+ (OK|NO|BAD)", got):
                    raise Failure(f"got {passed}")
        elif what == "S+":
            while True:
                held = next((got for got in s.held if want.fullmatch(got)), None)
                if held is not None:
                    s.held.remove(held)
                    break
                if s.held and re.match(rb"[a-z]\d+ (OK|NO|BAD)", s.held[-1]):
                    raise Failure(f"got only {s.held}")
                s.held.append(s.response())
        elif what == "S!":
            for got in s.since:
                if want.fullmatch(got):
                    raise Failure(f"came: {got}")
        else:
            self.wait(s, want)
        return None

    def wait(self, s, want):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            s.send(b"w1 NOOP\r\n")
            while True:
                got = s.response()
                if want.fullmatch(got):
                    while not got.startswith(b"w1 "):
                        got = s.response()
                    return
                if got.startswith(b"w1 "):
                    break
            time.sleep(0.02)
        raise Failure("it did not come")


class PopPlayer(Player):
    """server also has pop3_port; its INBOX is emptied before each dialogue."""

    def prepare(self):
        self.admin.command(b"select", b"SELECT INBOX")
        if int(next(r for r in self.admin.since if r.endswith(b" EXISTS")).split()[1]):
            self.admin.command(b"mark", b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
        self.admin.command(b"close", b"CLOSE")
        self.admin.since.clear()
        return b"INBOX"

    def clean(self, mailbox):
        pass

    def open(self, d, mailbox):
        session = PopSession(self.server)
        if d.login:
            for text in (b"USER " + self.server.user.encode(), b"PASS " + self.server.password.encode()):
                session.send(text + b"\r\n")
                if not session.response().startswith(b"+OK"):
                    raise Failure(f"{text}: {session.since}")
        session.since.clear()
        return session
