#!/usr/bin/env python3
"""What hostile clients do to an SMTP server, at full size. A house is started, attacked in each way, and must answer rightly, stay
within its memory, and take a letter from an honest client afterwards. One command, some minutes:

    tests/torture/hostile.py [--only WORD] [--short]

--short runs the sizes that ./check runs.
"""
import argparse
import resource
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import house  # noqa: E402
from wire import Wire  # noqa: E402

FULL = dict(line=1 << 30, recipients=1_000_000, idle=10_000, slow=200)
SHORT = dict(line=20 << 20, recipients=20_000, idle=300, slow=20)
ROOM = 96 << 20  # octets that the process may grow by, whatever comes
PIECE = 1 << 20
PATIENCE = 120

# Every way known to make one server see an end of data where another sees none: (octets behind a line, what they must come to).
ENDS = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\r\n.\r\r\n",
        b"\n\n.\n\n", b"\r\n.\r\r\n", b"\r\n\r.\r\n", b"\r\n.\n\r\n"]
INNER = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"


class Target:
    WATCHED = "mx"  # the process whose memory counts

    def __init__(self, **settings):
        self.house = house.House(max_connections=20000, max_connections_per_address=20000, session_timeout="5s", **settings).start()
        self.alice = self.house.account("alice")
        self.letters = 0
        self.honest()

    def mx(self):
        w = Wire(self.house.ip)
        w.hello()
        return w

    def memory(self):
        pid = self.house.children()[self.WATCHED]
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def envelope(self, w):
        for line, code in (("MAIL FROM:<x@other.test>", 250), ("RCPT TO:<alice@a.test>", 250), ("DATA", 354)):
            got = w.say(line)
            assert got[0] == code, (line, got)

    def honest(self):
        """A letter from someone who means no harm: it arrives, and nothing else has."""
        w = self.mx()
        self.envelope(w)
        assert w.say("Subject: honest\r\n\r\nx\r\n.")[0] == 250
        w.close()
        self.letters += 1
        assert self.house.wait_for(self.alice, self.letters, PATIENCE) == self.letters
        assert not any(b"smuggled" in raw.split(b"\r\n\r\n")[0] for raw in self.house.imap_letters(self.alice))


def pour(w, total):
    """Sends that many octets without a line end; false when the server would have no more."""
    piece = b"x" * PIECE
    try:
        for _ in range(total // PIECE):
            w.send(piece)
    except OSError:
        return False
    return True


def long_command(t, size):
    w = t.mx()
    pour(w, size["line"])
    try:
        w.send("\r\nNOOP\r\n")
        assert w.reply()[0] == 500
        assert w.reply()[0] == 250
    except OSError:
        pass  # it may close instead


def long_line_of_a_message(t, size):
    w = t.mx()
    t.envelope(w)
    whole = pour(w, size["line"])
    try:
        if whole:
            w.send("\r\n.\r\n")
        code = w.reply()[0]
    except OSError:
        return
    if code == 250:
        t.letters += 1
    assert code in (250, 552), code


def many_recipients(t, size):
    w = t.mx()
    assert w.code("MAIL FROM:<x@other.test>") == 250
    codes, batch = {}, 1000
    for _ in range(size["recipients"] // batch):
        w.send("RCPT TO:<alice@a.test>\r\n" * batch)
        for _ in range(batch):
            code = w.reply()[0]
            codes[code] = codes.get(code, 0) + 1
    most = t.house.settings.get("max_recipients", 1000)
    assert codes == {250: most, 452: size["recipients"] // batch * batch - most}, codes
    w.close()


def slow_loris(t, size):
    """A byte now and then is no life: the time-out comes though the line never ends."""
    wires = [t.mx() for _ in range(size["slow"])]
    start = time.monotonic()
    while wires and time.monotonic() - start < PATIENCE:
        left = []
        for w in wires:
            try:
                w.send("N")
                w.socket.setblocking(False)
                try:
                    ended = w.socket.recv(1000) is not None
                except BlockingIOError:
                    ended = False
                w.socket.setblocking(True)
            except OSError:
                ended = True
            if not ended:
                left.append(w)
        wires = left
        time.sleep(0.5)
    assert not wires, f"{len(wires)} connections live on one octet a second"


def idle_connections(t, size):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(size["idle"], hard - 200) if hard != resource.RLIM_INFINITY else size["idle"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 200)) if hard != resource.RLIM_INFINITY else count + 200, hard))
    before = t.memory()
    idle = []
    for _ in range(count):
        s = socket.create_connection((t.house.ip, house.PORTS["mx"]), timeout=PATIENCE)
        assert s.recv(3) == b"220", "no greeting"
        idle.append(s)
    each = (t.memory() - before) / count
    print(f"    {count} idle connections, {each:.0f} octets of mx each")
    t.honest()
    for s in idle:
        s.close()
    assert each < 16384


def before_tls(t, size):
    w = t.mx()
    w.send("STARTTLS\r\nMAIL FROM:<evil@a.test>\r\n")
    assert w.reply()[0] == 554
    assert w.reply()[0] == 0


def smuggling(t, size):
    for end in ENDS:
        w = t.mx()
        t.envelope(w)
        w.send(b"Subject: outer\r\n\r\nx" + end + INNER + b".\r\nNOOP\r\n")
        code, _ = w.reply()
        # With NULs and no bare CR or LF it is one letter, whose text holds the rest.
        assert code == (250 if b"\x00" in end else 550), (end, code)
        assert w.reply()[0] == 250, end  # NOOP: one answer to the letter and no more
        t.letters += code == 250
        w.close()


def smuggling_by_chunks(t, size):
    """What stands in a chunk is never a command, and what stands behind one is never text."""
    for chunk in (INNER, b".\r\n" + INNER, b"QUIT\r\n"):
        for last in ("", " LAST"):
            w = t.mx()
            w.send(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk + b"NOOP\r\n")
            assert [w.reply()[0], w.reply()[0]] == [503, 250]
            w.close()
    for line in ("BDAT -1 LAST", "BDAT 99999999999999999999 LAST", "BDAT 5 LAST x", "BDAT", "BDAT 0x10"):
        w = t.mx()
        w.send(line.encode() + b"\r\n" + INNER)
        assert w.reply()[0] in (501, 552), line
        assert w.reply()[0] == 0, line
        w.close()


ATTACKS = [long_command, long_line_of_a_message, many_recipients, slow_loris, idle_connections, before_tls, smuggling, smuggling_by_chunks]


def run(target, attack, size):
    before = target.memory()
    start = time.monotonic()
    attack(target, size)
    grown = target.memory() - before
    target.honest()
    assert grown < ROOM, f"{target.WATCHED} has grown by {grown} octets"
    return time.monotonic() - start, grown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    target = Target()
    for attack in ATTACKS:
        if options.only in attack.__name__:
            seconds, grown = run(target, attack, SHORT if options.short else FULL)
            print(f"survived {attack.__name__:24} {seconds:7.1f} s   mx +{grown / 1048576:.1f} MiB", flush=True)
    assert target.house.stop() == 0, target.house.tail()


if __name__ == "__main__":
    main()
