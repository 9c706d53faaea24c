"""A bare SMTP connection: what is sent is exactly what is given."""
import base64
import socket

from house import PORTS


class Wire:
    """A bare connection: what is sent is exactly what is given."""

    def __init__(self, ip, service="mx", tls=None):
        self.socket = socket.create_connection((ip, PORTS[service]), timeout=60)
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """The next reply: its code and all its text."""
        text = []
        while True:
            line = self.file.readline()
            if not line:
                return 0, "\n".join(text)
            text.append(line[4:].decode().rstrip("\r\n"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(text)

    def say(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def code(self, line):
        return self.say(line)[0]

    def hello(self):
        assert self.reply()[0] == 220
        return self.say("EHLO client.test")

    def starttls(self, context):
        assert self.code("STARTTLS") == 220
        self.file.close()
        self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def login(self, user, password):
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        assert self.code("AUTH PLAIN " + secret) == 235

    def close(self):
        self.file.close()
        self.socket.close()
