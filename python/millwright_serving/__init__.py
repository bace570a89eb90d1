"""`python -m millwright_serving`: the functions of an inference script behind HTTP, as `serve` in the prebuilt images.

    front.py     one process: HTTP, health, the queue; runs no code of the user's
    worker.py    N processes: each loads the script and the model and answers one request at a time
    handlers.py  model_fn, input_fn, predict_fn, output_fn or transform_fn of the script, and what stands for missing ones
    defaults.py  those of each framework
    settings.py  environment variables
    code.py      brings the script and installs its requirements
"""
