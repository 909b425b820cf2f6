"""A job on Dataflow from its beginning to the end of the wait for it, and what becomes of it then."""

import json
import signal
from functools import partial

import pytest
from apache_beam.runners.runner import PipelineState

from pmp_beam.runners import ended_by_signals
from pmp_beam.station_features.feature_run import attempt
from pmp_beam.station_features.run_work import JobFailedError, carry_out
from pmp_runtime.config import ConfigError
from tests.fakes.recording import RecordingPublisher
from tests.unit.beam.features.test_feature_run import RUN

SIGNALS = [signal.SIGTERM, signal.SIGINT]


class Job:
    """As Beam's: it cannot be cancelled once it has ended.

    Args:
        wait: ends the wait; returns the job's state.
    """

    def __init__(self, wait, state=PipelineState.RUNNING):
        self.wait_until_finish = wait
        self.state = state

    def is_in_terminal_state(self):
        return PipelineState.is_terminal(self.state)

    def cancel(self):
        assert not self.is_in_terminal_state()
        self.state = PipelineState.CANCELLED


def lost():
    raise AssertionError("Job did not reach to a terminal state after waiting indefinitely.")


def interrupted(number=signal.SIGTERM):
    signal.raise_signal(number)
    return PipelineState.DONE


def told(work):
    """Whether an attempt went well, and the last event of it: type and error."""
    publisher = RecordingPublisher()
    went_well = attempt(RUN, publisher, work)
    event = json.loads(publisher.published[-1][1].data)
    return went_well, event["type"], event["data"].get("error")


def test_a_job_that_is_done_is_left_alone():
    job = Job(lambda: PipelineState.DONE, PipelineState.DONE)
    carry_out(lambda: job, "job")
    assert job.state == PipelineState.DONE


def test_a_job_that_was_drained_or_cancelled_by_somebody_has_failed():
    job = Job(lambda: PipelineState.CANCELLED, PipelineState.CANCELLED)
    with pytest.raises(JobFailedError, match="job: CANCELLED"):
        carry_out(lambda: job, "job")


def test_a_job_whose_state_is_not_known_any_more_is_cancelled():
    job = Job(lost)
    with pytest.raises(AssertionError):
        carry_out(lambda: job, "job")
    assert job.state == PipelineState.CANCELLED


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_cancels_the_job_and_the_run_is_told_to_have_failed(number):
    job = Job(partial(interrupted, number))
    with ended_by_signals():
        assert told(lambda: carry_out(lambda: job, "job")) == (
            False,
            "feature_run.failed",
            f"SystemExit: {number.name}",
        )
    assert job.state == PipelineState.CANCELLED


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_while_the_job_is_made_cancels_it(number):
    job = Job(lambda: pytest.fail("it is waited for"))

    def begin():
        interrupted(number)
        return job

    with ended_by_signals():
        assert told(lambda: carry_out(begin, "job"))[2] == f"SystemExit: {number.name}"
    assert job.state == PipelineState.CANCELLED


def test_a_signal_is_not_lost_where_no_job_is_made():
    def begin():
        interrupted()
        raise ConfigError("there is none to replace")

    with ended_by_signals():
        assert told(lambda: carry_out(begin, "job"))[2] == "SystemExit: SIGTERM"


def test_signals_are_as_they_were_behind_the_block():
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
