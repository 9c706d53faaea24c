"""`post fetch` killed at random moments, again and again, into one place: in the end every letter is there once.

The moments are chosen over the time that a whole fetch takes here, and some are later than it, so that the end of a run, the
removal and the start of the next are met, too. After each kill the place is looked at as a reader would: what it shows is whole.
"""
import hashlib
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import house
from house import PORTS


LOOK = 5  # every so many kills


def letters(count, seed):
    """Letters of all sizes, some with lines that an mbox must quote."""
    rng = random.Random(seed)
    for i in range(count):
        body = b"".join(b"%s line %d\r\n" % (rng.choice((b"a", b"From me:", b">From you:", b".")), n) for n in range(rng.choice((1, 5, 50, 3000))))
        yield f"From: a@a.test\r\nTo: bob@a.test\r\nSubject: {i}\r\nMessage-ID: <{seed}.{i}@a.test>\r\n\r\n".encode() + body


def digest(letter):
    return hashlib.sha256(letter.replace(b"\r\n", b"\n")).hexdigest()


class Stock:
    """The letters, in a mailbox from which they are copied into the INBOX, all with one command, as often as a run has fetched them."""

    def __init__(self, h, user, count, seed):
        self.h, self.user = h, user
        self.digests = Counter()
        m = h.imap(user)
        m.create("Stock")
        for letter in letters(count, seed):
            assert m.append("Stock", None, None, letter)[0] == "OK"
            self.digests[digest(letter)] += 1
        m.logout()

    def arrive(self):
        m = self.h.imap(self.user)
        m.select("Stock", readonly=True)
        assert m.copy("1:*", "INBOX")[0] == "OK"
        m.logout()
        return self.digests


def in_maildir(path):
    return Counter(digest(f.read_bytes()) for name in ("new", "cur") for f in Path(path).glob(f"{name}/*"))


def in_mbox(path):
    """The letters of an mboxrd file. Read by hand: Python's mailbox module undoes no quoting."""
    if not Path(path).exists():
        return Counter()
    found = re.split(rb"(?:\A|(?<=\n\n))From [^\n]*\n", Path(path).read_bytes())[1:]
    return Counter(digest(re.sub(rb"(?m)^>(>*From )", rb"\1", f[:-1])) for f in found)


class Fetching:
    def __init__(self, h, user, protocol, kind, delete=False):
        self.h, self.user, self.protocol, self.kind, self.delete = h, user, protocol, kind, delete
        self.place = house.folder() / kind

    def start(self):
        words = [house.POST, "fetch", f"--{self.protocol}", f"--{self.kind}", self.place, "--server", self.h.ip, "--port", str(PORTS[self.protocol + "s"]), "--tls", "tls",
                 "--insecure", "--user", self.user, "--password-env", "PASS", "--quiet"] + ["--delete"] * self.delete
        return subprocess.Popen(words, env={**os.environ, "PASS": self.h.passwords[self.user]}, stderr=subprocess.PIPE)

    def whole(self):
        """One run to its end; how long it took."""
        began = time.monotonic()
        run = self.start()
        said = run.communicate(timeout=600)[1]
        assert run.returncode == 0, said.decode(errors="replace")
        return time.monotonic() - began

    def seen(self):
        return in_maildir(self.place) if self.kind == "maildir" else in_mbox(self.place)

    def killed(self, kills, stock, rng):
        """Kills `kills` runs; whenever one came through, all letters arrive once more. How many letters were fetched in all."""
        wanted, done, took = Counter(stock.arrive()), 0, self.measured()
        while done < kills:
            run = self.start()
            try:
                said = run.communicate(timeout=rng.uniform(0, took * 1.2))[1]
                assert run.returncode == 0, said.decode(errors="replace")
                wanted += stock.arrive()
                continue
            except subprocess.TimeoutExpired:
                os.kill(run.pid, signal.SIGKILL)
                run.communicate()
            done += 1
            if self.kind == "maildir" and done % LOOK == 0:
                assert self.seen() <= wanted, "a reader sees what was never sent, or sees it twice"
        self.whole()
        self.whole()  # and once more: nothing comes twice
        seen = self.seen()
        assert seen == wanted, f"lost {(wanted - seen).total()}, doubled or strange {(seen - wanted).total()}, of {wanted.total()}"
        leftovers = [p for p in self.place.parent.rglob("*") if p.is_file() and (p.suffix == ".new" or "journal" in p.name or p.parent.name == "tmp")]
        assert not leftovers, leftovers
        return wanted.total()

    def measured(self):
        """How long one whole run takes, into another place."""
        other = Fetching(self.h, self.user, self.protocol, self.kind)
        return other.whole()
