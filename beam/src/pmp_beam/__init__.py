"""Beam pipelines over the topics and tables."""
