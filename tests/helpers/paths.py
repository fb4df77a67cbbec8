"""Where the project's files are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DATA = ROOT / "tests" / "data"
"""Data that others made."""
