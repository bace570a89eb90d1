"""PCA through boto3: one and two hosts find LAPACK's subspace on real data, and its model file is a true NDArray file."""
import io
import tarfile

import ndarray_file
import numpy as np
import pytest
from conftest import PCA_IMAGE
from reference import principal_directions, subspace_sine
from sklearn.datasets import load_breast_cancer, load_digits

DATA = {"digits": load_digits().data, "breast cancer": load_breast_cancer().data}


def upload(s3, bucket, prefix, rows, parts):
    for index, part in enumerate(np.array_split(rows, parts)):
        text = io.StringIO()
        np.savetxt(text, part, delimiter=",", fmt="%.9g")
        s3.put_object(Bucket=bucket, Key=f"{prefix}part-{index}.csv", Body=text.getvalue().encode())


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_subspace(sm, s3, bucket, training_request, finish, unique, name, hosts, mode):
    rows = DATA[name].astype(np.float32)
    upload(s3, bucket, f"pca/{unique}/", rows, hosts)
    request = training_request(
        {"feature_dim": str(rows.shape[1]), "mini_batch_size": "100", "num_components": "5", "algorithm_mode": mode},
        image=PCA_IMAGE, uri=f"s3://{bucket}/pca/{unique}/", content_type="text/csv;label_size=0")
    request["ResourceConfig"]["InstanceCount"] = hosts
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    sm.create_training_job(**request)
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    archive = s3.get_object(Bucket=bucket, Key=f"output/{unique}/output/model.tar.gz")["Body"].read()
    model = ndarray_file.load(tarfile.open(fileobj=io.BytesIO(archive)).extractfile("model_algo-1").read())
    expected, singular = principal_directions(rows, 5)
    assert model["v"].shape == (rows.shape[1], 5) and model["s"].shape[-1] == 5
    assert list(model["s"].ravel()) == sorted(model["s"].ravel())  # the largest comes last
    if mode == "regular":
        assert subspace_sine(expected, model["v"]) < 1e-6
        np.testing.assert_allclose(model["s"].ravel()[::-1], singular, rtol=1e-6)
    else:
        centred = rows - rows.mean(axis=0, dtype=np.float64)
        captured = np.sum((centred @ model["v"]) ** 2) / np.sum(singular ** 2)
        assert captured >= 0.95
