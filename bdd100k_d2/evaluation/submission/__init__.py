"""Checking a submission to the evaluation server before it is uploaded."""

from .check import CHECKS, check_frames_of_split, check_split_submission, check_submission
from .members import Defect, describe_defects

__all__ = [
    "CHECKS",
    "Defect",
    "check_frames_of_split",
    "check_split_submission",
    "check_submission",
    "describe_defects",
]
