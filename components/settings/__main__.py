"""Renews what is generated from the settings' models: `python -m components.settings`."""

from __future__ import annotations

import sys

from components.settings.docs import README, with_table
from components.settings.schema import SCHEMA_FILE, render

if __name__ == "__main__":
    SCHEMA_FILE.write_text(render())
    README.write_text(with_table(README.read_text()))
    sys.stdout.write(f"renewed {SCHEMA_FILE.name} and the table of settings in {README.name}\n")
