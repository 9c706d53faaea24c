#!/usr/bin/env python3
"""Every structured header field and every tree of parts as we read it, beside Python's email package (policy default).

    tests/e2e/mime_python.py [--build DIR] [--every N] [--show CLASS [--most N]] [FILE...]

Without files: the whole corpus, or every N-th message of it. Each difference is put into one of the classes below, which docs/violations.md
explains; what fits none is unexplained, printed, and makes the exit status 1.
"""
import argparse
import collections
import email
import email.policy
import json
import re
import subprocess
import sys
import warnings

from house import BUILD, CORPUS

ADDRESSES = ("from", "to", "cc", "bcc", "sender", "reply-to", "resent-from", "resent-to")
IDS = ("message-id", "in-reply-to", "references")
SKIPPED = ("SOURCE.txt", "NOTICE", "LICENSE", "ARTISTIC-LICENSE.txt", "README.txt", "keys.txt", "expected.tsv")


def corpus_files():
    return [p for p in sorted(CORPUS.rglob("*")) if p.is_file() and "fuzz-dictionaries" not in p.parts and "spf-rfc7208" not in p.parts
            and p.name not in SKIPPED and p.suffix not in (".xml", ".out") and "_decoded" not in p.name]


def ours(paths, tool):
    out = []
    for i in range(0, len(paths), 500):
        done = subprocess.run([tool, *paths[i:i + 500]], capture_output=True, check=True)
        out += [json.loads(line) for line in done.stdout.splitlines()]
    return out


# ---- what Python says, in our form ----

def their_addresses(value):
    found = []
    for group in value.groups:
        name = group.display_name
        found += [[name, a.display_name or None, a.username or None, a.domain or None] for a in group.addresses] or [[name]]
    return found


def their_date(value):
    when = value.datetime
    if when is None:
        return None
    offset = when.utcoffset()
    naive = when.replace(tzinfo=None)
    seconds = (naive - type(naive)(1970, 1, 1)).total_seconds()
    return [int(seconds - (offset.total_seconds() if offset else 0)), int(offset.total_seconds() // 60) if offset else 0]


def their_value(name, value):
    if name in ADDRESSES:
        return their_addresses(value)
    if name in ("date", "resent-date"):
        return their_date(value)
    if name in IDS:
        return re.findall(r"<[^<>]*>", str(value))
    if name == "mime-version":
        return None if value.major is None else [value.major, value.minor]
    return str(value)


FIELDS = (*ADDRESSES, *IDS, "date", "resent-date", "subject", "mime-version")


def their_fields(part):
    """(name, value or exception) of each field, in order."""
    found = []
    policy = part.policy
    for name, raw in part.raw_items():
        if name.lower() in FIELDS:
            try:
                found.append((name.lower(), their_value(name.lower(), policy.header_fetch_parse(name, raw))))
            except Exception as e:  # its parser has bugs of its own
                found.append((name.lower(), e))
    return found


def their_typed(part, name, attribute):
    try:
        value = part[name]
        return None if value is None else [getattr(value, attribute), {k.lower(): v for k, v in value.params.items()}]
    except Exception as e:
        return e


def compare_fields(mine, part, whole):
    """Yields (what, raw, ours, theirs) for each pair of values."""
    their = their_fields(part)
    if [f[0].lower() for f in mine["fields"]] != [f[0] for f in their]:
        yield "fields", whole, [f[0].lower() for f in mine["fields"]], [f[0] for f in their]
        return
    for (name, value, raw), (_, theirs) in zip(mine["fields"], their):
        name = name.lower()
        if name in ("date", "resent-date") and value:
            value = value[:2]
        if name in ADDRESSES:
            value = [[a or None for a in row] for row in value]
        yield name, raw, value, theirs
    if mine["raw_type"] is not None:
        yield ("content-type", mine["raw_type"], [f"{mine['type']}/{mine['subtype']}".lower(), mine["params"]],
               their_typed(part, "content-type", "content_type"))
    if mine["raw_disposition"] is not None:
        yield ("content-disposition", mine["raw_disposition"], [(mine["disposition"] or "").lower(), mine["disposition_params"]],
               their_typed(part, "content-disposition", "content_disposition"))


def their_shape(part, depth=0):
    kind = "leaf"
    children = []
    if part.is_multipart():
        children = part.get_payload()
        kind = "message" if part.get_content_maintype() == "message" else "multipart"
    return [(depth, kind, part)] + [row for c in children for row in their_shape(c, depth + 1)]


def compare(mine, msg, whole):
    their = their_shape(msg)
    shape = [(p["depth"], p["kind"], f"{p['type']}/{p['subtype']}".lower()) for p in mine]
    other = []
    for depth, kind, part in their:
        try:
            other.append((depth, kind, part.get_content_type()))
        except Exception as e:
            other.append((depth, kind, repr(e)))
    yield "structure", "", shape, other
    if [s[:2] for s in shape] != [s[:2] for s in other]:
        their, mine = their[:1], mine[:1]
    for p, (_, _, part) in zip(mine, their):
        yield from compare_fields(p, part, whole)


# ---- why they differ: every class has its section in docs/violations.md ----

NOTHING = [None, None, None, None]
BYTES = re.compile("[\x80-\U0010ffff]")


def explain_address(raw, a, b):
    """The classes that turn our entry into theirs, or None."""
    if len(a) != 4 or len(b) != 4:
        return None
    if b == NOTHING:
        beyond = re.search(r"@[^,]*@|\.\"|\[[^\]]*\]@|\.\s*(,|$)|^\s*@|@\s*(,|$)", raw)
        return {"address-not-grammatical"} if beyond else None
    found = set()
    if a[1] != b[1]:
        mine, other = a[1] or "", b[1] or ""
        if not other and f"({mine})" in " ".join(raw.split("\n")).replace("\\", "").replace("\t", " "):
            found.add("name-as-comment")
        elif re.search("[\ud800-\udfff\ufffd]", other) or (BYTES.search(raw) and BYTES.search(other)):
            found.add("raw-8bit")
        elif mine.strip() == other.strip():
            found.add("name-white-space")
        elif "=?" in other:
            found.add("encoded-word-inside-word")
        else:
            return None
    if b[2] and re.search("[\ud800-\udfff]", b[2]) and BYTES.sub("", a[2]) == BYTES.sub("", b[2]):
        found.add("raw-8bit")
    elif a[2:] != b[2:]:
        if not re.search(r"<[^>@]*[:;][^>]*>", raw):
            return None
        found.add("group-in-brackets")
    return found


def explain_addresses(raw, a, b):
    found = set()
    if "<>" in raw and len(a) != len(b):
        found.add("empty-brackets")
        b = [row for row in b if row != NOTHING]
    if len(a) != len(b):
        return None
    for mine, other in zip(a, b):
        if mine != other:
            why = explain_address(raw, mine, other)
            if not why:
                return None
            found |= why
    return found


def explain_date(raw, a, b):
    if a and b and re.search(r"\+-\d{4}", raw) and (a[0] - b[0]) == -60 * a[1] and b[1] == 0:
        return {"zone-with-two-signs"}
    if a and b and re.search(r"\b[AP]M\b", raw) and abs(a[0] - b[0]) == 12 * 3600:
        return {"twelve-hour-clock"}
    return {"twelve-hour-clock"} if a and b and re.search(r"\b[AP]M\b", raw) and (a[0] - b[0] - 12 * 3600) == -60 * a[1] else None


def explain_ids(raw, a, b):
    return {"id-not-grammatical"} if re.search(r"<[^>]*[\s:,(<][^>]*>|<\.|<>", raw) else None


def explain_text(raw, a, b):
    if a == b.rstrip():
        return {"space-at-end"}
    if re.search("[\ud800-\udfff\ufffd]", b) and BYTES.search(raw):
        return {"raw-8bit"}
    if "=?iso-8859-1?" in raw.lower() and any("\x80" <= c <= "\x9f" for c in b):
        return {"windows-1252-called-latin-1"}
    return None


def explain_params(raw, a, b):
    if a[0] != b[0]:
        return {"type-without-semicolon"} if re.match(r"\s*[^;]*\s+\w+=", raw) else None
    found = set()
    for name in a[1].keys() | b[1].keys():
        mine, other = a[1].get(name), b[1].get(name)
        if mine == other:
            continue
        if mine is None and other == "":
            found.add("parameter-without-value")
        elif mine and re.search(r"=\s*\"?[^;]*=\?[^?;]+\?[bq]\?", raw, re.I):
            found.add("encoded-word-in-parameter")
        elif mine and other and mine.startswith(other + " ") and mine in raw:
            found.add("parameter-with-spaces")
        else:
            return None
    return found


def explain_structure(a, b):
    """Takes from both what is known to differ; what is left must be equal."""
    found = set()
    if any(kind == "message" and name == "message/delivery-status" for _, kind, name in b):
        b = list(b)
        for i, (depth, kind, name) in enumerate(b):
            if name == "message/delivery-status":
                b[i] = (depth, "leaf", name)
                while i + 1 < len(b) and b[i + 1][0] > depth:
                    del b[i + 1]
        found.add("delivery-status-as-parts")
    if [s[:2] for s in a] == [s[:2] for s in b]:
        odd = {y[2] for x, y in zip(a, b) if x != y}
        return found | ({"type-without-semicolon"} if any(" " in n for n in odd) else set())
    if [s for s in a] == [(s[0], "leaf", s[2]) for s in b[:1]] and a[0][2] == "message/rfc822":
        return {"encoded-message"}
    if len(a) > len(b) and a[0] == b[0] and not [s for s in b if s not in a]:
        return {"boundary-twice"}
    return None


def explain_fields(whole, a, b):
    """Theirs end where ours go on with a field that has a space before its colon."""
    first = a[len(b)] if a[:len(b)] == b and len(a) > len(b) else None
    return {"space-before-colon"} if first and re.search(rf"^{first}[ \t]+:", whole, re.M | re.I) else None


def explain(what, raw, a, b):
    """The classes of a difference; empty when there is no explanation."""
    if isinstance(b, Exception):
        return {"python-raises"}
    if what in ADDRESSES:
        return explain_addresses(raw, a, b) or set()
    if what in IDS:
        return explain_ids(raw, a, b) or set()
    table = {"date": explain_date, "resent-date": explain_date, "subject": explain_text, "content-type": explain_params,
             "content-disposition": explain_params, "structure": lambda _, x, y: explain_structure(x, y),
             "fields": lambda whole, x, y: explain_fields(whole, x, y)}
    return table.get(what, lambda *_: None)(raw, a, b) or set()


class Comparison:
    """Counts of what agrees, what differs and why; `unexplained` should stay empty."""

    def __init__(self, tool):
        self.tool = tool
        self.compared, self.differ, self.classes = collections.Counter(), collections.Counter(), collections.Counter()
        self.examples, self.unexplained = collections.defaultdict(list), []

    def run(self, paths):
        for path, mine in zip(paths, ours(paths, self.tool)):
            with open(path, "rb") as f:
                whole = f.read()
            msg = email.message_from_bytes(whole, policy=email.policy.default)
            for what, raw, a, b in compare(mine, msg, whole.decode("latin-1")):
                self.compared[what] += 1
                if a == b:
                    continue
                self.differ[what] += 1
                why = explain(what, raw, a, b)
                row = (str(path), what, raw, a, b)
                if not why:
                    self.unexplained.append(row)
                for name in why:
                    self.classes[name] += 1
                    self.examples[name].append(row)
        return self

    def report(self):
        lines = [f"{what}: {self.compared[what] - self.differ[what]} agree, {self.differ[what]} differ" for what in sorted(self.compared)]
        lines += [f"class {name}: {n}" for name, n in self.classes.most_common()]
        return lines + [f"unexplained: {len(self.unexplained)}"]


def show(row):
    path, what, raw, a, b = row
    print(f"{path}: {what}\n  raw    {raw!a}\n  ours   {a!a}\n  theirs {b!a}")


# ---- mime4j: trees of the torture messages, as that library reads them ----

def mime4j_shape(text):
    """Its event trees are almost XML, except for control characters; the tags stand alone on their lines."""
    rows, open_ones = [], []
    for closing, tag in re.findall(rb"^<(/?)(message|body-part|multipart|body)>\r?$", text, re.M):
        if closing:
            if tag in (b"message", b"body-part"):
                open_ones.pop()
        elif tag == b"multipart":
            rows[open_ones[-1]][1] = "multipart"
        elif tag != b"body":
            inside_message = tag == b"message" and open_ones
            if inside_message:
                rows[open_ones[-1]][1] = "message"
            rows.append([len(open_ones), "leaf"])
            open_ones.append(len(rows) - 1)
    return [tuple(row) for row in rows]


def mime4j(tool):
    """(name, ours, theirs) of every torture message that has a tree."""
    paths = [p for p in sorted((CORPUS / "mime-torture-mime4j").rglob("*.msg")) if p.with_suffix(".xml").exists()]
    for path, mine in zip(paths, ours(paths, tool)):
        theirs = mime4j_shape(path.with_suffix(".xml").read_bytes())
        yield path.stem, [(p["depth"], p["kind"]) for p in mine], theirs


def main():
    warnings.simplefilter("ignore")
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", default=str(BUILD), help="where mime_values is built")
    options.add_argument("--every", type=int, default=1, help="only every N-th message")
    options.add_argument("--show", help="print the differences of this class")
    options.add_argument("--most", type=int, default=20, help="how many of them")
    options.add_argument("files", nargs="*")
    o = options.parse_args()
    done = Comparison(f"{o.build}/tests/unit/mime/mime_values").run(o.files or corpus_files()[::o.every])
    for row in done.examples[o.show][:o.most] if o.show else done.unexplained:
        show(row)
    print("\n".join(done.report()))
    return 1 if done.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
