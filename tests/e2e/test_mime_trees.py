"""Letters of our own with the tree, the defects and the attachments that must come out: tests/mime/trees/NAME.eml and NAME.json. Each is
also parsed in pieces of every size, and so is real mail, where the corpus lies beside the project (POSTHOUSE_CORPUS=all: every message).

    python3 tests/e2e/test_mime_trees.py --write NAME...    writes what comes out now; look at it before it is kept
"""
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

from house import BUILD, CORPUS, POST, ROOT

TREES = ROOT / "tests/mime/trees"
DUMP, CUTS = BUILD / "tests/unit/mime/mime_dump", BUILD / "tests/unit/mime/mime_cuts"
SAMPLE = 10  # every tenth message of the corpus in ./check


def brief(part):
    """What is told of a part: always where it is, the rest when it says something."""
    told = {"type": f"{part['type']}/{part['subtype']}".lower(), "header": part["ranges"][:2], "body": part["ranges"][2:], "lines": part["lines"]}
    for name, default in (("encoding", "7bit"), ("disposition", ""), ("filename", None), ("charset", None)):
        if part[name] != default:
            told[name] = part[name]
    if "parts" in part:
        told["parts"] = [brief(p) for p in part["parts"]]
    return told


def seen(paths):
    """What comes out of each letter."""
    for line in subprocess.run([DUMP, *paths], capture_output=True, check=True).stdout.split(b"\n")[:len(paths)]:
        found = json.loads(line)
        yield {"tree": brief(found["root"]), "defects": found["defects"], "attachments": found["attachments"]}


def written(found):
    """A part, a defect a line."""
    def lines(part, indent):
        parts = part.pop("parts", None)
        text = json.dumps(part, ensure_ascii=False)
        if parts:
            text = text[:-1] + ', "parts": [\n' + ",\n".join(indent + " " + lines(p, indent + " ") for p in parts) + "]}"
        return text

    defects = ",\n  ".join(json.dumps(d) for d in found["defects"])
    return f'{{"tree":\n {lines(found["tree"], " ")},\n "defects": [{defects}],\n "attachments": {json.dumps(found["attachments"], ensure_ascii=False)}}}\n'


def cuts(paths, seed):
    for i in range(0, len(paths), 500):
        done = subprocess.run([CUTS, "-r", str(seed), *paths[i:i + 500]], capture_output=True, text=True)
        if done.returncode:
            return done.stdout + done.stderr
    return ""


class Trees(unittest.TestCase):
    def test_expected(self):
        letters = sorted(TREES.glob("*.eml"))
        self.assertGreater(len(letters), 60)
        for letter, found in zip(letters, seen(letters), strict=True):
            with self.subTest(letter.name):
                self.assertEqual(found, json.loads(letter.with_suffix(".json").read_text()))

    def test_post_tree(self):
        """The program shows the same defects, and the files that are in no tree."""
        for name, files in (("base64-rubbish", []), ("nested", []), ("uuencode-in-text", ["cat.txt", "dog"])):
            told = json.loads(subprocess.run([POST, "tree", "--json", TREES / f"{name}.eml"], capture_output=True, check=True).stdout)
            wanted = json.loads((TREES / f"{name}.json").read_text())["defects"]
            self.assertEqual([[d["name"], d["at"], "RISK" if d["risk"] else "NOTE"] for d in told["defects"]], wanted)
            self.assertEqual([f["name"] for f in told["uuencoded"]], files)

    def test_in_pieces(self):
        self.assertEqual(cuts(sorted(TREES.glob("*.eml")), 1), "")

    @unittest.skipUnless(CORPUS.is_dir(), "the corpus is not here")
    def test_corpus_in_pieces(self):
        every = 1 if os.environ.get("POSTHOUSE_CORPUS") == "all" else SAMPLE
        paths = sorted(p for p in CORPUS.rglob("*") if p.is_file())[::every]
        seed = int.from_bytes(os.urandom(3), "little")
        print(f"\ncounted: {len(paths)} messages whole, byte by byte and in random pieces (seed {seed})", flush=True)
        self.assertEqual(cuts(paths, seed), "")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        paths = [TREES / f"{Path(name).stem}.eml" for name in sys.argv[2:]]
        for path, found in zip(paths, seen(paths)):
            path.with_suffix(".json").write_text(written(found))
    else:
        unittest.main()
