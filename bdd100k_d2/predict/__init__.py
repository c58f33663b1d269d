"""Predicting on what a user gives: images, films and splits, and the files that come of it."""
