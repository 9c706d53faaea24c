#!/usr/bin/env python3
"""Every program of docs/cookbook has at most 25 lines, compiles without a warning against the installed library, and does what it says."""
import atexit
import email
import email.policy
import json
import os
import re
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
os.environ["POSTHOUSE_BUILD"] = str(Path(sys.argv[1]).resolve())
import house  # noqa: E402

BOOK = ROOT / "docs" / "cookbook"
LINES_MOST = 25
LARGE = int(os.environ.get("POSTHOUSE_LARGE", 128 << 20))  # bytes of the file that is attached; 2 GiB and more for who has the time
MEMORY_MORE = 16 * 1024  # KiB

LETTER = """From: =?utf-8?Q?J=C3=BCrgen?= <j@a.test>
To: me@example.org, c@d.test
Subject: AW: =?utf-8?B?R3LDvMOfZQ==?=
Message-ID: <1@a.test>
Date: Sun, 22 Nov 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<p>Gr=FC=DFe
--b
Content-Type: application/pdf; name="../a b.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment

aGVsbG8=
--b--
""".replace("\n", "\r\n").encode()

REPORT = """From: MAILER-DAEMON@mx.test
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; gone@b.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 no such user
--b--
""".replace("\n", "\r\n").encode()


def run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, timeout=120, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done.stdout


def parsed(raw):
    assert raw.count(b"\n") == raw.count(b"\r\n"), raw
    return email.message_from_bytes(raw.replace(b"\r\n", b"\n"), policy=email.policy.default)


def shape(m):
    return m.get_content_subtype() if m.get_content_maintype() != "multipart" else {m.get_content_subtype(): [shape(p) for p in m.iter_parts()]}


class Server(socketserver.StreamRequestHandler):
    """Takes one letter by SMTP."""
    got = {}

    def handle(self):
        self.wfile.write(b"220 test ESMTP\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            self.got.setdefault(verb, line.strip())
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.got["letter"] = b"".join(iter(self.rfile.readline, b".\r\n"))
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")


class Cookbook:
    def __init__(self, build, top):
        run("meson", "install", "-C", build, "--destdir", top, "--no-rebuild")
        self.top = Path(top)
        self.env = {**os.environ, "LD_LIBRARY_PATH": str(next(self.top.rglob("libposthouse.so")).parent)}
        pc = next(self.top.rglob("posthouse.pc"))
        prefix = next(self.top.rglob("posthouse/base.h")).parents[2]
        self.flags = run("pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "--libs", "posthouse",
                         env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}).decode().split()
        options = {o["name"]: o["value"] for o in json.loads(run("meson", "introspect", "--buildoptions", build))}
        self.more = [] if options["b_sanitize"] == "none" else [f"-fsanitize={options['b_sanitize']}"]

    def compile(self, name):
        run("gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-g", *self.more, BOOK / f"{name}.c", "-o", self.top / name, *self.flags)

    def run(self, name, *words, given=b""):
        return run(self.top / name, *words, input=given, env=self.env, cwd=self.top)

    # ---- one function for each program

    def plain(self):
        m = parsed(self.run("plain"))
        assert m["from"] == "Jürgen <juergen@example.org>" and m["subject"] == "Grüße aus Köln" and m["date"] and m["message-id"]
        assert m["to"].addresses[0].display_name == "漢字" and m.get_content() == "Hello!\nHow are you?\n"

    def html(self):
        m = parsed(self.run("html"))
        assert shape(m) == {"alternative": ["plain", "html"]}, shape(m)
        assert m.get_body(("plain",)).get_content().strip() == "Hello, you!", m.get_body(("plain",)).get_content()

    def alternatives(self):
        m = parsed(self.run("alternatives"))
        assert m.get_body(("plain",)).get_content() == "Hello, *you*!\n"
        assert shape(m) == {"alternative": ["plain", "html"]}, shape(m)
        assert m.get_body(("html",)).get_content() == "<p>Hello, <b>you</b>!</p>\n"

    def attach(self):
        file = self.top / "ä.bin"
        file.write_bytes(bytes(range(256)) * 1000)
        m = parsed(self.run("attach", file))
        part = next(m.iter_attachments())
        assert part.get_filename() == "ä.bin" and part.get_content() == file.read_bytes()
        small, large = (self.peak(size) for size in (1 << 20, LARGE))
        assert large < small + MEMORY_MORE, f"{LARGE} bytes attached in {large} KiB, a megabyte in {small} KiB"
        print(f"counted: {LARGE >> 20} MiB attached in {large} KiB of memory, 1 MiB in {small} KiB")

    def peak(self, size):
        """KiB of memory at most, while a sparse file of that size is attached."""
        file = self.top / "sparse"
        with open(file, "wb") as f:
            f.truncate(size)
        child = subprocess.Popen([self.top / "attach", file], env=self.env, stdout=subprocess.PIPE)
        count = 0
        while block := child.stdout.read(1 << 20):
            count += len(block)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
        assert status == 0 and count > size // 57 * 78, (status, count)
        return used.ru_maxrss

    def pictures(self):
        for name in ("beach.jpeg", "sea.png"):
            (self.top / name).write_bytes(name.encode())
        m = parsed(self.run("pictures", "beach.jpeg", "sea.png"))
        assert shape(m) == {"related": [{"alternative": ["plain", "html"]}, "jpeg", "png"]}, shape(m)
        html = m.get_body(("html",)).get_content()
        for part in list(m.iter_parts())[1:]:
            assert "cid:" + part["content-id"].strip("<>") in html

    def forward(self):
        m = parsed(self.run("forward", given=LETTER))
        assert m["subject"] == "Fwd: AW: Grüße", m["subject"]
        assert next(m.iter_attachments()).get_content()["message-id"] == "<1@a.test>"

    def reply(self):
        m = parsed(self.run("reply", given=LETTER))
        assert (m["to"], m["cc"], m["subject"]) == ("Jürgen <j@a.test>", "c@d.test", "Re: Grüße"), m.items()
        assert m["in-reply-to"] == m["references"] == "<1@a.test>"
        assert m.get_content().startswith("Yes, gladly.\n\nOn Sun, 22 Nov 2026 10:00:00 +0100, Jürgen wrote:\n> Grüße\n"), m.get_content()

    def headers(self):
        out = self.run("headers", given=LETTER).decode().splitlines()
        assert out[:3] == ["by j@a.test", "about AW: Grüße", "at 1795338000"], out
        assert "Content-Type = multipart/mixed; boundary=b" in out

    def save(self):
        out = self.run("save", given=LETTER).decode().splitlines()
        assert out == ["saved a b.pdf, 5 bytes"], out
        assert (self.top / "a b.pdf").read_bytes() == b"hello"

    def parts(self):
        out = self.run("parts", given=LETTER).decode()
        assert out == "multipart/mixed\n  text/html\n<p>Grüße\n  application/pdf\n", out

    def text(self):
        assert self.run("text", given=LETTER).decode() == "Grüße\n"

    def edit(self):
        out = self.run("edit", given=LETTER)
        assert parsed(out)["subject"] == "[checked] ✓"
        old, new = LETTER.split(b"\r\n"), out.split(b"\r\n")
        assert [i for i, (a, b) in enumerate(zip(old, new)) if a != b] == [2] and len(old) == len(new)

    def remove(self):
        out = self.run("remove", given=LETTER)
        assert shape(parsed(out)) == {"mixed": ["html"]} and b"hello" not in out and LETTER.startswith(out[:-len(b"\r\n--b--\r\n")])

    def report(self):
        assert self.run("report", given=REPORT).decode() == "by mx.test\ngone@b.test: failed (5.1.1) 550 no such user\n"

    def send(self):
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            out = self.run("send", "127.0.0.1", server.server_address[1], "a@b.test", "c@d.test", "Hello").decode()
            server.shutdown()
        m = parsed(Server.got["letter"])
        assert out == "sent\n" and m.get_content() == "Hello\n", out
        assert b"<a@b.test>" in Server.got[b"MAIL"] and b"<c@d.test>" in Server.got[b"RCPT"]

    # ---- with a house of our own

    def at(self, port, user):
        if not hasattr(self, "house"):
            self.house = house.House("a.test", log_level="warn").start()
            self.alice, self.bob = self.house.account("alice"), self.house.account("bob")
            self.env["SSL_CERT_FILE"] = str(self.house.certificate())
            atexit.register(self.house.stop)
        user = getattr(self, user)
        return self.house.ip, house.PORTS[port], user, self.house.passwords[user]

    def arrived(self):
        """Bob has a letter of Alice."""
        where = self.at("submission", "alice")
        given = LETTER.replace(b"j@a.test", b"alice@a.test").replace(b"me@example.org, c@d.test", b"bob@a.test")
        out = self.run("starttls", *where, given=given).decode()
        for _ in range(1200):
            if self.house.imap_letters(self.bob):
                return out
            time.sleep(0.05)
        raise AssertionError("the letter did not arrive\n" + out)

    def starttls(self):
        out = self.arrived()
        for words in (" C EHLO ", " C STARTTLS", " C AUTH SCRAM-SHA-256-PLUS", "****", " C MAIL FROM:<alice@a.test>", " S 354 ", " C QUIT"):
            assert words in out, out
        assert self.house.passwords[self.alice] not in out

    def shown(self, name, port):
        self.arrived()
        out = self.run(name, *self.at(port, "bob")).decode()
        assert out == "multipart/mixed\n\ntext/html\n<p>Grüße\napplication/pdf\nhello\n", out

    def pop3(self):
        self.shown("pop3", "pop3s")

    def imap(self):
        self.shown("imap", "imaps")

    def trash(self):
        self.arrived()
        out = self.run("trash", *self.at("imaps", "bob"), "1:*").decode()
        assert out == "moved to Trash\n", out
        assert not self.house.imap_letters(self.bob) and self.house.imap_letters(self.bob, "Trash")


def main():
    names = sorted(p.stem for p in BOOK.glob("*.c"))
    listed = set(re.findall(r"\]\((\w+)\.c\)", (BOOK / "README.md").read_text()))
    assert listed == set(names), listed ^ set(names)
    with tempfile.TemporaryDirectory() as top:
        book = Cookbook(Path(sys.argv[1]).resolve(), top)
        for name in names:
            lines = len((BOOK / f"{name}.c").read_text().splitlines())
            assert lines <= LINES_MOST, f"{name}.c has {lines} lines"
            book.compile(name)
        for name in names:
            getattr(book, name)()
    print(f"{len(names)} programs compiled, run, and their output read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
