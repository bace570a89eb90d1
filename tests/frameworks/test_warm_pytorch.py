"""What a warm pool is worth to PyTorch: the time from CreateTrainingJob to the line after `import torch`."""
from test_warm_pools import await_interpreter, leave_nothing, pooled, run, spares  # noqa: F401 (fixtures)

PYTORCH_IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.0.0-cpu-py310"


def test_a_second_pytorch_job_has_its_first_line_in_a_moment(run, pooled, spares, log_lines):  # noqa: F811
    text = """
import torch
import time
print("first", time.time())
layer = torch.nn.Linear(64, 64)
layer(torch.randn(32, 64)).sum().backward()
print("gradient", bool(layer.weight.grad.abs().sum() > 0))
"""

    def first_line(request):
        name, sent = run(request, 900)
        lines = log_lines(name)
        assert "gradient True" in lines
        return float(next(line for line in lines if line.startswith("first ")).split()[1]) - sent

    first_line(pooled(text, keep_alive=0, image=PYTORCH_IMAGE))  # builds the environment, fills the page cache
    cold = first_line(pooled(text, image=PYTORCH_IMAGE))
    warm = []
    for _ in range(3):
        (launcher, _), = spares(1).items()
        await_interpreter(launcher)
        warm.append(first_line(pooled(text, image=PYTORCH_IMAGE)))
    print(f"import torch and first line after CreateTrainingJob: cold {1000 * cold:.0f} ms, "
          f"warm {', '.join(f'{1000 * w:.0f}' for w in warm)} ms")
    assert min(warm) < 0.5 and min(warm) < cold / 3  # 0.1 on an idle machine
