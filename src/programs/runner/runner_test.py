"""millwright-runner as a job meets it: a base folder with configuration files, code, and a Python on the PATH."""
import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
RUNNER = Path(os.environ.get("MILLWRIGHT_BIN", ROOT / "build/release/bin")) / "millwright-runner"


class Job:
    """One host of a job in a folder of its own."""

    def __init__(self, test, files=(), entry="train.py", framework="python", **hyperparameters):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.base = self.folder / "ml"
        for name in ("input/config", "input/data", "model", "output/data", "code"):
            (self.base / name).mkdir(parents=True)
        (self.folder / "bin").mkdir()
        (self.folder / "bin/python").symlink_to(sys.executable)
        if entry:
            hyperparameters["sagemaker_program"] = entry
        self.config("hyperparameters", {name: json.dumps(value) for name, value in hyperparameters.items()})
        self.config("inputdataconfig", {"train": {"TrainingInputMode": "File"}})
        self.config("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"})
        for name, text in dict(files).items():
            self.code(name, text)
        self.environment = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin", "SAGEMAKER_BASE_DIR": str(self.base),
            "MILLWRIGHT_FRAMEWORK": framework, "MILLWRIGHT_PYTHON": str(ROOT / "python"),
            "TRAINING_JOB_NAME": "a-job", "AWS_REGION": "us-west-2", "HOME": str(self.folder)}

    def config(self, name, content):
        (self.base / f"input/config/{name}.json").write_text(json.dumps(content))

    def code(self, name, text):
        path = self.base / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def start(self, **options):
        return subprocess.Popen([RUNNER, "train"], env=self.environment, cwd="/", stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def run(self, seconds=60):
        process = self.start()
        out, err = process.communicate(timeout=seconds)
        self.code_ = process.returncode
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")
        return self.code_

    @property
    def failure(self):
        path = self.base / "output/failure"
        return path.read_text() if path.exists() else None

    @property
    def succeeded(self):
        return (self.base / "output/success").exists()


class Running(unittest.TestCase):
    def test_a_script_sees_its_arguments_variables_and_folder(self):
        job = Job(self, {"train.py": """
            import json, os, sys
            print(json.dumps([sys.argv, os.getcwd(), dict(os.environ), sys.path]))
            """}, **{"epochs": 2, "name": "two words"})
        self.assertEqual(job.run(), 0, job.err)
        argv, folder, variables, path = json.loads(job.out)
        code = str(job.base / "code")
        self.assertEqual(argv, ["train.py", "--epochs", "2", "--name", "two words"])
        self.assertEqual(folder, code)
        self.assertEqual(path[0], code)
        self.assertEqual(variables["SM_MODEL_DIR"], str(job.base / "model"))
        self.assertEqual(variables["SM_CHANNEL_TRAIN"], str(job.base / "input/data/train"))
        self.assertEqual(variables["SM_HPS"], '{"epochs":2,"name":"two words"}')
        self.assertEqual(variables["PYTHONUNBUFFERED"], "1")
        self.assertTrue(job.succeeded)
        self.assertIsNone(job.failure)

    def test_the_processors_are_those_the_job_may_use(self):
        job = Job(self, {"train.py": "import os; print(os.environ['SM_NUM_CPUS'])"})
        job.run()
        self.assertLessEqual(int(job.out), len(os.sched_getaffinity(0)))
        job.environment["MILLWRIGHT_CPUS"] = "7"
        job.run()
        self.assertEqual(job.out, "7\n")

    def test_images_that_pass_arguments_through_a_shell_do_so_here(self):
        show = {"train.py": "import sys; print(sys.argv[1:])"}
        for framework, expected in (("pytorch", "['--layers', '64', '32', '--on']"),
                                    ("scikit-learn", "['--layers', '64 32', '--on', '']")):
            job = Job(self, show, framework=framework, layers="64 32", on=None)
            self.assertEqual(job.run(), 0, job.err)
            self.assertEqual(job.out.strip(), expected)

    def test_output_passes_unchanged(self):
        job = Job(self, {"train.py": """
            import sys
            sys.stdout.buffer.write(b"out \\xff\\r\\n"); sys.stdout.flush()
            sys.stderr.buffer.write(b"err \\xfe\\r10%"); sys.stderr.flush()
            """})
        process = job.start()
        self.assertEqual(process.communicate(timeout=30), (b"out \xff\r\n", b"err \xfe\r10%"))

    def test_shell_scripts_run_with_and_without_a_first_line(self):
        for text in ("#!/bin/sh\necho \"$@\"; exit 3\n", "echo \"$@\"; exit 3\n"):
            job = Job(self, {"run.sh": text}, entry="run.sh", a="x y", b=1)
            self.assertEqual(job.run(), 3, job.err)
            self.assertEqual(job.out, "-a x y -b 1\n")

    def test_a_package_is_installed_and_run_as_a_module(self):
        job = Job(self, {"setup.py": "from setuptools import setup\nsetup(name='p', packages=['p'])\n",
                         "p/__init__.py": "", "p/main.py": "import sys; print('ran', __name__, sys.argv[1:])"},
                  entry="p.main", n=1)
        job.code("../bin/pip-note", "")
        # Stands for pip, which would change the interpreter of this test.
        (job.folder / "site").mkdir()
        (job.folder / "site/pip.py").write_text("import sys; print('pip', sys.argv[1:])")
        job.environment["PYTHONPATH"] = str(job.folder / "site")
        self.assertEqual(job.run(), 0, job.err)
        self.assertIn("'install'", job.out)
        self.assertIn("ran __main__ ['-n', '1']", job.out)

    def test_requirements_are_installed_only_when_the_server_could_not(self):
        job = Job(self, {"train.py": "print('trained')", "requirements.txt": "nothing"})
        (job.folder / "pip.py").write_text("import sys; print('pip', *sys.argv[-2:]); sys.exit('no such package: nothing')")
        job.environment["PYTHONPATH"] = str(job.folder)
        self.assertEqual(job.run(), 0)
        self.assertEqual(job.out, "trained\n")
        job.environment["MILLWRIGHT_INSTALL_REQUIREMENTS"] = "1"
        self.assertEqual(job.run(), 1)
        self.assertEqual(job.out, "pip -r requirements.txt\n")
        self.assertTrue(job.failure.startswith("InstallRequirementsError:\nExitCode 1\nErrorMessage \"no such package"))

    def test_code_comes_from_an_archive_a_folder_or_a_file_of_the_run(self):
        for kind in ("tar", "folder", "file"):
            job = Job(self, entry="train.py")
            source = job.base / "input/data/code"
            source.mkdir()
            (source / "train.py").write_text("print('here')")
            if kind == "tar":
                with tarfile.open(source / "sourcedir.tar.gz", "w:gz") as archive:
                    archive.add(source / "train.py", "train.py")
            place = {"tar": source / "sourcedir.tar.gz", "folder": source, "file": source / "train.py"}[kind]
            job.config("hyperparameters", {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(place)})
            self.assertEqual(job.run(), 0, job.err)
            self.assertEqual(job.out, "here\n")

    def test_an_archive_cannot_write_outside_of_the_code(self):
        job = Job(self, entry="train.py")
        evil = job.folder / "evil.tar.gz"
        with tarfile.open(evil, "w:gz") as archive:
            archive.add(__file__, "../../escaped.py")
        job.config("hyperparameters", {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(evil)})
        self.assertEqual(job.run(), 1)
        self.assertIn("escaped.py", job.failure)
        self.assertFalse((job.folder / "escaped.py").exists())

    def test_it_adds_little_to_the_start_of_the_interpreter(self):
        job = Job(self, {"train.py": "print('first line')"})

        commands = {"plain": ([job.folder / "bin/python", "train.py"], job.base / "code"), "runner": ([RUNNER, "train"], "/")}
        wall, busy = {name: [] for name in commands}, {name: [] for name in commands}
        for _ in range(20):  # in turn, so that both see the same machine
            for name, (command, folder) in commands.items():
                before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, env=job.environment)
                process.stdout.readline()
                wall[name].append(time.perf_counter() - begin)
                process.communicate()
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                busy[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        print(*(f"{what} {name}: {min(times[name]) * 1000:.1f} ms" for what, times in (("first line", wall), ("work", busy))
                for name in times), sep=", ", file=sys.stderr)
        # Processor time: other programs on the machine do not make it longer.
        self.assertLess(min(busy["runner"]) - min(busy["plain"]), 0.005)


class Failing(unittest.TestCase):
    def test_an_exception_explains_itself(self):
        job = Job(self, {"train.py": """
            def load(path):
                return open(path)
            load("/no/such/file")
            """})
        self.assertEqual(job.run(), 1)
        for part in ("ExecuteUserScriptError:\nExitCode 1\nErrorMessage \"Traceback", "train.py\", line 4, in <module>",
                     "line 3, in load\n    return open(path)",
                     "FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'\"\nCommand \""):
            self.assertIn(part, job.failure)
        self.assertLessEqual(len(job.failure), 870)
        self.assertFalse(job.succeeded)

    def test_a_syntax_error_shows_its_line(self):
        job = Job(self, {"train.py": "x = 1\ny = = 2\n"})
        self.assertEqual(job.run(), 1)
        self.assertIn("line 2\n    y = = 2\nSyntaxError: invalid syntax", job.failure)

    def test_an_exit_with_words_shows_them(self):
        job = Job(self, {"train.py": "import sys; sys.exit('the data has no column \"price\"')"})
        self.assertEqual(job.run(), 1)
        self.assertIn("ErrorMessage \"the data has no column", job.failure)

    def test_what_the_script_wrote_itself_stays(self):
        job = Job(self, {"train.py": f"""
            import os, sys
            open(os.environ["SM_OUTPUT_DIR"] + "/failure", "w").write("my own words")
            sys.exit(4)
            """})
        self.assertEqual(job.run(), 4)
        self.assertEqual(job.failure, "my own words")

    def test_the_code_must_have_the_entry(self):
        job = Job(self, {"other.py": "", "data/x": ""}, entry="train.py")
        self.assertEqual(job.run(), 1)
        self.assertEqual(job.failure, "ClientError: the code has no train.py (hyperparameter sagemaker_program); "
                                      "it has data, other.py")
        self.assertIn(job.failure, job.err)

    def test_there_must_be_something_to_run(self):
        job = Job(self, {"train.py": ""}, entry=None)
        self.assertEqual(job.run(), 1)
        self.assertIn("sagemaker_program", job.failure)
        job = Job(self, entry="train.py")
        self.assertEqual(job.run(), 1)
        self.assertIn("there is no code", job.failure)
        job = Job(self, {"train.py": ""})
        job.config("resourceconfig", {})
        self.assertEqual(job.run(), 1)
        self.assertTrue(job.failure.startswith("ClientError: resourceconfig.json"))

    def test_a_shell_script_for_windows_is_recognised(self):
        job = Job(self, {"run.sh": "#!/bin/bash\r\necho\r\n"}, entry="run.sh")
        self.assertEqual(job.run(), 127)
        self.assertIn("carriage return", job.failure)

    def test_signals_are_named_and_kill_the_runner_likewise(self):
        for number, name in ((signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV (segmentation fault)")):
            job = Job(self, {"train.py": f"import os; os.kill(os.getpid(), {int(number)})"})
            self.assertEqual(job.run(), -number)
            self.assertIn(f"ExitCode {128 + number}", job.failure)
            self.assertIn(f"killed by {name}", job.failure)

    def test_a_real_segmentation_fault(self):
        job = Job(self, {"train.py": "import ctypes, faulthandler; faulthandler.enable(); ctypes.string_at(0)"})
        self.assertEqual(job.run(), -signal.SIGSEGV)
        self.assertIn("Fatal Python error: Segmentation fault", job.failure)

    def test_a_hyperparameter_with_nul(self):
        job = Job(self, {"train.py": ""}, name="a\0b")
        self.assertEqual(job.run(), 1)
        self.assertIn("NUL", job.failure)

    def test_the_script_goes_on_when_nobody_reads_its_errors(self):
        job = Job(self, {"train.py": """
            import os, sys
            for _ in range(100): sys.stderr.write("x" * 10000)
            open(os.environ["SM_MODEL_DIR"] + "/done", "w").close()
            """})
        process = job.start()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=30), 0)
        process.stdout.close()
        self.assertTrue((job.base / "model/done").exists())

    def test_arguments_larger_than_the_system_allows(self):
        job = Job(self, {"train.py": "import os; print('SM_HPS' in os.environ)"}, **{"x" * 10: "y" * 200_000})
        self.assertEqual(job.run(), 127)
        self.assertIn("larger than the system allows", job.failure)
        self.assertIn("the variable SM_HPS is left out", job.err)


class Stopping(unittest.TestCase):
    def wait_for(self, process, word):
        line = process.stdout.readline()
        self.assertEqual(line.decode().strip(), word)

    def test_a_script_hears_the_wish_to_stop(self):
        job = Job(self, {"train.py": """
            import signal, sys, time
            def stop(number, frame):
                print("saving", flush=True)
                sys.exit(0)
            signal.signal(signal.SIGTERM, stop)
            print("ready", flush=True)
            time.sleep(60)
            """})
        process = job.start()
        self.wait_for(process, "ready")
        process.send_signal(signal.SIGTERM)
        self.assertIn(b"saving", process.communicate(timeout=10)[0])
        self.assertEqual(process.returncode, 0)

    def test_a_script_that_does_not_listen_just_ends_and_is_no_failure(self):
        job = Job(self, {"train.py": "import time; print('ready'); time.sleep(60)"})
        process = job.start()
        self.wait_for(process, "ready")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        self.assertEqual(process.returncode, -signal.SIGTERM)
        self.assertIsNone(job.failure)

    def test_an_installation_ends_when_the_job_is_to_stop(self):
        job = Job(self, {"train.py": "print('trained')", "requirements.txt": "x"})
        (job.folder / "pip.py").write_text("import time; print('installing', flush=True); time.sleep(60)")
        job.environment.update(PYTHONPATH=str(job.folder), MILLWRIGHT_INSTALL_REQUIREMENTS="1")
        process = job.start()
        self.wait_for(process, "installing")
        process.send_signal(signal.SIGTERM)
        self.assertNotIn(b"trained", process.communicate(timeout=10)[0])
        self.assertEqual(process.returncode, 143)
        self.assertIsNone(job.failure)

    def test_a_stop_at_any_moment_of_the_start_is_heard(self):
        job = Job(self, {"train.py": "import time; time.sleep(30)"})
        for delay in range(40):
            process = job.start()
            time.sleep(delay / 10_000)
            process.send_signal(signal.SIGTERM)
            self.assertIn(process.wait(timeout=10), (143, -signal.SIGTERM))
            process.communicate()

    def test_signals_come_through_while_output_is_stuck(self):
        job = Job(self, {"train.py": """
            import os, signal, sys, time
            signal.signal(signal.SIGTERM, lambda *a: (open("heard", "w").close(), os._exit(0)))
            print("ready", flush=True)
            while True: sys.stderr.write("x" * 100000)
            """})
        process = job.start()
        self.wait_for(process, "ready")
        time.sleep(0.3)  # nobody reads: runner and script wait for room
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while not (job.base / "code/heard").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertTrue((job.base / "code/heard").exists())
        process.communicate(timeout=10)

    def test_children_that_survive_are_not_waited_for(self):
        job = Job(self, {"train.py": """
            import os, subprocess, sys
            child = subprocess.Popen(["sleep", "30"])
            print(child.pid, flush=True)
            sys.stderr.write("the last words\\n")
            sys.exit(5)
            """})
        begin = time.monotonic()
        process = job.start()
        child = int(process.stdout.readline())
        self.assertEqual(process.wait(timeout=10), 5)
        self.assertLess(time.monotonic() - begin, 5)
        os.kill(child, signal.SIGKILL)
        process.communicate()
        self.assertIn("the last words", job.failure)

    def test_a_script_may_close_its_standard_error(self):
        job = Job(self, {"train.py": "import os, time; os.close(2); time.sleep(0.3); os._exit(6)"})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual(job.run(), 6)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertLess(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 0.25, "the runner spins")


class Flooding(unittest.TestCase):
    def flood(self, script):
        job = Job(self, {"train.py": script})
        process = subprocess.Popen([RUNNER, "train"], env=job.environment, cwd="/", stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        count, peak, begin = 0, 0, time.monotonic()
        while True:
            block = process.stderr.read1(1 << 20)
            if not block:
                break
            count += len(block)
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max([peak] + [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")])
            except OSError:
                pass
        process.stderr.close()
        process.wait()
        return job, count, peak, time.monotonic() - begin

    def test_a_line_of_a_gigabyte_needs_no_memory(self):
        job, count, peak_kib, seconds = self.flood("""
            import sys
            block = "x" * (1 << 20)
            for _ in range(1024): sys.stderr.write(block)
            sys.exit(1)
            """)
        self.assertEqual(count, 1 << 30)
        self.assertLess(peak_kib, 16 << 10)
        print(f"1 GiB line: {count / seconds / 1e6:.0f} MB/s, {peak_kib} KiB", file=sys.stderr)
        self.assertIn("xxx", job.failure)
        self.assertLessEqual(len(job.failure), 870)

    def test_a_flood_of_lines_flows(self):
        _, count, peak_kib, seconds = self.flood("""
            import sys
            block = ("an ordinary line of a log, of some length, as programs print them: loss=0.123456\\n" * 1000)
            for _ in range(4000): sys.stderr.write(block)
            """)
        print(f"lines: {count / seconds / 1e6:.0f} MB/s, {peak_kib} KiB", file=sys.stderr)
        self.assertGreater(count / seconds, 30e6)  # 200 MB/s on an idle machine


if __name__ == "__main__":
    unittest.main()
