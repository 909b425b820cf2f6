"""Messages in and out of Pub/Sub: push requests parsed, publishes confirmed (extra `pubsub`)."""
