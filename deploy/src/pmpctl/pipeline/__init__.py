"""Starts, stops and watches the pipeline."""
