#!/usr/bin/env python3
"""The rooms of the house: prints every include that crosses an edge the design does not have.

The build already keeps wrong headers off each room's include path; this names the edge, and catches what an include path
cannot: "../" escapes, public headers of a higher room, and a protocol engine that reaches for the system.
"""
import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"
PUBLIC = SRC.parent / "include" / "posthouse"

PURE = {"base"}
MAIL = PURE | {"text", "mime", "search", "sasl", "mailauth"}
LOW = MAIL | {"os"}
PROTO = {"proto/line", "proto/smtp", "proto/pop3", "proto/imap"}
WIRE = PURE | {"text", "proto/line"}
SERVER = LOW | PROTO | {"net", "ipc", "conf", "server/proc"}

# room -> rooms whose headers it may include (its own always)
MAY = {
    "base": set(), "text": PURE, "sasl": PURE | {"text"}, "mime": PURE | {"text"}, "search": PURE | {"text", "mime"}, "mailauth": PURE | {"text", "mime"}, "os": PURE,
    "proto/line": PURE, "proto/smtp": WIRE, "proto/pop3": WIRE, "proto/imap": WIRE,
    "net": LOW | PROTO, "ipc": PURE | {"os"}, "conf": PURE | {"os", "ipc"}, "house": PURE | {"os"}, "store": PURE | {"os"},
    "queue": PURE | {"os"},
    "server/proc": PURE | {"os", "ipc", "conf", "net", "mime"}, "server/receive": SERVER,
    "server/mx": SERVER | {"server/receive"}, "server/access": SERVER | {"server/receive"}, "server/relay": SERVER, "server/resolver": SERVER,
    "server/queue": SERVER | {"queue"}, "server/store": SERVER | {"store"}, "server/indexer": SERVER, "server/keeper": SERVER | {"house"},
    "server/parent": SERVER, "server": SERVER | {"admin", "server/parent"},
    "admin": LOW | PROTO | {"net", "ipc", "conf", "house", "store", "queue", "server/parent"},
    "post": LOW | PROTO | {"net"}, "lib": LOW | PROTO | {"net"},
}
# public header -> room it is the face of
FACES = {"base.h": "base", "proto.h": "base", "mime.h": "mime", "build.h": "mime", "edit.h": "mime", "reply.h": "mime", "text.h": "text", "smtp.h": "proto/smtp", "pop3.h": "proto/pop3",
         "imap.h": "proto/imap", "imap_server.h": "proto/imap", "imap_values.h": "proto/imap", "imap_caps.def": "proto/imap", "imap_commands.def": "proto/imap", "net.h": "net", "send.h": "net", "fetch.h": "net", "discover.h": "net", "trouble.def": "net", "sasl.h": "sasl"}
# what a pure room never includes: the wire is bytes and the time, nothing else
SYSTEM = re.compile(r"^(sys/|netinet/|arpa/|unistd\.h|fcntl\.h|poll\.h|pthread\.h|time\.h|event2/|openssl/|sqlite3\.h)")
NO_SYSTEM = {"base", "proto/line", "proto/smtp", "proto/pop3", "proto/imap"}


def room_of(path):
    parts = path.relative_to(SRC).parts[:-1]
    two = "/".join(parts[:2])
    return two if two in MAY else parts[0]


def main():
    homes = {}
    for header in SRC.rglob("*"):
        if header.suffix in (".h", ".def"):
            homes.setdefault(header.name, set()).add(room_of(header))
    wrong = []
    for file in sorted(SRC.rglob("*")):
        if file.suffix not in (".c", ".h"):
            continue
        room = room_of(file)
        allowed = MAY[room] | {room}
        for number, line in enumerate(file.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if not m:
                continue
            kind, name = m.groups()
            where = f"{file.relative_to(SRC.parent)}:{number}"
            inside = (file.parent / name).resolve()
            if ".." in name and (SRC / room) not in inside.parents:
                wrong.append(f"{where}: {room} reaches out of its room: {name}")
            elif name.startswith("posthouse/"):
                target = FACES.get(name[10:])
                if target is None:
                    wrong.append(f"{where}: {name} is not listed in tests/rules/layers.py")
                elif target not in allowed:
                    wrong.append(f"{where}: {room} -> {target} ({name})")
            elif kind == '"':
                rooms = {"/".join(name.split("/")[:-1])} if "/" in name and not (file.parent / name).exists() else homes.get(Path(name).name, set())
                if not rooms & allowed:
                    wrong.append(f"{where}: {room} -> {', '.join(sorted(rooms)) or 'nowhere'} ({name})")
            elif room in NO_SYSTEM and SYSTEM.match(name):
                wrong.append(f"{where}: {room} is pure and may not include <{name}>")
    for header in PUBLIC.glob("*.h"):
        if header.name not in FACES:
            wrong.append(f"include/posthouse/{header.name}: no room in tests/rules/layers.py")
    print("\n".join(wrong) or "every include follows the design")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
