import pytest

from pmp_schema.topology import TOPOLOGY


def test_resources_have_their_full_paths():
    assert TOPOLOGY.topics["snapshots"].path("p") == "projects/p/topics/pmp-events"
    subscription = TOPOLOGY.push_subscription("snapshots")
    assert subscription.path("p") == "projects/p/subscriptions/pmp-events-to-bq-sub"


def test_the_dataset_of_a_table_or_view_is_found():
    assert TOPOLOGY.dataset_of("raw_events").id == "pmp_raw"
    assert TOPOLOGY.dataset_of("station_information_latest").id == "pmp_curated"
    with pytest.raises(KeyError):
        TOPOLOGY.dataset_of("weather")


def test_names_are_unique():
    for names in (
        [topic.id for topic in TOPOLOGY.topics.values()],
        [subscription.id for subscription in TOPOLOGY.subscriptions],
        [name for dataset in TOPOLOGY.datasets.values() for name in (*dataset.tables, *dataset.views)],
        [service.local_port for service in TOPOLOGY.services.values()],
        [schedule.id for schedule in TOPOLOGY.schedules],
        [*TOPOLOGY.jobs.values(), *TOPOLOGY.launchers.values()],
    ):
        assert len(names) == len(set(names))
    assert TOPOLOGY.jobs.keys() == TOPOLOGY.launchers.keys()


def test_only_dead_letters_are_not_dead_lettered_by_pubsub():
    """A dead letter must not be lost, and Dataflow does not support the policy on its subscriptions."""
    for subscription in TOPOLOGY.subscriptions:
        is_pushed = subscription.push_path is not None
        assert subscription.dead_letter == (is_pushed and subscription.topic.key != "dead-letters")


def test_pubsubs_own_limits_are_kept():
    policy = TOPOLOGY.push_policy
    assert 10 <= policy.ack_deadline_s <= 600
    assert 5 <= policy.max_delivery_attempts <= 100
    assert 0 <= policy.min_backoff_s <= policy.max_backoff_s <= 600
    assert all(600 <= s.retention_s <= 31 * 86_400 for s in TOPOLOGY.subscriptions)


@pytest.mark.parametrize("schedule", TOPOLOGY.schedules, ids=lambda schedule: schedule.id)
def test_a_schedule_calls_a_service_at_one_kind_of_time(schedule):
    assert schedule.service in TOPOLOGY.services
    assert (schedule.every_s is None) != (schedule.daily_at is None)
    assert (schedule.daily_at is None) == (schedule.time_zone is None)
    # https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs, attemptDeadline
    assert 15 <= schedule.timeout_s <= 1800
