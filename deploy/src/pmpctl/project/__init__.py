"""What a project needs before anything runs: topics, subscriptions, datasets, tables and views."""
