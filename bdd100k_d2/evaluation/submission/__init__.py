"""Checking a submission to the evaluation server before it is uploaded."""

from .check import CHECKS, check_split_submission, check_submission, incomplete_split
from .members import Defect, describe_defects

__all__ = [
    "CHECKS",
    "Defect",
    "check_split_submission",
    "check_submission",
    "describe_defects",
    "incomplete_split",
]
