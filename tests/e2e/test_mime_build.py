"""Letters that we build, read by Python's email package: random ones with a fixed seed, and what must be refused."""
import email
import email.policy
import io
import json
import os
import random
import subprocess
import unittest

from house import BUILD

TOOL = BUILD / "tests/unit/mime/mime_build"
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


class Build(unittest.TestCase):
    def test_random_letters(self):
        r = random.Random(SEED)
        print(f"seed {SEED}")
        specs = [spec(r, i) for i in range(150)]
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
