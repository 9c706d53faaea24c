"""Our MIME library beside Python's email package and mime4j: the same trees and the same header values, or a class of difference that
docs/violations.md explains. A part of the corpus; all of it: tests/e2e/mime_python.py. Without the corpus these tests are skipped.
"""
import json
import re
import subprocess
import unittest
import warnings

import mime_python
from house import BUILD, CORPUS, ROOT

warnings.simplefilter("ignore")
DUMP = BUILD / "tests/unit/mime/mime_dump"
VALUES = BUILD / "tests/unit/mime/mime_values"
EVERY = 12  # messages of the corpus, besides all torture messages

# Where mime4j reads a tree differently, and the class of docs/violations.md that says why.
MIME4J = {
    "badbound": "multipart-without-parts", "missing-boundary": "multipart-without-parts", "missing-inner-boundary": "multipart-without-parts",
    "missing-inner-start-boundary": "multipart-without-parts", "multipartnopart": "multipart-without-parts",
    "ending-boundaries": "boundary-with-text-behind",
    "multi-2gifs-base64": "encoded-message", "bad-newlines-multiple-parts-base64": "encoded-message",
    "base64encoded-rfc822message-nested": "encoded-message", "base64encoded-rfc822message": "encoded-message",
    "very-long-boundary": "boundary-ends-in-space", "very-very-long-boundary": "boundary-ends-in-space",
    "weird-boundary": "boundary-ends-in-space",
}


def dump(paths, *options):
    out = []
    for i in range(0, len(paths), 500):
        done = subprocess.run([DUMP, *options, *paths[i:i + 500]], capture_output=True, check=True)
        out += [json.loads(line) for line in done.stdout.splitlines()]
    return out


def explained():
    """The classes that docs/violations.md has a section for."""
    return set(re.findall(r"^### `([a-z0-9-]+)`", (ROOT / "docs/violations.md").read_text(), re.M))


class Mime(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not CORPUS.is_dir():
            raise unittest.SkipTest("the corpus is not here")
        every = mime_python.corpus_files()
        cls.paths = sorted({*every[::EVERY], *(p for p in every if "realmail-spamassassin" not in p.parts)})

    def test_python_agrees(self):
        done = mime_python.Comparison(VALUES).run(self.paths)
        for line in done.report():
            print("counted:", line)
        self.assertEqual([row[:3] for row in done.unexplained], [])
        self.assertLessEqual(set(done.classes), explained())
        self.assertGreater(sum(done.compared.values()), 5 * len(self.paths), "hardly anything was compared")

    def test_mime4j_agrees(self):
        different = {name for name, ours, theirs in mime_python.mime4j(VALUES) if ours != theirs}
        self.assertEqual(different, set(MIME4J))
        self.assertLessEqual(set(MIME4J.values()), explained())

    def test_summary_is_the_tree(self):
        def tree(p):
            return [p["ranges"], p["lines"], p["charset"], p["disposition"], [tree(c) for c in p.get("parts", [])]]
        for path, a, b in zip(self.paths, dump(self.paths), dump(self.paths, "-s")):
            if not b["partial"]:
                hollow = "octet-stream" in json.dumps(b) or a["root"]["type"].lower() == "multipart"
                self.assertTrue(tree(a["root"]) == tree(b["root"]) or hollow, path)


if __name__ == "__main__":
    unittest.main()
