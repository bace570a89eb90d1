"""Small helpers of MXNet scripts."""
import json
import os


def scheduler_host(hosts):
    """The host that runs the scheduler of the parameter servers."""
    return hosts[0]


def save(model_dir, model, current_host=None, hosts=None):
    """Saves a module, on the first host only: model-symbol.json, model-0000.params, model-shapes.json."""
    current_host = current_host or os.environ["SM_CURRENT_HOST"]
    hosts = hosts or json.loads(os.environ["SM_HOSTS"])
    if current_host != scheduler_host(hosts):
        return
    model.symbol.save(os.path.join(model_dir, "model-symbol.json"))
    model.save_params(os.path.join(model_dir, "model-0000.params"))
    signature = [{"name": description.name, "shape": list(description.shape)} for description in model.data_shapes]
    with open(os.path.join(model_dir, "model-shapes.json"), "w") as file:
        json.dump(signature, file)
