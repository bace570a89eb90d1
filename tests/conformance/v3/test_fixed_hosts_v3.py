"""SDK v3: the default bucket, the execution role and telemetry through the proxy."""
from fixed_hosts import sdk_stays_on_the_machine


def test_default_bucket_role_and_telemetry_stay_on_the_machine(server, tmp_path):
    sdk_stays_on_the_machine(server, tmp_path)
