locals {
  # Account -> topics that it publishes to. The replayer returns letters to every topic but the dead letters'.
  publishers = {
    collector = ["snapshots", "station-information", "sensor-events", "ops-events"]
    writer    = ["dead-letters", "ops-events"]
    replayer  = [for key, _ in local.topics : key if key != "dead-letters"]
    launcher  = ["ops-events"]
    submitter = ["ops-events"]
    worker    = ["sensor-events", "ops-events", "dead-letters"]
  }
  # Account -> pull subscriptions that it reads; of these, those that exist.
  hold = one([
    for s in local.topology.subscriptions : s.id if s.topic == "dead-letters" && s.kind == "pull" && s.mode == "always"
  ])
  subscribers = {
    replayer = [local.hold]
    worker = [
      for id, s in local.wanted : id if s.kind == "pull" && s.topic != "dead-letters" && s.mode != "debug"
    ]
  }
  # Dataflow looks a subscription and its topic up before it reads.
  lookups = { for id in local.subscribers.worker : id => local.wanted[id].topic }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = merge([
    for account, topics in local.publishers : { for topic in topics : "${account}/${topic}" => [account, topic] }
  ]...)

  topic  = google_pubsub_topic.this[each.value[1]].name
  role   = "roles/pubsub.publisher"
  member = local.members[each.value[0]]
}

resource "google_pubsub_subscription_iam_member" "subscriber" {
  for_each = merge([
    for account, ids in local.subscribers : { for id in ids : "${account}/${id}" => [account, id] }
  ]...)

  subscription = google_pubsub_subscription.this[each.value[1]].name
  role         = "roles/pubsub.subscriber"
  member       = local.members[each.value[0]]
}

resource "google_pubsub_subscription_iam_member" "lookup" {
  for_each = local.lookups

  subscription = google_pubsub_subscription.this[each.key].name
  role         = "roles/pubsub.viewer"
  member       = local.members.worker
}

resource "google_pubsub_topic_iam_member" "lookup" {
  for_each = toset(values(local.lookups))

  topic  = google_pubsub_topic.this[each.value].name
  role   = "roles/pubsub.viewer"
  member = local.members.worker
}

# Without these two, a message that has used up its attempts is neither forwarded nor given up.
resource "google_pubsub_topic_iam_member" "agent_publishes_dead_letters" {
  topic  = google_pubsub_topic.this["dead-letters"].name
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_takes_dead_letters" {
  for_each = { for id, s in local.wanted : id => s if s.dead_letter }

  subscription = google_pubsub_subscription.this[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
