#!/usr/bin/env python3
"""`meson install` puts everything in place; every public header compiles alone in C and C++; a program builds with pkg-config
and runs; libposthouse exports exactly what its headers declare."""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
#include <posthouse/base.h>
#include <posthouse/build.h>
#include <posthouse/imap.h>
#include <posthouse/mime.h>
#include <posthouse/pop3.h>
#include <posthouse/smtp.h>
#include <stdio.h>
int main(void)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 100);
    ph_buf_addf(&b, "%s", ph_error_info(PH_ENOTIMPL)->text);
    puts(ph_buf_cstr(&b));
    ph_buf_done(&b);
    return 0;
}
"""


def run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    build = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as top:
        run("meson", "install", "-C", build, "--destdir", top, "--no-rebuild")
        installed = {p.name: p for p in Path(top).rglob("*") if not p.is_dir()}
        for name in ("post", "posthouse", "libposthouse.so", "posthouse.pc", "base.h", "smtp.h", "post.1", "posthouse.8", "posthouse.conf.5"):
            assert name in installed, f"{name} was not installed: {sorted(installed)}"
        include = installed["base.h"].parents[1]
        for header in sorted((include / "posthouse").glob("*.h")):
            for compiler, language in (("gcc", "c"), ("clang", "c"), ("clang", "c++")):
                run(compiler, "-x", language, "-std=c17" if language == "c" else "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", include, header)
        source = Path(top) / "try.c"
        source.write_text(PROGRAM)
        flags = run("pkg-config", "--define-variable=prefix=" + str(include.parent), "--cflags", "--libs", "posthouse",
                    env={**os.environ, "PKG_CONFIG_PATH": str(installed["posthouse.pc"].parent)}).split()
        sanitize = json_option(build, "b_sanitize")
        more = [f"-fsanitize={sanitize}"] if sanitize != "none" else []
        run("gcc", "-std=c17", *more, source, "-o", Path(top) / "try", *flags)
        out = run(Path(top) / "try", env={**os.environ, "LD_LIBRARY_PATH": str(installed["libposthouse.so"].parent)})
        assert out == "not implemented\n", out
        exported = {line.split()[-1].split("@")[0] for line in run("nm", "-D", "--defined-only", installed["libposthouse.so"]).splitlines() if " A " not in line}
        declared = {name for h in (include / "posthouse").glob("*.h") for name in re.findall(r"\b(ph_\w+)\s*(?:\(|;|\[)", h.read_text())}
        stray = {name for name in exported - declared if not name.startswith(("__", "_"))}
        assert not stray, f"exported and in no public header: {sorted(stray)}"
    print("installed, compiled, linked, run")
    return 0


def json_option(build, name):
    import json
    options = json.loads(run("meson", "introspect", "--buildoptions", build))
    return next(o["value"] for o in options if o["name"] == name)


if __name__ == "__main__":
    sys.exit(main())
