"""A Dovecot from Debian as the peer of benchmarks: an instance of its own, on loopback, above port 1024. Needs root."""
import atexit
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

import house

CONF = """
base_dir = {where}/run
state_dir = {where}/run
log_path = {where}/log
protocols = imap pop3
listen = {ip}
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
mail_location = maildir:{where}/mail/%u
mail_uid = {user}
mail_gid = {user}
first_valid_uid = 1
default_client_limit = 20000
default_process_limit = 2000
default_vsz_limit = 0
mail_max_userip_connections = 0
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={where}/mail/%u
}}
service imap-login {{
  {login}
  inet_listener imap {{
    port = 2143
  }}
  inet_listener imaps {{
    port = 2993
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = 2110
  }}
  inet_listener pop3s {{
    port = 2995
    ssl = yes
  }}
}}
service imap {{
  process_limit = 2000
  {imap}
}}
{more}
"""
# SASL for a Postfix beside it: a socket that everybody may ask.
AUTH_SOCKET = """
service auth {{
  unix_listener {where}/auth {{
    mode = 0666
  }}
}}
"""
HIGH_PERFORMANCE = dict(login="service_count = 0\n  process_min_avail = 2\n  client_limit = 20000", imap="")


def missing():
    if os.geteuid() != 0:
        return "Dovecot's master needs root"
    return None if shutil.which("dovecot") else "dovecot-imapd is not installed"


class Dovecot:
    def __init__(self, ip, certificate, key, login="", imap="", more=""):
        self.ip = ip
        self.where = house.folder() / "dovecot"
        (self.where / "mail").mkdir(parents=True)
        user = pwd.getpwnam("nobody")
        os.chown(self.where / "mail", user.pw_uid, user.pw_gid)
        conf = self.where / "dovecot.conf"
        conf.write_text(CONF.format(where=self.where, ip=ip, cert=certificate, key=key, user=user.pw_uid, login=login, imap=imap, more=more.replace("{where}", str(self.where)).replace("{{", "{").replace("}}", "}")).replace(f"gid = {user.pw_uid}", f"gid = {user.pw_gid}"))
        self.process = subprocess.Popen(["dovecot", "-F", "-c", conf], stdin=subprocess.DEVNULL)
        atexit.register(self.stop)
        for _ in range(200):
            try:
                socket.create_connection((ip, 2143), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"dovecot did not start\n{(self.where / 'log').read_text()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
