"""Predicting on what a user gives: images, videos and splits, and the files that come of it."""
