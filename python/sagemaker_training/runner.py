"""Kinds of processes. Distributions are started by millwright-runner, from the job's hyperparameters."""
import enum


class RunnerType(enum.Enum):
    MPI = "MPI"
    Process = "Process"


ProcessRunnerType = RunnerType.Process
MPIRunnerType = RunnerType.MPI
