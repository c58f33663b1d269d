"""What the tests make their data with, and how they run commands."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository."""
