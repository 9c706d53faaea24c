"""Starts real houses for the end-to-end tests: real processes, sockets, queue and store.

A House is one server in a folder of its own on a loopback address of its own, so that tests can run side by side and
several houses can meet. Nothing outside the folder and 127.0.0.0/8 is touched; only processes started here are ended.
"""
import atexit
import json
import os
import random
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("POSTHOUSE_BUILD", ROOT / "build"))
POSTHOUSE = BUILD / "src" / "server" / "posthouse"
POST = BUILD / "src" / "post" / "post"
CORPUS = ROOT.parent / "shared" / "corpus"

PORTS = dict(mx=2525, submission=2587, submissions=2465, pop3=2110, pop3s=2995, imap=2143, imaps=2993)
READY_SECONDS = 60  # a sanitizer build on a busy machine; a normal start is well below one second


def network():
    """A /24 of the loopback network that no other test run uses (with very high probability)."""
    return f"127.{random.SystemRandom().randrange(10, 250)}.{random.SystemRandom().randrange(1, 250)}"


def folder():
    path = Path(tempfile.mkdtemp(prefix="posthouse-test-"))
    os.chmod(path, 0o755)  # processes of other users walk through it
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def quoted(value):
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def setting(name, value):
    if isinstance(value, (list, tuple)):
        return f"{name} = {{{', '.join(quoted(v) for v in value)}}}\n"
    if isinstance(value, bool):
        return f"{name} = {'true' if value else 'false'}\n"
    return f"{name} = {quoted(value) if isinstance(value, str) else value}\n"


class House:
    def __init__(self, domain="a.test", ip=None, zone=(), where=None, program=POSTHOUSE, **settings):
        self.domain, self.ip = domain, ip or network() + ".1"
        self.where = Path(where) if where else folder()
        self.program = program
        self.data = self.where / "data"
        self.config = self.where / "posthouse.conf"
        self.log = self.where / "log"
        self.passwords = {}
        self.process = None
        self.settings = dict(hostname=f"mx.{domain}", relay_port=PORTS["mx"], relay_source=self.ip, retry_first="500ms",
                             retry_most="2s", dns_records=list(zone), log="json")
        for name, port in PORTS.items():
            self.settings[f"listen_{name}"] = [f"{self.ip}:{port}"]
        self.settings.update(settings)

    # -- life --------------------------------------------------------------------------------------
    def start(self, wait=True):
        self.config.write_text("".join(setting(k, v) for k, v in self.settings.items()))
        self.data.mkdir(parents=True, exist_ok=True)
        ready_r, ready_w = os.pipe()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--data", self.data, "--config", self.config, "--ready-fd", str(ready_w)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[ready_w], start_new_session=True)
        os.close(ready_w)
        atexit.register(self.kill)
        if not wait:
            os.close(ready_r)
            return self
        with os.fdopen(ready_r, "rb") as ready:
            os.set_blocking(ready.fileno(), False)
            deadline = time.monotonic() + READY_SECONDS
            while not ready.read(1):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the house did not start (status {self.process.poll()}):\n{self.tail()}")
                time.sleep(0.01)
        return self

    def stop(self, seconds=60):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(seconds)
        return self.process.returncode if self.process else None

    def kill(self):
        """kill -9 of every process of this house, all at once."""
        if self.process and self.process.poll() is None:
            for pid in [self.process.pid] + list(self.children().values()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()

    def children(self):
        """role -> pid of the running processes."""
        found = {}
        parent = self.process.pid
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            try:
                title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if title.startswith("posthouse: "):
                found[title.split()[1]] = int(pid)
        return found

    def tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # -- administration --------------------------------------------------------------------------------
    def admin(self, *words, input=None, check=True):
        run = subprocess.run([POSTHOUSE, *map(str, words), "--data", self.data], input=input, text=True, capture_output=True, timeout=120)
        if check and run.returncode:
            raise RuntimeError(f"posthouse {' '.join(map(str, words))}: exit {run.returncode}\n{run.stdout}{run.stderr}")
        return run.stdout if check else run

    def account(self, name, password="correct horse battery"):
        address = f"{name}@{self.domain}" if "@" not in name else name
        self.admin("account", "add", address, "--password-file", "-", input=password + "\n")
        self.passwords[address] = password
        return address

    def status(self):
        return json.loads(self.admin("status", "--json"))

    def steps(self, key, *wanted, seconds=90):
        """The steps of a letter's journey, once all those wanted are in it (the journal is written within a second or so)."""
        deadline = time.monotonic() + seconds
        while True:
            run = self.admin("trace", key, "--json", check=False)
            steps = json.loads(run.stdout)["events"] if run.returncode == 0 else []
            if set(wanted) <= {s["event"] for s in steps} or time.monotonic() > deadline:
                return steps
            time.sleep(0.05)

    # -- clients -----------------------------------------------------------------------------------------
    def tls(self):
        """Trusts nothing but this house's own certificate."""
        context = ssl.create_default_context(cafile=str(self.certificate()))
        context.check_hostname = False
        return context

    def certificate(self):
        return next((self.data / "tls").glob("*cert*"))

    def submit(self, user):
        import smtplib
        s = smtplib.SMTP(self.ip, PORTS["submission"], timeout=60)
        s.starttls(context=self.tls())
        s.login(user, self.passwords[user])
        return s

    def imap(self, user):
        import imaplib
        m = imaplib.IMAP4_SSL(self.ip, PORTS["imaps"], ssl_context=self.tls(), timeout=60)
        m.login(user, self.passwords[user])
        return m

    def pop3(self, user):
        import poplib
        poplib._MAXLINE = 1 << 20  # real mail has longer lines than poplib expects
        p = poplib.POP3_SSL(self.ip, PORTS["pop3s"], context=self.tls(), timeout=60)
        p.user(user)
        p.pass_(self.passwords[user])
        return p

    def imap_letters(self, user, mailbox="INBOX"):
        """Every message of a mailbox, as bytes."""
        m = self.imap(user)
        try:
            count = int(m.select(mailbox, readonly=True)[1][0])
            return [row[1] for row in m.fetch(f"1:{count}", "(BODY.PEEK[])")[1] if isinstance(row, tuple)] if count else []
        finally:
            m.logout()

    def wait_for(self, user, count, seconds=60):
        """Waits until the INBOX holds at least `count` messages; returns how many it holds."""
        deadline = time.monotonic() + seconds
        m = self.imap(user)
        try:
            while True:
                have = int(m.select("INBOX", readonly=True)[1][0])
                if have >= count or time.monotonic() > deadline:
                    return have
                time.sleep(0.05)
        finally:
            m.logout()


def zone(*houses):
    """The DNS of a small world: (domain, ip) pairs with an MX and an address each."""
    records = []
    for domain, ip in houses:
        records += [f"{domain}. IN MX 10 mx.{domain}.", f"mx.{domain}. IN A {ip}"]
    return records


def world(*domains, **settings):
    """Houses that find each other by MX records; started."""
    net = network()
    places = [(domain, f"{net}.{i + 1}") for i, domain in enumerate(domains)]
    return [House(domain, ip, zone(*places), **settings).start() for domain, ip in places]


TRACE_FIELDS = (b"return-path:", b"received:", b"delivered-to:")


def without_bcc(letter):
    """What submission makes of it: nobody sees who was written to in secret."""
    end = re.search(rb"^\r?\n", letter, re.M)
    head, rest = (letter[:end.start()], letter[end.start():]) if end else (letter, b"")
    return re.sub(rb"(?im)^(resent-)?bcc[ \t]*:.*\n([ \t].*\n)*", b"", head) + rest


def without_trace(letter):
    """The letter below the trace fields that carrying it has put on top."""
    while True:
        line = letter.split(b"\n", 1)[0].lower()
        if not line.startswith(TRACE_FIELDS):
            return letter
        rest = letter.split(b"\n", 1)[1]
        while rest[:1] in (b" ", b"\t"):
            rest = rest.split(b"\n", 1)[1]
        letter = rest
