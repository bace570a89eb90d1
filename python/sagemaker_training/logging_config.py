"""Logging in the toolkit's form."""
import logging
import sys

_FORMAT = "%(asctime)s %(name)-12s %(levelname)-8s %(message)s"


def get_logger():
    return logging.getLogger("sagemaker-training-toolkit")


def configure_logger(level, log_format=_FORMAT):
    """Sets up the root logger to print to standard output."""
    logging.basicConfig(format=log_format, level=level, stream=sys.stdout)
    if level >= logging.INFO:
        for name in ("boto3", "s3transfer", "botocore", "werkzeug"):
            logging.getLogger(name).setLevel(logging.WARNING)
