"""Scoring files: ``--gt`` and ``--pred`` of ``tools/evaluate.py`` -> official scores. Never imports torch."""
