"""An Exim from Debian: run from its package, which need not (and beside Postfix can not) be installed. Needs root."""
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

CONF = """
exim_path = {exe}
{more}
primary_hostname = mx.exim.test
spool_directory = {where}/spool
log_file_path = {where}/%slog
pid_file_path = {where}/pid
exim_user = nobody
exim_group = nogroup
never_users =
daemon_smtp_ports = 2525 : 2465
tls_on_connect_ports = 2465
local_interfaces = {ip}
tls_advertise_hosts = *
tls_certificate = {cert}
tls_privatekey = {key}
host_lookup =
rfc1413_query_timeout = 0s
auth_advertise_hosts = *
acl_smtp_rcpt = check
acl_smtp_data = ok
acl_smtp_vrfy = ok
smtp_accept_max_nonmail = 100
begin acl
check:
  accept local_parts = alice : to-alice
  deny message = No such user
ok:
  accept
begin routers
{routers}all:
  driver = accept
  transport = box
begin transports
remote:
  driver = smtp
  port = {port}
  interface = {ip}
box:
  driver = appendfile
  directory = {where}/mail
  maildir_format
  message_suffix =
  user = nobody
  group = nogroup
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if eq{{$auth3}}{{secret}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if eq{{$auth2}}{{secret}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = secret
  server_set_id = $auth1
"""


def program():
    """The exim4 that is installed, or one from its package; None when there is no way to it."""
    if shutil.which("exim4"):
        return "exim4"
    where = house.folder()
    if subprocess.run(["apt-get", "download", "exim4-daemon-light"], cwd=where, capture_output=True).returncode:
        return None
    subprocess.run(["dpkg", "-x", *where.glob("*.deb"), where], check=True)
    return str(where / "usr" / "sbin" / "exim4")


ROUTER = """
to_{name}:
  driver = manualroute
  domains = {domain}
  transport = remote
  route_list = * {ip} byname
  self = send
"""

# Debian's program wants the user that the installed package makes: it sees one, and the machine gets none.
USER = "Debian-exim"
WITH_ACCOUNTS = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"'


class Exim:
    """Keeps what it gets for alice in its queue; with routes ({domain: ip}) it delivers: to those by SMTP at that port, all else into a Maildir."""

    def __init__(self, exe, ip, certificate, key, routes=None, port=2525, more="", where=None):
        self.ip, self.where = ip, where or house.folder() / "exim"
        more += "accept_8bitmime\nqueue_run_max = 5" if routes else "queue_only"
        routers = "".join(ROUTER.format(name=i, domain=d, ip=a) for i, (d, a) in enumerate((routes or {}).items()))
        nobody, group = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("nogroup").gr_gid
        for part in ("", "spool", "mail"):
            (self.where / part).mkdir(parents=True)
            os.chown(self.where / part, nobody, group)
        conf = self.where / "conf"
        own = {name: self.where / name for name in ("cert", "key")}  # that nobody may read
        for name, source in (("cert", certificate), ("key", key)):
            own[name].write_bytes(Path(source).read_bytes())
            os.chown(own[name], nobody, group)
        conf.write_text(CONF.format(where=self.where, exe=shutil.which(exe) or exe, ip=ip, cert=own["cert"], key=own["key"], port=port, more=more, routers=routers))
        accounts = []
        for name, own in (("passwd", f"{USER}:x:{nobody}:{group}::/:/usr/sbin/nologin\n"), ("group", f"{USER}:x:{group}:\n")):
            (self.where / name).write_text(Path("/etc", name).read_text() + own)
            accounts.append(self.where / name)
        self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", WITH_ACCOUNTS, "sh", *accounts, exe, "-C", conf, "-bdf", "-q1h"],
                                        stdin=subprocess.DEVNULL, stderr=open(self.where / "stderr", "wb"))
        atexit.register(self.stop)
        for _ in range(200):
            try:
                socket.create_connection((ip, 2525), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("exim did not start: " + "".join(f.read_text() for f in self.where.glob("*log")) + (self.where / "stderr").read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def letters(self):
        return list((self.where / "mail").glob("new/*"))

    def log(self):
        return "".join(f.read_text(errors="replace")[-3000:] for f in self.where.glob("*log"))
