"""An OpenSMTPD from Debian: run from its package, which need not (and beside Postfix can not) be installed. Its paths and users are compiled in, so it
gets them in a mount namespace of its own; the machine stays as it is. Needs root."""
import atexit
import os
import pwd
import socket
import subprocess
import time
from pathlib import Path

import house

CONF = """
table everybody {{ "@" = "nobody" }}
table here {{ "{ip}" }}
{more}
pki own cert "{cert}"
pki own key "{key}"
listen on {ip} port 2525 hostname mx.os.test tls pki own
{actions}action "box" maildir "{where}/mail" virtual <everybody>
{matches}match from any for any action "box"
"""
ACTION = 'action "to {domain}" relay host "smtp://{ip}:{port}" src <here>\n'  # by TLS where it is offered
MATCH = 'match from any for domain "{domain}" action "to {domain}"\n'
PLACES = {"usr/libexec": "/usr/libexec", "lib": "/var/lib", "spool": "/var/spool", "run": "/run", "passwd": "/etc/passwd", "group": "/etc/group"}
USERS = {"opensmtpd": 9901, "opensmtpq": 9902}


def program():
    """Where its package is unpacked; None when there is no way to it."""
    where = house.folder()
    if subprocess.run(["apt-get", "download", "opensmtpd"], cwd=where, capture_output=True).returncode:
        return None
    subprocess.run(["dpkg", "-x", *where.glob("*.deb"), where], check=True)
    works = subprocess.run(["unshare", "-m", where / "usr" / "sbin" / "smtpd", "-h"], capture_output=True)
    return where if b"version" in works.stdout + works.stderr else None


class OpenSMTPD:
    """With routes ({domain: ip}) it delivers: to those by SMTP at that port, all else into a Maildir."""

    def __init__(self, unpacked, ip, certificate, key, routes=None, port=2525, more="", where=None):
        self.ip, self.where = ip, where or house.folder() / "opensmtpd"
        for part in ("lib/opensmtpd/empty", "spool", "run", "mail"):
            (self.where / part).mkdir(parents=True)
        for part in (self.where, self.where.parent, *self.where.glob("lib/**/"), self.where / "spool", self.where / "run"):
            part.chmod(0o711)
        os.chown(self.where / "mail", pwd.getpwnam("nobody").pw_uid, -1)
        for name, row in (("passwd", "{0}:x:{1}:{1}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
            (self.where / name).write_text(Path("/etc", name).read_text() + "".join(row.format(*user) for user in USERS.items()))
        own = {name: self.where / name for name in ("cert", "key")}  # which must belong to root
        for name, source in (("cert", certificate), ("key", key)):
            own[name].write_bytes(Path(source).read_bytes())
            own[name].chmod(0o600)
        rows = [{"domain": d, "ip": a, "port": port} for d, a in (routes or {}).items()]
        (self.where / "conf").write_text(CONF.format(more=more, ip=ip, where=self.where, cert=own["cert"], key=own["key"], actions="".join(ACTION.format(**r) for r in rows),
                                                     matches="".join(MATCH.format(**r) for r in rows)))
        mounts = [f"mount --bind {(unpacked if name.startswith('usr') else self.where) / name} {place}" for name, place in PLACES.items()]
        script = " && ".join(mounts + [f"exec {unpacked}/usr/sbin/smtpd -d -f {self.where}/conf"])
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=open(self.where / "out", "wb"), stderr=subprocess.STDOUT)
        atexit.register(self.stop)
        for _ in range(200):
            try:
                socket.create_connection((ip, 2525), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("opensmtpd did not start: " + self.log())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def letters(self):
        return list((self.where / "mail").glob("new/*"))

    def log(self):
        return (self.where / "out").read_text(errors="replace")[-3000:]
