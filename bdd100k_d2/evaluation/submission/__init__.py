"""Checking a submission to the evaluation server before it is uploaded."""

from .check import check_submission
from .finding import Finding, describe
from .split import check_split

__all__ = ["Finding", "check_split", "check_submission", "describe"]
