"""SDK v1: the default bucket and the execution role through the proxy."""
from fixed_hosts import sdk_stays_on_the_machine


def test_default_bucket_and_role_stay_on_the_machine(server, tmp_path):
    sdk_stays_on_the_machine(server, tmp_path)
