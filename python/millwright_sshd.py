"""An SSH server for the hosts of one job: what images with OpenSSH have at /usr/sbin/sshd.

OpenSSH's own needs rights that no job here has (chroot, other user ids). The drivers of the SDK's ModelTrainer connect
with paramiko before they start mpirun; this serves them, with paramiko. Commands run in the environment of the job.
Started by `sshd` (millwright-runner under that name).
"""
import json
import os
import socket
import subprocess
import threading

import paramiko

PORT = 22
MAX_SESSIONS = 64


def addresses_of_the_job():
    """Those of /etc/hosts, and, where an engine's resolver knows them instead, of the hosts in resourceconfig.json."""
    with open("/etc/hosts", encoding="utf-8") as hosts:
        known = {line.split()[0] for line in hosts if line.split() and not line.startswith("#")} | {"127.0.0.1"}
    base = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
    try:
        with open(f"{base}/input/config/resourceconfig.json", encoding="utf-8") as resources:
            names = json.load(resources).get("hosts", [])
    except (OSError, ValueError):
        names = []
    for name in names:
        try:
            known.update(socket.gethostbyname_ex(name)[2])
        except OSError:
            pass  # not there (yet): it cannot connect either
    return known


def provide_key():
    """Clients refuse to connect without a key of their own; which one it is does not matter here."""
    path = os.path.expanduser("~/.ssh/id_ecdsa")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if not os.path.exists(path):
        paramiko.ECDSAKey.generate().write_private_key_file(path)


class Session(paramiko.ServerInterface):
    """Anybody may log in: only hosts of the same job reach this port."""

    def check_auth_none(self, username):
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username):
        return "none,publickey"

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=run, args=(channel, command), daemon=True).start()
        return True


def copy(source, send):
    while chunk := source.read1(32768):
        send(chunk)


def run(channel, command):
    process = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    outputs = [threading.Thread(target=copy, args=(process.stdout, channel.sendall)),
               threading.Thread(target=copy, args=(process.stderr, channel.sendall_stderr))]
    for thread in outputs:
        thread.start()

    def feed():
        try:
            while chunk := channel.recv(32768):
                process.stdin.write(chunk)
                process.stdin.flush()
            process.stdin.close()
        except OSError:
            pass  # the command does not want more

    threading.Thread(target=feed, daemon=True).start()
    for thread in outputs:
        thread.join()
    channel.send_exit_status(process.wait() & 0xFF)
    channel.close()


def serve(connection, host_key, slots):
    transport = paramiko.Transport(connection)
    try:
        transport.add_server_key(host_key)
        transport.start_server(server=Session())
        accepted = []  # channels live as long as something refers to them
        while transport.is_active():
            channel = transport.accept(5)
            if channel is not None:
                accepted.append(channel)
    except (paramiko.SSHException, EOFError, OSError):
        pass  # whoever connected did not speak SSH, or has gone
    finally:
        transport.close()
        slots.release()


def main():
    provide_key()
    host_key = paramiko.ECDSAKey.generate()
    slots = threading.BoundedSemaphore(MAX_SESSIONS)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", PORT))
    listener.listen(64)
    while True:
        connection, (address, _) = listener.accept()
        if address not in addresses_of_the_job():
            connection.close()
            continue
        slots.acquire()
        threading.Thread(target=serve, args=(connection, host_key, slots), daemon=True).start()


if __name__ == "__main__":
    main()
