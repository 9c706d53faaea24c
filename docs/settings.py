#!/usr/bin/env python3
"""Prints posthouse.conf(5): the page given, with the line @settings@ replaced by what `posthouse config --manual` prints."""
import subprocess
import sys

page, posthouse = sys.argv[1:]
settings = subprocess.run([posthouse, "config", "--manual"], check=True, capture_output=True, text=True).stdout
with open(page, encoding="utf-8") as f:
    sys.stdout.write(f.read().replace("@settings@\n", settings))
