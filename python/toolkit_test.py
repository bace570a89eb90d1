"""The packages that user scripts import, compared with the variables that millwright-runner sets."""
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RUNNER = Path(os.environ.get("MILLWRIGHT_BIN", ROOT / "build/release/bin")) / "millwright-runner"
RESOURCES = {
    "current_host": "algo-1", "current_instance_type": "ml.m5.large", "current_group_name": "a", "hosts": ["algo-1", "algo-2"],
    "network_interface_name": "eth0", "instance_groups": [
        {"instance_group_name": "a", "instance_type": "ml.m5.large", "hosts": ["algo-1"]},
        {"instance_group_name": "b", "instance_type": "ml.m5.large", "hosts": ["algo-2"]}]}


def has(*modules):
    return all(importlib.util.find_spec(name) for name in modules)


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name) / "ml"
        for name in ("input/config", "code", "model", "output/data"):
            (self.base / name).mkdir(parents=True)
        self.hyperparameters = {"epochs": "2", "name": '"x y"', "empty": "null", "sagemaker_program": '"train.py"',
                                "sagemaker_mpi_enabled": "true", "layers": '{"b": [1, "ü"], "a": 0.5}'}
        self.write("hyperparameters", self.hyperparameters)
        self.write("inputdataconfig", {"train": {"TrainingInputMode": "File"}})
        self.write("resourceconfig", RESOURCES)

    def write(self, name, content):
        (self.base / f"input/config/{name}.json").write_text(json.dumps(content))

    def run_python(self, script, code=0, **more):
        environment = {"PATH": os.environ["PATH"], "SAGEMAKER_BASE_DIR": str(self.base), "PYTHONPATH": str(HERE),
                       "TRAINING_JOB_NAME": "a-job", **more}
        result = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True,
                                text=True, timeout=60, cwd=self.base / "code")
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout if code == 0 else result.stderr


class Environment(Base):
    def test_agrees_with_the_runner_in_every_variable(self):
        (self.base / "code/train.py").write_text(textwrap.dedent("""
            import json, os
            from sagemaker_training import environment
            mine = environment.Environment().to_env_vars()
            given = {k: v for k, v in os.environ.items() if k.startswith("SM_")}
            print(json.dumps([mine, given]))
            """))
        self.write("resourceconfig", {**RESOURCES, "hosts": ["localhost"], "current_host": "localhost"})
        result = subprocess.run([RUNNER, "train"], capture_output=True, text=True, timeout=60, cwd="/", env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "SAGEMAKER_BASE_DIR": str(self.base),
            "MILLWRIGHT_PYTHON": str(HERE), "MILLWRIGHT_FRAMEWORK": "scikit-learn", "TRAINING_JOB_NAME": "a-job"})
        self.assertEqual(result.returncode, 0, result.stderr)
        mine, given = json.loads(result.stdout)
        self.assertEqual(mine, given)

    def test_is_a_mapping_of_its_properties(self):
        out = self.run_python("""
            from sagemaker_training import environment
            env = environment.Environment()
            assert env["hosts"] == env.hosts == ["algo-1", "algo-2"], env.hosts
            assert env.hyperparameters == {"epochs": 2, "name": "x y", "empty": None, "layers": {"b": [1, "\\u00fc"], "a": 0.5}}
            assert env.channel_input_dirs["train"].endswith("/input/data/train")
            assert env.is_hetero and env.is_master and env.distribution_hosts == ["algo-1"]
            assert env.to_cmd_args() == ["--empty", "", "--epochs", "2", "--layers", "a=0.5,b=[1, '\\u00fc']", "--name", "x y"]
            assert env.job_name == "a-job" and env.additional_framework_parameters == {"sagemaker_mpi_enabled": True}
            assert len(dict(env)) == len(env) == 37, len(env)
            try: env["nothing"]
            except KeyError: print("fine")
            """)
        self.assertEqual(out, "fine\n")

    def test_older_names_are_the_same_things(self):
        self.run_python("""
            import sagemaker_containers
            from sagemaker_containers import entry_point, _content_types, _errors
            import sagemaker_containers._encoders
            import sagemaker_containers.beta.framework as framework
            from sagemaker_containers.beta.framework import content_types, encoders, env, modules, transformer, worker
            from sagemaker_training import environment
            assert isinstance(sagemaker_containers.training_env(), environment.Environment)
            assert isinstance(framework.training_env(), env.TrainingEnv)
            assert content_types.JSON == _content_types.JSON == "application/json"
            response = worker.Response("[1]", mimetype=content_types.JSON)
            assert response.get_data() == b"[1]" and response.status_code == 200 and response.mimetype == content_types.JSON
            assert worker.Response(b"a,b", content_types.CSV).get_data(as_text=True) == "a,b"
            from sagemaker_mxnet_container.training_utils import scheduler_host
            assert scheduler_host(["algo-1", "algo-2"]) == "algo-1"
            """)

    def test_what_is_not_there_says_so(self):
        for module in ("smdebug", "smdistributed.dataparallel", "sagemaker_tensorflow"):
            self.assertIn("ModuleNotFoundError", self.run_python(f"import {module}", code=1))


class Files(Base):
    def test_failure_and_success_files(self):
        self.run_python("""
            from sagemaker_training import files
            files.write_failure_file("first"); files.write_failure_file("second"); files.write_success_file()
            """)
        self.assertEqual((self.base / "output/failure").read_text(), "first")
        self.assertTrue((self.base / "output/success").exists())

    def test_commands_fail_with_the_toolkits_errors(self):
        out = self.run_python("""
            import sys
            from sagemaker_training import errors, process
            try: process.check_error([sys.executable, "-c", "import sys; sys.exit('no')"], errors.InstallModuleError)
            except errors.ClientError as problem: print(problem)
            """)
        self.assertTrue(out.startswith("InstallModuleError:\nExitCode 1\nErrorMessage \"no\n\"\nCommand \""), out)

    def test_modules_are_imported_from_the_code(self):
        (self.base / "code/helper.py").write_text("value = 7")
        out = self.run_python("""
            from sagemaker_training import modules
            print(modules.import_module("s3://not/asked", "helper").value, modules.exists("nothing_of_this_name"))
            """)
        self.assertEqual(out, "7 False\n")

    def test_an_entry_point_runs_with_its_variables(self):
        (self.base / "code/run.sh").write_text("echo $GREETING \"$@\"")
        out = self.run_python("""
            from sagemaker_training import entry_point
            entry_point.run("unused", "run.sh", ["a b"], {"GREETING": "hello"})
            """)
        self.assertEqual(out, "hello a b\n")

    def test_a_block_may_take_only_so_long(self):
        out = self.run_python("""
            import time
            from sagemaker_training.timeout import timeout, TimeoutError
            try:
                with timeout(seconds=0.05): time.sleep(5)
            except TimeoutError as late: print(late)
            """)
        self.assertEqual(out, "timed out after 0.05 seconds\n")


class Fetching(Base):
    def fetch(self, member, code=1, data=b"x"):
        source = self.base / "evil.tar"
        with tarfile.open(source, "w") as archive:
            import io
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))
        # The check for Pythons whose tarfile has no filters is tried, too.
        for prelude in ("", "import tarfile; del tarfile.data_filter;" if hasattr(tarfile, "data_filter") else ""):
            out = self.run_python(f"{prelude} import millwright_fetch; millwright_fetch.main({str(source)!r}, 'place')", code)
        return out

    def test_members_outside_of_the_folder_are_refused(self):
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../etc/passwd"
        device = tarfile.TarInfo("device")
        device.type = tarfile.CHRTYPE
        hard = tarfile.TarInfo("hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, "/etc/passwd"
        for member in (tarfile.TarInfo("../escaped"), link, device, hard):
            self.assertIn("cannot bring the code", self.fetch(member))
        self.assertFalse((self.base / "code/escaped").exists())

    def test_ordinary_members_arrive(self):
        member = tarfile.TarInfo("package/module.py")
        member.mode = 0o755
        self.fetch(member, code=0)
        self.assertEqual((self.base / "code/place/package/module.py").read_bytes(), b"x")


@unittest.skipUnless(has("numpy"), "needs numpy")
class Encoders(Base):
    def test_arrays_come_back_as_they_went(self):
        self.run_python("""
            import numpy as np
            from sagemaker_training import content_types, encoders, errors
            array = np.array([[1.5, 2], [3, 4]])
            for kind in (content_types.JSON, content_types.CSV, content_types.NPY):
                assert (encoders.decode(encoders.encode(array, kind), kind) == array).all(), kind
            assert encoders.array_to_csv([1, 2]) == "1\\n2\\n"
            assert encoders.csv_to_numpy("a,b\\n").tolist() == ["a", "b"]
            for bad in (lambda: encoders.encode(array, "image/png"), lambda: encoders.decode(b"", "image/png")):
                try: bad(); raise SystemExit("accepted")
                except errors.UnsupportedFormatError: pass
            """)


@unittest.skipUnless(has("xgboost"), "needs xgboost")
class Xgboost(Base):
    def test_data_of_a_channel(self):
        channel = self.base / "input/data/train"
        (channel / "more").mkdir(parents=True)
        (channel / "a.csv").write_text("1,0.5,2\n0,1.5,3\n")
        (channel / "more/b.csv").write_text("1,2.5,4\n")
        (channel / ".hidden").write_text("x")
        self.run_python(f"""
            from sagemaker_xgboost_container.data_utils import get_content_type, get_dmatrix, get_size, UserError
            matrix = get_dmatrix({str(channel)!r}, "text/csv; label_size=1")
            assert (matrix.num_row(), matrix.num_col()) == (3, 2), (matrix.num_row(), matrix.num_col())
            assert matrix.get_label().tolist() == [1, 0, 1]
            assert get_content_type(None) == "libsvm" and get_size("/no/where") == 0
            assert get_dmatrix("/no/where", "csv") is None
            try: get_content_type("text/csv; label_size=2"); raise SystemExit("accepted")
            except UserError: pass
            """)

    def test_training_goes_on_after_the_last_checkpoint(self):
        self.run_python("""
            import os
            import numpy as np, xgboost as xgb
            from sagemaker_xgboost_container import checkpointing
            random = np.random.RandomState(1)
            x = random.rand(200, 4); y = x[:, 0] > 0.5
            data = xgb.DMatrix(x, label=y)
            arguments = dict(params={"objective": "binary:logistic", "nthread": 1}, dtrain=data, num_boost_round=12)
            whole = xgb.train(**arguments)
            checkpointing.train({**arguments, "num_boost_round": 7}, "points")
            assert sorted(os.listdir("points")) == [f"xgboost-checkpoint.{i}" for i in range(2, 7)], os.listdir("points")
            assert checkpointing.load_checkpoint("points") == (os.path.join("points", "xgboost-checkpoint.6"), 7)
            resumed = checkpointing.train(arguments, "points")
            assert resumed.num_boosted_rounds() == 12
            assert np.allclose(whole.predict(data), resumed.predict(data))
            open("points/xgboost-checkpoint.99", "w").write("broken")
            assert checkpointing.load_checkpoint("points")[1] == 12
            assert checkpointing.train(arguments, "points").num_boosted_rounds() == 12
            """)

    def test_two_hosts_train_together_and_one_without_data_leaves(self):
        script = """
            import json, sys
            import numpy as np, xgboost as xgb
            from sagemaker_xgboost_container import distributed
            host, hosts, port, with_data = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1"
            def train(is_master):
                random = np.random.RandomState(hosts.index(host))
                x = random.rand(100, 3)
                booster = xgb.train({"objective": "binary:logistic", "nthread": 1, "tree_method": "hist"},
                                    xgb.DMatrix(x, label=x[:, 0] > 0.5), num_boost_round=3)
                print(json.dumps([is_master, xgb.collective.get_world_size(), hash(bytes(booster.save_raw()))]))
            distributed.rabit_run(train, {}, with_data, hosts, host, first_port=port, update_rabit_args=True)
            """
        import socket
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONHASHSEED": "0"}
        running = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), host, json.dumps(hosts), str(port),
                                     str(int(host != hosts[1]))], stdout=subprocess.PIPE, text=True, env=environment)
                   for host in hosts]
        for process in running:
            self.addCleanup(process.kill)
        outputs = [process.communicate(timeout=120)[0] for process in running]
        self.assertEqual([process.returncode for process in running], [0, 0, 0])
        first, third = json.loads(outputs[0].splitlines()[-1]), json.loads(outputs[2].splitlines()[-1])
        self.assertEqual(first[:2] + third[:2], [True, 2, False, 2])
        self.assertEqual(first[2], third[2])


if __name__ == "__main__":
    unittest.main()
