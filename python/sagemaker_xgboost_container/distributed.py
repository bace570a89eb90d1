"""Training on several hosts with XGBoost's collective: Rabit, as scripts still call it."""
import json
import logging
import socket
import sys
import time

LOCAL_HOSTNAME = "127.0.0.1"
DEFAULT_PORT = 9099
_PAUSE_SECONDS = 0.2
_CONNECT_SECONDS = 300

logger = logging.getLogger(__name__)


def wait_hostname_resolution(sm_hosts):
    for host in sm_hosts:
        socket.gethostbyname(host)


def rabit_run(exec_fun, args, include_in_training, hosts, current_host, first_port=None, second_port=None,
              max_connect_attempts=None, connect_retry_timeout=10, update_rabit_args=False):
    """Calls exec_fun(**args) on the hosts that have data, joined by the collective.

    All hosts first tell each other whether they have data; a host without any leaves with exit code 0. With
    `update_rabit_args` args gets "is_master".
    """
    with Rabit(hosts, current_host, port=first_port, max_connect_attempts=max_connect_attempts,
               connect_retry_timeout=connect_retry_timeout) as everybody:
        told = everybody.synchronize({"host": current_host, "include_in_training": include_in_training})
        port = everybody.master_port
    chosen = [entry["host"] for entry in told if entry["include_in_training"]]
    if not include_in_training:
        logger.warning("Host %s not being used for distributed training.", current_host)
        sys.exit(0)
    with Rabit(chosen, current_host, port=second_port or port + 1, max_connect_attempts=max_connect_attempts,
               connect_retry_timeout=connect_retry_timeout) as cluster:
        if update_rabit_args:
            args.update(is_master=cluster.is_master)
        exec_fun(**args)


class RabitHelper:
    def __init__(self, is_master, current_host, master_port, rank=0, world_size=1):
        self.is_master, self.current_host, self.master_port = is_master, current_host, master_port
        self.rank, self.world_size = rank, world_size

    def synchronize(self, data):
        """What each host has to say, in the order of ranks."""
        if self.world_size == 1:
            return [data]
        from xgboost import collective
        own = json.dumps(data)
        return [json.loads(str(collective.broadcast(own if rank == self.rank else "", rank)))
                for rank in range(self.world_size)]


class Rabit:
    """The collective for the time of a with statement. The first host, by name, runs the tracker."""

    def __init__(self, hosts, current_host=None, master_host=None, port=None, max_connect_attempts=None,
                 connect_retry_timeout=3):
        if max_connect_attempts is not None and max_connect_attempts <= 0:
            raise ValueError("max_connect_attempts must be None or an integer greater than 0.")
        self.hosts = sorted(hosts)
        self.n_workers = len(self.hosts)
        self.current_host = current_host or LOCAL_HOSTNAME
        self.master_host = master_host or self.hosts[0]
        self.is_master_host = self.current_host == self.master_host
        self.port = port or DEFAULT_PORT
        self.max_connect_attempts = max_connect_attempts
        self.connect_retry_timeout = connect_retry_timeout
        self._tracker = self._context = None

    def start(self):
        if self.n_workers == 1:
            return RabitHelper(True, self.current_host, self.port)
        from xgboost import collective
        from xgboost.tracker import RabitTracker
        address = socket.gethostbyname(self.master_host)
        recent = hasattr(RabitTracker, "worker_args")  # XGBoost 2.1
        if self.is_master_host:
            self._tracker = RabitTracker(host_ip=address, n_workers=self.n_workers, port=self.port, sortby="task")
            self._tracker.start() if recent else self._tracker.start(self.n_workers)
        arguments = {"dmlc_tracker_uri": address, "dmlc_tracker_port": self.port,
                     "dmlc_task_id": str(self.hosts.index(self.current_host))}
        if not recent:  # other names, and the library itself waits for the tracker
            arguments = {**{name.upper(): value for name, value in arguments.items()},
                         "DMLC_WORKER_CONNECT_RETRY": _CONNECT_SECONDS}
        self._context = self._connect(collective, arguments)
        return RabitHelper(self.is_master_host, self.current_host, self.port, collective.get_rank(),
                           collective.get_world_size())

    def _connect(self, collective, arguments):
        """The tracker of the first host may not listen yet; its protocol does not bear being tried with a bare connection."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        attempt = 0
        while True:
            attempt += 1
            context = collective.CommunicatorContext(**arguments)
            try:
                context.__enter__()
                return context
            except Exception:
                given_up = self.max_connect_attempts is not None and attempt >= self.max_connect_attempts
                if given_up or time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(_PAUSE_SECONDS)

    def stop(self):
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None
        if self._tracker is not None:
            wait = getattr(self._tracker, "wait_for", None) or self._tracker.join
            wait()
            if hasattr(self._tracker, "free"):
                self._tracker.free()
            self._tracker = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()
