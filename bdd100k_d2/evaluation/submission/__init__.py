"""Checking a submission to the evaluation server before it is uploaded."""

from .check import check_split, check_submission
from .finding import Finding, describe

__all__ = ["Finding", "check_split", "check_submission", "describe"]
