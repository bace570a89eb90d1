"""A limit on the time of a block of code."""
import contextlib
import signal


class TimeoutError(Exception):  # the toolkit's own, not Python's
    pass


@contextlib.contextmanager
def timeout(seconds=0, minutes=0, hours=0):
    limit = seconds + 60 * minutes + 3600 * hours

    def expire(number, frame):
        raise TimeoutError(f"timed out after {limit} seconds")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
