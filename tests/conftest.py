"""Fixtures and settings of all tests."""

import sys
import threading

import hypothesis
import pytest

# no timing decides a test
hypothesis.settings.register_profile("mlopt", deadline=None)
hypothesis.settings.load_profile("mlopt")


@pytest.fixture
def run_threads():
    """Starts threads of functions together and joins them; what one raises, the test raises."""
    started = []

    def run(*functions):
        errors = []
        together = threading.Barrier(len(functions))

        def work(function):
            try:
                together.wait(30)
                function()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(function,), daemon=True) for function in functions]
        started.extend(threads)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        if errors:
            raise errors[0]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # many changes of thread in a short test
    yield run
    sys.setswitchinterval(interval)
    for thread in started:
        thread.join(60)
