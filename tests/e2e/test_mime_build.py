"""Letters that we build, read by Python's email package, GMime and mutt; letters that Python builds, read by us: random ones with a fixed
seed. And what must be refused."""
import base64
import email
import email.headerregistry
import email.policy
import io
import json
import os
import pty
import random
import re
import select
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from house import BUILD

TOOL, GMIME, DUMP = (BUILD / "tests/unit/mime" / name for name in ("mime_build", "gmime_read", "mime_dump"))
PATIENCE = 120
SEED = int(os.environ.get("POSTHOUSE_SEED", "7"))
LETTERS = "abcdefghijklmnopqrstuvwxyz     ABC.,-!?()\"\\=_@äöüß漢字かな🙂é"


def build(specs):
    done = subprocess.run([TOOL], input="\n".join(json.dumps(s) for s in specs).encode() + b"\n", capture_output=True, check=True)
    out, f = [], io.BytesIO(done.stdout)
    while line := f.readline():
        word = line.split(None, 1)
        out.append(f.read(int(word[0])) if int(word[0]) >= 0 else line.decode())
    return out


def words(r, n, letters=LETTERS):
    return " ".join("".join(r.choice(letters) for _ in range(n)).split())


def spec(r, i):
    s = {"seed": i, "flags": r.choice([0, 0, 2]), "fields": [
        ["From", f"{json.dumps(words(r, 12, 'abc def äü漢.'), ensure_ascii=False)} <from{i}@example.test>"],
        ["To", ", ".join(f"\"{words(r, r.randint(1, 90), 'abcdef ghij,.()ä')}\" <to{k}@example.test>" for k in range(r.randint(1, 9)))],
        ["Bcc", "secret@example.test"], ["Subject", words(r, r.choice([5, 40, 80, 300]))], ["X-Long", words(r, 500, "abcdefgh  ")],
        ["References", " ".join(f"<{r.getrandbits(90)}@example.test>" for _ in range(r.randint(1, 20)))]]}
    lines = [words(r, r.randint(0, 90), r.choice([LETTERS, "plain text only "])) + r.choice(["", "", " ", "\t"]) for _ in range(r.randint(0, 40))]
    if r.random() < 0.2:
        lines.append("x" * 3000)
    if r.random() < 0.8:
        s["text"] = r.choice(["\n", "\r\n"]).join(lines) + r.choice(["\n", ""])
    if r.random() < 0.5:
        s["html"] = "<p>" + "<br>\n".join(lines).replace("\\", "") + "</p>\n"
    file = lambda: {"name": r.choice(["a.bin", "Bericht für März.pdf", "漢" * 60 + ".txt", "quote\"back\\slash.txt", "", "x" * 90 + ".png"]),
                   "type": r.choice(["", "image/png", "text/plain; charset=utf-8"]), "data": "".join(chr(r.getrandbits(8)) for _ in range(r.choice([0, 1, 57, 1000, 70001])))}
    s["files"] = [file() for _ in range(r.randint(0, 3))]
    s["pictures"] = [file() for _ in range(r.choice([0, 0, 1, 2]))]
    if "html" in s:
        s["html"] += "".join(f'<img src="cid:{i + 1}">\n' for i in range(len(s["pictures"])))
    return s


def resolved(html, parts):
    """The HTML with the numbers of its pictures, which the letter has as content ids, in their place again."""
    for i, p in enumerate(q for q in parts if q["content-id"]):
        html = html.replace("cid:" + p["content-id"].strip("<> "), f"cid:{i + 1}")
    return html


def text_of(part):
    return part.get_payload(decode=True).decode("utf-8").replace("\r\n", "\n")


def wanted(text):
    text = text.replace("\r\n", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def run_mutt(home, mbox, keys):
    """mutt on a terminal of its own; it ends by the keys."""
    pid, terminal = pty.fork()
    if pid == 0:
        settings = f"set folder={home} charset=utf-8 pipe_decode=yes pipe_split=no wait_key=no quit=yes move=no"
        os.execvpe("mutt", ["mutt", "-F", "/dev/null", "-f", str(mbox), "-e", settings, "-e", f"push '{keys}'"],
                   {**os.environ, "TERM": "vt100", "LC_ALL": "C.UTF-8", "HOME": str(home)})
    try:
        while select.select([terminal], [], [], PATIENCE)[0] and os.read(terminal, 65536):
            pass
        os.kill(pid, signal.SIGKILL)  # it asks something that nobody answers
    except OSError:  # the other end is closed: it has ended
        pass
    os.waitpid(pid, 0)
    os.close(terminal)


class Build(unittest.TestCase):
    def test_random_letters(self):
        r = random.Random(SEED)
        print(f"seed {SEED}")
        specs = [spec(r, i) for i in range(100)]
        for s, raw in zip(specs, build(specs)):
            self.assertIsInstance(raw, bytes, raw)
            with self.subTest(seed=s["seed"]):
                self.check(s, raw)

    def check(self, s, raw):
        self.assertNotIn(b"secret@", raw)
        self.assertEqual(raw.count(b"\n"), raw.count(b"\r\n"))
        self.assertLessEqual(max(map(len, raw.split(b"\r\n"))), 998)
        head = raw.split(b"\r\n\r\n")[0]
        self.assertLessEqual(max(map(len, head.split(b"\r\n"))), 78 + 20)
        if not s["flags"]:
            self.assertTrue(raw.isascii())
        m = email.message_from_bytes(raw, policy=email.policy.default)
        fields = dict(s["fields"])
        self.assertEqual(" ".join(m["subject"].split()), fields["Subject"])
        self.assertEqual(" ".join(m["x-long"].split()), fields["X-Long"])
        self.assertEqual(m["references"].split(), fields["References"].split())
        self.assertEqual([a.addr_spec for a in m["from"].addresses], [f"from{s['seed']}@example.test"])
        self.assertEqual(len(m["to"].addresses), fields["To"].count("@"))
        self.assertEqual(m["mime-version"], "1.0")
        self.assertTrue(m["message-id"] and m["date"])
        parts = [p for p in m.walk() if not p.is_multipart()]
        self.assertFalse([d for p in m.walk() for d in p.defects])
        files = [p for p in parts if p.get_content_disposition()]
        self.assertEqual(sorted(p.get_payload(decode=True) for p in files), sorted(f["data"].encode("latin-1") for f in s["files"] + s["pictures"]))
        self.assertEqual(sorted(p.get_filename() or "" for p in files), sorted(f["name"] for f in s["files"] + s["pictures"]))
        texts = [p for p in parts if not p.get_content_disposition()]
        if s.get("text"):
            self.assertEqual(text_of(texts[0]), wanted(s["text"]))
        if "html" in s:
            self.assertEqual(texts[-1].get_content_type(), "text/html")
            self.assertEqual(resolved(text_of(texts[-1]), parts), wanted(s["html"]))

    def test_read_by_gmime(self):
        """libgmime-3.0-dev is among the packages of ./check."""
        r = random.Random(SEED + 1)
        print(f"seed {SEED + 1}")
        specs = [spec(r, i) for i in range(100)]
        letters = build(specs)
        given = b"".join(b"%d\n" % len(raw) + raw for raw in letters)
        out = subprocess.run([GMIME], input=given, capture_output=True, check=True).stdout.splitlines()
        self.assertEqual(len(out), len(specs))
        for s, raw, line in zip(specs, letters, out):
            with self.subTest(seed=s["seed"]):
                self.check_gmime(s, email.message_from_bytes(raw, policy=email.policy.default), json.loads(line))

    def check_gmime(self, s, by_python, read):
        text = lambda hexed: bytes.fromhex(hexed).decode()
        fields = dict(s["fields"])
        self.assertEqual(" ".join(text(read["subject"]).split()), fields["Subject"])
        self.assertEqual("<" + text(read["id"]) + ">", by_python["message-id"])
        self.assertEqual([(text(name), text(address)) for name, address in read["to"]], re.findall(r'"([^"]*)" <([^>]*)>', fields["To"]))
        self.assertEqual([(text(kind), text(name), bytes.fromhex(data)) for kind, name, data in read["parts"]],
                         [(p.get_content_type(), p.get_filename() or "", p.get_payload(decode=True)) for p in by_python.walk() if not p.is_multipart()])

    def test_read_by_mutt(self):
        """What mutt pipes, decoded, has each subject, name and text as it was given."""
        r = random.Random(SEED + 3)
        print(f"seed {SEED + 3}")
        specs = [{"fields": [["From", f'"{words(r, 20, "abc äü漢")}x" <a@b.test>'], ["Subject", words(r, r.choice([5, 60]))]],
                  "text": "\n".join(words(r, 60) for _ in range(r.randint(1, 20)))} for _ in range(20)]
        with tempfile.TemporaryDirectory() as top:
            mbox, out = Path(top, "mbox"), Path(top, "out")
            mbox.write_bytes(b"".join(b"From a@b.test Sun Nov 22 10:00:00 2026\n" + raw.replace(b"\r\n", b"\n") + b"\n" for raw in build(specs)))
            run_mutt(top, mbox, f"<tag-pattern>~A<enter><tag-prefix><pipe-message>cat > {out}<enter><quit>")
            read = " ".join(out.read_text().split())
        for s in specs:
            fields = dict(s["fields"])
            for wanted in (fields["Subject"], fields["From"].split('"')[1], s["text"]):
                self.assertIn(" ".join(wanted.split()), read)

    def test_built_by_python(self):
        """A message that EmailMessage writes reads as EmailMessage had it."""
        r = random.Random(SEED + 2)
        print(f"seed {SEED + 2}")
        with tempfile.TemporaryDirectory() as top:
            made = [self.make_by_python(r, Path(top) / f"{i}.eml", i) for i in range(60)]
            done = subprocess.run([DUMP, *[path for path, *_ in made]], capture_output=True, check=True)
            for (path, subject, address, text, files), line in zip(made, done.stdout.splitlines(), strict=True):
                with self.subTest(number=path.name):
                    self.check_dump(path.read_bytes(), json.loads(line), subject, address, text, files)

    def make_by_python(self, r, path, i):
        m = email.message.EmailMessage(policy=email.policy.SMTP)
        subject, text = words(r, r.choice([5, 80, 300])), "\n".join(words(r, 60) for _ in range(r.randint(1, 20))) + "\n"
        m["Subject"], m["From"] = subject, email.headerregistry.Address(words(r, 12, "abc äü漢.,"), f"a{i}", "example.test")
        m.set_content(text)
        if r.random() < 0.5:
            m.add_alternative("<p>" + words(r, 90), "html")
        files = [(f"{k}" + r.choice(["a.bin", "Bericht für März.pdf", "漢" * 60 + ".txt"]), r.randbytes(r.choice([0, 1, 58, 3000]))) for k in range(r.randint(0, 3))]
        for name, data in files:
            m.add_attachment(data, "application", "octet-stream", filename=name)
        path.write_bytes(m.as_bytes())
        if subject != " ".join(email.message_from_bytes(m.as_bytes(), policy=email.policy.default)["subject"].split()):
            del m["Subject"]  # its own folding loses a space now and then
            m["Subject"] = subject = f"Grüße {i}"
            path.write_bytes(m.as_bytes())
        return path, subject, m["from"].addresses[0], text, files

    def check_dump(self, raw, read, subject, address, text, files):
        root = read["root"]
        self.assertEqual(" ".join(root["envelope"]["subject"].split()), subject)
        self.assertEqual("@".join(root["envelope"]["from"][0][2:]), address.addr_spec)
        self.assertEqual(read["text"], text)
        parts = [p for p in root.get("parts", []) if p["disposition"] == "attachment"]
        bodies = [base64.b64decode(raw[p["ranges"][2]:p["ranges"][2] + p["ranges"][3]]) for p in parts]
        self.assertEqual([(p["filename"], body) for p, body in zip(parts, bodies)], files)
        self.assertEqual([d for d in read["defects"] if d[2] == "RISK"], [])

    def test_refused(self):
        base = [["From", "a@b.test"]]
        for field in (["Subject", "a\r\nBcc: x@y.test"], ["Subject", "a\nb"], ["X-A", "nul\0"], ["X:Y", "1"], ["Content-Type", "text/plain"],
                      ["To", "nobody"], ["To", "a@"], ["To", "@b"], ["To", "ä@b.test"], ["MIME-Version", "2"]):
            self.assertTrue(build([{"fields": base + [field], "text": "x"}])[0].startswith("-"), field)
        self.assertIn("From", build([{"fields": [], "text": "x"}])[0])

    def test_shapes(self):
        def shape(m):
            return m.get_content_subtype() if not m.is_multipart() else {m.get_content_subtype(): [shape(p) for p in m.get_payload()]}
        base = {"fields": [["From", "a@b.test"]]}
        picture, file, html = {"name": "a.png", "data": "x"}, {"name": "b.pdf", "data": "y"}, "<img src=cid:a.png>"
        rows = [({"text": "t"}, "plain"), ({"html": "h"}, {"alternative": ["plain", "html"]}), ({"text": "t", "files": [file]}, {"mixed": ["plain", "pdf"]}),
                ({"files": [file]}, "pdf"), ({}, "plain"),
                ({"text": "t", "html": html, "pictures": [picture], "files": [file]}, {"mixed": [{"related": [{"alternative": ["plain", "html"]}, "png"]}, "pdf"]}),
                ({"text": "t", "html": html, "pictures": [picture]}, {"related": [{"alternative": ["plain", "html"]}, "png"]}),
                ({"text": "t", "pictures": [picture], "files": [file]}, {"mixed": ["plain", "png", "pdf"]})]
        for more, expected in rows:
            self.assertEqual(shape(email.message_from_bytes(build([{**base, **more}])[0])), expected)


if __name__ == "__main__":
    unittest.main()
