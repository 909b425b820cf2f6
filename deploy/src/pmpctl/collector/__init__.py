"""What the collector is asked to do now."""
