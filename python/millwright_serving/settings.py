"""What the environment says."""
import logging
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ACCEPT = "application/json"
MAX_WORKERS = 256


class SettingsError(Exception):
    pass


def number(name, otherwise, smallest=1, largest=2**31):
    text = os.environ.get(name, "")
    if not text.strip():
        return otherwise
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not smallest <= value <= largest:
        raise SettingsError(f"{name} is {text!r}; it must be a number from {smallest} to {largest}")
    return value


def cpus():
    """Those that the container may use."""
    given = number("MILLWRIGHT_CPUS", 0, 0)
    if given:
        return given
    count = len(os.sched_getaffinity(0))
    for quota, period in (("/sys/fs/cgroup/cpu.max", None),
                          ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us")):
        try:
            words = Path(quota).read_text().split() + (Path(period).read_text().split() if period else [])
            if int(words[0]) > 0:
                count = min(count, -(-int(words[0]) // int(words[1])))
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return max(1, count)


def gpus():
    return sum(1 for path in Path("/dev").glob("nvidia[0-9]*"))


@dataclass
class Settings:
    base: Path
    framework: str
    program: str
    submit_directory: str
    port: int
    workers: int
    timeout_s: int
    max_body_bytes: int
    accept: str
    log_level: int

    @property
    def model_dir(self):
        return self.base / "model"

    @classmethod
    def read(cls):
        base = Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")
        return cls(
            base=base,
            framework=os.environ.get("MILLWRIGHT_FRAMEWORK", ""),
            program=os.environ.get("SAGEMAKER_PROGRAM") or "inference.py",
            submit_directory=os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", ""),
            port=number("SAGEMAKER_BIND_TO_PORT", 8080, 0, 65535),
            workers=number("SAGEMAKER_MODEL_SERVER_WORKERS", gpus() or cpus(), 1, MAX_WORKERS),
            timeout_s=number("SAGEMAKER_MODEL_SERVER_TIMEOUT", number("SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", 60)),
            max_body_bytes=number("SAGEMAKER_MAX_PAYLOAD_IN_MB", 25, 1, 2048) << 20,
            accept=os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or DEFAULT_ACCEPT,
            log_level=number("SAGEMAKER_CONTAINER_LOG_LEVEL", logging.INFO, 0, 100))
