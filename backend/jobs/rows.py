"""Rows of the ledger as they are passed around, and the two updates that everything else is made of."""

from typing import Any

import msgspec
from sqlalchemy import update

from backend.jobs.models import Job, JobAttempt
from backend.jobs.work import Work


class Claimed(msgspec.Struct, frozen=True):
    """A job that is ours to send, its attempt committed. The token exists here and in the hook's address alone."""

    job: Job
    attempt: JobAttempt
    token: str


class Looked(msgspec.Struct, frozen=True):
    """An attempt that is ours to look at for the length of a lease."""

    job: Job
    attempt: JobAttempt


def change_attempt(attempt: JobAttempt) -> Any:
    return update(JobAttempt).where(JobAttempt.brand_id == attempt.brand_id, JobAttempt.id == attempt.id)


def change_job(job: Job) -> Any:
    return update(Job).where(Job.brand_id == job.brand_id, Job.id == job.id)


def work_of(job: Job) -> Work:
    return msgspec.convert(job.input, Work)
