"""Digits with DistributedDataParallel over gloo: under torchrun, under MPI, or one process per host."""
import argparse
import json
import os

import numpy
import torch
import torch.distributed as dist
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=12)
arguments = parser.parse_args()

torch.set_num_threads(1)
hosts = json.loads(os.environ["SM_HOSTS"])
alone = os.environ.get("OMPI_COMM_WORLD_RANK", str(hosts.index(os.environ["SM_CURRENT_HOST"])))
os.environ.setdefault("RANK", alone)
os.environ.setdefault("WORLD_SIZE", os.environ.get("OMPI_COMM_WORLD_SIZE", str(len(hosts))))
os.environ.setdefault("MASTER_ADDR", hosts[0])
os.environ.setdefault("MASTER_PORT", "7777")
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()

train, test = (numpy.loadtxt(os.path.join(os.environ[name], "digits.csv"), delimiter=",", dtype="float32")
               for name in ("SM_CHANNEL_TRAINING", "SM_CHANNEL_TESTING"))
train_x, train_y = torch.from_numpy(train[rank::size, 1:]), torch.from_numpy(train[rank::size, 0].astype("int64"))
test_x, test_y = torch.from_numpy(test[:, 1:]), torch.from_numpy(test[:, 0].astype("int64"))

torch.manual_seed(1)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(arguments.epochs):
    for at in range(0, len(train_x), 32):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(train_x[at:at + 32]), train_y[at:at + 32])
        loss.backward()
        optimizer.step()

with torch.no_grad():
    accuracy = (model(test_x).argmax(1) == test_y).float().mean().item()
# All ranks must have arrived at the same weights.
checksum = torch.tensor([sum(p.detach().double().sum().item() for p in model.parameters())], dtype=torch.float64)
sums = [torch.zeros_like(checksum) for _ in range(size)]
dist.all_gather(sums, checksum)
print(f"rank={rank} world={size} host={os.environ['SM_CURRENT_HOST']} accuracy={accuracy:.4f} "
      f"agree={all(torch.equal(s, checksum) for s in sums)}", flush=True)
if rank == 0:
    torch.save(model.module.state_dict(), os.path.join(os.environ["SM_MODEL_DIR"], "model.pt"))
dist.barrier()  # the store lives in rank 0
dist.destroy_process_group()
