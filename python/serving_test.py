"""`python -m millwright_serving` as an endpoint meets it: a script, a model folder, HTTP."""
import contextlib
import http.client
import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

SCRIPT = """
    import json, os

    def model_fn(model_dir):
        return int(open(os.path.join(model_dir, "factor")).read())

    def input_fn(body, content_type):
        assert content_type == "application/json", content_type
        return json.loads(body)

    def predict_fn(data, model):
        return [model * x for x in data]

    def output_fn(prediction, accept):
        return json.dumps(prediction), accept
"""


def has(*modules):
    return all(importlib.util.find_spec(name) for name in modules)


class Serving(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name) / "ml"
        (self.base / "model/code").mkdir(parents=True)
        (self.base / "model/factor").write_text("3")
        self.process = None
        self.log = open(Path(folder.name) / "log", "w+b")
        self.addCleanup(self.log.close)

    def script(self, text=SCRIPT, name="inference.py"):
        (self.base / "model/code" / name).write_text(textwrap.dedent(text))

    def start(self, workers=1, **environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "millwright_serving"], stdout=self.log, stderr=self.log, cwd="/",
            env={"PATH": os.environ["PATH"], "SAGEMAKER_BASE_DIR": str(self.base), "PYTHONPATH": str(HERE),
                 "SAGEMAKER_BIND_TO_PORT": str(self.port), "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers), **environment})
        self.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def said(self):
        self.log.seek(0)
        return self.log.read().decode()

    def serve(self, workers=1, **environment):
        self.start(workers, **environment)
        for _ in range(1200):
            with contextlib.suppress(OSError):
                if self.call("GET", "/ping")[0] == 200:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.fail("it does not serve: " + self.said())

    def fails(self, *words, **environment):
        self.start(**environment)
        self.assertEqual(self.process.wait(60), 1, self.said())
        for word in words:
            self.assertIn(word, self.said())

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def invoke(self, body, **headers):
        return self.call("POST", "/invocations", body,
                         {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}})


class Functions(Serving):

    def test_a_request_goes_through_the_four_functions(self):
        self.script()
        self.serve()
        status, body, headers = self.invoke("[1, 2]", Accept="application/json; q=1")
        self.assertEqual((status, body, headers["Content-Type"]), (200, b"[3, 6]", "application/json"))
        self.assertEqual(self.invoke("[1]", Content_Type="application/json; charset=utf-8")[1], b"[3]")

    def test_transform_fn_stands_for_three(self):
        self.script("""
            def model_fn(model_dir, context):
                return context.system_properties["model_dir"]
            def transform_fn(model, body, content_type, accept, context):
                name = context.get_request_header("X-Amzn-SageMaker-Custom-Attributes")
                return f"{type(body).__name__} {content_type} {accept} {name}", "text/plain"
            """, "serve_it.py")
        self.serve(SAGEMAKER_PROGRAM="serve_it.py", SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv")
        status, body, headers = self.invoke(b"x", X_Amzn_SageMaker_Custom_Attributes="a=b")
        self.assertEqual((status, body), (200, b"bytes application/json text/csv a=b"))
        self.assertEqual(headers["Content-Type"], "text/plain")

    def test_what_a_function_raises_is_the_answer_and_in_the_log(self):
        self.script(SCRIPT.replace("return [model * x for x in data]", "raise KeyError('no such column')"))
        self.serve()
        status, body, _ = self.invoke("[1]")
        self.assertEqual(status, 500)
        self.assertIn(b"KeyError: 'no such column'", body)
        self.assertIn("in predict_fn", self.said())

    def test_a_script_chooses_its_status(self):
        self.script(SCRIPT.replace("    def predict_fn(data, model):\n        return [model * x for x in data]", """
    def predict_fn(data, model):
        from sagemaker_inference.errors import GenericInferenceToolkitError
        raise GenericInferenceToolkitError(422, "too short")
    """))
        self.serve()
        self.assertEqual(self.invoke("[1]")[:2], (422, b"too short"))

    def test_a_response_object_brings_status_and_headers(self):
        self.script(SCRIPT.replace("return json.dumps(prediction), accept", """
        from sagemaker_containers.beta.framework import worker
        return worker.Response(json.dumps(prediction), status=201, mimetype="text/csv")
    """))
        self.serve()
        status, body, headers = self.invoke("[1]")
        self.assertEqual((status, body, headers["Content-Type"]), (201, b"[3]", "text/csv"))


class Starts(Serving):

    def test_code_may_come_as_an_archive(self):
        import tarfile
        self.script(name="predict.py")
        archive = self.base / "sourcedir.tar.gz"
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(self.base / "model/code/predict.py", "predict.py")
        (self.base / "model/code/predict.py").unlink()
        self.serve(SAGEMAKER_SUBMIT_DIRECTORY=str(archive), SAGEMAKER_PROGRAM="predict.py")
        self.assertEqual(self.invoke("[5]")[1], b"[15]")

    def test_the_model_that_has_the_code_is_not_brought_again(self):
        self.script()
        self.serve(SAGEMAKER_SUBMIT_DIRECTORY="s3://bucket/job/model.tar.gz", SAGEMAKER_PROGRAM="inference.py")
        self.assertEqual(self.invoke("[5]")[1], b"[15]")

    def test_why_a_model_cannot_be_loaded_is_said(self):
        self.script("def model_fn(model_dir):\n    raise ValueError('no weights here')\n")
        self.fails("ValueError: no weights here", "worker 0 could not load the model (exit code 1)")
        self.script("def predict_fn(data, model):\n    return data\n")
        self.fails("the script must define model_fn(model_dir)")
        self.fails("there is no other.py in", SAGEMAKER_PROGRAM="other.py")
        self.fails("SAGEMAKER_MODEL_SERVER_TIMEOUT is 'soon'", SAGEMAKER_MODEL_SERVER_TIMEOUT="soon")

    def test_functions_that_cannot_be_called_are_refused(self):
        self.script("def model_fn(a, b, c):\n    pass\n")
        self.fails("model_fn takes 3 arguments; it must take 1, or 2 with the context")
        self.script(SCRIPT + "\n    def transform_fn(a, b, c, d): pass\n")
        self.fails("transform_fn cannot stand beside input_fn")
        self.script("def input_handler(data, context):\n    pass\n")
        self.fails("input_handler is for TensorFlow Serving")

    def test_requirements_that_cannot_be_installed_end_it(self):
        self.script()
        (self.base / "model/code/requirements.txt").write_text("./not-there\n")
        self.fails("pip could not install")


class Workers(Serving):

    def test_ping_answers_while_all_workers_are_busy(self):
        self.script("import time\n" + textwrap.dedent(SCRIPT).replace("return [", "time.sleep(2); return ["))
        self.serve()
        caller = threading.Thread(target=self.invoke, args=("[1]",))
        caller.start()
        time.sleep(0.3)
        begun = time.monotonic()
        self.assertEqual(self.call("GET", "/ping")[0], 200)
        self.assertLess(time.monotonic() - begun, 1)
        caller.join()

    def test_a_worker_that_dies_fails_its_request_alone_and_is_replaced(self):
        self.script(SCRIPT.replace("return [", "if data == [9]: os.kill(os.getpid(), 9)\n        return ["))
        self.serve()
        status, body, _ = self.invoke("[9]")
        self.assertEqual((status, body), (500, b"The worker that had this request ended: signal 9\n"))
        self.assertEqual(self.invoke("[1]")[:2], (200, b"[3]"))  # waits for the replacement

    def test_a_request_that_takes_too_long_is_ended(self):
        self.script("import time\n" + textwrap.dedent(SCRIPT).replace("return [", "time.sleep(data[0]); return ["))
        self.serve(SAGEMAKER_MODEL_SERVER_TIMEOUT="1")
        begun = time.monotonic()
        status, body, _ = self.invoke("[60]")
        self.assertEqual((status, body), (500, b"The worker that had this request ended: it took too long\n"))
        self.assertLess(time.monotonic() - begun, 20)

    def test_requests_are_spread_over_workers(self):
        self.script("import time\n" + textwrap.dedent(SCRIPT).replace("return [", "time.sleep(0.5); return ["))
        self.serve(workers=4)
        time.sleep(1)  # until the last one is ready, too
        begun = time.monotonic()
        callers = [threading.Thread(target=self.invoke, args=("[1]",)) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        self.assertLess(time.monotonic() - begun, 1.6)

    def test_sigterm_finishes_what_has_begun(self):
        self.script("import time\n" + textwrap.dedent(SCRIPT).replace("return [", "time.sleep(1); return ["))
        self.serve()
        answers = []
        caller = threading.Thread(target=lambda: answers.append(self.invoke("[1]")[:2]))
        caller.start()
        time.sleep(0.3)
        self.process.send_signal(signal.SIGTERM)
        caller.join()
        self.assertEqual(answers, [(200, b"[3]")])
        self.assertEqual(self.process.wait(10), 0)


class Protocol(Serving):

    def setUp(self):
        super().setUp()
        self.script()
        self.serve(SAGEMAKER_MAX_PAYLOAD_IN_MB="1")

    def raw(self, *pieces):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.05)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def test_other_paths_methods_and_sizes_are_refused(self):
        self.assertEqual(self.call("GET", "/")[0], 404)
        status, _, headers = self.call("GET", "/invocations")
        self.assertEqual((status, headers["Allow"]), (405, "POST"))
        self.assertEqual(self.invoke(b"x" * (2 << 20))[0], 413)
        status, body, _ = self.call("GET", "/execution-parameters")
        self.assertEqual(json.loads(body), {"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 1})

    def test_bodies_in_chunks_and_in_pieces(self):
        head = b"POST /invocations HTTP/1.1\r\nContent-Type: application/json\r\n"
        chunks = head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n[1\r\n3;x=y\r\n,2]\r\n0\r\nA: b\r\n\r\n"
        self.assertIn(b"[3, 6]", self.raw(chunks))
        self.assertIn(b"[3, 6]", self.raw(*[chunks[at:at + 40] for at in range(0, len(chunks), 40)]))
        self.assertIn(b"100 Continue", self.raw(head + b"Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
                                                b"[1]"))

    def test_several_requests_in_one_piece_are_answered_in_order(self):
        one = b"POST /invocations HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[%d]"
        closing = b"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n"
        answers = self.raw(one % 1 + one % 2 + one % 3 + closing)
        self.assertEqual(answers.count(b"HTTP/1.1 200"), 4)
        self.assertLess(answers.index(b"[3]"), answers.index(b"[6]"))
        self.assertLess(answers.index(b"[6]"), answers.index(b"[9]"))

    def test_what_is_no_http_is_refused(self):
        for bad in (b"hello\r\n\r\n", b"GET /ping HTTP/1.1\r\nbroken\r\n\r\n", b"GET /ping HTTP/1.1\r\n : x\r\n\r\n",
                    b"POST /invocations HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                    b"POST /invocations HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                    b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            self.assertTrue(self.raw(bad).startswith(b"HTTP/1.1 400 "), bad)
        self.assertTrue(self.raw(b"GET /ping HTTP/1.1\r\nA: " + b"x" * 70000).startswith(b"HTTP/1.1 431 "))
        self.assertEqual(self.call("GET", "/ping")[0], 200)


@unittest.skipUnless(has("numpy"), "needs numpy")
class Codecs(Serving):

    def test_arrays_in_every_format(self):
        import numpy as np
        from sagemaker_inference import decoder, encoder, errors
        array = np.array([[1.5, 2], [3, 4]], dtype="float32")
        for kind in ("application/json", "text/csv", "application/x-npy"):
            self.assertTrue((decoder.decode(encoder.encode(array, kind), kind) == array).all(), kind)
        self.assertEqual(encoder.encode([1, 2], "text/csv"), "1\n2\n")
        self.assertEqual(encoder.encode({"a": array}, "application/json"), '{"a": [[1.5, 2.0], [3.0, 4.0]]}')
        with self.assertRaises(errors.UnsupportedFormatError):
            decoder.decode(b"", "image/png")
        objects = io.BytesIO()
        np.save(objects, np.array([{}]), allow_pickle=True)
        with self.assertRaises(ValueError):
            decoder.decode(objects.getvalue(), "application/x-npy")

    @unittest.skipUnless(has("scipy"), "needs scipy")
    def test_sparse_matrices(self):
        import scipy.sparse
        from sagemaker_inference import decoder, encoder
        matrix = scipy.sparse.random(10, 5, 0.3, random_state=1)
        back = decoder.decode(encoder.encode(matrix, "application/x-npz"), "application/x-npz")
        self.assertEqual((back != matrix).nnz, 0)

    def test_defaults_stand_in_for_missing_functions(self):
        self.script("""
            class Model:
                def predict(self, rows):
                    return rows.sum(axis=1)
            def model_fn(model_dir):
                return Model()
            """)
        self.serve(MILLWRIGHT_FRAMEWORK="scikit-learn")
        self.assertEqual(self.invoke("1,2,3", Content_Type="text/csv", Accept="text/csv")[1], b"6.0\n")
        self.assertEqual(json.loads(self.invoke("[[1, 2], [3, 4]]")[1]), [3, 7])
        self.assertEqual(self.invoke("<a/>", Content_Type="text/xml")[0], 415)
        self.assertEqual(self.invoke("[[1]]", Accept="image/png")[0], 406)


if __name__ == "__main__":
    unittest.main()
