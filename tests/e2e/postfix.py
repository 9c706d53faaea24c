"""A Postfix from Debian as a neighbour: an instance of its own in a folder of its own, on loopback, above port 1024. Needs root."""
import atexit
import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

import house

MAIN = """
compatibility_level = 3.6
queue_directory = {where}/queue
data_directory = {where}/lib
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.{domain}
mydestination =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {where}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 52428800
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_bind_address = {ip}
smtp_tls_security_level = may
transport_maps = inline:{{ {transport} }}
maillog_file = {where}/log
maillog_file_prefixes = {where}
alias_maps =
alias_database =
smtputf8_enable = no
{more}
"""

MASTER = """
{ip}:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing():
    if os.geteuid() != 0:
        return "Postfix's master needs root"
    return None if shutil.which("postfix") else "postfix is not installed"


class Postfix:
    """routes: {domain: (ip, port)} to hand mail to; everything for `domain` lands in a Maildir."""

    def __init__(self, domain, ip, routes=None, port=2525, where=None, more="", services=""):
        self.domain, self.ip, self.port = domain, ip, port
        self.where = Path(where) if where else house.folder() / "postfix"
        user = pwd.getpwnam("nobody")
        for part in ("etc", "queue", "lib", "mail"):
            (self.where / part).mkdir(parents=True)
        os.chown(self.where / "lib", pwd.getpwnam("postfix").pw_uid, -1)
        os.chown(self.where / "mail", user.pw_uid, grp.getgrnam("nogroup").gr_gid)
        transport = ", ".join(f"{{ {d} = smtp:[{i}]:{p} }}" for d, (i, p) in (routes or {}).items()) or "{ none.invalid = smtp: }"
        (self.where / "etc" / "main.cf").write_text(MAIN.format(where=self.where, ip=ip, domain=domain, uid=user.pw_uid, gid=grp.getgrnam("nogroup").gr_gid,
                                                                transport=transport, more=more))
        (self.where / "etc" / "master.cf").write_text(MASTER.format(ip=ip, port=port) + services)
        self.run("start")
        atexit.register(self.stop)
        for _ in range(200):
            try:
                socket.create_connection((ip, port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"postfix did not start\n{self.log()}")

    def run(self, verb):
        return subprocess.run(["postfix", "-c", self.where / "etc", verb], capture_output=True, text=True, timeout=60, env={**os.environ, "MAIL_CONFIG": str(self.where / "etc")})

    def stop(self):
        if (self.where / "queue" / "pid" / "master.pid").exists():
            self.run("stop")

    def log(self):
        path = self.where / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def letters(self):
        return list((self.where / "mail").glob("all/new/*"))
