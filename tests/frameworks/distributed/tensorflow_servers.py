"""Digits with parameter servers: the toolkit runs a server on each host, this script is the master or a worker."""
import json
import os
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy
import tensorflow as tf

v1 = tf.compat.v1
v1.disable_eager_execution()
config = json.loads(os.environ["TF_CONFIG"])
cluster, task = tf.train.ClusterSpec(config["cluster"]), config["task"]
master = task["type"] == "master"
server = tf.distribute.Server(cluster, job_name=task["type"], task_index=task["index"])

train, test = (numpy.loadtxt(os.path.join(os.environ[name], "digits.csv"), delimiter=",", dtype="float32")
               for name in ("SM_CHANNEL_TRAINING", "SM_CHANNEL_TESTING"))
mine = train[0 if master else task["index"] + 1::2]

device = v1.train.replica_device_setter(cluster=cluster, worker_device=f"/job:{task['type']}/task:{task['index']}")
with v1.device(device):
    x, y = v1.placeholder(tf.float32, [None, 64]), v1.placeholder(tf.int64, [None])
    w1 = v1.get_variable("w1", [64, 48], initializer=v1.random_normal_initializer(0, 0.2, seed=1))
    b1 = v1.get_variable("b1", [48], initializer=v1.zeros_initializer())
    w2 = v1.get_variable("w2", [48, 10], initializer=v1.random_normal_initializer(0, 0.2, seed=2))
    b2 = v1.get_variable("b2", [10], initializer=v1.zeros_initializer())
    done = v1.get_variable("done", [], initializer=v1.zeros_initializer(), trainable=False)
    count_done = done.assign_add(1, use_locking=True)
    logits = tf.matmul(tf.nn.relu(tf.matmul(x, w1) + b1), w2) + b2
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    step = v1.train.GradientDescentOptimizer(0.3).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))

with v1.train.MonitoredTrainingSession(master=server.target, is_chief=master) as session:
    for epoch in range(16):
        for at in range(0, len(mine), 32):
            session.run(step, {x: mine[at:at + 32, 1:], y: mine[at:at + 32, 0]})
    session.run(count_done)
    while master and session.run(done) < 2:
        time.sleep(0.1)
    reached = session.run(accuracy, {x: test[:, 1:], y: test[:, 0]})
    placed = {w1.device, b1.device, w2.device, b2.device}
    print(f"type={task['type']} host={os.environ['SM_CURRENT_HOST']} servers={len(placed)} accuracy={reached:.4f}",
          flush=True)
    if master:
        numpy.savez(os.path.join(os.environ["SM_MODEL_DIR"], "weights.npz"), *session.run([w1, b1, w2, b2]))
