"""How `post` logs in: with an access token, by a mechanism of one's choice, through a proxy; against a server of a page that only
listens. And raw bytes in a header, which mean what the letter's charset says."""
import base64
import os
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import house


def lines(connection):
    with connection.makefile("rb") as f:
        yield from (line.rstrip(b"\r\n").decode() for line in f)


class Station(threading.Thread):
    """Takes one connection, as an HTTP proxy first when it is asked to, then as a submission server that believes everybody."""

    def __init__(self, proxied):
        super().__init__(daemon=True)
        self.socket = socket.create_server((house.network() + ".7", 0))
        self.heard, self.proxied = [], proxied
        self.start()

    def run(self):
        c, _ = self.socket.accept()
        heard = lines(c)
        c.settimeout(120)
        if self.proxied:
            for line in heard:
                self.heard.append(line)
                if not line:
                    break
            c.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        c.sendall(b"220 station.test ESMTP\r\n")
        for line in heard:
            self.heard.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                c.sendall(b"250-station.test\r\n250 AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2\r\n")
            elif verb == "AUTH":
                if len(line.split(" ")) == 2:
                    c.sendall(b"334 \r\n")
                    self.heard.append(next(heard))
                c.sendall(b"235 2.7.0 welcome\r\n")
            elif verb == "QUIT":
                c.sendall(b"221 bye\r\n")
                break
            else:
                c.sendall(b"250 ok\r\n")
        c.close()


class PostLogin(unittest.TestCase):
    def talk(self, *words, proxied=False, **environment):
        station = Station(proxied)
        ip, port = station.socket.getsockname()[:2]
        where = [f"--server={ip}", f"--port={port}"] if not proxied else ["--server=far.test", "--port=587", f"--proxy=http://{ip}:{port}", "--plaintext"]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("POST_")}
        done = subprocess.run([house.POST, "send", *where, "--tls=none", "--user=me@a.test", "--from=me@a.test", "--to=you@a.test", "--text=x", "--stop-after=auth", *words],
                              env={**clean, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        station.join(60)
        station.socket.close()
        return station.heard

    def answer(self, heard):
        at = next(i for i, line in enumerate(heard) if line.startswith("AUTH "))
        words = heard[at].split(" ")
        return words[1], base64.b64decode(words[2] if len(words) > 2 else heard[at + 1]).decode()

    def test_token_from_a_command(self):
        mechanism, said = self.answer(self.talk("--oauth", "--password-command", "echo t0ken"))
        self.assertIn(mechanism, ("OAUTHBEARER", "XOAUTH2"))
        self.assertIn("auth=Bearer t0ken\x01", said)

    def test_token_and_mechanism(self):
        mechanism, said = self.answer(self.talk("--oauth", "--password-env", "TOKEN", "--auth", "XOAUTH2", TOKEN="t0ken"))
        self.assertEqual((mechanism, said), ("XOAUTH2", "user=me@a.test\x01auth=Bearer t0ken\x01\x01"))

    def test_mechanism(self):
        mechanism, said = self.answer(self.talk("--auth", "LOGIN", "--password-env", "PASS", PASS="secret"))
        self.assertEqual(mechanism, "LOGIN")
        self.assertIn(said, ("me@a.test", ""))

    def test_proxy(self):
        heard = self.talk("--password-env", "PASS", "--auth", "PLAIN", PASS="secret", proxied=True)
        self.assertTrue(heard[0].startswith("CONNECT far.test:587 "), heard)
        self.assertEqual(self.answer(heard), ("PLAIN", "\0me@a.test\0secret"))

    def test_raw_bytes_in_a_header(self):
        cases = ((b"charset=gb2312", b"", "\u4f60\u597d".encode("gb2312"), "\u4f60\u597d"),
                 (b"charset=koi8-r", b"", "\u043f\u0440\u0438\u0432\u0435\u0442".encode("koi8-r"), "\u043f\u0440\u0438\u0432\u0435\u0442"),
                 (b"charset=gb2312", b"", "\u4f60\u597d".encode(), "\u4f60\u597d"),
                 (b"name=x", b"=?gb2312?B?1cXI/Q==?= ", "\u4f60\u597d".encode("gb2312"), "\u4f60\u597d"))
        for parameter, name, raw, want in cases:
            with tempfile.NamedTemporaryFile(suffix=".eml") as f:
                Path(f.name).write_bytes(b"From: " + name + b"<z@a.test>\r\nSubject: " + raw + b"\r\nContent-Type: text/plain; " + parameter + b"\r\n\r\nx\r\n")
                done = subprocess.run([house.POST, "read", f.name], capture_output=True, timeout=120)
            self.assertIn(f"Subject: {want}\n", done.stdout.decode())


if __name__ == "__main__":
    unittest.main()
