"""Predicting on what a user gives: pictures, films and splits, and the files that come of it."""
