"""What the service would tell of a job, batch by batch."""


class Told:
    """A stream that has these batches to tell, and then nothing any more."""

    def __init__(self, *batches):
        self.batches = list(batches)

    def of(self, job_id, wait_s):
        if not self.batches:
            raise AssertionError("the job has ended, and is followed all the same")
        return iter(self.batches.pop(0))


def event(name, state="RUNNING", **fields):
    return {"event": name, "state": state, "attempt": 1, "device": ["cpu-0"], **fields}
