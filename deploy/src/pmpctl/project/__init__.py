"""Prepares a project: topics, subscriptions, datasets, tables and views."""
