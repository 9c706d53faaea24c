#!/usr/bin/env python3
"""Several IMAP sessions do random things to one mailbox at the same time, and each keeps what a client keeps: which UID is at which number, and
its flags. Every response must fit what was told before; in the end, after a NOOP, what each session believes is what the mailbox is.

    tests/torture/sessions.py [--build DIR] [--rounds N] [--sessions N] [--seed N]
"""
import argparse
import os
import random
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
FLAGS = (r"\Seen", r"\Answered", r"\Flagged", r"\Draft", "red", "$blue")
LETTER = b"Subject: x\r\n\r\nbody\r\n"


def numbers(text):
    for part in text.split(","):
        low, _, high = part.partition(":")
        yield from range(int(low), int(high or low) + 1)


def believer(imap_script):
    class Believer(imap_script.Session):
        """A client with its own view of the mailbox."""

        def __init__(self, server, dice, name, vanishing):
            super().__init__(server)
            self.dice, self.name, self.vanishing, self.tag = dice, name, vanishing, 0
            self.uids, self.flags, self.told, self.history, self.busy = [], {}, set(), [], None
            self.do(f'LOGIN "{server.user}" "{server.password}"')
            if vanishing:
                self.do("ENABLE QRESYNC")

        def fail(self, why):
            raise AssertionError(f"session {self.name}: {why}\n" + "\n".join(self.history[-60:]))

        # -- sending, and what comes -----------------------------------------------------------------
        def begin(self, text):
            self.tag += 1
            self.busy = text
            self.history.append(f"C: {text[:200]}")
            self.send(f"t{self.tag} {text}\r\n".encode())

        def end(self):
            """Reads up to the tagged answer. Its first word."""
            while True:
                line = self.response().decode(errors="replace")
                self.history.append(f"S: {line[:200]}")
                if line.startswith(f"t{self.tag} "):
                    self.busy = None
                    uid = re.search(r"\[APPENDUID \d+ (\d+)\]", line)
                    self.appended = int(uid[1]) if uid else 0
                    return line.split()[1]
                self.take(line)

        def do(self, text):
            self.begin(text)
            answer = self.end()
            if answer != "OK":
                self.fail(f"{answer} to {text}")

        def take(self, line):
            number = re.match(r"\* (\d+) (EXISTS|EXPUNGE|FETCH)", line)
            if line.startswith("* BYE"):
                self.fail(line)
            elif line.startswith("* VANISHED (EARLIER)"):
                pass
            elif line.startswith("* VANISHED "):
                self.vanish(line.split()[2])
            elif number and number[2] == "EXISTS":
                if int(number[1]) < len(self.uids):
                    self.fail("EXISTS went down")
                self.uids += [None] * (int(number[1]) - len(self.uids))
            elif number and number[2] == "EXPUNGE":
                self.expunge(int(number[1]))
            elif number:
                self.fetched(int(number[1]), line)

        def may_expunge(self):
            if self.busy.split()[0] in ("FETCH", "STORE", "SEARCH"):
                self.fail("an expunge during a command by number")

        def expunge(self, n):
            self.may_expunge()
            if self.vanishing or not 1 <= n <= len(self.uids):
                self.fail(f"no such EXPUNGE: {len(self.uids)} messages")
            self.flags.pop(self.uids.pop(n - 1), None)

        def vanish(self, uids):
            self.may_expunge()
            for uid in numbers(uids):
                if uid in self.uids:
                    self.uids.remove(uid)
                    self.flags.pop(uid, None)
                    continue
                at = 1 + max((i for i, u in enumerate(self.uids) if u and u < uid), default=-1)
                if at == len(self.uids) or self.uids[at]:
                    self.fail(f"{uid} vanished, which was not there")
                del self.uids[at]  # one that was never named

        def fetched(self, n, line):
            if not 1 <= n <= len(self.uids):
                self.fail(f"FETCH of {n} of {len(self.uids)}")
            uid, flags = re.search(r"UID (\d+)", line), re.search(r"FLAGS \(([^)]*)\)", line)
            if uid:
                uid = int(uid[1])
                if self.uids[n - 1] not in (None, uid):
                    self.fail(f"number {n} was {self.uids[n - 1]} and is {uid}")
                self.uids[n - 1] = uid
                known = [u for u in self.uids if u]
                if known != sorted(set(known)):
                    self.fail("uids do not ascend")
            if flags and self.uids[n - 1]:
                self.flags[self.uids[n - 1]] = {f for f in flags[1].lower().split() if f != "\\recent"}
                self.told.add(self.uids[n - 1])

        # -- what it does ----------------------------------------------------------------------------
        def some(self):
            low, high = sorted(self.dice.choices(range(1, len(self.uids) + 1), k=2))
            return str(low) if self.dice.random() < 0.5 else f"{low}:{min(high, low + 5)}"

        def something(self):
            """Begins a random command."""
            if self.inside() < 4:
                return self.append()
            flags, sign = " ".join(self.dice.sample(FLAGS, self.dice.randrange(1, 3))), self.dice.choice(("+", "-", ""))
            kind = self.dice.randrange(100)
            if kind < 30:
                self.store(self.some(), sign, flags, self.dice.random() < 0.5)
            elif kind < 40:
                self.begin(f"FETCH {self.some()} (UID FLAGS)")
            elif kind < 50:
                self.begin("NOOP")
            elif kind < 60:
                self.store(self.some(), "+", r"\Deleted", False)
            elif kind < 68:
                self.begin("EXPUNGE")
            elif kind < 78:
                self.begin(self.dice.choice((r"SEARCH SEEN", "UID SEARCH UNSEEN", "SEARCH 1:* UNDELETED")))
            elif kind < 84:
                self.begin(f"COPY {self.some()} torn")
            elif kind < 88:
                self.begin(f"MOVE {self.some()} torn")
            elif kind < 92:
                self.begin("UID FETCH 1:* (UID FLAGS)")
            else:
                self.append()
            return None

        def inside(self):
            return len(self.uids)

        def append(self):
            self.begin("APPEND torn {%d+}\r\n%s" % (len(LETTER), LETTER.decode()))

        def store(self, which, sign, flags, silent):
            """What a silent one does is believed at once (RFC 9051 6.4.6)."""
            self.begin(f"STORE {which} {sign}FLAGS{'.SILENT' if silent else ''} ({flags})")
            self.after = (which, sign, {f.lower() for f in flags.split()}) if silent else None

        def settle(self):
            """The answer of what was begun."""
            named, self.after = getattr(self, "after", None), None
            uids = [self.uids[n - 1] for n in numbers(named[0])] if named else []
            self.told.clear()
            if self.end() == "OK" and named:
                for uid in uids:  # what was told meanwhile is newer: another session changed it, too
                    if uid and self.flags.get(uid) is not None and uid not in self.told:
                        now = self.flags[uid]
                        self.flags[uid] = now | named[2] if named[1] == "+" else now - named[2] if named[1] == "-" else set(named[2])

        def hear(self, uid):
            """NOOPs until it knows the letter appended last, which is behind every other change."""
            deadline = time.monotonic() + float(os.environ.get("HEAR", 60))
            while not self.uids or (self.uids[-1] or 0) < uid:
                self.do("NOOP")
                if self.uids:
                    self.do("FETCH * (UID)")
                if time.monotonic() > deadline:
                    self.fail("it was not told of a new message")

        def truth(self):
            """What it believes, and what the mailbox is."""
            believed = {u: f for u, f in self.flags.items() if u in self.uids}
            self.do("UID FETCH 1:* (UID FLAGS)")
            for uid, flags in believed.items():
                if self.flags.get(uid) != flags:
                    self.fail(f"of {uid} it believed {sorted(flags)}, and it is {sorted(self.flags.get(uid, []))}")
            return self.uids, {u: self.flags[u] for u in self.uids}

    return Believer


def play(server, rounds, count, seed):
    """Raises AssertionError at the first thing that does not fit."""
    import imap_script
    dice, made = random.Random(seed), believer(imap_script)
    sessions = [made(server, random.Random(seed * 100 + i), i, i % 3 == 2) for i in range(count)]
    sessions[0].do("CREATE torn")
    for s in sessions:
        s.do("SELECT torn")
    for turn in range(rounds):
        busy = dice.sample(sessions, dice.randrange(1, count + 1))
        for s in busy:
            s.something()
        for s in busy:
            s.settle()
        if turn % 20 == 19 or turn == rounds - 1:
            sessions[0].append()
            sessions[0].settle()
            for s in sessions[1:]:
                s.hear(sessions[0].appended)
            first = sessions[0].truth()
            for s in sessions[1:]:
                if s.truth() != first:
                    s.fail(f"it sees another mailbox than session 0: {first}, not {s.truth()}")
    for s in sessions:
        s.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", type=Path)
    parser.add_argument("--rounds", default=20000, type=int)
    parser.add_argument("--sessions", default=6, type=int)
    parser.add_argument("--seed", default=random.SystemRandom().randrange(1 << 30), type=int)
    args = parser.parse_args()
    os.environ["POSTHOUSE_BUILD"] = str(args.build.resolve())
    import house
    server = house.House(plaintext_login="loopback").start()

    class Place:
        ip, port, user, password = server.ip, house.PORTS["imap"], server.account("torn"), "correct horse battery"

    print(f"seed {args.seed}", flush=True)
    try:
        play(Place, args.rounds, args.sessions, args.seed)
    except AssertionError as why:
        print(f"FAILED with --seed {args.seed} --rounds {args.rounds} --sessions {args.sessions}\n{why}")
        return 1
    assert server.stop() == 0, server.tail()
    print(f"{args.rounds} rounds of up to {args.sessions} commands at once: every session was right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
